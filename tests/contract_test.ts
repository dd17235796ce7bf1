/** What a capture could change: each promise of a connection that its socket keeps. */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  BinaryMessageError,
  BufferOverflowError,
  ConnectionClosedError,
  connectWebSocket,
  type WebSocketConnection,
} from "@wstap/wstap";
import {
  answerClose,
  buffered,
  each,
  link,
  NATIVE,
  native,
  sendAll,
  takeClose,
  upgrade,
} from "./fixtures/captures.ts";
import { frame, rawServer } from "./fixtures/raw.ts";
import {
  delay,
  eventually,
  staysPending,
  untilStill,
  within,
} from "./fixtures/wait.ts";

type Connection = WebSocketConnection<string | Uint8Array>;

const encode = (text: string) => new TextEncoder().encode(text);

const LOST = { code: 1006, reason: "", clean: false };

/** What `recv()` rejects with at the end, which is the same for ever. */
async function endOf(connection: Connection): Promise<unknown> {
  const error = await assertRejects(() => connection.recv());
  for (let i = 0; i < 2; i++) {
    assertStrictEquals(await assertRejects(() => connection.recv()), error);
  }
  return error;
}

function assertClosed(error: unknown, expected: object): void {
  assert(error instanceof ConnectionClosedError, `${error}`);
  const { code, reason, clean } = error;
  assertEquals({ code, reason, clean }, expected);
}

/** Asserts that a batch rejects as it does at the end of a connection. */
async function assertBatchClosed(
  connection: Connection,
  expected: object,
): Promise<void> {
  for (let i = 0; i < 2; i++) {
    const error = await assertRejects(() => connection.recvBatch("1h"));
    assertEquals((error as Error).message, "websocket closed");
    assertClosed(error, expected);
  }
}

// --- Messages ---

each.test("every message arrives in order, from the first behind the handshake's answer", async (capture) => {
  await using server = rawServer(async (peer) => {
    await upgrade(peer);
    for (let i = 0; i < 100; i++) await peer.send(`${i}`);
    await peer.closeFrame(1000);
    await peer.waitForEnd();
  });
  const [connection] = await connectWebSocket(server.url, { capture });
  await delay(20);
  for (let i = 0; i < 100; i++) assertEquals(await connection.recv(), `${i}`);
  assertEquals(await connection.recv(), null);
});

each.test(`binary "text" gives strings, and BinaryMessageError in its turn for what is not UTF-8`, async (capture) => {
  await using it = await link(capture, { binary: "text" });
  const messages = ["", "\0", "null", "\ufeffgrüße 😀\r\n"];
  for (const message of messages) {
    await it.peer.send(message);
    await it.peer.send(encode(message));
  }
  await it.peer.send(new Uint8Array([0xc3, 0x28]));
  await it.peer.send("last");
  for (const message of messages) {
    assertEquals(await it.connection.recv(), message);
    assertEquals(await it.connection.recv(), message);
  }
  const error = await assertRejects(
    () => it.connection.recv(),
    BinaryMessageError,
  );
  assertEquals(error.data, new Uint8Array([0xc3, 0x28]));
  assertEquals(await it.connection.recv(), "last");
});

each.test(`binary "bytes" gives Uint8Arrays for binary messages and strings for text, of any size`, async (capture) => {
  await using it = await link(capture, { binary: "bytes" });
  for (const size of [0, 2, 125, 126, 65_536, 16 * 1024 * 1024]) {
    const bytes = new Uint8Array(size).fill(0xff);
    const [text, binary] = [it.connection.recv(), it.connection.recv()];
    await it.peer.write(frame(1, new Uint8Array(size).fill(0x61)));
    await it.peer.write(frame(2, bytes));
    assert(await text === "a".repeat(size), `a text of ${size}`);
    assertEquals(await binary, bytes);
  }
});

// --- The end ---

const CLOSES: [code: number | undefined, reason: string][] = [
  [1000, ""],
  [1001, "going away"],
  [1011, "x".repeat(123)],
  [4999, "grüße 😀"],
  [undefined, ""],
];

