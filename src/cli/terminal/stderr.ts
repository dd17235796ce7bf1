import type { Screen } from "./conversation.ts";
import { count, number, size, time } from "./text.ts";

const ENCODER = new TextEncoder();
const CLEAR_LINE = "\r\x1b[K";

/** Writes to standard error, with a status line below everything else if there is one. */
export class Notes {
  readonly isTerminal: boolean;
  /** Whether colours are wanted there. */
  readonly colors: boolean;
  /** Whether nothing but errors is written. */
  readonly quiet: boolean;
  /** Where the terminal is shared with a line that is being typed; `null` if it is not. */
  screen: Screen | null = null;
  #line = "";

  constructor(quiet: boolean) {
    this.quiet = quiet;
    this.isTerminal = Deno.stderr.isTerminal();
    this.colors = this.isTerminal && !Deno.noColor;
  }

  /** Writes text as it is. */
  write(text: string): void {
    this.#put((this.#line === "" ? "" : CLEAR_LINE) + text + this.#line);
  }

  /** Writes a line that tells what happens. */
  say(text: string): void {
    if (!this.quiet) this.write(`wstap: ${text}\n`);
  }

  /** Writes a line that tells what went wrong. */
  error(text: string): void {
    const label = this.colors ? "\x1b[31;1mwstap:\x1b[0m" : "wstap:";
    this.write(`${label} ${text}\n`);
  }

  /** Sets the line that stays below everything else; an empty one takes it away. */
  setLine(text: string): void {
    // A line that wraps could not be taken away again.
    const line = text.slice(0, columns() - 1);
    if (line === this.#line) return;
    this.#line = line;
    this.#put(CLEAR_LINE + line);
  }

  #put(text: string): void {
    const bytes = ENCODER.encode(text);
    if (this.screen !== null && this.isTerminal) {
      this.screen.print(bytes).catch(() => {}); // as below
      return;
    }
    try {
      for (let start = 0; start < bytes.length;) {
        start += Deno.stderr.writeSync(bytes.subarray(start));
      }
    } catch {
      // Nobody reads it: no reason to stop receiving.
    }
  }
}

function columns(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}

/** Counts what a tap has received. */
export class Totals {
  messages = 0;
  bytes = 0;
  connections = 0;
  dropped = 0;
  readonly #start = performance.now();

  /** Milliseconds since the start. */
  get elapsed(): number {
    return performance.now() - this.#start;
  }

  /** Counts messages that were written. */
  add(messages: number, bytes: number): void {
    this.messages += messages;
    this.bytes += bytes;
  }

  /** The totals in one line. */
  toString(): string {
    const seconds = this.elapsed / 1000;
    const rate = seconds > 0 ? this.messages / seconds : 0;
    return [
      count(this.messages, "message"),
      size(this.bytes),
      `in ${time(this.elapsed)}`,
      `${number(rate)} messages/s`,
      this.connections > 1 && count(this.connections, "connection"),
      this.dropped > 0 && `${number(this.dropped)} dropped`,
    ].filter((part) => part !== false).join(", ");
  }
}

/** How often the line is written anew, in milliseconds. */
const INTERVAL = 500;

/** What a {@linkcode StatusLine} tells of. */
export interface Progress {
  readonly totals: Totals;
  /** How many messages are to come; `Infinity` if the run does not end with one. */
  readonly count: number;
  /** How long the run may take in milliseconds; `Infinity` for no limit. */
  readonly duration: number;
  /** Returns how many messages wait to be written. */
  buffered(): number;
}

/** A line with the totals, the rate, and how far the run is, rewritten in place until it is disposed. */
export class StatusLine implements Disposable {
  readonly #notes: Notes;
  readonly #progress: Progress;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isOver = false;
  #last = { messages: 0, elapsed: 0 };

  constructor(notes: Notes, progress: Progress) {
    this.#notes = notes;
    this.#progress = progress;
  }

  /** Shows the line from now on, unless it has been disposed. */
  start(): void {
    if (this.#isOver) return;
    this.#show();
    this.#timer = setInterval(() => {
      // In Deno 2.5, a timer that is due runs although it has been cancelled.
      if (!this.#isOver) this.#show();
    }, INTERVAL);
  }

  #show(): void {
    const { totals, count, duration, buffered } = this.#progress;
    const { messages, bytes, elapsed } = totals;
    const seconds = (elapsed - this.#last.elapsed) / 1000;
    const rate = seconds > 0 ? (messages - this.#last.messages) / seconds : 0;
    this.#last = { messages, elapsed };
    const of = count === Infinity ? "" : ` of ${number(count)}`;
    this.#notes.setLine([
      `${number(messages)}${of} messages`,
      size(bytes),
      `${number(Math.round(rate))}/s`,
      `${number(buffered())} buffered`,
      duration === Infinity
        ? time(elapsed)
        : `${time(Math.max(0, duration - elapsed))} left`,
    ].join("  "));
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#notes.setLine("");
  }
}
