import { after } from "../../internal.ts";

/**
 * Watches for a silence: a time without a message. It counts only between `start()`
 * and `stop()`, and from the last message.
 */
export class Silence implements Disposable {
  readonly #limit: number;
  readonly #onSilence: () => void;
  /** When the silence began, in milliseconds of `performance.now()`. */
  #since = 0;
  #cancel: (() => void) | null = null;

  /** @param limit Milliseconds; `Infinity` for no limit. */
  constructor(limit: number, onSilence: () => void) {
    this.#limit = limit;
    this.#onSilence = onSilence;
  }

  /** Starts to count, from now. */
  start(): void {
    if (this.#limit === Infinity) return;
    this.stop();
    this.#since = performance.now();
    this.#wait(this.#limit);
  }

  /** Counts from now again, if it counts. */
  restart(): void {
    this.#since = performance.now();
  }

  /** Stops to count. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  #wait(milliseconds: number): void {
    this.#cancel = after(milliseconds, () => {
      // Timers run before reads that are due: what has arrived comes first.
      this.#cancel = after(0, () => {
        const left = this.#since + this.#limit - performance.now();
        if (left > 0) this.#wait(left);
        else this.#onSilence();
      });
    });
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}
