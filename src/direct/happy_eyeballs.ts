/**
 * Tries several addresses as RFC 8305 ("Happy Eyeballs") says, so that one that does
 * not answer costs a fraction of a second. For versions of Deno that do not do it by
 * themselves.
 *
 * @module
 */

import { sleep } from "../timers.ts";

/** How long an attempt has before the next one is started beside it, in milliseconds (RFC 8305 section 8). */
const ATTEMPT_DELAY = 250;

/** Connects to one address. Ends when the signal aborts. */
export type ConnectAttempt<T> = (signal: AbortSignal) => Promise<T>;

/**
 * Starts attempts one after the other, each when the one before it has failed or has
 * taken 250 ms, until one of them succeeds. The others are then ended, and what they
 * open too late is closed.
 *
 * @param attempts The attempts, in order. A slow iterator delays only the next one.
 * @param close Closes what an attempt has opened too late.
 * @returns What the first successful attempt has opened.
 * @throws The error of the first attempt, if all fail.
 * @throws The signal's reason, if it aborts before that.
 */
export function connectFirst<T>(
  attempts: AsyncIterable<ConnectAttempt<T>>,
  close: (opened: T) => void,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = new AbortController();
    const settle = (report: () => void) => {
      if (stop.signal.aborted) return;
      signal.removeEventListener("abort", onAbort);
      stop.abort(signal.reason);
      report();
    };
    const onAbort = () => settle(() => reject(signal.reason));
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort);
    const errors: unknown[] = [];
    const run = async (attempt: ConnectAttempt<T>, number: number) => {
      try {
        const opened = await attempt(stop.signal);
        if (stop.signal.aborted) close(opened);
        else settle(() => resolve(opened));
      } catch (error) {
        errors[number] = error;
      }
    };
    const start = async () => {
      const running: Promise<void>[] = [];
      for await (const attempt of attempts) {
        if (stop.signal.aborted) return;
        const attempted = run(attempt, running.length);
        running.push(attempted);
        await Promise.race([attempted, wait(stop.signal)]);
        if (stop.signal.aborted) return; // the next one may need a name resolved
      }
      await Promise.all(running);
      settle(() => reject(errors[0]));
    };
    start().catch((error) => settle(() => reject(error)));
  });
}

/** Waits until the next attempt is due. */
async function wait(signal: AbortSignal): Promise<void> {
  try {
    await sleep(ATTEMPT_DELAY, signal);
  } catch {
    // One of them has succeeded.
  }
}

/** Sorts addresses so that those of IPv4 and IPv6 alternate, and otherwise keep their order (RFC 8305 section 4). */
export function interleave(addresses: readonly string[]): string[] {
  const isV6 = (address: string) => address.includes(":");
  const [first] = addresses;
  if (first === undefined) return [];
  const same = addresses.filter((it) => isV6(it) === isV6(first));
  const other = addresses.filter((it) => isV6(it) !== isV6(first));
  return same.flatMap((it, i) => i < other.length ? [it, other[i]!] : [it])
    .concat(other.slice(same.length));
}
