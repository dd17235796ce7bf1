import { assertEquals } from "@std/assert";
import {
  encodeClose,
  encodeFrame,
  encodeText,
  OPCODE,
} from "../../src/websocket/frame.ts";
import { createReceiver } from "../fixtures/receiver.ts";
import { closePayload, frame } from "../fixtures/raw.ts";

const encoder = new TextEncoder();

Deno.test("encodeFrame() masks with a fresh mask each time, and a receiver takes it", () => {
  const masks = new Set<string>();
  for (const length of [0, 1, 63, 64, 125, 126, 65535, 65536]) {
    const payload = new Uint8Array(length).fill(7);
    for (let i = 0; i < 50; i++) {
      const encoded = encodeFrame(OPCODE.binary, payload);
      const at = length < 126 ? 2 : length < 65536 ? 4 : 10;
      masks.add(encoded.slice(at, at + 4).join());
      const { receiver, found } = createReceiver({ peer: "client" });
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
  const { receiver, found } = createReceiver({ peer: "client" });
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
  const { receiver, found } = createReceiver({ peer: "client" });
  receiver.push(encodeClose(1002, "é".repeat(100)));
  assertEquals(found, [["close", 1002, "é".repeat(61)]]);
});
