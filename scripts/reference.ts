/**
 * Writes what is made from the table of options: the reference at the end of
 * `docs/command-line.md`, and the man page `docs/wstap.1`.
 *
 * ```sh
 * deno task reference
 * ```
 *
 * @module
 */

import denoJson from "../deno.json" with { type: "json" };
import { manPage } from "../src/cli/flags/man.ts";
import { MARK, reference } from "../src/cli/flags/reference.ts";

const root = new URL("../", import.meta.url);

/** The page about the command line: what comes before the mark is written by hand. */
export const PAGE = new URL("docs/command-line.md", root);
/** The man page. */
export const MAN_PAGE = new URL("docs/wstap.1", root);

/** Returns the page with its reference as the table has it, not yet formatted. */
export function withReference(page: string): string {
  const at = page.indexOf(MARK);
  if (at === -1) throw new Error(`The page has no line ${MARK}`);
  return `${page.slice(0, at)}${MARK}\n\n${reference()}`;
}

if (import.meta.main) {
  const page = await Deno.readTextFile(PAGE);
  await Deno.writeTextFile(PAGE, withReference(page));
  await Deno.writeTextFile(MAN_PAGE, manPage(denoJson.version));
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", PAGE.pathname],
  }).spawn().status;
  if (!success) Deno.exit(1);
}
