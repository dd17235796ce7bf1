/**
 * Decodes WebSocket frames into messages (RFC 6455 section 5). It does no I/O and
 * uses no timers.
 *
 * @module
 */

import { parseClose } from "./close_codes.ts";
import {
  applyMask,
  headerLength,
  MAX_HEADER,
  OPCODE,
  payloadLength,
} from "./frame.ts";
import { ProtocolError } from "./protocol_error.ts";
import { mayBeginRun, type MessageHandler, Runs } from "./runs.ts";
import { checkText, decodeText, notUtf8, UTF8, Utf8Checker } from "./utf8.ts";

/** The default of the largest size of a message in bytes. Deno's WebSocket refuses frames from this size on. */
export const MAX_MESSAGE = 64 * 1024 * 1024;

/** Receives the control frames of a {@linkcode Receiver}. */
export interface ControlHandler {
  /** Called with the payload of each ping. */
  onPing(payload: Uint8Array<ArrayBuffer>): void;
  /** Called with the payload of each pong. */
  onPong(payload: Uint8Array<ArrayBuffer>): void;
  /** Called with the close frame, which is the last frame. The code is 1005 if the frame is empty. */
  onClose(code: number, reason: string): void;
}

/** Inflates messages that arrive in one or more parts. */
export interface Inflater {
  /** The number of bytes that the last call of `push()` has taken. */
  readonly taken: number;
  /**
   * Whether the last call of `push()` has given all that there is to the part. If
   * not, the call must be repeated with what it has not taken, even if that is nothing.
   */
  readonly isDone: boolean;
  /** How much work the last call of `push()` was, in bytes of output that take as long. */
  readonly cost: number;
  /**
   * Inflates a part of a message, or a beginning of it.
   *
   * @param last Whether it is the last part of the message.
   * @param budget The cost after which the call stops, give or take 10%.
   * @returns The output. The next call of any inflater or deflater overwrites it.
   * @throws {ProtocolError} With code 1007 if the part is not valid deflate data.
   */
  push(
    part: Uint8Array,
    last: boolean,
    budget: number,
  ): Uint8Array<ArrayBuffer>;
  /** Releases the memory. */
  close(): void;
}

/** Options of {@linkcode Receiver}. */
export interface ReceiverOptions {
  /** Inflates compressed messages. Without it, a compressed message is a violation. */
  readonly inflater?: Inflater | undefined;
  /**
   * The sender of the frames. A client must mask them, and a server must not.
   *
   * @default {"server"}
   */
  readonly peer?: "server" | "client";
  /**
   * The largest size of a message in bytes, inflated.
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

/** The largest part of a text message that is checked as it arrives, in bytes. Larger ones are checked when the message is decoded. */
const MAX_CHECKED = 1024;

// The cost after which a call of `push()` stops, in bytes of output that take as long to
// inflate: some 10 milliseconds. A frame that is in no run costs so much, too.
const BUDGET = 1024 * 1024;
const COST_OF_FRAME = 64;

/** The length of the longest payload of a control frame, in bytes. */
const MAX_CONTROL = 125;

const EMPTY = new Uint8Array();

/**
 * Decodes frames from bytes that arrive in pieces of any size.
 *
 * A message that arrives in one piece is decoded directly from it. The parts of any
 * other message are collected in a buffer, whose size depends on the bytes that have
 * arrived, not on the length in the header.
 */
export class Receiver {
  readonly #messages: MessageHandler;
  readonly #control: ControlHandler;
  readonly #inflater: Inflater | undefined;
  readonly #masked: boolean;
  readonly #maxMessage: number;
  readonly #decodes: boolean;
  readonly #runs: Runs;
  /** What becomes of what arrives: see `discard()` and `end()`. */
  #mode: "receive" | "discard" | "end" = "receive";
  #stopped = false;
  /** What the current call of `push()` may still cost. */
  #budget = 0;

  /** The bytes of an incomplete header. */
  #header = EMPTY;
  /** The number of bytes of the incomplete header. */
  #headerLength = 0;

