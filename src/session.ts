/**
 * A session: one open socket, the inbox in front of it, and how long either may take.
 *
 * **Phases.** A session is in one of these, and only ever goes down the list:
 *
 * | phase | what may happen | left by |
 * | --- | --- | --- |
 * | `open` | messages both ways | `onSendEnd()`, `close()`, an overflow, the end |
 * | `receiving` | nothing can be sent any more; what has arrived is still received | `close()`, an overflow, the end |
 * | `closing` | a close frame was sent; what arrives is discarded | the end |
 * | `ended` | nothing arrives any more; what has arrived can be received | `onRelease()` |
 * | `released` | the same; `closed` has resolved | |
 *
 * **The end of the stream** of messages is the inbox's, and comes with or before that of
 * the socket. Whatever ends it first decides what `recv()` gives after the last message:
 * `null` after a close frame of either side, otherwise an error.
 *
 * **One way to hold back.** After each read the socket asks `readOn()`. Four things
 * answer there: the high-water mark of the inbox (while a `ping()` waits, its limit), a
 * consumer that is keeping up, and the turn of the event loop. A socket that cannot wait
 * never asks, and its inbox overflows.
 *
 * **Time limits.**
 *
 * | limit | waits for | ends with |
 * | --- | --- | --- |
 * | `idleTimeout` | bytes, or messages where those are not seen | reason `idle timeout` |
 * | `messageTimeout` | a message | reason `message timeout` |
 * | `pingTimeout` | bytes, once a ping of `pingInterval` is not answered | reason `ping timeout` |
 * | `closeTimeout` | the release of the socket, once it is being closed | code 1006 |
 *
 * The first three are those of `silence.ts`.
 *
 * @module
 */

import { Arrivals } from "./arrivals.ts";
import { checkSignal, kindOf } from "./checks.ts";
import {
  BinaryMessageError,
  BufferOverflowError,
  ConnectionClosedError,
} from "./errors.ts";
import { printable } from "./escape.ts";
import { Gate } from "./gate.ts";
import { Inbox, type InboxOptions, type Limit } from "./inbox.ts";
import type { Settings } from "./options.ts";
import { unlessAborted } from "./unless_aborted.ts";
import { type Judged, Silence } from "./silence.ts";
import {
  LARGE_READ,
  type PingOptions,
  type Socket,
  type SocketEnd,
  type SocketEvents,
} from "./socket.ts";
import { after } from "./timers.ts";
import { STRICT_UTF8, UTF8, Utf8Checker } from "./websocket/utf8.ts";

/**
 * The close code and reason of a connection.
 *
 * With the captures `"preflight"` and `"none"`, a peer that ends the connection without
 * answering `close()` cannot be told from one that answers
 * with a close frame without a code: Deno's WebSocket reports both as
 * `{ code: 1005, reason: "", clean: true }`.
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
   * `"idle timeout"`, `"message timeout"` or `"ping timeout"` if that ended the
   * connection; `""` if there is none.
   */
  reason: string;
  /** Whether the closing handshake was completed. */
  clean: boolean;
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

/** Data to send: a string becomes a text message, anything else a binary one. */
export type Sendable = string | ArrayBuffer | ArrayBufferView;

/** A received message. */
export type Message = string | Uint8Array;

/** Options of {@linkcode Session}. */
export interface SessionInit {
  /** An open socket whose `start()` has not been called. */
  readonly socket: Socket;
  readonly settings: Settings;
  /** Called when the connection is over. */
  readonly onEnd?: (end: ConnectionEnd) => void;
  /** Whether `onEnd` must tell when the last message arrived. */
  readonly notesMessages?: boolean;
}

/** The phase of a session, as the head of this file describes it. */
interface State {
  readonly phase: "open" | "receiving" | "closing" | "ended" | "released";
  /** The reported code and reason, once the phase is not `open`. */
  readonly info: CloseInfo;
  /** Whether `close()` has been called while the connection was not over. */
  readonly ours: boolean;
}

const LOST: CloseInfo = { code: 1006, reason: "", clean: false };

const OPEN: State = { phase: "open", info: LOST, ours: false };
const RECEIVING: State = { phase: "receiving", info: LOST, ours: false };

