import { after } from "./timers.ts";
import { Gate } from "./gate.ts";
import { Queue } from "./queue.ts";

/** The most messages, and the most bytes in all of them, that may be queued. */
export interface Limit {
  messages: number;
  bytes: number;
}

/** Options of {@linkcode Inbox}. */
export interface InboxOptions<T> {
  /** The size of the queue beyond which `overflow` applies. */
  readonly limit: Limit;
  /**
   * What to do when a message passes the limit: `"error"` calls `onOverflow` and
   * does not queue the message, `"drop-oldest"` discards messages from the front.
   * With `"pause"` every message is queued, and the source must ask `wait()` before
   * it goes on: then the high-water mark, a quarter of the limit, is the bound.
   */
  readonly overflow: "error" | "drop-oldest" | "pause";
  /** Called once, with `"error"`, when the limit is passed. It must end the inbox. */
  onOverflow?(): void;
  /** Makes the error for a message that was queued with `fail()`. Called when the message is taken. */
  toError?(message: T): unknown;
}

/** What decides when a call that need not wait may proceed: a {@linkcode Gate}. */
export type CallGate = Pick<Gate, "pass" | "hold" | "reset" | "open">;

/**
 * A waiting call. `max` is 0 if the call takes one message, otherwise the
 * largest number of messages in its batch.
 *
 * The waiter itself is the listener of its signal. A closure as the listener
 * would form a reference cycle with the waiter, and V8 would then keep every
 * batch alive until its next full garbage collection (the rows "recvBatch()" of
 * `bench/`).
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
  signal: AbortSignal | null = null;
  previous: Waiter<T> | null = null;
  next: Waiter<T> | null = null;

  constructor(
    readonly max: number,
    readonly resolve: (value: T | T[] | null) => void,
    readonly reject: (reason: unknown) => void,
    readonly inbox: Inbox<T>,
    /** The iteration whose call it is, if it is one's. */
    readonly owner: object | null,
  ) {}

  /** Called when the signal aborts. */
  handleEvent(): void {
    this.inbox.abort(this);
  }

  /** Marks the call as settled, and removes its listener. */
  release(): void {
    this.settled = true;
    if (this.signal !== null) this.signal.removeEventListener("abort", this);
  }
}

// What most inboxes never need, they share, so nothing may be added to it.
/** The calls that no gate holds back. */
const NONE: never[] = [];
/** The places of the messages that are errors. */
const NO_FAILURES = new Queue<number>();

/** How a stream ended: `null` for a clean end, otherwise the error with which `take()` rejects. */
export type Outcome = { readonly error: unknown } | null;

