/**
 * Inflates binary messages for `--decompress`. A message is inflated in pieces, between
 * which the event loop has its turn, and no further than {@linkcode MAX_INFLATED}.
 *
 * @module
 */

import { CliError, EXIT } from "./errors.ts";
import { concat } from "../internal.ts";
import { decodeText, number } from "./terminal/text.ts";

/** The formats of `--decompress`. */
export type Method = "gzip" | "deflate" | "deflate-raw" | "zstd";

/** The largest size of an inflated message in bytes. */
export const MAX_INFLATED = 64 * 1024 * 1024;

/** The size of a piece of output in bytes. */
const PIECE = 64 * 1024;

/** How long the event loop may have to wait for its turn, in milliseconds. */
const MAX_TURN = 10;

/** What pako calls the format of the data around the deflated bytes. */
const WINDOW_BITS = { gzip: 31, deflate: 15, "deflate-raw": -15 };

/** A message as it is written. */
type Message = string | Uint8Array;

/** Why a message cannot be inflated, as the end of a sentence about it. */
class InflateError extends Error {}

/** Gives the inflated pieces of a message. */
type Inflate = (bytes: Uint8Array) => AsyncIterable<Uint8Array>;

/** Inflates messages. */
export class Decompressor {
  readonly #method: Method;
  readonly #inflate: Inflate;

  private constructor(method: Method, inflate: Inflate) {
    this.#method = method;
    this.#inflate = inflate;
  }

  /**
   * Loads what the format needs.
   *
   * @throws {CliError} If this Deno does not have it.
   */
  static async load(method: Method): Promise<Decompressor> {
    const inflate = method === "zstd"
      ? await loadZstd()
      : await loadDeflate(method);
    return new Decompressor(method, inflate);
  }

  /**
   * Inflates the binary messages among these; text messages stay what they are. What
   * is UTF-8 becomes a text.
   *
   * @returns The messages up to the first that cannot be inflated, and the error for it.
   */
  async all(
    messages: readonly Message[],
  ): Promise<{ messages: Message[]; error: CliError | null }> {
    const inflated: Message[] = [];
    for (const message of messages) {
      if (typeof message === "string") inflated.push(message);
      else {
        try {
          const bytes = await this.#whole(message);
          inflated.push(decodeText(bytes) ?? bytes);
        } catch (error) {
          if (!(error instanceof InflateError)) throw error;
          const what = `A message of ${number(message.length)} bytes`;
          return {
            messages: inflated,
            error: new CliError(EXIT.lost, `${what} ${error.message}`),
          };
        }
      }
    }
    return { messages: inflated, error: null };
  }

  async #whole(message: Uint8Array): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    let turn = performance.now();
    for await (const piece of this.#inflate(message)) {
      length += piece.length;
      if (length > MAX_INFLATED) {
        throw new InflateError("inflates to more than 64 MiB");
      }
      pieces.push(piece);
      if (performance.now() - turn < MAX_TURN) continue;
      await new Promise((resolve) => setTimeout(resolve, 0));
      turn = performance.now();
    }
    if (pieces.length === 0) {
      throw new InflateError(`is cut off: its ${this.#method} data has no end`);
    }
    return concat(pieces);
  }
}

