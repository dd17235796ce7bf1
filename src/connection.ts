import { ARRIVALS, type Arrivals } from "./arrivals.ts";
import { checkObject, checkSignal, kindOf } from "./checks.ts";
import { type DurationLike, parseDuration } from "./duration.ts";
import { BinaryMessageError, ConnectionClosedError } from "./errors.ts";
import type { Settings } from "./options.ts";
import {
  type CloseInfo,
  type ConnectionEnd,
  type Sendable,
  Session,
} from "./session.ts";
import type { Socket } from "./socket.ts";

export type { CloseInfo, ConnectionEnd };

/**
 * Options of `recv()` of a {@linkcode WebSocketConnection}.
 *
 * @example Receiving a message only if one is buffered
 * ```ts no-eval
 * import { connectWebSocket } from "@wstap/wstap";
 *
 * const [connection] = await connectWebSocket("wss://example.com/");
 * const message = await connection.recv({ timeout: 0 }).catch(() => "nothing yet");
 * console.log(message);
 * ```
 */
export interface RecvOptions {
  /**
   * How long to wait for a message before rejecting with a `TimeoutError`. With
   * 0 the call does not wait: it returns a buffered message or rejects. No limit
   * by default.
   */
  timeout?: DurationLike;
  /**
   * Rejects with the signal's reason when the signal aborts. No message is lost
   * by it. None by default.
   */
  signal?: AbortSignal;
}

/**
 * Options of `recvBatch()` and `batches()` of a {@linkcode WebSocketConnection}.
 *
 * @example Usage
 * ```ts no-eval
 * import { connectWebSocket } from "@wstap/wstap";
 *
 * const [connection] = await connectWebSocket("wss://example.com/");
 * const batch = await connection.recvBatch("3s", { max: 500 });
 * console.log(batch.length); // at most 500
 * ```
 */
export interface BatchOptions {
  /**
   * The largest number of messages in one batch: a whole number from 1. A batch
   * that has reached it resolves at once.
   *
   * @default {Infinity}
   */
  max?: number;
  /**
   * Rejects with the signal's reason when the signal aborts. The messages
   * collected so far stay in the buffer for the next call. None by default.
   */
  signal?: AbortSignal;
}

/**
 * Options of `ping()` of a {@linkcode WebSocketConnection}.
 *
 * @example Usage
 * ```ts no-eval
 * import { connectWebSocket } from "@wstap/wstap";
 *
 * const [connection] = await connectWebSocket("wss://example.com/", {
 *   capture: "direct",
 * });
 * console.log(await connection.ping({ timeout: "2s" }), "ms");
 * ```
 */
export interface PingOptions {
  /**
   * How long to wait for the pong before rejecting with a `TimeoutError`. No
   * limit by default.
   */
  timeout?: DurationLike;
  /** Rejects with the signal's reason when the signal aborts. None by default. */
  signal?: AbortSignal;
}

/** Options of the internal constructor of {@linkcode WebSocketConnection}. */
export interface ConnectionInit {
  /** An open socket whose `start()` has not been called. */
  readonly socket: Socket;
  /** The URL, without credentials. */
  readonly url: string;
  readonly settings: Settings;
  /**
   * Called when the connection is over. Passed by `connections()`, which handles
   * a lost connection itself: with it, iterating over the connection ends at a
   * loss without an error.
   */
  readonly onEnd?: (end: ConnectionEnd) => void;
  /** Whether `onEnd` must tell when the last message arrived. */
  readonly notesMessages?: boolean;
}

/**
 * An open WebSocket connection.
 *
 * Messages that have arrived wait in a buffer, limited by `maxBuffer`, until a
 * call receives them. No timeout, abort, error or close loses or reorders a
 * message that has arrived: an error is reported after the messages that arrived
 * before it. Calls that wait at the same time are served in the order in which
 * they were made.
 *
 * @example Messages one at a time
 * ```ts no-eval
 * import { connectWebSocket } from "@wstap/wstap";
 *
 * const [connection] = await connectWebSocket("wss://example.com/");
 * await using _ = connection;
 * for (let data; (data = await connection.recv()) !== null;) {
 *   console.log(JSON.parse(data));
 * }
 * ```
 *
 * @example Timed batches
 * ```ts no-eval
 * import { connectWebSocket } from "@wstap/wstap";
 *
 * const [connection] = await connectWebSocket("wss://example.com/");
 * for await (const batch of connection.batches("3s", { max: 1000 })) {
 *   console.log(`${batch.length} messages`);
 * }
 * ```
 *
 * @typeParam T The type of a message: `string`, `string | Uint8Array` with
 * `binary: "bytes"`, or `Uint8Array` with `decode: false`.
 */
