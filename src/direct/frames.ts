/**
 * The frames of RFC 6455 section 5: decoding what a peer sends, and encoding
 * what is sent to it. Nothing here knows a network or an event loop.
 *
 * @module
 */

/** The most bytes that a message may have: as many as Deno's WebSocket takes in one frame. */
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

/** The peer broke a rule of the protocol. The message names the rule in one clause. */
export class ProtocolError extends Error {
  /** The name of the class. */
  override readonly name = "ProtocolError";
  /** The close code that tells the peer (RFC 6455 section 7.4.1). */
  readonly code: 1002 | 1007 | 1009;

  constructor(code: 1002 | 1007 | 1009, message: string) {
    super(message);
    this.code = code;
  }
}

/** Receives what a {@linkcode FrameDecoder} finds. */
export interface FrameHandler {
  /** Called with every message: a text message as a string, a binary one as bytes of its own. */
  onMessage(message: string | Uint8Array<ArrayBuffer>): void;
  onPing(payload: Uint8Array<ArrayBuffer>): void;
  onPong(payload: Uint8Array<ArrayBuffer>): void;
  /** Called with a close frame, the last frame of all; 1005 and `""` if it is empty. */
  onClose(code: number, reason: string): void;
}

/** Options of a {@linkcode FrameDecoder}. */
/** Inflates messages, each in one part or several. */
export interface Inflater {
  /**
   * Inflates a part of a message.
   *
   * @param last Whether it ends the message.
   * @param room The most bytes that may come out.
   * @returns What came out; it is overwritten by the next call.
   * @throws {ProtocolError} 1009 past `room`, 1007 for data that is not deflate.
   */
  push(part: Uint8Array, last: boolean, room: number): Uint8Array<ArrayBuffer>;
  close(): void;
}

export interface FrameDecoderOptions {
  /** Inflates compressed messages. Without it they break the protocol. */
  readonly inflater?: Inflater;
  /**
   * Who sends the frames: a client must mask them, and a server must not.
   *
   * @default {"server"}
   */
  readonly peer?: "server" | "client";
}

/** The first two bytes of an unfragmented, unmasked text frame are this and its length. */
const TEXT_FRAME = 0x80 | OPCODE.text;

/**
 * Small text messages that follow each other are decoded together, in runs of
 * at most this many bytes. Each of them then is a slice of one string, which a
 * message that is kept keeps alive.
 */
const MAX_RUN = 4096;

/** A message of more bytes than this is decoded by itself. */
const MAX_IN_RUN = 1024;

/** After a run that is not ASCII, up to so many messages are decoded by themselves. */
const MAX_SINGLES = 4096;

/** Parts of more bytes than this are checked when their message is decoded. */
const MAX_CHECKED = 1024;

const EMPTY = new Uint8Array();

/** Where the messages of a run begin and end. A run is decoded at once, so one list serves all. */
const STARTS = new Uint32Array(MAX_RUN / 2);
const ENDS = new Uint32Array(MAX_RUN / 2);

/** Keeps a leading byte order mark: it is part of the message. */
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });
const STRICT_UTF8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/**
 * Decodes frames from bytes that arrive in any pieces.
 *
 * A message of which everything has come at once is taken straight from the
 * bytes; any other is put together in a buffer that grows with what comes, not
 * with what a header announces.
 */
export class FrameDecoder {
  /**
   * Whether to take nothing more for now. It may be set within a call of the
   * handler: a read of compressed messages inflates to a thousand times its size.
   */
  paused = false;
  readonly #handler: FrameHandler;
  readonly #inflater: Inflater | undefined;
  readonly #masked: boolean;
  /** Whether a close frame or a broken rule has ended it. */
  #ended = false;

  /** A header that has not come whole, and how much of it has. */
  #header = EMPTY;
  #headerLength = 0;

  /** The frame whose payload is coming. */
  #opcode = 0;
  #fin = false;
  /** How many bytes of its payload are still to come; -1 between frames. */
  #left = -1;
  #mask = EMPTY;
  #maskAt = 0;

