import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ConnectionClosedError,
  connections,
  connectWebSocket,
} from "@wstap/wstap";
import { link, NATIVE } from "./fixtures/captures.ts";
import { spawnServer } from "./fixtures/child.ts";
import { frame, type Peer, rawServer } from "./fixtures/raw.ts";
import { countingSignal } from "./fixtures/signal.ts";
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
    const next = await within(peer.readFrame(), 60_000, "a ping");
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

Deno.test("a pong that comes twice, or for a ping that was forgotten, answers no later ping", async () => {
  await using it = await link("direct");
  const first = it.connection.ping();
  const payload = await takePing(it.peer);
  await writeFrame(it.peer, 10, payload);
  await first;
  const counting = countingSignal();
  const { signal } = counting;
  const forgotten = it.connection.ping({ timeout: "50ms", signal });
  assertEquals(counting.listeners, 1);
  const late = await takePing(it.peer);
  const error = await assertRejects(() => forgotten, DOMException);
  assertEquals(error.name, "TimeoutError");
  assertEquals(counting.listeners, 0);
  const last = it.connection.ping({ timeout: "100ms" });
  await takePing(it.peer);
  for (const pong of [payload, late]) await writeFrame(it.peer, 10, pong);
  await assertRejects(() => last, DOMException);
});

Deno.test("a lost connection rejects every ping under way", async () => {
  await using it = await link("direct");
  const pings = [0, 1, 2].map(() =>
    assertRejects(() => it.connection.ping(), ConnectionClosedError)
  );
  for (const _ of pings) await takePing(it.peer);
  it.peer.end();
  for (const error of await Promise.all(pings)) assertEquals(error.code, 1006);
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
    () => within(it.connection.recv(), 60_000, "the loss"),
    ConnectionClosedError,
  );
  assertEquals([error.code, error.reason], [1006, "ping timeout"]);
  assert(performance.now() - start < 15_000); // 20 seconds by default
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
    pingTimeout: "800ms",
    maxBuffer: { messages: 4 },
  });
  // Past a quarter of the buffer nothing is read, so no pong is seen.
  await it.peer.send("a");
  await it.peer.send("b");
  await it.peer.send("c");
  await new Promise((resolve) => setTimeout(resolve, 1500));
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
    pingTimeout: "600ms",
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

/** How long a stopped server is waited for: an interval, a timeout, and what a busy machine may add. */
const INTERVAL = 100;
const TIMEOUT = 600;
const SLACK = 30_000;

Deno.test({
  name: "a server that is stopped is noticed, and the next one is connected to",
  ignore: Deno.build.os === "windows", // it has no SIGSTOP
  async fn() {
    await using stopped = await spawnServer("ws");
    await using other = await spawnServer("ws");
    const path = "/events?every=10";
    const feed = connections([stopped.url + path, other.url + path], {
      capture: "direct",
      pingInterval: `${INTERVAL}ms`,
      pingTimeout: `${TIMEOUT}ms`,
      handshakeTimeout: "2s", // the kernel still accepts for it
      minDelay: 0,
      maxDelay: 0,
    });
    const urls: string[] = [];
    for await (const [connection] of feed) {
      urls.push(connection.url);
      await connection.recv();
      if (urls.length === 2) break;
      Deno.kill(stopped.pid, "SIGSTOP");
      const start = performance.now();
      const { code, reason } = await within(connection.closed, 60_000, "it");
      const took = performance.now() - start;
      assertEquals([code, reason], [1006, "ping timeout"]);
      assert(took < INTERVAL + TIMEOUT + SLACK, `${took} ms`);
    }
    assertEquals(urls, [stopped.url + path, other.url + path]);
  },
});

Deno.test({
  name: "a server that was stopped and goes on is connected to again",
  ignore: Deno.build.os === "windows", // it has no SIGSTOP
  async fn() {
    await using server = await spawnServer("ws");
    const feed = connections(`${server.url}/events?every=10`, {
      capture: "direct",
      pingInterval: `${INTERVAL}ms`,
      pingTimeout: `${TIMEOUT}ms`,
      minDelay: 0,
      maxDelay: 0,
    });
    let times = 0;
    for await (const [connection] of feed) {
      assertEquals(JSON.parse(await connection.recv() ?? ""), { seq: 0 });
      if (++times === 2) break;
      Deno.kill(server.pid, "SIGSTOP");
      await within(connection.closed, 60_000, "the loss");
      Deno.kill(server.pid, "SIGCONT");
    }
    assertEquals(times, 2);
  },
});

Deno.test("a flood of pings to a peer that reads nothing is answered in bounded memory", async () => {
  await using it = await link("direct");
  const { heapUsed } = Deno.memoryUsage();
  const ping = frame(9, "");
  const many = new Uint8Array(100_000 * ping.length);
  for (let i = 0; i < many.length; i++) many[i] = ping[i % ping.length]!;
  for (let i = 0; i < 10; i++) await it.peer.write(many);
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
    for (
      const capture of [
        { capture: "preflight" },
        { capture: "none" },
        {},
      ] as const
    ) {
      await assertRejects(
        () => connectWebSocket("ws://127.0.0.1:1/", { ...options, ...capture }),
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
