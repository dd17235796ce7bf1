import { assertEquals, assertThrows } from "@std/assert";
import {
  encodeClose,
  encodeFrame,
  encodeText,
  OPCODE,
} from "../src/websocket/frame.ts";
import { ProtocolError } from "../src/websocket/protocol_error.ts";
import { MAX_MESSAGE, Receiver } from "../src/websocket/receiver.ts";
import { closePayload, frame } from "./fixtures/raw.ts";

const encoder = new TextEncoder();

/** A receiver, and what it has found: messages, pings, pongs and closes. */
function createReceiver(peer: "server" | "client" = "server") {
  const found: unknown[] = [];
  const receiver = new Receiver({
    onMessage: (message) => found.push(message),
  }, {
    onPing: (payload) => found.push(["ping", payload]),
    onPong: (payload) => found.push(["pong", payload]),
    onClose: (code, reason) => found.push(["close", code, reason]),
  }, { peer });
  return { receiver, found };
}

function concat(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

const VIOLATIONS: [string, Uint8Array, number, string][] = [
  ["a masked frame", frame(1, "x", { mask: true }), 1002, "masked a frame"],
  ...[1, 2, 4].map((rsv): [string, Uint8Array, number, string] => [
    `the reserved bits ${rsv}`,
    frame(1, "x", { rsv }),
    1002,
    "reserved bit",
  ]),
  ...[3, 7, 11, 15].map((opcode): [string, Uint8Array, number, string] => [
    `the opcode ${opcode}`,
    frame(opcode, "x"),
    1002,
    `reserved opcode ${opcode}`,
  ]),
  ["a fragmented ping", frame(9, "x", { fin: false }), 1002, "fragmented"],
  ["a ping of 126 bytes", frame(9, "x".repeat(126)), 1002, "125 bytes"],
  ["a continuation without a start", frame(0, "x"), 1002, "never began"],
  [
    "a message within another",
    concat(frame(1, "a", { fin: false }), frame(2, "b")),
    1002,
    "inside another one",
  ],
  [
    "a length of 16 bits that 7 would do for",
    new Uint8Array([0x82, 126, 0, 1, 0]),
    1002,
    "longer length field",
  ],
  [
    "a length of 64 bits that 16 would do for",
    new Uint8Array([0x82, 127, 0, 0, 0, 0, 0, 0, 1, 0]),
    1002,
    "longer length field",
  ],
  [
    "a length of 2^63",
    new Uint8Array([0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]),
    1002,
    "2^63",
  ],
  [
    "a length of 2^62",
    new Uint8Array([0x82, 127, 0x40, 0, 0, 0, 0, 0, 0, 0]),
    1009,
    "64 MiB",
  ],
  [
    "a frame of 64 MiB and a byte",
    frame(2, "", { length: MAX_MESSAGE + 1 }),
    1009,
    "64 MiB",
  ],
  ["half a close code", frame(8, new Uint8Array([3])), 1002, "half a code"],
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000].map(
    (code): [string, Uint8Array, number, string] => [
      `the close code ${code}`,
      frame(8, closePayload(code)),
      1002,
      "must not be sent",
    ],
  ),
  [
    "a close reason that is not UTF-8",
    frame(8, new Uint8Array([3, 232, 0xff])),
    1007,
    "UTF-8",
  ],
  ["text that is not UTF-8", frame(1, new Uint8Array([0xff])), 1007, "UTF-8"],
  [
    "text that ends within a character",
    frame(1, new Uint8Array([0xe2, 0x82])),
    1007,
    "UTF-8",
  ],
  [
    "fragments that end within a character",
    concat(
      frame(1, new Uint8Array([0xe2]), { fin: false }),
      frame(0, new Uint8Array([0x82])),
    ),
    1007,
    "UTF-8",
  ],
  [
    "a surrogate in a fragment",
    concat(frame(1, new Uint8Array([0xed, 0xa0]), { fin: false })),
    1007,
    "UTF-8",
  ],
];

