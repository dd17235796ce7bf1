import { after, type DurationLike, parseDuration } from "./duration.ts";
import {
  BinaryMessageError,
  BufferOverflowError,
  ConnectionClosedError,
} from "./errors.ts";
import { Inbox } from "./inbox.ts";
import type { Settings } from "./options.ts";
import type { Socket, SocketEnd } from "./socket.ts";
import { checkSignal, kindOf, printable } from "./text.ts";

/**
 * How a connection was closed.
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
  /** The close reason, as the peer sent it: untrusted text. */
  reason: string;
  /** Whether the closing handshake was completed. */
  clean: boolean;
}

/**
 * How long one {@linkcode WebSocketConnection.recv} may wait.
 *
 * @example Taking what is there
 * ```ts no-eval
 * import { connectWebSocket } from "@wstap/wstap";
 *
 * const [connection] = await connectWebSocket("wss://example.com/");
 * const message = await connection.recv({ timeout: 0 }).catch(() => "nothing yet");
 * console.log(message);
 * ```
 */
export interface RecvOptions {
  /** Rejects with a `TimeoutError` after this long; 0 takes what is there. None by default. */
  timeout?: DurationLike;
  /** Rejects with the signal's reason when it aborts. */
  signal?: AbortSignal;
}

/**
 * What ends one {@linkcode WebSocketConnection.recvBatch} early.
 *
 * @example Usage
 * ```ts no-eval
 * import { connectWebSocket } from "@wstap/wstap";
 *
 * const [connection] = await connectWebSocket("wss://example.com/");
 * const batch = await connection.recvBatch("3s", { max: 500 });
 * console.log(batch.length); // 500 at the most
 * ```
 */
export interface BatchOptions {
  /**
   * The most messages in one batch: a whole number from 1.
   *
   * @default {Infinity}
   */
  max?: number;
  /** Rejects with the signal's reason when it aborts; what was collected stays. */
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
  /** Rejects with a `TimeoutError` when no pong came within this time. None by default. */
  timeout?: DurationLike;
  /** Rejects with the signal's reason when it aborts. */
  signal?: AbortSignal;
}

/** What can be sent: a string as a text message, anything else as a binary one. */
type Sendable = string | ArrayBuffer | ArrayBufferView;

type Message = string | Uint8Array;

/** Options of the internal constructor of {@linkcode WebSocketConnection}. */
export interface ConnectionInit {
  /** The open socket, which has not been started. */
  readonly socket: Socket;
  /** The URL, without credentials. */
  readonly url: string;
  readonly settings: Settings;
  /**
   * Called when the connection is over. An outer loop that passes it answers a
   * loss, so iteration over the connection then ends quietly.
   */
  readonly onEnd?: (end: ConnectionEnd) => void;
}

/** How a connection ended, for the loop that connects again. */
export interface ConnectionEnd {
  /** What `recv()` rejects with at the end of the stream; `null` after a clean end. */
  readonly error: unknown;
  /** Whether `close()` ended it. */
  readonly ours: boolean;
}

/** The state of a connection. */
type State =
  | { readonly phase: "open" }
  /** A close frame was sent or received, or the connection was lost. */
  | {
    readonly phase: "closing";
    readonly info: CloseInfo;
    /** Whether `close()` began it. */
    readonly ours: boolean;
  }
  /** `closed` is settled, or about to be. */
  | {
    readonly phase: "closed";
    readonly info: CloseInfo;
    readonly ours: boolean;
  };

/** The close code for a peer that outran the buffer. */
const OVERFLOW_CODE = 4009;

const LOST: CloseInfo = { code: 1006, reason: "", clean: false };

/**
 * An open WebSocket connection whose messages are received on demand.
 *
 * No message is ever lost or reordered by a timeout, an abort, an error or a
 * close: errors take their place in the queue behind what arrived before them.
 * Calls are served in the order in which they were made. Messages that nobody
 * asks for wait in a buffer, bounded by `maxBuffer`.
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
 * @typeParam T `string`, and `Uint8Array` too where `binary` is `"bytes"`.
 */