export class WebSocketConnection<T = string>
  implements AsyncIterable<T>, AsyncDisposable {
  /** The URL of the server, after redirects and without credentials. It includes the query. */
  readonly url: string;
  /** The subprotocol that the server chose, or `""` if none. */
  readonly protocol: string;
  /**
   * The extensions that the server agreed to, or `""` if none. An extension is
   * offered only with the option `compression`.
   */
  readonly extensions: string;
  /**
   * Resolves with the close code and reason when the connection is over. Never
   * rejects.
   *
   * With capture `"direct"`, nothing is read while the buffer is full, so the end is
   * then noticed only after messages have been received; sends reject before that,
   * once one of them has failed. With the captures `"preflight"` and `"none"`, a
   * server that closes and reads nothing is not noticed while messages wait to be
   * sent to it: `close()` ends that.
   */
  readonly closed: Promise<CloseInfo>;

  readonly #session: Session;
  #readable: ReadableStream<T> | undefined;
  #writable: WritableStream<Sendable> | undefined;

  /**
   * Creates a connection from an open socket. Users get connections from
   * {@linkcode connectWebSocket} and {@linkcode connections}.
   *
   * @param init The socket, its URL and the options.
   * @ignore
   */
  constructor(init: ConnectionInit) {
    this.url = init.url;
    this.protocol = init.socket.protocol;
    this.extensions = init.socket.extensions;
    this.#session = new Session(init);
    this.closed = this.#session.closed;
  }

  /**
   * The messages that have arrived and not been received: their number, and
   * their size in bytes (`length` of a string, `byteLength` of a `Uint8Array`).
   * Both are 0 while a batch is collecting them.
   */
  get buffered(): { messages: number; bytes: number } {
    return this.#session.inbox.buffered;
  }

  /**
   * When the messages that have not been received arrived.
   *
   * @ignore
   */
  get [ARRIVALS](): Arrivals | null {
    return this.#session.arrivals;
  }

  /** The number of messages that `overflow: "drop-oldest"` has discarded. */
  get dropped(): number {
    return this.#session.inbox.dropped;
  }

  /**
   * Receives the next message, in order of arrival. Waits if none has arrived.
   *
   * A call that rejects because of `timeout` or `signal` loses no message: the
   * next call gets it.
   *
   * @example Waiting for at most five seconds
   * ```ts no-eval
   * import { connectWebSocket } from "@wstap/wstap";
   *
   * const [connection] = await connectWebSocket("wss://example.com/");
   * const message = await connection.recv({ timeout: "5s" });
   * ```
   *
   * @param options A timeout and a signal.
   * @returns The message, or `null` if the peer closed the connection with a
   * close frame or `close()` was called, and every message has been
   * received. Every later call returns `null` too.
   * @throws {ConnectionClosedError} If the connection was lost or the peer
   * violated the protocol, and every message that arrived before has been
   * received.
   * @throws {BinaryMessageError} If the message is binary and not UTF-8, and
   * `binary` is `"text"`.
   * @throws {BufferOverflowError} If the buffer overflowed, and every buffered
   * message has been received.
   * @throws {DOMException} Named `TimeoutError`, if no message arrived in time.
   * @throws {TypeError} If an option is invalid.
   */
  recv(options?: RecvOptions): Promise<T | null> {
    const { inbox } = this.#session;
    if (options === undefined) return inbox.take() as Promise<T | null>;
    // Not an async function, because its promise would cost each message three promise
    // jobs: a loop of such calls would fall behind Deno's WebSocket, which needs one.
    let wait;
    try {
      checkObject("options", options);
      const { timeout, signal } = options;
      wait = {
        timeout: timeout === undefined ? undefined : parseDuration(timeout),
        signal: checkSignal(signal),
      };
    } catch (error) {
      return Promise.reject(error);
    }
    return inbox.take(wait) as Promise<T | null>;
  }

  /**
   * Receives all messages that are buffered or arrive within `duration`, counted
   * from the call.
   *
   * The call resolves before the duration is over when the batch has `max`
   * messages or reaches the limit of `maxBuffer` (with capture `"direct"`, a
   * quarter of it), when an error is next, or when the connection ends. No
   * message is lost then. While a batch is being collected, the buffer does not
   * overflow. With a duration of 0 the call returns what is buffered.
   *
   * @example Usage
   * ```ts no-eval
   * import { connectWebSocket } from "@wstap/wstap";
   *
   * const [connection] = await connectWebSocket("wss://example.com/");
   * const batch = await connection.recvBatch("3s"); // [] if none arrived
   * ```
   *
   * @param duration How long to collect messages.
   * @param options The largest number of messages, and a signal.
   * @returns The messages, in order of arrival. The array is empty if none
   * arrived.
   * @throws {ConnectionClosedError} With the message `websocket closed`, if the
   * connection has ended and no message is left.
   * @throws {BinaryMessageError} If the next message is binary and not UTF-8,
   * and `binary` is `"text"`.
   * @throws {BufferOverflowError} If the buffer overflowed, and every buffered
   * message has been received.
   * @throws {TypeError} If the duration does not parse.
   * @throws {RangeError} If the duration is negative, or `max` is not a whole
   * number from 1.
   */
  recvBatch(
    duration: DurationLike,
    options: BatchOptions = {},
  ): Promise<T[]> {
    let batch;
    try {
      batch = parseBatch(duration, options);
    } catch (error) {
      return Promise.reject(error);
    }
    const { time, max, signal } = batch;
    return this.#session.inbox.takeBatch(time, max, signal) as Promise<T[]>;
  }

  /**
   * Iterates over batches, each collected as by `recvBatch()`. Empty
   * batches are skipped. With a duration of 0 each batch is what is buffered, or
   * the next message if nothing is.
   *
   * The iteration ends when the connection is closed, and throws when it is
   * lost. On a connection from {@linkcode connections} it ends in both cases.
   * Leaving the loop does not close the connection. `return()` ends the iteration at
   * once, also while a batch is being collected; its messages stay in the buffer.
   *
   * @example Usage
   * ```ts no-eval
   * import { connectWebSocket } from "@wstap/wstap";
   *
   * const [connection] = await connectWebSocket("wss://example.com/");
   * for await (const batch of connection.batches("3s")) console.log(batch.length);
   * ```
   *
   * @param duration How long to collect messages for each batch.
   * @param options The largest number of messages in a batch, and a signal. If
   * the signal aborts, the iteration throws its reason.
   * @returns The batches.
   * @throws {ConnectionClosedError} If the connection was lost.
   */
  batches(
    duration: DurationLike,
    options: BatchOptions = {},
  ): AsyncGenerator<T[], void, undefined> {
    return new Batches<T>(this.#session, parseBatch(duration, options));
  }

  /**
   * Iterates over the messages. The iteration ends when the connection is
   * closed, and throws when it is lost. On a connection from
   * {@linkcode connections} it ends in both cases. Leaving the loop does not
   * close the connection.
   *
   * @example Usage
   * ```ts no-eval
   * import { connectWebSocket } from "@wstap/wstap";
   *
   * const [connection] = await connectWebSocket("wss://example.com/");
   * for await (const message of connection) console.log(message);
   * ```
   *
   * @returns An iterator over the messages.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<T, void, undefined> {
    return new Messages<T>(this.#session);
  }

  /**
   * Sends a message, then waits while more than 1 MiB is queued to be sent.
   *
   * Messages are sent in the order of the calls. The call resolves when the
   * socket has taken the message, which does not mean that the peer has received
   * it. It does not resolve for a message that is known to be dropped: once a write
   * has failed or the peer's close frame has come, every call rejects, also while
   * messages that arrived before can still be received.
   *
   * @example Usage
   * ```ts no-eval
   * import { connectWebSocket } from "@wstap/wstap";
   *
   * const [connection] = await connectWebSocket("wss://example.com/");
   * await connection.send(JSON.stringify({ subscribe: "events" }));
   * ```
   *
   * @param data A string, sent as a text message, or bytes, sent as a binary
   * message.
   * @throws {ConnectionClosedError} If the connection is closing or closed, or
   * ends while the call waits.
   * @throws {TypeError} If the data is neither a string nor bytes, or is a view
   * of shared memory.
   */
  send(data: string | ArrayBuffer | ArrayBufferView): Promise<void> {
    return this.#session.send(data);
  }

  /**
   * Sends a ping and waits for the pong.
   *
   * Several pings may be waiting at once. A pong answers its own ping and all
   * earlier ones.
   *
   * The pong arrives behind the messages that were sent before it. While a ping
   * waits, messages are therefore read up to `maxBuffer` itself, not only up to a
   * quarter of it: a loop that receives may wait for a ping. Behind more messages
   * than that, the ping waits until some of them have been received.
   *
   * @example Usage
   * ```ts no-eval
   * import { connectWebSocket } from "@wstap/wstap";
   *
   * const [connection] = await connectWebSocket("wss://example.com/", {
   *   capture: "direct",
   * });
   * console.log(`${await connection.ping({ timeout: "2s" })} ms`);
   * ```
   *
   * @param options A timeout and a signal.
   * @returns The round-trip time in milliseconds.
   * @throws {TypeError} If the capture is not `"direct"`: Deno's WebSocket
   * cannot send pings.
   * @throws {ConnectionClosedError} If the connection is closing or closed, or
   * ends while the call waits.
   * @throws {DOMException} Named `TimeoutError`, if no pong arrived in time.
   */
  async ping(options: PingOptions = {}): Promise<number> {
    checkObject("options", options);
    const { timeout, signal } = options;
    return await this.#session.ping({
      timeout: timeout === undefined ? undefined : parseDuration(timeout),
      signal,
    });
  }

  /**
   * Closes the connection and waits for the peer to answer, for at most
   * `closeTimeout`.
   *
   * Messages that arrived before the call can still be received; messages that
   * arrive after it are discarded. Then `recv()` returns `null`. A second call
   * sends nothing, and waits for the same end.
   *
   * With the captures `"preflight"` and `"none"`, Deno's WebSocket cannot be
   * ended by force. If the peer never answers, the call resolves after
   * `closeTimeout`, but the socket stays open until the peer ends it, and keeps
   * the process alive. A peer that ends the connection without answering is
   * reported there like a peer that answers without a code:
   * `{ code: 1005, reason: "", clean: true }`.
   *
   * @example Usage
   * ```ts no-eval
   * import { connectWebSocket } from "@wstap/wstap";
   *
   * const [connection] = await connectWebSocket("wss://example.com/");
   * const { code, clean } = await connection.close(1000, "done");
   * ```
   *
   * @param code The close code: 1000, or a number from 3000 to 4999.
   * @param reason The close reason: at most 123 bytes of UTF-8.
   * @returns The code and reason that the peer answered with, or
   * `{ code: 1006, reason: "", clean: false }` if it did not answer in time.
   * @throws {TypeError} If the code or the reason is invalid.
   */
  async close(code: number = 1000, reason: string = ""): Promise<CloseInfo> {
    if (
      code !== 1000 && !(Number.isInteger(code) && code >= 3000 && code <= 4999)
    ) {
      throw new TypeError(
        `Invalid close code ${
          String(code)
        }: expected 1000, or one from 3000 to 4999`,
      );
    }
    if (typeof reason !== "string") {
      throw new TypeError(
        `Invalid close reason: expected a string, got ${kindOf(reason)}`,
      );
    }
    const length = new TextEncoder().encode(reason).length;
    if (length > 123) {
      throw new TypeError(
        `Invalid close reason: expected at most 123 bytes of UTF-8, got ${length}`,
      );
    }
    return await this.#session.close(code, reason);
  }

  /** Closes the connection with code 1000, as `close()` does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * A stream of the messages. It takes no message before it is read. The stream
   * ends when the connection is closed, and errors when it is lost; on a
   * connection from {@linkcode connections} it ends in both cases. Cancelling it
   * closes the connection with code 1000.
   *
   * A stream that has errored with a {@linkcode BinaryMessageError} is spent. This
   * property then gives a new one, which goes on with the next message.
   *
   * While several reads of a stream wait, it takes one message after another, so a
   * `recv()` called between them may get its message before the second of them:
   * receive in one way at a time.
   */
  get readable(): ReadableStream<T> {
    return this.#readable ??= new ReadableStream<T>({
      pull: async (controller) => {
        try {
          const { done, value } = await takeNext<T>(this.#session, this);
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          if (error instanceof BinaryMessageError) this.#readable = undefined;
          throw error;
        }
      },
      cancel: async () => void await this.close(),
    }, { highWaterMark: 0 });
  }

  /**
   * A stream that sends each chunk as a message and waits as `send()`
   * does. Closing or aborting it closes the connection with code 1000.
   *
   * Closing it waits for the chunks before it, and ends the connection if the whole
   * takes longer than `closeTimeout`. Aborting it ends a write that waits. An aborted
   * `pipeTo()` first waits for its write, by the standard: `close()` ends that.
   */
  get writable(): WritableStream<string | ArrayBuffer | ArrayBufferView> {
    return this.#writable ??= new Writable(this.#session);
  }
}