/** The close code sent when the buffer overflows. */
const OVERFLOW_CODE = 4009;

/**
 * One open socket and its inbox. It is itself what these and the signal call, because
 * closures would take half a kilobyte of every connection (the row "idle connection" of
 * `bench/`).
 */
export class Session
  implements SocketEvents, InboxOptions<Message>, Judged, EventListenerObject {
  /** The messages that have arrived and not been received. */
  readonly inbox: Inbox<Message>;
  /** Resolves with the close code and reason when everything is released. Never rejects. */
  readonly closed: Promise<CloseInfo>;
  /** When the messages of the inbox arrived; `null` if that is not asked for. */
  readonly arrivals: Arrivals | null;
  readonly limit: Limit;
  readonly overflow: InboxOptions<Message>["overflow"];
  readonly #socket: Socket;
  readonly #settings: Settings;
  readonly #onEnd: ((end: ConnectionEnd) => void) | undefined;
  readonly #settleClosed: (info: CloseInfo) => void;
  readonly #gate = new Gate();
  #state: State = OPEN;
  /** Judges the silence of the peer, if there is a limit to it. */
  readonly #silence: Silence | null;
  #cancelHeartbeat = nothing;
  #cancelClose = nothing;
  /** The calls of `ping()` that wait. */
  #waitingPings = 0;

  constructor({ socket, settings, onEnd, notesMessages = false }: SessionInit) {
    const { signal, heartbeat } = settings;
    this.#socket = socket;
    this.#settings = settings;
    this.#onEnd = onEnd;
    this.arrivals = settings.notesArrivals ? new Arrivals() : null;
    this.limit = settings.limit;
    this.overflow = socket.canWait ? "pause" : settings.overflow;
    this.inbox = new Inbox<Message>(this, this.#gate);
    const { promise, resolve } = Promise.withResolvers<CloseInfo>();
    this.closed = promise;
    this.#settleClosed = resolve;
    this.#silence = notesMessages || Silence.isLimited(settings)
      ? new Silence(settings, this)
      : null;
    signal?.addEventListener("abort", this);
    if (heartbeat !== undefined) this.#keepBeating(heartbeat);
    socket.start(this);
    if (signal?.aborted) this.handleEvent();
  }

  /** Whether a loss is answered elsewhere, by `connections()`, so that iterating ends at it without an error. */
  get endsQuietly(): boolean {
    return this.#onEnd !== undefined;
  }

  /**
   * Sends a message, then waits while too much is queued to be sent.
   *
   * @param signal Ends the wait, not the sending.
   * @throws {ConnectionClosedError} If the connection is not open, or not any more
   * after the wait.
   * @throws {TypeError} If the data cannot be sent.
   */
  async send(data: Sendable, signal?: AbortSignal): Promise<void> {
    const message = toMessage(data);
    this.#assertOpen("send");
    const queued = this.#socket.send(message);
    if (queued !== null) {
      if (signal === undefined) await queued;
      else await unlessAborted(signal, () => queued);
    } else if (!this.#gate.pass()) {
      await new Promise<void>((resolve) => this.#gate.hold(resolve));
    }
    this.#assertOpen("send");
  }

  /** Sends a ping, and resolves with the round-trip time in milliseconds. While it waits, the inbox may fill up to its limit. */
  async ping({ timeout, signal }: PingOptions): Promise<number> {
    checkSignal(signal);
    if (this.#socket.ping === undefined) {
      throw new TypeError(
        `Cannot ping: it needs capture "direct", and the capture is "${this.#settings.capture}"`,
      );
    }
    signal?.throwIfAborted();
    this.#assertOpen("ping");
    this.#waitingPings++;
    this.inbox.wake();
    try {
      return await this.#socket.ping({ timeout, signal });
    } finally {
      this.#waitingPings--;
    }
  }

  /** Closes the connection with a code and a reason that may be sent, unless it is closing or over, and resolves when it is over. */
  close(code: number, reason: string): Promise<CloseInfo> {
    const { phase } = this.#state;
    if (phase === "open" || phase === "receiving") {
      const info = { code, reason, clean: false };
      this.#state = { phase: "closing", info, ours: true };
      this.#endCleanly();
      this.#startClosing();
    }
    return this.closed;
  }

  /**
   * Ends the connection after `closeTimeout` if it is not over by then: for what must
   * send before it can close.
   *
   * @returns A function that cancels that.
   */
  limitClosing(): () => void {
    return after(this.#settings.closeTimeout, () => {
      this.#endCleanly();
      this.#terminate(LOST);
    });
  }

  // --- What the socket calls ---

  onTraffic(): void {
    this.arrivals?.read();
    if (this.#silence !== null) this.#silence.onTraffic();
  }

  onMessage(message: string | Uint8Array<ArrayBuffer>): boolean {
    const { inbox, arrivals } = this;
    if (arrivals !== null) arrivals.add();
    if (this.#silence !== null) this.#silence.onMessage();
    if (typeof message === "string" || this.#keepsBytes()) inbox.push(message);
    else if (!inbox.ended) {
      const text = decode(message);
      if (text === null) inbox.fail(message);
      else inbox.push(text);
    }
    return !inbox.isFull(this.#waitingPings > 0);
  }

  readOn(length: number, arrivedAt: number): Promise<void> | null {
    const wait = this.#holdBack(length >= LARGE_READ);
    if (wait === null) return this.#gate.read(arrivedAt);
    return this.#waitToRead(wait, arrivedAt);
  }

  async #waitToRead(
    wait: Promise<void> | null,
    arrivedAt: number,
  ): Promise<void> {
    for (; wait !== null; wait = this.#holdBack(false)) await wait;
    await this.#gate.read(arrivedAt);
  }

  /** Returns what the socket must wait for before it reads on, if the inbox says so, and notes whether reading stands still. */
  #holdBack(isLarge: boolean): Promise<void> | null {
    const upToLimit = this.#waitingPings > 0;
    const wait = this.inbox.wait(isLarge, upToLimit);
    this.#silence?.onRead(wait !== null && this.inbox.isFull(upToLimit));
    return wait;
  }

  onSendEnd(): void {
    if (this.#state.phase !== "open") return;
    this.#state = RECEIVING;
    this.#silence?.stopPinging();
    this.#cancelHeartbeat();
    // A socket that cannot wait has delivered all that there is, and may never end.
    if (!this.#socket.canWait) this.#limitClose();
  }

  onEnd({ code, reason, clean, problem }: SocketEnd): void {
    const { ours } = this.#state;
    const info = { code, reason, clean };
    this.#state = { phase: "ended", info, ours };
    if (clean) this.#endCleanly();
    else if (!this.inbox.ended) {
      const why = problem && `: ${printable(problem)}`;
      this.#endWith(
        new ConnectionClosedError(`The connection was lost${why}`, info),
      );
    }
    this.#silence?.end();
    this.#cancelHeartbeat();
    this.#settings.signal?.removeEventListener("abort", this);
    this.#onEnd?.({
      error: this.inbox.outcome?.error ?? null,
      ours,
      lastMessageAt: this.#silence?.lastMessageAt ?? null,
    });
  }

  onRelease(): void {
    const { info, ours } = this.#state;
    this.#state = { phase: "released", info, ours };
    this.#cancelClose();
    this.#settleClosed(info);
  }

  // --- What the inbox, the silence and the signal call ---

  onOverflow(): void {
    this.#endWith(new BufferOverflowError(this.#settings.limit));
    const info = {
      code: OVERFLOW_CODE,
      reason: "buffer overflow",
      clean: false,
    };
    this.#state = { phase: "closing", info, ours: false };
    this.#startClosing();
  }

  toError(message: Message): unknown {
    const data = message as Uint8Array;
    let cause;
    try {
      STRICT_UTF8.decode(data);
    } catch (error) {
      cause = error;
    }
    return new BinaryMessageError(data, { cause });
  }

  sendPing(): Promise<number> {
    return this.#socket.ping!({ timeout: undefined, signal: undefined });
  }

  onSilence(message: string, reason: string): void {
    const info = { ...LOST, reason };
    this.#endWith(new ConnectionClosedError(message, info));
    this.#terminate(info);
  }

  /** Called when the signal aborts. */
  handleEvent(): void {
    this.#endWith(this.#settings.signal!.reason);
    this.#terminate(LOST);
  }

  // --- The end ---

  #assertOpen(action: string): void {
    const { phase, info } = this.#state;
    if (phase === "open") return;
    throw new ConnectionClosedError(
      `Cannot ${action}: the connection is ${
        phase === "receiving"
          ? "lost"
          : phase === "closing"
          ? "closing"
          : "closed"
      }`,
      info,
    );
  }

  /**
   * Ends the inbox without an error, after a close frame of either side. Does nothing if
   * it has ended. A batch then rejects with the code and reason that hold by then, since
   * the peer may not have answered yet.
   */
  #endCleanly(): void {
    this.inbox.end(
      null,
      () => new ConnectionClosedError("websocket closed", this.#state.info),
    );
  }

  /** Ends the inbox with an error. Does nothing if it has ended. */
  #endWith(error: unknown): void {
    this.inbox.end(
      { error },
      () =>
        error instanceof ConnectionClosedError
          ? new ConnectionClosedError("websocket closed", error)
          : error,
    );
  }

  /** Sends a close frame. The inbox has ended before, so nothing holds the socket back, and messages that still arrive are discarded. */
  #startClosing(): void {
    const { code, reason } = this.#state.info;
    this.#silence?.end();
    this.#cancelHeartbeat();
    this.#limitClose();
    this.#socket.close(code, reason);
  }

  /** Ends the connection if it is not over and released after `closeTimeout`. */
  #limitClose(): void {
    this.#cancelClose();
    this.#cancelClose = after(
      this.#settings.closeTimeout,
      () => this.#terminate(LOST),
    );
  }

  /** Ends the connection without the closing handshake. */
  #terminate({ code, reason, clean }: CloseInfo): void {
    this.#socket.terminate({ code, reason, clean, problem: "" });
  }

  /** Sends a message every `interval` milliseconds, except while much is queued to be sent. */
  #keepBeating(heartbeat: NonNullable<Settings["heartbeat"]>): void {
    const { message, interval } = heartbeat;
    this.#cancelHeartbeat = after(interval, () => {
      this.#keepBeating(heartbeat);
      if (this.#socket.isSendQueueFull()) return;
      try {
        const data = toMessage(
          typeof message === "function" ? message() : message,
        );
        // The function may have closed the connection.
        if (this.#state.phase === "open") void this.#socket.send(data);
      } catch (error) {
        this.#endWith(error);
        this.#terminate(LOST);
      }
    });
  }

  /** Whether binary messages are received as they are. */
  #keepsBytes(): boolean {
    return this.#settings.binary === "bytes" || !this.#settings.decode;
  }
}

