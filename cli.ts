/**
 * The command line of wstap. Run `wstap --help` for what it does.
 *
 * @module
 */

import { main } from "./src/cli/main.ts";

if (import.meta.main) Deno.exit(await main(Deno.args));
