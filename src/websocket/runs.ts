/**
 * Runs of small messages, which are handled together: this is what makes a feed of
 * small messages fast (the rows of 100 bytes and 1 KiB of `bench/`).
 *
 * @module
 */

import { OPCODE } from "./frame.ts";
import { checkText, decodeText, isText, UTF8 } from "./utf8.ts";

/** Receives the messages of a {@linkcode Receiver}. */
export interface MessageHandler {
  /**
   * Called with each message: a string for a text, bytes for a binary one. Texts are
   * bytes, too, if the receiver does not decode. Nothing writes into the bytes again,
   * but small ones share an `ArrayBuffer` of a few KiB with their neighbours.
   *
   * @param isText Whether it is a text message, whatever its form.
   */
  onMessage(message: string | Uint8Array<ArrayBuffer>, isText: boolean): void;
}

/** The first bytes of an unfragmented, uncompressed frame. */
const TEXT_FRAME = 0x80 | OPCODE.text;
const BINARY_FRAME = 0x80 | OPCODE.binary;

// The longest run of texts that are decoded, and of messages that are copied, in
// bytes. A message that is kept keeps the string or the `ArrayBuffer` of its run
// alive, hence the limit.
const MAX_DECODED_RUN = 4096;
const MAX_COPIED_RUN = 8192;

/** The largest message in a run, in bytes, unless a lower limit holds. Larger ones are handled alone. */
const MAX_IN_RUN = 1024;

/** The largest number of messages that are decoded alone after a run that was not ASCII. */
const MAX_SINGLES = 4096;

// The indices at which the messages of a run start and end. Runs are handled one at
// a time, so all receivers share them.
const STARTS = new Uint32Array(MAX_COPIED_RUN / 2);
const ENDS = new Uint32Array(MAX_COPIED_RUN / 2);

/** Whether a frame with this first byte may begin a run. */
export function mayBeginRun(first: number | undefined): boolean {
  return first === TEXT_FRAME || first === BINARY_FRAME;
}

/**
 * Finds the runs of small messages in what is received. A run of texts is decoded
 * together into one string, of which each message then is a slice; a run of binary
 * messages is copied together, and each message is a view of the copy.
 */
export class Runs {
  /** Whether the rest of the present run is dropped. A handler may cause that. */
  dropsRest = false;
  readonly #handler: MessageHandler;
  readonly #decodes: boolean;
  readonly #longest: number;
  /** The number of texts to decode alone before the next run of texts is tried. */
  #singles = 0;
  /** The value of `#singles` after the next run that is not ASCII. */
  #nextSingles = 16;

  /**
   * @param decodes Whether texts become strings.
   * @param maxMessage The largest size of a message in bytes. Larger ones are left
   * to the caller.
   */
  constructor(handler: MessageHandler, decodes: boolean, maxMessage: number) {
    this.#handler = handler;
    this.#decodes = decodes;
    this.#longest = Math.min(MAX_IN_RUN, maxMessage);
  }

  /** Counts a text that was decoded alone. */
  countSingle(): void {
    if (this.#singles > 0) this.#singles--;
  }

  /**
   * Handles the run of small messages at an index, if there is one. It may write to
   * the bytes of the run.
   *
   * @returns The index after the run; `at` if there is none.
   * @throws {ProtocolError} With code 1007, if a text is not UTF-8. The messages
   * before it have been handled.
   */
  take(bytes: Uint8Array, at: number): number {
    const first = bytes[at]!;
    const isDecoded = first === TEXT_FRAME && this.#decodes;
    if (isDecoded && this.#singles > 0) return at;
    const limit = Math.min(
      at + (isDecoded ? MAX_DECODED_RUN : MAX_COPIED_RUN),
      bytes.length,
    );
    const longest = this.#longest;
    let count = 0;
    let end = at;
    while (end + 2 <= limit && bytes[end] === first) {
      let start = end + 2;
      let length = bytes[end + 1]!;
      if (length > 125) {
        if (length !== 126 || end + 4 > limit) break;
        length = bytes[end + 2]! << 8 | bytes[end + 3]!;
        if (length < 126) break;
        start += 2;
      }
      if (length > longest || start + length > limit) break;
      STARTS[count] = start;
      end = start + length;
      ENDS[count++] = end;
    }
    if (count === 0) return at;
    if (isDecoded) this.#decode(bytes, at, end, count);
    else if (first === TEXT_FRAME) this.#checkTexts(bytes, at, end, count);
    else this.#giveViews(bytes, at, end, count, false);
    return end;
  }

  /** Checks a run of texts that are not decoded, and gives views of a copy. */
  #checkTexts(bytes: Uint8Array, at: number, end: number, count: number): void {
    blankHeaders(bytes, at, count);
    // The blanks between the texts are ASCII, so all are UTF-8 if the run is.
    if (isText(bytes.subarray(at, end))) {
      this.#giveViews(bytes, at, end, count, true);
      return;
    }
    for (let i = 0; i < count && !this.dropsRest; i++) {
      const text = slice(bytes, STARTS[i]!, ENDS[i]!);
      checkText(text);
      this.#handler.onMessage(text, true);
    }
  }

  /** Gives views of a copy of a run. */
  #giveViews(
    bytes: Uint8Array,
    at: number,
    end: number,
    count: number,
    isText: boolean,
  ): void {
    const handler = this.#handler;
    if (count === 1) {
      handler.onMessage(slice(bytes, STARTS[0]!, end), isText);
      return;
    }
    const { buffer } = slice(bytes, at, end);
    for (let i = 0; i < count && !this.dropsRest; i++) {
      const start = STARTS[i]!;
      handler.onMessage(
        new Uint8Array(buffer, start - at, ENDS[i]! - start),
        isText,
      );
    }
  }

  /** Decodes a run of texts. */
  #decode(bytes: Uint8Array, at: number, end: number, count: number): void {
    const handler = this.#handler;
    if (count === 1) {
      handler.onMessage(decodeText(bytes.subarray(STARTS[0], end)), true);
      return;
    }
    blankHeaders(bytes, at, count);
    const text = UTF8.decode(bytes.subarray(at, end));
    if (text.length === end - at && !text.includes("\ufffd")) {
      this.#nextSingles = 16;
      for (let i = 0; i < count && !this.dropsRest; i++) {
        handler.onMessage(text.slice(STARTS[i]! - at, ENDS[i]! - at), true);
      }
      return;
    }
    this.#singles = this.#nextSingles;
    this.#nextSingles = Math.min(this.#nextSingles * 2, MAX_SINGLES);
    for (let i = 0; i < count && !this.dropsRest; i++) {
      handler.onMessage(
        decodeText(bytes.subarray(STARTS[i]!, ENDS[i]!)),
        true,
      );
    }
  }
}

/** Overwrites the headers of a run with ASCII, so that the whole run is ASCII if all messages are. */
function blankHeaders(bytes: Uint8Array, at: number, count: number): void {
  for (let i = 0, from = at; i < count; from = ENDS[i++]!) {
    for (let j = from; j < STARTS[i]!; j++) bytes[j] = 0;
  }
}

function slice(
  bytes: Uint8Array,
  at: number,
  end: number,
): Uint8Array<ArrayBuffer> {
  return bytes.slice(at, end);
}
