import type { Notes } from "./notes.ts";
import { number, size, time, type Totals } from "./totals.ts";

/** How often the line is written anew, in milliseconds. */
const INTERVAL = 500;

/** A line that tells how the feed goes, rewritten in place until it is disposed. */
export class StatusLine implements Disposable {
  readonly #notes: Notes;
  readonly #timer: ReturnType<typeof setInterval>;
  #last = { messages: 0, elapsed: 0 };

  /**
   * @param buffered How many messages wait to be written.
   */
  constructor(notes: Notes, totals: Totals, buffered: () => number) {
    this.#notes = notes;
    const show = () => this.#show(totals, buffered());
    show();
    this.#timer = setInterval(show, INTERVAL);
  }

  #show(totals: Totals, buffered: number): void {
    const { messages, bytes, elapsed } = totals;
    const seconds = (elapsed - this.#last.elapsed) / 1000;
    const rate = seconds > 0 ? (messages - this.#last.messages) / seconds : 0;
    this.#last = { messages, elapsed };
    this.#notes.setLine([
      `${number(messages)} messages`,
      size(bytes),
      `${number(Math.round(rate))}/s`,
      `${number(buffered)} buffered`,
      time(elapsed),
    ].join("  "));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#notes.setLine("");
  }
}
