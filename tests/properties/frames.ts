/**
 * Streams of frames, whole or nonsense, cut anywhere.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  ConnectionClosedError,
  connectWebSocket,
  HandshakeError,
} from "@wstap/wstap";
import fc from "npm:fast-check@4.10.2";
import {
  encodeClose,
  encodeFrame,
  encodeText,
  FrameDecoder,
  ProtocolError,
} from "../../src/direct/frames.ts";
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
  const frames = messages.flatMap(({ payload, cuts, control }) => {
    const bytes = typeof payload === "string"
      ? encoder.encode(payload)
      : payload;
    const ends = [
      ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b),
      bytes.length,
    ];
    const controls = control.map((it) => frame(it.opcode, it.payload));
    return ends.flatMap((end, i) => [
      frame(
        i > 0 ? 0 : typeof payload === "string" ? 1 : 2,
        bytes.subarray(ends[i - 1] ?? 0, end),
        { fin: i === ends.length - 1 },
      ),
      ...(controls[i] ? [controls[i]] : []),
    ]);
  });
  return concat(frames);
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
      const message = await within(connection.recv(), 20_000, "a message");
      if (message === null) break;
      messages.push(message);
    }
  } catch (end) {
    await within(connection.closed, 5000, "connection.closed");
    return { messages, end };
  }
  await within(connection.closed, 5000, "connection.closed");
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
          20_000,
          "an answer",
        );
      } catch (error) {
        return assert(error instanceof HandshakeError, `${error}`);
      }
      await within(connection.closed, 5000, "connection.closed");
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

function decode(
  pieces: Iterable<Uint8Array>,
  peer: "server" | "client" = "server",
): Decoded {
  const got: Decoded = { messages: [], verdict: "open" };
  const decoder = new FrameDecoder({
    ...ignoring,
    onMessage: (message) => got.messages.push(message),
    onClose: (code, reason) => got.verdict = `closed ${code} ${reason}`,
  }, { peer });
  try {
    // A copy of each: the decoder may write to what it gets.
    for (const piece of pieces) decoder.push(piece.slice());
  } catch (error) {
    assert(error instanceof ProtocolError, `${error}`);
    got.verdict = `${error.code} ${error.message}`;
  }
  return got;
}

/** What npm ws makes of the same bytes; its verdict has no reason. */
async function decodeWithWs(bytes: Uint8Array): Promise<Decoded> {
  const { Receiver } = ws as unknown as {
    // deno-lint-ignore no-explicit-any -- its types do not list it
    Receiver: new (options: object) => any;
  };
  const receiver = new Receiver({
    isServer: false,
    maxPayload: 2 ** 26,
    allowSynchronousEvents: true,
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
  receiver.on("conclude", () => got.verdict = "closed");
  const { promise, resolve } = Promise.withResolvers<void>();
  receiver.on("error", (error: { code: string }) => {
    got.verdict = error.code === "WS_ERR_INVALID_UTF8"
      ? "1007"
      : /LENGTH/.test(error.code) && /TOO_BIG|UNSUPPORTED/.test(error.code) ||
          error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH"
      ? "1009"
      : "1002";
    resolve();
  });
  receiver.write(bytes, () => resolve());
  await promise;
  return got;
}

export const frames = [
  intact("direct"),
  intact("none"),
  noise("direct"),
  noise("none"),
  head("direct"),
  head("none"),
  property(
    "FrameDecoder gives the same messages, however the stream is cut",
    300,
    stream,
    ({ messages, writes }) => {
      const got = decode(parts(encode(messages), writes));
      assertEquals(got.messages, messages.map(({ payload }) => payload));
      assertEquals(got.verdict, "open");
    },
  ),
  property(
    "FrameDecoder takes what was encoded, masked and in any pieces",
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
        "client",
      );
      assertEquals(got.messages, messages.map(({ payload }) => payload));
      assertEquals(got.verdict, "closed 4000 bye");
    },
  ),
  property(
    "FrameDecoder ends a changed stream with one named violation, or not at all",
    500,
    fc.record({
      messages: fc.array(sent, { minLength: 1, maxLength: 6 }),
      changes: fc.array(
        fc.record({ at: fc.nat(), byte: fc.nat(255) }),
        { minLength: 1, maxLength: 4 },
      ),
      writes: fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1 }),
    }),
    ({ messages, changes, writes }) => {
      const bytes = encode(messages);
      if (bytes.length === 0) return;
      let first = bytes.length;
      for (const { at, byte } of changes) {
        const place = at % bytes.length;
        if (bytes[place] !== byte) first = Math.min(first, place);
        bytes[place] = byte;
      }
      const got = decode(parts(bytes.slice(), writes));
      assert(/^(open|closed |100[279] )/.test(got.verdict), got.verdict);
      // What came whole before the first change is what was sent.
      const before = decode([bytes.slice(0, first)]).messages;
      assertEquals(got.messages.slice(0, before.length), before);
      // And one piece gives the same as many. Text that is not UTF-8 is found at
      // once in small parts and at the end in large ones, where another
      // violation, a close frame or the end of the bytes may come first.
      const whole = decode([bytes.slice()]);
      assertEquals(whole.messages, got.messages);
      if (!`${whole.verdict} ${got.verdict}`.includes("1007 a text")) {
        assertEquals(whole.verdict, got.verdict);
      }
    },
  ),
  property(
    "FrameDecoder agrees with the receiver of npm ws, message by message and in its verdict",
    300,
    fc.record({
      messages: fc.array(sent, { minLength: 1, maxLength: 6 }),
      changes: fc.array(
        fc.record({ at: fc.nat(), byte: fc.nat(255) }),
        { maxLength: 3 },
      ),
    }),
    async ({ messages, changes }) => {
      const bytes = concat([encode(messages), frame(8, closePayload(1000))]);
      for (const { at, byte } of changes) bytes[at % bytes.length] = byte;
      const ours = decode([bytes.slice()]);
      // Two rules of RFC 6455 section 5.2 that npm ws does not check: a length
      // field is no longer than needed, and its highest bit is 0.
      if (/longer length field|2\^63/.test(ours.verdict)) return;
      const theirs = await decodeWithWs(bytes);
      if (ours.verdict.startsWith("1007")) {
        theirs.messages.length = ours.messages.length; // it may go on a little
      }
      assertEquals(ours.messages, theirs.messages);
      const [verdict] = ours.verdict.split(" ");
      // Text that cannot be UTF-8 is found here before its message is whole; npm
      // ws waits for the rest, and may find another violation in it.
      if (verdict !== "1007") assertEquals(verdict, theirs.verdict);
    },
  ),
  property(
    "FrameDecoder adds up the fragments of one message, and of each by itself",
    50,
    fc.record({
      sizes: fc.array(fc.integer({ min: 1, max: 2 ** 25 }), {
        minLength: 2,
        maxLength: 8,
      }),
      finals: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
    }),
    ({ sizes, finals }) => {
      const decoder = new FrameDecoder(ignoring);
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
            () => decoder.push(header),
            ProtocolError,
            "a message is larger than 64 MiB",
          );
          return;
        }
        decoder.push(header);
        for (let left = size; left > 0; left -= zeros.length) {
          decoder.push(zeros.subarray(0, left));
        }
        if (finals[i]) message = 0;
      }
    },
  ),
];