  // The current frame.
  #opcode = 0;
  #fin = false;
  /** The number of bytes of its payload that have not been taken; -1 between frames. */
  #left = -1;
  #mask = EMPTY;
  /** The index in the mask for the next byte of the payload. */
  #maskAt = 0;

  // The current message.
  /** Its opcode; 0 between messages. */
  #messageOpcode = 0;
  #compressed = false;
  /** The parts that have arrived. */
  readonly #message = new GrowingBuffer();
  /** Checks the parts of texts, once a text has come in parts. */
  #utf8: Utf8Checker | undefined;
  /** Whether a part has not been checked for UTF-8, because it was large. */
  #unchecked = false;

  /** The payload of an incomplete control frame. */
  #controlPayload = EMPTY;
  /** The number of bytes of it that have arrived. */
  #controlLength = 0;

  constructor(
    messages: MessageHandler,
    control: ControlHandler,
    options: ReceiverOptions = {},
  ) {
    this.#messages = messages;
    this.#control = control;
    this.#inflater = options.inflater;
    this.#masked = options.peer === "client";
    this.#maxMessage = options.maxMessage ?? MAX_MESSAGE;
    this.#decodes = options.decode ?? true;
    this.#runs = new Runs(messages, this.#decodes, this.#maxMessage);
  }

