/**
 * The server of the measurements, in a process of its own. It prints its ports,
 * without and with TLS. It works on raw TCP and sends prepared frames in large writes, so that it is never
 * slower than the client that is measured.
 *
 * A client orders messages with an {@linkcode Order} in JSON, as a text message;
 * every other message is echoed. `/hello` sends one message,
 * `/feed?count=&size=` sends messages and closes, and `/deflate` agrees to
 * permessage-deflate and sends compressed messages. Its arguments are the files of
 * its certificate and of its key.
 *
 * @module
 */

import { createDeflateRaw } from "node:zlib";

/** A client's order of messages. */
export interface Order {
  /** The number of messages. */
  count: number;
  /** The size of each message in bytes. */
  size: number;
  /** The size of a character of a message in bytes of UTF-8: 1 (the default), 2 or 3. */
  width?: number | undefined;
  /** Whether to send a close frame after the messages. */
  close?: boolean | undefined;
  /** Whether the messages are binary. */
  binary?: boolean | undefined;
  /** The number of messages per second. By default they are sent as fast as possible. */
  rate?: number | undefined;
}

/** The smallest size of one write in bytes. A write has as many messages as that takes. */
const WRITE = 1024 * 1024;

/** The answer to an offer of permessage-deflate. */
const DEFLATE =
  "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n";

/** The number of different compressed messages. */
const COMPRESSED = 100;

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455 section 1.3
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Encodes a final, unmasked frame, as a server sends it (RFC 6455 section 5.2). */
function frame(
  opcode: number,
  payload: Uint8Array,
  compressed = false,
): Uint8Array<ArrayBuffer> {
  const { length } = payload;
  const head = length < 126
    ? [length]
    : length < 65536
    ? [126, length >> 8, length & 255]
    : [127, 0, 0, 0, 0, length >>> 24, length >> 16, length >> 8, length];
  const bytes = new Uint8Array(1 + head.length + length);
  bytes[0] = 0x80 | (compressed ? 0x40 : 0) | opcode;
  bytes.set(head, 1);
  bytes.set(payload, 1 + head.length);
  return bytes;
}

/** Creates a JSON text of exactly `size` bytes whose `note` has characters of `width` bytes. */
function text(size: number, width = 1, id = 0): Uint8Array {
  const start = `{"type":"ticker","id":${id},"symbol":"ABC-DEF","price":"${
    (1234.56 + id % 100).toFixed(2)
  }","note":"`;
  const room = size - start.length - 2;
  const note = "-xéツ"[width]!.repeat(Math.floor(room / width));
  return encoder.encode(start + "x".repeat(room % width) + note + '"}');
}

/** Compresses messages with context take-over (RFC 7692 section 7.2.3.2), and returns their frames. */
async function compressed(size: number): Promise<Uint8Array> {
  const deflate = createDeflateRaw();
  let parts: Uint8Array[] = [];
  deflate.on("data", (part: Uint8Array) => parts.push(part));
  const frames = [];
  for (let id = 0; id < COMPRESSED; id++) {
    deflate.write(text(size, 1, id));
    await new Promise<void>((resolve) => deflate.flush(resolve));
    const payload = concat(parts);
    parts = [];
    frames.push(frame(1, payload.subarray(0, -4), true));
  }
  deflate.close();
  return concat(frames);
}

function concat(parts: Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, it) => sum + it.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += await conn.write(bytes.subarray(at));
  }
}

/** The interval of the writes of an order with a rate, in milliseconds. */
const TICK = 10;

/** Sends messages at a rate, in a few writes per second. */
async function sendPaced(
  conn: Deno.Conn,
  one: Uint8Array,
  { count, rate = 1 }: Order,
): Promise<void> {
  const start = performance.now();
  for (let sent = 0; sent < count;) {
    const due = Math.ceil((performance.now() - start) * rate / 1000);
    const many = Math.min(count, due) - sent;
    if (many > 0) await writeAll(conn, concat(Array(many).fill(one)));
    sent += Math.max(0, many);
    await new Promise((resolve) => setTimeout(resolve, TICK));
  }
}

async function send(conn: Deno.Conn, order: Order): Promise<void> {
  const one = frame(order.binary ? 2 : 1, text(order.size, order.width));
  if (order.rate !== undefined) return await sendPaced(conn, one, order);
  const many = Math.max(1, Math.ceil(WRITE / one.length));
  const block = concat(Array(many).fill(one));
  let left = order.count;
  for (; left >= many; left -= many) await writeAll(conn, block);
  await writeAll(conn, block.subarray(0, left * one.length));
  if (order.close) await writeAll(conn, frame(8, new Uint8Array([3, 232])));
}

/**
 * Sends the same compressed messages repeatedly. This is valid, because each refers
 * back only to messages of the same block, which are sent before it every time.
 */
