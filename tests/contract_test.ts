/** What the contract says at its edges, once for each capture. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { connectWebSocket } from "@wstap/wstap";
import { CAPTURES, each, link } from "./fixtures/captures.ts";
import { spawnServer } from "./fixtures/child.ts";
import { frame } from "./fixtures/raw.ts";
import { printable } from "../src/text.ts";

each("the response's headers are immutable", async (capture) => {
  await using it = await link(capture);
  const { headers } = it.response;
  assertThrows(() => headers.set("x-a", "1"), TypeError);
  assertThrows(() => headers.append("x-a", "1"), TypeError);
  assertThrows(() => headers.delete("x-a"), TypeError);
  assertEquals(headers.get("x-a"), null);
});

each(
  "an iterator ends by return(), and the connection stays open",
  async (capture) => {
    await using it = await link(capture);
    await it.peer.send("a");
    await it.peer.send("b");
    const iterator = it.connection[Symbol.asyncIterator]();
    assertEquals(iterator[Symbol.asyncIterator](), iterator);
    assertEquals((await iterator.next()).value, "a");
    await iterator.return!();
    assertEquals((await iterator.next()).done, true);
    assertEquals(await it.connection.recv(), "b");
  },
);

each(
  "send() takes every BufferSource, and no view of shared memory",
  async (capture) => {
    await using it = await link(capture);
    const { buffer } = new Uint8Array([0, 1, 2, 3, 4, 5]);
    const views = [
      buffer,
      new DataView(buffer, 2, 2),
      new Uint16Array(buffer, 2, 1),
    ];
    for (const view of views) {
      await it.connection.send(view);
      const { payload, opcode } = (await it.peer.readFrame())!;
      assertEquals(opcode, 2);
      assertEquals(
        payload,
        new Uint8Array(view === buffer ? [0, 1, 2, 3, 4, 5] : [2, 3]),
      );
    }
    await assertRejects(
      () => it.connection.send(new Uint8Array(new SharedArrayBuffer(1))),
      TypeError,
      "shared memory",
    );
  },
);

for (const capture of CAPTURES) {
  Deno.test(`port 0 of a URL is port 0, which nobody listens on (${capture})`, async () => {
    await assertRejects(
      () =>
        connectWebSocket("ws://127.0.0.1:0/", {
          capture,
          handshakeTimeout: "5s",
        }),
      Error,
      "Cannot connect to ws://127.0.0.1:0/",
    );
  });

  Deno.test(`empty messages are bounded by their number (${capture})`, async () => {
    await using it = await link(capture, { maxBuffer: { messages: 4000 } });
    const many = new Uint8Array(20_000).map((_, i) => i % 2 === 0 ? 0x82 : 0);
    // With "direct" nobody takes all of it until something is received.
    const writing = it.peer.write(many).catch(() => {});
    const bounded = capture === "direct" ? 1000 : 4000;
    while (it.connection.buffered.messages < bounded) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    const { messages, bytes } = it.connection.buffered;
    assertEquals(bytes, 0);
    // Past the mark by no more than one read, which is 512 KiB at the most.
    assert(messages <= (capture === "direct" ? 11_000 : 4000), `${messages}`);
    // What was not overflow is there, all of it where TCP held the server back.
    const left = capture === "direct" ? 10_000 : 4000;
    for (let i = 0; i < left; i++) assertEquals(await it.connection.recv(), "");
    await writing;
  });
}

Deno.test("printable() escapes what turns the direction of text, and what acts on a terminal", () => {
  assertEquals(
    printable("a\u061c\u200e\u200f\u202e\u2066\u2028\u001b\u009b\u007fé"),
    "a\\u061c\\u200e\\u200f\\u202e\\u2066\\u2028\\u001b\\u009b\\u007fé",
  );
});

Deno.test("direct lets timers fire while a feed never pauses and nobody waits for anything else", async () => {
  await using server = await spawnServer("raw");
  const [connection] = await connectWebSocket(
    `${server.url}/flood?n=1000000&size=100`,
    { capture: "direct" },
  );
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const start = performance.now();
  let received = 0;
  for await (const _ of connection) received++;
  clearInterval(timer);
  const milliseconds = performance.now() - start;
  assertEquals(received, 1_000_000);
  assert(ticks > milliseconds / 100, `${ticks} ticks in ${milliseconds} ms`);
});

Deno.test("direct reads no further than one read and one message past its mark, and goes on where it stopped", async () => {
  await using it = await link("direct", { maxBuffer: { messages: 400 } });
  const count = 200_000;
  const one = frame(1, "x".repeat(100));
  const all = new Uint8Array(one.length * count);
  for (let i = 0; i < count; i++) all.set(one, i * one.length);
  const writing = it.peer.write(all);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const { messages } = it.connection.buffered;
  assert(messages >= 100, `${messages}`);
  assert(messages <= 100 + 512 * 1024 / one.length + 1, `${messages}`);
  let received = 0;
  while (received < count) {
    const batch = await it.connection.recvBatch("5s", { max: 1000 });
    received += batch.length;
  }
  await writing;
  assertEquals(received, count);
});
