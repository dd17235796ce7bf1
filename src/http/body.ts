/**
 * The bodies of HTTP/1.1 responses (RFC 9112 sections 6 and 7): bytes are pushed
 * in, and the content comes out.
 *
 * @module
 */

import { decodeLatin1 } from "./encoding.ts";
import type { ResponseHead } from "./head.ts";

/** The longest line of the chunked transfer coding, in bytes. */
const MAX_LINE = 4096;

/** Decodes the body that follows a head: of a length, chunked, or up to the end of the connection. */
export class BodyDecoder {
  #done = false;
  readonly #chunked: boolean;
  /** The bytes that the body, or its present chunk, still has. */
  #left: number;
  /** The beginning of a line of the chunked transfer coding. */
  #line = "";

  /** @param head The head before the body. */
  constructor({ status, headers }: Pick<ResponseHead, "status" | "headers">) {
    const coding = headers.get("transfer-encoding");
    const length = headers.get("content-length");
    this.#chunked = /(?:^|,)[ \t]*chunked[ \t]*$/i.test(coding ?? "");
    this.#left = this.#chunked
      ? 0
      : coding === null && length !== null && /^\d+$/.test(length)
      ? Number(length)
      : Infinity;
    if (status < 200 || status === 204 || status === 304) this.#left = 0;
    this.#done = this.#left === 0 && !this.#chunked;
  }

  /** Whether the body is complete. If `false` at the end of the connection, it may have been cut. */
  get done(): boolean {
    return this.#done;
  }

  /** Adds bytes. Returns the parts of the content in them, as views. An error in the coding ends the body. */
  push(bytes: Uint8Array): Uint8Array[] {
    const parts: Uint8Array[] = [];
    while (!this.#done && bytes.length > 0) {
      if (this.#left > 0) {
        const part = bytes.subarray(0, this.#left);
        parts.push(part);
        bytes = bytes.subarray(part.length);
        this.#left -= part.length;
        this.#done = this.#left === 0 && !this.#chunked;
        continue;
      }
      const newline = bytes.indexOf(10);
      const end = newline === -1 ? bytes.length : newline;
      this.#line += decodeLatin1(bytes.subarray(0, end));
      if (this.#line.length > MAX_LINE) this.#done = true;
      if (newline === -1) break;
      bytes = bytes.subarray(newline + 1);
      this.#endLine();
    }
    return parts;
  }

  /** Reads the line before a chunk, or the empty one after it. */
  #endLine(): void {
    const size = /^[ \t]*([0-9a-f]{1,12})[ \t]*(?:;.*)?\r?$/i.exec(this.#line);
    if (size !== null) {
      this.#left = parseInt(size[1]!, 16);
      this.#done = this.#left === 0; // trailers do not matter
    } else if (this.#line !== "" && this.#line !== "\r") {
      this.#done = true;
    }
    this.#line = "";
  }
}