each.test("a close by the peer: what arrived before, then null for ever", async (capture) => {
  for (const [code, reason] of CLOSES) {
    await using it = await link(capture);
    await sendAll(it.peer, "a", "b");
    await it.peer.closeFrame(code, reason);
    assertEquals((await takeClose(it.peer)).code, code ?? 1005);
    it.peer.end();
    const info = { code: code ?? 1005, reason, clean: true };
    assertEquals(await it.connection.closed, info);
    assertEquals(await it.connection.recv(), "a");
    assertEquals(await it.connection.recvBatch("1h"), ["b"]);
    for (let i = 0; i < 3; i++) assertEquals(await it.connection.recv(), null);
    await assertBatchClosed(it.connection, info);
    const error = await assertRejects(() => it.connection.send("x"));
    assertClosed(error, info);
    assertEquals(await it.connection.close(4002), info);
  }
});

each.test("a loss: what arrived before, then the same ConnectionClosedError for ever", async (capture) => {
  await using it = await link(capture);
  await sendAll(it.peer, "a", "b");
  await buffered(it.connection, 2);
  it.peer.end();
  assertEquals(await it.connection.closed, LOST);
  assertEquals(await it.connection.recv(), "a");
  assertEquals(await it.connection.recvBatch("1h"), ["b"]);
  assertClosed(await endOf(it.connection), LOST);
  await assertBatchClosed(it.connection, LOST);
  assertClosed(await assertRejects(() => it.connection.send("x")), LOST);
  assertEquals(await it.connection.close(), LOST);
});

each.test("a peer that breaks the protocol: what arrived before, then ConnectionClosedError", async (capture) => {
  await using it = await link(capture);
  await it.peer.send("a");
  await it.peer.write(frame(1, new Uint8Array([0xff])));
  assertEquals(await it.connection.recv(), "a");
  assertClosed(await endOf(it.connection), LOST);
  assertEquals(await it.connection.closed, LOST);
});

each.test("calls that wait end with the connection", async (capture) => {
  for (const lost of [false, true]) {
    await using it = await link(capture);
    const [one, batch] = [it.connection.recv(), it.connection.recvBatch("1h")]
      .map((call) => call.catch((error) => error));
    if (lost) it.peer.end();
    else await it.peer.closeFrame(4000, "bye");
    const info = lost ? LOST : { code: 4000, reason: "bye", clean: true };
    if (lost) assertClosed(await one, LOST);
    else assertEquals(await one, null);
    assertClosed(await batch, info);
  }
});

each.test("after close(), recvBatch() rejects with what the peer answered, once it has", async (capture) => {
  await using it = await link(capture);
  const waiting = assertRejects(() => it.connection.recvBatch("1h"));
  const closing = it.connection.close(4001, "enough");
  const ours = { code: 4001, reason: "enough", clean: false };
  assertClosed(await waiting, ours);
  await assertBatchClosed(it.connection, ours);
  await answerClose(it.peer);
  const end = await closing;
  assertEquals(end, { ...ours, clean: true });
  await assertBatchClosed(it.connection, end);
});

each.test("after close() without an answer, recvBatch() rejects as closed says", async (capture) => {
  await using it = await link(capture, { closeTimeout: 0.01 });
  assertEquals(await it.connection.close(4001), LOST);
  await assertBatchClosed(it.connection, LOST);
});

// --- send() ---

each.test("send() sends strings as text, and every BufferSource as a binary message", async (capture) => {
  await using it = await link(capture);
  const { buffer } = encode("-bytes-");
  const sent: [string | ArrayBuffer | ArrayBufferView, number, string][] = [
    ["grüße", 1, "grüße"],
    ["", 1, ""],
    [buffer, 2, "-bytes-"],
    [new Uint8Array(buffer, 1, 5), 2, "bytes"],
    [new DataView(buffer, 2, 2), 2, "yt"],
    [new Uint16Array(buffer, 2, 1), 2, "yt"],
    [new Uint8Array(), 2, ""],
    ["x".repeat(70_000), 1, "x".repeat(70_000)],
  ];
  for (const [data] of sent) {
    await it.connection.send(data as string | BufferSource);
  }
  for (const [, opcode, text] of sent) {
    const { payload, ...got } = (await it.peer.readFrame())!;
    assertEquals([got.opcode, got.masked], [opcode, true]);
    assertEquals(new TextDecoder().decode(payload), text);
  }
});

