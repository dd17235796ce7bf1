/**
 * Runs Autobahn|Testsuite, the conformance suite for WebSocket, against this
 * module: with `capture: "direct"` and compression, and with `"none"`, Deno's own
 * WebSocket, to compare with.
 *
 * ```sh
 * deno task conformance              # every case
 * deno task conformance "6.*" "7.*"  # some
 * deno task conformance --short      # all but the long ones
 * ```
 *
 * It prints a table, and ends with 1 if a case did not pass with `"direct"`. The
 * report with every detail is `conformance/reports/index.html`.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { CAPTURES, echo } from "./client.ts";
import { categoryOf, failures, table } from "./report.ts";
import { type FuzzingServer, NotFoundError, startServer } from "./server.ts";

/** The cases of the short form: no messages that are many or large. */
const SHORT = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"];

const { values, positionals } = parseArgs({
  args: Deno.args,
  options: { short: { type: "boolean" } },
  allowPositionals: true,
});
const patterns = values.short ? SHORT : positionals;

/** The numbers of the cases that the server was started with, such as `"1.1.1"`. */
async function listCases(server: FuzzingServer): Promise<string[]> {
  const count = await server.ask("/getCaseCount") as number;
  const cases: string[] = [];
  for (let i = 1; i <= count; i++) {
    const { id } = await server.ask(`/getCaseInfo?case=${i}`) as { id: string };
    cases.push(id);
  }
  return cases;
}

/** Runs the cases, and returns whether all passed with `"direct"`. */
async function run(server: FuzzingServer): Promise<boolean> {
  const cases = await listCases(server);
  if (cases.length === 0) {
    throw new Error(`No case is called ${patterns.join(" ")}`);
  }
  for (const capture of CAPTURES) {
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
        // It fails by the report, or is missing there.
        console.error(`${it} with "${capture}": ${error}`);
      }
    }
  }
  const report = await server.report();
  console.log(table(report, cases, CAPTURES));
  for (const capture of CAPTURES) {
    // What Deno's WebSocket lacks is in the table; here it would be 216 lines.
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
