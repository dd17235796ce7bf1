import { after } from "./duration.ts";
import { Gate } from "./gate.ts";
import { Queue } from "./queue.ts";

/** How many messages may wait, and how many bytes they may have together. */
export interface Limit {
  messages: number;
  bytes: number;
}

/** What an {@linkcode Inbox} needs to know. */
export interface InboxOptions {
  /** How much may wait before `overflow` applies. */
  limit: Limit;
  /**
   * What happens past the limit: `"error"` tells `onOverflow` and takes no
   * more, `"drop-oldest"` discards from the front, and `"pause"` takes
   * everything but asks the source to stop until less than a quarter of the
   * limit is waiting.
   */
  overflow: "error" | "drop-oldest" | "pause";
  /** Called once when the limit is passed under `"error"`; it must end the inbox. */
  onOverflow?: () => void;
  /** Called when the source should stop and when it may go on, under `"pause"`. */
  onPause?: () => void;
  onResume?: () => void;
  /** Decides when a call may go on. By default each inbox has a gate of its own. */
  gate?: Pick<Gate, "pass" | "hold" | "waits">;
}

/** An error that waits its turn among the messages. */
class Failure {
  constructor(readonly error: Error, readonly size: number) {}
}

/**
 * A call that waits; `max` is 0 for one message, else the size of a batch.
 *
 * It listens to its signal itself: with closures that hold the waiter and are
 * held by it, V8 keeps every batch until its next full collection.
 */
class Waiter<T> implements EventListenerObject {
  /** Whether it has been settled, and whether it stands in the line. */
  settled = false;
  queued = false;
  /** The window is over: it takes what is there as soon as its turn comes. */
  expired = false;
  /** When the window is over, in milliseconds of `performance.now()`. */
  deadline = Infinity;
  /** Stops its timer. */
  cancel: (() => void) | null = null;
  signal: AbortSignal | null = null;
  previous: Waiter<T> | null = null;
  next: Waiter<T> | null = null;

  constructor(
    readonly max: number,
    readonly resolve: (value: T | T[] | null) => void,
    readonly reject: (reason: unknown) => void,
    readonly abort: (waiter: Waiter<T>) => void,
  ) {}

  /** Its signal aborted. */
  handleEvent(): void {
    this.abort(this);
  }

  /** Stops what would end its wait. */
  release(): void {
    this.settled = true;
    if (this.cancel !== null) this.cancel();
    if (this.signal !== null) this.signal.removeEventListener("abort", this);
  }
}

/** How a stream ended: cleanly, or with what a single call then rejects with. */
export type Outcome = { readonly error: unknown } | null;

/** How a call may wait. */
export interface WaitOptions {
  /** Milliseconds; `undefined` waits without end. */
  timeout?: number;
  signal?: AbortSignal;
}

/** How long a source may be asked to wait for a consumer that keeps up, in milliseconds. */
const HEAD_START = 5;

/** While a batch collects, the clock is looked at after so many messages. */
const MESSAGES_PER_LOOK_AT_THE_CLOCK = 256;

function sizeOf(item: unknown): number {
  return typeof item === "string"
    ? item.length
    : item instanceof Uint8Array
    ? item.byteLength
    : (item as Failure).size;
}

/**
 * A bounded first-in first-out queue between a source that pushes messages and
 * calls that take them, one at a time or in batches. It knows nothing of
 * sockets. Calls are served in the order in which they were made; each message
 * costs the same whatever the length of the queue.
 *
 * While a batch is at the head of the line, the queue is what it has collected:
 * a batch that is given up leaves everything where it is.
 */
export class Inbox<T extends string | Uint8Array> {
  /** Messages, and errors that wait their turn among them. */
  readonly #items = new Queue<T | Failure>();
  #bytes = 0;
  /** How many items have been taken. */
  #taken = 0;
  /** How many had been taken at the last `headStart()`. */
  #takenBefore = 0;
  #endHeadStart: (() => void) | null = null;
  /** How many items came before each error that waits. */
  readonly #failures = new Queue<number>();
  #dropped = 0;

