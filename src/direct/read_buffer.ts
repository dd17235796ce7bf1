/** How many bytes the buffer holds: few until the feed fills them. */
const MIN_SIZE = 1024;
const MAX_SIZE = 512 * 1024;

/** After so many reads in a row that fill little of it, the buffer is as small as at first. */
const SMALL_READS = 8;

/**
 * The buffer that a connection is read into. Bytes that cannot be used before
 * others follow them are kept where they are, and the next read goes behind
 * them.
 */
export class ReadBuffer {
  #bytes = new Uint8Array(MIN_SIZE);
  /** How large it is to be at the next read. */
  #size = MIN_SIZE;
  /** Where the bytes that are kept begin and end. */
  #start = 0;
  #end = 0;
  #smallReads = 0;

  /** The room for the next read: at least half of the buffer, or what the kept bytes leave of it. */
  room(): Uint8Array {
    const kept = this.#bytes.subarray(this.#start, this.#end);
    const grows = this.#size > this.#bytes.length;
    if (grows || this.#size < this.#bytes.length && kept.length === 0) {
      this.#bytes = new Uint8Array(this.#size);
    } else if (kept.length > 0 && this.#end <= this.#bytes.length / 2) {
      return this.#bytes.subarray(this.#end);
    }
    this.#bytes.set(kept);
    this.#start = 0;
    this.#end = kept.length;
    return this.#bytes.subarray(this.#end);
  }

  /** Takes note of how much was read into the room, and returns it behind what was kept. */
  add(length: number): Uint8Array {
    const size = this.#bytes.length;
    this.#end += length;
    if (this.#end === size) this.#size = Math.min(size * 8, MAX_SIZE);
    if (length * 8 > size || size === MIN_SIZE) this.#smallReads = 0;
    else if (++this.#smallReads === SMALL_READS) this.#size = MIN_SIZE;
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** Keeps so many bytes at the end, fewer than `MAX_SIZE`. */
  keep(length: number): void {
    this.#start = this.#end - length;
  }
}