  /** The message that is coming: its opcode, 0 if there is none. */
  #messageOpcode = 0;
  #compressed = false;
  readonly #message = new GrowingBuffer();
  readonly #utf8 = new Utf8Checker();
  /** Whether some of the message has not been checked, because it came in large parts. */
  #unchecked = false;
  /** The payload of a control frame that has not come whole. */
  readonly #control = new GrowingBuffer();

  /** How many messages are decoded by themselves before the next run is tried, and after it. */
  #singles = 0;
  #nextSingles = 16;

  constructor(handler: FrameHandler, options: FrameDecoderOptions = {}) {
    this.#handler = handler;
    this.#inflater = options.inflater;
    this.#masked = options.peer === "client";
  }

  /**
   * Takes the bytes. Nothing is taken after a close frame.
   *
   * @param bytes They belong to the caller, who may reuse them afterwards. The
   * decoder may write to them.
   * @param capacity The longest frame, in bytes with its header, that the caller
   * can keep until it is whole. By default none is kept, and everything is taken.
   * @returns How many bytes at the end have not been taken, to be passed again
   * with what follows them: the beginning of a frame of at most `capacity` bytes,
   * or everything behind the message at which `paused` was set.
   * @throws {ProtocolError} If they break a rule. What came before is handled.
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

  /** Takes the bytes, and returns where it stopped. */
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
      if (this.#left === -1) break; // the header has not come whole
    }
    return bytes.length;
  }

  /** Takes the small text messages that begin at a place, and returns where they end. */
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
    if (count < 2) return at;
    // With ASCII in place of the headers, the run is ASCII if every message is.
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

  /** Takes a header, or what has come of it, and returns where it ends. */
  #takeHeader(bytes: Uint8Array, at: number): number {
    let header = bytes;
    let from = at;
    let end = at;
    if (this.#headerLength > 0 || at + 14 > bytes.length) {
      // It may be cut: collect it byte by byte.
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

  /** Checks what the first two bytes of a header say (RFC 6455 section 5.2). */
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

  /** Begins the frame whose whole header is there. */
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

  /** Takes payload of the present frame, which may be all of it or nothing. */
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
      // It has come whole.
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
   * Adds to the message that is coming. Text that drips in and is not UTF-8 is
   * found here, so that the message need not come to its end first; large parts
   * are checked when the message is decoded, which is faster.
   */
  #append(part: Uint8Array, toCome: number): void {
    if (this.#messageOpcode === OPCODE.text && !this.#unchecked) {
      if (part.length > MAX_CHECKED) this.#unchecked = true;
      else if (!this.#utf8.push(part)) throw notUtf8();
    }
    this.#message.append(part, part.length + toCome);
  }

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

  #takeControl(payload: Uint8Array<ArrayBuffer>): void {
    if (this.#opcode === OPCODE.ping) return this.#handler.onPing(payload);
    if (this.#opcode === OPCODE.pong) return this.#handler.onPong(payload);
    const [code, reason] = parseClose(payload);
    this.#ended = true;
    this.#handler.onClose(code, reason);
  }
}

/** Whether the frame that begins at a place has not come whole, and is no longer than `capacity`. */
function isCut(bytes: Uint8Array, at: number, capacity: number): boolean {
  const there = bytes.length - at;
  if (there < 2 || there < headerLength(bytes, at)) return true;
  const length = headerLength(bytes, at) + payloadLength(bytes, at);
  return there < length && length <= capacity;
}

/** How long a header is whose first two bytes are there. */
function headerLength(header: Uint8Array, at: number): number {
  const second = header[at + 1]!;
  const length = second & 0x7f;
  return 2 + (length < 126 ? 0 : length === 126 ? 2 : 8) +
    (second < 0x80 ? 0 : 4);
}

/** What a whole header says of the length of the payload. */
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

/** Whether a close code may be sent (RFC 6455 section 7.4, and the registry it founded). */
export function isCloseCode(code: number): boolean {
  return code >= 3000 && code <= 4999 ||
    code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 &&
      code !== 1006;
}

/**
 * Decodes text that has come whole. A decoder that looks for errors itself takes
 * twice as long, so errors are looked for where a replacement character shows up.
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

/** Bytes that come in parts. */
class GrowingBuffer {
  length = 0;
  #bytes: Uint8Array<ArrayBuffer> = EMPTY;

  /**
   * @param expected How many bytes are to come, with these. The buffer doubles
   * until it is that large, so nothing is reserved on the word of a header.
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

  /** Takes all of it. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes;
    const { length } = this;
    this.#bytes = EMPTY;
    this.length = 0;
    return bytes.length === length ? bytes : bytes.slice(0, length);
  }
}

/** Checks that bytes which come in parts are UTF-8 (RFC 3629 section 4). */
export class Utf8Checker {
  /** How many bytes of a character are still to come, and what the next may be. */
  #left = 0;
  #least = 0x80;
  #most = 0xbf;

  /** Begins with another text. */
  reset(): void {
    this.#left = 0;
    this.#least = 0x80;
    this.#most = 0xbf;
  }

  /** Whether the bytes so far end with a whole character. */
  get isComplete(): boolean {
    return this.#left === 0;
  }

  /** Takes more bytes; `false` if they cannot be UTF-8, whatever follows. */
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
        // No overlong form, no surrogate, nothing beyond U+10FFFF.
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
   * Whether the payload is masked, as a client must do.
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
   * Whether it is the last frame of its message.
   *
   * @default {true}
   */
  readonly fin?: boolean;
}

/** Encodes a frame. The payload is copied. */
export function encodeFrame(
  opcode: number,
  payload: Uint8Array,
  { mask = true, compressed = false, fin = true }: FrameOptions = {},
): Uint8Array<ArrayBuffer> {
  const { length } = payload;
  const extended = length < 126 ? 0 : length < 2 ** 16 ? 2 : 8;
  const start = 2 + extended + (mask ? 4 : 0);
  // The payload begins at a multiple of 4, so that it can be masked in words.
  const padding = -start & 3;
  const frame = new Uint8Array(
    new ArrayBuffer(padding + start + length),
    padding,
  );
  frame[0] = (fin ? 0x80 : 0) | (compressed ? 0x40 : 0) | opcode;
  frame[1] = (mask ? 0x80 : 0) |
    (extended === 0 ? length : extended === 2 ? 126 : 127);
  if (extended === 2) {
    frame[2] = length >> 8;
    frame[3] = length;
  } else if (extended === 8) {
    new DataView(frame.buffer, padding).setBigUint64(2, BigInt(length));
  }
  frame.set(payload, start);
  if (mask) {
    writeMask(frame, start - 4);
    applyMask(frame, start, frame, start - 4, 0);
  }
  return frame;
}

/** Encodes a text message. */
export function encodeText(
  text: string,
  options?: FrameOptions,
): Uint8Array<ArrayBuffer> {
  return encodeFrame(OPCODE.text, ENCODER.encode(text), options);
}

/** Encodes a close frame; one without a code is empty. The reason is cut at 123 bytes. */
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

/** Random bytes for masks: asking for them one by one costs more than all the rest. */
const RANDOM = new Uint8Array(8192);
let randomUsed = RANDOM.length;

/** Writes a fresh mask; none is used twice. */
function writeMask(frame: Uint8Array, at: number): void {
  if (randomUsed === RANDOM.length) {
    crypto.getRandomValues(RANDOM);
    randomUsed = 0;
  }
  for (let i = 0; i < 4; i++) frame[at + i] = RANDOM[randomUsed++]!;
}

/** Below so many bytes, making an array of words takes longer than it saves. */
const MIN_FOR_WORDS = 256;

/**
 * Masks or unmasks the end of an array in place (RFC 6455 section 5.3).
 *
 * @param at Where the payload begins.
 * @param maskAt Where the 4 bytes of the mask are in `mask`.
 * @param from How many bytes of the payload came before these, modulo 4.
 * @returns The same for what follows.
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
