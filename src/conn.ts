/**
 * HTTP/1.1 over a connection: writes a request, and reads the answer to it.
 *
 * @module
 */

import { BodyDecoder } from "./http/body.ts";
import {
  HeadParser,
  MalformedResponse,
  type ResponseHead,
  ResponseParser,
} from "./http/head.ts";

/** The part of {@linkcode Deno.Conn} that is used. */
export type Conn =
  & Pick<Deno.Conn, "read" | "write" | "close">
  & Partial<Pick<Deno.TcpConn, "setNoDelay">>;

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

/**
 * The size of the reads before the head of a message is complete, in bytes. Most heads
 * are smaller. An idle connection keeps the buffer (the rows "Memory" of `bench/`).
 */
const HEAD_READ = 1024;

/** The size of the reads of a body, in bytes. */
const BODY_READ = 16 * 1024;

/** Reads up to `size` bytes into a new array. Returns `null` at the end of the connection. */
async function readSome(
  conn: Conn,
  size: number,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const buffer = new Uint8Array(size);
  const length = await conn.read(buffer);
  return length === null ? null : buffer.subarray(0, length);
}

/**
 * Reads the lines of the head of a request.
 *
 * @returns The lines, and the bytes that came behind them.
 * @throws {MalformedResponse} If the head is too large or ends early.
 */
export async function readRequestLines(
  conn: Conn,
): Promise<[lines: string[], rest: Uint8Array<ArrayBuffer>]> {
  const parser = new HeadParser();
  while (true) {
    const bytes = await readSome(conn, HEAD_READ);
    if (bytes === null) throw new MalformedResponse("its head breaks off");
    const lines = parser.push(bytes);
    if (lines !== null) return [lines, parser.takeRest()];
  }
}

/** Reads one response from a connection. Keeps the bytes that follow its head. */
export class ResponseReader {
  readonly #conn: Conn;
  readonly #parser = new ResponseParser();

  /** @param conn The connection to read from. */
  constructor(conn: Conn) {
    this.#conn = conn;
  }

  /**
   * Reads the head of the response, skipping 1xx responses other than 101.
   *
   * @throws {MalformedResponse} If it is not one of HTTP/1.1, is too large, or ends early.
   * @throws {Error} If the connection ends before the head begins.
   */
  async readHead(): Promise<ResponseHead> {
    while (true) {
      const bytes = await readSome(this.#conn, HEAD_READ);
      if (bytes === null) throw this.#parser.end();
      const head = this.#parser.push(bytes);
      if (head !== null) return head;
    }
  }

  /** Takes the bytes that have been read after the head. */
  takeRest(): Uint8Array<ArrayBuffer> {
    return this.#parser.takeRest();
  }

  /** Returns the body that follows the head, with its transfer coding decoded. */
  body(head: ResponseHead): ReadableStream<Uint8Array> {
    return ReadableStream.from(this.#content(new BodyDecoder(head)));
  }

  async *#content(decoder: BodyDecoder): AsyncGenerator<Uint8Array> {
    yield* decoder.push(this.takeRest());
    while (!decoder.done) {
      const bytes = await readSome(this.#conn, BODY_READ);
      if (bytes === null) return;
      yield* decoder.push(bytes);
    }
  }
}
