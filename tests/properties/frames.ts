/**
 * Streams of frames, whole or nonsense, cut anywhere.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { constants, inflateRawSync } from "node:zlib";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import {
  ConnectionClosedError,
  connectWebSocket,
  HandshakeError,
} from "@wstap/wstap";
import fc from "npm:fast-check@4.10.2";
import { createDeflate } from "../../src/websocket/deflate.ts";
import {
  encodeClose,
  encodeFrame,
  encodeText,
} from "../../src/websocket/frame.ts";
import { ProtocolError } from "../../src/websocket/protocol_error.ts";
import {
  Receiver,
  type ReceiverOptions,
} from "../../src/websocket/receiver.ts";
import * as ws from "npm:ws@8.23.0";
import type { Capture } from "../fixtures/captures.ts";
import { closePayload, frame, type Peer, rawServer } from "../fixtures/raw.ts";
import { within } from "../fixtures/wait.ts";
import { property } from "./property.ts";

const encoder = new TextEncoder();

/** A message, the places where it is cut into fragments, and what comes between. */
interface Sent {
  payload: string | Uint8Array;
  cuts: number[];
  control: { opcode: 9 | 10; payload: Uint8Array }[];
}

const sent: fc.Arbitrary<Sent> = fc.record({
  payload: fc.oneof(
    fc.string({ unit: "binary", maxLength: 300 }),
    fc.string({ unit: "grapheme", maxLength: 40 }),
    fc.uint8Array({ maxLength: 300 }),
    // What compresses, and refers back to earlier messages.
    fc.array(fc.constantFrom('{"price":', '"volume"', "€", "1234567"), {
      maxLength: 60,
    }).map((words) => words.join("")),
    // Lengths at which the header grows.
    fc.constantFrom(0, 125, 126, 127, 65535, 65536, 70_000).map((length) =>
      "x".repeat(length)
    ),
  ),
  cuts: fc.array(fc.nat(300), { maxLength: 4 }),
  control: fc.array(
    fc.record({
      opcode: fc.constantFrom(9 as const, 10 as const),
      payload: fc.uint8Array({ maxLength: 125 }),
    }),
    { maxLength: 3 },
  ),
});

const stream = fc.record({
  messages: fc.array(sent, { maxLength: 12 }),
  writes: fc.array(fc.integer({ min: 1, max: 2000 }), {
    minLength: 1,
    maxLength: 20,
  }),
});

/** The bytes of messages, each in its fragments with control frames between them. */
function encode(messages: readonly Sent[]): Uint8Array<ArrayBuffer> {
  return concat(messages.map((it) => fragments(it, bytesOf(it), 0)));
}

/** The frames of one message, whose payload is these bytes. */
function fragments(
  { payload, cuts, control }: Sent,
  bytes: Uint8Array,
  rsv: number,
): Uint8Array<ArrayBuffer> {
  const ends = [
    ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b),
    bytes.length,
  ];
  const controls = control.map((it) => frame(it.opcode, it.payload));
  return concat(ends.flatMap((end, i) => [
    frame(
      i > 0 ? 0 : typeof payload === "string" ? 1 : 2,
      bytes.subarray(ends[i - 1] ?? 0, end),
      { fin: i === ends.length - 1, rsv: i === 0 ? rsv : 0 },
    ),
    ...(controls[i] ? [controls[i]] : []),
  ]));
}