  #first: Waiter<T> | null = null;
  #last: Waiter<T> | null = null;
  readonly #gate: Pick<Gate, "pass" | "hold" | "waits">;

  #ended = false;
  #outcome: Outcome = null;
  #batchError: unknown;

  #paused = false;
  readonly #limit: Limit;
  readonly #options: InboxOptions;

  constructor(options: InboxOptions) {
    this.#options = options;
    this.#limit = options.limit;
    this.#gate = options.gate ?? new Gate();
  }

  /** What waits to be taken; nothing while a batch is collecting it. */
  get buffered(): { messages: number; bytes: number } {
    return this.#collecting()
      ? { messages: 0, bytes: 0 }
      : { messages: this.#items.length, bytes: this.#bytes };
  }

  /** How many messages were discarded under `"drop-oldest"`. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whether the stream has ended, even if something still waits. */
  get ended(): boolean {
    return this.#ended;
  }

  /** How the stream ended; `null` too as long as it has not. */
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
      // A batch whose window is over may be next.
      if (this.#first !== null) this.#serve();
      return;
    }
    this.#add(message, sizeOf(message));
  }

  /** Adds an error that one call gets in its turn. */
  fail(error: Error, size: number): void {
    this.#add(new Failure(error, size), size);
  }

  /**
   * Ends the stream after what was pushed: from there on a single call gets
   * `null` at a clean end or else the error; a batch rejects with `batchError`.
   */
  end(outcome: Outcome, batchError: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#outcome = outcome;
    this.#batchError = batchError;
    this.#endHeadStart?.();
    this.#serve();
  }

  /** Takes one message, `null` at a clean end. */
  take(): Promise<T | null>;
  take(options: WaitOptions): Promise<T | null>;
  take(options?: WaitOptions): Promise<T | null> {
    if (options !== undefined) {
      return this.#wait(0, options) as Promise<T | null>;
    }
    if (
      this.#first === null && this.#items.length > 0 &&
      this.#failures.length === 0 && this.#gate.pass()
    ) {
      return Promise.resolve(this.#shift() as T);
    }
    return new Promise((resolve, reject) => {
      const waiter = new Waiter<T>(
        0,
        resolve as Waiter<T>["resolve"],
        reject,
        this.#abort,
      );
      if (
        this.#first === null && this.#items.length === 0 && !this.#ended &&
        this.#gate.pass()
      ) {
        this.#gate.waits();
        waiter.queued = true;
        this.#first = this.#last = waiter;
      } else this.#admit(waiter);
    });
  }

  /**
   * Collects messages for `duration` milliseconds, or until there are `max` of
   * them, the limit is reached, an error is next, or the stream ends.
   */
  takeBatch(duration: number, max: number, signal?: AbortSignal): Promise<T[]> {
    return this.#wait(max, { timeout: duration, signal }) as Promise<T[]>;
  }

  /**
   * Gives a consumer that keeps up the time to take what waits before more is
   * pushed: a queue that stays short stays in the processor's cache, and leaves
   * the garbage collector nothing to copy.
   *
   * @returns A promise that resolves when nothing waits any more, when a call
   * waits, at the end, or after 5 milliseconds; `null` where there is nobody to
   * wait for, because nothing was taken since the last time.
   */
  headStart(): Promise<void> | null {
    const isTaking = this.#taken !== this.#takenBefore;
    this.#takenBefore = this.#taken;
    if (
      !isTaking || this.#items.length === 0 || this.#first !== null ||
      this.#ended
    ) return null;
    return new Promise((resolve) => {
      const end = () => {
        this.#endHeadStart = null;
        cancel();
        resolve();
      };
      const cancel = after(HEAD_START, end);
      this.#endHeadStart = end;
    });
  }

  #collecting(): boolean {
    return this.#first !== null && this.#first.max > 0;
  }