for (const [what, bytes, code, rule] of VIOLATIONS) {
  Deno.test(`Receiver refuses ${what} with ${code}, in one piece and byte by byte`, () => {
    for (const size of [bytes.length, 1]) {
      const { receiver, found } = createReceiver();
      receiver.push(frame(1, "before"));
      const push = () => {
        for (let i = 0; i < bytes.length; i += size) {
          receiver.push(bytes.slice(i, i + size));
        }
      };
      const error = assertThrows(push, ProtocolError, rule);
      assertEquals(error.code, code);
      receiver.push(frame(1, "after"));
      assertEquals(found, ["before"]);
    }
  });
}

Deno.test("Receiver refuses an unmasked frame of a client", () => {
  const { receiver, found } = createReceiver("client");
  receiver.push(frame(1, "a", { mask: true }));
  assertThrows(() => receiver.push(frame(1, "b")), ProtocolError, "mask");
  assertEquals(found, ["a"]);
});

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

Deno.test("Receiver gives text that is not ASCII among text that is", () => {
  const texts = Array.from(
    { length: 5000 },
    (_, i) => i % 7 === 0 ? `grüße ${i}` : `plain ${i}`,
  );
  const { receiver, found } = createReceiver();
  receiver.push(concat(...texts.map((text) => frame(1, text))));
  assertEquals(found, texts);
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
  for (let i = 0; i < 100; i++) receiver.push(many.slice());
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

Deno.test("Receiver keeps nothing of the bytes that it was given", () => {
  const { receiver, found } = createReceiver();
  const buffer = concat(
    ...Array.from({ length: 100 }, (_, i) => frame(1, `text ${i} `.repeat(3))),
    frame(2, "binary"),
    frame(9, "ping"),
  );
  receiver.push(buffer);
  buffer.fill(0);
  assertEquals(found[0], "text 0 text 0 text 0 ");
  assertEquals(found[99], "text 99 text 99 text 99 ");
  assertEquals(found[100], encoder.encode("binary"));
  assertEquals(found[101], ["ping", encoder.encode("ping")]);
  assertEquals((found[100] as Uint8Array).buffer.byteLength, 6);
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

Deno.test("encodeFrame() masks with a fresh mask each time, and a receiver takes it", () => {
  const masks = new Set<string>();
  for (const length of [0, 1, 63, 64, 125, 126, 65535, 65536]) {
    const payload = new Uint8Array(length).fill(7);
    for (let i = 0; i < 50; i++) {
      const encoded = encodeFrame(OPCODE.binary, payload);
      const at = length < 126 ? 2 : length < 65536 ? 4 : 10;
      masks.add(encoded.slice(at, at + 4).join());
      const { receiver, found } = createReceiver("client");
      receiver.push(encoded);
      assertEquals(found, [payload]);
    }
  }
  // Two of 400 random masks are the same once in 50,000 runs.
  assertEquals(masks.size >= 399, true);
});

Deno.test("encodeFrame() leaves the payload of the caller as it is", () => {
  const payload = encoder.encode("x".repeat(200));
  encodeFrame(OPCODE.text, payload);
  assertEquals(payload, encoder.encode("x".repeat(200)));
});

Deno.test("encodeText() without a mask is what a server sends", () => {
  assertEquals(encodeText("é", { mask: false }).slice(), frame(1, "é"));
});

Deno.test("encodeText() makes frames that share no byte, whatever their text and length", () => {
  const texts = Array.from({ length: 1100 }, (_, length) =>
    // "é" at the end: only the last character shows that the text is not ASCII.
    "x".repeat(length) + ["", "é"][length % 2]);
  const frames = texts.map((text) => encodeText(text));
  const plain = texts.map((text) => encodeText(text, { mask: false }));
  const { receiver, found } = createReceiver("client");
  for (const bytes of frames) receiver.push(bytes);
  assertEquals(found, texts);
  for (const [i, text] of texts.entries()) {
    assertEquals(plain[i]!.slice(), frame(1, text));
  }
});

Deno.test("encodeClose() has a code and a reason, or nothing, and at most 125 bytes", () => {
  assertEquals(
    encodeClose(undefined, "", { mask: false }).slice(),
    frame(8, ""),
  );
  assertEquals(
    encodeClose(1000, "bye", { mask: false }).slice(),
    frame(8, closePayload(1000, "bye")),
  );
  const { receiver, found } = createReceiver("client");
  receiver.push(encodeClose(1002, "é".repeat(100)));
  assertEquals(found, [["close", 1002, "é".repeat(61)]]);
});
