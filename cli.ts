/**
 * The command line of wstap: `wstap URL` prints the response head of a WebSocket
 * handshake on standard error, and each message as a line on standard output.
 *
 * ```sh
 * deno run --allow-net=feed.example jsr:@wstap/wstap/cli wss://feed.example/events
 * ```
 *
 * `--help` lists the options and the other commands: `ping` measures round trips,
 * `replay` serves a recording, and `demo` needs no server to be tried.
 *
 * @module
 */

import { main } from "./src/cli/main.ts";

if (import.meta.main) Deno.exit(await main(Deno.args));
