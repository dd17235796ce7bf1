/**
 * Decodes and encodes WebSocket frames (RFC 6455 section 5). It does no I/O and
 * uses no timers.
 *
 * @module
 */

import { fillRandom } from "../random.ts";

/** The largest size of a message in bytes. It is also the largest frame that Deno's WebSocket accepts. */
export const MAX_MESSAGE = 64 * 1024 * 1024;

/** The opcodes of RFC 6455 section 5.2. */
export const OPCODE = {
  continuation: 0,
  text: 1,
  binary: 2,
  close: 8,
  ping: 9,
  pong: 10,
} as const;

/** Thrown if the peer violates the protocol. The message is a clause that names the violation. */
export class ProtocolError extends Error {
  /** The name of the class. */
  override readonly name = "ProtocolError";
  /** The close code to send to the peer (RFC 6455 section 7.4.1). */
  readonly code: 1002 | 1007 | 1009;

  constructor(code: 1002 | 1007 | 1009, message: string) {
    super(message);
    this.code = code;
  }
}

/** The callbacks of a {@linkcode FrameDecoder}. */
export interface FrameHandler {
  /** Called with each message: a string for a text message, bytes that are not reused for a binary one. */
  onMessage(message: string | Uint8Array<ArrayBuffer>): void;
  /** Called with the payload of each ping. */
  onPing(payload: Uint8Array<ArrayBuffer>): void;
  /** Called with the payload of each pong. */
  onPong(payload: Uint8Array<ArrayBuffer>): void;
  /** Called with the close frame, which is the last frame. The code is 1005 if the frame is empty. */
  onClose(code: number, reason: string): void;
}

/** Inflates messages that arrive in one or more parts. */
export interface Inflater {
  /**
   * Inflates a part of a message.
   *
   * @param last Whether it is the last part of the message.
   * @param room The largest output in bytes.
   * @returns The output. The next call overwrites it.
   * @throws {ProtocolError} With code 1009 if the output would be larger than
   * `room`, with code 1007 if the part is not valid deflate data.
   */
  push(part: Uint8Array, last: boolean, room: number): Uint8Array<ArrayBuffer>;
  /** Releases the memory. */
  close(): void;
}

/** Options of {@linkcode FrameDecoder}. */
export interface FrameDecoderOptions {
  /** Inflates compressed messages. Without it, a compressed message is a protocol error. */
  readonly inflater?: Inflater;
  /**
   * The sender of the frames. A client must mask them, and a server must not.
   *
   * @default {"server"}
   */
  readonly peer?: "server" | "client";
}

/** The first byte of an unfragmented, uncompressed text frame. */
const TEXT_FRAME = 0x80 | OPCODE.text;

/**
 * The longest run, in bytes. A run is a series of small text messages that are
 * decoded together into one string, of which each message then is a slice. A
 * message that is kept keeps the string of its run alive, hence the limit.
 */
const MAX_RUN = 4096;

/** The largest message in a run, in bytes. Larger ones are decoded alone. */
const MAX_IN_RUN = 1024;

/** The largest number of messages that are decoded alone after a run that was not ASCII. */
const MAX_SINGLES = 4096;

/** The largest part of a text message that is checked as it arrives, in bytes. Larger ones are checked when the message is decoded. */
const MAX_CHECKED = 1024;

const EMPTY = new Uint8Array();

// The indices at which the messages of a run start and end. Runs are decoded one
// at a time, so all decoders share them.
const STARTS = new Uint32Array(MAX_RUN / 2);
const ENDS = new Uint32Array(MAX_RUN / 2);

/** Decodes UTF-8, replacing malformed bytes. A leading byte order mark is kept, since it is part of the message. */
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });
const STRICT_UTF8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/**
 * Decodes frames from bytes that arrive in pieces of any size.
 *
 * A message that arrives in one piece is decoded directly from it. The parts of any
 * other message are collected in a buffer, whose size depends on the bytes that have
 * arrived, not on the length in the header.
 */
export class FrameDecoder {
  /**
   * Whether `push()` should stop after the current message. A callback may set it,
   * since one read of compressed messages can inflate to a thousand times its size.
   */
  paused = false;
  readonly #handler: FrameHandler;
  readonly #inflater: Inflater | undefined;
  readonly #masked: boolean;
  /** Whether a close frame or a protocol error has ended the stream. */
  #ended = false;

  /** The bytes of an incomplete header. */
  #header = EMPTY;
  /** The number of bytes of the incomplete header. */
  #headerLength = 0;