function bytesOf({ payload }: Sent): Uint8Array {
  return typeof payload === "string" ? encoder.encode(payload) : payload;
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Parts of such sizes, over and over; what is left when there are too many is one part. */
function* parts(
  bytes: Uint8Array,
  sizes: readonly number[],
): Generator<Uint8Array> {
  let at = 0;
  for (let i = 0; at < bytes.length && i < 200; i++) {
    yield bytes.subarray(at, at += sizes[i % sizes.length]!);
  }
  if (at < bytes.length) yield bytes.subarray(at);
}

/** Writes parts so that each is read by itself, as far as that can be had. */
async function writeParts(
  peer: Peer,
  bytes: Uint8Array,
  sizes: readonly number[],
): Promise<void> {
  if ("setNoDelay" in peer.conn) (peer.conn as Deno.TcpConn).setNoDelay();
  for (const part of parts(bytes, sizes)) {
    await peer.write(part);
    await new Promise((resolve) => setTimeout(resolve));
  }
}

/** What arrives of a stream that a server writes, and how it ends. */
async function receive(
  capture: Capture,
  serve: (peer: Peer) => Promise<void>,
): Promise<{ messages: (string | Uint8Array)[]; end: unknown }> {
  await using server = rawServer(serve);
  const [connection] = await connectWebSocket(server.url, {
    capture,
    binary: "bytes",
    handshakeTimeout: "10s",
    closeTimeout: "1s",
  });
  const messages: (string | Uint8Array)[] = [];
  try {
    while (true) {
      const message = await within(connection.recv(), 60_000, "a message");
      if (message === null) break;
      messages.push(message);
    }
  } catch (end) {
    await within(connection.closed, 60_000, "connection.closed");
    return { messages, end };
  }
  await within(connection.closed, 60_000, "connection.closed");
  return { messages, end: null };
}

const intact = (capture: Capture) =>
  property(
    `messages arrive intact and in order, however the stream is cut (${capture})`,
    25,
    stream,
    async ({ messages, writes }) => {
      const bytes = concat([encode(messages), frame(8, closePayload(1000))]);
      const got = await receive(capture, async (peer) => {
        await peer.readHead();
        await peer.upgrade();
        await writeParts(peer, bytes, writes);
        await peer.waitForEnd();
        peer.end();
      });
      assertEquals(got.messages, messages.map(({ payload }) => payload));
      assertEquals(got.end, null);
    },
  );

const noise = (capture: Capture) =>
  property(
    `noise behind the messages ends the connection and takes none of them (${capture})`,
    15,
    fc.record({
      messages: fc.array(sent, { maxLength: 3 }),
      noise: fc.uint8Array({ minLength: 1, maxLength: 2000, size: "max" }),
      writes: fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1 }),
    }),
    async ({ messages, noise, writes }) => {
      const got = await receive(capture, async (peer) => {
        await peer.readHead();
        await peer.upgrade();
        await writeParts(peer, concat([encode(messages), noise]), writes);
        // Not a close: with a pong unread it would reset the connection, and Deno's
        // WebSocket then gives up what it has not read.
        await peer.conn.closeWrite();
        await peer.waitForEnd();
        peer.end();
      });
      const before = got.messages.slice(0, messages.length);
      assertEquals(before, messages.map(({ payload }) => payload));
      // Noise may be a message, and even a close frame.
      if (got.end === null) return;
      assert(got.end instanceof ConnectionClosedError);
      assertEquals(got.end.code, 1006);
    },
  );

const head = (capture: Capture) =>
  property(
    `noise for a response head is refused, or opens a connection that ends (${capture})`,
    25,
    fc.array(
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom(
          ..."HTTP/1.1 |101 |404 |X\r\n|\r\n\r\n|Upgrade: websocket\r\n|: |Connection:"
            .split("|"),
          "Content-Length: 5\r\n",
          "Transfer-Encoding: chunked\r\n",
          "Location: /x\r\n",
          "HTTP/1.1 503 Busy\r\n",
        ).map((text) => encoder.encode(text)),
      ),
      { maxLength: 30 },
    ),
    async (pieces) => {
      await using server = rawServer(async (peer) => {
        await peer.readHead();
        await peer.write(concat(pieces));
        await peer.conn.closeWrite();
        await peer.waitForEnd();
        peer.end();
      });
      let connection;
      try {
        [connection] = await within(
          connectWebSocket(server.url, { capture, redirect: "follow" }),
          60_000,
          "an answer",
        );
      } catch (error) {
        return assert(error instanceof HandshakeError, `${error}`);
      }
      await within(connection.closed, 60_000, "connection.closed");
    },
  );

