import { after } from "./timers.ts";
import { Gate } from "./gate.ts";
import { Queue } from "./queue.ts";

/** The most messages, and the most bytes in all of them, that may be queued. */
export interface Limit {
  messages: number;
  bytes: number;
}

/** Options of {@linkcode Inbox}. */
export interface InboxOptions {
  /** The size of the queue beyond which `overflow` applies. */
  limit: Limit;
  /**
   * What to do when a message passes the limit: `"error"` calls `onOverflow` and
   * does not queue the message, `"drop-oldest"` discards messages from the
   * front, and `"pause"` queues the message, calls `onPause`, and calls
   * `onResume` when a quarter of the limit or less is queued.
   */
  overflow: "error" | "drop-oldest" | "pause";
  /** Called once, with `"error"`, when the limit is passed. It must end the inbox. */
  onOverflow?: () => void;
  /** Called, with `"pause"`, when the source should stop pushing messages. */
  onPause?: () => void;
  /** Called, with `"pause"`, when the source may push messages again. */
  onResume?: () => void;
  /** Decides when a call may proceed. By default each inbox has its own gate. */
  gate?: Pick<Gate, "pass" | "hold" | "reset">;
}

/** A queued error, which one call gets when its turn comes. */
class Failure {
  constructor(readonly error: Error, readonly size: number) {}
}

/**
 * A waiting call. `max` is 0 if the call takes one message, otherwise the
 * largest number of messages in its batch.
 *
 * The waiter itself is the listener of its signal. A closure as the listener
 * would form a reference cycle with the waiter, and V8 would then keep every
 * batch alive until its next full garbage collection.
 */
class Waiter<T extends string | Uint8Array> implements EventListenerObject {
  /** Whether the call has been settled. */
  settled = false;
  /** Whether the call is in the list of waiting calls. */
  queued = false;
  /** Whether the call's time is over. A batch then takes what is queued when its turn comes. */
  expired = false;
  /** The time of `performance.now()` at which the call's time is over. */
  deadline = Infinity;
  /** Cancels the timer. */
  cancel: (() => void) | null = null;
  signal: AbortSignal | null = null;
  previous: Waiter<T> | null = null;
  next: Waiter<T> | null = null;

  constructor(
    readonly max: number,
    readonly resolve: (value: T | T[] | null) => void,
    readonly reject: (reason: unknown) => void,
    readonly inbox: Inbox<T>,
  ) {}

  /** Called when the signal aborts. */
  handleEvent(): void {
    this.inbox.abort(this);
  }

  /** Marks the call as settled, and removes its timer and its listener. */
  release(): void {
    this.settled = true;
    if (this.cancel !== null) this.cancel();
    if (this.signal !== null) this.signal.removeEventListener("abort", this);
  }
}

/** How a stream ended: `null` for a clean end, otherwise the error with which `take()` rejects. */
export type Outcome = { readonly error: unknown } | null;

/** Options of {@linkcode Inbox.take}. */
export interface WaitOptions {
  /** How long to wait, in milliseconds. No limit if `undefined`. */
  timeout?: number;
  signal?: AbortSignal;
}

/** How long `waitForConsumer()` waits at most, in milliseconds. */
const MAX_CONSUMER_WAIT = 5;

/** How many messages a batch collects between two looks at the clock. */
const MESSAGES_PER_CLOCK_CHECK = 256;

/** The size of a queued item in bytes, as `maxBuffer.bytes` counts it. */
function sizeOf(item: unknown): number {
  return typeof item === "string"
    ? item.length
    : item instanceof Uint8Array
    ? item.byteLength
    : (item as Failure).size;
}

/**
 * A bounded first-in first-out queue between a source that pushes messages and
 * calls that take them, one at a time or in batches. It does no I/O and does not
 * know sockets. Calls are served in the order in which they were made. The cost
 * of a message does not depend on the length of the queue.
 *
 * While a batch is the first of the waiting calls, the messages that it collects
 * stay in the queue until it resolves. A batch that is aborted therefore has
 * nothing to put back.
 */
export class Inbox<T extends string | Uint8Array> {
  /** The queued messages and errors, in order of arrival. */
  readonly #items = new Queue<T | Failure>();
  /** The size of all queued items in bytes. */
  #bytes = 0;
  /** How many items have been taken since the inbox was created. */
  #taken = 0;
  /** The value of `#taken` at the last call of `waitForConsumer()`. */
  #takenAtLastWait = 0;
  /** Ends the wait of `waitForConsumer()`. */
  #endConsumerWait: (() => void) | null = null;
  /** For each queued error, how many items came before it since the inbox was created. */
  readonly #failures = new Queue<number>();
  #dropped = 0;

