import { assert, assertEquals } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { encodeFrame, OPCODE } from "../src/websocket/frame.ts";
import { Receiver } from "../src/websocket/receiver.ts";
import { ReadBuffer } from "../src/direct/read_buffer.ts";

const MAX_SIZE = 512 * 1024;

/** Puts bytes into the room that the buffer has for them, and returns how many fitted. */
function read(buffer: ReadBuffer, bytes: Uint8Array): number {
  const room = buffer.room();
  const length = Math.min(room.length, bytes.length);
  room.set(bytes.subarray(0, length));
  return length;
}

const handler = {
  onMessage() {},
  onPing() {},
  onPong() {},
  onClose() {},
};

Deno.test("ReadBuffer grows while reads fill it, and shrinks when they do not", () => {
  const buffer = new ReadBuffer();
  const bytes = new Uint8Array(MAX_SIZE);
  const sizes = [];
  for (let i = 0; i < 5; i++) {
    sizes.push(buffer.room().length);
    buffer.add(read(buffer, bytes));
    buffer.keep(0);
  }
  assertEquals(sizes, [1024, 8192, 65536, MAX_SIZE, MAX_SIZE]);
  for (let i = 0; i < 8; i++) {
    assertEquals(buffer.room().length, MAX_SIZE);
    buffer.add(read(buffer, bytes.subarray(0, 100)));
    buffer.keep(0);
  }
  assertEquals(buffer.room().length, 1024);
});

Deno.test("ReadBuffer keeps bytes in front of the next ones, and has room for them", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(
          fc.integer({ min: 1, max: MAX_SIZE }),
          fc.double({ min: 0, max: 1, noNaN: true }),
        ),
        { maxLength: 40 },
      ),
      (steps) => {
        const buffer = new ReadBuffer();
        let kept: number[] = [];
        let next = 0;
        for (const [most, share] of steps) {
          const room = buffer.room();
          assert(room.length > 0);
          const length = Math.min(most, room.length);
          for (let i = 0; i < length; i++) room[i] = next++;
          const there = buffer.add(length);
          assertEquals(there.length, kept.length + length);
          assertEquals([...there.subarray(0, kept.length)], kept);
          const keep = Math.floor(Math.min(there.length, 5000) * share);
          kept = [...there.subarray(there.length - keep)];
          buffer.keep(keep);
        }
      },
    ),
    { numRuns: 30 },
  );
});

Deno.test("Receiver leaves the beginning of a frame that can be kept, and takes any other", () => {
  const receiver = new Receiver(handler, handler);
  const frame = encodeFrame(OPCODE.binary, new Uint8Array(1000), {
    mask: false,
  });
  for (const there of [1, 2, 3, 4, 500, frame.length - 1]) {
    assertEquals(receiver.push(frame.slice(0, there), frame.length), there);
  }
  assertEquals(receiver.push(frame.slice(0, 500), frame.length - 1), 0);
  assertEquals(receiver.push(frame.slice(500), frame.length), 0);
});

Deno.test("Receiver gives the same messages whether or not frames are kept", () => {
  const message = fc.record({
    text: fc.boolean(),
    payload: fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 200 }),
      fc.integer({ min: 0, max: 70_000 }).map((size) => "x".repeat(size)),
    ),
    cut: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 40_000 }), {
        minLength: 1,
        maxLength: 20,
      }),
      fc.integer({ min: 1, max: 100_000 }),
      (messages, reads, capacity) => {
        const frames = messages.flatMap(({ text, payload, cut }) => {
          const bytes = new TextEncoder().encode(payload);
          const opcode = text ? OPCODE.text : OPCODE.binary;
          if (!cut) return [encodeFrame(opcode, bytes, { mask: false })];
          const half = bytes.length >> 1;
          return [
            encodeFrame(opcode, bytes.slice(0, half), {
              mask: false,
              fin: false,
            }),
            encodeFrame(OPCODE.ping, bytes.slice(0, 9), { mask: false }),
            encodeFrame(0, bytes.slice(half), { mask: false }),
          ];
        });
        const stream = new Uint8Array(
          frames.reduce((sum, { length }) => sum + length, 0),
        );
        let at = 0;
        for (const frame of frames) {
          stream.set(frame, at);
          at += frame.length;
        }
        const received: string[] = [];
        const receiver = new Receiver({
          onMessage: (data) =>
            received.push(
              typeof data === "string"
                ? `text ${data}`
                : `binary ${new TextDecoder().decode(data)}`,
            ),
        }, handler);
        const buffer = new ReadBuffer();
        for (let from = 0, i = 0; from < stream.length; i++) {
          const size = reads[i % reads.length]!;
          const length = read(buffer, stream.subarray(from, from + size));
          assert(length > 0);
          from += length;
          // As for a feed whose rate changes.
          const most = i % 3 === 2 ? 0 : capacity;
          buffer.keep(receiver.push(buffer.add(length), most));
        }
        assertEquals(
          received,
          messages.map(({ text, payload }) =>
            `${text ? "text" : "binary"} ${payload.toWellFormed()}`
          ),
        );
      },
    ),
    { numRuns: 200 },
  );
});