function nothing(): void {}

/**
 * Converts data to what `Socket.send()` takes, without copying it.
 *
 * @throws {TypeError} If it cannot be sent.
 */
function toMessage(data: Sendable): string | Uint8Array<ArrayBuffer> {
  if (typeof data === "string") return data;
  if (isArrayBuffer(data)) return new Uint8Array(data);
  if (!ArrayBuffer.isView(data)) {
    throw new TypeError(
      `Cannot send ${
        kindOf(data)
      }: expected a string, an ArrayBuffer, or a view of one`,
    );
  }
  const { buffer, byteOffset, byteLength } = data;
  if (!isArrayBuffer(buffer)) {
    throw new TypeError(
      "Cannot send a view of shared memory: expected a copy of it, which nobody changes",
    );
  }
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Whether a value is an `ArrayBuffer`, also one of another realm, as of `node:vm`. */
function isArrayBuffer(value: unknown): value is ArrayBuffer {
  return value instanceof ArrayBuffer ||
    Object.prototype.toString.call(value) === "[object ArrayBuffer]";
}

/** Decodes UTF-8; `null` if it is none. That costs no error, which would cost more than most messages. */
function decode(bytes: Uint8Array): string | null {
  const text = UTF8.decode(bytes);
  if (!text.includes("\ufffd")) return text;
  const checker = new Utf8Checker();
  return checker.push(bytes) && checker.isComplete ? text : null;
}