  /** The waiting calls, a doubly linked list. */
  #first: Waiter<T> | null = null;
  #last: Waiter<T> | null = null;
  readonly #gate: Pick<Gate, "pass" | "hold" | "reset">;

  #ended = false;
  #outcome: Outcome = null;
  #createBatchError: (() => unknown) | undefined;

  #paused = false;
  readonly #limit: Limit;
  readonly #options: InboxOptions;

  constructor(options: InboxOptions) {
    this.#options = options;
    this.#limit = options.limit;
    this.#gate = options.gate ?? new Gate();
  }

  /** The queued messages: their number and size in bytes. Both are 0 while a batch is collecting them. */
  get buffered(): { messages: number; bytes: number } {
    return this.#collecting()
      ? { messages: 0, bytes: 0 }
      : { messages: this.#items.length, bytes: this.#bytes };
  }

  /** The number of messages that `"drop-oldest"` has discarded. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whether `end()` has been called. Messages may still be queued. */
  get ended(): boolean {
    return this.#ended;
  }

  /** How the stream ended; also `null` while it has not ended. */
  get outcome(): Outcome {
    return this.#outcome;
  }

  /** Adds a message. Does nothing once the inbox has ended. */
  push(message: T): void {
    const first = this.#first;
    if (
      first !== null && first.max === 0 && this.#items.length === 0 &&
      !this.#ended
    ) {
      this.#unlink(first);
      first.resolve(message);
      // The next call may be a batch whose time is over.
      if (this.#first !== null) this.#serve();
      return;
    }
    this.#add(message, sizeOf(message));
  }

  /** Queues an error, with which one call rejects when its turn comes. `size` is its size in bytes. */
  fail(error: Error, size: number): void {
    this.#add(new Failure(error, size), size);
  }

  /**
   * Ends the stream. Queued messages can still be taken. After them `take()`
   * resolves with `null` if the outcome is `null` and rejects with its error
   * otherwise, and `takeBatch()` rejects with an error that `createBatchError` returns.
   */
  end(outcome: Outcome, createBatchError: () => unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#outcome = outcome;
    this.#createBatchError = createBatchError;
    this.#endConsumerWait?.();
    this.#serve();
  }

  /** Takes the next message, and waits for one if none is queued; `null` after a clean end. */
  take(options?: WaitOptions): Promise<T | null> {
    if (options !== undefined) {
      return this.#wait(0, options) as Promise<T | null>;
    }
    if (this.#hasMessage()) return Promise.resolve(this.#shift() as T);
    return new Promise((resolve, reject) => this.#waitForOne(resolve, reject));
  }

  /**
   * Takes the next message as the result of an async iterator.
   *
   * `take().then()` would need two promises and two promise jobs more for each
   * message. Deno's WebSocket does not wait for the consumer, so a consumer that
   * needs more promise jobs than the socket falls behind a feed that never pauses.
   *
   * @param isEnd Whether an error is the end of the iteration.
   */
  next(
    isEnd: (error: unknown) => boolean,
  ): Promise<IteratorResult<T, undefined>> {
    if (this.#hasMessage()) {
      return Promise.resolve({ done: false, value: this.#shift() as T });
    }
    return new Promise((resolve, reject) =>
      this.#waitForOne(
        (value) =>
          resolve(
            value === null
              ? { done: true, value: undefined }
              : { done: false, value },
          ),
        (error) =>
          isEnd(error)
            ? resolve({ done: true, value: undefined })
            : reject(error),
      )
    );
  }

  /** Whether a call can take a message at once. Counts the call if so. */
  #hasMessage(): boolean {
    return this.#first === null && this.#items.length > 0 &&
      this.#failures.length === 0 && this.#gate.pass();
  }

  /** Makes a call that waits for one message, without a time limit. */
  #waitForOne(
    resolve: (message: T | null) => void,
    reject: (reason: unknown) => void,
  ): void {
    const waiter = new Waiter<T>(
      0,
      resolve as Waiter<T>["resolve"],
      reject,
      this,
    );
    if (
      this.#first === null && this.#items.length === 0 && !this.#ended &&
      this.#gate.pass()
    ) {
      this.#gate.reset();
      waiter.queued = true;
      this.#first = this.#last = waiter;
    } else this.#admit(waiter);
  }

  /**
   * Takes the messages that are queued or arrive within `duration` milliseconds.
   * Resolves before that when there are `max` messages, when the limit is
   * reached, when an error is next, or when the stream ends.
   */
  takeBatch(duration: number, max: number, signal?: AbortSignal): Promise<T[]> {
    return this.#wait(max, { timeout: duration, signal }) as Promise<T[]>;
  }

  /**
   * Lets a consumer that is taking messages empty the queue before the source
   * pushes more. This makes a fast feed faster: a short queue stays in the
   * processor's cache, and leaves the garbage collector nothing to copy.
   *
   * @returns A promise that resolves when the queue is empty, when a call waits
   * for messages, when the stream ends, or after 5 milliseconds; `null` if there
   * is no reason to wait, because the queue is empty, a call is waiting already,
   * or nothing was taken since the last call of this method.
   */
  waitForConsumer(): Promise<void> | null {
    const isTaking = this.#taken !== this.#takenAtLastWait;
    this.#takenAtLastWait = this.#taken;
    if (
      !isTaking || this.#items.length === 0 || this.#first !== null ||
      this.#ended
    ) return null;
    return new Promise((resolve) => {
      const end = () => {
        this.#endConsumerWait = null;
        cancel();
        resolve();
      };
      const cancel = after(MAX_CONSUMER_WAIT, end);
      this.#endConsumerWait = end;
    });
  }

  /** Whether the first waiting call is a batch. */
  #collecting(): boolean {
    return this.#first !== null && this.#first.max > 0;
  }

  #add(item: T | Failure, size: number): void {
    if (this.#ended) return;
    const first = this.#first;
    if (
      first === null && this.#options.overflow === "error" &&
      this.#overLimit(1, size)
    ) {
      this.#options.onOverflow?.();
      return;
    }
    if (item instanceof Failure) {
      this.#failures.push(this.#taken + this.#items.length);
    }
    this.#items.push(item);
    this.#bytes += size;
    if (first !== null) {
      if (
        first.max === 0 || this.#failures.length > 0 ||
        this.#items.length >= first.max ||
        this.#atLimit() ||
        this.#isLate(first)
      ) this.#serve();
    } else if (this.#options.overflow === "drop-oldest") {
      while (this.#overLimit(0, 0)) {
        this.#shift();
        this.#dropped++;
      }
    } else if (
      this.#options.overflow === "pause" && !this.#paused &&
      this.#overLimit(0, 0)
    ) {
      this.#paused = true;
      this.#options.onPause?.();
    }
  }

  /**
   * Whether the time of a batch is over, even if its timer has not fired yet.
   * Deno's WebSocket dispatches messages for up to a second without letting the
   * event loop run timers, as long as more have arrived.
   */
  #isLate(batch: Waiter<T>): boolean {
    if (this.#items.length % MESSAGES_PER_CLOCK_CHECK !== 0) return false;
    return batch.expired ||= performance.now() >= batch.deadline;
  }

  /** Whether the queue would pass its limit with so many messages and bytes more. */
  #overLimit(messages: number, bytes: number): boolean {
    return this.#items.length + messages > this.#limit.messages ||
      this.#bytes + bytes > this.#limit.bytes;
  }

  /** Whether the queue has reached its limit. */
  #atLimit(): boolean {
    return this.#items.length >= this.#limit.messages ||
      this.#bytes >= this.#limit.bytes;
  }