const ignoring = {
  onMessage() {},
  onPing() {},
  onPong() {},
  onClose() {},
};

/** What a stream means: its messages, and how it ended. */
interface Decoded {
  messages: (string | Uint8Array)[];
  /** `"open"`, `"closed CODE REASON"`, or the code and the rule of a violation. */
  verdict: string;
}

/**
 * Decodes a stream that comes in pieces. The beginning of a frame of at most
 * `capacity` bytes is kept and passed again, as a socket does.
 */
function decode(
  pieces: Iterable<Uint8Array>,
  options?: ReceiverOptions,
  capacity = 0,
): Decoded {
  const got: Decoded = { messages: [], verdict: "open" };
  const receiver = new Receiver({
    onMessage: (message) => got.messages.push(message),
  }, {
    ...ignoring,
    onClose: (code, reason) => got.verdict = `closed ${code} ${reason}`,
  }, options);
  try {
    let kept = new Uint8Array();
    for (const piece of pieces) {
      const bytes = concat([kept, piece]);
      // What it may have written there belongs to it too.
      kept = bytes;
      do {
        const left = receiver.push(kept, capacity);
        kept = kept.subarray(kept.length - left);
      } while (receiver.stopped);
    }
    assertEquals(receiver.push(kept), 0);
  } catch (error) {
    assert(error instanceof ProtocolError, `${error}`);
    got.verdict = `${error.code} ${error.message}`;
  }
  return got;
}

/** Whether a verdict is that a text is not UTF-8. */
const isNotUtf8 = ({ verdict }: Decoded) => verdict.startsWith("1007 a text");

/**
 * Whether the text that is coming, where the bytes end or another rule is
 * broken, cannot be UTF-8 any more: what is found before the text is whole.
 */
function isTextBroken(bytes: Uint8Array): boolean {
  let text: TextDecoder | null = null;
  let isOpen = false;
  for (let at = 0; at + 2 <= bytes.length;) {
    const [first, second] = [bytes[at]!, bytes[at + 1]!];
    const opcode = first & 15;
    const size = second < 126 ? 0 : second === 126 ? 2 : 8;
    at += 2 + size;
    const length = size === 0
      ? second
      : bytes.subarray(at - size, at).reduce((sum, it) => sum * 256 + it, 0);
    if (second >= 128 || (first & 0x70) !== 0 || at > bytes.length) break;
    const payload = bytes.subarray(at, at += length);
    if (opcode >= 8) { // a close frame ends it all; nothing else matters
      if (opcode > 10 || opcode === 8 || first < 128 || length > 125) break;
      continue;
    }
    if (opcode > 2 || isOpen !== (opcode === 0)) break;
    if (opcode === 1) text = new TextDecoder("utf-8", { fatal: true });
    isOpen = first < 128;
    try {
      text?.decode(payload, { stream: isOpen || at > bytes.length });
    } catch {
      return true;
    }
    if (!isOpen) text = null;
  }
  return false;
}

/** What npm ws makes of the same bytes; its verdict has no rule, and no reason. */
async function decodeWithWs(
  bytes: Uint8Array,
  inflater?: WholeInflater,
): Promise<Decoded> {
  const { Receiver } = ws as unknown as {
    // deno-lint-ignore no-explicit-any -- its types do not list it
    Receiver: new (options: object) => any;
  };
  const receiver = new Receiver({
    isServer: false,
    maxPayload: 2 ** 26,
    allowSynchronousEvents: true,
    extensions: inflater ? { "permessage-deflate": inflater } : {},
  });
  const got: Decoded = { messages: [], verdict: "open" };
  receiver.on("message", (data: Uint8Array, isBinary: boolean) => {
    const copy = new Uint8Array(data);
    got.messages.push(
      isBinary ? copy : new TextDecoder("utf-8", {
        ignoreBOM: true,
      }).decode(copy),
    );
  });
  receiver.on(
    "conclude",
    (code: number, reason: Uint8Array) =>
      got.verdict = `closed ${code} ${new TextDecoder().decode(reason)}`,
  );
  receiver.on("error", ({ code }: { code: string }) => {
    got.verdict = code === "WS_ERR_INVALID_UTF8"
      ? "1007"
      : /^WS_ERR_UNSUPPORTED_(MESSAGE|DATA_PAYLOAD)_LENGTH$/.test(code)
      ? "1009"
      : code.startsWith("WS_ERR_")
      ? "1002"
      : code;
  });
  await new Promise((resolve) => {
    // An error of what inflates comes one turn later.
    receiver.write(bytes, () => setTimeout(resolve));
  });
  return got;
}

