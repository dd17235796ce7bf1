/** The reason with which the signal of a generator that has ended aborts. */
const ENDED = "ended";

/**
 * An async generator that `return()` and `throw()` end at once, whatever it waits
 * for. Those of an `async function*` wait first for what its body awaits, and
 * leave a pending `next()` waiting for as long.
 */
export class StoppableGenerator<T>
  implements AsyncGenerator<T, void, undefined> {
  readonly #stop = new AbortController();
  readonly #steps: AsyncGenerator<T, void, undefined>;
  /** Resolves the calls of `next()` that wait. */
  readonly #waiting = new Set<(result: IteratorResult<T, void>) => void>();

  /**
   * @param run Returns the generator that does the work. It must give up what it
   * awaits when the signal aborts, which it does when the generator ends: the
   * calls that wait have been settled by then, so nobody sees what it throws.
   */
  constructor(
    run: (signal: AbortSignal) => AsyncGenerator<T, void, undefined>,
  ) {
    this.#steps = run(this.#stop.signal);
  }

  next(): Promise<IteratorResult<T, void>> {
    return new Promise((resolve, reject) => {
      if (this.#stop.signal.aborted) return resolve(DONE);
      this.#waiting.add(resolve);
      this.#steps.next().then((result) => {
        this.#waiting.delete(resolve);
        if (result.done) this.#end();
        resolve(result);
      }, (error) => {
        this.#waiting.delete(resolve);
        reject(error);
        this.#end();
      });
    });
  }

  /** Ends the generator. Resolves when all that it held is released. */
  async return(value?: void | PromiseLike<void>): Promise<
    IteratorResult<T, void>
  > {
    this.#end();
    await this.#steps.return();
    return { done: true, value: await value };
  }

  /** Ends the generator, and rejects with the error when all that it held is released. */
  async throw(error: unknown): Promise<IteratorResult<T, void>> {
    await this.return();
    throw error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #end(): void {
    for (const resolve of this.#waiting) resolve(DONE);
    this.#waiting.clear();
    this.#stop.abort(ENDED);
  }
}

const DONE: IteratorReturnResult<void> = { done: true, value: undefined };

/**
 * Returns a signal that aborts with the first of two, of which `end` aborts at some
 * time. `AbortSignal.any()` would do, but Deno 2.5 collects its signal as garbage
 * although it has listeners.
 */
export function whicheverAborts(
  signal: AbortSignal,
  end: AbortSignal,
): AbortSignal {
  const either = new AbortController();
  const abort = () => {
    signal.removeEventListener("abort", abort);
    either.abort((signal.aborted ? signal : end).reason);
  };
  if (signal.aborted) abort();
  else {
    signal.addEventListener("abort", abort);
    end.addEventListener("abort", abort, { once: true });
  }
  return either.signal;
}
