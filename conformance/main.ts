/**
 * Runs Autobahn|Testsuite, the conformance suite for WebSocket, against this
 * module: with `capture: "direct"` and compression, and, for comparison, with
 * `capture: "none"`, which is Deno's WebSocket.
 *
 * ```sh
 * deno task conformance              # every case
 * deno task conformance "6.*" "7.*"  # some cases
 * deno task conformance --short      # "direct" alone, in all cases except the slow ones
 * ```
 *
 * It prints a table. Its exit code is 1 if a case did not pass with `"direct"`.
 * The detailed report is `conformance/reports/index.html`.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { CAPTURES, echo } from "./client.ts";
import { categoryOf, failures, table } from "./report.ts";
import { type FuzzingServer, NotFoundError, startServer } from "./server.ts";

/** The cases of `--short`: those without large messages and without many messages. It has no comparison. */
const SHORT = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"];

const { values, positionals } = parseArgs({
  args: Deno.args,
  options: { short: { type: "boolean" } },
  allowPositionals: true,
});
const patterns = values.short ? SHORT : positionals;
const captures = CAPTURES.filter((it) => !values.short || it === "direct");

/** Asks the server for the numbers of its cases, such as `"1.1.1"`. */
async function listCases(server: FuzzingServer): Promise<string[]> {
  const count = await server.ask("/getCaseCount") as number;
  const cases: string[] = [];
  for (let i = 1; i <= count; i++) {
    const { id } = await server.ask(`/getCaseInfo?case=${i}`) as { id: string };
    cases.push(id);
  }
  return cases;
}

/** Runs the cases, prints the results, and returns whether all cases passed with `"direct"`. */
async function run(server: FuzzingServer): Promise<boolean> {
  const cases = await listCases(server);
  if (cases.length === 0) {
    throw new Error(`No case is called ${patterns.join(" ")}`);
  }
  for (const capture of captures) {
    let category = "";
    for (const [i, it] of cases.entries()) {
      if (categoryOf(it) !== category) {
        category = categoryOf(it);
        console.error(`Running ${category}.* with "${capture}"`);
      }
      const target = `/runCase?case=${i + 1}&agent=${capture}`;
      try {
        await echo(server.url + target, capture);
      } catch (error) {
        if (server.ended) throw new Error(`The server ended in case ${it}`);
        // The report counts the case as failed or missing.
        console.error(`${it} with "${capture}": ${error}`);
      }
    }
  }
  const report = await server.report();
  console.log(table(report, cases, captures));
  for (const capture of captures) {
    // The 216 cases that Deno's WebSocket does not implement are only counted.
    const failed = failures(report[capture], cases)
      .filter((it) => capture === "direct" || !it.endsWith(" UNIMPLEMENTED"));
    if (failed.length === 0) continue;
    console.log(`\nNot passed with "${capture}":`);
    for (const it of failed) console.log(`- ${it}`);
  }
  return failures(report["direct"], cases).length === 0;
}

try {
  await using server = await startServer(
    patterns.length > 0 ? patterns : ["*"],
    `${import.meta.dirname}/reports`,
  );
  Deno.exitCode = await run(server) ? 0 : 1;
} catch (error) {
  if (!(error instanceof NotFoundError)) throw error;
  console.error(error.message);
  Deno.exitCode = 1;
}