const TAIL = new Uint8Array([0, 0, 0xff, 0xff]);

/**
 * Inflates for the receiver of npm ws, with zlib: every message together with
 * all before it. (Its own way ends a process of Deno over what is not deflate.)
 */
class WholeInflater {
  #past = new Uint8Array();
  #done = 0;
  #parts: Uint8Array[] = [];

  constructor(readonly noContext: boolean) {}

  decompress(
    part: Uint8Array,
    fin: boolean,
    callback: (error: object | null, result?: Uint8Array) => void,
  ): void {
    this.#parts.push(new Uint8Array(part));
    if (!fin) return queueMicrotask(() => callback(null, Buffer.alloc(0)));
    const all = concat([this.#past, ...this.#parts, TAIL]);
    this.#parts = [];
    try {
      const { buffer, engine } = inflateRawSync(all, {
        finishFlush: constants.Z_SYNC_FLUSH,
        info: true,
      }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
      // It stops at a final block, behind which a message may go on.
      if (engine.bytesWritten < all.length) throw { code: "a final block" };
      const message = buffer.subarray(this.#done);
      if (!this.noContext) {
        this.#past = all;
        this.#done = buffer.length;
      }
      queueMicrotask(() => callback(null, message));
    } catch (error) {
      const { code } = error as { code: string };
      const its = code === "Z_DATA_ERROR" ? { code: "1007" } : { code };
      setTimeout(() => callback(Object.assign(new Error(code), its)));
    }
  }
}

/** Messages of which some are compressed, and what was agreed on. */
interface Deflated {
  messages: (Sent & { isCompressed: boolean })[];
  noContext: boolean;
  windowBits: number;
}

const deflated: fc.Arbitrary<Deflated> = fc.record({
  messages: fc.array(
    fc.tuple(sent, fc.boolean()).map(([it, isCompressed]) => ({
      ...it,
      isCompressed,
    })),
    { minLength: 1, maxLength: 6 },
  ),
  noContext: fc.boolean(),
  windowBits: fc.integer({ min: 9, max: 15 }),
});

/** The bytes of such messages, compressed as npm ws does as a server. */
async function encodeDeflated(
  { messages, noContext, windowBits }: Deflated,
): Promise<Uint8Array<ArrayBuffer>> {
  const { PerMessageDeflate } = ws as unknown as {
    // deno-lint-ignore no-explicit-any -- its types do not list it
    PerMessageDeflate: new (options: object) => any;
  };
  const deflate = new PerMessageDeflate({ isServer: true });
  deflate.accept([{
    server_max_window_bits: [windowBits],
    ...(noContext && { server_no_context_takeover: [true] }),
  }]);
  const encoded: Uint8Array[] = [];
  for (const it of messages) {
    const bytes = bytesOf(it);
    if (!it.isCompressed) {
      encoded.push(fragments(it, bytes, 0));
      continue;
    }
    const compressed = await new Promise<Uint8Array>((resolve, reject) =>
      deflate.compress(
        bytes,
        true,
        (error: unknown, result: Uint8Array) =>
          error ? reject(error) : resolve(new Uint8Array(result)),
      )
    );
    encoded.push(fragments(it, compressed, 4));
  }
  deflate.cleanup();
  return concat(encoded);
}

/** {@linkcode decode} for messages that may be compressed. */
async function decodeDeflated(
  pieces: Iterable<Uint8Array>,
  { noContext, windowBits }: Deflated,
  capacity = 0,
): Promise<Decoded> {
  const { inflater, deflater } = await createDeflate({
    serverNoContextTakeover: noContext,
    clientNoContextTakeover: false,
    serverMaxWindowBits: windowBits,
    clientMaxWindowBits: 15,
  });
  try {
    return decode(pieces, { inflater }, capacity);
  } finally {
    inflater.close();
    deflater.close();
  }
}

/** The sizes of the pieces in which a stream comes, and what is kept of them. */
const cut = fc.record({
  sizes: fc.array(fc.integer({ min: 1, max: 2000 }), {
    minLength: 1,
    maxLength: 20,
  }),
  capacity: fc.constantFrom(0, 2, 100, 128 * 1024),
});

/** Bytes that are changed at some places. */
const changes = fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255) }), {
  maxLength: 4,
});

