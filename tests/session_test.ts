/**
 * What a session makes of time and of a peer that goes wrong: each bound at its edge,
 * with every capture that it could differ in.
 */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  BinaryMessageError,
  ConnectionClosedError,
  type WebSocketConnection,
} from "@wstap/wstap";
import {
  answerClose,
  buffered,
  each,
  link,
  sendAll,
  takeClose,
  test,
} from "./fixtures/captures.ts";
import { spawnServer } from "./fixtures/child.ts";
import { frame, type Peer } from "./fixtures/raw.ts";
import {
  block,
  delay,
  eventually,
  quickly,
  staysPending,
  within,
} from "./fixtures/wait.ts";

type Connection = WebSocketConnection<string | Uint8Array>;

const LOST = { code: 1006, reason: "", clean: false };

/** How a promise settles: its error's name, if it rejects. */
function outcomeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(() => "resolved", (error) => (error as Error).name);
}

/** Sends until a call waits, which fills every buffer on the way to the peer. */
async function sendUntilFull(
  connection: Connection,
): Promise<{ outcome: Promise<string> }> {
  const block = new Uint8Array(256 * 1024);
  for (;;) {
    const sending = connection.send(block);
    if (await staysPending(sending)) return { outcome: outcomeOf(sending) };
  }
}

// --- Binary messages that are not UTF-8 ---

each.test("many binary messages that are not UTF-8 cost no more than they take up", async (capture) => {
  const COUNT = 65_537;
  const maxBuffer = { messages: 4 * COUNT, bytes: 4 * COUNT };
  await using it = await link(capture, { maxBuffer });
  const message = frame(2, new Uint8Array([0xff]));
  const all = new Uint8Array(COUNT * message.length);
  for (let i = 0; i < COUNT; i++) all.set(message, i * message.length);
  const before = Deno.memoryUsage();
  await it.peer.write(all);
  await eventually(
    () => it.connection.buffered.messages === COUNT,
    "the messages",
  );
  assertEquals(it.connection.buffered.bytes, COUNT);
  const after = Deno.memoryUsage();
  const each = (after.heapUsed + after.external - before.heapUsed -
    before.external) / COUNT;
  assertLess(each, 600, "bytes for each");
  const error = await assertRejects(
    () => it.connection.recv(),
    BinaryMessageError,
  );
  assertEquals(error.data, new Uint8Array([0xff]));
  assert(error.cause instanceof TypeError);
});

each.test("readable that met a BinaryMessageError is followed by another that goes on", async (capture) => {
  await using it = await link(capture);
  await it.peer.send("a");
  await it.peer.send(new Uint8Array([0xff]));
  await it.peer.send("b");
  const first = it.connection.readable;
  const reader = first.getReader();
  assertEquals((await reader.read()).value, "a");
  await assertRejects(() => reader.read(), BinaryMessageError);
  const second = it.connection.readable;
  assert(second !== first);
  assertStrictEquals(second, it.connection.readable);
  assertEquals((await second.getReader().read()).value, "b");
});

// --- Timeouts judge what has arrived ---

for (const timeout of ["idleTimeout", "messageTimeout"] as const) {
  const reason = timeout === "idleTimeout" ? "idle timeout" : "message timeout";

  each.test(`${timeout} does not end a feed whose process was blocked for longer`, async (capture) => {
    await using server = await spawnServer("ws");
    const { connectWebSocket } = await import("@wstap/wstap");
    const [connection] = await connectWebSocket(
      `${server.url}/events?every=20`,
      { capture, [timeout]: "1500ms" },
    );
    for (let seq = 0; seq < 20; seq++) {
      assertEquals(JSON.parse((await connection.recv())!), { seq });
      if (seq === 5) block(2000);
    }
    await connection.close();
  });

  each.test(`${timeout} ends a connection whose peer is silent, by its reason`, async (capture) => {
    await using it = await link(capture, { [timeout]: "200ms" });
    await it.peer.send("a");
    const start = performance.now();
    assertEquals(await it.connection.recv(), "a");
    const error = await assertRejects(
      () => within(it.connection.recv(), 60_000, "the loss"),
      ConnectionClosedError,
    );
    assertEquals({ ...LOST, reason }, {
      code: error.code,
      reason: error.reason,
      clean: error.clean,
    });
    assertGreaterOrEqual(performance.now() - start, 190);
  });
}

test("messageTimeout counts no pongs and no pings", async () => {
  await using it = await link("direct", {
    messageTimeout: "300ms",
    idleTimeout: "10s",
  });
  const timer = setInterval(
    () => it.peer.write(frame(9, "")).catch(() => {}),
    50,
  );
  const error = await assertRejects(
    () => within(it.connection.recv(), 60_000, "the loss"),
    ConnectionClosedError,
  );
  clearInterval(timer);
  assertEquals(error.reason, "message timeout");
});

