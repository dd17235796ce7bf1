/**
 * The process at the other end: a WebSocket server over raw TCP that sends
 * frames built beforehand in large writes, so that it is never the slower side.
 *
 * It prints its port. A client asks by a text message: `{ count, size, close }`
 * sends so many messages of so many bytes, anything else is echoed. Two paths
 * start by themselves: `/hello` greets, `/feed?count=&size=` sends and closes.
 *
 * @module
 */

/** What a client asks for. */
export interface Order {
  /** How many messages. */
  count: number;
  /** How many bytes in each. */
  size: number;
  /** Whether a close frame follows. */
  close?: boolean;
}

/** Bytes in one write, at least: many small messages, or some large ones. */
const WRITE = 256 * 1024;

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455 section 1.3
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A frame as a server sends it: final, and not masked (RFC 6455 section 5.2). */
function frame(opcode: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const { length } = payload;
  const head = length < 126
    ? [length]
    : length < 65536
    ? [126, length >> 8, length & 255]
    : [127, 0, 0, 0, 0, length >>> 24, length >> 16, length >> 8, length];
  const bytes = new Uint8Array(1 + head.length + length);
  bytes[0] = 0x80 | opcode;
  bytes.set(head, 1);
  bytes.set(payload, 1 + head.length);
  return bytes;
}

/** A JSON text of exactly so many bytes, all of them ASCII. */
function text(size: number): Uint8Array {
  const start =
    '{"type":"ticker","symbol":"ABC-DEF","price":"1234.56","note":"';
  return encoder.encode(start + "x".repeat(size - start.length - 2) + '"}');
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += await conn.write(bytes.subarray(at));
  }
}

async function send(conn: Deno.Conn, order: Order): Promise<void> {
  const one = frame(1, text(order.size));
  const many = Math.max(1, Math.ceil(WRITE / one.length));
  const block = new Uint8Array(many * one.length);
  for (let i = 0; i < many; i++) block.set(one, i * one.length);
  let left = order.count;
  for (; left >= many; left -= many) await writeAll(conn, block);
  await writeAll(conn, block.subarray(0, left * one.length));
  if (order.close) await writeAll(conn, frame(8, new Uint8Array([3, 232])));
}

/** Reads a connection as far as it is asked to. */
class Reader {
  #buffer = new Uint8Array(64 * 1024);
  #start = 0;
  #end = 0;

  constructor(readonly conn: Deno.Conn) {}

  /** Has at least `count` bytes there. */
  async #fill(count: number): Promise<void> {
    while (this.#end - this.#start < count) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
      const read = await this.conn.read(this.#buffer.subarray(this.#end));
      if (read === null) throw new Deno.errors.UnexpectedEof();
      this.#end += read;
    }
  }

  async take(count: number): Promise<Uint8Array> {
    await this.#fill(count);
    this.#start += count;
    return this.#buffer.subarray(this.#start - count, this.#start);
  }

  async head(): Promise<string> {
    for (let count = 1;; count = this.#end - this.#start + 1) {
      await this.#fill(count);
      const seen = decoder.decode(
        this.#buffer.subarray(this.#start, this.#end),
      );
      const length = seen.indexOf("\r\n\r\n") + 4;
      if (length > 3) return decoder.decode(await this.take(length));
    }
  }

  /** A frame of at most 64 KiB, its payload unmasked in place. */
  async frame(): Promise<{ opcode: number; payload: Uint8Array }> {
    const [first, second] = await this.take(2) as unknown as [number, number];
    let length = second & 127;
    if (length === 126) {
      const [high, low] = await this.take(2) as unknown as [number, number];
      length = high << 8 | low;
    }
    const mask = (await this.take(4)).slice();
    const payload = await this.take(length);
    for (let i = 0; i < length; i++) payload[i]! ^= mask[i & 3]!;
    return { opcode: first & 15, payload };
  }
}

async function serve(conn: Deno.TcpConn): Promise<void> {
  conn.setNoDelay(true);
  const reader = new Reader(conn);
  const head = await reader.head();
  const key = /^sec-websocket-key: *(\S+)/im.exec(head)![1];
  const digest = await crypto.subtle.digest(
    "SHA-1",
    encoder.encode(key + GUID),
  );
  const accept = btoa(String.fromCharCode(...new Uint8Array(digest)));
  await writeAll(
    conn,
    encoder.encode(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" +
        `Connection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    ),
  );

  const url = new URL(head.split(" ")[1]!, "ws://127.0.0.1");
  if (url.pathname === "/hello") {
    await writeAll(conn, frame(1, encoder.encode("hello")));
  } else if (url.pathname === "/feed") {
    const [count, size] = ["count", "size"].map((it) =>
      Number(url.searchParams.get(it))
    );
    await send(conn, { count: count!, size: size!, close: true });
  }
  for (let open = true; open;) {
    const { opcode, payload } = await reader.frame();
    if (opcode === 1 && payload[0] === 123) { // {
      await send(conn, JSON.parse(decoder.decode(payload)));
    } else {
      await writeAll(conn, frame(opcode, payload));
      open = opcode !== 8;
    }
  }
}

if (import.meta.main) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log(listener.addr.port);
  for await (const conn of listener) {
    // A client that goes away, as a pre-flight does, ends its own connection only.
    serve(conn).catch(() => {}).finally(() => conn.close());
  }
}
