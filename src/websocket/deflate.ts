/**
 * Compression of messages: the extension permessage-deflate (RFC 7692).
 *
 * @module
 */

import { quote } from "../escape.ts";
import { trimSpace } from "../http/headers.ts";
import { ProtocolError } from "./protocol_error.ts";
import type { Inflater } from "./receiver.ts";
import { loadZlib, type RawStream, type ZlibStreams } from "./zlib.ts";

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
    trimSpace(part)
  );
  if (name.toLowerCase() !== "permessage-deflate") {
    return `it chose the extension ${
      quote(extensions)
    }, and only permessage-deflate was offered`;
  }
  const found = new Map<string, string | true>();
  for (const parameter of parameters) {
    const [, key = "", quoted, plain] =
      /^([a-z_]+)(?:[ \t]*=[ \t]*(?:"([^"\\]*)"|([^ \t",]+)))?$/i.exec(
        parameter,
      ) ??
        [];
    const lower = key.toLowerCase();
    const value = (quoted ?? plain ?? true) as string | true;
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

/** The initial size of the output buffer in bytes. */
const CHUNK = 32 * 1024;

/** The largest output buffer that is kept for the next message, in bytes. */
const MAX_KEPT = 1024 * 1024;

/** The output after which inflating stops, in bytes. What a message inflates to is collected in pieces of this size. */
const MAX_INFLATED = 256 * 1024;

// What takes time though it gives no output, as the bytes of output that take as long:
// a byte of input (a block's table of codes) and a new series of blocks.
const COST_OF_INPUT = 16;
const COST_OF_SERIES = 1024;

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

/** How messages are compressed: as zlib does by default. */
const DEFLATE = { level: 6, memLevel: 8 };

/**
 * Loads the compression library, and creates an inflater and a deflater.
 *
 * @param side The side that uses them.
 * @param zlib The library. By default the fastest one that there is.
 */
export async function createDeflate(
  parameters: DeflateParameters,
  side: "client" | "server" = "client",
  zlib?: ZlibStreams,
): Promise<{ inflater: Inflater; deflater: Deflater }> {
  zlib ??= await loadZlib();
  const server = {
    noContext: parameters.serverNoContextTakeover,
    windowBits: parameters.serverMaxWindowBits,
  };
  const client = {
    noContext: parameters.clientNoContextTakeover,
    windowBits: parameters.clientMaxWindowBits,
  };
  const [own, peer] = side === "client" ? [client, server] : [server, client];
  // A window of 15 bits can inflate the output of any smaller one.
  const inflating = zlib.inflate(!peer.noContext);
  // zlib does not support a window of 8 bits, so nothing is compressed then.
  const deflating = own.windowBits === 8
    ? null
    : zlib.deflate({ ...DEFLATE, windowBits: own.windowBits });
  return {
    inflater: new MessageInflater(inflating, peer.noContext),
    deflater: new MessageDeflater(deflating, own.noContext),
  };
}

/** Where a small part and {@linkcode TAIL} are joined. */
const JOINED = new Uint8Array(MAX_JOINED + TAIL.length);

class MessageInflater implements Inflater {
  taken = 0;
  isDone = true;
  cost = 0;
  readonly #stream: RawStream;
  readonly #noContext: boolean;
  /** The number of bytes of {@linkcode TAIL} that the current message still needs. */
  #tailLeft = TAIL.length;
  /** The number of bytes of output, and of those that the stream has remembered. */
  #given = 0;
  #remembered = 0;

  constructor(stream: RawStream, noContext: boolean) {
    this.#stream = stream;
    this.#noContext = noContext;
  }

  push(
    part: Uint8Array,
    last: boolean,
    budget: number,
  ): Uint8Array<ArrayBuffer> {
    this.cost = this.#given = this.#remembered = 0;
    if (last && part.length <= MAX_JOINED) {
      const tail = TAIL.length - this.#tailLeft;
      JOINED.set(part);
      for (let i = 0; i < this.#tailLeft; i++) {
        JOINED[part.length + i] = TAIL[tail + i]!;
      }
      const length = part.length + this.#tailLeft;
      const taken = this.#inflate(JOINED, length, budget);
      this.taken = Math.min(taken, part.length);
      this.#tailLeft -= taken - this.taken;
    } else {
      this.taken = this.#inflate(part, part.length, budget);
      if (last && this.isDone) {
        this.#tailLeft -= this.#inflate(TAIL, TAIL.length, budget);
      }
    }
    const isWhole = last && this.isDone;
    if (isWhole) this.#tailLeft = TAIL.length;
    if (isWhole && this.#noContext) this.#stream.reset();
    else this.#remember();
    this.cost += this.#given;
    return shared.subarray(0, this.#given);
  }

  /** Inflates until the input or the budget is used up, or there is enough output. Returns how much of the input was taken. */
  #inflate(input: Uint8Array, length: number, budget: number): number {
    const stream = this.#stream;
    const end = Math.min(length, Math.ceil(budget / COST_OF_INPUT));
    let at = 0;
    while (true) {
      stream.run(input, at, end - at, shared, this.#given);
      if (stream.failed) {
        throw new ProtocolError(1007, "a compressed message is not deflate");
      }
      const { availIn, availOut } = stream;
      at = end - availIn;
      this.#given = shared.length - availOut;
      if (stream.ended) {
        // A message may contain a final block, and refer to what was before it (RFC
        // 7692 section 7.2.3.4).
        this.#remember();
        stream.restart();
        this.cost += COST_OF_SERIES;
      }
      if (availOut === 0 && shared.length < MAX_INFLATED) {
        growOutput(this.#given);
      } else if (availIn === 0 || availOut === 0 || this.cost >= budget) {
        this.isDone = at === length && availOut > 0;
        this.cost += at * COST_OF_INPUT;
        return at;
      }
    }
  }

  #remember(): void {
    if (this.#given === this.#remembered) return;
    this.#stream.remember(shared.subarray(this.#remembered, this.#given));
    this.#remembered = this.#given;
  }

  close(): void {
    this.#stream.close();
  }
}

class MessageDeflater implements Deflater {
  readonly #stream: RawStream | null;
  readonly #noContext: boolean;

  constructor(stream: RawStream | null, noContext: boolean) {
    this.#stream = stream;
    this.#noContext = noContext;
  }

  deflate(message: Uint8Array): Uint8Array<ArrayBuffer> | null {
    const stream = this.#stream;
    // With context take-over this must be decided before compressing: the message
    // then is in the window, and later messages refer to it.
    const least = this.#noContext ? MIN_WITHOUT_CONTEXT : MIN_WITH_CONTEXT;
    if (stream === null || message.length < least) return null;
    let given = 0;
    for (let at = 0;; growOutput(given)) {
      stream.run(message, at, message.length - at, shared, given);
      at = message.length - stream.availIn;
      given = shared.length - stream.availOut;
      if (stream.availOut > 0) break;
    }
    if (this.#noContext) stream.reset();
    const deflated = shared.subarray(0, given - TAIL.length);
    if (shared.length > MAX_KEPT) shared = new Uint8Array(CHUNK);
    return this.#noContext && deflated.length >= message.length
      ? null
      : deflated;
  }

  close(): void {
    this.#stream?.close();
  }
}

/** Doubles the size of the output buffer, of which the first `length` bytes are used. */
function growOutput(length: number): void {
  const grown = new Uint8Array(shared.length * 2);
  grown.set(shared.subarray(0, length));
  shared = grown;
}
