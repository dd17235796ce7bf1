/**
 * Compression of messages: the extension permessage-deflate (RFC 7692).
 *
 * Inflating and deflating are synchronous, so messages stay in order and nothing
 * is queued between the connection and the buffer.
 *
 * @module
 */

import type { ZStream } from "npm:pako@3.0.3";
import { quote } from "../escape.ts";
import { ProtocolError } from "./protocol_error.ts";
import type { Inflater } from "./receiver.ts";

/** The value of `Sec-WebSocket-Extensions` in the request. */
export const OFFER = "permessage-deflate; client_max_window_bits";

/** The parameters that both sides agreed on (RFC 7692 section 7.1). */
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
   * @returns The output, which the next call of any inflater or deflater overwrites,
   * or `null` if the message should be sent uncompressed.
   */
  deflate(message: Uint8Array): Uint8Array<ArrayBuffer> | null;
  /** Releases the memory. */
  close(): void;
}

/**
 * Parses the `Sec-WebSocket-Extensions` with which the server answered
 * {@linkcode OFFER}.
 *
 * @returns The parameters, or the rule that the answer violates.
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

/** The last bytes of a compressed message, which are not sent (RFC 7692 section 7.2.1). */
const TAIL = new Uint8Array([0x00, 0x00, 0xff, 0xff]);

const EMPTY = new Uint8Array();

/** The initial size of the output buffer in bytes. */
const CHUNK = 32 * 1024;

/** The largest output buffer that is kept for the next message, in bytes. */
const MAX_KEPT = 1024 * 1024;

/** The output after which inflating stops, in bytes. What a message inflates to is collected in pieces of this size. */
const MAX_INFLATED = 256 * 1024;

// What takes time though it gives no output, as the bytes of output that take as long:
// a byte of input (a block's table of codes) and a new series of blocks.
const COST_OF_INPUT = 16;
const COST_OF_SERIES = 256;

/**
 * The buffer for output. Inflating and deflating are synchronous, so all connections
 * share it, and none keeps one.
 */
let shared = new Uint8Array(CHUNK);

/** The largest part that is copied so that it can be inflated together with {@linkcode TAIL}, in bytes. */
const MAX_JOINED = 4 * 1024;

/** The shortest message that is compressed with context take-over, in bytes. */
const MIN_WITH_CONTEXT = 32;
/** The shortest message that is compressed without context take-over, in bytes. */
const MIN_WITHOUT_CONTEXT = 256;

/** The memory level of the compressor. 8 is the default of zlib. */
const MEMORY_LEVEL = 8;

/** The compression level. 6 is the default of zlib. */
const LEVEL = 6;

/**
 * Loads the compression library, and creates an inflater and a deflater.
 *
 * @param side The side that uses them.
 */
export async function createDeflate(
  parameters: DeflateParameters,
  side: "client" | "server" = "client",
): Promise<{ inflater: Inflater; deflater: Deflater }> {
  const pako = await import("npm:pako@3.0.3");
  const isClient = side === "client";
  return {
    inflater: new PakoInflater(
      pako,
      isClient
        ? parameters.serverNoContextTakeover
        : parameters.clientNoContextTakeover,
    ),
    deflater: new PakoDeflater(
      pako,
      isClient
        ? parameters.clientNoContextTakeover
        : parameters.serverNoContextTakeover,
      isClient
        ? parameters.clientMaxWindowBits
        : parameters.serverMaxWindowBits,
    ),
  };
}

type Pako = typeof import("npm:pako@3.0.3");

/** The state in which pako's inflater looks at a header, if there is one, and then at the first block. */
const HEAD = 16180;

class PakoInflater implements Inflater {
  taken = 0;
  isDone = true;
  cost = 0;
  readonly #pako: Pako;
  readonly #stream: ZStream;
  readonly #noContext: boolean;
  readonly #joined = new Uint8Array(MAX_JOINED + TAIL.length);
  /** The number of bytes of {@linkcode TAIL} that the current message still needs. */
  #tailLeft = TAIL.length;

