/**
 * The heads of HTTP/1.1 messages (RFC 9112): bytes are pushed in, and the lines or
 * the fields of a head come out. No connection is needed.
 *
 * @module
 */

import { decodeLatin1, encodeLatin1 } from "./encoding.ts";
import { HeaderFields } from "./headers.ts";

/** The largest size of a response head in bytes, including 1xx heads before it. */
export const MAX_HEAD = 64 * 1024;

/** The message of the error of a connection that ends before an answer begins, in the words of Deno's HTTP client. */
export const NO_ANSWER = "connection closed before message completed";

/** Thrown if an answer is not valid HTTP/1.1. The message continues a sentence about the answer. */
export class MalformedResponse extends Error {
  /**
   * @param message The rule that the answer violates.
   * @param protocol What the answer looks like, such as `"TLS"`, if that is known.
   */
  constructor(message: string, readonly protocol?: string) {
    super(message);
  }
}

/** The head of a response. */
export interface ResponseHead {
  /** `"1.1"` or `"1.0"`. */
  readonly version: string;
  readonly status: number;
  readonly headers: HeaderFields;
}

/** Encodes a request head, or a response head. */
export function encodeHead(
  startLine: string,
  headers: Iterable<[string, string]>,
): Uint8Array {
  let text = startLine + "\r\n";
  for (const [name, value] of headers) text += `${name}: ${value}\r\n`;
  return encodeLatin1(text + "\r\n");
}

/**
 * Splits what a peer sends into the lines of heads. The head of a response is
 * parsed by {@linkcode ResponseParser}.
 */
export class HeadParser {
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array();
  /** The number of bytes in the buffer. */
  #length = 0;
  /** The size of the complete heads so far, in bytes. */
  #heads = 0;

  /** The bytes that have been pushed and belong to no complete head. */
  get pending(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Takes the bytes that follow the last complete head. */
  takeRest(): Uint8Array<ArrayBuffer> {
    const rest = this.pending;
    this.#length = 0;
    this.#buffer = new Uint8Array();
    return rest;
  }

  /**
   * Adds bytes, which are kept and must not change afterwards. An empty array
   * looks for a further head in what has been pushed.
   *
   * @returns The lines of the next head, or `null` if it is not complete.
   * @throws {MalformedResponse} If the heads are larger than {@linkcode MAX_HEAD}.
   */
  push(bytes: Uint8Array<ArrayBuffer>): string[] | null {
    const from = bytes.length === 0 ? 0 : Math.max(0, this.#length - 3);
    this.#append(bytes);
    const end = endOfHead(this.pending, from);
    if (this.#heads + (end ?? this.#length) > MAX_HEAD) {
      throw new MalformedResponse(
        `its head is larger than ${MAX_HEAD / 1024} KiB`,
      );
    }
    if (end === null) return null;
    const text = decodeLatin1(this.#buffer.subarray(0, end));
    this.#buffer = this.#buffer.subarray(end, this.#length);
    this.#length -= end;
    this.#heads += end;
    return text.replace(/\r?\n\r?\n$/, "").split(/\r?\n/);
  }

  #append(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#length === 0) {
      // Most heads come whole, and are not copied.
      this.#buffer = bytes;
    } else {
      if (this.#length + bytes.length > this.#buffer.length) {
        const larger = new Uint8Array((this.#length + bytes.length) * 2);
        larger.set(this.pending);
        this.#buffer = larger;
      }
      this.#buffer.set(bytes, this.#length);
    }
    this.#length += bytes.length;
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

/** Parses the head of a response, skipping 1xx responses other than 101. */
export class ResponseParser {
  readonly #parser = new HeadParser();

  /** Takes the bytes that follow the head. */
  takeRest(): Uint8Array<ArrayBuffer> {
    return this.#parser.takeRest();
  }

  /**
   * Adds bytes, which are kept and must not change afterwards.
   *
   * @returns The head, or `null` if it is not complete.
   * @throws {MalformedResponse} As soon as the bytes cannot be the beginning of a
   * response of HTTP/1.1.
   */
  push(bytes: Uint8Array<ArrayBuffer>): ResponseHead | null {
    let lines = this.#parser.push(bytes);
    while (lines !== null) {
      const head = parseHead(lines);
      if (head.status >= 200 || head.status === 101) return head;
      lines = this.#parser.push(new Uint8Array());
    }
    checkStart(this.#parser.pending);
    return null;
  }

  /**
   * Says what the end of the connection means before the head is complete.
   *
   * @returns The error to throw: a {@linkcode MalformedResponse} if the head has begun.
   */
  end(): Error {
    return this.#parser.pending.length === 0
      ? new Error(NO_ANSWER)
      : new MalformedResponse("its head breaks off");
  }
}

/** Matches the whole beginning of a status line (RFC 9112 section 4). */
const STATUS_LINE = /^HTTP\/(1\.[01]) ([1-9]\d\d)(?: .*)?$/;

function parseHead([statusLine = "", ...lines]: string[]): ResponseHead {
  const match = STATUS_LINE.exec(statusLine);
  if (match === null) throw notHttp(statusLine);
  let headers: HeaderFields;
  try {
    headers = new HeaderFields(lines);
  } catch {
    throw new MalformedResponse("it has a malformed header");
  }
  return { version: match[1]!, status: Number(match[2]), headers };
}

/** A status line, of which every beginning is the beginning of others. */
const EXAMPLE = "HTTP/1.1 101";

/**
 * Checks that bytes can be the beginning of a status line, so that a server that
 * speaks another protocol is recognized before it ends the connection.
 *
 * @throws {MalformedResponse} If they cannot.
 */
function checkStart(bytes: Uint8Array): void {
  const text = decodeLatin1(bytes.subarray(0, EXAMPLE.length + 1));
  const rest = EXAMPLE.slice(text.length);
  const isLine = rest === ""
    ? /^HTTP\/1\.[01] [1-9]\d\d[ \r\n]?$/.test(text)
    : STATUS_LINE.test(text + rest);
  if (!isLine) throw notHttp(decodeLatin1(bytes.subarray(0, 64)));
}

/** What the first bytes of an answer reveal. The text continues a sentence about the answer. */
const PROTOCOLS: [start: RegExp, protocol: string][] = [
  // deno-lint-ignore no-control-regex -- the types of TLS records are control characters
  [/^[\x15\x16]\x03[\0-\x04]/, "TLS"],
  // deno-lint-ignore no-control-regex -- the first frame of HTTP/2 has a length of few bytes
  [/^\0\0.\x04\0\0\0\0\0/s, "HTTP/2, where HTTP/1.1 is needed"],
  [/^SSH-/, "SSH"],
  [/^220[ -]/, "SMTP or FTP"],
  [/^(?:\+OK|\* OK)\b/, "a mail server"],
  [/^-ERR /, "Redis"],
  [/^RFB \d/, "VNC"],
  [/^\s*<[!?a-z]/i, "HTML without a head"],
];

/** Creates the error for an answer that begins with a text. It is not quoted: it may repeat the request. */
function notHttp(start: string): MalformedResponse {
  const protocol = PROTOCOLS.find(([pattern]) => pattern.test(start))?.[1];
  return new MalformedResponse(
    "it does not begin with an HTTP/1.1 status line" +
      (protocol === undefined ? "" : ` (it looks like ${protocol})`),
    protocol,
  );
}