  /**
   * Decodes bytes, and calls the handlers. Bytes after a close frame are ignored.
   *
   * @param bytes The bytes. The receiver may write to them. The caller may reuse
   * them after the call.
   * @param capacity The longest incomplete frame, in bytes with its header, that the
   * caller can keep. By default all bytes are taken.
   * @returns The number of bytes at the end that were not taken, which the caller
   * must pass again. If `stopped` is `true`, they are what comes after the place of the stop,
   * and may be passed at once; otherwise they are an incomplete frame of at most
   * `capacity` bytes, and must be followed by the next bytes.
   * @throws {ProtocolError} If the bytes violate the protocol. The messages before
   * have been handled.
   */
  push(bytes: Uint8Array, capacity = 0): number {
    this.#stopped = false;
    this.#budget = BUDGET;
    if (this.#mode === "end") return 0;
    try {
      return bytes.length - this.#decode(bytes, capacity);
    } catch (error) {
      this.end();
      throw error;
    }
  }

  /**
   * Whether the last call of `push()` stopped, because `stop()` was called or because
   * it had inflated a lot or handled thousands of frames. There may be more to handle then, even if it returned 0.
   */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Makes the running call of `push()` stop after the current message, or the current run of small ones. */
  stop(): void {
    this.#stopped = true;
  }

  /** Drops the current message and all that follow. They are neither inflated nor kept; frames are still checked, and control frames handled. */
  discard(): void {
    if (this.#mode === "end") return;
    this.#mode = "discard";
    this.#dropMessage();
  }

  /** Ignores all that follows. */
  end(): void {
    this.#mode = "end";
    this.#dropMessage();
  }

  #dropMessage(): void {
    this.#runs.dropsRest = true;
    this.#message.clear();
  }

  /** Decodes bytes, and returns the index after the last one that was taken. */
  #decode(bytes: Uint8Array, capacity: number): number {
    let at = 0;
    while (!this.#isOver) {
      if (this.#stopped) return at;
      if (this.#left >= 0) {
        at = this.#takePayload(bytes, at);
        if (this.#stopped) continue;
        if (this.#left >= 0 || this.#isOver) break;
      }
      if (at === bytes.length) return at;
      if (this.#headerLength === 0) {
        if (
          mayBeginRun(bytes[at]) && this.#messageOpcode === 0 &&
          !this.#masked && this.#mode === "receive"
        ) {
          const next = this.#runs.take(bytes, at);
          if (next !== at) {
            at = next;
            continue;
          }
        }
        if (capacity > 0 && isCut(bytes, at, capacity)) {
          if (at + 2 <= bytes.length) {
            this.#checkHeader(bytes[at]!, bytes[at + 1]!);
          }
          return at;
        }
      }
      this.#budget -= COST_OF_FRAME;
      if (this.#budget <= 0) {
        this.#stopped = true;
        return at;
      }
      at = this.#takeHeader(bytes, at);
      if (this.#left === -1) break; // the header is incomplete
    }
    return bytes.length;
  }

  /** Whether all that follows is ignored. (A handler may cause that, which the compiler does not know.) */
  get #isOver(): boolean {
    return this.#mode === "end";
  }

  /** Decodes a header, or collects the part of it that has arrived, and returns the index after it. */
  #takeHeader(bytes: Uint8Array, at: number): number {
    let header = bytes;
    let from = at;
    let end = at;
    if (this.#headerLength > 0 || at + MAX_HEADER > bytes.length) {
      // The header may be incomplete, so its bytes are collected.
      if (this.#header.length === 0) this.#header = new Uint8Array(MAX_HEADER);
      header = this.#header;
      from = 0;
      while (
        this.#headerLength < 2 || this.#headerLength < headerLength(header, 0)
      ) {
        if (end === bytes.length) return end;
        header[this.#headerLength++] = bytes[end++]!;
        if (this.#headerLength === 2) this.#checkHeader(header[0]!, header[1]!);
      }
      this.#headerLength = 0;
    } else {
      this.#checkHeader(header[at]!, header[at + 1]!);
      end = at + headerLength(header, at);
    }
    this.#beginFrame(header, from);
    return end;
  }

  /** Checks the first two bytes of a header (RFC 6455 section 5.2). */
  #checkHeader(first: number, second: number): void {
    const opcode = first & 0x0f;
    const reserved = first & 0x70;
    const isFirst = opcode === OPCODE.text || opcode === OPCODE.binary;
    if (
      reserved !== 0 &&
      !(reserved === 0x40 && isFirst && this.#inflater !== undefined)
    ) {
      throw new ProtocolError(1002, "a frame has a reserved bit set");
    }
    if (
      opcode > OPCODE.pong || opcode > OPCODE.binary && opcode < OPCODE.close
    ) {
      throw new ProtocolError(
        1002,
        `a frame has the reserved opcode ${opcode}`,
      );
    }
    if ((second >= 0x80) !== this.#masked) {
      throw new ProtocolError(
        1002,
        this.#masked
          ? "the client sent a frame without a mask"
          : "the server masked a frame",
      );
    }
    if (opcode >= OPCODE.close) {
      if (first < 0x80) {
        throw new ProtocolError(1002, "a control frame is fragmented");
      }
      if ((second & 0x7f) > MAX_CONTROL) {
        throw new ProtocolError(
          1002,
          "a control frame is longer than 125 bytes",
        );
      }
    } else if (isFirst && this.#messageOpcode !== 0) {
      throw new ProtocolError(1002, "a message began inside another one");
    } else if (!isFirst && this.#messageOpcode === 0) {
      throw new ProtocolError(1002, "a message is continued that never began");
    }
  }

  /** Starts a frame, whose header is complete. */
  #beginFrame(header: Uint8Array, at: number): void {
    const first = header[at]!;
    const form = header[at + 1]! & 0x7f;
    const length = payloadLength(header, at);
    if (length >= 2 ** 63) {
      throw new ProtocolError(1002, "the length of a frame is 2^63 or more");
    }
    if (
      form === 126 && length < 126 || form === 127 && length < 2 ** 16
    ) {
      throw new ProtocolError(
        1002,
        "a frame has a longer length field than it needs",
      );
    }
    if (this.#masked) {
      const end = at + headerLength(header, at);
      this.#mask = header.slice(end - 4, end);
      this.#maskAt = 0;
    }
    this.#opcode = first & 0x0f;
    this.#fin = first >= 0x80;
    this.#left = length;
    if (this.#opcode >= OPCODE.close) return;
    if (this.#opcode !== OPCODE.continuation) {
      this.#messageOpcode = this.#opcode;
      this.#compressed = (first & 0x40) !== 0;
    }
    if (this.#mode !== "receive") return;
    // A compressed message may be a little longer than what it inflates to.
    const most = this.#compressed
      ? this.#maxMessage * 2 + 1024
      : this.#maxMessage;
    if (this.#message.length + length > most) throw tooLarge(this.#maxMessage);
  }

  /** Handles the next part of the payload of the current frame, and returns the index after what was taken. */
  #takePayload(bytes: Uint8Array, at: number): number {
    const end = Math.min(at + this.#left, bytes.length);
    if (this.#opcode < OPCODE.close) {
      if (this.#mode === "discard") return this.#skipPayload(at, end);
      if (this.#compressed) return this.#inflatePayload(bytes, at, end);
    }
    const isWhole = end - at === this.#left;
    const payload = bytes.subarray(at, end);
    this.#unmask(payload);
    this.#left = isWhole ? -1 : this.#left - payload.length;
    if (this.#opcode >= OPCODE.close) this.#addControl(payload, isWhole);
    else {
      this.#addPart(payload, isWhole && this.#fin, isWhole ? 0 : this.#left);
    }
    return end;
  }

  #unmask(payload: Uint8Array): void {
    if (!this.#masked) return;
    this.#maskAt = applyMask(payload, 0, this.#mask, 0, this.#maskAt);
  }

  /** Skips a part of the payload of a message, which is discarded. */
  #skipPayload(at: number, end: number): number {
    this.#left -= end - at;
    if (this.#left === 0) {
      this.#left = -1;
      if (this.#fin) this.#messageOpcode = 0;
    }
    return end;
  }

  /** Inflates the next part of a compressed message. Stops if the call of `push()` has inflated enough. */
  #inflatePayload(bytes: Uint8Array, at: number, end: number): number {
    const inflater = this.#inflater!;
    do {
      const part = bytes.subarray(at, end);
      const last = part.length === this.#left && this.#fin;
      const maskAt = this.#maskAt;
      this.#unmask(part);
      const output = inflater.push(part, last, this.#budget);
      const { taken } = inflater;
      if (this.#message.length + output.length > this.#maxMessage) {
        throw tooLarge(this.#maxMessage);
      }
      if (taken < part.length && this.#masked) {
        // The rest is passed again, so it must be as it came.
        this.#maskAt = maskAt + taken & 3;
        applyMask(part.subarray(taken), 0, this.#mask, 0, this.#maskAt);
      }
      at += taken;
      this.#left -= taken;
      this.#budget -= inflater.cost;
      if (this.#budget <= 0) this.#stopped = true;
      const isWhole = this.#left === 0 && inflater.isDone;
      if (isWhole) this.#left = -1;
      this.#addPart(output, isWhole && this.#fin, 0);
      if (isWhole) return at;
    } while (!this.#stopped && (at < end || !inflater.isDone));
    return at;
  }

  /**
   * Handles the next part of the current message.
   *
   * @param last Whether it is the last part.
   * @param toCome The number of bytes of the current frame that have not arrived.
   */
  #addPart(part: Uint8Array, last: boolean, toCome: number): void {
    if (!last || this.#message.length > 0) {
      this.#append(part, toCome);
      if (last) this.#finish();
      return;
    }
    // The whole message is in this part.
    const isText = this.#messageOpcode === OPCODE.text;
    this.#messageOpcode = 0;
    if (isText) this.#runs.countSingle();
    if (isText && this.#decodes) {
      this.#messages.onMessage(decodeText(part), true);
      return;
    }
    if (isText) checkText(part);
    this.#messages.onMessage(copy(part), isText);
  }

  /**
   * Adds a part to the current message. Small parts of a text are checked for UTF-8
   * here, so that an error is found before the message is complete. Large parts are
   * checked when the message is decoded, which is faster.
   */
  #append(part: Uint8Array, toCome: number): void {
    if (this.#messageOpcode === OPCODE.text && !this.#unchecked) {
      if (part.length > MAX_CHECKED) this.#unchecked = true;
      else if (!(this.#utf8 ??= new Utf8Checker()).push(part)) throw notUtf8();
    }
    const whole = this.#message.length + part.length + toCome;
    this.#message.append(
      part,
      this.#fin && !this.#compressed ? whole : this.#maxMessage,
    );
  }

  /** Handles the current message, which is complete. */
  #finish(): void {
    const isText = this.#messageOpcode === OPCODE.text;
    this.#messageOpcode = 0;
    if (!isText) {
      this.#messages.onMessage(this.#message.take(), false);
      return;
    }
    const isChecked = !this.#unchecked;
    if (isChecked && !this.#utf8!.isComplete) throw notUtf8();
    this.#unchecked = false;
    this.#utf8?.reset();
    if (!this.#decodes) {
      const message = this.#message.take();
      if (!isChecked) checkText(message);
      this.#messages.onMessage(message, true);
    } else {
      const bytes = this.#message.view();
      const text = isChecked ? UTF8.decode(bytes) : decodeText(bytes);
      this.#message.clear();
      this.#messages.onMessage(text, true);
    }
  }

  /** Collects the payload of a control frame, and handles it when it is complete. */
  #addControl(part: Uint8Array, isWhole: boolean): void {
    let payload: Uint8Array<ArrayBuffer>;
    if (isWhole && this.#controlLength === 0) {
      payload = part.length === 0
        ? EMPTY
        : part.slice() as Uint8Array<ArrayBuffer>;
    } else {
      if (this.#controlLength === 0) {
        this.#controlPayload = new Uint8Array(MAX_CONTROL);
      }
      this.#controlPayload.set(part, this.#controlLength);
      this.#controlLength += part.length;
      if (!isWhole) return;
      payload = this.#controlPayload.subarray(0, this.#controlLength);
      this.#controlPayload = EMPTY;
      this.#controlLength = 0;
    }
    if (this.#opcode === OPCODE.ping) return this.#control.onPing(payload);
    if (this.#opcode === OPCODE.pong) return this.#control.onPong(payload);
    const [code, reason] = parseClose(payload);
    this.end();
    this.#control.onClose(code, reason);
  }
}

/** Whether the frame at an index is incomplete, and not longer than `capacity`. */
function isCut(bytes: Uint8Array, at: number, capacity: number): boolean {
  const there = bytes.length - at;
  if (there < 2 || there < headerLength(bytes, at)) return true;
  const length = headerLength(bytes, at) + payloadLength(bytes, at);
  return there < length && length <= capacity;
}

/** The size in bytes from which a copy is created faster if its memory is not cleared before. */
const MIN_UNCLEARED = 16 * 1024;

/**
 * Copies bytes. `slice()` clears the memory first, which is a fifth of the time of a long
 * copy (the rows of 64 KiB, binary and with `decode: false`, of `bench/`).
 */
function copy(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.length < MIN_UNCLEARED
    ? bytes.slice() as Uint8Array<ArrayBuffer>
    : new Uint8Array(bytes);
}

/** Creates the error for a message that is larger than allowed. */
function tooLarge(maxMessage: number): ProtocolError {
  const mebibytes = maxMessage / (1024 * 1024);
  const limit = Number.isInteger(mebibytes)
    ? `${mebibytes} MiB`
    : maxMessage === 1
    ? "1 byte"
    : `${maxMessage} bytes`;
  return new ProtocolError(1009, `a message is larger than ${limit}`);
}

/** Collects bytes that arrive in parts. */
class GrowingBuffer {
  length = 0;
  #bytes: Uint8Array<ArrayBuffer> = EMPTY;

  /**
   * Adds a part. The buffer grows by doubling, so that adding takes time in
   * proportion to the bytes, however they are cut, and a header alone cannot make the
   * buffer large.
   *
   * @param most The most that there can be when all parts have been added. The buffer
   * grows no further.
   */
  append(part: Uint8Array, most: number): void {
    const length = this.length + part.length;
    if (length > this.#bytes.length) {
      const bytes = new Uint8Array(
        Math.max(length, Math.min(this.#bytes.length * 2, most)),
      );
      bytes.set(this.view());
      this.#bytes = bytes;
    }
    this.#bytes.set(part, this.length);
    this.length = length;
  }

  /** Returns all bytes. The next part may overwrite them. */
  view(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.length);
  }

  /** Takes all bytes. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes;
    const { length } = this;
    this.clear();
    return bytes.length === length ? bytes : bytes.slice(0, length);
  }

  /** Drops all bytes. */
  clear(): void {
    this.#bytes = EMPTY;
    this.length = 0;
  }
}
