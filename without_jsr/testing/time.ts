import { type Clock, withGlobal } from "npm:@sinonjs/fake-timers@15.5.0";

// The globals that @std fakes. They are not replaced with install() of the
// library, because that would also replace node:timers.
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
  // Makes the library use numbers as timers, as @std does; Deno's may be objects.
  setTimeout: () => 0,
  clearTimeout: () => {},
});

let current: FakeTime | undefined;

/** Fakes the time: the clock stands still until a test lets time pass. */
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

  /** Lets `ms` milliseconds pass, and runs the timers that are due by then. */
  tick(ms = 0): void {
    this.now += ms;
  }

  /** Runs the pending microtasks, then {@linkcode tick}. */
  async tickAsync(ms = 0): Promise<void> {
    await this.runMicrotasks();
    this.tick(ms);
  }

  /** Lets time pass until the next timer, and runs all timers that are due then. Returns whether there was one. */
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

  /** Runs the pending microtasks, by giving the real event loop a turn. */
  async runMicrotasks(): Promise<void> {
    const { setTimeout } = real; // setTimeout must not be called as a method
    await new Promise((resolve) => setTimeout(resolve, 0));
  }

  /** Restores the real time. */
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