/** The end of an iteration. */
const END: IteratorReturnResult<undefined> = { done: true, value: undefined };

function never(): boolean {
  return false;
}

function isClosedError(error: unknown): boolean {
  return error instanceof ConnectionClosedError;
}

/** Takes the next message of an iteration, which ends quietly at a loss if `connections()` answers it. */
function takeNext<T>(
  session: Session,
  owner: object,
): Promise<IteratorResult<T, undefined>> {
  const isEnd = session.endsQuietly ? isClosedError : never;
  return session.inbox.next(isEnd, owner) as Promise<
    IteratorResult<T, undefined>
  >;
}

/** The iterator over messages. */
class Messages<T> implements AsyncIterableIterator<T, undefined, undefined> {
  readonly #session: Session;
  #ended = false;

  constructor(session: Session) {
    this.#session = session;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    return this.#ended ? Promise.resolve(END) : takeNext(this.#session, this);
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#ended = true;
    this.#session.inbox.endIteration(this);
    return Promise.resolve(END);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/**
 * The iterator over batches. It is no async generator, because `return()` of one waits
 * for the step that is under way, here for a whole window or, on a quiet feed, for ever.
 */
class Batches<T> implements AsyncGenerator<T[], undefined, undefined> {
  readonly #session: Session;
  readonly #batch: Batch;
  #ended = false;
  /** The last step, since a generator takes one after the other. */
  #step: Promise<unknown> = Promise.resolve();

  constructor(session: Session, batch: Batch) {
    this.#session = session;
    this.#batch = batch;
  }

  next(): Promise<IteratorResult<T[], undefined>> {
    const step = this.#step.then(() => this.#next());
    this.#step = step.catch(() => {}); // the caller gets the error
    return step;
  }

  async #next(): Promise<IteratorResult<T[], undefined>> {
    const { inbox } = this.#session;
    const { signal } = this.#batch;
    let { time, max } = this.#batch;
    try {
      while (!this.#ended) {
        const batch = await inbox.takeBatch(time, max, signal, this) as T[];
        if (batch.length > 0) return { done: false, value: batch };
        // Nothing is buffered: to ask again and again would take all of the processor.
        if (time === 0) [time, max] = [Infinity, 1];
      }
      return END;
    } catch (error) {
      this.#ended = true;
      // takeBatch() rejects with a ConnectionClosedError for a close and for a loss
      // alike, so the outcome decides.
      if (!isClosedError(error)) throw error;
      const { outcome } = inbox;
      if (outcome === null || this.#session.endsQuietly) return END;
      throw outcome.error;
    }
  }

  return(): Promise<IteratorResult<T[], undefined>> {
    this.#ended = true;
    this.#session.inbox.endIteration(this);
    return Promise.resolve(END);
  }

  async throw(error: unknown): Promise<IteratorResult<T[], undefined>> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}

/**
 * The stream that sends messages. By the standard, closing it waits for the writes
 * before it, and has no time limit: hence this class.
 */
class Writable extends WritableStream<Sendable> {
  readonly #session: Session;

  constructor(session: Session) {
    const close = async () => void await session.close(1000, "");
    super({
      write: (data, { signal }) => session.send(data, signal),
      close,
      abort: close,
    });
    this.#session = session;
  }

  override close(): Promise<void> {
    return this.#limited(() => super.close());
  }

  override getWriter(): WritableStreamDefaultWriter<Sendable> {
    const writer = super.getWriter();
    const close = writer.close.bind(writer);
    writer.close = () => this.#limited(close);
    return writer;
  }

  /** Closes, and ends the connection if that takes longer than `closeTimeout`. */
  async #limited(close: () => Promise<void>): Promise<void> {
    const cancel = this.#session.limitClosing();
    try {
      await close();
    } finally {
      cancel();
    }
  }
}

/** The parsed arguments of a batch; `time` is in milliseconds. */
interface Batch {
  readonly time: number;
  readonly max: number;
  readonly signal: AbortSignal | undefined;
}

function parseBatch(
  duration: DurationLike,
  options: BatchOptions,
): Batch {
  checkObject("options", options);
  const { max = Infinity, signal } = options;
  if (max !== Infinity && !(Number.isInteger(max) && max >= 1)) {
    throw new RangeError(
      `Invalid max ${String(max)}: expected a whole number from 1`,
    );
  }
  return { max, signal: checkSignal(signal), time: parseDuration(duration) };
}
