/**
 * One WebSocket connection without its I/O (RFC 6455 sections 5.5 and 7): which
 * frame answers which, who may send, and when it is over; from either side.
 *
 * What always holds:
 *
 * - Bytes go in through {@linkcode Protocol.receive}; messages and events come out
 *   through the handler, in the order in which they arrived, during that call. All
 *   methods may be called from within the handler.
 * - Frames go out through `handler.write()`, whole, and must be written in that order.
 *   The pong of {@linkcode Protocol.takePong} alone may overtake those that wait.
 * - A message or a ping is sent only in the state `"open"`. In any other, `send()` and
 *   `ping()` return `false` and nothing is encoded, compressed or handed out.
 * - At most one close frame goes out, and nothing goes out behind it. It answers the
 *   peer's (with its code), reports a violation (section 7.4.1), or is that of `close()`.
 * - Exactly one of `onClose()` and `onFail()` is called, and nothing after it; none
 *   of them after `terminate()`.
 * - The peer's ping is answered at once if nothing is being written, and otherwise by
 *   `takePong()`, which knows 16 pings at most, among them the newest. That one answers
 *   all before it (section 5.5.3), so a flood of pings costs no memory. Pings that come
 *   after the close frame of either side are not answered.
 * - After `close()`, messages of the peer are dropped: not inflated, decoded or kept.
 *   After the end, bytes are dropped unseen, and the memory of compression is released.
 *   After `writeFailed()`, what has arrived is still received.
 * - `receive()` takes time in proportion to the bytes that it is given, and stops by
 *   itself after it has inflated about 1 MiB or handled 16,384 frames that are in no run.
 *   Whoever gives it at most half a MiB at a time gets the event loop back after some ten
 *   milliseconds, a single long message aside.
 *
 * @module
 */

import type { Deflater } from "./deflate.ts";
import { encodeClose, encodeFrame, encodeText, OPCODE } from "./frame.ts";
import { ProtocolError } from "./protocol_error.ts";
import { type ControlHandler, type Inflater, Receiver } from "./receiver.ts";
import type { MessageHandler } from "./runs.ts";

/** What a {@linkcode Protocol} calls. */
export interface ProtocolHandler extends MessageHandler {
  /** Whether frames that were handed out have not been written. Looked at when a ping arrives. */
  readonly isWriting: boolean;
  /** Called with each frame that is to be written. It must not be changed. */
  write(frame: Uint8Array<ArrayBuffer>): void;
  /** Called with the payload of each pong. */
  onPong(payload: Uint8Array<ArrayBuffer>): void;
  /**
   * Called with the close frame of the peer, after it has been answered. The
   * connection is over, but for writing what is left. The code is 1005 if the frame
   * has none.
   */
  onClose(code: number, reason: string): void;
  /** Called when the peer violates the protocol, after the close frame that says so has been handed out. */
  onFail(error: ProtocolError): void;
}

/** Options of {@linkcode Protocol}. */
export interface ProtocolOptions {
  /** The side that it plays. A client masks its frames. */
  readonly side: "client" | "server";
  /** Compression, if it was agreed on. The protocol releases it. */
  readonly deflate?: {
    readonly inflater: Inflater;
    readonly deflater: Deflater;
  } | undefined;
  /**
   * The largest size of a message of the peer in bytes, inflated. A larger one is a
   * violation with code 1009.
   *
   * @default {67_108_864}
   */
  readonly maxMessage?: number | undefined;
  /**
   * Whether texts are decoded. If not, they are given as their UTF-8, checked.
   *
   * @default {true}
   */
  readonly decode?: boolean | undefined;
}

/**
 * The state of a {@linkcode Protocol}.
 *
 * - `"open"`: both sides may send.
 * - `"closing"`: this side has sent its close frame, and the peer's has not come.
 * - `"unwritable"`: a write has failed. What the peer sent before is still received.
 * - `"closed"`: the peer's close frame has come.
 * - `"failed"`: the peer violated the protocol.
 * - `"terminated"`: the transport was cut or lost.
 */
export type ProtocolState =
  | "open"
  | "closing"
  | "unwritable"
  | "closed"
  | "failed"
  | "terminated";

/** A WebSocket connection without its I/O. */
export class Protocol implements ControlHandler {
  #state: ProtocolState = "open";
  readonly #handler: ProtocolHandler;
  readonly #receiver: Receiver;
  /** Compression, while it may be needed. */
  #deflate: ProtocolOptions["deflate"];
  readonly #plain: { readonly mask: boolean };
  readonly #compressed: { readonly mask: boolean; readonly compressed: true };
  /** The payloads of the pings that have not been answered, once one has had to wait. */
  #unanswered: Uint8Array[] | null = null;

