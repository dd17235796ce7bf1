/**
 * Streams of frames, whole or nonsense, cut anywhere.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  ConnectionClosedError,
  connectWebSocket,
  HandshakeError,
} from "@wstap/wstap";
import fc from "fast-check";
import { FrameGuard } from "../../src/capture/frames.ts";
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

export const frames = [
  intact("tap"),
  intact("none"),
  noise("tap"),
  noise("none"),
  head("tap"),
  head("none"),
  property(
    "FrameGuard lets every valid stream pass, however it is cut",
    300,
    stream,
    ({ messages, writes }) => {
      const guard = new FrameGuard();
      for (const part of parts(encode(messages), writes)) {
        assertEquals(guard.admit(part), part.length);
      }
      assertEquals(guard.problem, "");
    },
  ),
  property(
    "FrameGuard stops in front of the frame that breaks a rule, however it is cut",
    100,
    fc.record({
      messages: fc.array(sent, { maxLength: 3 }),
      bad: fc.constantFrom(
        { bytes: frame(1, "x", { mask: true }), problem: "masked" },
        {
          bytes: frame(2, "", { length: 2 ** 26 + 1 }),
          problem: "larger than 64 MiB",
        },
        {
          bytes: frame(2, "", { length: 2 ** 53 - 1 }),
          problem: "larger than 64 MiB",
        },
      ),
      writes: fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1 }),
    }),
    ({ messages, bad, writes }) => {
      const good = encode(messages);
      const guard = new FrameGuard();
      let passed = 0;
      for (const part of parts(concat([good, bad.bytes]), writes)) {
        passed += guard.admit(part);
        if (guard.problem !== "") break;
      }
      assert(guard.problem.includes(bad.problem), guard.problem);
      // A header that was cut has passed in part.
      assert(passed >= good.length && passed < good.length + 10, `${passed}`);
    },
  ),
  property(
    "FrameGuard adds up the fragments of one message, and of each by itself",
    50,
    fc.record({
      sizes: fc.array(fc.integer({ min: 1, max: 2 ** 25 }), {
        minLength: 2,
        maxLength: 8,
      }),
      finals: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
    }),
    ({ sizes, finals }) => {
      const guard = new FrameGuard();
      const zeros = new Uint8Array(2 ** 20);
      let message = 0;
      for (const [i, size] of sizes.entries()) {
        message += size;
        guard.admit(
          frame(message === size ? 2 : 0, "", {
            length: size,
            fin: finals[i]!,
          }),
        );
        if (message > 2 ** 26) {
          return assertEquals(guard.problem, "a message is larger than 64 MiB");
        }
        assertEquals(guard.problem, "");
        for (let left = size; left > 0; left -= zeros.length) {
          guard.admit(zeros.subarray(0, left));
        }
        if (finals[i]) message = 0;
      }
    },
  ),
];
