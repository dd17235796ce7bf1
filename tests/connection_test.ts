/**
 * What a connection makes of its socket, whichever that is: contract_test.ts has
 * what a socket could change, inbox_test.ts the order of messages and calls.
 */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  BinaryMessageError,
  ConnectionClosedError,
  connections,
  type ConnectOptions,
  type DurationLike,
} from "@wstap/wstap";
import {
  answerClose,
  buffered,
  link as linkWith,
  sendAll,
  test,
  upgrade,
} from "./fixtures/captures.ts";
import { runInNewContext } from "node:vm";
import { rawServer } from "./fixtures/raw.ts";
import { countingSignal } from "./fixtures/signal.ts";
import { delay, eventually } from "./fixtures/wait.ts";

const link = (options?: ConnectOptions) => linkWith("none", options);

const encode = (text: string) => new TextEncoder().encode(text);

// --- recv() and recvBatch() ---

test("recv() and recvBatch() calls made together are served in order", async () => {
  await using it = await link();
  const calls = [
    it.connection.recv(),
    it.connection.recvBatch("1h", { max: 2 }),
    it.connection.recv({ timeout: "1h" }),
    it.connection.recvBatch("1h", { max: 1 }),
    it.connection.recv(),
  ];
  await sendAll(it.peer, "a", "b", "c", "d", "e", "f");
  assertEquals(await Promise.all(calls), ["a", ["b", "c"], "d", ["e"], "f"]);
});

test("recv() rejects with TimeoutError after its timeout, 0 at once, and consumes nothing", async () => {
  await using it = await link();
  for (const timeout of [0.02, "20ms", 0, "0"]) {
    const start = performance.now();
    const error = await assertRejects(
      () => it.connection.recv({ timeout }),
      DOMException,
    );
    assertEquals(error.name, "TimeoutError");
    // A timer may be a fraction of a millisecond early.
    if (Number(timeout) !== 0) assert(performance.now() - start >= 18);
  }
  await sendAll(it.peer, "a", "b");
  await buffered(it.connection, 2);
  assertEquals(await it.connection.recv({ timeout: 0 }), "a");
  assertEquals(await it.connection.recv({ timeout: "1h" }), "b");
});

test("recv() and recvBatch() that are aborted reject with the reason, and consume nothing", async () => {
  await using it = await link();
  for (const call of ["recv", "recvBatch"] as const) {
    const controller = new AbortController();
    const { signal } = controller;
    const receive = () =>
      call === "recv"
        ? it.connection.recv({ signal })
        : it.connection.recvBatch("1h", { signal });
    const reason = new Error("enough");
    const waiting = receive();
    if (call === "recvBatch") await it.peer.send("a");
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => waiting), reason);
    if (call === "recv") await it.peer.send("a");
    await buffered(it.connection, 1);
    assertStrictEquals(await assertRejects(receive), reason);
    assertEquals(await it.connection.recvBatch(0), ["a"]);
  }
});

test("recvBatch() collects for the whole of each kind of duration, [] when nothing came", async () => {
  await using it = await link();
  const durations: DurationLike[] = [0.02, "20ms", "0.02s"];
  if ("Temporal" in globalThis) {
    durations.push(Temporal.Duration.from({ milliseconds: 20 }));
  }
  for (const duration of durations) {
    const start = performance.now();
    assertEquals(await it.connection.recvBatch(duration), []);
    assertGreaterOrEqual(performance.now() - start, 18);
  }
  assertEquals(await it.connection.recvBatch(0), []);
  await it.peer.send("a");
  await buffered(it.connection, 1);
  const start = performance.now();
  const batch = it.connection.recvBatch("300ms");
  assertEquals(it.connection.buffered, { messages: 0, bytes: 0 });
  await it.peer.send("b");
  assertEquals(await batch, ["a", "b"]);
  assertGreaterOrEqual(performance.now() - start, 298);
});

type Refusal = [error: ErrorConstructor, message: string, values: unknown[]];

