/** The most bytes that a message may have: as many as the native socket takes in one frame. */
const MAX_MESSAGE = 64 * 1024 * 1024;

/**
 * Follows the frames of RFC 6455 section 5.2 in the bytes that pass, and finds
 * what the native socket lets through at the expense of its process: it puts
 * fragments together without any limit, and gives a masked payload as it came.
 */
export class FrameGuard {
  /** The rule that was broken, `""` as long as none was. */
  problem = "";
  /** Whether a close frame has come. */
  closed = false;
  /** How many bytes the fragments of the message have had so far. */
  #message = 0;
  /** How much of a frame's payload is still to come. */
  #payload = 0;
  /** A header that was cut, with what has come of it. */
  readonly #header = new Uint8Array(10);
  #cut = 0;

  /** Gives how many of the bytes may pass: all, or those before the broken rule. */
  admit(bytes: Uint8Array): number {
    let at = 0;
    if (this.#cut > 0) {
      const before = this.#cut;
      const header = this.#header;
      header.set(bytes.subarray(0, header.length - before), before);
      const have = Math.min(header.length, before + bytes.length);
      const length = headerLength(header, 0, have);
      if (length > have) {
        this.#cut = have;
        return bytes.length;
      }
      this.#cut = 0;
      if (!this.#begin(header, 0, length)) return 0;
      at = length - before;
    }
    while (true) {
      const end = at + this.#payload;
      if (end >= bytes.length) {
        this.#payload = end - bytes.length;
        return bytes.length;
      }
      const length = headerLength(bytes, end, bytes.length);
      if (end + length > bytes.length) {
        this.#payload = 0;
        this.#header.set(bytes.subarray(end));
        this.#cut = bytes.length - end;
        return bytes.length;
      }
      if (!this.#begin(bytes, end, length)) return end;
      at = end + length;
    }
  }

  /** Begins the frame whose header is there, unless it breaks a rule. */
  #begin(bytes: Uint8Array, at: number, length: number): boolean {
    const first = bytes[at]!;
    const second = bytes[at + 1]!;
    if (second >= 0x80) {
      this.problem = "the server masked a frame";
      return false;
    }
    let payload = second;
    if (length > 2) {
      payload = 0;
      for (let i = at + 2; i < at + length; i++) {
        payload = payload * 256 + bytes[i]!;
      }
    }
    this.#payload = payload;
    if ((first & 0x08) !== 0) { // a control frame
      if ((first & 0x0f) === 8) this.closed = true;
      return true;
    }
    this.#message += payload;
    if (this.#message > MAX_MESSAGE) {
      this.problem = "a message is larger than 64 MiB";
      return false;
    }
    if (first >= 0x80) this.#message = 0;
    return true;
  }
}

/** How long the header is that begins at a place, as far as the bytes before `end` tell. */
function headerLength(bytes: Uint8Array, at: number, end: number): number {
  if (at + 1 >= end) return 2;
  const length = bytes[at + 1]! & 0x7f;
  return length < 126 ? 2 : length === 126 ? 4 : 10;
}
