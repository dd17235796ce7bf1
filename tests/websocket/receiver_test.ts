import { assert, assertEquals, assertThrows } from "@std/assert";
import { createDeflate } from "../../src/websocket/deflate.ts";
import { ProtocolError } from "../../src/websocket/protocol_error.ts";
import { MAX_MESSAGE, Receiver } from "../../src/websocket/receiver.ts";
import { concat, createReceiver } from "../fixtures/receiver.ts";
import { closePayload, frame } from "../fixtures/raw.ts";
import { quickly } from "../fixtures/wait.ts";

const encoder = new TextEncoder();

for (const length of [0, 1, 125, 126, 1024, 1025, 65535, 65536, 200_000]) {
  Deno.test(`Receiver takes messages of ${length} bytes, cut anywhere`, () => {
    const text = "a€".repeat(length).slice(0, length);
    const bytes = encoder.encode(text);
    const all = concat(frame(1, text), frame(2, bytes), frame(1, text));
    for (const size of [all.length, 65_536, 4096, 1000, 7]) {
      const { receiver, found } = createReceiver();
      for (let i = 0; i < all.length; i += size) {
        receiver.push(all.slice(i, i + size));
      }
      assertEquals(found, [text, bytes, text]);
    }
  });
}

Deno.test("Receiver takes a text that is cut at every byte of its characters", () => {
  const text = "aé€😀\ufeff";
  const all = frame(1, text);
  for (let cut = 0; cut <= all.length; cut++) {
    const { receiver, found } = createReceiver();
    receiver.push(all.slice(0, cut));
    receiver.push(all.slice(cut));
    assertEquals(found, [text]);
  }
});

Deno.test("Receiver keeps a leading byte order mark and U+FFFD itself", () => {
  const { receiver, found } = createReceiver();
  receiver.push(concat(frame(1, "\ufeffa"), frame(1, "\ufffd"), frame(1, "b")));
  assertEquals(found, ["\ufeffa", "\ufffd", "b"]);
});

Deno.test("Receiver gives control frames between the fragments of a message", () => {
  const { receiver, found } = createReceiver();
  receiver.push(concat(
    frame(1, "a", { fin: false }),
    frame(9, "1"),
    frame(0, "b", { fin: false }),
    frame(10, "2"),
    frame(0, "c"),
  ));
  assertEquals(found, [
    ["ping", encoder.encode("1")],
    ["pong", encoder.encode("2")],
    "abc",
  ]);
});

Deno.test("Receiver takes empty fragments without end", () => {
  const { receiver, found } = createReceiver();
  receiver.push(frame(2, "a", { fin: false }));
  const many = concat(...Array(1000).fill(frame(0, "", { fin: false })));
  for (let i = 0; i < 100; i++) assertEquals(receiver.push(many.slice()), 0);
  receiver.push(frame(0, ""));
  assertEquals(found, [encoder.encode("a")]);
});

Deno.test("Receiver refuses the header of a frame that it would keep until it is whole", () => {
  const { receiver } = createReceiver();
  const cut = frame(2, new Uint8Array(100)).subarray(0, 50);
  assertEquals(receiver.push(cut, 1000), 50);
  cut[0]! |= 0x20;
  assertThrows(() => receiver.push(cut, 1000), ProtocolError, "reserved bit");
});

Deno.test("Receiver stops behind the message at which it is told to, and goes on there", () => {
  const found: number[] = [];
  const receiver = new Receiver({
    onMessage: (message) => {
      found.push(message.length);
      receiver.stop();
    },
  }, {
    onPing: () => found.push(-1),
    onPong() {},
    onClose() {},
  });
  const lengths = [2000, 70_000, 0];
  let bytes = concat(
    ...lengths.map((length) => frame(2, new Uint8Array(length))),
    frame(9, ""),
  );
  for (let i = 1; i <= lengths.length; i++) {
    bytes = bytes.subarray(bytes.length - receiver.push(bytes));
    assertEquals(found, lengths.slice(0, i));
    assertEquals(receiver.stopped, true);
  }
  assertEquals(receiver.push(bytes), 0);
  assertEquals(receiver.stopped, false);
  assertEquals(found, [...lengths, -1]);
});

