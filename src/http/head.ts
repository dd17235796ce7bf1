/**
 * The part of HTTP/1.1 (RFC 9112) that is needed to send one request over a
 * connection and to read the response.
 *
 * @module
 */

import type { AnswerHeaders } from "./upgrade.ts";
import { decodeLatin1, encodeLatin1 } from "./encoding.ts";

/** The largest size of a response head in bytes, including 1xx heads before it. */
export const MAX_HEAD = 64 * 1024;

const EMPTY = new Uint8Array();

/** The part of {@linkcode Deno.Conn} that is used. */
export type Conn =
  & Pick<Deno.Conn, "read" | "write" | "close">
  & Partial<Pick<Deno.TcpConn, "setNoDelay">>;

/** Thrown if the server's answer is not valid HTTP/1.1. */
export class MalformedResponse extends Error {}

/** The head of a response. */
export interface ResponseHead {
  /** `"1.1"` or `"1.0"`. */
  readonly version: string;
  readonly status: number;
  readonly headers: HeaderFields;
}

/** Encodes a request head. */
export function encodeHead(
  startLine: string,
  headers: Iterable<[string, string]>,
): Uint8Array {
  let text = startLine + "\r\n";
  for (const [name, value] of headers) text += `${name}: ${value}\r\n`;
  return encodeLatin1(text + "\r\n");
}

/** Writes all of the bytes. */
export async function writeAll(
  conn: Conn,
  bytes: Uint8Array,
): Promise<void> {
  let sent = await conn.write(bytes);
  while (sent < bytes.length) sent += await conn.write(bytes.subarray(sent));
}

/** Closes a connection, ignoring the error that it is closed already. */
export function closeQuietly(conn: Pick<Conn, "close">): void {
  try {
    conn.close();
  } catch {
    // It is closed already.
  }
}

/** Reads response heads from a connection. Keeps the bytes that follow a head. */
export class HeadReader {
  readonly #conn: Conn;
  #buffer = new Uint8Array(1024);
  /** The number of bytes in the buffer. */
  #length = 0;
  /** The size of all heads so far, in bytes. */
  #heads = 0;

  constructor(conn: Conn) {
    this.#conn = conn;
  }

  /** Takes the bytes that have been read after the last head. */
  takeRest(): Uint8Array<ArrayBuffer> {
    const rest = this.#buffer.subarray(0, this.#length);
    this.#buffer = EMPTY;
    this.#length = 0;
    return rest;
  }