/** Changes bytes, and returns where the first change is. */
function change(
  bytes: Uint8Array,
  changes: readonly { at: number; byte: number }[],
): number {
  let first = bytes.length;
  for (const { at, byte } of changes) {
    const place = at % bytes.length;
    if (bytes[place] !== byte) first = Math.min(first, place);
    bytes[place] = byte;
  }
  return first;
}

/** Asserts that both found the same, as far as both look for the same. */
function agree(ours: Decoded, theirs: Decoded): void {
  // Two rules of RFC 6455 section 5.2 that npm ws does not check: a length field
  // is no longer than needed, and its highest bit is 0. And what comes behind a
  // final block of deflate is not looked at there.
  const [less, more] = theirs.verdict === "a final block"
    ? [theirs, ours]
    : [ours, theirs];
  if (
    less === theirs || /longer length field|2\^63/.test(ours.verdict)
  ) {
    assertEquals(more.messages.slice(0, less.messages.length), less.messages);
    return;
  }
  assertEquals(ours.messages, theirs.messages);
  if (ours.verdict.startsWith("1007") && theirs.verdict !== "1007") {
    // What is not UTF-8, or not deflate, is found here as soon as it comes. npm
    // ws looks at whole messages and whole frames: this one never gets whole,
    // because of another violation, a close frame or the end of the bytes.
    assertMatch(theirs.verdict, /^(open|closed |1002|1009)/);
    return;
  }
  // A close frame has a code and a reason; a violation has its code alone.
  const verdict = ours.verdict.startsWith("closed")
    ? ours.verdict
    : ours.verdict.split(" ")[0];
  assertEquals(verdict, theirs.verdict);
}