export class WebSocketConnection<T = string>
  implements AsyncIterable<T>, AsyncDisposable {
  /** The URL that is connected to, after redirects and without credentials. */
  readonly url: string;
  /** The subprotocol that the server chose, `""` if none. */
  readonly protocol: string;
  /** The extensions that the server agreed to, `""` if none. Only `compression` offers any. */
  readonly extensions: string;
  /** Resolves when the connection is over, with how it was closed. It never rejects. */
  readonly closed: Promise<CloseInfo>;

  readonly #socket: Socket;
  readonly #settings: Settings;
  readonly #inbox: Inbox<Message>;
  readonly #onEnd: ((end: ConnectionEnd) => void) | undefined;
  readonly #settleClosed: (info: CloseInfo) => void;
  #state: State = { phase: "open" };
  #cancelCloseTimeout = () => {};
  #cancelIdleTimeout = () => {};
  #cancelPing = () => {};
  /** When something last arrived, in milliseconds of `performance.now()`. */
  #lastTraffic = 0;
  /** When reading last went on after a pause; `Infinity` during a pause. */
  #resumedAt = 0;
  #readable: ReadableStream<T> | undefined;
  #writable: WritableStream<Sendable> | undefined;

  /**
   * Creates a connection around a socket that has just opened. Connections come
   * from {@linkcode connectWebSocket} and {@linkcode connections}.
   *
   * @param init What the connection is made from.
   * @ignore
   */
  constructor(init: ConnectionInit) {
    const { socket, url, settings, onEnd } = init;
    const { limit, overflow, signal, idleTimeout, pingInterval } = settings;
    this.url = url;
    this.protocol = socket.protocol;
    this.extensions = socket.extensions;
    this.#socket = socket;
    this.#settings = settings;
    this.#onEnd = onEnd;
    const { promise, resolve } = Promise.withResolvers<CloseInfo>();
    this.closed = promise;
    this.#settleClosed = resolve;
    this.#inbox = new Inbox<Message>(
      socket.canPause
        ? {
          limit: { messages: limit.messages / 4, bytes: limit.bytes / 4 },
          overflow: "pause",
          onPause: () => {
            this.#resumedAt = Infinity;
            socket.pause();
          },
          onResume: () => {
            this.#resumedAt = this.#lastTraffic = performance.now();
            socket.resume();
          },
        }
        : { limit, overflow, onOverflow: () => this.#overflow() },
    );
    signal?.addEventListener("abort", this.#abort);
    if (idleTimeout !== undefined) this.#watchIdle(idleTimeout);
    if (pingInterval !== undefined) this.#keepPinging(pingInterval);
    socket.start({
      onMessage: (message) => this.#receive(message),
      onTraffic: idleTimeout === undefined ? () => {} : () => {
        this.#lastTraffic = performance.now();
      },
      onEnd: (end) => this.#onSocketEnd(end),
      onLargeRead: () => this.#inbox.headStart(),
    });
  }

  /**
   * The received messages that have not been taken: their count, and their size
   * in bytes (UTF-16 length for text, byte length for binary).
   */
  get buffered(): { messages: number; bytes: number } {
    return this.#inbox.buffered;
  }

  /** How many messages `overflow: "drop-oldest"` has discarded. */
  get dropped(): number {
    return this.#inbox.dropped;
  }

  /**
   * Receives the next message, in order of arrival.
   *
   * A call that rejects because of `timeout` or `signal` consumes nothing.
   *
   * @example Waiting five seconds at the most
   * ```ts no-eval
   * import { connectWebSocket } from "@wstap/wstap";
   *
   * const [connection] = await connectWebSocket("wss://example.com/");
   * const message = await connection.recv({ timeout: "5s" });
   * ```
   *
   * @param options How long it may wait.
   * @returns The message; `null`, then and ever after, once the peer or this
   * side has closed the connection with a close frame.
   * @throws {ConnectionClosedError} If the connection was lost or the peer broke
   * the protocol, once everything that arrived before has been received.
   * @throws {BinaryMessageError} If the message is binary but not UTF-8, where
   * `binary` is `"text"`.
   * @throws {BufferOverflowError} If the peer outran the buffer.
   * @throws {DOMException} Named `TimeoutError`, if no message came in time.
   * @throws {TypeError} If an option is invalid.
   */
  recv(options?: RecvOptions): Promise<T | null> {
    if (options === undefined) return this.#inbox.take() as Promise<T | null>;
    return this.#recvWithin(options);
  }

  /**
   * Collects the messages that arrive within `duration`, counted from the call.
   *
   * It resolves early when `max` messages or the limit of `maxBuffer` are
   * reached, when an error is next in the queue, or when the connection ends;
   * none of these loses a message. It never overflows the buffer while it
   * waits. With a duration of 0 it takes what is buffered.
   *
   * @example Usage
   * ```ts no-eval
   * import { connectWebSocket } from "@wstap/wstap";
   *
   * const [connection] = await connectWebSocket("wss://example.com/");
   * const batch = await connection.recvBatch("3s"); // [] if nothing came
   * ```
   *
   * @param duration How long to collect.
   * @param options What ends it early.
   * @returns The messages, in order of arrival; an empty array if none came.
   * @throws {ConnectionClosedError} With the message `websocket closed`, if the
   * connection has ended and nothing was left to collect.
   * @throws {BinaryMessageError} If the next message is binary but not UTF-8,
   * where `binary` is `"text"`.
   * @throws {BufferOverflowError} If the peer outran the buffer.
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
   * Iterates over batches, each collected as by {@linkcode recvBatch}. Windows
   * in which nothing came are left out.
   *
   * It ends when the connection is closed and throws when it is lost. Leaving
   * the loop does not close the connection.
   *
   * @example Usage
   * ```ts no-eval
   * import { connectWebSocket } from "@wstap/wstap";
   *
   * const [connection] = await connectWebSocket("wss://example.com/");
   * for await (const batch of connection.batches("3s")) console.log(batch.length);
   * ```
   *
   * @param duration How long each batch collects.
   * @param options What ends a batch early; an abort ends the iteration.
   * @returns The batches, none of them empty.
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
        // What ends a batch is the same for a close and for a loss.
        if (!(error instanceof ConnectionClosedError)) throw error;
        const outcome = this.#inbox.outcome;
        if (outcome === null || this.#endsQuietly(error)) return;
        throw outcome.error;
      }
      if (batch.length > 0) yield batch;
    }
  }

  /**
   * Iterates over the messages. It ends when the connection is closed and
   * throws when it is lost. Leaving the loop does not close the connection.
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
    const end = { done: true, value: undefined } as const;
    let ended = false;
    const onMessage = (message: Message | null) =>
      message === null ? end : { done: false as const, value: message as T };
    const onError = (error: unknown) => {
      if (this.#endsQuietly(error)) return end;
      throw error;
    };
    return {
      next: () =>
        ended
          ? Promise.resolve(end)
          : this.#inbox.take().then(onMessage, onError),
      return: () => {
        ended = true;
        return Promise.resolve(end);
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /**
   * Sends a message, and waits while more than 1 MiB is queued in the socket.
   *
   * Messages are sent in the order of the calls. That it resolves says that the
   * socket took the message, not that the peer received it.
   *
   * @example Usage
   * ```ts no-eval
   * import { connectWebSocket } from "@wstap/wstap";
   *
   * const [connection] = await connectWebSocket("wss://example.com/");
   * await connection.send(JSON.stringify({ subscribe: "events" }));
   * ```
   *
   * @param data A string for a text message, bytes for a binary one.
   * @throws {ConnectionClosedError} If the connection is closing or closed, or
   * ends while this waits.
   * @throws {TypeError} If the data is neither a string nor bytes.
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
   * Sends a ping and waits for its pong. Several pings may be under way; a pong
   * answers every ping up to its own.
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
   * @param options How long it may wait.
   * @returns The round trip in milliseconds.
   * @throws {TypeError} If the capture is not `"direct"`: Deno's WebSocket has
   * no pings.
   * @throws {ConnectionClosedError} If the connection is closing or closed, or
   * ends while this waits.
   * @throws {DOMException} Named `TimeoutError`, if no pong came in time.
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
   * Closes the connection and waits for the peer to answer, at most
   * `closeTimeout`.
   *
   * What had arrived before the call stays readable, what arrives after it is
   * discarded, and then `recv()` gives `null`. It can be called again: the
   * first call counts.
   *
   * With the captures `"preflight"` and `"none"` the native socket cannot be
   * cut: when the peer never answers, this resolves after `closeTimeout`, but
   * the socket stays open until the peer ends it, and keeps the process alive.
   * A peer that hangs up instead of answering looks there like one that answers
   * without a code (`{ code: 1005, reason: "", clean: true }`).
   *
   * @example Usage
   * ```ts no-eval
   * import { connectWebSocket } from "@wstap/wstap";
   *
   * const [connection] = await connectWebSocket("wss://example.com/");
   * const { code, clean } = await connection.close(1000, "done");
   * ```
   *
   * @param code 1000, or one from 3000 to 4999.
   * @param reason At most 123 bytes of UTF-8.
   * @returns How the connection was closed: the peer's answer, or
   * `{ code: 1006, reason: "", clean: false }` if there was none in time.
   * @throws {TypeError} If the code or the reason is not one that may be sent.
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
   * The messages as a stream. It takes none until it is read, ends when the
   * connection is closed, and errors when it is lost; cancelling it closes the
   * connection with code 1000.
   */
  get readable(): ReadableStream<T> {
    return this.#readable ??= new ReadableStream<T>({
      pull: async (controller) => {
        const message = await this.#next();
        if (message === null) controller.close();
        else controller.enqueue(message);
      },
      cancel: async () => void await this.close(),
    }, { highWaterMark: 0 });
  }

  /**
   * A stream whose chunks are sent as messages, with back-pressure as in
   * {@linkcode send}. Closing or aborting it closes the connection with code
   * 1000.
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

  /** The next message of an iteration, `null` at its end. */
  async #next(): Promise<T | null> {
    try {
      return await this.#inbox.take() as T | null;
    } catch (error) {
      if (this.#endsQuietly(error)) return null;
      throw error;
    }
  }

  #endsQuietly(error: unknown): boolean {
    return this.#onEnd !== undefined && error instanceof ConnectionClosedError;
  }

  #receive(data: string | Uint8Array<ArrayBuffer>): void {
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

  /** The peer closed the connection or answered our close, or the connection was lost. */
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

  /** Ends what can be received after a close frame; only the first end counts. */
  #endClosed(info: CloseInfo): void {
    if (this.#inbox.ended) return; // an error less to make
    this.#inbox.end(null, new ConnectionClosedError("websocket closed", info));
  }

  /** Ends what can be received with an error; only the first end counts. */
  #endInbox(error: unknown): void {
    const forBatches = error instanceof ConnectionClosedError
      ? new ConnectionClosedError("websocket closed", error)
      : error;
    this.#inbox.end({ error }, forBatches);
  }

  /** Sends the close frame. The inbox has ended, so what still arrives is discarded. */
  #startClosing(info: CloseInfo, ours: boolean): void {
    this.#state = { phase: "closing", info, ours };
    this.#cancelIdleTimeout();
    this.#cancelPing();
    this.#socket.resume(); // its close frame may come behind what was held back
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
    this.#settings.signal?.removeEventListener("abort", this.#abort);
    this.#onEnd?.({ error: this.#inbox.outcome?.error ?? null, ours });
    this.#socket.released.then(() => this.#settleClosed(info));
  }

  #overflow(): void {
    this.#endInbox(new BufferOverflowError(this.#settings.limit));
    this.#startClosing({
      code: OVERFLOW_CODE,
      reason: "buffer overflow",
      clean: false,
    }, false);
  }

  #abort = () => this.#drop(this.#settings.signal!.reason, LOST);

  /** Looks again when the time since the last traffic would be up. */
  #watchIdle(idleTimeout: number): void {
    const now = performance.now();
    // Silence during a pause is our own doing; so is all before the first look.
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

  /** Sends a ping every `interval` milliseconds, and drops the connection when one goes unanswered. */
  #keepPinging(interval: number): void {
    this.#cancelPing = after(interval, () => {
      this.#keepPinging(interval);
      if (this.#resumedAt === Infinity) return; // nothing is read, so no pong either
      const sentAt = performance.now();
      this.#socket.ping!({
        timeout: this.#settings.pingTimeout,
        signal: undefined,
      }).catch((error) => {
        // The end of the connection rejects too, and says why itself.
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
}

/** A message as sockets take it. */
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

/** Keeps a leading byte order mark: it is part of the message. */
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
