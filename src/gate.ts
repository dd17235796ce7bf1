/**
 * How many calls in a row may settle without waiting. Promise jobs run before
 * everything else, so a loop over such calls would starve every timer and the
 * socket itself.
 */
const MAX_SETTLED_IN_A_ROW = 1024;

/** Calls back in the next turn of the event loop. */
export type NextTurn = (callback: () => void) => void;

/**
 * Decides when a call may go on: after many calls that did not have to wait, the
 * next ones are held until the event loop has gone round. Calls that are held go
 * on in the order in which they came.
 */
export class Gate {
  #settledInARow = 0;
  #isShut = false;
  #held: (() => void)[] = [];
  readonly #nextTurn: NextTurn;

  constructor(nextTurn: NextTurn = nextTurnOfTheEventLoop) {
    this.#nextTurn = nextTurn;
  }

  /** Counts a call; `false` if it must be held. */
  pass(): boolean {
    if (this.#isShut) return false;
    if (++this.#settledInARow < MAX_SETTLED_IN_A_ROW) return true;
    this.#isShut = true;
    this.#nextTurn(() => this.#open());
    return false;
  }

  /** Holds a call for which `pass()` was `false`; `goOn` is called later. */
  hold(goOn: () => void): void {
    this.#held.push(goOn);
  }

  /** Takes note that a call waits for the event loop by itself. */
  waits(): void {
    this.#settledInARow = 0;
  }

  #open(): void {
    this.#isShut = false;
    this.#settledInARow = 0;
    for (const goOn of this.#held.splice(0)) goOn();
  }
}

/**
 * Calls back in the next turn of the event loop. What it takes is loaded only
 * here: that costs as much as to load all of this module.
 */
export async function nextTurnOfTheEventLoop(
  callback: () => void,
): Promise<void> {
  const { setImmediate } = await import("node:timers");
  setImmediate(callback);
}
