/**
 * Compares this module with Deno's WebSocket and with other clients, prints a
 * table of ratios, and writes `results.json` and `results.svg`.
 *
 * ```sh
 * deno task bench                  # everything, about a quarter of an hour
 * deno task bench --only=Echo      # the rows that contain the text; writes no file
 * deno task bench --short          # tiny runs that take seconds; writes no file
 * deno task bench --aims           # fails if a row misses its aim
 * ```
 *
 * @module
 */

import { parseArgs } from "node:util";
import { certificates } from "../tests/fixtures/certs.ts";
import type { Job } from "./client.ts";
import { findPeers } from "./peers.ts";
import { chart } from "./chart.ts";
import {
  describeMachine,
  replaceResults,
  type Result,
  shortTable,
  table,
} from "./report.ts";
import { type Row, ROWS, type Run } from "./rows.ts";

const { values: args } = parseArgs({
  args: Deno.args,
  options: {
    short: { type: "boolean", default: false },
    aims: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    rounds: { type: "string" },
    "import-map": { type: "string" },
  },
});
const { aims, short, only } = args;
const rounds = short ? 1 : Number(args.rounds ?? 7);

/** The longest time of one measurement, in milliseconds. */
const LIMIT = 120_000;

const here = (name: string) => `${import.meta.dirname}/${name}`;
const flags = args["import-map"] ? [`--import-map=${args["import-map"]}`] : [];
const deno = Deno.execPath();
const peers = await findPeers(flags, short);

/** Returns a function that runs a measurement in a process of its own; `null` if its program is not installed. */
function prepare(run: Run, url: string): (() => Promise<number[]>) | null {
  // A connection takes as long as a thousand messages.
  const most = "task" in run && run.task === "connect" ? 20 : 500;
  const count = short ? Math.min(run.count, most) : run.count;
  if ("task" in run) {
    const job: Job = { ...run, count, url: run.tls ? secureUrl : url };
    const options = ["--unstable-net", "--v8-flags=--expose-gc", ...flags];
    const file = here("client.ts");
    return () =>
      ask(deno, {
        args: ["run", "-A", ...options, file, JSON.stringify(job)],
        env: { DENO_CERT: `${work}/ca.pem` },
      });
  }
  const program = peers.get("peer" in run ? run.peer : run.tool);
  if (program === undefined) return null;
  const { path, args, env } = program;
  if ("peer" in run) {
    const mode = run.mode === undefined ? [] : [run.mode];
    const options = {
      args: [...args, url, `${count}`, `${run.size}`, ...mode],
      env,
    };
    return () => ask(path, options);
  }
  if (run.until === "first") {
    const options = { args: [...args, `${url}/hello`], env };
    return async () => [await timeToFirst(path, options)];
  }
  const feed = `${url}/feed?count=${count}&size=${run.size}`;
  const options = { args: [...args, feed], env };
  return async () => [count / await timeToEnd(path, options) * 1000];
}

/** How to start a program. */
interface Options {
  args: string[];
  env?: Record<string, string> | undefined;
}

/** Runs a program that prints the numbers that it measured. */
async function ask(path: string, { env = {}, ...options }: Options) {
  const { success, stdout } = await new Deno.Command(path, {
    ...options,
    env,
    stderr: "inherit",
    signal: AbortSignal.timeout(LIMIT),
  }).output();
  if (!success) throw new Error(`Failed: ${path} ${options.args.join(" ")}`);
  return JSON.parse(new TextDecoder().decode(stdout)) as number[];
}

/** Measures the milliseconds from the start of a program to its first output. Its input stays open. */
async function timeToFirst(path: string, { env = {}, ...options }: Options) {
  const start = performance.now();
  await using program = new Deno.Command(path, {
    ...options,
    env,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
    signal: AbortSignal.timeout(LIMIT),
  }).spawn();
  const { done } = await program.stdout.getReader().read();
  if (done) throw new Error(`Failed: ${path} ${options.args.join(" ")}`);
  return performance.now() - start;
}

/** Measures the milliseconds from the start of a program to its end. Its output goes to a file. */
async function timeToEnd(path: string, { env = {}, ...options }: Options) {
  const file = await Deno.makeTempFile();
  try {
    const start = performance.now();
    const { success } = await new Deno.Command("sh", {
      ...options,
      env,
      args: ["-c", 'exec "$@" > "$0"', file, path, ...options.args],
      stderr: "inherit",
      signal: AbortSignal.timeout(LIMIT),
    }).output();
    const time = performance.now() - start;
    if (!success) throw new Error(`Failed: ${path} ${options.args.join(" ")}`);
    return time;
  } finally {
    await Deno.remove(file);
  }
}

