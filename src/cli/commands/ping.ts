import { ConnectionClosedError } from "../../../mod.ts";
import { sleep } from "../../timers.ts";
import type { PingSettings } from "../flags/values.ts";
import { type Connection, describeClose, sessions, Trace } from "./connect.ts";
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
      stop.requestAfter(settings.duration, EXIT.ended);
      const isWhole = await measure(connection, settings, notes, stop);
      return isWhole ? stop.code ?? EXIT.ended : EXIT.lost;
    }
  } catch (error) {
    trace?.answered();
    // A signal that ended the handshake is no failure of the server's.
    if (stop.code === null) throw error;
  }
  return stop.code ?? EXIT.lost;
}

/** Sends the pings of one connection; true if all of them were answered. */
async function measure(
  connection: Connection,
  { count, interval, timeout }: PingSettings,
  notes: Notes,
  stop: Stop,
): Promise<boolean> {
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
    printed = printed.then(() => output.write(bytes));
    // What went wrong is told at the end.
    printed.catch(() => enough.abort());
  };
  const times: number[] = [];
  let lost = 0;
  const send = async (number: number) => {
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
    const sent = send(number);
    pending.add(sent);
    void sent.then(() => pending.delete(sent));
    due = Math.max(due + interval, performance.now());
  }
  await Promise.all(pending);
  const isWhole = lost === 0 && !ended.signal.aborted;
  if (ended.signal.aborted && !enough.signal.aborted) {
    notes.error(describeClose(await connection.closed));
  }
  print(summary(connection.url, times, lost, performance.now() - start));
  await printed;
  enough.abort();
  await connection.close();
  await draining;
  return isWhole;
}

/** Takes the messages of the feed: what is left lying would hold back the pongs behind it. */
async function drain(connection: Connection): Promise<void> {
  for await (const _ of connection.batches(1));
}

/** What `ping` prints at its end. */
function summary(
  url: string,
  times: number[],
  lost: number,
  elapsed: number,
): string {
  const sent = times.length + lost;
  const share = sent === 0 ? 0 : lost / sent * 100;
  const lines = [
    "",
    `--- ${shownUrl(url)} ---`,
    `${count(sent, "ping")} sent, ${count(times.length, "pong")} received, ` +
    `${number(share)}% lost, ${time(elapsed)}`,
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
