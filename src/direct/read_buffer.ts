/** The initial size of the buffer in bytes. */
const MIN_SIZE = 1024;
/** The largest size of the buffer in bytes, reached by a fast feed. */
const MAX_SIZE = 512 * 1024;

/** The number of reads in a row that fill at most an eighth of the buffer, after which it shrinks to its initial size. */
const SMALL_READS = 8;

/**
 * The buffer that a connection is read into. It grows while reads fill it, and
 * shrinks when they do not. The bytes of an incomplete frame are kept, and the next
 * read is stored after them (the row "recv(), 64 KiB" of `bench/`).
 */
export class ReadBuffer {
  #bytes: Uint8Array;
  /** The size of the buffer for the next read. */
  #size: number;
  /** The indices between which the kept bytes are. */
  #start = 0;
  #end = 0;
  #smallReads = 0;

  /** @param buffer A buffer that is not used any more, if there is one. */
  constructor(buffer = new ArrayBuffer(MIN_SIZE)) {
    this.#bytes = new Uint8Array(buffer);
    this.#size = buffer.byteLength;
  }

  /** Returns the space for the next read: at least half of the buffer, or all that the kept bytes leave. */
  room(): Uint8Array {
    const size = this.#bytes.length;
    if (this.#start === this.#end) {
      if (this.#size !== size) this.#bytes = new Uint8Array(this.#size);
      this.#start = this.#end = 0;
      return this.#bytes;
    }
    const grows = this.#size > size;
    if (grows || this.#end > size / 2) {
      const kept = this.#bytes.subarray(this.#start, this.#end);
      if (grows) this.#bytes = new Uint8Array(this.#size);
      this.#bytes.set(kept);
      this.#start = 0;
      this.#end = kept.length;
    }
    return this.#bytes.subarray(this.#end);
  }

  /** Records that `length` bytes were read into the space, and returns the kept bytes and these. */
  add(length: number): Uint8Array {
    const size = this.#bytes.length;
    this.#end += length;
    if (this.#end === size) this.#size = Math.min(size * 8, MAX_SIZE);
    if (length * 8 > size || size === MIN_SIZE) this.#smallReads = 0;
    else if (++this.#smallReads === SMALL_READS) this.#size = MIN_SIZE;
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** Keeps the last `length` bytes for the next read. They must be fewer than `MAX_SIZE`. */
  keep(length: number): void {
    this.#start = this.#end - length;
  }
}
