/**
 * The layout of a frame (RFC 6455 section 5.2), encoding and masking.
 *
 * @module
 */

import { fillRandom } from "../random.ts";
import { closePayload } from "./close_codes.ts";

/** The opcodes of RFC 6455 section 5.2. */
export const OPCODE = {
  continuation: 0,
  text: 1,
  binary: 2,
  close: 8,
  ping: 9,
  pong: 10,
} as const;

/** The length of the longest header, in bytes. */
export const MAX_HEADER = 14;

/** Returns the length of a header of which at least two bytes have arrived. */
export function headerLength(header: Uint8Array, at: number): number {
  const second = header[at + 1]!;
  const length = second & 0x7f;
  return 2 + (length < 126 ? 0 : length === 126 ? 2 : 8) +
    (second < 0x80 ? 0 : 4);
}

/** Returns the length of the payload that a complete header states. */
export function payloadLength(header: Uint8Array, at: number): number {
  const length = header[at + 1]! & 0x7f;
  if (length < 126) return length;
  if (length === 126) return header[at + 2]! << 8 | header[at + 3]!;
  const view = new DataView(header.buffer, header.byteOffset + at + 2, 8);
  return view.getUint32(0) * 2 ** 32 + view.getUint32(4);
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
 * everything else about a small frame (the rows "Echo" of `bench/`).
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

/**
 * Encodes a text message of ASCII characters. Returns `null` if it has others. For a
 * short text, the loop is faster than `TextEncoder` (the rows "Echo" of `bench/`).
 */
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
  return encodeFrame(OPCODE.close, closePayload(code, reason), options);
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
export function applyMask(
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