/** How many bytes the system takes for a peer that does not read. */
async function systemTakes(): Promise<number> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = listener.accept();
  const { port } = listener.addr as Deno.NetAddr;
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const peer = await accepting;
  const chunk = new Uint8Array(64 * 1024);
  let taken = 0;
  const writing = (async () => {
    while (true) taken += await conn.write(chunk);
  })().catch(() => {}); // the peer has gone
  await untilStill(() => taken, "the system to take no more");
  peer.close();
  await writing;
  return taken;
}

/** Sends to a peer that does not read, until a call waits; gives that call. */
async function fillUp(
  connection: Connection,
): Promise<{ waiting: Promise<void>; sent: number }> {
  const chunk = new Uint8Array(512 * 1024);
  for (let sent = 1; sent <= 200; sent++) {
    const waiting = connection.send(chunk);
    waiting.catch(() => {});
    if (await staysPending(waiting)) {
      return { waiting, sent: sent * chunk.length };
    }
  }
  throw new Error("100 MiB were sent to a peer that does not read");
}

each.test("send() waits with more than 1 MiB queued while the peer does not read, and goes on when it does", async (capture) => {
  await using it = await link(capture);
  const { waiting, sent } = await fillUp(it.connection);
  assert(sent > 2 ** 20, `${sent}`);
  // The system takes about as much each time.
  const queued = sent - await systemTakes();
  assert(queued < 4 * 2 ** 20, `${queued}`);
  let bytes = 0;
  while (bytes < sent) bytes += (await it.peer.readFrame())!.payload.length;
  await waiting;
  await it.connection.send("more");
  assertEquals((await it.peer.readFrame())?.payload, encode("more"));
});

each.test("send() does not wait before 1 MiB is queued, and waits from there on", async (capture) => {
  await using it = await link(capture);
  const chunk = "x".repeat(2 ** 16);
  let settled = 0;
  const sends: Promise<number>[] = [];
  for (let i = 0; i < 40; i++) {
    sends.push(it.connection.send(chunk).then(() => ++settled));
  }
  // Without a turn of the event loop nothing is written.
  for (let i = 0; i < 20; i++) await null;
  // The 16th makes it 1 MiB, and what the frames take up besides.
  assertEquals(settled, 15);
  for (let i = 0; i < 40; i++) await it.peer.readFrame();
  await Promise.all(sends);
});

