import {
  describeFinish,
  type ReplayServer,
  startReplay,
} from "../../internal.ts";
import { EXIT, type ExitCode, systemError } from "../errors.ts";
import { isStdoutFile, print } from "../files/output.ts";
import type { ReplaySettings } from "../flags/values.ts";
import type { Stop } from "../stop.ts";
import type { Notes } from "../terminal/stderr.ts";
import { count, number, time, visible } from "../terminal/text.ts";

/** Serves a recording to every client that connects, until a signal. */
export async function replay(
  { path, options }: ReplaySettings,
  notes: Notes,
  stop: Stop,
): Promise<ExitCode> {
  const onEvent = ({ message }: { message: string }) => {
    if (!stop.signal.aborted) notes.say(message);
  };
  const { signal } = stop;
  await using feed = await startReplay(path, { ...options, signal, onEvent })
    .catch((error) => {
      if (signal.aborted) return null; // the reading of a large file has been interrupted
      throw systemError(error);
    });
  if (feed === null) return stop.code ?? EXIT.ended;
  for (const line of describe(feed, options)) notes.say(line);
  await print(`${feed.url}\n`);
  using _status = notes.isTerminal && !notes.quiet && await isOwnTerminal()
    ? new ProgressLine(notes, feed, options)
    : null;
  await stop.aborted();
  return stop.code ?? EXIT.ended;
}

/** Whether nobody else writes to the terminal, as a program at the other end of a pipe may. */
async function isOwnTerminal(): Promise<boolean> {
  return Deno.stdout.isTerminal() || await isStdoutFile();
}

/** Says what is played, and how it ends. */
function describe(
  { summary, finish }: ReplayServer,
  { speed = 1, loop, fault, clientMessages }: ReplaySettings["options"],
): string[] {
  const { messages, sent, duration, url, breaksOff } = summary;
  const length = speed === Infinity ? "" : ` in ${time(duration / speed)}`;
  const source = url === null ? "" : `, recorded from ${visible(url)}`;
  const lines = [`replaying ${count(messages, "message")}${length}${source}`];
  if (clientMessages === "any" || clientMessages === "exact") {
    lines.push(
      sent === 0
        ? "it waits for no message: the recording has none of a client"
        : `it waits for ${count(sent, "message")} of each client`,
    );
  }
  const end = fault !== undefined
    ? `after ${count(fault.after, "message")} ${describeFinish(finish)}`
    : `at the end ${loop ? "it starts again" : describeFinish(finish)}`;
  lines.push(end);
  if (breaksOff) {
    lines.push(
      "it breaks off: what recorded it has not ended well, or goes on",
    );
  }
  return lines;
}

/** How often the line is written anew, in milliseconds. */
const INTERVAL = 500;

/** How many clients the line names. */
const MAX_CLIENTS = 4;

/** A line that says how far each client is, rewritten in place until it is disposed. */
class ProgressLine implements Disposable {
  readonly #notes: Notes;
  readonly #timer: ReturnType<typeof setInterval>;
  #isOver = false;

  constructor(
    notes: Notes,
    feed: ReplayServer,
    { loop, fault }: ReplaySettings["options"],
  ) {
    this.#notes = notes;
    const all = loop && fault === undefined ? null : Math.min(
      fault?.after ?? Infinity,
      loop ? Infinity : feed.summary.messages,
    );
    const show = () => notes.setLine(progressText(feed.progress, all));
    this.#timer = setInterval(() => {
      // In Deno 2.5, a timer that is due runs although it has been cancelled.
      if (!this.#isOver) show();
    }, INTERVAL);
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#notes.setLine("");
  }
}

/** As in `client 1: 20 of 5,000  client 3: 7 of 5,000`; `all` is `null` if there is no end. */
export function progressText(
  clients: ReplayServer["progress"],
  all: number | null,
): string {
  const of = all === null ? " messages" : ` of ${number(all)}`;
  const shown = clients.slice(0, MAX_CLIENTS).map(({ client, messages }) =>
    `client ${client}: ${number(messages)}${of}`
  );
  const rest = clients.length - shown.length;
  if (rest > 0) shown.push(`${number(rest)} more`);
  return shown.join("  ");
}
