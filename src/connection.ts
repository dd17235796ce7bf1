import { after } from "./timers.ts";
import { type DurationLike, parseDuration } from "./duration.ts";
import {
  BinaryMessageError,
  BufferOverflowError,
  ConnectionClosedError,
} from "./errors.ts";
import { Inbox, type InboxOptions } from "./inbox.ts";
import type { Settings } from "./options.ts";
import type { Socket, SocketEnd, SocketEvents } from "./socket.ts";
import { checkSignal, kindOf } from "./checks.ts";
import { printable } from "./escape.ts";

/**
 * The close code and reason of a connection.
 *
 * @example Usage
 * ```ts no-eval
 * import { connectWebSocket } from "@wstap/wstap";
 *
 * const [connection] = await connectWebSocket("wss://example.com/");
 * const { code, reason, clean } = await connection.closed;
 * console.log(code, reason, clean);
 * ```
 */
export interface CloseInfo {
  /**
   * The close code (RFC 6455 section 7.4): 1005 when the close frame had none,
   * 1006 when the connection was lost or the peer never answered a close.
   */
  code: number;
  /**
   * The close reason that the peer sent, which is untrusted text, or
   * `"idle timeout"` or `"ping timeout"` if that ended the connection; `""` if
   * there is none.
   */
  reason: string;
  /** Whether the closing handshake was completed. */
  clean: boolean;
}

/**
 * Options of {@linkcode WebSocketConnection.recv}.
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
  /** Rejects with the signal's reason when the signal aborts. */
  signal?: AbortSignal;
}

/**
 * Options of {@linkcode WebSocketConnection.recvBatch} and
 * {@linkcode WebSocketConnection.batches}.
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
   * collected so far stay in the buffer for the next call.
   */
  signal?: AbortSignal;
}

/**
 * Options of {@linkcode WebSocketConnection.ping}.
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
  /** Rejects with the signal's reason when the signal aborts. */
  signal?: AbortSignal;
}

/** Data to send: a string becomes a text message, anything else a binary one. */
type Sendable = string | ArrayBuffer | ArrayBufferView;

type Message = string | Uint8Array;

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

/** How a connection ended, as reported to `connections()`. */
export interface ConnectionEnd {
  /** The error with which `recv()` rejects at the end of the stream; `null` after a clean end. */
  readonly error: unknown;
  /** Whether `close()` ended the connection. */
  readonly ours: boolean;
  /** When the last message arrived, in milliseconds since the epoch; `null` if none did, or with no `notesMessages`. */
  readonly lastMessageAt: number | null;
}

/** The state of a connection. */
type State =
  | { readonly phase: "open" }
  /** This side sent a close frame and waits for the peer to answer. */
  | {
    readonly phase: "closing";
    readonly info: CloseInfo;
    /** Whether `close()` was called. */
    readonly ours: boolean;
  }
  /** The connection is over. `closed` resolves once the socket is released. */
  | {
    readonly phase: "closed";
    readonly info: CloseInfo;
    readonly ours: boolean;
  };

/** The close code sent when the buffer overflows. */
const OVERFLOW_CODE = 4009;

const OPEN: State = { phase: "open" };

