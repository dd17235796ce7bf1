/**
 * Consumes a feed in a process of its own, for {@linkcode consume}: what is
 * measured is this side alone, and the server never waits for it.
 *
 * @module
 */

import {
  type ConnectOptions,
  connectWebSocket,
  type WebSocketConnection,
} from "../../mod.ts";

/** A feed, and how it is consumed. */
export interface Job {
  url: string;
  options: ConnectOptions;
  /**
   * - `"all"`: one call after another.
   * - `"timeout"`, `"signal"`: the same, each call with that option.
   * - `"drip"`: 1,000 messages with a turn of the event loop between them, then all.
   * - `"stall"`: nothing until a line comes on standard input, then all.
   * - `"write"`: in batches, each written to a file before the next is taken.
   * - `"batch"`: one window of an hour, then all.
   * - `"close"`: nothing, and after a second it closes.
   */
  how:
    | "all"
    | "timeout"
    | "signal"
    | "drip"
    | "stall"
    | "write"
    | "batch"
    | "close";
}

/** What came of it. */
export interface Measured {
  received: number;
  /** Whether each message began with its number. */
  inOrder: boolean;
  /** What waited at most: messages and their bytes. */
  messages: number;
  bytes: number;
  /** The memory of the process at most, in bytes, and while it stalled. */
  memory: number;
  stalled: number;
  /** How late a timer was at most, in milliseconds. */
  late: number;
  /** The messages of the `"batch"` and their bytes. */
  batch?: { messages: number; bytes: number };
  /** The name of the error that ended the stream, if one did. */
  error?: string;
  /** The close code. */
  code: number;
}

const TICK = 10;

const job: Job = JSON.parse(Deno.args[0]!);
const [connection] = await connectWebSocket(job.url, job.options);
const got: Measured = {
  received: 0,
  inOrder: true,
  messages: 0,
  bytes: 0,
  memory: 0,
  stalled: 0,
  late: 0,
  code: 0,
};

function look(): void {
  const { messages, bytes } = connection.buffered;
  got.messages = Math.max(got.messages, messages);
  got.bytes = Math.max(got.bytes, bytes);
}

function measure(): void {
  got.memory = Math.max(got.memory, Deno.memoryUsage().rss);
}

function take(message: string | Uint8Array): void {
  const isNext = typeof message !== "string" ||
    parseInt(message) === got.received;
  if (!isNext) got.inOrder = false;
  if (got.received++ % 10_000 === 0) measure();
  look();
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function consume(
  connection: WebSocketConnection<string | Uint8Array>,
): Promise<void> {
  switch (job.how) {
    case "timeout":
    case "signal": {
      const { signal } = new AbortController();
      const options = job.how === "timeout" ? { timeout: "5s" } : { signal };
      for (let it; (it = await connection.recv(options)) !== null;) take(it);
      return;
    }
    case "drip":
      for (let i = 0; i < 1000; i++) {
        take((await connection.recv())!);
        await sleep(0);
      }
      break;
    case "stall":
      await Deno.stdin.read(new Uint8Array(10));
      measure();
      look();
      got.stalled = got.memory;
      break;
    case "write": {
      const file = await Deno.makeTempFile();
      for await (const batch of connection.batches("10ms", { max: 1000 })) {
        batch.forEach(take);
        await Deno.writeTextFile(file, batch.join("\n"));
      }
      return await Deno.remove(file);
    }
    case "batch": {
      const batch = await connection.recvBatch("1h");
      const bytes = batch.reduce((sum, { length }) => sum + length, 0);
      got.batch = { messages: batch.length, bytes };
      batch.forEach(take);
      break;
    }
    case "close":
      await sleep(1000);
      await connection.close();
      return;
  }
  for (let it; (it = await connection.recv()) !== null;) take(it);
}

let last = performance.now();
const timer = setInterval(() => {
  const now = performance.now();
  got.late = Math.max(got.late, Math.round(now - last - TICK));
  last = now;
  look();
  measure();
}, TICK);
try {
  await consume(connection);
} catch (error) {
  got.error = (error as Error).name;
}
got.code = (await connection.closed).code;
clearInterval(timer);
console.log(JSON.stringify(got));
Deno.exit();
