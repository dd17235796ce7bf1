import { assert, assertEquals, assertRejects } from "@std/assert";
import { constants, deflateRawSync } from "node:zlib";
import {
  ConnectionClosedError,
  type ConnectOptions,
  connectWebSocket,
} from "@wstap/wstap";
import { closePayload, frame, type Peer, rawServer } from "./fixtures/raw.ts";
import { eventually, quickly, within } from "./fixtures/wait.ts";

const MIB = 1024 * 1024;

/** A compressed message, as a frame of a server. */
function compressed(payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const options = { finishFlush: constants.Z_SYNC_FLUSH };
  const deflated = new Uint8Array(deflateRawSync(payload, options));
  return frame(2, deflated.subarray(0, -4), { rsv: 4 });
}

/** Connects to a server that agrees to compression, and then does as told. */
async function connect(
  serve: (peer: Peer) => Promise<void>,
  options: ConnectOptions = {},
) {
  const server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade({
      headers: { "Sec-WebSocket-Extensions": "permessage-deflate" },
    });
    await serve(peer);
    await peer.waitForEnd();
  });
  const [connection] = await connectWebSocket(server.url, {
    ...options,
    capture: "direct",
    compression: true,
  });
  return {
    connection,
    async [Symbol.asyncDispose]() {
      await connection.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Writes a frame many times, in one piece. */
function writeMany(
  peer: Peer,
  one: Uint8Array,
  count: number,
): Promise<void> {
  const all = new Uint8Array(one.length * count);
  for (let i = 0; i < count; i++) all.set(one, i * one.length);
  return peer.write(all);
}

Deno.test("what is compressed waits compressed behind a full buffer, and all of it is received", async () => {
  const bomb = compressed(new Uint8Array(MIB));
  const count = 300;
  await using it = await connect(
    async (peer) => {
      await writeMany(peer, bomb, count);
      await peer.write(frame(8, closePayload(1000)));
    },
    { binary: "bytes", maxBuffer: { bytes: 8 * MIB } },
  );
  // The mark is a quarter of the buffer.
  await eventually(
    () => it.connection.buffered.bytes >= 2 * MIB,
    "the buffer to fill",
  );
  await new Promise((resolve) => setTimeout(resolve, 100));
  const { bytes } = it.connection.buffered;
  assert(bytes <= 3 * MIB, `${bytes}`);
  let received = 0;
  while (await within(it.connection.recv(), 60_000, "a message") !== null) {
    received++;
  }
  assertEquals(received, count);
});

Deno.test("close() does not wait for bombs to inflate", async () => {
  const bomb = compressed(new Uint8Array(60 * MIB));
  await quickly(1000, async () => { // inflating 2.4 GB takes 10 s
    const isClosed = Promise.withResolvers<void>();
    await using it = await connect(async (peer) => {
      await isClosed.promise;
      await writeMany(peer, bomb, 40);
      await peer.write(frame(8, closePayload(1000)));
    }, { closeTimeout: "1m" });
    const closing = it.connection.close();
    const start = performance.now();
    isClosed.resolve();
    assertEquals((await closing).clean, true);
    return performance.now() - start;
  });
});

Deno.test("timers fire while a server sends blocks that inflate to nothing", async () => {
  const blocks = new Uint8Array(MIB / 2);
  for (let i = 0; i < blocks.length; i += 2) blocks[i] = 3;
  await using it = await connect((peer) =>
    peer.write(frame(2, blocks, { rsv: 4 }))
  );
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  assertEquals(await within(it.connection.recv(), 60_000, "a message"), "");
  clearInterval(timer);
  assert(ticks >= 5, `${ticks} ticks`); // one, if it held up all else
});

Deno.test("maxMessage counts what a message inflates to, and the error says it", async () => {
  const fits = compressed(new Uint8Array(1000));
  const more = compressed(new Uint8Array(1001));
  await using it = await connect(async (peer) => {
    await peer.write(fits);
    await peer.write(more);
  }, { binary: "bytes", maxMessage: 1000 });
  assertEquals(await it.connection.recv(), new Uint8Array(1000));
  await assertRejects(
    () => it.connection.recv(),
    ConnectionClosedError,
    "a message is larger than 1000 bytes",
  );
});
