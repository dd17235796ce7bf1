/**
 * Compression of messages: the extension permessage-deflate (RFC 7692).
 *
 * Inflating and deflating are synchronous, so that messages keep their order
 * and the connection its back-pressure.
 *
 * @module
 */

import type { ZStream } from "npm:pako@3.0.3";
import { quote } from "../text.ts";
import { type Inflater, ProtocolError } from "./frames.ts";

/** What a client offers in `Sec-WebSocket-Extensions`. */
export const OFFER = "permessage-deflate; client_max_window_bits";

/** What both sides agreed on (RFC 7692 section 7.1). */
export interface DeflateParameters {
  readonly serverNoContextTakeover: boolean;
  readonly clientNoContextTakeover: boolean;
  /** The size of the server's window, as a power of 2 from 8 to 15. */
  readonly serverMaxWindowBits: number;
  /** The size of the client's window, as a power of 2 from 8 to 15. */
  readonly clientMaxWindowBits: number;
}

/** Compresses messages. */
export interface Deflater {
  /**
   * Compresses a message.
   *
   * @returns `null` if it is better sent as it is. The next call overwrites it.
   */
  deflate(message: Uint8Array): Uint8Array<ArrayBuffer> | null;
  close(): void;
}

/**
 * Reads what the server answered to {@linkcode OFFER}.
 *
 * @returns What was agreed, or the rule that the answer breaks.
 */
export function parseAgreement(
  extensions: string,
): DeflateParameters | string {
  const [name = "", ...parameters] = extensions.split(";").map((part) =>
    part.trim()
  );
  if (name.toLowerCase() !== "permessage-deflate") {
    return `it chose the extension ${
      quote(extensions)
    }, and only permessage-deflate was offered`;
  }
  const found = new Map<string, string | true>();
  for (const parameter of parameters) {
    const [, key = "", quoted, plain] =
      /^([a-z_]+)(?:\s*=\s*(?:"([^"\\]*)"|([^\s",]+)))?$/i.exec(parameter) ??
        [];
    const lower = key.toLowerCase();
    const value = quoted ?? plain ?? true;
    const isValid = /^(?:server|client)_no_context_takeover$/.test(lower)
      ? value === true
      : /^(?:server|client)_max_window_bits$/.test(lower) &&
        value !== true && /^(?:[89]|1[0-5])$/.test(value);
    if (!isValid || found.has(lower)) {
      return `it answered permessage-deflate with the parameter ${
        quote(parameter)
      }, which is ${found.has(lower) ? "given twice" : "not valid"}`;
    }
    found.set(lower, value);
  }
  return {
    serverNoContextTakeover: found.has("server_no_context_takeover"),
    clientNoContextTakeover: found.has("client_no_context_takeover"),
    serverMaxWindowBits: Number(found.get("server_max_window_bits") ?? 15),
    clientMaxWindowBits: Number(found.get("client_max_window_bits") ?? 15),
  };
}

/** The bytes that end a message before they are left out (RFC 7692 section 7.2.1). */
const TAIL = new Uint8Array([0x00, 0x00, 0xff, 0xff]);

/** How many bytes come out at a time, at first. */
const CHUNK = 16 * 1024;

/** A larger output is not kept for the next message. */
const MAX_KEPT = 1024 * 1024;

/** Parts of at most so many bytes are inflated together with {@linkcode TAIL}. */
const MAX_JOINED = 4 * 1024;

/**
 * Shorter messages are sent as they are: with the context of earlier messages,
 * and without it.
 */
const MIN_WITH_CONTEXT = 32;
const MIN_WITHOUT_CONTEXT = 256;

/** The memory level of the compressor, zlib's own default. */
const MEMORY_LEVEL = 8;

/** zlib's own default: a balance between speed and size. */
const LEVEL = 6;

/** Makes what inflates and deflates. The library is loaded only here. */
export async function createDeflate(
  parameters: DeflateParameters,
): Promise<{ inflater: Inflater; deflater: Deflater }> {
  const pako = await import("npm:pako@3.0.3");
  return {
    inflater: new PakoInflater(pako, parameters.serverNoContextTakeover),
    deflater: new PakoDeflater(
      pako,
      parameters.clientNoContextTakeover,
      parameters.clientMaxWindowBits,
    ),
  };
}

type Pako = typeof import("npm:pako@3.0.3");

class PakoInflater implements Inflater {
  readonly #pako: Pako;
  readonly #stream: ZStream;
  readonly #noContext: boolean;
  readonly #joined = new Uint8Array(MAX_JOINED + TAIL.length);