/** Options of {@linkcode Inbox.take}. */
export interface WaitOptions {
  /** How long to wait, in milliseconds. No limit if `undefined`. */
  timeout?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** A source that waits before it pushes more. */
interface Hold {
  /** The queue at or below which it goes on. */
  readonly messages: number;
  readonly bytes: number;
  /** Lets it go on. */
  readonly end: () => void;
}

/** The part of the limit at which a source that can wait does so, and the part of that at which it goes on. */
const HIGH_WATER = 1 / 4;
const LOW_WATER = 1 / 4;

/** How long a source waits for a consumer that is taking messages, in milliseconds. */
const MAX_CONSUMER_WAIT = 5;

/** How many messages a batch collects between two looks at the clock. */
const MESSAGES_PER_CLOCK_CHECK = 256;

/** The size of a message in bytes, as `maxBuffer.bytes` counts it. */
function sizeOf(message: string | Uint8Array): number {
  return typeof message === "string" ? message.length : message.byteLength;
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
  /** The queued messages, in order of arrival. */
  readonly #items = new Queue<T>();
  /** The size of all queued items in bytes. */
  #bytes = 0;
  /** How many messages have been taken from the queue since the inbox was created. */
  #taken = 0;
  /** The value of `#taken` when the source last asked after a large read. */
  #takenAtLastRead = 0;
  /** The source, while it waits. No call waits then. */
  #hold: Hold | null = null;
  /** For each queued message that is an error, how many came before it since the inbox was created. */
  #failures = NO_FAILURES;
  #dropped = 0;

  /** The waiting calls, a doubly linked list. */
  #first: Waiter<T> | null = null;
  #last: Waiter<T> | null = null;
  /**
   * The one timer of all calls, set for the first of their deadlines. It stays when a
   * call is served, because setting one takes longer than receiving a message (the
   * rows "recvBatch()" of `bench/`).
   */
  #timer: { readonly due: number; readonly cancel: () => void } | null = null;
  /** The calls that the gate holds back, in their order. */
  #held: Waiter<T>[] = NONE;
  readonly #gate: CallGate;

  #ended = false;
  #outcome: Outcome = null;
  #createBatchError: (() => unknown) | undefined;

  /** The size of the queue at which a batch ends, and beyond which a source that can wait does. */
  readonly #mark: Limit;
  readonly #options: InboxOptions<T>;

  /** @param gate Decides when a call may proceed. By default each inbox has its own. */
  constructor(options: InboxOptions<T>, gate: CallGate = new Gate()) {
    const { limit, overflow } = options;
    this.#options = options;
    this.#gate = gate;
    this.#mark = overflow !== "pause" ? limit : {
      messages: limit.messages * HIGH_WATER,
      bytes: limit.bytes * HIGH_WATER,
    };
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
    // The event loop has had its turn, or the source would not have a message. A
    // native socket that always has another gives no call a turn before the queue is full.
    if (this.#held.length > 0) this.#gate.open();
    const first = this.#first;
    if (
      first !== null && first.max === 0 && this.#items.length === 0
    ) {
      this.#unlink(first);
      first.resolve(message);
      // The next call may be a batch whose time is over.
      if (this.#first !== null) this.#serve();
      return;
    }
    this.#add(message, false);
  }

  /**
   * Adds a message that is an error: the call whose turn it is rejects with what
   * `toError()` makes of it. The batch before it ends with what it has collected.
   */
  fail(message: T): void {
    if (this.#held.length > 0) this.#gate.open();
    // Ending it first leaves the limit to be checked as for any other message.
    while (this.#collecting() && this.#items.length > 0) {
      this.#first!.expired = true;
      this.#serve();
    }
    this.#add(message, true);
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
    this.#hold?.end();
    this.#serve();
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Takes the next message, and waits for one if none is queued; `null` after a clean end. */
  take(options?: WaitOptions): Promise<T | null> {
    if (options === undefined) {
      if (this.#hasMessage()) return Promise.resolve(this.#shift());
      return new Promise((resolve, reject) =>
        this.#waitForOne(resolve, reject, null)
      );
    }
    const { signal } = options;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#hasMessage()) return Promise.resolve(this.#shift());
    return this.#wait(0, options) as Promise<T | null>;
  }

  /**
   * Takes the next message as the result of an async iterator.
   *
   * `take().then()` would need two promises and two promise jobs more for each
   * message. Deno's WebSocket does not wait for the consumer, so a consumer that
   * needs more promise jobs than the socket falls behind a feed that never pauses (the
   * rows "for await" of `bench/`).
   *
   * @param isEnd Whether an error is the end of the iteration.
   * @param owner The iteration, for `endIteration()`.
   */
  next(
    isEnd: (error: unknown) => boolean,
    owner: object,
  ): Promise<IteratorResult<T, undefined>> {
    if (this.#hasMessage()) {
      return Promise.resolve({ done: false, value: this.#shift() });
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
        owner,
      )
    );
  }

  /**
   * Ends the calls of an iteration that wait: those of `next()` resolve as the end,
   * those of `takeBatch()` with an empty batch. What they might have got stays for
   * the next call.
   */
  endIteration(owner: object): void {
    const waiters = this.#held.filter((it) => it.owner === owner);
    for (let it = this.#first; it !== null; it = it.next) {
      if (it.owner === owner) waiters.push(it);
    }
    for (const waiter of waiters) {
      if (waiter.settled) continue;
      this.#unlink(waiter);
      waiter.resolve(waiter.max === 0 ? null : []);
    }
    this.#serve();
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
    owner: object | null,
  ): void {
    const waiter = new Waiter<T>(
      0,
      resolve as Waiter<T>["resolve"],
      reject,
      this,
      owner,
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
   * Resolves before that when there are `max` messages, when the limit (with
   * `"pause"`, the high-water mark) is reached, when an error is next, or when the
   * stream ends.
   *
   * @param owner The iteration whose call it is, for `endIteration()`.
   */
  takeBatch(
    duration: number,
    max: number,
    signal?: AbortSignal,
    owner: object | null = null,
  ): Promise<T[]> {
    return this.#wait(max, { timeout: duration, signal }, owner) as Promise<
      T[]
    >;
  }

  /**
   * Whether the queue is beyond the high-water mark, or beyond the limit itself if
   * `upToLimit` is set, and no call takes from it.
   */
  isFull(upToLimit: boolean): boolean {
    if (this.#first !== null || this.#ended) return false;
    return this.#isBeyond(upToLimit ? this.#options.limit : this.#mark);
  }

  /**
   * Asks whether the source may push more, with `"pause"`.
   *
   * It must wait while `isFull()`, until the queue is down to a quarter of the
   * high-water mark. After a large read it also waits until a consumer that is taking
   * messages has taken all that is queued. This makes a fast feed faster: a short
   * queue stays in the processor's cache, and leaves the garbage collector nothing to
   * copy (see the rows "recv()" of `bench/`).
   *
   * @param isLarge Whether the source has just pushed what it read in one large read.
   * @param upToLimit Whether it may fill the queue up to the limit.
   * @returns `null` if it may go on, or a promise that resolves when it may ask again:
   * when enough has been taken, when a call waits for messages, when the stream ends, at
   * `wake()`, or, if the queue is not full, after 5 milliseconds.
   */
  wait(isLarge: boolean, upToLimit: boolean): Promise<void> | null {
    let isTaking = false;
    if (isLarge) {
      isTaking = this.#taken !== this.#takenAtLastRead;
      this.#takenAtLastRead = this.#taken;
    }
    if (this.#items.length === 0 || this.#first !== null || this.#ended) {
      return null;
    }
    if (this.isFull(upToLimit)) {
      const { messages, bytes } = this.#mark;
      return this.#holdSource(messages * LOW_WATER, bytes * LOW_WATER);
    }
    return isTaking ? this.#holdSource(0, 0, MAX_CONSUMER_WAIT) : null;
  }

  /** Lets the source ask `wait()` again, if it waits. */
  wake(): void {
    this.#hold?.end();
  }

  #holdSource(
    messages: number,
    bytes: number,
    timeout?: number,
  ): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        this.#hold = null;
        cancel?.();
        resolve();
      };
      const cancel = timeout === undefined ? undefined : after(timeout, end);
      this.#hold = { messages, bytes, end };
    });
  }

  /** Whether the first waiting call is a batch. */
  #collecting(): boolean {
    return this.#first !== null && this.#first.max > 0;
  }

  /** Adds a message to the queue, and gives it to the call that waits for it. */
  #add(message: T, isFailure: boolean): void {
    if (this.#ended) return;
    const size = sizeOf(message);
    const first = this.#first;
    const { limit, overflow } = this.#options;
    if (
      first === null && overflow === "error" &&
      (this.#items.length >= limit.messages ||
        this.#bytes + size > limit.bytes)
    ) {
      this.#options.onOverflow?.();
      return;
    }
    if (isFailure) {
      if (this.#failures === NO_FAILURES) this.#failures = new Queue();
      this.#failures.push(this.#taken + this.#items.length);
    }
    this.#items.push(message);
    this.#bytes += size;
    if (first !== null) {
      if (
        first.max === 0 || isFailure ||
        this.#items.length >= first.max ||
        this.#atMark() ||
        this.#isLate(first)
      ) this.#serve();
    } else if (overflow === "drop-oldest") {
      while (this.#isBeyond(limit)) {
        this.#shift();
        this.#dropped++;
      }
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

  #isBeyond({ messages, bytes }: Limit): boolean {
    return this.#items.length > messages || this.#bytes > bytes;
  }

  /** Whether the queue has reached the size at which a batch ends. */
  #atMark(): boolean {
    const { messages, bytes } = this.#mark;
    return this.#items.length >= messages || this.#bytes >= bytes;
  }

  /** Makes a call that waits: for one message if `max` is 0, otherwise for a batch. */
  #wait(
    max: number,
    { timeout, signal }: WaitOptions,
    owner: object | null = null,
  ): Promise<T | T[] | null> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const waiter = new Waiter<T>(max, resolve, reject, this, owner);
      waiter.expired = timeout === 0;
      this.#admit(waiter);
      if (waiter.settled) return;
      if (timeout !== undefined && timeout > 0 && !this.#ended) {
        waiter.deadline = performance.now() + timeout;
        this.#setTimer(waiter.deadline, timeout);
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

  /** Sets the timer, unless it is set for an earlier time. */
  #setTimer(due: number, delay: number): void {
    if (this.#timer !== null) {
      if (this.#timer.due <= due) return;
      this.#timer.cancel();
    }
    const cancel = after(delay, () => this.#expireDue(due));
    this.#timer = { due, cancel };
  }

  /** Ends the calls whose time is over, and sets the timer for the others. */
  #expireDue(due: number): void {
    this.#timer = null;
    const over: Waiter<T>[] = [];
    let next = Infinity;
    const look = (waiter: Waiter<T>) => {
      if (waiter.settled || waiter.expired) return;
      if (waiter.deadline <= due) over.push(waiter);
      else next = Math.min(next, waiter.deadline);
    };
    for (let it = this.#first; it !== null; it = it.next) look(it);
    this.#held.forEach(look);
    if (next !== Infinity) this.#setTimer(next, next - performance.now());
    for (const waiter of over) if (!waiter.settled) this.#expire(waiter);
  }

  /** Adds a call to the waiting calls, now or when the gate opens. */
  #admit(waiter: Waiter<T>): void {
    if (this.#gate.pass()) return this.#append(waiter);
    if (this.#held.length === 0) {
      this.#held = [];
      this.#gate.hold(() => {
        const held = this.#held;
        this.#held = NONE;
        for (const it of held) if (!it.settled) this.#append(it);
      });
    }
    this.#held.push(waiter);
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
    this.#hold?.end(); // the call needs messages
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
  }

  /** Settles the first waiting call if that is possible; returns whether it was. */
  #settle(waiter: Waiter<T>): boolean {
    const available = this.#items.length;
    if (waiter.max === 0) {
      if (available > 0) {
        this.#unlink(waiter);
        if (this.#failures.first === this.#taken) this.#reject(waiter);
        else waiter.resolve(this.#shift());
      } else if (this.#ended) {
        this.#unlink(waiter);
        if (this.#outcome === null) waiter.resolve(null);
        else waiter.reject(this.#outcome.error);
      } else return false;
      return true;
    }

    const count = this.#failures.length === 0
      ? available
      : this.#failures.first! - this.#taken;
    if (
      count < waiter.max && count === available && !waiter.expired &&
      !this.#ended &&
      !this.#atMark()
    ) return false;
    this.#unlink(waiter);
    if (count > 0) waiter.resolve(this.#shiftMany(Math.min(count, waiter.max)));
    else if (available > 0) this.#reject(waiter);
    else if (this.#ended) waiter.reject(this.#createBatchError!());
    else waiter.resolve([]);
    return true;
  }

  /** Takes the first message, which is an error, and rejects a call with it. */
  #reject(waiter: Waiter<T>): void {
    const message = this.#shift();
    waiter.reject(this.#options.toError?.(message) ?? message);
  }

  /** Takes the first message from the queue. */
  #shift(): T {
    const message = this.#items.shift();
    if (this.#failures.length > 0 && this.#failures.first === this.#taken) {
      this.#failures.shift();
    }
    this.#taken++;
    this.#bytes -= sizeOf(message);
    if (this.#hold !== null) this.#checkHold(this.#hold);
    return message;
  }

  /** Takes the first `count` messages from the queue, none of which may be an error. */
  #shiftMany(count: number): T[] {
    const taken = this.#items.take(count);
    this.#taken += count;
    if (this.#items.length === 0) this.#bytes = 0;
    else for (const message of taken) this.#bytes -= sizeOf(message);
    if (this.#hold !== null) this.#checkHold(this.#hold);
    return taken;
  }

  /** Lets the source go on if the queue is short enough. */
  #checkHold({ messages, bytes, end }: Hold): void {
    if (this.#items.length <= messages && this.#bytes <= bytes) end();
  }
}

function timedOut(): DOMException {
  return new DOMException("No message arrived in time", "TimeoutError");
}