/** Measures the two sides of a row in alternation; `null` if one of them is not installed. */
async function compare(row: Row, url: string): Promise<Result | null> {
  const ours = prepare(row.ours, url);
  const theirs = prepare(row.theirs, url);
  if (ours === null || theirs === null) return null;
  const index = row.index ?? 0;
  const pairs: { ours: number; theirs: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    const pair = { ours: 0, theirs: 0 };
    const take = async (side: "ours" | "theirs") => {
      pair[side] = (await (side === "ours" ? ours : theirs)())[index]!;
    };
    await take(round % 2 === 0 ? "ours" : "theirs");
    await take(round % 2 === 0 ? "theirs" : "ours");
    pairs.push(pair);
  }
  const ratios = pairs.map(({ ours, theirs }) => ours / theirs);
  return {
    section: row.section,
    what: row.what,
    against: row.against,
    label: row.label,
    againstLabel: row.againstLabel,
    unit: row.unit,
    ours: quantile(pairs.map((it) => it.ours), 0.5),
    theirs: quantile(pairs.map((it) => it.theirs), 0.5),
    ratio: quantile(ratios, 0.5),
    quartiles: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
    // The ratios of a short run say nothing.
    ...(short ? {} : { atLeast: row.atLeast, atMost: row.atMost }),
  };
}

function quantile(values: number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const low = sorted[Math.floor(at)]!;
  return low + (sorted[Math.ceil(at)]! - low) * (at % 1);
}

const work = await Deno.makeTempDir();
const { ca, server } = await certificates();
await Deno.writeTextFile(`${work}/ca.pem`, ca);
await Deno.writeTextFile(`${work}/cert.pem`, server.cert);
await Deno.writeTextFile(`${work}/key.pem`, server.key);
const files = [`${work}/cert.pem`, `${work}/key.pem`];
const sender = new Deno.Command(deno, {
  args: ["run", "-A", ...flags, here("sender.ts"), ...files],
  stdout: "piped",
}).spawn();
let secureUrl = "";
const results: Result[] = [];
try {
  const reader = sender.stdout.getReader();
  const line = new TextDecoder().decode((await reader.read()).value);
  const [port, securePort] = JSON.parse(line);
  const url = `ws://127.0.0.1:${port}`;
  secureUrl = `wss://localhost:${securePort}`;
  const chosen = ROWS.filter(({ section, what, against }) =>
    `${section}: ${what} / ${against}`.includes(only)
  );
  for (const [index, row] of chosen.entries()) {
    console.error(
      `${index + 1} of ${chosen.length}: ${row.what} / ${row.against}`,
    );
    try {
      const result = await compare(row, url);
      if (result === null) console.error("  not installed");
      else results.push(result);
    } catch (error) {
      console.error(`  ${(error as Error).message}`);
      Deno.exitCode = 1;
    }
  }
} finally {
  sender.kill();
  await sender.output().catch(() => {});
  await Deno.remove(work, { recursive: true });
}

const machine = await describeMachine([...peers.values()]);
const json = JSON.stringify({ machine, rounds, results }, null, 2) + "\n";
console.log(table(machine, rounds, results));
const missed = results.filter(({ ratio, atLeast = 0, atMost = Infinity }) =>
  ratio < atLeast || ratio > atMost
);
for (const { what, against, ratio, atLeast, atMost } of missed) {
  const aim = atLeast === undefined
    ? `at most ${atMost}`
    : `at least ${atLeast}`;
  console.error(`Missed: ${what} / ${against}: ${ratio.toFixed(2)}, ${aim}`);
}
if (aims && missed.length > 0) Deno.exitCode = 1;
if (!short && only === "") {
  await Deno.writeTextFile(here("results.json"), json);
  await Deno.writeTextFile(here("results.svg"), await chart(results));
  const pages = {
    "README.md": table(machine, rounds, results),
    "../docs/performance.md": shortTable(machine, rounds, results),
  };
  for (const [name, text] of Object.entries(pages)) {
    const page = await Deno.readTextFile(here(name));
    await Deno.writeTextFile(here(name), replaceResults(page, text));
  }
  await new Deno.Command(deno, {
    args: ["fmt", "--quiet", ...Object.keys(pages).map(here)],
  }).output();
}