async function sendCompressed(conn: Deno.Conn, order: Order): Promise<void> {
  const block = await (blocks[order.size] ??= compressed(order.size));
  for (let left = order.count; left > 0; left -= COMPRESSED) {
    await writeAll(conn, block);
  }
}

const blocks: Record<number, Promise<Uint8Array>> = {};

/** Reads a request head, and then frames, from a connection. */
class Reader {
  readonly #bytes = new Uint8Array(64 * 1024);
  #start = 0;
  #end = 0;

  constructor(readonly conn: Deno.Conn) {}

  /** Reads more bytes. */
  async #fill(): Promise<void> {
    if (this.#start === this.#end) this.#start = this.#end = 0;
    this.#bytes.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    const read = await this.conn.read(this.#bytes.subarray(this.#end));
    if (read === null) throw new Deno.errors.UnexpectedEof();
    this.#end += read;
  }

  async head(): Promise<string> {
    while (true) {
      const text = decoder.decode(this.#bytes.subarray(0, this.#end));
      const length = text.indexOf("\r\n\r\n") + 4;
      if (length > 3) {
        this.#start = length;
        return text.slice(0, length);
      }
      await this.#fill();
    }
  }

  /** Reads a frame of less than 64 KiB. */
  async frame(): Promise<Frame> {
    let frame;
    while ((frame = this.#takeFrame()) === null) await this.#fill();
    return frame;
  }

  /**
   * Takes a frame, if all of it has arrived. Its mask is removed where it is, so
   * that the garbage of an echo is nearly all the client's.
   */
  #takeFrame(): Frame | null {
    const bytes = this.#bytes;
    const start = this.#start;
    const isShort = (bytes[start + 1]! & 127) < 126;
    const payload = start + (isShort ? 6 : 8); // after the mask
    if (this.#end < payload) return null;
    const length = isShort
      ? bytes[start + 1]! & 127
      : bytes[start + 2]! << 8 | bytes[start + 3]!;
    const end = payload + length;
    if (this.#end < end) return null;
    this.#start = end;

    for (let i = 0; i < length; i++) {
      bytes[payload + i]! ^= bytes[payload - 4 + (i & 3)]!;
    }
    const first = bytes[start]!;
    const unmasked = payload - (isShort ? 2 : 4);
    bytes.set(
      isShort ? [first, length] : [first, 126, length >> 8, length & 255],
      unmasked,
    );
    return {
      opcode: first & 15,
      payload: bytes.subarray(payload, end),
      bytes: bytes.subarray(unmasked, end),
    };
  }
}

/** A frame without its mask: its parts, and all of it. */
interface Frame {
  opcode: number;
  payload: Uint8Array;
  bytes: Uint8Array;
}

async function serve(conn: Deno.TcpConn | Deno.TlsConn): Promise<void> {
  if ("setNoDelay" in conn) conn.setNoDelay(true);
  const reader = new Reader(conn);
  const head = await reader.head();
  const key = /^sec-websocket-key: *(\S+)/im.exec(head)![1];
  const digest = await crypto.subtle.digest(
    "SHA-1",
    encoder.encode(key + GUID),
  );
  const accept = btoa(String.fromCharCode(...new Uint8Array(digest)));
  const url = new URL(head.split(" ")[1]!, "ws://127.0.0.1");
  const deflates = url.pathname === "/deflate";
  const answer = encoder.encode(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" +
      `Connection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n` +
      (deflates ? DEFLATE : "") +
      "\r\n",
  );
  // In one write, since a second one would wait for an acknowledgement: over TLS,
  // Deno cannot turn off Nagle's algorithm.
  const hello = url.pathname === "/hello"
    ? frame(1, encoder.encode("hello"))
    : new Uint8Array();
  await writeAll(conn, concat([answer, hello]));

  if (url.pathname === "/feed") {
    const [count, size] = ["count", "size"].map((it) =>
      Number(url.searchParams.get(it))
    );
    await send(conn, { count: count!, size: size!, close: true });
  }
  for (let open = true; open;) {
    const { opcode, payload, bytes } = await reader.frame();
    if (opcode === 1 && payload[0] === 123) { // 123 is "{"
      const order: Order = JSON.parse(decoder.decode(payload));
      await (deflates ? sendCompressed : send)(conn, order);
    } else {
      await writeAll(conn, bytes);
      open = opcode !== 8;
    }
  }
}

async function listen(
  listener: Deno.Listener<Deno.TcpConn | Deno.TlsConn>,
): Promise<void> {
  for await (const conn of listener) {
    // An error means that the client has hung up, as the one of a pre-flight does.
    serve(conn).catch(() => {}).finally(() => conn.close());
  }
}

if (import.meta.main) {
  const plain = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [cert, key] = Deno.args;
  const secure = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    cert: await Deno.readTextFile(cert!),
    key: await Deno.readTextFile(key!),
  });
  console.log(JSON.stringify([plain.addr.port, secure.addr.port]));
  await Promise.all([listen(plain), listen(secure)]);
}