  constructor(handler: ProtocolHandler, options: ProtocolOptions) {
    const { side, deflate, maxMessage, decode } = options;
    this.#handler = handler;
    this.#deflate = deflate;
    [this.#plain, this.#compressed] = side === "client"
      ? CLIENT_FRAMES
      : SERVER_FRAMES;
    this.#receiver = new Receiver(handler, this, {
      inflater: deflate?.inflater,
      peer: side === "client" ? "server" : "client",
      maxMessage,
      decode,
    });
  }

  /** The state. */
  get state(): ProtocolState {
    return this.#state;
  }

  /**
   * Takes bytes of the peer, and calls the handler for what they complete.
   *
   * @param bytes The bytes. They may be written to. The caller may reuse them after
   * the call.
   * @param capacity The longest incomplete frame, in bytes with its header, that the
   * caller can keep. A frame that is kept until it is whole is not copied. By default
   * all bytes are taken.
   * @returns The number of bytes at the end that were not taken, and must be passed
   * again: if {@linkcode stopped}, alone and whenever the caller likes; otherwise
   * followed by the next bytes.
   */
  receive(bytes: Uint8Array, capacity = 0): number {
    try {
      return this.#receiver.push(bytes, capacity);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#fail(error);
      return 0;
    }
  }

  /**
   * Whether the last `receive()` stopped before it had handled all that it could,
   * because of `stop()`, or because it had inflated a lot or handled thousands of frames. The next one must then get
   * what was not taken, even if that is nothing.
   */
  get stopped(): boolean {
    return this.#receiver.stopped;
  }

  /**
   * Makes the running `receive()` stop: after the current message, or after the
   * current run of small ones, which are 4 KiB together. Does nothing outside of it.
   */
  stop(): void {
    this.#receiver.stop();
  }

  /**
   * Sends a message: a string as text, bytes as binary. Bytes are copied.
   *
   * @returns Whether it was handed out.
   */
  send(data: string | Uint8Array): boolean {
    if (this.#state !== "open") return false;
    this.#handler.write(
      this.#deflate === undefined
        ? typeof data === "string"
          ? encodeText(data, this.#plain)
          : encodeFrame(OPCODE.binary, data, this.#plain)
        : this.#compress(data, this.#deflate.deflater),
    );
    return true;
  }

  #compress(
    data: string | Uint8Array,
    deflater: Deflater,
  ): Uint8Array<ArrayBuffer> {
    const isText = typeof data === "string";
    const bytes = isText ? ENCODER.encode(data) : data;
    const deflated = deflater.deflate(bytes);
    return encodeFrame(
      isText ? OPCODE.text : OPCODE.binary,
      deflated ?? bytes,
      deflated === null ? this.#plain : this.#compressed,
    );
  }

  /**
   * Sends a ping.
   *
   * @param payload At most 125 bytes.
   * @returns Whether it was handed out.
   */
  ping(payload: Uint8Array): boolean {
    if (this.#state !== "open") return false;
    this.#handler.write(encodeFrame(OPCODE.ping, payload, this.#plain));
    return true;
  }

  /**
   * Starts the closing handshake. Messages of the peer are dropped from now on.
   *
   * @param code A code that may be sent; `undefined` sends a close frame without one.
   * @param reason It is cut after 123 bytes.
   * @returns Whether a close frame was handed out: only in the state `"open"`.
   */
  close(code?: number, reason = ""): boolean {
    if (this.#state !== "open") return false;
    for (let pong; (pong = this.takePong()) !== null;) {
      this.#handler.write(pong);
    }
    this.#end("closing");
    this.#receiver.discard();
    this.#handler.write(encodeClose(code, reason, this.#plain));
    return true;
  }

  /**
   * Takes the pong that answers the next unanswered ping. It must be called after each
   * write, and the pong be written before anything else that waits.
   *
   * @returns The frame, or `null` if there is none.
   */
  takePong(): Uint8Array<ArrayBuffer> | null {
    const payload = this.#unanswered?.shift();
    if (payload === undefined) return null;
    return encodeFrame(OPCODE.pong, payload, this.#plain);
  }

  /** Says that a write has failed: nothing is sent any more, but what has arrived is received. */
  writeFailed(): void {
    if (this.#state === "open" || this.#state === "closing") {
      this.#unanswered = null;
      this.#state = "unwritable";
    }
  }

  /** Says that the transport was cut or lost: nothing is sent or received any more, and the handler is not called. */
  terminate(): void {
    if (this.#state !== "closed" && this.#state !== "failed") {
      this.#end("terminated");
    }
    this.#receiver.end();
  }

  /** Leaves the state `"open"`, or a later one. */
  #end(state: Exclude<ProtocolState, "open" | "unwritable">): void {
    this.#state = state;
    this.#unanswered = null;
    const deflate = this.#deflate;
    if (deflate === undefined) return;
    this.#deflate = undefined;
    deflate.inflater.close();
    deflate.deflater.close();
  }

  #fail(error: ProtocolError): void {
    const maySend = this.#state === "open";
    this.#end("failed");
    if (maySend) {
      this.#handler.write(encodeClose(error.code, error.message, this.#plain));
    }
    this.#handler.onFail(error);
  }

  /** Called by the receiver. */
  onPing(payload: Uint8Array<ArrayBuffer>): void {
    if (this.#state !== "open") return;
    if (!this.#handler.isWriting) {
      this.#handler.write(encodeFrame(OPCODE.pong, payload, this.#plain));
      return;
    }
    const unanswered = this.#unanswered ??= [];
    if (unanswered.length === MAX_UNANSWERED) unanswered.pop();
    unanswered.push(payload);
  }

  /** Called by the receiver. */
  onPong(payload: Uint8Array<ArrayBuffer>): void {
    this.#handler.onPong(payload);
  }

  /** Called by the receiver. */
  onClose(code: number, reason: string): void {
    const maySend = this.#state === "open";
    this.#end("closed");
    if (maySend) {
      const answer = code === 1005 ? undefined : code;
      this.#handler.write(encodeClose(answer, "", this.#plain));
    }
    this.#handler.onClose(code, reason);
  }
}

/** The largest number of pings that wait for their answer. */
const MAX_UNANSWERED = 16;

const CLIENT_FRAMES = [
  { mask: true },
  { mask: true, compressed: true },
] as const;
const SERVER_FRAMES = [
  { mask: false },
  { mask: false, compressed: true },
] as const;

const ENCODER = new TextEncoder();