test("messageTimeout and idleTimeout do not count while reading is held back", async () => {
  await using it = await link("direct", {
    messageTimeout: "500ms",
    idleTimeout: "500ms",
    maxBuffer: { messages: 4 },
  });
  await sendAll(it.peer, "a", "b", "c");
  await delay(1000);
  for (const message of ["a", "b", "c"]) {
    assertEquals(await it.connection.recv(), message);
  }
  await it.peer.send("d");
  assertEquals(await it.connection.recv(), "d");
});

/** Reads frames up to the next ping, and gives its payload. */
async function takePing(peer: Peer): Promise<Uint8Array> {
  for (;;) {
    const next = await within(peer.readFrame(), 60_000, "a ping");
    if (next?.opcode === 9) return next.payload;
  }
}

test("pingTimeout is put off by the parts of a long message", async () => {
  await using it = await link("direct", {
    pingInterval: "50ms",
    pingTimeout: "1s",
  });
  await takePing(it.peer);
  const message = frame(1, "x".repeat(1000));
  for (let at = 0; at < message.length; at += 100) {
    await it.peer.write(message.subarray(at, at + 100));
    await delay(200);
  }
  assertEquals((await it.connection.recv())?.length, 1000);
  const error = await assertRejects(
    () => within(it.connection.recv(), 60_000, "the loss"),
    ConnectionClosedError,
  );
  assertEquals(error.reason, "ping timeout");
});

test("pingTimeout and the timeout of ping() do not judge before a pong that has arrived", async () => {
  await using server = await spawnServer("ws");
  const { connectWebSocket } = await import("@wstap/wstap");
  const [connection] = await connectWebSocket(`${server.url}/echo`, {
    capture: "direct",
    pingInterval: "20ms",
    pingTimeout: "1s",
  });
  for (let i = 0; i < 3; i++) {
    const ping = connection.ping({ timeout: "1s" });
    await delay(30 * i);
    block(1200);
    await ping;
  }
  await connection.close();
});

// --- Heartbeats ---

each.test("heartbeat sends its message every interval, the first an interval after the opening", async (capture) => {
  let calls = 0;
  const start = performance.now();
  await using it = await link(capture, {
    heartbeat: { message: () => `beat ${++calls}`, interval: "100ms" },
  });
  for (const n of [1, 2, 3]) {
    const { opcode, payload } = (await it.peer.readFrame())!;
    assertEquals([opcode, new TextDecoder().decode(payload)], [1, `beat ${n}`]);
    assertGreaterOrEqual(performance.now() - start, n * 100 - 5);
  }
  const closing = it.connection.close();
  await answerClose(it.peer);
  await closing;
  const last = calls;
  await delay(250);
  assertEquals(calls, last);
});

each.test("heartbeat sends bytes as a binary message", async (capture) => {
  const message = new Uint8Array([1, 2, 3]);
  await using it = await link(capture, {
    heartbeat: { message, interval: "20ms" },
  });
  const { opcode, payload } = (await it.peer.readFrame())!;
  assertEquals([opcode, payload], [2, message]);
});

each.test("an error of heartbeat's function ends the connection with it, and so does what cannot be sent", async (capture) => {
  const boom = new Error("boom");
  await using thrown = await link(capture, {
    heartbeat: {
      interval: "20ms",
      message: () => {
        throw boom;
      },
    },
  });
  assertStrictEquals(await assertRejects(() => thrown.connection.recv()), boom);
  assertEquals(await thrown.connection.closed, LOST);

  await using wrong = await link(capture, {
    heartbeat: { interval: "20ms", message: () => 42 as unknown as string },
  });
  await assertRejects(
    () => wrong.connection.recv(),
    TypeError,
    "Cannot send number",
  );
});

each.test("heartbeat is not sent while more than 1 MiB waits to be sent", async (capture) => {
  let calls = 0;
  await using it = await link(capture, {
    closeTimeout: "100ms",
    heartbeat: { interval: "20ms", message: () => `${++calls}` },
  });
  const { outcome } = await sendUntilFull(it.connection);
  const before = calls;
  await delay(200);
  assertEquals(calls, before);
  await it.connection.close();
  assertEquals(await outcome, "ConnectionClosedError");
});

// --- A peer that goes away ---

