/**
 * Calls a function, and waits for what it returns.
 *
 * @throws The signal's reason, if the signal aborts before that. What the function
 * then still does is ignored.
 */
export function unlessAborted<T>(
  signal: AbortSignal,
  call: () => T | PromiseLike<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop);
    const settle = async () => {
      try {
        resolve(await call());
      } catch (error) {
        reject(error);
      } finally {
        signal.removeEventListener("abort", stop);
      }
    };
    settle();
  });
}
