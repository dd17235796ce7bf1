/**
 * Servers that accept the upgrade and then break the framing of RFC 6455.
 *
 * @module
 */

import { closePayload, frame, type Peer } from "../fixtures/raw.ts";
import { behave, type HostileCase, native } from "./hostile.ts";

const encoder = new TextEncoder();

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** The most that Deno's native socket takes in one frame. */
const MAX_FRAME = 64 * 1024 * 1024;

/** Accepts the upgrade, sends frames, and then behaves. */
function sends(...frames: Uint8Array[]) {
  return async (peer: Peer) => {
    await peer.readHead();
    await peer.upgrade();
    for (const bytes of frames) await peer.write(bytes);
    await behave(peer);
  };
}

/** As {@linkcode sends}, with each byte in a packet of its own. */
function drips(...frames: Uint8Array[]) {
  const drip = sends(
    ...frames.flatMap((frame) => [...frame].map((it) => bytes(it))),
  );
  return (peer: Peer) => {
    (peer.conn as Deno.TcpConn).setNoDelay();
    return drip(peer);
  };
}

function bytes(...values: number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(values);
}

/** Sends frames, `count` times one of them, in writes of about 64 KiB, then behaves. */
function repeats(
  count: number,
  before: Uint8Array[],
  one: Uint8Array,
  after: Uint8Array[],
) {
  return async (peer: Peer) => {
    await peer.readHead();
    await peer.upgrade();
    for (const bytes of before) await peer.write(bytes);
    const many = Math.min(count, Math.max(1, Math.floor(65536 / one.length)));
    const block = new Uint8Array(many * one.length);
    for (let i = 0; i < many; i++) block.set(one, i * one.length);
    for (let left = count; left > 0; left -= many) {
      await peer.write(block.subarray(0, Math.min(left, many) * one.length));
    }
    for (const bytes of after) await peer.write(bytes);
    await behave(peer);
  };
}

const OPENED = `opened "hello" closed 1000 ""`;
const LOST = "opened lost";
const HELLO_LOST = `opened "hello" lost`;

const HELLO = frame(TEXT, "hello");
/** A text masked with 1, 2, 3, 4: "hello", or "igohn" to who leaves the mask on. */
const MASKED = bytes(0x81, 0x85, 1, 2, 3, 4, ...encoder.encode("igohn"));
const BYE = frame(CLOSE, closePayload(1000));

/** Texts that are not UTF-8, each at another boundary of it. */
const INVALID_UTF8: [what: string, bytes: number[]][] = [
  ["a lone continuation byte", [0x80]],
  ["a lead byte alone", [0xc3]],
  ["an overlong slash", [0xc0, 0xaf]],
  ["an overlong NUL of three bytes", [0xe0, 0x80, 0x80]],
  ["a surrogate", [0xed, 0xa0, 0x80]],
  ["U+110000", [0xf4, 0x90, 0x80, 0x80]],
  ["the byte FF", [0x61, 0xff, 0x61]],
  ["a character of four bytes without its last", [0xf0, 0x9f, 0x98]],
];

/** Texts that are UTF-8, each at another boundary of it. */
const VALID_UTF8 =
  "\u007f\u0080\u07ff\u0800\ud7ff\ue000\ufffd\uffff\u{10000}\u{10ffff}";

export const utf8: HostileCase[] = [
  ...INVALID_UTF8.map(([what, bytes]): HostileCase => ({
    name: `that sends ${what} as text`,
    serve: sends(HELLO, frame(TEXT, new Uint8Array(bytes)), HELLO),
    expected: HELLO_LOST,
  })),
  ...INVALID_UTF8.slice(0, 3).map(([what, bytes]): HostileCase => ({
    name: `that sends ${what} as binary`,
    serve: sends(HELLO, frame(BINARY, new Uint8Array(bytes)), HELLO, BYE),
    expected: `opened "hello" not-utf8[${bytes.length}] "hello" closed 1000 ""`,
  })),
  {
    name: "that sends every boundary of UTF-8 as text",
    serve: sends(frame(TEXT, VALID_UTF8), BYE),
    expected: `opened "߿ࠀ퟿�￿𐀀􏿿" closed 1000 ""`,
  },
  {
    name: "that cuts a character over two fragments, as it may",
    serve: sends(
      frame(TEXT, bytes(0xf0, 0x9f), { fin: false }),
      frame(0, bytes(0x98, 0x80)),
      BYE,
    ),
    expected: `opened "😀" closed 1000 ""`,
  },
  {
    name: "that cuts a character over two fragments and leaves the end out",
    serve: sends(
      frame(TEXT, bytes(0xf0, 0x9f), { fin: false }),
      frame(0, "a"),
      HELLO,
    ),
    expected: "opened lost",
  },
  {
    // Section 8.1 wants a loss; the native socket leaves out what is incomplete.
    name: "that ends a fragmented text within a character",
    serve: sends(
      frame(TEXT, "a", { fin: false }),
      frame(0, bytes(0xf0, 0x9f)),
      HELLO,
    ),
    expected: { ...native(`opened "a" "hello" silent`), direct: LOST },
  },
  {
    name: "that begins a text with a byte order mark, as it may",
    serve: sends(frame(TEXT, "\ufeffa"), frame(BINARY, "\ufeffb"), BYE),
    expected: `opened "﻿a" "﻿b" closed 1000 ""`,
  },
];