test("a reset while reading is held back: sends and pings reject, and what arrived stays readable", async () => {
  await using it = await link("direct", { maxBuffer: { messages: 4 } });
  // In one read, as the first one is enough to hold reading back.
  const frames = ["a", "b", "c"].flatMap((text) => [...frame(1, text)]);
  await it.peer.write(new Uint8Array(frames));
  await buffered(it.connection, 3);
  const { outcome: waiting } = await sendUntilFull(it.connection);
  const ping = outcomeOf(it.connection.ping());
  it.peer.end(); // with unread bytes: a reset
  assertEquals(
    await within(waiting, 60_000, "send()"),
    "ConnectionClosedError",
  );
  assertEquals(await within(ping, 60_000, "ping()"), "ConnectionClosedError");
  for (let i = 0; i < 3; i++) {
    const error = await assertRejects(
      () => it.connection.send("x"),
      ConnectionClosedError,
    );
    assertEquals(error.code, 1006);
    await assertRejects(() => it.connection.ping(), ConnectionClosedError);
  }
  for (const message of ["a", "b", "c"]) {
    assertEquals(await it.connection.recv(), message);
  }
  await assertRejects(() => it.connection.recv(), ConnectionClosedError);
  assertEquals(await it.connection.closed, LOST);
});

each.test("close() ends recv(), send() and closed within closeTimeout where the peer closes and reads nothing", async (capture) => {
  await using it = await link(capture, { closeTimeout: "300ms" });
  const { outcome: sending } = await sendUntilFull(it.connection);
  await it.peer.closeFrame(1001);
  const receiving = outcomeOf(it.connection.recv());
  const start = performance.now();
  const closed = await within(it.connection.close(), 60_000, "close()");
  assertLess(performance.now() - start, 4000); // 5 seconds by default
  assert(closed.code === 1006 || closed.code === 1001);
  assertEquals(await sending, "ConnectionClosedError");
  assertEquals(await receiving, "resolved");
  await assertRejects(() => it.connection.send("x"), ConnectionClosedError);
});

each.test("no send resolves that is made after the peer's close frame was received", async (capture) => {
  await using it = await link(capture);
  await it.peer.closeFrame(1000);
  await it.connection.closed;
  await assertRejects(() => it.connection.send("x"), ConnectionClosedError);
});

each.test("a loop of tiny sends, empty ones too, lets timers fire and waits for a peer that reads nothing", async (capture) => {
  for (const text of ["", "x"]) {
    await using it = await link(capture, { closeTimeout: "100ms" });
    let fired = false;
    const timer = setTimeout(() => fired = true, 0);
    let sends = 0;
    while (!fired && sends < 200_000) {
      await it.connection.send(text);
      sends++;
    }
    clearTimeout(timer);
    assert(fired, `no timer fired in ${sends} sends of "${text}"`);
  }
});

// --- Closing ---

each.test("writer.abort() ends a write that waits", async (capture) => {
  await using it = await link(capture, { closeTimeout: "200ms" });
  const { outcome: filling } = await sendUntilFull(it.connection);
  const writer = it.connection.writable.getWriter();
  const writing = outcomeOf(writer.write("x"));
  await delay(50);
  const aborting = writer.abort(new Error("enough"));
  await within(aborting, 60_000, "abort()");
  assertEquals(await writing, "Error");
  await filling;
});

each.test("writer.close() and writable.close() take no longer than closeTimeout", async (capture) => {
  for (const how of ["writer", "writable"]) {
    await using it = await link(capture, { closeTimeout: "300ms" });
    const { outcome: filling } = await sendUntilFull(it.connection);
    const { writable } = it.connection;
    const writer = writable.getWriter();
    const writing = writer.write("x").catch(() => {});
    writer.closed.catch(() => {});
    const start = performance.now();
    let closing;
    if (how === "writer") closing = writer.close();
    else {
      writer.releaseLock();
      closing = writable.close();
    }
    await outcomeOf(closing);
    assertLess(performance.now() - start, 4000); // 5 seconds by default
    assertEquals((await it.connection.closed).code, 1006);
    await Promise.all([writing, filling]);
  }
});

each.test("close() ends a pipeTo that waits for a peer that reads nothing", async (capture) => {
  await using it = await link(capture, { closeTimeout: "200ms" });
  const source = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(256 * 1024)),
  });
  const stop = new AbortController();
  const piping = outcomeOf(
    source.pipeTo(it.connection.writable, { signal: stop.signal }),
  );
  await delay(1000);
  stop.abort();
  await within(it.connection.close(), 60_000, "close()");
  assert(["ConnectionClosedError", "AbortError"].includes(await piping));
});

each.test("close() takes no longer than closeTimeout, also where the peer answers and never ends TCP", async (capture) => {
  await quickly(240, async () => { // 250, where only the end of TCP is waited for
    await using it = await link(capture, { closeTimeout: "100ms" });
    const start = performance.now();
    const closing = it.connection.close();
    await answerClose(it.peer);
    await closing;
    return performance.now() - start;
  });
});