each.test("a thousand calls of send() that wait need no timer each, and all go on", async (capture) => {
  await using it = await link(capture);
  const { setTimeout } = globalThis;
  let timers = 0;
  const sends: Promise<void>[] = [];
  try {
    globalThis.setTimeout = ((...args: Parameters<typeof setTimeout>) => {
      timers++;
      return setTimeout(...args);
    }) as typeof setTimeout;
    for (let i = 0; i < 2000; i++) {
      sends.push(it.connection.send(`${i}`.padEnd(2000)));
    }
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  assert(timers <= 1, `${timers}`);
  for (let i = 0; i < 2000; i++) {
    const { payload } = (await it.peer.readFrame())!;
    assertEquals(parseInt(new TextDecoder().decode(payload)), i);
  }
  await Promise.all(sends);
});

each.test("send() that waits rejects when the connection is lost", async (capture) => {
  await using it = await link(capture);
  const { waiting } = await fillUp(it.connection);
  it.peer.end();
  await assertRejects(() => waiting, ConnectionClosedError);
});

// --- close() ---

each.test("close() sends the code and the reason, and resolves with the peer's answer", async (capture) => {
  const longest = "ü".repeat(61) + "x";
  const closes: [code?: number, reason?: string][] = [
    [],
    [3000, "reason ü"],
    [4999, longest],
  ];
  for (const close of closes) {
    await using it = await link(capture);
    const [code = 1000, reason = ""] = close;
    const closed = it.connection.close(...close);
    const closing = await assertRejects(() => it.connection.send("x"));
    assertClosed(closing, { code, reason, clean: false });
    assertEquals(await answerClose(it.peer), { code, reason });
    assertEquals(await closed, { code, reason, clean: true });
    assertEquals(await it.connection.closed, { code, reason, clean: true });
  }
});

each.test("close() keeps what arrived before it, and discards what arrives after it", async (capture) => {
  await using it = await link(capture);
  await sendAll(it.peer, "a", "b");
  await buffered(it.connection, 2);
  const closed = it.connection.close();
  await takeClose(it.peer);
  await it.peer.send("late");
  await it.peer.closeFrame(1000);
  await closed;
  assertEquals(await it.connection.recvBatch("1h"), ["a", "b"]);
  assertEquals(await it.connection.recv(), null);
});

each.test("close() resolves after closeTimeout when the peer never answers", async (capture) => {
  await using it = await link(capture, { closeTimeout: "50ms" });
  await it.peer.send("a");
  await buffered(it.connection, 1);
  assertEquals(await it.connection.close(), LOST);
  assertEquals(await it.connection.closed, LOST);
  assertEquals(await it.connection.recv(), "a");
  for (let i = 0; i < 2; i++) assertEquals(await it.connection.recv(), null);
});

each.test("signal closes at once: what arrived before, then its reason", async (capture) => {
  const controller = new AbortController();
  await using it = await link(capture, {
    signal: controller.signal,
    closeTimeout: "1h",
  });
  await sendAll(it.peer, "a", "b");
  await buffered(it.connection, 2);
  const reason = new Error("enough");
  controller.abort(reason);
  assertEquals(await it.connection.closed, LOST);
  assertEquals(await it.connection.recv(), "a");
  assertEquals(await it.connection.recvBatch("1h"), ["b"]);
  assertStrictEquals(await endOf(it.connection), reason);
  assertStrictEquals(
    await assertRejects(() => it.connection.recvBatch("1h")),
    reason,
  );
  await assertRejects(() => it.connection.send("x"), ConnectionClosedError);
});

// --- Buffer ---

for (const maxBuffer of [{ messages: 4 }, { bytes: 4 }]) {
  const what = Object.keys(maxBuffer)[0];
  each.test(`recvBatch() ends early when what it holds reaches the limit of ${what}`, async (capture) => {
    await using it = await link(capture, { maxBuffer });
    const collected: unknown[] = [];
    for (let sent = 0; sent < 12; sent += 4) {
      const batch = it.connection.recvBatch("1h");
      await sendAll(it.peer, "a", "b", "c", "d");
      const first = await batch;
      // With "direct" it is the high-water mark.
      assertEquals(first.length, capture === "direct" ? 1 : 4);
      collected.push(...first);
      while (collected.length < sent + 4) {
        collected.push(await it.connection.recv());
      }
    }
    assertEquals(collected.join(""), "abcdabcdabcd");
    await it.connection.send("still open");
  });

  native.test(`overflow "error" closes with 4009 past the limit of ${what}, and keeps what was buffered`, async (capture) => {
    await using it = await link(capture, { maxBuffer });
    await sendAll(it.peer, "a", "b", "c", "d", "e", "f");
    assertEquals((await takeClose(it.peer)).code, 4009);
    await it.peer.send("late");
    await it.peer.closeFrame(4009);
    assertEquals((await it.connection.closed).code, 4009);
    assertEquals(it.connection.dropped, 0);
    assertEquals(await it.connection.recv(), "a");
    assertEquals(await it.connection.recvBatch("1h"), ["b", "c", "d"]);
    const error = await endOf(it.connection);
    assert(error instanceof BufferOverflowError);
    const defaults = { messages: 1_048_576, bytes: 2 ** 26 };
    assertEquals(error.limit, { ...defaults, ...maxBuffer });
    for (
      const call of [
        () => it.connection.recvBatch("1h"),
        () => it.connection.batches("1h").next(),
        () => it.connection[Symbol.asyncIterator]().next(),
      ]
    ) assertStrictEquals(await assertRejects(call), error);
  });

  native.test(`overflow "drop-oldest" discards the oldest past the limit of ${what}`, async (capture) => {
    const overflow = "drop-oldest";
    await using it = await link(capture, { maxBuffer, overflow });
    await sendAll(it.peer, "a", "b", "c", "d", "e", "f");
    await eventually(() => it.connection.dropped === 2, "two dropped");
    assertEquals(await it.connection.recvBatch(0), ["c", "d", "e", "f"]);
    await it.peer.send("g");
    assertEquals(await it.connection.recv(), "g");
    assertEquals(it.connection.dropped, 2);
  });
}

each.test("a message handed straight to a waiting call does not count as buffered", async (capture) => {
  await using it = await link(capture, { maxBuffer: { bytes: 1 } });
  const received = it.connection.recv();
  await it.peer.send("longer than the limit");
  assertEquals(await received, "longer than the limit");
  const batch = it.connection.recvBatch("1h");
  await it.peer.send("longer than the limit, too");
  assertEquals(await batch, ["longer than the limit, too"]);
  await it.connection.send("still open");
});

each.test("empty messages are bounded by their number", async (capture) => {
  await using it = await link(capture, { maxBuffer: { messages: 4000 } });
  const many = new Uint8Array(20_000).map((_, i) => i % 2 === 0 ? 0x82 : 0);
  // With "direct" nobody takes all of it until something is received.
  const writing = it.peer.write(many).catch(() => {});
  const [bound, left] = capture === "direct" ? [1000, 10_000] : [4000, 4000];
  await eventually(
    () => it.connection.buffered.messages >= bound,
    "the buffer to fill",
  );
  await delay(50);
  const { messages, bytes } = it.connection.buffered;
  assertEquals(bytes, 0);
  // Past the mark by no more than one read, which is 512 KiB at the most.
  assert(messages <= left, `${messages}`);
  // What was not overflow is there, all of it where TCP held the server back.
  for (let i = 0; i < left; i++) assertEquals(await it.connection.recv(), "");
  await writing;
});

// --- idleTimeout ---

each.test("idleTimeout ends a connection on which nothing arrives, and leaves readable what did", async (capture) => {
  await using it = await link(capture, { idleTimeout: "500ms" });
  const start = performance.now();
  await sendAll(it.peer, "a", "b");
  const info = { code: 1006, reason: "idle timeout", clean: false };
  assertEquals(await it.connection.closed, info);
  assertGreaterOrEqual(performance.now() - start, 400);
  assertEquals(await it.connection.recv(), "a");
  assertEquals(await it.connection.recvBatch("1h"), ["b"]);
  assertClosed(await endOf(it.connection), info);
  await assertBatchClosed(it.connection, info);
});

each.test("idleTimeout is put off by each message", async (capture) => {
  await using it = await link(capture, { idleTimeout: "1500ms" });
  for (let i = 0; i < 4; i++) {
    await delay(500);
    await it.peer.send(`${i}`);
    assertEquals(await it.connection.recv(), `${i}`);
  }
});

each.test(`idleTimeout is put off by no sending, and by pings with "direct" alone`, async (capture) => {
  await using it = await link(capture, { idleTimeout: "800ms" });
  let over = false;
  it.connection.closed.then(() => over = true);
  const start = performance.now();
  const elapsed = () => performance.now() - start;
  await eventually(async () => {
    if (over) return true;
    await it.connection.send("x").catch(() => {});
    if (NATIVE.includes(capture) || elapsed() < 1300) {
      await it.peer.write(frame(9, "")).catch(() => {});
    }
    return false;
  }, "the idle timeout");
  assertEquals((await it.connection.closed).reason, "idle timeout");
  if (capture === "direct") assertGreaterOrEqual(elapsed(), 1300);
});

each.test("nothing of a connection that is over waits for anything", async (capture) => {
  const { signal } = new AbortController();
  const options = { idleTimeout: "1h", closeTimeout: "1h", signal };
  await using it = await link(capture, options);
  const closed = it.connection.close();
  await answerClose(it.peer);
  // The sanitizers see a timer that is left.
  assertEquals((await within(closed, 60_000, "the close")).clean, true);
});