  constructor(pako: Pako, noContext: boolean) {
    this.#pako = pako;
    this.#noContext = noContext;
    this.#stream = new pako.ZStream();
    // A window of 15 bits can inflate the output of any smaller one. A negative
    // number means raw deflate data.
    pako.zlibInflateInit2(this.#stream, -15);
  }

  push(
    part: Uint8Array,
    last: boolean,
    budget: number,
  ): Uint8Array<ArrayBuffer> {
    const stream = this.#stream;
    stream.output = shared;
    stream.next_out = 0;
    stream.avail_out = shared.length;
    this.cost = 0;
    if (last && part.length <= MAX_JOINED) {
      const tail = TAIL.subarray(TAIL.length - this.#tailLeft);
      this.#joined.set(part);
      this.#joined.set(tail, part.length);
      const taken = this.#inflate(
        this.#joined,
        part.length + tail.length,
        budget,
      );
      this.taken = Math.min(taken, part.length);
      this.#tailLeft -= taken - this.taken;
    } else {
      this.taken = this.#inflate(part, part.length, budget);
      if (last && this.isDone) {
        this.#tailLeft -= this.#inflate(TAIL, TAIL.length, budget);
      }
    }
    if (last && this.isDone) {
      this.#tailLeft = TAIL.length;
      if (this.#noContext) {
        const { state } = stream;
        state.whave = state.wnext = 0; // forgets the window
        this.#restart();
      }
    }
    stream.input = stream.output = EMPTY;
    this.cost += stream.next_out;
    return shared.subarray(0, stream.next_out);
  }

  /** Inflates until the input or the budget is used up, or there is enough output. Returns how much of the input was taken. */
  #inflate(input: Uint8Array, length: number, budget: number): number {
    const pako = this.#pako;
    const stream = this.#stream;
    const affordable = Math.ceil(budget / COST_OF_INPUT);
    stream.input = input;
    stream.next_in = 0;
    stream.avail_in = Math.min(length, affordable);
    while (true) {
      const status = pako.zlibInflate(stream, pako.Z_SYNC_FLUSH);
      if (status === pako.Z_STREAM_END) {
        this.#restart();
        this.cost += COST_OF_SERIES;
      } else if (status !== pako.Z_OK && status !== pako.Z_BUF_ERROR) {
        throw new ProtocolError(1007, "a compressed message is not deflate");
      }
      const isUsedUp = stream.avail_in === 0 && stream.avail_out > 0;
      if (stream.avail_out === 0 && shared.length < MAX_INFLATED) {
        growOutput(stream);
      } else if (isUsedUp || stream.avail_out === 0 || this.cost >= budget) {
        this.isDone = isUsedUp && stream.next_in === length;
        this.cost += stream.next_in * COST_OF_INPUT;
        return stream.next_in;
      }
    }
  }

  /**
   * Begins a new series of blocks, since a message may contain a final block (RFC
   * 7692 section 7.2.3.4). pako's own function would allocate 6 KB for each.
   */
  #restart(): void {
    const { state } = this.#stream;
    state.mode = HEAD;
    state.last = state.hold = state.bits = 0;
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
    if (windowBits === 8) return; // zlib does not support it, so nothing is compressed
    this.#stream = new pako.ZStream();
    pako.zlibDeflateInit2(
      this.#stream,
      LEVEL,
      8, // the method; deflate is the only one
      -windowBits,
      MEMORY_LEVEL,
      pako.Z_DEFAULT_STRATEGY,
    );
  }

  deflate(message: Uint8Array): Uint8Array<ArrayBuffer> | null {
    const pako = this.#pako;
    const stream = this.#stream;
    // With context take-over this must be decided before compressing: the message
    // then is in the window, and later messages refer to it.
    const least = this.#noContext ? MIN_WITHOUT_CONTEXT : MIN_WITH_CONTEXT;
    if (stream === null || message.length < least) return null;
    stream.input = message;
    stream.next_in = 0;
    stream.avail_in = message.length;
    stream.output = shared;
    stream.next_out = 0;
    stream.avail_out = shared.length;
    while (true) {
      pako.zlibDeflate(stream, pako.Z_SYNC_FLUSH);
      if (stream.avail_out > 0) break;
      growOutput(stream);
    }
    if (this.#noContext) pako.zlibDeflateReset(stream);
    const deflated = shared.subarray(0, stream.next_out - TAIL.length);
    if (shared.length > MAX_KEPT) shared = new Uint8Array(CHUNK);
    stream.input = stream.output = EMPTY; // they must not live as long as the connection
    return this.#noContext && deflated.length >= message.length
      ? null
      : deflated;
  }

  close(): void {
    if (this.#stream !== null) this.#pako.zlibDeflateEnd(this.#stream);
  }
}

/** Doubles the size of the output buffer. */
function growOutput(stream: ZStream): void {
  const grown = new Uint8Array(shared.length * 2);
  grown.set(shared.subarray(0, stream.next_out));
  stream.avail_out = grown.length - stream.next_out;
  stream.output = shared = grown;
}
