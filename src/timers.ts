/**
 * Timers of any length.
 *
 * @module
 */

/** The longest delay of one timer, in milliseconds. A timer with a longer one fires at once. */
const MAX_DELAY = 2 ** 31 - 1;

/**
 * Calls `callback` once after `delay` milliseconds, which may be longer than one
 * timer can wait. A time that is over, which is negative, counts as 0.
 *
 * @returns A function that cancels the call.
 */
export function after(delay: number, callback: () => void): () => void {
  let cancel: () => void;
  if (delay > MAX_DELAY) {
    const timer = setTimeout(() => {
      cancel = after(delay - MAX_DELAY, callback);
    }, MAX_DELAY);
    cancel = () => clearTimeout(timer);
    return () => cancel();
  }
  // In Deno 2.5, what was due at the same time and cancels a timer comes too late.
  let isCancelled = false;
  // Deno writes a warning to standard error if the delay is negative.
  const timer = setTimeout(() => {
    if (!isCancelled) callback();
  }, Math.max(0, delay));
  return () => {
    isCancelled = true;
    clearTimeout(timer);
  };
}

/** Waits for `delay` milliseconds. Rejects with the signal's reason if the signal aborts before that. */
export function sleep(delay: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const stop = () => {
      cancel();
      reject(signal.reason);
    };
    const cancel = after(delay, () => {
      signal.removeEventListener("abort", stop);
      resolve();
    });
    signal.addEventListener("abort", stop, { once: true });
  });
}
