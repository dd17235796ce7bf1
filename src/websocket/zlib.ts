/**
 * The compression that `deflate.ts` runs synchronously, so that messages stay in order
 * and nothing is queued between the connection and the buffer.
 *
 * Deno's own zlib is two to three times as fast as one in JavaScript (the rows
 * "permessage-deflate" of `bench/`), but its public interface is either asynchronous or
 * knows no window. What is used here is what Node's own streams are made of,
 * `_handle.writeSync()`. Where that is not as expected, `pako` takes its place.
 *
 * @module
 */

import type { ZStream } from "npm:pako@3.0.3";

/** A stream of raw deflate data, in either direction. */
export interface RawStream {
  /** The bytes of input that the last call of `run()` has not taken. */
  readonly availIn: number;
  /** The bytes of output that it had no use for. */
  readonly availOut: number;
  /** Whether it found invalid data. */
  readonly failed: boolean;
  /** Whether it stopped at the end of a series of blocks, behind which input may follow. */
  readonly ended: boolean;
  /**
   * Processes input, and flushes the output (`Z_SYNC_FLUSH`).
   *
   * @param length The number of bytes of the input.
   * @param outputAt The index from which the output is filled.
   */
  run(
    input: Uint8Array,
    at: number,
    length: number,
    output: Uint8Array<ArrayBuffer>,
    outputAt: number,
  ): void;
  /** Records output of inflating, to which later blocks may refer. */
  remember(output: Uint8Array): void;
  /** Begins a new series of blocks, which may refer to what was remembered. */
  restart(): void;
  /** Forgets all that was before. */
  reset(): void;
  /** Releases the memory. */
  close(): void;
}

/** Options of {@linkcode ZlibStreams}' `deflate()`. */
export interface DeflateOptions {
  readonly level: number;
  readonly memLevel: number;
  readonly windowBits: number;
}

/** Creates streams. */
export interface ZlibStreams {
  /** @param keepsWindow Whether `restart()` will be called. */
  inflate(keepsWindow: boolean): RawStream;
  deflate(options: DeflateOptions): RawStream;
}

/** Loads Deno's own zlib, or `pako` if that cannot be used as here. */
export async function loadZlib(): Promise<ZlibStreams> {
  const streams = await loadNodeZlib();
  return canInflate(streams) ? streams : await loadPako();
}

/** Whether streams inflate an example. */
function canInflate(streams: ZlibStreams): boolean {
  const output = new Uint8Array(10);
  try {
    const stream = streams.inflate(false);
    stream.run(HELLO, 0, HELLO.length, output, 1);
    stream.close();
    return stream.availIn === 0 && stream.availOut === 4 && !stream.failed &&
      !stream.ended &&
      String.fromCharCode(...output.subarray(1, 6)) === "Hello";
  } catch {
    return false;
  }
}

