import { after, type DurationLike, parseDuration } from "./duration.ts";
import {
  BinaryMessageError,
  BufferOverflowError,
  ConnectionClosedError,
  printable,
} from "./errors.ts";
import { kindOf } from "./handshake.ts";
import { Inbox, type Limit } from "./inbox.ts";
import type { Line } from "./line.ts";

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

type Sendable = string | Uint8Array | ArrayBuffer;

/** What a connection is made of. */
export interface ConnectionInit {
  socket: WebSocket;
  /** What is under the socket, with capture `"tap"`. */
  line: Line | undefined;
  /** Without credentials. */
  url: string;
  binary: "text" | "bytes";
  limit: Limit;
  overflow: "error" | "drop-oldest";
  /** Milliseconds. */
  closeTimeout: number;
  /** Milliseconds. */
  idleTimeout: number | undefined;
  signal: AbortSignal | undefined;
  /** Whether iteration ends quietly at a loss: an outer loop answers it. */
  quietLoss: boolean;
}

type Message = string | Uint8Array;

/** With more bytes than this in the socket, `send()` waits. */
const SEND_HIGH_WATER = 1024 * 1024;

/** How often `bufferedAmount` is looked at, in milliseconds: it has no event. */
const SEND_POLL = 1;

/** The close code for a peer that outran the buffer. */
const OVERFLOW_CODE = 4009;

const LOST: CloseInfo = { code: 1006, reason: "", clean: false };

/** Creates a connection around a socket that has just opened. */
export let createConnection: (
  init: ConnectionInit,
) => WebSocketConnection<Message>;

/**
 * How a connection that is over came to its end: the error that `recv()` then
 * rejects with, `null` for a clean end, and whether it was `close()` that ended it.
 */