  /** Makes a call that waits: for one message if `max` is 0, otherwise for a batch. */
  #wait(
    max: number,
    { timeout, signal }: WaitOptions,
  ): Promise<T | T[] | null> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const waiter = new Waiter<T>(max, resolve, reject, this);
      waiter.expired = timeout === 0;
      this.#admit(waiter);
      if (waiter.settled) return;
      if (timeout !== undefined && timeout > 0) {
        waiter.cancel = after(timeout, () => this.#expire(waiter));
        waiter.deadline = performance.now() + timeout;
      }
      if (signal !== undefined) {
        waiter.signal = signal;
        signal.addEventListener("abort", waiter);
      }
    });
  }

  /** Rejects a waiting call, because its signal has aborted. */
  abort(waiter: Waiter<T>): void {
    this.#unlink(waiter);
    waiter.reject(waiter.signal!.reason);
    this.#serve();
  }

  /** Called when the time of a call is over. A call for one message rejects; a batch resolves when its turn comes. */
  #expire(waiter: Waiter<T>): void {
    waiter.expired = true;
    if (waiter.max === 0) {
      this.#unlink(waiter);
      waiter.reject(timedOut());
    }
    this.#serve();
  }

  /** Adds a call to the waiting calls, now or when the gate opens. */
  #admit(waiter: Waiter<T>): void {
    if (this.#gate.pass()) this.#append(waiter);
    else {
      this.#gate.hold(() => {
        if (!waiter.settled) this.#append(waiter);
      });
    }
  }

  /** Adds a call at the end of the waiting calls, and settles it if that is possible at once. */
  #append(waiter: Waiter<T>): void {
    waiter.queued = true;
    waiter.previous = this.#last;
    if (this.#last === null) this.#first = waiter;
    else this.#last.next = waiter;
    this.#last = waiter;
    if (this.#first === waiter && this.#settle(waiter)) return;
    if (waiter.max === 0 && waiter.expired) return this.#expire(waiter);
    if (this.#first !== waiter) return;
    this.#gate.reset();
    // The call needs messages, so a source that waits or is paused must go on.
    this.#endConsumerWait?.();
    this.#resume();
  }

  /** Removes a call from the waiting calls. */
  #unlink(waiter: Waiter<T>): void {
    waiter.release();
    if (!waiter.queued) return; // it is still held by the gate
    const { previous, next } = waiter;
    if (previous === null && next === null) { // the usual case: one call at a time
      this.#first = this.#last = null;
    } else {
      if (previous === null) this.#first = next;
      else previous.next = next;
      if (next === null) this.#last = previous;
      else next.previous = previous;
      waiter.previous = waiter.next = null;
    }
  }

  /** Settles the waiting calls in their order, until one has to go on waiting. */
  #serve(): void {
    while (this.#first !== null && this.#settle(this.#first));
    this.#resume();
  }

  /** Settles the first waiting call if that is possible; returns whether it was. */
  #settle(waiter: Waiter<T>): boolean {
    const available = this.#items.length;
    if (waiter.max === 0) {
      if (available > 0) {
        this.#unlink(waiter);
        const item = this.#shift();
        if (item instanceof Failure) waiter.reject(item.error);
        else waiter.resolve(item);
      } else if (this.#ended) {
        this.#unlink(waiter);
        if (this.#outcome === null) waiter.resolve(null);
        else waiter.reject(this.#outcome.error);
      } else if (waiter.expired) {
        this.#unlink(waiter);
        waiter.reject(timedOut());
      } else return false;
      return true;
    }

    const count = this.#failures.length === 0
      ? available
      : this.#failures.first! - this.#taken;
    if (
      count < waiter.max && count === available && !waiter.expired &&
      !this.#ended &&
      !this.#atLimit()
    ) return false;
    this.#unlink(waiter);
    if (count > 0) waiter.resolve(this.#shiftMany(Math.min(count, waiter.max)));
    else if (available > 0) waiter.reject((this.#shift() as Failure).error);
    else if (this.#ended) waiter.reject(this.#createBatchError!());
    else waiter.resolve([]);
    return true;
  }

  /** Takes the first item from the queue. */
  #shift(): T | Failure {
    const item = this.#items.shift();
    this.#taken++;
    this.#bytes -= sizeOf(item);
    if (item instanceof Failure) this.#failures.shift();
    if (this.#paused) this.#resume();
    if (this.#items.length === 0) this.#endConsumerWait?.();
    return item;
  }

  /** Takes the first `count` items from the queue, none of which may be an error. */
  #shiftMany(count: number): T[] {
    const taken = this.#items.take(count) as T[];
    this.#taken += count;
    if (this.#items.length === 0) this.#bytes = 0;
    else for (const item of taken) this.#bytes -= sizeOf(item);
    if (this.#paused) this.#resume();
    if (this.#items.length === 0) this.#endConsumerWait?.();
    return taken;
  }

  /** Calls `onResume` if the source is paused and a quarter of the limit or less is queued, a batch collects, or the stream has ended. */
  #resume(): void {
    if (!this.#paused) return;
    const low = this.#items.length <= this.#limit.messages / 4 &&
      this.#bytes <= this.#limit.bytes / 4;
    if (!low && !this.#collecting() && !this.#ended) return;
    this.#paused = false;
    this.#options.onResume?.();
  }
}

function timedOut(): DOMException {
  return new DOMException("No message arrived in time", "TimeoutError");
}