const LOST: CloseInfo = { code: 1006, reason: "", clean: false };

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
 * @typeParam T The type of a message: `string`, or `string | Uint8Array` with
 * `binary: "bytes"`.
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
   * rejects. With capture `"direct"`, nothing is read while the buffer is full, so
   * the end is then noticed only after messages have been received.
   */
  readonly closed: Promise<CloseInfo>;

  readonly #socket: Socket;
  readonly #settings: Settings;
  readonly #inbox: Inbox<Message>;
  readonly #callbacks: SocketEvents & InboxOptions & EventListenerObject;
  readonly #onEnd: ((end: ConnectionEnd) => void) | undefined;
  readonly #settleClosed: (info: CloseInfo) => void;
  #state: State = OPEN;
  /** Whether the resources of the socket are released. */
  #isReleased = false;
  #cancelCloseTimeout = nothing;
  #cancelIdleTimeout = nothing;
  #cancelPing = nothing;
  /** The time of `performance.now()` at which data last arrived; 0 before the first look. */
  #lastTraffic = 0;
  /** The time of `performance.now()` at which reading was last resumed; `Infinity` while it is paused. */
  #resumedAt = 0;
  readonly #notesMessages: boolean;
  /** The time of `Date.now()` at which the last message arrived; 0 before the first, and with no `#notesMessages`. */
  #lastMessageAt = 0;
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
    const { socket, url, settings, onEnd, notesMessages = false } = init;
    const { signal, idleTimeout, pingInterval } = settings;
    this.url = url;
    this.protocol = socket.protocol;
    this.extensions = socket.extensions;
    this.#socket = socket;
    this.#settings = settings;
    this.#onEnd = onEnd;
    this.#notesMessages = notesMessages;
    const { promise, resolve } = Promise.withResolvers<CloseInfo>();
    this.closed = promise;
    this.#settleClosed = resolve;
    this.#callbacks = new WebSocketConnection.#Callbacks(this);
    this.#inbox = new Inbox<Message>(this.#callbacks);
    signal?.addEventListener("abort", this.#callbacks);
    if (idleTimeout !== undefined) this.#watchIdle(idleTimeout);
    if (pingInterval !== undefined) this.#keepPinging(pingInterval);
    socket.start(this.#callbacks);
    if (signal?.aborted) this.#abort();
  }

  /**
   * The messages that have arrived and not been received: their number, and
   * their size in bytes (`length` of a string, `byteLength` of a `Uint8Array`).
   * Both are 0 while a batch is collecting them.
   */
  get buffered(): { messages: number; bytes: number } {
    return this.#inbox.buffered;
  }

  /** The number of messages that `overflow: "drop-oldest"` has discarded. */
  get dropped(): number {
    return this.#inbox.dropped;
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
   * close frame or {@linkcode close} was called, and every message has been
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
    if (options === undefined) return this.#inbox.take() as Promise<T | null>;
    return this.#recvWithin(options);
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
  async recvBatch(
    duration: DurationLike,
    options: BatchOptions = {},
  ): Promise<T[]> {
    const { max, signal } = parseBatchOptions(options);
    return await this.#inbox.takeBatch(
      parseDuration(duration),
      max,
      signal,
    ) as T[];
  }

  /**
   * Iterates over batches, each collected as by {@linkcode recvBatch}. Empty
   * batches are skipped.
   *
   * The iteration ends when the connection is closed, and throws when it is
   * lost. On a connection from {@linkcode connections} it ends in both cases.
   * Leaving the loop does not close the connection.
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
    const { max, signal } = parseBatchOptions(options);
    return this.#batches(parseDuration(duration), max, signal);
  }

  async *#batches(
    duration: number,
    max: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<T[], void, undefined> {
    while (true) {
      let batch;
      try {
        batch = await this.#inbox.takeBatch(duration, max, signal) as T[];
      } catch (error) {
        // takeBatch() rejects with a ConnectionClosedError for a close and for a
        // loss alike, so the outcome decides.
        if (!isClosedError(error)) throw error;
        const outcome = this.#inbox.outcome;
        if (outcome === null || this.#onEnd !== undefined) return;
        throw outcome.error;
      }
      if (batch.length > 0) yield batch;
    }
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
    let ended = false;
    const end = () =>
      Promise.resolve({ done: true, value: undefined } as const);
    return {
      next: () => ended ? end() : this.#next(),
      return: () => {
        ended = true;
        return end();
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /**
   * Sends a message, then waits while more than 1 MiB is queued to be sent.
   *
   * Messages are sent in the order of the calls. The call resolves when the
   * socket has taken the message, which does not mean that the peer has received
   * it.
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
  async send(data: string | ArrayBuffer | ArrayBufferView): Promise<void> {
    const message = toMessage(data);
    this.#assertOpen("send");
    const queued = this.#socket.send(message);
    if (queued === null) return;
    await queued;
    this.#assertOpen("send");
  }

  /**
   * Sends a ping and waits for the pong.
   *
   * Several pings may be waiting at once. A pong answers its own ping and all
   * earlier ones.
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
    const timeout = options.timeout === undefined
      ? undefined
      : parseDuration(options.timeout);
    const signal = checkSignal(options.signal);
    if (this.#socket.ping === undefined) {
      throw new TypeError(
        `Cannot ping: it needs capture "direct", and the capture is "${this.#settings.capture}"`,
      );
    }
    signal?.throwIfAborted();
    this.#assertOpen("ping");
    return await this.#socket.ping({ timeout, signal });
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
        `Invalid close code ${code}: expected 1000, or one from 3000 to 4999`,
      );
    }
    const length = new TextEncoder().encode(reason).length;
    if (length > 123) {
      throw new TypeError(
        `Invalid close reason: expected at most 123 bytes of UTF-8, got ${length}`,
      );
    }
    if (this.#state.phase === "open") {
      const info = { code, reason, clean: false };
      this.#endClosed(info);
      this.#startClosing(info, true);
    }
    return await this.closed;
  }

  /** Closes the connection with code 1000, as {@linkcode close} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * A stream of the messages. It takes no message before it is read. The stream
   * ends when the connection is closed, and errors when it is lost; on a
   * connection from {@linkcode connections} it ends in both cases. Cancelling it
   * closes the connection with code 1000.
   */
  get readable(): ReadableStream<T> {
    return this.#readable ??= new ReadableStream<T>({
      pull: async (controller) => {
        const { done, value } = await this.#next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: async () => void await this.close(),
    }, { highWaterMark: 0 });
  }

  /**
   * A stream that sends each chunk as a message and waits as {@linkcode send}
   * does. Closing or aborting it closes the connection with code 1000.
   */
  get writable(): WritableStream<string | ArrayBuffer | ArrayBufferView> {
    return this.#writable ??= new WritableStream<Sendable>({
      write: (data) => this.send(data),
      close: async () => void await this.close(),
      abort: async () => void await this.close(),
    });
  }

  async #recvWithin({ timeout, signal }: RecvOptions): Promise<T | null> {
    return await this.#inbox.take({
      timeout: timeout === undefined ? undefined : parseDuration(timeout),
      signal: checkSignal(signal),
    }) as T | null;
  }

  /** Takes the next message of an iteration, which ends quietly at a loss if `connections()` handles it. */
  #next(): Promise<IteratorResult<T, undefined>> {
    const isEnd = this.#onEnd === undefined ? never : isClosedError;
    return this.#inbox.next(isEnd) as Promise<IteratorResult<T, undefined>>;
  }

  #receive(data: string | Uint8Array<ArrayBuffer>): void {
    if (this.#notesMessages) this.#lastMessageAt = Date.now();
    if (typeof data === "string" || this.#settings.binary === "bytes") {
      return this.#inbox.push(data);
    }
    let text;
    try {
      text = UTF8.decode(data);
    } catch (cause) {
      return this.#inbox.fail(
        new BinaryMessageError(data, { cause }),
        data.byteLength,
      );
    }
    this.#inbox.push(text);
  }

  #assertOpen(action: string): void {
    const state = this.#state;
    if (state.phase === "open") return;
    throw new ConnectionClosedError(
      `Cannot ${action}: the connection is ${state.phase}`,
      state.info,
    );
  }

  /** Called when the peer has closed the connection or answered `close()`, or the connection was lost. */
  #onSocketEnd({ code, reason, clean, problem }: SocketEnd): void {
    if (this.#state.phase === "closed") return;
    const info = { code, reason, clean };
    if (clean) {
      this.#endClosed(info);
      return this.#finish(info);
    }
    const why = problem && `: ${printable(problem)}`;
    this.#endInbox(
      new ConnectionClosedError(`The connection was lost${why}`, info),
    );
    this.#finish(info);
  }

  /** Ends the inbox cleanly, after a close frame. Does nothing if it has ended. */
  #endClosed(info: CloseInfo): void {
    this.#inbox.end(
      null,
      () => new ConnectionClosedError("websocket closed", info),
    );
  }

  /** Ends the inbox with an error. Does nothing if it has ended. */
  #endInbox(error: unknown): void {
    this.#inbox.end(
      { error },
      () =>
        error instanceof ConnectionClosedError
          ? new ConnectionClosedError("websocket closed", error)
          : error,
    );
  }

  /** Sends a close frame. The inbox has ended before, so reading goes on if it was paused, and messages that still arrive are discarded. */
  #startClosing(info: CloseInfo, ours: boolean): void {
    this.#state = { phase: "closing", info, ours };
    this.#cancelIdleTimeout();
    this.#cancelPing();
    this.#socket.close(info.code, info.reason);
    this.#cancelCloseTimeout = after(
      this.#settings.closeTimeout,
      () => this.#cut(LOST),
    );
  }

  /** Ends the connection with an error, without waiting for the peer. */
  #drop(error: unknown, info: CloseInfo): void {
    this.#endInbox(error);
    this.#cut(info);
  }

  #cut(info: CloseInfo): void {
    this.#socket.cut();
    this.#finish(info);
  }

  #finish(info: CloseInfo): void {
    const state = this.#state;
    if (state.phase === "closed") return;
    const ours = state.phase === "closing" && state.ours;
    this.#state = { phase: "closed", info, ours };
    this.#cancelIdleTimeout();
    this.#cancelPing();
    this.#cancelCloseTimeout();
    this.#settings.signal?.removeEventListener("abort", this.#callbacks);
    this.#onEnd?.({
      error: this.#inbox.outcome?.error ?? null,
      ours,
      lastMessageAt: this.#lastMessageAt || null,
    });
    if (this.#isReleased) this.#settleClosed(info);
  }

  #onRelease(): void {
    this.#isReleased = true;
    const state = this.#state;
    if (state.phase === "closed") this.#settleClosed(state.info);
  }

  #overflow(): void {
    this.#endInbox(new BufferOverflowError(this.#settings.limit));
    this.#startClosing({
      code: OVERFLOW_CODE,
      reason: "buffer overflow",
      clean: false,
    }, false);
  }

  #abort(): void {
    this.#drop(this.#settings.signal!.reason, LOST);
  }

  /** Ends the connection if it has been idle for `idleTimeout` milliseconds; otherwise checks again when it may have been. */
  #watchIdle(idleTimeout: number): void {
    const now = performance.now();
    // The time of a pause does not count, since nothing is read then; nor does
    // the time before the first check.
    if (this.#resumedAt === Infinity || this.#lastTraffic === 0) {
      this.#lastTraffic = now;
    }
    const left = this.#lastTraffic + idleTimeout - now;
    if (left > 0) {
      this.#cancelIdleTimeout = after(left, () => this.#watchIdle(idleTimeout));
      return;
    }
    this.#lose("The connection was idle for too long", "idle timeout");
  }

  /** Sends a ping every `interval` milliseconds, and ends the connection when one is not answered in time. */
  #keepPinging(interval: number): void {
    this.#cancelPing = after(interval, () => {
      this.#keepPinging(interval);
      if (this.#resumedAt === Infinity) return; // while paused, a pong is not read either
      const sentAt = performance.now();
      this.#socket.ping!({
        timeout: this.#settings.pingTimeout,
        signal: undefined,
      }).catch((error) => {
        // A ConnectionClosedError means that the connection ended, which is
        // reported elsewhere. After a pause the pong may be late.
        if (!(error instanceof DOMException) || this.#resumedAt > sentAt) {
          return;
        }
        if (this.#state.phase !== "open") return;
        this.#lose("A ping was not answered in time", "ping timeout");
      });
    });
  }

  #lose(message: string, reason: string): void {
    const info = { code: 1006, reason, clean: false };
    this.#drop(new ConnectionClosedError(message, info), info);
  }

  /**
   * What the socket, the inbox and the signal call. It is a class, because closures
   * would take half a kilobyte of every connection.
   */
  static readonly #Callbacks = class
    implements SocketEvents, InboxOptions, EventListenerObject {
    readonly #connection: WebSocketConnection<unknown>;
    readonly limit: InboxOptions["limit"];
    readonly overflow: InboxOptions["overflow"];

    constructor(connection: WebSocketConnection<unknown>) {
      const { limit, overflow } = connection.#settings;
      const { canPause } = connection.#socket;
      this.#connection = connection;
      this.overflow = canPause ? "pause" : overflow;
      this.limit = canPause
        ? { messages: limit.messages / 4, bytes: limit.bytes / 4 }
        : limit;
    }

    onMessage(message: string | Uint8Array<ArrayBuffer>): void {
      this.#connection.#receive(message);
    }

    onTraffic(): void {
      const connection = this.#connection;
      if (connection.#settings.idleTimeout === undefined) return;
      connection.#lastTraffic = performance.now();
    }

    onEnd(end: SocketEnd): void {
      this.#connection.#onSocketEnd(end);
    }

    onRelease(): void {
      this.#connection.#onRelease();
    }

    onLargeRead(): Promise<void> | null {
      return this.#connection.#inbox.waitForConsumer();
    }

    onOverflow(): void {
      this.#connection.#overflow();
    }

    onPause(): void {
      const connection = this.#connection;
      connection.#resumedAt = Infinity;
      connection.#socket.pause();
    }

    onResume(): void {
      const connection = this.#connection;
      connection.#resumedAt = connection.#lastTraffic = performance.now();
      connection.#socket.resume();
    }

    /** Called when the signal aborts. */
    handleEvent(): void {
      this.#connection.#abort();
    }
  };
}

function nothing(): void {}

function never(): boolean {
  return false;
}

function isClosedError(error: unknown): boolean {
  return error instanceof ConnectionClosedError;
}

/** Converts data to what `Socket.send()` takes, without copying it. */
function toMessage(data: Sendable): string | Uint8Array<ArrayBuffer> {
  if (typeof data === "string") return data;
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (!ArrayBuffer.isView(data)) {
    throw new TypeError(
      `Cannot send ${
        kindOf(data)
      }: expected a string, an ArrayBuffer, or a view of one`,
    );
  }
  const { buffer, byteOffset, byteLength } = data;
  if (!(buffer instanceof ArrayBuffer)) {
    throw new TypeError(
      "Cannot send a view of shared memory: expected a copy of it, which nobody changes",
    );
  }
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Decodes UTF-8. A leading byte order mark is kept, since it is part of the message. */
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function parseBatchOptions({ max = Infinity, signal }: BatchOptions): {
  max: number;
  signal: AbortSignal | undefined;
} {
  if (max !== Infinity && !(Number.isInteger(max) && max >= 1)) {
    throw new RangeError(
      `Invalid max ${String(max)}: expected a whole number from 1`,
    );
  }
  return { max, signal: checkSignal(signal) };
}