async function loadDeflate(method: keyof typeof WINDOW_BITS): Promise<Inflate> {
  const pako = await import("npm:pako@3.0.3");
  const stream = new pako.ZStream();
  pako.zlibInflateInit2(stream, WINDOW_BITS[method]);
  stream.output = new Uint8Array(PIECE);
  return async function* (bytes) {
    pako.zlibInflateReset(stream);
    stream.input = bytes;
    stream.next_in = 0;
    stream.avail_in = bytes.length;
    while (true) {
      stream.next_out = 0;
      stream.avail_out = PIECE;
      const status = pako.zlibInflate(stream, pako.Z_NO_FLUSH);
      yield stream.output.slice(0, stream.next_out);
      if (status === pako.Z_STREAM_END) {
        if (stream.avail_in === 0) return;
        // A gzip file may have several members (RFC 1952 section 2.2).
        if (method !== "gzip" || !isGzip(bytes, stream.next_in)) {
          throw new InflateError(`has more behind its ${method} data`);
        }
        pako.zlibInflateReset(stream);
      } else if (status !== pako.Z_OK && status !== pako.Z_BUF_ERROR) {
        throw new InflateError(`is not ${method}`);
      } else if (stream.avail_in === 0 && stream.avail_out > 0) {
        throw new InflateError(`is cut off: its ${method} data has no end`);
      }
    }
  };
}

function isGzip(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0x1f && bytes[at + 1] === 0x8b;
}

async function loadZstd(): Promise<Inflate> {
  const { createZstdDecompress } = await import("node:zlib");
  try {
    createZstdDecompress().close();
  } catch {
    throw new CliError(
      EXIT.usage,
      `Deno ${Deno.version.deno} cannot inflate zstd: --decompress zstd needs a newer one, such as 2.9`,
    );
  }
  return async function* (bytes) {
    // Deno ignores what follows the first frame, and says nothing of a missing end.
    const frames = zstdFrames(bytes);
    if (bytes.length > 0) yield new Uint8Array(); // all frames may be empty
    for (const frame of frames) {
      const stream = createZstdDecompress();
      stream.end(frame);
      try {
        // At once: an error that comes before someone iterates ends the process.
        yield* stream;
      } catch (error) {
        if (error instanceof InflateError) throw error;
        throw new InflateError("is not zstd");
      } finally {
        stream.destroy();
      }
    }
  };
}

const ZSTD_MAGIC = 0xfd2fb528;
/** The magic numbers of frames to skip are this one and the 15 after it. */
const SKIPPABLE_MAGIC = 0x184d2a50;

// The sizes of fields in a frame's header, by the flags in its descriptor.
const DICTIONARY_ID = [0, 1, 2, 4];
const CONTENT_SIZE = [0, 2, 4, 8];

/**
 * Finds the frames in zstd data (RFC 8878 section 3.1) by their headers and those of
 * their blocks.
 */
function zstdFrames(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frames: Uint8Array[] = [];
  let at = 0;
  /** Moves on by a field, and returns the index of its beginning. */
  const take = (size: number) => {
    const start = at;
    at += size;
    if (at > bytes.length) {
      throw new InflateError("is cut off: its zstd data has no end");
    }
    return start;
  };
  while (at < bytes.length) {
    const start = at;
    if (bytes.length - at < 4 && at > 0) {
      throw new InflateError("has more behind its zstd data");
    }
    const magic = view.getUint32(take(4), true);
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
      take(view.getUint32(take(4), true));
      continue;
    }
    if (magic !== ZSTD_MAGIC) {
      throw new InflateError(
        start === 0 ? "is not zstd" : "has more behind its zstd data",
      );
    }
    const descriptor = bytes[take(1)]!;
    const isSingleSegment = (descriptor & 0x20) !== 0;
    const sizeFlag = descriptor >> 6;
    take(isSingleSegment ? 0 : 1); // the window
    take(DICTIONARY_ID[descriptor & 3]!);
    take(sizeFlag === 0 && isSingleSegment ? 1 : CONTENT_SIZE[sizeFlag]!);
    for (let isLast = false; !isLast;) {
      const header = take(3);
      const block = bytes[header]! | bytes[header + 1]! << 8 |
        bytes[header + 2]! << 16;
      isLast = (block & 1) === 1;
      // A block of type 1 repeats a single byte.
      take((block >> 1 & 3) === 1 ? 1 : block >> 3);
    }
    take((descriptor & 4) === 0 ? 0 : 4); // the checksum
    frames.push(bytes.subarray(start, at));
  }
  return frames;
}