/** "Hello" (RFC 7692 section 7.2.3.1), with the end of a flush. */
const HELLO = new Uint8Array([
  ...[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
  ...[0x00, 0x00, 0xff, 0xff],
]);

/** The value of `Z_SYNC_FLUSH`. */
const SYNC_FLUSH = 2;

/** What Node's streams of zlib are made of. */
interface Handle {
  onerror: (message: string, code: number) => void;
  writeSync(
    flush: number,
    input: Uint8Array,
    inputAt: number,
    inputLength: number,
    output: Uint8Array,
    outputAt: number,
    outputLength: number,
  ): void;
  reset(): void;
  close(): void;
}

/** A stream of `node:zlib`, as far as it is used. */
interface NodeStream {
  readonly _handle: Handle;
  /** The bytes of output and of input that are left. */
  readonly _writeState: Uint32Array;
}

/** Loads Deno's own zlib. */
export async function loadNodeZlib(): Promise<ZlibStreams> {
  const zlib = await import("node:zlib");
  const chunkSize = 64; // of a buffer that is not used
  const open = (stream: unknown) => stream as NodeStream;
  return {
    inflate: (keepsWindow) =>
      new NodeRawStream(
        open(zlib.createInflateRaw({ windowBits: 15, chunkSize })),
        keepsWindow ? new Window() : null,
      ),
    deflate: (options) =>
      new NodeRawStream(
        open(zlib.createDeflateRaw({ ...options, chunkSize })),
        null,
      ),
  };
}

class NodeRawStream implements RawStream {
  failed = false;
  readonly #handle: Handle;
  readonly #left: Uint32Array;
  /** What zlib's own window has, which `restart()` needs. */
  readonly #window: Window | null;

  constructor({ _handle, _writeState }: NodeStream, window: Window | null) {
    this.#handle = _handle;
    this.#left = _writeState;
    this.#window = window;
    _handle.onerror = () => {
      this.failed = true;
    };
  }

  get availIn(): number {
    return this.#left[1]!;
  }

  get availOut(): number {
    return this.#left[0]!;
  }

  get ended(): boolean {
    return this.availIn > 0 && this.availOut > 0;
  }

  run(
    input: Uint8Array,
    at: number,
    length: number,
    output: Uint8Array<ArrayBuffer>,
    outputAt: number,
  ): void {
    this.#handle.writeSync(
      SYNC_FLUSH,
      input,
      at,
      length,
      output,
      outputAt,
      output.length - outputAt,
    );
  }

  remember(output: Uint8Array): void {
    this.#window?.add(output);
  }

  /** A handle cannot go on without forgetting its window, so it inflates that again, from a block that is not compressed. */
  restart(): void {
    this.#handle.reset();
    if (this.#window === null) return;
    const block = this.#window.storedBlock();
    if (block.length > 0) this.run(block, 0, block.length, UNUSED, 0);
  }

  reset(): void {
    this.#handle.reset();
  }

  close(): void {
    this.#handle.close();
  }
}

/** The size of the window of deflate in bytes. */
const WINDOW = 32 * 1024;

/** The length of the header of a block that is not compressed. */
const STORED = 5;

/** Where the output goes that is not needed. */
const UNUSED = new Uint8Array(WINDOW + 1);

/** The last 32 KiB of a stream. */
class Window {
  /** The bytes, behind room for a header. Larger than needed, so that most additions move nothing. */
  #bytes = new Uint8Array();
  #end = STORED;

  add(output: Uint8Array): void {
    if (output.length === 0) return;
    if (this.#bytes.length === 0) {
      this.#bytes = new Uint8Array(STORED + WINDOW * 3 / 2);
    }
    const last = output.subarray(-WINDOW);
    if (this.#end + last.length > this.#bytes.length) {
      const kept = Math.min(WINDOW - last.length, this.#end - STORED);
      this.#bytes.copyWithin(STORED, this.#end - kept, this.#end);
      this.#end = STORED + kept;
    }
    this.#bytes.set(last, this.#end);
    this.#end += last.length;
  }

  /** Returns the bytes as a block of deflate that is not compressed (RFC 1951 section 3.2.4). */
  storedBlock(): Uint8Array {
    const length = Math.min(WINDOW, this.#end - STORED);
    const start = this.#end - length - STORED;
    const block = this.#bytes.subarray(start, this.#end);
    if (length === 0) return block;
    block[0] = 0;
    new DataView(this.#bytes.buffer).setUint16(start + 1, length, true);
    new DataView(this.#bytes.buffer).setUint16(start + 3, ~length, true);
    return block;
  }
}

type Pako = typeof import("npm:pako@3.0.3");

/** Loads `pako`. */
export async function loadPako(): Promise<ZlibStreams> {
  const pako = await import("npm:pako@3.0.3");
  return {
    inflate: () => {
      const stream = new pako.ZStream();
      pako.zlibInflateInit2(stream, -15); // negative: raw deflate data
      return new PakoRawStream(pako, stream, true);
    },
    deflate: ({ level, memLevel, windowBits }) => {
      const stream = new pako.ZStream();
      pako.zlibDeflateInit2(
        stream,
        level,
        8, // the method; deflate is the only one
        -windowBits,
        memLevel,
        pako.Z_DEFAULT_STRATEGY,
      );
      return new PakoRawStream(pako, stream, false);
    },
  };
}

/** The state in which pako's inflater looks at a header, if there is one, and then at the first block. */
const HEAD = 16180;

class PakoRawStream implements RawStream {
  failed = false;
  ended = false;
  readonly #pako: Pako;
  readonly #stream: ZStream;
  readonly #inflates: boolean;

  constructor(pako: Pako, stream: ZStream, inflates: boolean) {
    this.#pako = pako;
    this.#stream = stream;
    this.#inflates = inflates;
  }

  get availIn(): number {
    return this.#stream.avail_in;
  }

  get availOut(): number {
    return this.#stream.avail_out;
  }

  run(
    input: Uint8Array,
    at: number,
    length: number,
    output: Uint8Array<ArrayBuffer>,
    outputAt: number,
  ): void {
    const pako = this.#pako;
    const stream = this.#stream;
    stream.input = input;
    stream.next_in = at;
    stream.avail_in = length;
    stream.output = output;
    stream.next_out = outputAt;
    stream.avail_out = output.length - outputAt;
    const status = this.#inflates
      ? pako.zlibInflate(stream, SYNC_FLUSH)
      : pako.zlibDeflate(stream, SYNC_FLUSH);
    // They must not live as long as the connection.
    stream.input = stream.output = EMPTY;
    this.ended = status === pako.Z_STREAM_END;
    this.failed = !this.ended && status !== pako.Z_OK &&
      status !== pako.Z_BUF_ERROR;
  }

  remember(): void {}

  /** pako's own function would allocate 6 KB each time. */
  restart(): void {
    const { state } = this.#stream;
    state.mode = HEAD;
    state.last = state.hold = state.bits = 0;
  }

  reset(): void {
    if (!this.#inflates) {
      this.#pako.zlibDeflateReset(this.#stream);
      return;
    }
    const { state } = this.#stream;
    state.whave = state.wnext = 0;
    this.restart();
  }

  close(): void {
    if (this.#inflates) this.#pako.zlibInflateEnd(this.#stream);
    else this.#pako.zlibDeflateEnd(this.#stream);
  }
}

const EMPTY = new Uint8Array();
