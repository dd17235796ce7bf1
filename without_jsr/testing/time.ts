import { type Clock, withGlobal } from "npm:@sinonjs/fake-timers@15.5.0";

// What @std fakes and nothing else. It is replaced here rather than by the
// library's install(), which reaches into node:timers as well.
const real = {
  Date,
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
};
const realAbortTimeout = AbortSignal.timeout;

const clocks = withGlobal({
  ...real,
  // As in @std a timer is a number, while Deno's own may be an object.
  setTimeout: () => 0,
  clearTimeout: () => {},
});

let current: FakeTime | undefined;

/** A clock that stands still: time passes when a test says so. */
export class FakeTime {
  #clock: Clock;

  constructor(start?: number | string | Date | null) {
    if (current) throw new Error("Time is already faked");
    this.#clock = clocks.createClock(new Date(start ?? Date.now()));
    const { Date: FakeDate, setTimeout, clearTimeout } = this.#clock;
    const { setInterval, clearInterval } = this.#clock;
    Object.assign(globalThis, {
      Date: FakeDate,
      setTimeout,
      clearTimeout,
      setInterval,
      clearInterval,
    });
    AbortSignal.timeout = abortAfter;
    current = this;
  }

  /** The fake time, in milliseconds since the epoch. */
  get now(): number {
    return this.#clock.now;
  }

  set now(value: number) {
    if (value < this.now) throw new RangeError("Time does not run backwards");
    this.#clock.tick(value - this.now);
  }

  /** Lets `ms` milliseconds pass and runs the timers that fall due. */
  tick(ms = 0): void {
    this.now += ms;
  }

  /** Runs the pending microtasks, then {@linkcode tick}. */
  async tickAsync(ms = 0): Promise<void> {
    await this.runMicrotasks();
    this.tick(ms);
  }

  /** Goes to the next timer and runs all that are due then; whether there was one. */
  next(): boolean {
    if (this.#clock.countTimers() === 0) return false;
    this.#clock.next();
    this.#clock.tick(0);
    return true;
  }

  /** Runs the pending microtasks, then {@linkcode next}. */
  async nextAsync(): Promise<boolean> {
    await this.runMicrotasks();
    return this.next();
  }

  /** Runs the pending microtasks: a turn of the real event loop. */
  async runMicrotasks(): Promise<void> {
    const { setTimeout } = real; // which refuses to be called as a method
    await new Promise((resolve) => setTimeout(resolve, 0));
  }

  /** Gives the real time back. */
  restore(): void {
    if (current !== this) throw new Error("Time is already restored");
    Object.assign(globalThis, real);
    AbortSignal.timeout = realAbortTimeout;
    current = undefined;
  }

  [Symbol.dispose](): void {
    this.restore();
  }
}

function abortAfter(ms: number): AbortSignal {
  const controller = new AbortController();
  const reason = new DOMException("Signal timed out.", "TimeoutError");
  setTimeout(() => controller.abort(reason), ms);
  return controller.signal;
}