// --- Iterations ---

const WAITING = {
  "for await": (connection) => connection[Symbol.asyncIterator](),
  "batches()": (connection) => connection.batches("1h"),
  "batches() of short windows": (connection) => connection.batches("5ms"),
} satisfies Record<string, (connection: Connection) => AsyncIterator<unknown>>;

for (const [name, iterate] of Object.entries(WAITING)) {
  each.test(`return() ends ${name} at once, whatever it waits for, and loses nothing`, async (capture) => {
    await using it = await link(capture);
    const iterator: AsyncIterator<unknown> = iterate(it.connection);
    const waiting = [iterator.next(), iterator.next()];
    await delay(20);
    const end = { done: true, value: undefined } as const;
    assertEquals(await within(iterator.return!(), 60_000, "return()"), end);
    for (const next of waiting) {
      assertEquals(await within(next, 60_000, "next()"), end);
    }
    assertEquals(await iterator.next(), end);
    await it.peer.send("a");
    assertEquals(await it.connection.recv(), "a");
  });
}

each.test("return() of batches() leaves what it has collected for the next call", async (capture) => {
  await using it = await link(capture);
  const batches = it.connection.batches("1h");
  const next = batches.next();
  await sendAll(it.peer, "a", "b");
  const reader = ReadableStream.from(it.connection.batches("1h")).getReader();
  const read = reader.read();
  await delay(50);
  await within(batches.return(), 60_000, "return()");
  await within(reader.cancel(), 60_000, "cancel()");
  assertEquals((await next).done, true);
  assertEquals((await read).done, true);
  assertEquals(await it.connection.recv(), "a");
  assertEquals(await it.connection.recv(), "b");
});

test("throw() of batches() ends it with the error", async () => {
  await using it = await link("none");
  const batches = it.connection.batches("1h");
  await assertRejects(() => batches.throw(new Error("mine")), Error, "mine");
  assertEquals((await batches.next()).done, true);
});

// --- ping() and back-pressure ---

test("a ping() that waits lets reading go on up to maxBuffer itself", async () => {
  await using it = await link("direct", { maxBuffer: { messages: 40 } });
  const got: (string | Uint8Array | null)[] = [];
  for (let i = 0; i < 30; i++) await it.peer.send(`${i}`);
  got.push(await it.connection.recv());
  const ping = it.connection.ping();
  await it.peer.write(frame(10, await takePing(it.peer)));
  assert(await within(ping, 60_000, "the pong") > 0);
  assertGreaterOrEqual(it.connection.buffered.messages, 29);
  while (got.length < 30) got.push(await it.connection.recv());
  assertEquals(got, Array.from({ length: 30 }, (_, i) => `${i}`));
});

test("a ping() that waits does not let more than maxBuffer be read", async () => {
  await using it = await link("direct", { maxBuffer: { messages: 40 } });
  const ping = outcomeOf(it.connection.ping());
  // Longer than those that are decoded in runs, of which one may be too much.
  for (let i = 0; i < 200; i++) await it.peer.send("x".repeat(2000));
  await buffered(it.connection, 41);
  await delay(100);
  assertEquals(it.connection.buffered.messages, 41);
  const closing = it.connection.close();
  await takeClose(it.peer);
  it.peer.end();
  await closing;
  assertEquals(await ping, "ConnectionClosedError");
});

// --- decode: false and maxMessage ---

test("decode: false gives every message as bytes, and refuses a text that is not UTF-8", async () => {
  await using it = await link("direct", { decode: false });
  await it.peer.send("grüße");
  await it.peer.send(new Uint8Array([0xff]));
  await it.peer.write(frame(1, new Uint8Array([0xff])));
  assertEquals(
    await it.connection.recv(),
    new TextEncoder().encode("grüße"),
  );
  assertEquals(await it.connection.recv(), new Uint8Array([0xff]));
  await assertRejects(
    () => it.connection.recv(),
    ConnectionClosedError,
    "UTF-8",
  );
  assertEquals((await takeClose(it.peer)).code, 1007);
});

test("maxMessage takes a message of that size, and ends the connection at a longer one", async () => {
  await using it = await link("direct", { maxMessage: 100 });
  await it.peer.send("x".repeat(100));
  await it.peer.send("x".repeat(101));
  assertEquals((await it.connection.recv())?.length, 100);
  await assertRejects(() => it.connection.recv(), ConnectionClosedError);
  assertEquals((await takeClose(it.peer)).code, 1009);
});