Deno.test("Receiver takes nothing after a close frame", () => {
  const { receiver, found } = createReceiver();
  receiver.push(concat(
    frame(8, closePayload(4000, "bye")),
    frame(1, "x"),
    frame(3, "noise"),
  ));
  receiver.push(frame(1, "y"));
  assertEquals(found, [["close", 4000, "bye"]]);
});

Deno.test("Receiver does not look at noise right behind a close frame", () => {
  const { receiver, found } = createReceiver();
  receiver.push(concat(frame(8, ""), new Uint8Array([0x83, 0xff, 0xff])));
  assertEquals(found, [["close", 1005, ""]]);
});

Deno.test("Receiver gives 1005 for a close frame without a code", () => {
  const { receiver, found } = createReceiver();
  receiver.push(frame(8, ""));
  assertEquals(found, [["close", 1005, ""]]);
});

Deno.test("Receiver reserves no memory on the word of a header", () => {
  const before = Deno.memoryUsage();
  const receivers = Array.from({ length: 200 }, () => {
    const { receiver } = createReceiver();
    receiver.push(frame(2, "x", { length: MAX_MESSAGE }));
    return receiver;
  });
  const { external } = Deno.memoryUsage();
  assertEquals(receivers.length, 200);
  assertEquals(external - before.external < 64 * 1024 * 1024, true);
});

Deno.test("Receiver stops inside a compressed message, and goes on there", async () => {
  const { inflater, deflater } = await createDeflate({
    serverNoContextTakeover: false,
    clientNoContextTakeover: false,
    serverMaxWindowBits: 15,
    clientMaxWindowBits: 15,
  });
  const payload = new Uint8Array(6 * 2 ** 20).fill(7);
  const compressed = deflater.deflate(payload)!.slice();
  for (const peer of ["server", "client"] as const) {
    const { receiver, found } = createReceiver({ inflater, peer });
    const half = compressed.length >> 1;
    const mask = peer === "client";
    let bytes = concat(
      frame(2, compressed.subarray(0, half), { fin: false, rsv: 4, mask }),
      frame(0, compressed.subarray(half), { mask }),
      frame(9, "", { mask }),
    );
    let stops = 0;
    do {
      bytes = bytes.subarray(bytes.length - receiver.push(bytes));
    } while (receiver.stopped && ++stops);
    assert(stops >= 5, `${stops}`);
    assertEquals(found, [payload, ["ping", new Uint8Array()]]);
  }
});

Deno.test("Receiver stops soon among blocks that inflate to nothing", async () => {
  const { inflater } = await createDeflate({
    serverNoContextTakeover: false,
    clientNoContextTakeover: false,
    serverMaxWindowBits: 15,
    clientMaxWindowBits: 15,
  });
  // Empty final blocks, each of which begins a new series of blocks.
  const blocks = new Uint8Array(512 * 1024);
  for (let i = 0; i < blocks.length; i += 2) blocks[i] = 3;
  const { receiver, found } = createReceiver({ inflater });
  let bytes: Uint8Array = concat(frame(2, blocks, { rsv: 4 }), frame(9, ""));
  let longest = 0;
  do {
    const start = performance.now();
    const left = receiver.push(bytes);
    longest = Math.max(longest, performance.now() - start);
    const taken = bytes.length - left;
    assert(taken > 0 && taken < 10_000, `${taken}`);
    bytes = bytes.subarray(taken);
  } while (receiver.stopped);
  assertEquals(found, [new Uint8Array(), ["ping", new Uint8Array()]]);
  assert(longest < 2000, `${longest} ms`); // about 10 on an idle machine
});