  // The current frame.
  #opcode = 0;
  #fin = false;
  /** The number of bytes of its payload that have not arrived; -1 between frames. */
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
  readonly #utf8 = new Utf8Checker();
  /** Whether a part has not been checked for UTF-8, because it was large. */
  #unchecked = false;

  /** The payload of an incomplete control frame. */
  readonly #control = new GrowingBuffer();

  /** The number of messages to decode alone before the next run is tried. */
  #singles = 0;
  /** The value of `#singles` after the next run that is not ASCII. */
  #nextSingles = 16;

  constructor(handler: FrameHandler, options: FrameDecoderOptions = {}) {
    this.#handler = handler;
    this.#inflater = options.inflater;
    this.#masked = options.peer === "client";
  }

  /**
   * Decodes bytes, and calls the callbacks. Bytes after a close frame are ignored.
   *
   * @param bytes The bytes. The decoder may write to them. The caller may reuse
   * them after the call.
   * @param capacity The longest incomplete frame, in bytes with its header, that the
   * caller can keep. By default all bytes are taken.
   * @returns The number of bytes at the end that were not taken. The caller must
   * pass them again, followed by the next bytes. They are an incomplete frame of at
   * most `capacity` bytes, or all bytes after the message at which `paused` was set.
   * @throws {ProtocolError} If the bytes violate the protocol. The messages before
   * have been handled.
   */
  push(bytes: Uint8Array, capacity = 0): number {
    if (this.#ended) return 0;
    try {
      return bytes.length - this.#decode(bytes, capacity);
    } catch (error) {
      this.#ended = true;
      throw error;
    }
  }

  /** Decodes bytes, and returns the index after the last one that was taken. */
  #decode(bytes: Uint8Array, capacity: number): number {
    let at = 0;
    while (!this.#ended) {
      if (this.paused) return at;
      if (this.#left >= 0) {
        const end = Math.min(at + this.#left, bytes.length);
        this.#takePayload(bytes, at, end);
        at = end;
        if (this.#left >= 0 || this.#ended) break;
      }
      if (at === bytes.length) return at;
      if (this.#headerLength === 0) {
        if (
          bytes[at] === TEXT_FRAME && this.#messageOpcode === 0 && !this.#masked
        ) {
          const next = this.#takeRun(bytes, at);
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
      at = this.#takeHeader(bytes, at);
      if (this.#left === -1) break; // the header is incomplete
    }
    return bytes.length;
  }

  /** Decodes the run of small text messages at an index, if there is one, and returns the index after it. */
  #takeRun(bytes: Uint8Array, at: number): number {
    if (this.#singles > 0) return at;
    const limit = Math.min(at + MAX_RUN, bytes.length);
    let count = 0;
    let end = at;
    while (end + 2 <= limit && bytes[end] === TEXT_FRAME) {
      let start = end + 2;
      let length = bytes[end + 1]!;
      if (length > 125) {
        if (length !== 126 || end + 4 > limit) break;
        length = bytes[end + 2]! << 8 | bytes[end + 3]!;
        if (length < 126 || length > MAX_IN_RUN) break;
        start += 2;
      }
      if (start + length > limit) break;
      STARTS[count] = start;
      end = start + length;
      ENDS[count++] = end;
    }
    if (count === 0) return at;
    if (count === 1) {
      this.#handler.onMessage(decodeText(bytes.subarray(STARTS[0], end)));
      return end;
    }
    // The headers are overwritten with ASCII, so that the whole run is ASCII if all
    // messages are.
    for (let i = 0, from = at; i < count; from = ENDS[i++]!) {
      for (let j = from; j < STARTS[i]!; j++) bytes[j] = 0;
    }
    const text = UTF8.decode(bytes.subarray(at, end));
    if (text.length === end - at && !text.includes("\ufffd")) {
      this.#nextSingles = 16;
      for (let i = 0; i < count; i++) {
        this.#handler.onMessage(text.slice(STARTS[i]! - at, ENDS[i]! - at));
      }
      return end;
    }
    this.#singles = this.#nextSingles;
    this.#nextSingles = Math.min(this.#nextSingles * 2, MAX_SINGLES);
    for (let i = 0; i < count; i++) {
      this.#handler.onMessage(
        decodeText(bytes.subarray(STARTS[i]!, ENDS[i]!)),
      );
    }
    return end;
  }

  /** Decodes a header, or collects the part of it that has arrived, and returns the index after it. */
  #takeHeader(bytes: Uint8Array, at: number): number {
    let header = bytes;
    let from = at;
    let end = at;
    if (this.#headerLength > 0 || at + 14 > bytes.length) {
      // The header may be incomplete, so its bytes are collected.
      if (this.#header.length === 0) this.#header = new Uint8Array(14);
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
      if ((second & 0x7f) > 125) {
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
    if (this.#message.length + length > MAX_MESSAGE) throw tooLarge();
  }

  /** Handles the bytes between two indices as the next part of the payload of the current frame. */
  #takePayload(bytes: Uint8Array, at: number, end: number): void {
    const isWhole = end - at === this.#left;
    const payload = bytes.subarray(at, end);
    if (this.#masked) {
      this.#maskAt = applyMask(payload, 0, this.#mask, 0, this.#maskAt);
    }
    this.#left = isWhole ? -1 : this.#left - payload.length;
    if (this.#opcode >= OPCODE.close) {
      if (isWhole && this.#control.length === 0) {
        return this.#takeControl(payload.slice());
      }
      this.#control.append(payload, payload.length);
      if (isWhole) this.#takeControl(this.#control.take());
      return;
    }
    const last = isWhole && this.#fin;
    const part = this.#compressed
      ? this.#inflater!.push(payload, last, MAX_MESSAGE - this.#message.length)
      : payload;
    if (last && this.#message.length === 0 && this.#utf8.isComplete) {
      // The whole message is in this part.
      const opcode = this.#messageOpcode;
      this.#messageOpcode = 0;
      if (this.#singles > 0) this.#singles--;
      this.#handler.onMessage(
        opcode === OPCODE.text ? decodeText(part) : part.slice(),
      );
    } else {
      this.#append(part, this.#compressed || isWhole ? 0 : this.#left);
      if (last) this.#finish();
    }
  }

  /**
   * Adds a part to the current message. Small parts of a text are checked for UTF-8
   * here, so that an error is found before the message is complete. Large parts are
   * checked when the message is decoded, which is faster.
   *
   * @param toCome The number of bytes of the frame that have not arrived.
   */
  #append(part: Uint8Array, toCome: number): void {
    if (this.#messageOpcode === OPCODE.text && !this.#unchecked) {
      if (part.length > MAX_CHECKED) this.#unchecked = true;
      else if (!this.#utf8.push(part)) throw notUtf8();
    }
    this.#message.append(part, part.length + toCome);
  }

  /** Decodes the current message, which is complete. */
  #finish(): void {
    const isText = this.#messageOpcode === OPCODE.text;
    this.#messageOpcode = 0;
    const message = this.#message.take();
    if (!isText) return this.#handler.onMessage(message);
    if (this.#unchecked) {
      this.#unchecked = false;
      this.#utf8.reset();
      return this.#handler.onMessage(decodeText(message));
    }
    if (!this.#utf8.isComplete) throw notUtf8();
    this.#handler.onMessage(UTF8.decode(message));
  }

  /** Handles a control frame, whose payload is complete. */
  #takeControl(payload: Uint8Array<ArrayBuffer>): void {
    if (this.#opcode === OPCODE.ping) return this.#handler.onPing(payload);
    if (this.#opcode === OPCODE.pong) return this.#handler.onPong(payload);
    const [code, reason] = parseClose(payload);
    this.#ended = true;
    this.#handler.onClose(code, reason);
  }
}

/** Whether the frame at an index is incomplete, and not longer than `capacity`. */
function isCut(bytes: Uint8Array, at: number, capacity: number): boolean {
  const there = bytes.length - at;
  if (there < 2 || there < headerLength(bytes, at)) return true;
  const length = headerLength(bytes, at) + payloadLength(bytes, at);
  return there < length && length <= capacity;
}

/** Returns the length of a header of which at least two bytes have arrived. */
function headerLength(header: Uint8Array, at: number): number {
  const second = header[at + 1]!;
  const length = second & 0x7f;
  return 2 + (length < 126 ? 0 : length === 126 ? 2 : 8) +
    (second < 0x80 ? 0 : 4);
}

/** Returns the length of the payload that a complete header states. */
function payloadLength(header: Uint8Array, at: number): number {
  const length = header[at + 1]! & 0x7f;
  if (length < 126) return length;
  if (length === 126) return header[at + 2]! << 8 | header[at + 3]!;
  const view = new DataView(header.buffer, header.byteOffset + at + 2, 8);
  return view.getUint32(0) * 2 ** 32 + view.getUint32(4);
}

function parseClose(payload: Uint8Array): [code: number, reason: string] {
  if (payload.length === 0) return [1005, ""];
  if (payload.length === 1) {
    throw new ProtocolError(1002, "a close frame has half a code");
  }
  const code = payload[0]! << 8 | payload[1]!;
  if (!isCloseCode(code)) {
    throw new ProtocolError(
      1002,
      `a close frame has the code ${code}, which must not be sent`,
    );
  }
  return [code, decodeText(payload.subarray(2))];
}

/** Whether a close code may be sent (RFC 6455 section 7.4, and the IANA registry of close codes). */
export function isCloseCode(code: number): boolean {
  return code >= 3000 && code <= 4999 ||
    code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 &&
      code !== 1006;
}

/**
 * Decodes a complete text. A decoder that throws on errors takes twice as long, so
 * it is used only if the output of the other one has a replacement character.
 *
 * @throws {ProtocolError} With code 1007, if the text is not UTF-8.
 */
function decodeText(bytes: Uint8Array): string {
  const text = UTF8.decode(bytes);
  if (!text.includes("\ufffd")) return text;
  try {
    return STRICT_UTF8.decode(bytes);
  } catch {
    throw notUtf8();
  }
}

function notUtf8(): ProtocolError {
  return new ProtocolError(1007, "a text is not UTF-8");
}

function tooLarge(): ProtocolError {
  return new ProtocolError(1009, "a message is larger than 64 MiB");
}

/** Collects bytes that arrive in parts. */
class GrowingBuffer {
  length = 0;
  #bytes: Uint8Array<ArrayBuffer> = EMPTY;

  /**
   * Adds a part.
   *
   * @param expected The number of bytes that are expected, including this part. The
   * buffer grows to that size by doubling, so that a header alone cannot make it
   * large.
   */
  append(part: Uint8Array, expected: number): void {
    const length = this.length + part.length;
    if (length > this.#bytes.length) {
      const whole = this.length + expected;
      const grown = Math.max(length, this.#bytes.length * 2);
      const bytes = new Uint8Array(
        grown > whole && whole >= length && expected > part.length
          ? whole
          : grown,
      );
      bytes.set(this.#bytes.subarray(0, this.length));
      this.#bytes = bytes;
    }
    this.#bytes.set(part, this.length);
    this.length = length;
  }

  /** Takes all bytes. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes;
    const { length } = this;
    this.#bytes = EMPTY;
    this.length = 0;
    return bytes.length === length ? bytes : bytes.slice(0, length);
  }
}

/** Checks whether bytes that arrive in parts are UTF-8 (RFC 3629 section 4). */
export class Utf8Checker {
  /** The number of bytes of the current character that have not arrived. */
  #left = 0;
  /** The range in which the next of them must be. */
  #least = 0x80;
  #most = 0xbf;

  /** Starts with a new text. */
  reset(): void {
    this.#left = 0;
    this.#least = 0x80;
    this.#most = 0xbf;
  }

  /** Whether the bytes so far end with a complete character. */
  get isComplete(): boolean {
    return this.#left === 0;
  }

  /** Checks more bytes. Returns `false` if the text is not UTF-8. */
  push(bytes: Uint8Array): boolean {
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i]!;
      if (this.#left > 0) {
        if (byte < this.#least || byte > this.#most) return false;
        this.#left--;
        this.#least = 0x80;
        this.#most = 0xbf;
      } else if (byte >= 0x80) {
        if (byte < 0xc2 || byte > 0xf4) return false;
        this.#left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
        // Excludes overlong forms, surrogates and code points beyond U+10FFFF.
        if (byte === 0xe0) this.#least = 0xa0;
        else if (byte === 0xed) this.#most = 0x9f;
        else if (byte === 0xf0) this.#least = 0x90;
        else if (byte === 0xf4) this.#most = 0x8f;
      }
    }
    return true;
  }
}

/** Options of {@linkcode encodeFrame}. */
export interface FrameOptions {
  /**
   * Whether to mask the payload, as a client must.
   *
   * @default {true}
   */
  readonly mask?: boolean;
  /**
   * Whether the payload is compressed (RFC 7692 section 6).
   *
   * @default {false}
   */
  readonly compressed?: boolean;
  /**
   * Whether the frame is the last one of its message.
   *
   * @default {true}
   */
  readonly fin?: boolean;
}

/** Encodes a frame. The payload is copied. */
export function encodeFrame(
  opcode: number,
  payload: Uint8Array,
  options: FrameOptions = {},
): Uint8Array<ArrayBuffer> {
  const frame = createFrame(opcode, payload.length, options);
  const start = frame.length - payload.length;
  frame.set(payload, start);
  if (options.mask !== false) applyMask(frame, start, frame, start - 4, 0);
  return frame;
}

/** Creates a frame with its header, its mask, and room for its payload. */
function createFrame(
  opcode: number,
  length: number,
  { mask = true, compressed = false, fin = true }: FrameOptions,
): Uint8Array<ArrayBuffer> {
  const extended = length < 126 ? 0 : length < 2 ** 16 ? 2 : 8;
  const start = 2 + extended + (mask ? 4 : 0);
  // The payload starts at a multiple of 4 bytes, so that 4 bytes can be masked at
  // once.
  const padding = -start & 3;
  const frame = allocate(padding + start + length, padding);
  frame[0] = (fin ? 0x80 : 0) | (compressed ? 0x40 : 0) | opcode;
  frame[1] = (mask ? 0x80 : 0) |
    (extended === 0 ? length : extended === 2 ? 126 : 127);
  if (extended === 2) {
    frame[2] = length >> 8;
    frame[3] = length;
  } else if (extended === 8) {
    new DataView(frame.buffer, frame.byteOffset)
      .setBigUint64(2, BigInt(length));
  }
  if (mask) fillRandom(frame, start - 4, 4);
  return frame;
}

/** The size of the buffer that small frames share, in bytes. */
const SHARED = 8192;

/** The largest frame in the shared buffer, in bytes. */
const MAX_SHARED = 1024;

let shared = new ArrayBuffer(SHARED);
let sharedUsed = 0;

/**
 * Allocates `size` bytes at a multiple of 4, and skips the first `padding` ones.
 * Small arrays are parts of one buffer, because creating a buffer takes longer than
 * everything else about a small frame.
 */
function allocate(size: number, padding: number): Uint8Array<ArrayBuffer> {
  if (size > MAX_SHARED) return new Uint8Array(new ArrayBuffer(size), padding);
  if (sharedUsed + size > SHARED) {
    shared = new ArrayBuffer(SHARED);
    sharedUsed = 0;
  }
  const at = sharedUsed;
  sharedUsed += size + 3 & ~3;
  return new Uint8Array(shared, at + padding, size - padding);
}

/** The longest text of which it is worth to try whether it is ASCII, in characters. A longer one is encoded faster by `TextEncoder`. */
const MAX_ASCII = 256;

/** Encodes a text message. */
export function encodeText(
  text: string,
  options: FrameOptions = {},
): Uint8Array<ArrayBuffer> {
  return text.length <= MAX_ASCII && encodeAscii(text, options) ||
    encodeFrame(OPCODE.text, ENCODER.encode(text), options);
}

/** Encodes a text message of ASCII characters. Returns `null` if it has others. */
function encodeAscii(
  text: string,
  options: FrameOptions,
): Uint8Array<ArrayBuffer> | null {
  const { length } = text;
  const frame = createFrame(OPCODE.text, length, options);
  const start = frame.length - length;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return null;
    frame[start + i] = code;
  }
  if (options.mask !== false) applyMask(frame, start, frame, start - 4, 0);
  return frame;
}

/** Encodes a close frame. Without a code its payload is empty. The reason is cut after 123 bytes. */
export function encodeClose(
  code?: number,
  reason = "",
  options?: FrameOptions,
): Uint8Array<ArrayBuffer> {
  if (code === undefined) return encodeFrame(OPCODE.close, EMPTY, options);
  const payload = new Uint8Array(125);
  payload[0] = code >> 8;
  payload[1] = code;
  const { written } = ENCODER.encodeInto(reason, payload.subarray(2));
  return encodeFrame(OPCODE.close, payload.subarray(0, 2 + written), options);
}

const ENCODER = new TextEncoder();

/** The shortest payload that is masked 4 bytes at once, in bytes. For a shorter one, creating the array of words takes longer than it saves. */
const MIN_FOR_WORDS = 256;

/**
 * Masks or unmasks the end of an array in place (RFC 6455 section 5.3).
 *
 * @param at The index at which the payload starts.
 * @param maskAt The index in `mask` at which the 4 bytes of the mask are.
 * @param from The number of bytes of the payload before these, modulo 4.
 * @returns The value of `from` for the bytes that follow.
 */
function applyMask(
  bytes: Uint8Array,
  at: number,
  mask: Uint8Array,
  maskAt: number,
  from: number,
): number {
  const length = bytes.length - at;
  let done = 0;
  const start = bytes.byteOffset + at;
  if (length >= MIN_FOR_WORDS && from === 0 && start % 4 === 0) {
    const words = new Uint32Array(bytes.buffer, start, length >> 2);
    const [word] = new Uint32Array(mask.slice(maskAt, maskAt + 4).buffer);
    for (let i = 0; i < words.length; i++) words[i]! ^= word!;
    done = words.length * 4;
  }
  for (; done < length; done++) {
    bytes[at + done]! ^= mask[maskAt + (from + done & 3)]!;
  }
  return from + done & 3;
}