  /**
   * Reads up to the next empty line, and returns the lines before it.
   *
   * @throws {MalformedResponse} If the head is too large or ends early.
   * @throws {Error} If the connection ends before the head begins.
   */
  async readLines(): Promise<string[]> {
    let from = 0;
    while (true) {
      const end = endOfHead(this.#buffer.subarray(0, this.#length), from);
      if (this.#heads + (end ?? this.#length) > MAX_HEAD) {
        throw new MalformedResponse(
          `its head is larger than ${MAX_HEAD / 1024} KiB`,
        );
      }
      if (end !== null) {
        const text = decodeLatin1(this.#buffer.subarray(0, end));
        this.#buffer.copyWithin(0, end, this.#length);
        this.#length -= end;
        this.#heads += end;
        return text.trimEnd().split(/\r?\n/);
      }
      if (this.#length === this.#buffer.length) {
        const larger = new Uint8Array(this.#length * 2);
        larger.set(this.#buffer);
        this.#buffer = larger;
      }
      const length = await this.#conn.read(this.#buffer.subarray(this.#length));
      if (length === null) {
        if (this.#length === 0) {
          throw new Error("connection closed before message completed");
        }
        throw new MalformedResponse("its head breaks off");
      }
      from = Math.max(0, this.#length - 3);
      this.#length += length;
    }
  }

  /** Reads the head of the response, skipping 1xx responses other than 101. */
  async readResponse(): Promise<ResponseHead> {
    while (true) {
      const head = parseHead(await this.readLines());
      if (head.status >= 200 || head.status === 101) return head;
    }
  }

  /** Yields the bytes that follow a head, until the connection ends. */
  async *#raw(): AsyncGenerator<Uint8Array> {
    const rest = this.takeRest();
    if (rest.length > 0) yield rest;
    while (true) {
      const chunk = new Uint8Array(16 * 1024);
      const length = await this.#conn.read(chunk);
      if (length === null) return;
      yield chunk.subarray(0, length);
    }
  }

  /** Returns the body that follows a head (RFC 9112 section 6.3), with its transfer coding decoded. */
  body({ status, headers }: ResponseHead): ReadableStream<Uint8Array> | null {
    if (status === 204 || status === 304) return null;
    const length = headers.get("content-length");
    const chunked = /(?:^|,)\s*chunked\s*$/i.test(
      headers.get("transfer-encoding") ?? "",
    );
    const content = chunked
      ? unchunk(this.#raw())
      : length !== null && /^\d+$/.test(length)
      ? limit(this.#raw(), Number(length))
      : this.#raw();
    return ReadableStream.from(content);
  }
}

/** Returns the index after the empty line that ends a head, or `null` if it has not arrived yet. */
function endOfHead(bytes: Uint8Array, from: number): number | null {
  for (
    let at = bytes.indexOf(10, from);
    at !== -1;
    at = bytes.indexOf(10, at + 1)
  ) {
    if (bytes[at + 1] === 10) return at + 2;
    if (bytes[at + 1] === 13 && bytes[at + 2] === 10) return at + 3;
  }
  return null;
}

function parseHead([statusLine = "", ...lines]: string[]): ResponseHead {
  const match = /^HTTP\/(1\.[01]) ([1-9]\d\d)(?: .*)?$/.exec(statusLine);
  if (match === null) {
    throw new MalformedResponse(
      "it does not begin with an HTTP/1.1 status line",
    );
  }
  let headers: HeaderFields;
  try {
    headers = new HeaderFields(lines);
  } catch {
    throw new MalformedResponse("it has a malformed header");
  }
  return { version: match[1]!, status: Number(match[2]), headers };
}

/** Matches the name of a header field (RFC 9110 section 5.1). */
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Matches the control characters that a header field must not contain (RFC 9110 section 5.5). */
// deno-lint-ignore no-control-regex -- it matches control characters on purpose
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f]/;

/** The header fields of a head. A `Headers` object can be created from them, which takes much longer. */
export class HeaderFields implements AnswerHeaders {
  readonly #fields: [name: string, value: string][];

  /**
   * Parses the lines of a head after the first.
   *
   * @throws {TypeError} If a line is not a header field.
   */
  constructor(lines: readonly string[]) {
    this.#fields = lines.map((line) => {
      const colon = line.indexOf(":");
      const name = line.slice(0, Math.max(colon, 0)).toLowerCase();
      if (!NAME.test(name) || CONTROL.test(line)) {
        throw new TypeError("The line is not a header field");
      }
      return [name, line.slice(colon + 1).trim()];
    });
  }

  /** Returns the value of the fields with a name in lower case, as `Headers.get()` does. */
  get(name: string): string | null {
    let all: string | null = null;
    for (const field of this.#fields) {
      if (field[0] !== name) continue;
      all = all === null ? field[1] : `${all}, ${field[1]}`;
    }
    return all;
  }

  [Symbol.iterator](): Iterator<[name: string, value: string]> {
    return this.#fields.values();
  }
}

/** Yields the first `length` bytes. */
async function* limit(
  chunks: AsyncIterable<Uint8Array>,
  length: number,
): AsyncGenerator<Uint8Array> {
  if (length === 0) return;
  for await (const chunk of chunks) {
    yield chunk.subarray(0, length);
    length -= chunk.length;
    if (length <= 0) return;
  }
}

/** Decodes the chunked transfer coding (RFC 9112 section 7.1). An error in it ends the body. */
async function* unchunk(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let line = "";
  let left = 0; // bytes of the chunk that have not arrived yet
  for await (let bytes of chunks) {
    while (bytes.length > 0) {
      if (left > 0) {
        yield bytes.subarray(0, left);
        const taken = Math.min(left, bytes.length);
        bytes = bytes.subarray(taken);
        left -= taken;
        continue;
      }
      const newline = bytes.indexOf(10);
      line += decodeLatin1(newline === -1 ? bytes : bytes.subarray(0, newline));
      if (newline === -1) break;
      bytes = bytes.subarray(newline + 1);
      const size = /^\s*([0-9a-f]{1,12})\s*(?:;.*)?\r?$/i.exec(line);
      if (size !== null) {
        left = parseInt(size[1]!, 16);
        if (left === 0) return;
      } else if (line.trim() !== "") {
        return;
      }
      line = "";
    }
    if (line.length > 4096) return;
  }
}