export const frames = [
  intact("direct"),
  intact("none"),
  noise("direct"),
  noise("none"),
  head("direct"),
  head("none"),
  property(
    "Receiver gives the same messages, however the stream is cut",
    300,
    fc.record({ messages: fc.array(sent, { maxLength: 12 }), cut }),
    ({ messages, cut: { sizes, capacity } }) => {
      const got = decode(parts(encode(messages), sizes), {}, capacity);
      assertEquals(got.messages, messages.map(({ payload }) => payload));
      assertEquals(got.verdict, "open");
    },
  ),
  property(
    "Receiver takes what was encoded, masked and in any pieces",
    200,
    stream,
    ({ messages, writes }) => {
      const bytes = concat(
        messages.map(({ payload }) =>
          typeof payload === "string"
            ? encodeText(payload)
            : encodeFrame(2, payload)
        ),
      );
      const got = decode(
        parts(concat([bytes, encodeClose(4000, "bye")]), writes),
        { peer: "client" },
      );
      assertEquals(got.messages, messages.map(({ payload }) => payload));
      assertEquals(got.verdict, "closed 4000 bye");
    },
  ),
  property(
    "Receiver ends a changed stream with one named violation, or not at all",
    500,
    fc.record({
      messages: fc.array(sent, { minLength: 1, maxLength: 6 }),
      changes,
      cut,
    }),
    ({ messages, changes, cut: { sizes, capacity } }) => {
      const bytes = encode(messages);
      const first = change(bytes, changes);
      const got = decode(parts(bytes, sizes), {}, capacity);
      assertMatch(got.verdict, /^(open|closed |100[279] )/);
      // What came whole before the first change is what was sent.
      const before = decode([bytes.subarray(0, first)]).messages;
      assertEquals(got.messages.slice(0, before.length), before);
      // And one piece gives the same as many. Text that is not UTF-8 is found at
      // once in small parts and at the end in large ones, where another
      // violation, a close frame or the end of the bytes may come first.
      const whole = decode([bytes]);
      assertEquals(whole.messages, got.messages);
      if (whole.verdict !== got.verdict) {
        assert(isNotUtf8(whole) || isNotUtf8(got));
        assert(isTextBroken(bytes));
      }
    },
  ),
  property(
    "Receiver agrees with the receiver of npm ws, message by message and in its verdict",
    300,
    fc.record({
      messages: fc.array(sent, { minLength: 1, maxLength: 6 }),
      changes,
    }),
    async ({ messages, changes }) => {
      const bytes = concat([encode(messages), frame(8, closePayload(1000))]);
      change(bytes, changes);
      const ours = decode([bytes]);
      agree(ours, await decodeWithWs(bytes));
      if (isNotUtf8(ours)) assert(isTextBroken(bytes));
    },
  ),
  property(
    "Receiver inflates what a server compressed, however the stream is cut",
    150,
    fc.record({ stream: deflated, cut }),
    async ({ stream, cut: { sizes, capacity } }) => {
      const bytes = await encodeDeflated(stream);
      const got = await decodeDeflated(parts(bytes, sizes), stream, capacity);
      assertEquals(got.messages, stream.messages.map(({ payload }) => payload));
      assertEquals(got.verdict, "open");
    },
  ),
  property(
    "Receiver ends a changed stream of compressed messages as npm ws and zlib do",
    150,
    fc.record({ stream: deflated, changes, cut }),
    async ({ stream, changes, cut: { sizes, capacity } }) => {
      const bytes = concat([
        await encodeDeflated(stream),
        frame(8, closePayload(1000)),
      ]);
      const first = change(bytes, changes);
      const got = await decodeDeflated(parts(bytes, sizes), stream, capacity);
      assertMatch(got.verdict, /^(open|closed |100[279] )/);
      const before = await decodeDeflated([bytes.subarray(0, first)], stream);
      assertEquals(
        got.messages.slice(0, before.messages.length),
        before.messages,
      );
      const whole = await decodeDeflated([bytes], stream);
      assertEquals(whole.messages, got.messages);
      agree(
        whole,
        await decodeWithWs(bytes, new WholeInflater(stream.noContext)),
      );
    },
  ),
  property(
    "Receiver adds up the fragments of one message, and of each by itself",
    10,
    fc.record({
      sizes: fc.array(fc.integer({ min: 1, max: 2 ** 25 }), {
        minLength: 2,
        maxLength: 8,
      }),
      finals: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
    }),
    ({ sizes, finals }) => {
      const receiver = new Receiver(ignoring, ignoring);
      const zeros = new Uint8Array(2 ** 20);
      let message = 0;
      for (const [i, size] of sizes.entries()) {
        message += size;
        const header = frame(message === size ? 2 : 0, "", {
          length: size,
          fin: finals[i]!,
        });
        if (message > 2 ** 26) {
          assertThrows(
            () => receiver.push(header),
            ProtocolError,
            "a message is larger than 64 MiB",
          );
          return;
        }
        receiver.push(header);
        for (let left = size; left > 0; left -= zeros.length) {
          receiver.push(zeros.subarray(0, left));
        }
        if (finals[i]) message = 0;
      }
    },
  ),
];