export let endOf: (
  connection: WebSocketConnection<Message>,
) => { error: unknown; ours: boolean };

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
  /** The extensions that the server chose. None is offered, so it is `""`. */
  readonly extensions: string;
  /** Resolves when the connection is over, with how it was closed. It never rejects. */
  readonly closed: Promise<CloseInfo>;

  readonly #socket: WebSocket;
  readonly #inbox: Inbox<Message>;
  readonly #init: ConnectionInit;
  readonly #settleClosed: (info: CloseInfo) => void;
  /** How it is being closed, or was closed; `null` while it is open. */
  #closing: CloseInfo | null = null;
  #over = false;
  /** Whether it was closed by `close()`, before anything else ended it. */
  #ours = false;
  /** The native socket's own words for what went wrong. */
  #failure = "";
  #cancelCloseTimeout = () => {};
  #cancelIdleTimeout = () => {};
  /** When something last arrived, in milliseconds of `performance.now()`. */
  #lastTraffic = 0;
  /** Whether the line is being held back, so that silence is our own doing. */
  #paused = false;
  readonly #nativeClosed = Promise.withResolvers<void>();
  #readable: ReadableStream<T> | undefined;
  #writable: WritableStream<Sendable> | undefined;

  static {
    createConnection = (init) => new WebSocketConnection<Message>(init);
    endOf = (connection) => ({
      error: connection.#inbox.outcome?.error ?? null,
      ours: connection.#ours,
    });
  }

  private constructor(init: ConnectionInit) {
    const { socket, line, url, limit, signal, idleTimeout } = init;
    this.url = url;
    this.protocol = line?.protocol ?? socket.protocol;
    this.extensions = socket.extensions;
    this.#socket = socket;
    this.#init = init;
    const { promise, resolve } = Promise.withResolvers<CloseInfo>();
    this.closed = promise;
    this.#settleClosed = resolve;
    this.#inbox = new Inbox<Message>(
      line === undefined
        ? { limit, overflow: init.overflow, onOverflow: () => this.#overflow() }
        : {
          limit: { messages: limit.messages / 4, bytes: limit.bytes / 4 },
          overflow: "pause",
          onPause: () => {
            this.#paused = true;
            line.pause();
          },
          onResume: () => {
            this.#paused = false;
            this.#lastTraffic = performance.now();
            line.resume();
          },
        },
    );

    const onTraffic = () => {
      this.#lastTraffic = performance.now();
    };
    if (line !== undefined) line.onTraffic = onTraffic;
    socket.onmessage = idleTimeout === undefined || line !== undefined
      ? (event) => this.#receive(event.data)
      : (event) => {
        onTraffic();
        this.#receive(event.data);
      };
    socket.onerror = (event) => {
      if (event instanceof ErrorEvent) this.#failure ||= event.message;
    };
    socket.onclose = (event) => this.#onClose(event);
    signal?.addEventListener("abort", this.#abort);
    if (idleTimeout !== undefined) {
      onTraffic();
      this.#watchIdle(idleTimeout);
    }
  }

  /**
   * What waits to be received: a number of messages, and of bytes (UTF-16
   * length for text, byte length for binary).
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
  async *batches(
    duration: DurationLike,
    options: BatchOptions = {},
  ): AsyncGenerator<T[], void, undefined> {
    const milliseconds = parseDuration(duration);
    const { max, signal } = parseBatchOptions(options);
    while (true) {
      let batch;
      try {
        batch = await this.#inbox.takeBatch(milliseconds, max, signal) as T[];
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
  [Symbol.asyncIterator](): AsyncIterator<T, void, undefined> {
    const end = { done: true, value: undefined } as const;
    const onMessage = (message: Message | null) =>
      message === null ? end : { done: false as const, value: message as T };
    const onError = (error: unknown) => {
      if (this.#endsQuietly(error)) return end;
      throw error;
    };
    return {
      next: () => this.#inbox.take().then(onMessage, onError),
      return: () => Promise.resolve(end),
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
  async send(data: string | Uint8Array | ArrayBuffer): Promise<void> {
    if (
      typeof data !== "string" && !(data instanceof Uint8Array) &&
      !(data instanceof ArrayBuffer)
    ) {
      throw new TypeError(
        `Cannot send ${
          kindOf(data)
        }: expected a string, a Uint8Array or an ArrayBuffer`,
      );
    }
    this.#assertOpen();
    this.#socket.send(data as string | Uint8Array<ArrayBuffer> | ArrayBuffer);
    while (this.#socket.bufferedAmount > SEND_HIGH_WATER) {
      await new Promise((resolve) => setTimeout(resolve, SEND_POLL));
      this.#assertOpen();
    }
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
    if (this.#closing === null) {
      this.#ours = true;
      this.#startClosing({ code, reason, clean: false });
      this.#endClosed({ code, reason, clean: false });
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
  get writable(): WritableStream<string | Uint8Array | ArrayBuffer> {
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
    return this.#init.quietLoss && error instanceof ConnectionClosedError;
  }

  #receive(data: string | ArrayBuffer): void {
    if (typeof data === "string") return this.#inbox.push(data);
    const bytes = new Uint8Array(data);
    if (this.#init.binary === "bytes") return this.#inbox.push(bytes);
    let text;
    try {
      text = UTF8.decode(bytes);
    } catch (cause) {
      return this.#inbox.fail(
        new BinaryMessageError(bytes, { cause }),
        bytes.byteLength,
      );
    }
    this.#inbox.push(text);
  }

  #assertOpen(): void {
    if (this.#closing === null && this.#socket.readyState === WebSocket.OPEN) {
      return;
    }
    throw new ConnectionClosedError(
      `Cannot send: the connection is ${this.#over ? "closed" : "closing"}`,
      this.#closing ?? LOST,
    );
  }

  #onClose({ code, reason, wasClean }: CloseEvent): void {
    this.#nativeClosed.resolve();
    this.#init.line?.socketClosed();
    // A socket that is closing takes a lost connection for an answer.
    const { closeReceived = true } = this.#init.line ?? {};
    if (wasClean && closeReceived) {
      const info = { code, reason, clean: true };
      this.#endClosed(info);
      this.#finish(info);
    } else {
      const problem = this.#init.line?.failure || this.#failure;
      const why = problem && `: ${printable(problem)}`;
      this.#endInbox(
        new ConnectionClosedError(`The connection was lost${why}`, LOST),
      );
      this.#finish(LOST);
    }
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

  /** Sends the close frame; what still arrives is discarded. */
  #startClosing(info: CloseInfo): void {
    this.#closing = info;
    this.#cancelIdleTimeout();
    this.#socket.onmessage = null;
    this.#socket.close(info.code, info.reason);
    this.#cancelCloseTimeout = after(
      this.#init.closeTimeout,
      () => this.#cut(LOST),
    );
  }

  /** Ends the connection without waiting for the peer. */
  #drop(error: unknown, info: CloseInfo): void {
    this.#endInbox(error);
    if (this.#closing === null) this.#startClosing({ ...LOST, code: 1000 });
    this.#cut(info);
  }

  /** Ends what can be ended: a native socket that waits for its peer cannot. */
  #cut(info: CloseInfo): void {
    this.#init.line?.cut();
    this.#finish(info);
  }

  #finish(info: CloseInfo): void {
    if (this.#over) return;
    this.#over = true;
    this.#closing = info;
    this.#cancelIdleTimeout();
    this.#cancelCloseTimeout();
    this.#init.signal?.removeEventListener("abort", this.#abort);
    this.#socket.onmessage = null;
    const { line, closeTimeout } = this.#init;
    if (line === undefined) return this.#settleClosed(info);
    // What the socket said last is still on its way to the server.
    const cancel = after(closeTimeout, () => line.cut());
    Promise.all([line.ended, this.#nativeClosed.promise]).then(() => {
      cancel();
      this.#settleClosed(info);
    });
  }

  #overflow(): void {
    this.#endInbox(new BufferOverflowError(this.#init.limit));
    this.#startClosing({
      code: OVERFLOW_CODE,
      reason: "buffer overflow",
      clean: false,
    });
  }

  #abort = () => this.#drop(this.#init.signal!.reason, LOST);

  /** Looks again when the time since the last traffic would be up. */
  #watchIdle(idleTimeout: number): void {
    if (this.#paused) this.#lastTraffic = performance.now();
    const left = this.#lastTraffic + idleTimeout - performance.now();
    if (left > 0) {
      this.#cancelIdleTimeout = after(left, () => this.#watchIdle(idleTimeout));
      return;
    }
    const info = { code: 1006, reason: "idle timeout", clean: false };
    this.#drop(
      new ConnectionClosedError("The connection was idle for too long", info),
      info,
    );
  }
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

/** @throws {TypeError} If the value is not a signal. */
export function checkSignal(
  signal: AbortSignal | undefined,
): AbortSignal | undefined {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(
      `Invalid signal: expected an AbortSignal, got ${kindOf(signal)}`,
    );
  }
  return signal;
}
