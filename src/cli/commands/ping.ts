import { ConnectionClosedError } from "../../../mod.ts";
import { sleep } from "../../internal.ts";
import type { PingSettings } from "../flags/values.ts";
import {
  type Connection,
  describeClose,
  isErrorClose,
  sessions,
  Trace,
} from "./connect.ts";
import { EXIT, type ExitCode } from "../errors.ts";
import type { Notes } from "../terminal/stderr.ts";
import { Output } from "../files/output.ts";
import type { Stop } from "../stop.ts";
import { count, number, shownUrl, time } from "../terminal/text.ts";

/** Connects, and measures round trips until the count, a limit or a signal ends it. */
export async function ping(
  settings: PingSettings,
  notes: Notes,
  stop: Stop,
): Promise<ExitCode> {
  const trace = settings.verbose ? new Trace(notes) : null;
  const connecting = new AbortController();
  const abort = () => connecting.abort();
  stop.signal.addEventListener("abort", abort);
  stop.requestAfter(settings.duration, EXIT.ended);
  const entries = sessions(
    { ...settings, reconnect: null },
    notes,
    trace,
    connecting.signal,
  );
  try {
    for await (const [connection, { status, statusText }] of entries) {
      // From here on it is closed as it should be.
      stop.signal.removeEventListener("abort", abort);
      trace?.answered();
      notes.say(
        `connected to ${shownUrl(connection.url)}: ${status} ${statusText}`,
      );
      return await measure(connection, settings, notes, stop);
    }
  } catch (error) {
    trace?.answered();
    // What ended the handshake is no failure of the server's.
    if (stop.code === null) throw error;
  }
  if (stop.code !== null && stop.code !== EXIT.ended) return stop.code;
  notes.error(`No connection within ${time(settings.duration)}`);
  return EXIT.unreachable;
}

/** Sends the pings of one connection, and decides on the exit code. */
async function measure(
  connection: Connection,
  { count, interval, timeout }: PingSettings,
  notes: Notes,
  stop: Stop,
): Promise<ExitCode> {
  using output = new Output(null);
  /** Aborts when nobody wants to know any more. */
  const enough = new AbortController();
  stop.signal.addEventListener("abort", () => enough.abort());
  /** Aborts when the connection is over. */
  const ended = new AbortController();
  const draining = drain(connection).then(() => ended.abort());

  let printed = Promise.resolve();
  const print = (text: string) => {
    const bytes = new TextEncoder().encode(text + "\n");
    printed = printed.then(() => output.write([bytes], bytes.length));
    // What went wrong is told at the end.
    printed.catch(() => enough.abort());
  };
  const times: number[] = [];
  let sent = 0;
  let lost = 0;
  const send = async (number: number) => {
    sent++;
    try {
      const options = { timeout: timeout / 1000, signal: enough.signal };
      const milliseconds = await connection.ping(options);
      times.push(milliseconds);
      print(`pong ${number}: ${shown(milliseconds)} ms`);
    } catch (error) {
      // Whether this one would have been answered nobody can tell.
      if (enough.signal.aborted) return;
      if (error instanceof ConnectionClosedError) ended.abort();
      lost++;
      print(
        (error as Error).name === "TimeoutError"
          ? `no pong ${number} within ${time(timeout)}`
          : `no pong ${number}: ${(error as Error).message}`,
      );
    }
  };

  const start = performance.now();
  const over = AbortSignal.any([enough.signal, ended.signal]);
  const pending = new Set<Promise<void>>();
  let due = start;
  for (let number = 1; number <= count && !over.aborted; number++) {
    try {
      await sleep(Math.max(0, due - performance.now()), over);
    } catch {
      break;
    }
    const answered = send(number);
    pending.add(answered);
    void answered.then(() => pending.delete(answered));
    due = Math.max(due + interval, performance.now());
  }
  await Promise.all(pending);
  const info = ended.signal.aborted && !enough.signal.aborted
    ? await connection.closed
    : null;
  if (info !== null) notes.error(describeClose(info));
  const elapsed = performance.now() - start;
  print(summary(connection.url, { sent, times, lost, elapsed }));
  await printed;
  enough.abort();
  await connection.close();
  await draining;
  if (info !== null && isErrorClose(info)) return EXIT.closed;
  if (lost > 0) return EXIT.lost;
  if (stop.code !== null && stop.code !== EXIT.ended) return stop.code;
  if (sent < count && count < Infinity) {
    notes.error(`${sent} of ${number(count)} pings were sent`);
    return EXIT.short;
  }
  return info === null ? EXIT.ended : EXIT.lost;
}

/** Takes the messages of the feed: what is left lying would hold back the pongs behind it. */
async function drain(connection: Connection): Promise<void> {
  for await (const _ of connection.batches(1));
}

/** What `ping` prints at its end. */
function summary(
  url: string,
  { sent, times, lost, elapsed }: {
    sent: number;
    times: number[];
    lost: number;
    elapsed: number;
  },
): string {
  const answered = times.length;
  const known = answered + lost;
  const share = known === 0 ? 0 : lost / known * 100;
  const waiting = sent - known;
  const lines = [
    "",
    `--- ${shownUrl(url)} ---`,
    `${count(sent, "ping")} sent, ${count(answered, "pong")} received, ` +
    `${number(share)}% lost, ${time(elapsed)}` +
    (waiting > 0 ? `, ${number(waiting)} still under way` : ""),
  ];
  if (times.length > 0) {
    times.sort((a, b) => a - b);
    const middle = (times.length - 1) / 2;
    const median = (times[Math.floor(middle)]! + times[Math.ceil(middle)]!) / 2;
    lines.push(
      `round trip min/median/max = ${
        [times[0]!, median, times.at(-1)!].map(shown).join("/")
      } ms`,
    );
  }
  return lines.join("\n");
}

/** Milliseconds, with more digits for the short ones. */
function shown(milliseconds: number): string {
  return milliseconds.toFixed(milliseconds < 1 ? 3 : milliseconds < 10 ? 2 : 1);
}