export const framing: HostileCase[] = [
  ...[1, 2, 4, 7].map((rsv): HostileCase => ({
    name: `that sets the reserved bits ${rsv}`,
    serve: sends(HELLO, frame(TEXT, "x", { rsv }), HELLO),
    expected: HELLO_LOST,
  })),
  ...[3, 7, 11, 15].map((opcode): HostileCase => ({
    name: `that sends the reserved opcode ${opcode}`,
    serve: sends(HELLO, frame(opcode, "x"), HELLO),
    expected: HELLO_LOST,
  })),
  {
    // RFC 6455 section 5.1 wants a loss; the native socket leaves the mask on.
    name: "that masks its frames",
    serve: sends(HELLO, MASKED, BYE),
    expected: {
      ...native(`opened "hello" "igohn" closed 1000 ""`),
      direct: HELLO_LOST,
    },
  },
  {
    name: "that sends every frame byte by byte",
    serve: drips(HELLO, frame(BINARY, "x".repeat(200)), BYE),
    expected: `opened "hello" text[200] closed 1000 ""`,
  },
  {
    name:
      "that sends 1,000 messages byte by byte, in fragments with pings between",
    serve: drips(
      ...Array.from({ length: 1000 }, () => [
        frame(TEXT, "he", { fin: false }),
        frame(PING, "1"),
        frame(0, "llo"),
      ]).flat(),
      BYE,
    ),
    expected: `opened 1000 × "hello" closed 1000 ""`,
  },
  {
    name: "that sends messages of no bytes",
    serve: sends(frame(TEXT, ""), frame(BINARY, ""), BYE),
    expected: `opened 2 × "" closed 1000 ""`,
  },
  {
    // Section 5.2 wants the shortest form; the native socket does not mind.
    name: "that writes a short length in 16 bits",
    serve: sends(
      new Uint8Array([0x81, 126, 0, 5, ...encoder.encode("hello")]),
      BYE,
    ),
    expected: { ...native(OPENED), direct: LOST },
  },
  {
    name: "that writes a short length in 64 bits",
    serve: sends(
      new Uint8Array([
        ...[0x81, 127, 0, 0, 0, 0, 0, 0, 0, 5],
        ...encoder.encode("hello"),
      ]),
      BYE,
    ),
    expected: { ...native(OPENED), direct: LOST },
  },
  {
    name: "that writes a length with its highest bit set",
    serve: sends(
      HELLO,
      new Uint8Array([0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 5]),
    ),
    expected: HELLO_LOST,
  },
  {
    name: "that announces 2^62 bytes",
    serve: sends(
      HELLO,
      new Uint8Array([0x82, 127, 0x40, 0, 0, 0, 0, 0, 0, 0]),
    ),
    expected: HELLO_LOST,
  },
  {
    name: "that announces 64 MiB, one byte too many",
    serve: sends(HELLO, frame(BINARY, "", { length: MAX_FRAME + 1 })),
    expected: HELLO_LOST,
  },
  {
    name: "that announces more than it sends",
    serve: async (peer) => {
      await peer.readHead();
      await peer.upgrade();
      await peer.send("hello");
      await peer.write(frame(TEXT, "short", { length: 100 }));
      peer.end();
    },
    expected: HELLO_LOST,
  },
  {
    name: "that announces less than it sends",
    serve: sends(HELLO, frame(TEXT, "hello", { length: 2 })),
    expected: `opened "hello" "he" lost`,
  },
  {
    name: "that sends noise for frames",
    serve: sends(
      HELLO,
      Uint8Array.from({ length: 4096 }, (_, i) => (i * 167 + 91) % 256),
    ),
    expected: HELLO_LOST,
  },
  {
    name: "that goes on in HTTP",
    serve: sends(
      HELLO,
      encoder.encode("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    ),
    expected: HELLO_LOST,
  },
];

export const fragments: HostileCase[] = [
  {
    name: "that continues what it has not begun",
    serve: sends(HELLO, frame(0, "x"), HELLO),
    expected: HELLO_LOST,
  },
  {
    name: "that continues what has ended",
    serve: sends(
      frame(TEXT, "a", { fin: false }),
      frame(0, "b"),
      frame(0, "c"),
    ),
    expected: `opened "ab" lost`,
  },
  {
    name: "that begins a message within another",
    serve: sends(HELLO, frame(TEXT, "a", { fin: false }), frame(TEXT, "b")),
    expected: HELLO_LOST,
  },
  {
    // Section 5.4 wants a loss; the native socket forgets the first message.
    name: "that begins a fragmented message within another",
    serve: sends(
      frame(TEXT, "a", { fin: false }),
      frame(BINARY, "b", { fin: false }),
      frame(0, "c"),
    ),
    expected: { ...native(`opened "bc" silent`), direct: LOST },
  },
  {
    name: "that sends a message in 20,000 fragments of one byte",
    serve: repeats(
      20_000,
      [frame(TEXT, "", { fin: false })],
      frame(0, "x", { fin: false }),
      [frame(0, ""), BYE],
    ),
    expected: `opened text[20000] closed 1000 ""`,
  },
  {
    name: "that sends 20,000 empty fragments",
    serve: repeats(
      20_000,
      [frame(TEXT, "a", { fin: false })],
      frame(0, "", { fin: false }),
      [frame(0, "b"), BYE],
    ),
    expected: `opened "ab" closed 1000 ""`,
  },
  {
    name: "that begins a fragmented message and never goes on",
    serve: sends(HELLO, frame(TEXT, "a", { fin: false })),
    expected: `opened "hello" silent`,
  },
  {
    name: "that begins a fragmented message and leaves",
    serve: async (peer) => {
      await peer.readHead();
      await peer.upgrade();
      await peer.send("hello");
      await peer.write(frame(TEXT, "a", { fin: false }));
      peer.end();
    },
    expected: HELLO_LOST,
  },
  {
    name: "that closes within a fragmented message",
    serve: sends(HELLO, frame(TEXT, "a", { fin: false }), BYE),
    expected: OPENED,
  },
  {
    // The native socket has no limit for fragments; "direct" has.
    name: "that sends a message of 72 MiB in fragments",
    serve: repeats(
      72,
      [HELLO, frame(BINARY, "", { fin: false })],
      frame(0, "x".repeat(1024 * 1024), { fin: false }),
      [frame(0, ""), HELLO, BYE],
    ),
    expected: {
      ...native(`opened "hello" text[75497472] "hello" closed 1000 ""`),
      direct: HELLO_LOST,
    },
  },
  {
    name:
      "that sends a message one byte short of 64 MiB, the most there may be",
    serve: sends(frame(BINARY, new Uint8Array(MAX_FRAME - 1)), HELLO, BYE),
    options: { binary: "bytes" },
    expected: `opened bytes[67108863] "hello" closed 1000 ""`,
  },
];

export const control: HostileCase[] = [
  {
    name: "that puts pings and pongs between fragments, as it may",
    serve: sends(
      frame(TEXT, "a", { fin: false }),
      frame(PING, "1"),
      frame(0, "b", { fin: false }),
      frame(PONG, "2"),
      frame(0, "c"),
      BYE,
    ),
    expected: `opened "abc" closed 1000 ""`,
  },
  {
    name: "that sends a ping of 125 bytes, the most there may be",
    serve: sends(HELLO, frame(PING, "x".repeat(125)), HELLO, BYE),
    expected: `opened 2 × "hello" closed 1000 ""`,
  },
  {
    name: "that sends a ping of 126 bytes",
    serve: sends(HELLO, frame(PING, "x".repeat(126)), HELLO, BYE),
    expected: HELLO_LOST,
  },
  {
    // Section 5.5 wants a loss; the native socket measures pings alone.
    name: "that sends a pong of 64 KiB",
    serve: sends(HELLO, frame(PONG, "x".repeat(65536)), HELLO, BYE),
    expected: {
      ...native(`opened 2 × "hello" closed 1000 ""`),
      direct: HELLO_LOST,
    },
  },
  {
    // As the pong before it.
    name: "that sends a close frame of 126 bytes",
    serve: sends(
      HELLO,
      frame(CLOSE, closePayload(1000, "x".repeat(124))),
    ),
    expected: {
      ...native(
        `opened "hello" closed 1000 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"`,
      ),
      direct: HELLO_LOST,
    },
  },
  {
    name: "that fragments a ping",
    serve: sends(HELLO, frame(PING, "x", { fin: false }), HELLO),
    expected: HELLO_LOST,
  },
  {
    name: "that fragments a close frame",
    serve: sends(
      HELLO,
      frame(CLOSE, closePayload(1000), { fin: false }),
      HELLO,
    ),
    expected: HELLO_LOST,
  },
  {
    name: "that sends 5,000 pings",
    serve: repeats(5_000, [HELLO], frame(PING, "x".repeat(100)), [HELLO, BYE]),
    expected: `opened 2 × "hello" closed 1000 ""`,
  },
  {
    name: "that sends pongs nobody asked for",
    serve: repeats(1_000, [HELLO], frame(PONG, "x"), [HELLO, BYE]),
    expected: `opened 2 × "hello" closed 1000 ""`,
  },
];

export const closes: HostileCase[] = [
  {
    name: "that closes without a code",
    serve: sends(HELLO, frame(CLOSE, "")),
    expected: `opened "hello" closed 1005 ""`,
  },
  {
    name: "that closes with half a code",
    serve: sends(HELLO, frame(CLOSE, bytes(3))),
    expected: HELLO_LOST,
  },
  {
    name: "that closes with the longest reason",
    serve: sends(frame(CLOSE, closePayload(4000, "é".repeat(61) + "x"))),
    expected:
      `opened closed 4000 "éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééx"`,
  },
  {
    name: "that closes with a reason that is not UTF-8",
    serve: sends(HELLO, frame(CLOSE, bytes(3, 232, 0xff, 0xfe))),
    expected: HELLO_LOST,
  },
  {
    name: "that closes with a reason cut within a character",
    serve: sends(HELLO, frame(CLOSE, bytes(3, 232, 0x61, 0xf0, 0x9f))),
    expected: HELLO_LOST,
  },
  {
    name: "that closes with terminal sequences for a reason",
    serve: sends(HELLO, frame(CLOSE, closePayload(4000, "\x1b[2J"))),
    expected: `opened "hello" closed 4000 "\\u001b[2J"`,
  },
  {
    name: "that sends messages behind its close frame",
    serve: sends(HELLO, frame(CLOSE, closePayload(4000, "bye")), HELLO, HELLO),
    expected: `opened "hello" closed 4000 "bye"`,
  },
  {
    name: "that sends noise behind its close frame",
    serve: sends(
      HELLO,
      BYE,
      Uint8Array.from({ length: 4096 }, (_, i) => (i * 167 + 91) % 256),
    ),
    expected: OPENED,
  },
  {
    name: "that closes twice",
    serve: sends(
      HELLO,
      frame(CLOSE, closePayload(4001)),
      frame(CLOSE, closePayload(4002)),
    ),
    expected: `opened "hello" closed 4001 ""`,
  },
  {
    name: "that closes and stays",
    serve: async (peer) => {
      await peer.readHead();
      await peer.upgrade();
      await peer.send("hello");
      await peer.closeFrame(1000);
      await peer.waitForEnd();
    },
    expected: OPENED,
  },
];

/** Close codes at the boundaries; the stress tests try each from 0 to 5000. */
export const CLOSE_CODES = [
  ...[0, 1, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009],
  ...[1010, 1011, 1012, 1013, 1014, 1015, 1016, 1100, 1999, 2000, 2999, 3000],
  ...[3999, 4000, 4999, 5000, 65535],
];

/** A server that closes with a code. */
export function closesWith(code: number): HostileCase {
  return {
    name: `that closes with ${code}`,
    serve: sends(HELLO, frame(CLOSE, closePayload(code, "bye"))),
    expected: mayBeSent(code)
      ? `opened "hello" closed ${code} "bye"`
      : code === 1014 // registered since; Deno's WebSocket does not know it
      ? { ...native(HELLO_LOST), direct: `opened "hello" closed 1014 "bye"` }
      : HELLO_LOST,
  };
}

/** RFC 6455 section 7.4; of the codes registered since, the native socket knows 1012 and 1013. */
function mayBeSent(code: number): boolean {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1013) ||
    (code >= 3000 && code <= 4999);
}

export const codes: HostileCase[] = CLOSE_CODES.map(closesWith);

export const floods: HostileCase[] = [
  {
    name: "that sends 10,000 messages and leaves without a word",
    serve: async (peer) => {
      await peer.readHead();
      await peer.upgrade();
      const one = frame(TEXT, "x");
      const all = new Uint8Array(10_000 * one.length);
      for (let i = 0; i < 10_000; i++) all.set(one, i * one.length);
      await peer.write(all);
      peer.end();
    },
    expected: 'opened 10000 × "x" lost',
  },
  {
    name: "that outruns the buffer",
    serve: repeats(1_000, [], frame(TEXT, "x".repeat(1000)), [BYE]),
    options: { maxBuffer: { bytes: 2000 } },
    expected: {
      ...native("opened 2 × text[1000] overflow"),
      direct: `opened 1000 × text[1000] closed 1000 ""`,
    },
  },
];