  #add(item: T | Failure, size: number): void {
    if (this.#ended) return;
    const first = this.#first;
    const free = first === null;
    if (
      free && this.#options.overflow === "error" && this.#overLimit(1, size)
    ) {
      this.#options.onOverflow?.();
      return;
    }
    if (item instanceof Failure) {
      this.#failures.push(this.#taken + this.#items.length);
    }
    this.#items.push(item);
    this.#bytes += size;
    if (!free) {
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
   * Whether a window is over whose timer has not fired: a native socket that
   * never runs dry does not let the event loop go round, for a second at a time.
   */
  #isLate(batch: Waiter<T>): boolean {
    if (this.#items.length % MESSAGES_PER_LOOK_AT_THE_CLOCK !== 0) return false;
    return batch.expired ||= performance.now() >= batch.deadline;
  }

  #overLimit(messages: number, bytes: number): boolean {
    return this.#items.length + messages > this.#limit.messages ||
      this.#bytes + bytes > this.#limit.bytes;
  }

  #atLimit(): boolean {
    return this.#items.length >= this.#limit.messages ||
      this.#bytes >= this.#limit.bytes;
  }

  #wait(
    max: number,
    { timeout, signal }: WaitOptions,
  ): Promise<T | T[] | null> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const waiter = new Waiter<T>(max, resolve, reject, this.#abort);
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

  /** The signal of a call aborted. */
  #abort = (waiter: Waiter<T>): void => {
    this.#unlink(waiter);
    waiter.reject(waiter.signal!.reason);
    this.#serve();
  };

  /** The time of a call is up. A batch takes what is there when its turn comes. */
  #expire(waiter: Waiter<T>): void {
    waiter.expired = true;
    if (waiter.max === 0) {
      this.#unlink(waiter);
      waiter.reject(timedOut());
    }
    this.#serve();
  }

  /** Lets a call in, now or when the gate opens: until then nobody waits. */
  #admit(waiter: Waiter<T>): void {
    if (this.#gate.pass()) this.#append(waiter);
    else {
      this.#gate.hold(() => {
        if (!waiter.settled) this.#append(waiter);
      });
    }
  }

  /** Puts a call at the end of the line, and serves it if it is the first. */
  #append(waiter: Waiter<T>): void {
    waiter.queued = true;
    waiter.previous = this.#last;
    if (this.#last === null) this.#first = waiter;
    else this.#last.next = waiter;
    this.#last = waiter;
    if (this.#first === waiter && this.#settle(waiter)) return;
    if (waiter.max === 0 && waiter.expired) return this.#expire(waiter);
    if (this.#first !== waiter) return;
    this.#gate.waits();
    // A batch at the head of the line collects: the source must not stand still.
    this.#endHeadStart?.();
    this.#resume();
  }

  #unlink(waiter: Waiter<T>): void {
    waiter.release();
    if (!waiter.queued) return; // the gate still holds it
    const { previous, next } = waiter;
    if (previous === null && next === null) { // as in a loop over single calls
      this.#first = this.#last = null;
    } else {
      if (previous === null) this.#first = next;
      else previous.next = next;
      if (next === null) this.#last = previous;
      else next.previous = previous;
      waiter.previous = waiter.next = null;
    }
  }

  /** Serves the calls that wait, in their order, as far as there is something for them. */
  #serve(): void {
    while (this.#first !== null && this.#settle(this.#first));
    this.#resume();
  }

  /** Gives the first call what is there for it; false if it has to wait. */
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
    else if (this.#ended) waiter.reject(this.#batchError);
    else waiter.resolve([]);
    return true;
  }

  #shift(): T | Failure {
    const item = this.#items.shift();
    this.#taken++;
    this.#bytes -= sizeOf(item);
    if (item instanceof Failure) this.#failures.shift();
    if (this.#paused) this.#resume();
    if (this.#items.length === 0) this.#endHeadStart?.();
    return item;
  }

  /** Takes messages, none of them a failure. */
  #shiftMany(count: number): T[] {
    const taken = this.#items.take(count) as T[];
    this.#taken += count;
    if (this.#items.length === 0) this.#bytes = 0;
    else for (const item of taken) this.#bytes -= sizeOf(item);
    if (this.#paused) this.#resume();
    if (this.#items.length === 0) this.#endHeadStart?.();
    return taken;
  }

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
