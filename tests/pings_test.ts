import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ConnectionClosedError,
  connections,
  connectWebSocket,
} from "@wstap/wstap";
import { link, NATIVE } from "./fixtures/captures.ts";
import { frame, type Peer, rawServer } from "./fixtures/raw.ts";
import { within } from "./fixtures/wait.ts";

function writeFrame(
  peer: Peer,
  opcode: number,
  payload: string | Uint8Array,
): Promise<void> {
  return peer.write(frame(opcode, payload));
}

/** Reads frames up to the next ping, and gives its payload. */
async function takePing(peer: Peer): Promise<Uint8Array> {
  for (;;) {
    const next = await within(peer.readFrame(), 5000, "a ping");
    if (next?.opcode === 9) return next.payload;
  }
}

Deno.test("ping() resolves with the milliseconds until its pong", async () => {
  await using it = await link("direct");
  const ping = it.connection.ping();
  const payload = await takePing(it.peer);
  await writeFrame(it.peer, 10, payload);
  const milliseconds = await ping;
  assert(milliseconds > 0 && milliseconds < 5000, `${milliseconds}`);
});

Deno.test("a pong answers every ping up to its own, and none after it", async () => {
  await using it = await link("direct");
  const settled: number[] = [];
  const pings = [0, 1, 2].map((i) =>
    it.connection.ping().then(() => settled.push(i))
  );
  await takePing(it.peer);
  const second = await takePing(it.peer);
  const third = await takePing(it.peer);
  await writeFrame(it.peer, 10, second);
  await Promise.all(pings.slice(0, 2));
  assertEquals(settled, [0, 1]);
  await writeFrame(it.peer, 10, third);
  await pings[2];
  assertEquals(settled, [0, 1, 2]);
});

Deno.test("a pong that nobody asked for answers no ping", async () => {
  await using it = await link("direct");
  const ping = it.connection.ping({ timeout: "100ms" });
  await takePing(it.peer);
  await writeFrame(it.peer, 10, "unsolicited");
  await writeFrame(it.peer, 10, new Uint8Array(8).fill(0xff));
  const error = await assertRejects(() => ping, DOMException);
  assertEquals(error.name, "TimeoutError");
});

Deno.test("ping() rejects when its signal aborts, and when the connection ends", async () => {
  await using it = await link("direct");
  const controller = new AbortController();
  const aborted = it.connection.ping({ signal: controller.signal });
  const lost = it.connection.ping();
  controller.abort(new Error("enough"));
  await assertRejects(() => aborted, Error, "enough");
  it.peer.end();
  const error = await assertRejects(() => lost, ConnectionClosedError);
  assertEquals(error.code, 1006);
  await assertRejects(() => it.connection.ping(), ConnectionClosedError);
});

for (const capture of NATIVE) {
  Deno.test(`ping() is a TypeError that names "direct" (${capture})`, async () => {
    await using it = await link(capture);
    await assertRejects(() => it.connection.ping(), TypeError, `"direct"`);
  });
}

Deno.test("pingInterval drops a connection whose pong does not come, and says so", async () => {
  await using it = await link("direct", {
    pingInterval: "50ms",
    pingTimeout: "100ms",
  });
  await writeFrame(it.peer, 10, await takePing(it.peer));
  const start = performance.now();
  const error = await assertRejects(
    () => within(it.connection.recv(), 5000, "the loss"),
    ConnectionClosedError,
  );
  assertEquals([error.code, error.reason], [1006, "ping timeout"]);
  assert(performance.now() - start < 2000);
  assertEquals((await it.connection.closed).reason, "ping timeout");
});

Deno.test("pingInterval keeps a connection whose pongs come", async () => {
  await using it = await link("direct", {
    pingInterval: "20ms",
    pingTimeout: "2s",
  });
  for (let i = 0; i < 5; i++) {
    await writeFrame(it.peer, 10, await takePing(it.peer));
  }
  await it.peer.send("still here");
  assertEquals(await it.connection.recv(), "still here");
});

Deno.test("pingInterval does not take its own pause for a missing pong", async () => {
  await using it = await link("direct", {
    pingInterval: "20ms",
    pingTimeout: "60ms",
    maxBuffer: { messages: 4 },
  });
  // Past a quarter of the buffer nothing is read, so no pong is seen.
  await it.peer.send("a");
  await it.peer.send("b");
  await it.peer.send("c");
  await new Promise((resolve) => setTimeout(resolve, 300));
  const answering = (async () => {
    for (let i = 0; i < 5; i++) {
      await writeFrame(it.peer, 10, await takePing(it.peer));
    }
  })();
  for (const message of ["a", "b", "c"]) {
    assertEquals(await it.connection.recv(), message);
  }
  await it.peer.send("d");
  assertEquals(await it.connection.recv(), "d");
  await answering;
});

Deno.test("connections() connects again after a ping timeout", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    await peer.send(`${peer.index}`);
    await peer.waitForEnd();
  });
  const feed = connections(server.url, {
    capture: "direct",
    pingInterval: "30ms",
    pingTimeout: "60ms",
    minDelay: 0,
    maxDelay: 0,
  });
  const got: string[] = [];
  for await (const [connection] of feed) {
    for await (const message of connection) got.push(message);
    if (got.length === 2) break;
  }
  assertEquals(got, ["0", "1"]);
});

Deno.test("a flood of pings to a peer that reads nothing is answered in bounded memory", async () => {
  await using it = await link("direct");
  const payload = new Uint8Array(125).fill(1);
  const { heapUsed } = Deno.memoryUsage();
  for (let i = 0; i < 40_000; i++) await writeFrame(it.peer, 9, payload);
  await it.peer.send("after");
  assertEquals(await it.connection.recv(), "after");
  assert(Deno.memoryUsage().heapUsed - heapUsed < 64 * 1024 * 1024);
});

for (
  const [name, options] of [
    ["compression", { compression: true }],
    ["pingInterval", { pingInterval: 1 }],
    ["pingTimeout", { pingTimeout: 1 }],
  ] as const
) {
  Deno.test(`${name} is a TypeError that names "direct" with any other capture`, async () => {
    for (const capture of ["preflight", "none", undefined] as const) {
      await assertRejects(
        () => connectWebSocket("ws://127.0.0.1:1/", { ...options, capture }),
        TypeError,
        `Invalid ${name}: it needs capture "direct"`,
      );
    }
  });
}

for (
  const name of [
    "handshakeTimeout",
    "idleTimeout",
    "pingInterval",
    "pingTimeout",
  ] as const
) {
  Deno.test(`${name} of 0 is a RangeError`, async () => {
    await assertRejects(
      () =>
        connectWebSocket("ws://127.0.0.1:1/", { capture: "direct", [name]: 0 }),
      RangeError,
      `Invalid ${name}`,
    );
  });
}