  constructor(pako: Pako, noContext: boolean) {
    this.#pako = pako;
    this.#noContext = noContext;
    this.#stream = new pako.ZStream();
    // A window of 15 bits takes what any smaller one gives; below 0 is "raw".
    pako.zlibInflateInit2(this.#stream, -15);
    this.#stream.output = new Uint8Array(CHUNK);
  }

  push(part: Uint8Array, last: boolean, room: number): Uint8Array<ArrayBuffer> {
    const stream = this.#stream;
    stream.next_out = 0;
    stream.avail_out = stream.output.length;
    if (last && part.length <= MAX_JOINED) {
      this.#joined.set(part);
      this.#joined.set(TAIL, part.length);
      this.#inflate(this.#joined, part.length + TAIL.length, room);
    } else {
      this.#inflate(part, part.length, room);
      if (last) this.#inflate(TAIL, TAIL.length, room);
    }
    if (last && this.#noContext) this.#pako.zlibInflateReset(stream);
    return takeOutput(stream);
  }

  #inflate(input: Uint8Array, length: number, room: number): void {
    const pako = this.#pako;
    const stream = this.#stream;
    stream.input = input;
    stream.next_in = 0;
    stream.avail_in = length;
    while (true) {
      const status = pako.zlibInflate(stream, pako.Z_SYNC_FLUSH);
      if (stream.next_out > room) {
        throw new ProtocolError(1009, "a message inflates to more than 64 MiB");
      }
      if (status === pako.Z_STREAM_END) {
        // A final block may stand within a message (RFC 7692 section 7.2.3.4).
        pako.zlibInflateResetKeep(stream);
      } else if (status !== pako.Z_OK && status !== pako.Z_BUF_ERROR) {
        throw new ProtocolError(1007, "a compressed message is not deflate");
      }
      if (stream.avail_in === 0 && stream.avail_out > 0) return;
      if (stream.avail_out === 0) growOutput(stream, room + 1);
    }
  }

  close(): void {
    this.#pako.zlibInflateEnd(this.#stream);
  }
}

class PakoDeflater implements Deflater {
  readonly #pako: Pako;
  readonly #noContext: boolean;
  readonly #stream: ZStream | null;

  constructor(pako: Pako, noContext: boolean, windowBits: number) {
    this.#pako = pako;
    this.#noContext = noContext;
    this.#stream = null;
    if (windowBits === 8) return; // zlib has no such window: nothing is compressed
    this.#stream = new pako.ZStream();
    pako.zlibDeflateInit2(
      this.#stream,
      LEVEL,
      8, // the one method there is
      -windowBits,
      MEMORY_LEVEL,
      pako.Z_DEFAULT_STRATEGY,
    );
    this.#stream.output = new Uint8Array(CHUNK);
  }

  deflate(message: Uint8Array): Uint8Array<ArrayBuffer> | null {
    const pako = this.#pako;
    const stream = this.#stream;
    // Decided before it enters the window: what is there must have been sent.
    const least = this.#noContext ? MIN_WITHOUT_CONTEXT : MIN_WITH_CONTEXT;
    if (stream === null || message.length < least) return null;
    stream.input = message;
    stream.next_in = 0;
    stream.avail_in = message.length;
    stream.next_out = 0;
    stream.avail_out = stream.output.length;
    while (true) {
      pako.zlibDeflate(stream, pako.Z_SYNC_FLUSH);
      if (stream.avail_out > 0) break;
      growOutput(stream, Infinity);
    }
    if (this.#noContext) pako.zlibDeflateReset(stream);
    const deflated = takeOutput(stream).subarray(0, -TAIL.length);
    return this.#noContext && deflated.length >= message.length
      ? null
      : deflated;
  }

  close(): void {
    if (this.#stream !== null) this.#pako.zlibDeflateEnd(this.#stream);
  }
}

/** Makes the output larger, up to a limit. */
function growOutput(stream: ZStream, limit: number): void {
  const { output, next_out } = stream;
  stream.output = new Uint8Array(Math.min(output.length * 2, limit));
  stream.output.set(output.subarray(0, next_out));
  stream.avail_out = stream.output.length - next_out;
}

/** What has come out. */
function takeOutput(stream: ZStream): Uint8Array<ArrayBuffer> {
  const { output, next_out } = stream;
  if (output.length > MAX_KEPT) stream.output = new Uint8Array(CHUNK);
  return output.subarray(0, next_out) as Uint8Array<ArrayBuffer>;
}
