/**
 * Gives the event loop its turns.
 *
 * Promise jobs run before everything else: a loop over calls that need not wait, or
 * over reads that find bytes already there, keeps every timer and all other I/O from
 * running for as long as it goes on.
 *
 * @module
 */

/** How long calls may settle, or reads go on, without a turn of the event loop, in milliseconds. */
const MAX_TIME = 10;

/** How many calls settle between two looks at the clock, which takes as long as one or two of them. */
const CALLS_PER_LOOK = 32;

/** How many small reads, whose time is not measured, may follow each other without a turn. */
const READS_PER_TURN = 512;

/** Calls a function in the next turn of the event loop. */
export type NextTurn = (callback: () => void) => void;

/**
 * Decides when calls that need not wait, of receiving and of sending, and reads must wait for a turn of the event
 * loop. Time decides, not a number of calls: at a million messages a second, a call
 * that is held back for no reason loses a thousand messages.
 */
export class Gate {
  #isShut = false;
  /** What to call when calls may proceed again. */
  #held: (() => void)[] | null = null;
  /** The calls that have settled since the last one that waited. */
  #calls = 0;
  /** The time of `performance.now()` from which calls have settled without a wait; 0 before it is known. */
  #since = 0;
  /** The small reads since the last turn. */
  #reads = 0;
  /** How long the other reads since the last turn took, with what was done before the next, in milliseconds. */
  #readTime = 0;
  readonly #nextTurn: NextTurn;

  constructor(nextTurn: NextTurn = nextTurnOfTheEventLoop) {
    this.#nextTurn = nextTurn;
  }

  /** Counts a call, and returns whether it may proceed. If not, it must wait as `hold()` says. */
  pass(): boolean {
    if (this.#isShut) return false;
    if (++this.#calls % CALLS_PER_LOOK !== 0) return true;
    const now = performance.now();
    if (this.#since === 0) this.#since = now;
    if (now - this.#since < MAX_TIME) return true;
    this.#isShut = true;
    this.#nextTurn(() => this.open());
    return false;
  }

  /** Calls a function once calls may proceed, after `pass()` returned `false`: in the next turn of the event loop, or at `open()`. */
  hold(goOn: () => void): void {
    (this.#held ??= []).push(goOn);
  }

  /** Starts to count anew, because a call waits for a message: whoever brings it decides how long that takes. */
  reset(): void {
    this.#calls = this.#since = 0;
  }

  /** Lets calls proceed again. */
  open(): void {
    this.#isShut = false;
    this.reset();
    const held = this.#held;
    if (held === null) return;
    this.#held = null;
    for (const goOn of held) goOn();
  }

  /**
   * Counts a read.
   *
   * @param arrivedAt The time of `performance.now()` at which the bytes were there, or
   * 0 for a small read, which is only counted.
   * @returns A promise that resolves in the next turn of the event loop, if it is time
   * for one, otherwise `null`.
   */
  read(arrivedAt: number): Promise<void> | null {
    if (arrivedAt !== 0) this.#readTime += performance.now() - arrivedAt;
    if (++this.#reads < READS_PER_TURN && this.#readTime < MAX_TIME) {
      return null;
    }
    this.#reads = this.#readTime = 0;
    return new Promise(this.#nextTurn);
  }
}

/**
 * Calls a function in the next turn of the event loop. `node:timers` is loaded only
 * when it is needed, because it takes as long as loading all of this module.
 */
export async function nextTurnOfTheEventLoop(
  callback: () => void,
): Promise<void> {
  const { setImmediate } = await import("node:timers");
  setImmediate(callback);
}

// The real ones, also in a test that replaces the global ones afterwards.
const { setTimeout, clearTimeout } = globalThis;

/** How often Deno must look for what has arrived before everything has been read: TLS and Deno's WebSocket hand on what they have read. */
const PASSES = 3;

/**
 * Calls a function when what had arrived has been read, for a timer that has fired.
 * Timers run before reads that are due, so a timer alone cannot tell a silent peer from
 * a process that was blocked or stopped.
 *
 * Turns of `setImmediate()` alone are not enough: dozens of them pass before Deno looks
 * for what has arrived. Between two timers it does.
 *
 * @returns A function that cancels the call.
 */
export function whenArrivedIsRead(callback: () => void): () => void {
  let left = PASSES;
  let timer: ReturnType<typeof setTimeout> | null = null;
  const pass = () => {
    timer = setTimeout(() =>
      nextTurnOfTheEventLoop(() => {
        if (timer === null) return;
        if (--left > 0) pass();
        else callback();
      }), 0);
  };
  pass();
  return () => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
  };
}
