/**
 * How many calls in a row may settle without waiting for the event loop. Promise
 * jobs run before everything else, so a loop over such calls would keep every
 * timer and the socket itself from running.
 */
const MAX_SETTLED_IN_A_ROW = 1024;

/** Calls a function in the next turn of the event loop. */
export type NextTurn = (callback: () => void) => void;

/**
 * Gives the event loop a turn now and then. After many calls in a row that did
 * not have to wait, the next calls are held until the event loop has had a turn.
 * They then proceed in the order in which they were made.
 */
export class Gate {
  #settledInARow = 0;
  #isShut = false;
  #held: (() => void)[] = [];
  readonly #nextTurn: NextTurn;

  constructor(nextTurn: NextTurn = nextTurnOfTheEventLoop) {
    this.#nextTurn = nextTurn;
  }

  /** Counts a call, and returns whether it may proceed. If not, pass it to `hold()`. */
  pass(): boolean {
    if (this.#isShut) return false;
    if (++this.#settledInARow < MAX_SETTLED_IN_A_ROW) return true;
    this.#isShut = true;
    this.#nextTurn(() => this.#open());
    return false;
  }

  /** Holds a call for which `pass()` returned `false`. `goOn` is called in the next turn of the event loop. */
  hold(goOn: () => void): void {
    this.#held.push(goOn);
  }

  /** Resets the count, because a call waits for a message, which gives the event loop a turn. */
  reset(): void {
    this.#settledInARow = 0;
  }

  #open(): void {
    this.#isShut = false;
    this.#settledInARow = 0;
    for (const goOn of this.#held.splice(0)) goOn();
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
