/**
 * The bounds of the contract, each driven to its edge by a consumer in a process
 * of its own.
 */

import { constants, deflateRawSync } from "node:zlib";
import { assert, assertEquals } from "@std/assert";
import {
  closePayload,
  frame,
  type Peer,
  type RawServer,
  rawServer,
} from "../fixtures/raw.ts";
import { consume } from "./_consume.ts";
import type { Measured } from "./_consumer.ts";
import { form, report } from "./_form.ts";

const MIB = 2 ** 20;

/** The most that one read brings. */
const READ = 512 * 1024;

/** Messages of such sizes by turns, each with its number, as fast as they are taken. */
function feed(count: number, sizes: readonly number[]): RawServer {
  return rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    await flood(peer, count, sizes);
    await peer.closeFrame(1000);
    await peer.waitForEnd();
  });
}

async function flood(peer: Peer, count: number, sizes: readonly number[]) {
  const chunk = new Uint8Array(256 * 1024 + Math.max(...sizes) + 14);
  let fill = 0;
  for (let seq = 0; seq < count; seq++) {
    const text = `${seq} `.padEnd(sizes[seq % sizes.length]!, "x");
    const bytes = frame(1, text);
    chunk.set(bytes, fill);
    fill += bytes.length;
    if (fill < 256 * 1024 && seq < count - 1) continue;
    await peer.write(chunk.subarray(0, fill));
    fill = 0;
  }
}

/** Sends the same bytes until the client has gone. */
function endless(first: Uint8Array, bytes: Uint8Array): RawServer {
  const many = Math.ceil(65536 / bytes.length);
  const block = new Uint8Array(many * bytes.length);
  for (let i = 0; i < many; i++) block.set(bytes, i * bytes.length);
  return rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    await peer.write(first);
    while (true) await peer.write(block);
  });
}

function tell(what: string, got: Measured): void {
  report(what, {
    "messages at most": got.messages,
    "bytes at most": got.bytes,
    "MB at most": Math.round(got.memory / 1e6),
    "ms late at most": got.late,
  });
}

const SIZES = [10, 100, 1000, 10_000, 100_000, 700_000];
const LARGEST = Math.max(...SIZES);

for (const how of ["all", "drip", "write"] as const) {
  Deno.test(`direct passes a quarter of maxBuffer by no more than one read and one message (${how})`, async () => {
    const count = form(3000, 12_000);
    await using server = feed(count, SIZES);
    const got = await consume({
      url: server.url,
      options: { capture: "direct", maxBuffer: { bytes: 8 * MIB } },
      how,
    });
    tell(`messages of many sizes (${how})`, got);
    assertEquals([got.received, got.inOrder, got.code], [count, true, 1000]);
    if (how === "drip") assert(got.bytes > 2 * MIB, "the mark was not reached");
    assert(got.bytes <= 2 * MIB + READ + LARGEST, `${got.bytes} bytes`);
    assert(got.memory < 250e6, `${got.memory} bytes of memory`);
  });

  Deno.test(`direct passes a quarter of maxBuffer.messages by no more than one read (${how})`, async () => {
    const count = form(200_000, 3_000_000);
    const size = 20;
    await using server = feed(count, [size]);
    const got = await consume({
      url: server.url,
      options: { capture: "direct", maxBuffer: { messages: 4000 } },
      how,
    });
    tell(`small messages (${how})`, got);
    assertEquals([got.received, got.inOrder, got.code], [count, true, 1000]);
    if (how === "drip") assert(got.messages >= 1000, `${got.messages}`);
    assert(got.messages <= 1000 + READ / (size + 2) + 1, `${got.messages}`);
  });
}

Deno.test("recvBatch() of direct resolves at the high-water mark, long before its window ends", async () => {
  await using server = feed(5000, [1000, 10_000]);
  const got = await consume({
    url: server.url,
    options: { capture: "direct", maxBuffer: { bytes: 8 * MIB } },
    how: "batch",
  });
  assertEquals([got.received, got.inOrder, got.code], [5000, true, 1000]);
  const { bytes } = got.batch!;
  assert(bytes >= 2 * MIB && bytes < 2 * MIB + 10_000, `${bytes} bytes`);
});

Deno.test("none overflows under a consumer that waits for a file between batches, behind what arrived in order", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    await flood(peer, 3_000_000, [20]);
    await peer.waitForEnd();
  });
  const got = await consume({
    url: server.url,
    options: { capture: "none", maxBuffer: { messages: 10_000 } },
    how: "write",
  });
  tell("none", got);
  assertEquals(got.error, "BufferOverflowError");
  assert(got.received >= 10_000 && got.inOrder, `${got.received}`);
  assert(got.messages <= 10_000, `${got.messages}`);
});

const ENDLESS: [what: string, first: Uint8Array, bytes: Uint8Array][] = [
  [
    "empty fragments",
    frame(1, "a", { fin: false }),
    frame(0, "", { fin: false }),
  ],
  ["empty pongs", new Uint8Array(), frame(10, "")],
  [
    "pings between fragments",
    frame(1, "a", { fin: false }),
    frame(9, "x".repeat(125)),
  ],
];

for (const [what, first, bytes] of ENDLESS) {
  Deno.test(`${what} without end take no memory, and leave the event loop to others (direct)`, async () => {
    await using server = endless(first, bytes);
    const got = await consume({
      url: server.url,
      options: { capture: "direct", closeTimeout: "500ms" },
      how: "close",
    });
    tell(what, got);
    // It never answers the close frame.
    assertEquals(got.code, 1006);
    assertEquals([got.received, got.messages], [0, 0]);
    assert(got.memory < 150e6, `${got.memory} bytes of memory`);
    assert(got.late < 5000, `${got.late} ms`);
  });
}

Deno.test("fragments without end are refused at 64 MiB (direct)", async () => {
  await using server = endless(
    frame(2, "", { fin: false }),
    frame(0, "x".repeat(100), { fin: false }),
  );
  const got = await consume({
    url: server.url,
    options: { capture: "direct" },
    how: "all",
  });
  tell("fragments without end", got);
  assertEquals([got.error, got.received], ["ConnectionClosedError", 0]);
  assert(got.memory < 350e6, `${got.memory} bytes of memory`);
});

Deno.test("direct inflates no more than it has room for, though a read holds sixty bombs", async () => {
  const options = { finishFlush: constants.Z_SYNC_FLUSH };
  const deflated = new Uint8Array(
    deflateRawSync(new Uint8Array(8 * MIB), options),
  ).subarray(0, -4);
  const bomb = frame(2, deflated, { rsv: 4 });
  const before = 20_000;
  const bombs = 72;
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade({
      headers: {
        "Sec-WebSocket-Extensions":
          "permessage-deflate; server_no_context_takeover",
      },
    });
    // Reads are large only once the feed is fast.
    await flood(peer, before, [1000]);
    const block = new Uint8Array(bombs * bomb.length);
    for (let i = 0; i < bombs; i++) block.set(bomb, i * bomb.length);
    await peer.write(block);
    await peer.write(frame(8, closePayload(1000)));
    await peer.waitForEnd();
  });
  const got = await consume({
    url: server.url,
    options: { capture: "direct", compression: true, binary: "bytes" },
    how: "drip",
  });
  tell("bombs", got);
  assertEquals([got.received, got.code], [before + bombs, 1000]);
  // The mark is 16 MiB.
  assert(got.bytes <= 24 * MIB + READ, `${got.bytes} bytes`);
  assert(got.memory < 700e6, `${got.memory} bytes of memory`);
});