for (
  const [what, one] of [
    ["pings", frame(9, "")],
    ["pongs of a byte", frame(10, "x")],
    ["fragments", frame(0, "", { fin: false })],
  ] as const
) {
  Deno.test(`Receiver stops soon among hundreds of thousands of empty frames: ${what}`, () => {
    const { receiver, found } = createReceiver();
    receiver.push(frame(2, "", { fin: false }));
    const count = Math.floor(512 * 1024 / one.length);
    const all = new Uint8Array(count * one.length);
    for (let i = 0; i < all.length; i++) all[i] = one[i % one.length]!;
    let calls = 0;
    let bytes = all;
    do {
      bytes = bytes.subarray(bytes.length - receiver.push(bytes));
      calls++;
    } while (receiver.stopped);
    assert(calls >= 10, `${calls}`);
    assertEquals(bytes.length, 0);
    assertEquals(found.length, what === "fragments" ? 0 : count);
  });
}

/** The milliseconds that a function takes, at best. */
function measure(run: () => void): number {
  let best = Infinity;
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    run();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

/** Receives a message of 64 MiB in fragments of a size, read in pieces of 512 KiB. */
function receiveInFragments(size: number): void {
  const { receiver, found } = createReceiver();
  const zeros = new Uint8Array(2 ** 19);
  for (let sent = 0; sent < MAX_MESSAGE;) {
    const length = Math.min(size, MAX_MESSAGE - sent);
    receiver.push(frame(sent === 0 ? 2 : 0, "", {
      length,
      fin: sent + length === MAX_MESSAGE,
    }));
    for (let left = length; left > 0; left -= zeros.length) {
      receiver.push(zeros.subarray(0, left));
    }
    sent += length;
  }
  assertEquals((found[0] as Uint8Array).length, MAX_MESSAGE);
}

Deno.test("Receiver takes 64 MiB in fragments of 600 kB nearly as fast as in one frame", async () => {
  const one = measure(() => receiveInFragments(MAX_MESSAGE));
  // 1.1 times as long on an idle machine; 10 times if each fragment copies the message.
  await quickly(one * 4, () => measure(() => receiveInFragments(600_000)));
});

Deno.test("Receiver copies a long message no more for the fragments behind it, in however many reads they come", () => {
  const { receiver, found } = createReceiver();
  const length = 60 * 2 ** 20;
  receiver.push(frame(2, new Uint8Array(length), { fin: false }));
  const one = frame(0, "xy", { fin: false });
  const start = performance.now();
  for (let i = 0; i < 100_000; i++) {
    receiver.push(one.subarray(0, 3));
    receiver.push(one.subarray(3));
  }
  receiver.push(frame(0, ""));
  const took = performance.now() - start;
  assertEquals((found[0] as Uint8Array).length, length + 200_000);
  // 100 on an idle machine; an hour if each fragment copies the message.
  assert(took < 60_000, `${took} ms`);
});

Deno.test("Receiver takes 250,000 fragments of a byte, each in two reads that cut its header", () => {
  const { receiver, found } = createReceiver();
  const header = frame(2, "", { fin: false, length: 1 });
  const start = performance.now();
  for (let i = 0; i < 250_000; i++) {
    receiver.push(header.subarray(0, 1));
    receiver.push(new Uint8Array([header[1]!, i & 0xff]));
    header[0] = 0;
  }
  receiver.push(frame(0, ""));
  const took = performance.now() - start;
  const message = found[0] as Uint8Array;
  assertEquals([message.length, message[300], message[249_999]], [
    250_000,
    44,
    143,
  ]);
  assert(took < 60_000, `${took} ms`); // 150 on an idle machine
});

Deno.test("Receiver takes control frames byte by byte between the fragments of a message", () => {
  const { receiver, found } = createReceiver();
  const payload = encoder.encode("p".repeat(125));
  const bytes = concat(
    frame(1, "a", { fin: false }),
    frame(9, payload),
    frame(10, ""),
    frame(0, "b"),
    frame(8, closePayload(1000, "r".repeat(123))),
  );
  for (const byte of bytes) receiver.push(new Uint8Array([byte]));
  assertEquals(found, [
    ["ping", payload],
    ["pong", new Uint8Array()],
    "ab",
    ["close", 1000, "r".repeat(123)],
  ]);
});
