import { assert, assertEquals, assertThrows } from "@std/assert";
import { ProtocolError } from "../../src/websocket/protocol_error.ts";
import { loadTextCheck } from "../../src/websocket/utf8.ts";
import { concat, createReceiver } from "../fixtures/receiver.ts";
import { frame } from "../fixtures/raw.ts";

const encoder = new TextEncoder();

Deno.test("a receiver gives text that is not ASCII among text that is", () => {
  const texts = Array.from(
    { length: 5000 },
    (_, i) => i % 7 === 0 ? `grüße ${i}` : `plain ${i}`,
  );
  const { receiver, found } = createReceiver();
  receiver.push(concat(...texts.map((text) => frame(1, text))));
  assertEquals(found, texts);
});

Deno.test("a receiver keeps nothing of the bytes that it was given", () => {
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

Deno.test("small binary messages share buffers of at most 8 KiB, and nothing writes into them again", () => {
  const { receiver, found } = createReceiver();
  const payloads = Array.from(
    { length: 500 },
    (_, i) => new Uint8Array(i * 2 + 1).fill(i),
  );
  const bytes = concat(...payloads.map((it) => frame(2, it)));
  receiver.push(bytes);
  bytes.fill(0);
  receiver.push(concat(...payloads.map((it) => frame(2, it))));
  assertEquals(found, [...payloads, ...payloads]);
  const buffers = new Set((found as Uint8Array[]).map(({ buffer }) => buffer));
  assert(buffers.size < found.length / 4, `${buffers.size}`);
  for (const { byteLength } of buffers) assert(byteLength <= 8192);
});

Deno.test("a binary message of more than 1 KiB, and one that comes alone, has a buffer of its own", () => {
  const { receiver, found } = createReceiver();
  const long = frame(2, new Uint8Array(1025));
  receiver.push(concat(long, long, frame(2, "a")));
  receiver.push(frame(2, "b"));
  const sizes = (found as Uint8Array[]).map(({ buffer }) => buffer.byteLength);
  assertEquals(sizes, [1025, 1025, 1, 1]);
});

for (const isLoaded of [false, true]) {
  Deno.test(`texts that are not decoded share buffers, whatever their characters (${isLoaded ? "node:buffer" : "decoder"})`, async () => {
    if (isLoaded) await loadTextCheck();
    const { receiver, found } = createReceiver({ decode: false });
    const texts = Array.from(
      { length: 300 },
      (_, i) => `${i} aé€😀\ufffd\ufeff`,
    );
    receiver.push(concat(...texts.map((text) => frame(1, text))));
    assertEquals(found, texts.map((text) => encoder.encode(text)));
    const buffers = new Set((found as Uint8Array[]).map((it) => it.buffer));
    assert(buffers.size < 10, `${buffers.size}`);
  });

  Deno.test(`a text that is not UTF-8 ends a run of texts that are not decoded behind those before it (${isLoaded ? "node:buffer" : "decoder"})`, async () => {
    if (isLoaded) await loadTextCheck();
    const { receiver, found } = createReceiver({ decode: false });
    const half = encoder.encode("é").subarray(0, 1);
    const rest = encoder.encode("é").subarray(1);
    const error = assertThrows(
      () =>
        receiver.push(concat(frame(1, "é"), frame(1, half), frame(1, rest))),
      ProtocolError,
    );
    assertEquals(error.code, 1007);
    assertEquals(found, [encoder.encode("é")]);
  });
}

Deno.test("a text that is not UTF-8 ends a run of texts behind those before it", () => {
  const { receiver, found } = createReceiver();
  const bytes = concat(
    frame(1, "a"),
    frame(1, "é"),
    frame(1, new Uint8Array([0xc3])),
    frame(1, "b"),
  );
  assertThrows(() => receiver.push(bytes), ProtocolError, "UTF-8");
  assertEquals(found, ["a", "é"]);
});