const DURATIONS: Refusal[] = [
  [TypeError, "duration", ["10", "", "3 apples", null, {}]],
  [RangeError, "duration", [-1, NaN, Infinity, "-1s"]],
];
const MAX: Refusal[] = [
  [RangeError, "a whole number from 1", [0, -1, 1.5, NaN, "3"]],
];
const OPTIONS: Refusal[] = [
  [TypeError, "Invalid options: expected an object", [null, 5, "5s", []]],
];
const SIGNAL: Refusal[] = [[TypeError, "Invalid signal", [{}, null]]];

test("recv(), recvBatch() and batches() refuse bad arguments, and consume nothing", async () => {
  await using it = await link();
  const { connection } = it;
  await it.peer.send("a");
  await buffered(connection, 1);
  const each = (
    refusals: Refusal[],
    call: (value: never) => Promise<unknown>,
  ) =>
    Promise.all(
      refusals.flatMap(([error, message, values]) =>
        values.map((value) =>
          assertRejects(() => call(value as never), error, message)
        )
      ),
    );
  await each(OPTIONS, (options) => connection.recv(options));
  await each(OPTIONS, (options) => connection.recvBatch(0, options));
  await each(OPTIONS, (options) => connection.ping(options));
  await each(DURATIONS, (timeout) => connection.recv({ timeout }));
  await each(SIGNAL, (signal) => connection.recv({ signal }));
  await each(DURATIONS, (duration) => connection.recvBatch(duration));
  await each(MAX, (max) => connection.recvBatch(0, { max }));
  await each(SIGNAL, (signal) => connection.recvBatch(0, { signal }));
  // At the call, not at the first step.
  assertThrows(() => connection.batches("10"), TypeError, "a unit is missing");
  assertThrows(() => connection.batches(-1), RangeError, "negative");
  assertThrows(() => connection.batches(1, { max: 0 }), RangeError, "from 1");
  assertEquals(await connection.recvBatch(0), ["a"]);
});

// --- Iteration ---

/** The ways to iterate, each to the end or to its error; gives what came. */
const ITERATIONS = {
  "for await": async (connection, seen) => {
    for await (const message of connection) seen.push(message);
  },
  "batches()": async (connection, seen) => {
    for await (const batch of connection.batches("5ms", { max: 2 })) {
      assert(batch.length === 1 || batch.length === 2);
      seen.push(...batch);
    }
  },
  "readable": async (connection, seen) => {
    for await (const message of connection.readable) seen.push(message);
  },
} satisfies Record<
  string,
  (
    connection: Awaited<ReturnType<typeof link>>["connection"],
    seen: unknown[],
  ) => Promise<void>
>;

for (const [name, iterate] of Object.entries(ITERATIONS)) {
  test(`${name} gives the messages, and ends at a clean close`, async () => {
    await using it = await link();
    const seen: unknown[] = [];
    const loop = iterate(it.connection, seen);
    await sendAll(it.peer, "a", "b", "c");
    await eventually(() => seen.length === 3, "the messages");
    await delay(20); // some empty windows
    await it.peer.send("d");
    await it.peer.closeFrame(1000);
    await loop;
    assertEquals(seen, ["a", "b", "c", "d"]);
  });

  test(`${name} throws ConnectionClosedError at a loss, behind what arrived before`, async () => {
    await using it = await link();
    await it.peer.send("a");
    await buffered(it.connection, 1);
    it.peer.end();
    await it.connection.closed;
    const seen: unknown[] = [];
    const error = await assertRejects(
      () => iterate(it.connection, seen),
      ConnectionClosedError,
      "lost",
    );
    assertEquals(error.code, 1006);
    assertEquals(seen, ["a"]);
    assertStrictEquals(await assertRejects(() => it.connection.recv()), error);
  });

  test(`${name} ends quietly at a loss where connections() answers it; recv() rejects`, async () => {
    await using server = rawServer(upgrade);
    const feed = connections(server.url, { capture: "none" });
    const [connection] = (await feed.next()).value!;
    const peer = server.peers.at(-1)!;
    await peer.send("a");
    await buffered(connection, 1);
    peer.end();
    await connection.closed;
    const seen: unknown[] = [];
    await iterate(connection, seen);
    assertEquals(seen, ["a"]);
    await assertRejects(() => connection.recv(), ConnectionClosedError);
    await assertRejects(
      () => connection.recvBatch("1h"),
      ConnectionClosedError,
      "websocket closed",
    );
    await feed.return();
  });
}

test("leaving a loop neither closes the connection nor loses a message", async () => {
  await using it = await link();
  const { connection } = it;
  await sendAll(it.peer, "a", "b", "c", "d", "e");
  for await (const message of connection) {
    assertEquals(message, "a");
    break;
  }
  await assertRejects(async () => {
    for await (const _ of connection) throw new Error("from the loop");
  });
  for await (const batch of connection.batches("1h", { max: 1 })) {
    assertEquals(batch, ["c"]);
    break;
  }
  const iterator = connection[Symbol.asyncIterator]();
  assertEquals(iterator[Symbol.asyncIterator](), iterator);
  assertEquals(await iterator.next(), { done: false, value: "d" });
  await iterator.return!();
  assertEquals((await iterator.next()).done, true);
  assertEquals(await connection.recv(), "e");
  await connection.send("still open");
  assertEquals((await it.peer.readFrame())?.payload, encode("still open"));
});

test("for await throws BinaryMessageError, and a new loop goes on", async () => {
  await using it = await link();
  await it.peer.send(new Uint8Array([0xff]));
  await it.peer.send("a");
  await it.peer.closeFrame(1000);
  await assertRejects(async () => {
    for await (const _ of it.connection);
  }, BinaryMessageError);
  assertEquals(await Array.fromAsync(it.connection), ["a"]);
});

test("batches() with windows of 0 waits for a message, and does not ask again and again", async () => {
  await using it = await link();
  const batches = it.connection.batches(0);
  const next = batches.next();
  using looks = countingClock();
  await delay(100);
  assertLess(looks.count, 100);
  await sendAll(it.peer, "a", "b", "c");
  await buffered(it.connection, 2);
  assertEquals(await next, { done: false, value: ["a"] });
  assertEquals(await batches.next(), { done: false, value: ["b", "c"] });
  await batches.return();
});

/** Counts how often the clock is looked at. */
function countingClock(): Disposable & { readonly count: number } {
  const { now } = performance;
  let count = 0;
  performance.now = () => (count++, now.call(performance));
  return {
    get count() {
      return count;
    },
    [Symbol.dispose]: () => void (performance.now = now),
  };
}

test("batches() that is aborted throws the reason, and what it collected stays", async () => {
  await using it = await link();
  await it.peer.send("a");
  await buffered(it.connection, 1);
  const controller = new AbortController();
  const reason = new Error("enough");
  const { signal } = controller;
  const next = it.connection.batches("1h", { signal }).next();
  controller.abort(reason);
  assertStrictEquals(await assertRejects(() => next), reason);
  assertEquals(await it.connection.recv(), "a");
});

// --- send(), close(), buffered ---

test("send() refuses what is neither a string nor bytes, and a view of shared memory", async () => {
  await using it = await link();
  const shared = new Uint8Array(new SharedArrayBuffer(1));
  for (const data of [null, undefined, 1, {}, new Blob(["x"]), [], shared]) {
    await assertRejects(
      () => it.connection.send(data as string),
      TypeError,
      data === shared
        ? "shared memory"
        : "expected a string, an ArrayBuffer, or a view of one",
    );
  }
});

test("send() takes buffers of another realm", async () => {
  await using it = await link();
  for (
    const code of [
      "new Uint8Array([1, 2]).buffer",
      "new Uint8Array([0, 1, 2, 3]).subarray(1, 3)",
    ]
  ) {
    await it.connection.send(runInNewContext(code));
    const frame = await it.peer.readFrame();
    assertEquals([frame?.opcode, ...frame?.payload ?? []], [2, 1, 2]);
  }
});

test("close() refuses a code or a reason that may not be sent, and stays open", async () => {
  await using it = await link();
  const codes = [0, 999, 1001, 1005, 1006, 2999, 5000, 3000.5, NaN, "1000"];
  for (const code of codes) {
    await assertRejects(
      () => it.connection.close(code as number),
      TypeError,
      "expected 1000, or one from 3000 to 4999",
    );
  }
  for (const reason of ["x".repeat(124), "ü".repeat(62)]) {
    await assertRejects(
      () => it.connection.close(1000, reason),
      TypeError,
      "at most 123 bytes of UTF-8",
    );
  }
  for (const reason of [null, 1, {}, Symbol("x")]) {
    await assertRejects(
      () => it.connection.close(1000, reason as string),
      TypeError,
      "Invalid close reason: expected a string",
    );
  }
  await assertRejects(
    () => it.connection.close(Symbol("x") as unknown as number),
    TypeError,
    "Invalid close code Symbol(x)",
  );
  await it.connection.send("still open");
});

test("close() again gives what the first call gives", async () => {
  await using it = await link();
  const calls = [it.connection.close(4001), it.connection.close(4002)];
  assertEquals((await answerClose(it.peer)).code, 4001);
  const info = { code: 4001, reason: "", clean: true };
  assertEquals(await Promise.all(calls), [info, info]);
  assertEquals(await it.connection.close(), info);
});

test("close() and signal end the calls that wait", async () => {
  const reason = new Error("enough");
  for (const aborted of [false, true]) {
    const controller = new AbortController();
    await using it = await link({ signal: controller.signal });
    const calls = [
      it.connection.recv(),
      it.connection.recvBatch("1h").catch((error) => error.message),
      it.connection.recv({ timeout: "1h" }),
    ].map((call) => call.catch((error) => error.message));
    if (aborted) controller.abort(reason);
    else it.connection.close();
    assertEquals(
      await Promise.all(calls),
      aborted
        ? ["enough", "enough", "enough"]
        : [null, "websocket closed", null],
    );
    await answerClose(it.peer);
  }
});

test("signal says nothing once the connection is closed, and keeps no listener", async () => {
  const counting = countingSignal();
  await using it = await link({ signal: counting.signal });
  assertEquals(counting.listeners, 1);
  await it.peer.closeFrame(1000);
  await it.connection.closed;
  assertEquals(counting.listeners, 0);
  counting.controller.abort();
  assertEquals(await it.connection.recv(), null);
  assertEquals((await it.connection.closed).clean, true);
});

test("await using closes the connection with 1000", async () => {
  await using it = await link();
  const answered = answerClose(it.peer);
  {
    await using _ = it.connection;
  }
  assertEquals((await answered).code, 1000);
  assertEquals((await it.connection.closed).clean, true);
});

// --- Streams ---

test("readable takes nothing until it is read", async () => {
  await using it = await link();
  assertStrictEquals(it.connection.readable, it.connection.readable);
  await sendAll(it.peer, "a", "b", "c");
  await buffered(it.connection, 3);
  const reader = it.connection.readable.getReader();
  assertEquals(await reader.read(), { done: false, value: "a" });
  await delay(10);
  assertEquals(it.connection.buffered.messages, 2);
  reader.releaseLock();
  assertEquals(await it.connection.recv(), "b");
});

test("writable sends its chunks", async () => {
  await using it = await link();
  assertStrictEquals(it.connection.writable, it.connection.writable);
  const writer = it.connection.writable.getWriter();
  await writer.write("a");
  await writer.write(encode("b"));
  assertEquals((await it.peer.readFrame())?.payload, encode("a"));
  assertEquals((await it.peer.readFrame())?.payload, encode("b"));
});

for (
  const [name, end] of Object.entries(
    {
      "readable.cancel()": ({ readable }) => readable.cancel(),
      "writable.close()": ({ writable }) => writable.close(),
      "writable.abort()": ({ writable }) => writable.abort(),
    } satisfies Record<
      string,
      (streams: {
        readable: ReadableStream;
        writable: WritableStream;
      }) => Promise<void>
    >,
  )
) {
  test(`${name} closes the connection with 1000`, async () => {
    await using it = await link();
    const ended = end(it.connection);
    assertEquals((await answerClose(it.peer)).code, 1000);
    await ended;
    assertEquals((await it.connection.closed).clean, true);
  });
}

test("writable errors when the connection is closed", async () => {
  await using it = await link();
  const writer = it.connection.writable.getWriter();
  await it.peer.closeFrame(1000);
  await it.connection.closed;
  await assertRejects(() => writer.write("x"), ConnectionClosedError);
  await assertRejects(() => writer.closed, ConnectionClosedError);
});
