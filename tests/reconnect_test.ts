import {
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  BufferOverflowError,
  ConnectionClosedError,
  connections,
  HandshakeError,
  type HandshakeResponse,
  type ReconnectOptions,
  type Retry,
  type WebSocketConnection,
} from "@wstap/wstap";
import { CAPTURES, each, test, upgrade } from "./fixtures/captures.ts";
import { spawnServer } from "./fixtures/child.ts";
import { type Peer, type RawServer, rawServer } from "./fixtures/raw.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { delay, eventually, quietPort, within } from "./fixtures/wait.ts";

/** No wait worth the name. */
const SOON = { minDelay: 0, maxDelay: 0 } as const;

/** One handshake per connection besides. */
const QUICK = { ...SOON, capture: "none" } as const;

/** Answers the client's close, and lets go. */
async function seeOff(peer: Peer): Promise<void> {
  for (let frame; (frame = await peer.readFrame()) !== null;) {
    if (frame.opcode === 8) await peer.closeFrame(1000);
  }
  peer.end();
}

/** Accepts, runs `talk`, and waits for the client to go. */
function feed(talk: (peer: Peer) => void | Promise<void>): RawServer {
  return rawServer(async (peer) => {
    await upgrade(peer);
    await talk(peer);
    await seeOff(peer);
  });
}

/** Answers each request with the next status, and upgrades after the last. */
function refusing(
  statuses: (string | number)[],
  headers: Record<string, string> = {},
): RawServer {
  return rawServer(async (peer) => {
    await peer.readHead();
    const status = statuses[peer.index];
    if (status !== undefined) {
      return await peer.respond(`${status} X`, "", headers);
    }
    await peer.upgrade();
    await seeOff(peer);
  });
}

/** Accepts all, and sends what it is told when a client comes. */
const accepting = (open: (socket: WebSocket) => void = () => {}) =>
  serve((request) => accept(request, open));

const closeWith = (code?: number) => async (peer: Peer) => {
  await peer.closeFrame(code, "why");
  while (await peer.readFrame() !== null);
};

/** Takes the first entry, and ends the loop. */
async function first(
  generator: AsyncGenerator<[WebSocketConnection, HandshakeResponse]>,
): Promise<[WebSocketConnection, HandshakeResponse]> {
  for await (const entry of generator) return entry;
  throw new Error("it gave no connection");
}

/** A queue between `onRetry` and a test. */
function retries() {
  const all: Retry[] = [];
  let taken = 0;
  return {
    all,
    onRetry: (retry: Retry) => void all.push(retry),
    async next(): Promise<Retry> {
      const index = taken++;
      await eventually(() => all.length > index, `retry ${index + 1}`);
      return all[index]!;
    },
  };
}

// --- When it connects again ---

test("connections() gives one connection after the other, with its response and all that it received", async () => {
  await using server = feed(async (peer) => {
    for (let i = 0; i < 100; i++) await peer.send(`${peer.index}.${i}`);
    if (peer.index === 0) await closeWith(1001)(peer);
    else peer.end();
  });
  const seen: string[] = [];
  let count = 0;
  for await (const [connection, response] of connections(server.url, QUICK)) {
    assertEquals(response.status, 101);
    assertEquals(connection.url, `${server.url}/`);
    await connection.closed; // everything is buffered by now
    assertEquals(server.connections, ++count);
    for await (const message of connection) seen.push(message);
    assertEquals(server.connections, count);
    if (count === 3) break;
  }
  const expected = [0, 1, 2].flatMap((connection) =>
    Array.from({ length: 100 }, (_, i) => `${connection}.${i}`)
  );
  assertEquals(seen, expected);
});

test("connections() connects again after a close by the server", async () => {
  for (const code of [1000, 1001, undefined, 1011, 1012, 1013, 3000, 3999]) {
    await using server = feed(closeWith(code));
    const { onRetry, all } = retries();
    let count = 0;
    const generator = connections(server.url, { ...QUICK, onRetry });
    for await (const [connection] of generator) {
      if (++count === 2) break;
      assertEquals(await connection.recv(), null);
    }
    const error = all[0]!.error;
    assertInstanceOf(error, ConnectionClosedError);
    assertEquals([error.code, error.clean], [code ?? 1005, true]);
    assertEquals(error.reason, code ? "why" : "");
  }
});

test("connections() ends quietly at a close that is final", async () => {
  for (const code of [1008, 4000, 4009, 4999]) {
    await using server = feed(closeWith(code));
    let count = 0;
    for await (const [connection] of connections(server.url, QUICK)) {
      count++;
      for await (const _ of connection);
    }
    assertEquals([count, server.connections], [1, 1], `${code}`);
  }
});

test("connections() asks again after a refusal that may pass, and throws one that is final", async () => {
  for (const status of [408, 425, 429, 500, 501, 502, 503, 504, 599]) {
    await using server = refusing([status]);
    const { onRetry, all } = retries();
    await first(connections(server.url, { ...SOON, onRetry }));
    assertEquals(all.length, 1);
    assertInstanceOf(all[0]!.error, HandshakeError);
    assertStringIncludes(all[0]!.error.message, `HTTP error: ${status}`);
  }
  for (const status of [200, 302, 400, 401, 403, 404, 410, 426]) {
    await using server = refusing([status]);
    const error = await assertRejects(
      () => first(connections(server.url)),
      HandshakeError,
      `HTTP error: ${status}`,
    );
    assertEquals(error.response?.status, status);
    assertEquals(server.connections, 1);
  }
});

test("connections() throws an invalid upgrade, with and without a response", async () => {
  for (const capture of ["preflight", "none"] as const) {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.upgrade({ headers: { "Sec-WebSocket-Protocol": "x" } });
      await peer.waitForEnd();
      peer.end();
    });
    const error = await assertRejects(
      () => first(connections(server.url, { ...SOON, capture })),
      HandshakeError,
      "not a valid upgrade",
    );
    assertEquals(error.response === undefined, capture === "none");
    assertEquals(server.connections, 1);
  }
});

test("connections() gives up after maxAttempts in a row, with the last error", async () => {
  const { onRetry, all } = retries();
  const options = { ...SOON, maxAttempts: 3, onRetry };
  const nobody = `ws://127.0.0.1:${quietPort()}`;
  const error = await assertRejects(
    () => first(connections(nobody, options)),
    HandshakeError,
  );
  assertEquals(error.response, undefined);
  assertEquals(all.map(({ attempt }) => attempt), [1, 2]);

  await using server = refusing([503, 502, 500, 503]);
  await assertRejects(
    () => first(connections(server.url, options)),
    HandshakeError,
    "HTTP error: 500",
  );
  assertEquals(server.connections, 3);

  // Counted anew once it is connected: two refusals before each connection.
  await using flaky = rawServer(async (peer) => {
    await peer.readHead();
    if (peer.index % 3 < 2) return await peer.respond("503 X");
    await peer.upgrade();
    peer.end();
  });
  let count = 0;
  const direct = { ...options, capture: "direct" } as const;
  for await (const _ of connections(flaky.url, direct)) {
    if (++count === 3) break;
  }
  assertEquals(flaky.connections, 9);
});

test("connections() asks again when a handshake takes too long", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    if (peer.index === 1) await peer.upgrade();
    await seeOff(peer);
  });
  const { onRetry, all } = retries();
  const options = { ...QUICK, handshakeTimeout: "1500ms", onRetry };
  await first(connections(server.url, options));
  assertEquals(all.map(({ error }) => error.name), ["TimeoutError"]);
  await assertRejects(
    () => first(connections(server.url, { ...options, maxAttempts: 1 })),
    DOMException,
    "No connection within 1500 ms",
  );
});

const url = "ws://127.0.0.1:1";

const WRONG: [ErrorConstructor, string, unknown, options?: unknown][] = [
  [TypeError, `got "http:"`, "http://127.0.0.1:1"],
  [TypeError, "has a fragment", [url, `${url}#x`]],
  [TypeError, "at least one", []],
  [TypeError, "Invalid URL", null],
  [TypeError, "Invalid options", url, null],
  [TypeError, "capture", url, { capture: "x" }],
  [TypeError, "Host", url, { headers: { Host: "x" } }],
  [TypeError, `"10"`, url, { minDelay: "10" }],
  [RangeError, "negative", url, { maxDelay: -1 }],
  [RangeError, "at most maxDelay", url, { minDelay: 2, maxDelay: 1 }],
  [TypeError, "Cannot parse", url, { resetAfter: "x" }],
  [TypeError, "duration", url, { resetAfter: null }],
  [TypeError, "duration", url, { minDelay: null }],
  [TypeError, "duration", url, { maxDelay: null }],
  [TypeError, "duration", url, { maxRetryAfter: null }],
  [TypeError, "duration", url, { closeTimeout: null }],
  [TypeError, "got null", url, { multiplier: null }],
  [TypeError, "got null", url, { maxAttempts: null }],
  [TypeError, "got null", url, { headers: null }],
  [TypeError, "got null", url, { protocols: null }],
  [TypeError, "more than once", url, { protocols: ["a", "a"] }],
  [TypeError, "Host", () => url, { headers: { Host: "x" } }],
  [RangeError, "finite", url, { maxRetryAfter: Infinity }],
  [RangeError, "from 1, got 0.5", url, { multiplier: 0.5 }],
  [RangeError, "got NaN", url, { multiplier: NaN }],
  [TypeError, "got string", url, { multiplier: "2" }],
  [TypeError, `got "half"`, url, { jitter: "half" }],
  [TypeError, "got number", url, { jitter: 1 }],
  [RangeError, "got 0", url, { maxAttempts: 0 }],
  [RangeError, "got 1.5", url, { maxAttempts: 1.5 }],
  [TypeError, "got boolean", url, { retryIf: true }],
  [TypeError, "got null", url, { onRetry: null }],
  [TypeError, "got string", url, { onConnect: "x" }],
  [TypeError, '"direct"', "wss://127.0.0.1:1", {
    http: { address: { hostname: "127.0.0.1", port: 1 } },
  }],
];

Deno.test("connections() throws wrong arguments at the call", () => {
  for (const [type, text, input, options] of WRONG) {
    const given = options === null
      ? null as unknown as ReconnectOptions
      : { retryIf: () => true, ...options as object };
    assertThrows(() => connections(input as string, given), type, text);
  }
});

Deno.test({
  name: "connections() throws a missing permission",
  permissions: { net: false },
  async fn() {
    for (const capture of CAPTURES) {
      const options = { capture, retryIf: () => true };
      const generator = connections("ws://127.0.0.1:8123", options);
      const next = within(generator.next(), 60_000, "the error");
      await assertRejects(() => next, Deno.errors.NotCapable);
    }
  },
});

test("connections() throws that fetch refuses to dial a port", async () => {
  const { onRetry, all } = retries();
  const error = await assertRejects(
    () => first(connections(url, { ...SOON, maxAttempts: 2, onRetry })),
    HandshakeError,
  );
  // Up to Deno 2.5 it dials every port.
  const refused = error.message.includes("fetch refuses to dial port 1");
  assertEquals(all.length, refused ? 0 : 1);
});

// --- How it ends ---

/** As of AbortSignal.timeout(); it must not pass for a handshake's. */
const ENOUGH = new DOMException("enough", "TimeoutError");

/** Asserts that the next step throws the signal's reason, and is the last. */
async function assertEnds(generator: AsyncGenerator): Promise<void> {
  const next = within(generator.next(), 60_000, "the end");
  assertStrictEquals(await assertRejects(() => next), ENOUGH);
  assertEquals((await generator.next()).done, true);
}

test("connections() throws the signal's reason before it begins, in the handshake and in the wait", async () => {
  await assertEnds(connections(url, { signal: AbortSignal.abort(ENOUGH) }));

  const stop = new AbortController();
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    stop.abort(ENOUGH);
    await peer.waitForEnd();
    peer.end();
  });
  const { onRetry, all } = retries();
  const { signal } = stop;
  await assertEnds(connections(server.url, { ...QUICK, signal, onRetry }));
  assertEquals(all, []);

  const later = new AbortController();
  const nobody = `ws://127.0.0.1:${quietPort()}`;
  await assertEnds(connections(nobody, {
    minDelay: "1h",
    signal: later.signal,
    onRetry: () => void setTimeout(() => later.abort(ENOUGH), 1),
  }));
});

test("connections() throws the signal's reason while connected, also where the body takes no notice", async () => {
  await using server = feed((peer) => peer.send("one"));
  const stop = new AbortController();
  const { onRetry, all } = retries();
  const options = { ...QUICK, onRetry };
  const loop = async () => {
    const { signal } = stop;
    for await (const entry of connections(server.url, { ...options, signal })) {
      for await (const message of entry[0]) {
        assertEquals(message, "one");
        stop.abort(ENOUGH);
      }
    }
  };
  assertStrictEquals(await assertRejects(loop), ENOUGH);

  const again = new AbortController();
  const { signal } = again;
  const other = connections(server.url, { ...options, signal });
  await other.next();
  again.abort(ENOUGH);
  await assertEnds(other);
  assertEquals(all, []);
});

test("connections() closes the connection with 1000 when the loop is left, by break or by an error", async () => {
  const codes: number[] = [];
  await using server = accepting((socket) => {
    socket.addEventListener("close", ({ code }) => codes.push(code));
  });
  const [connection] = await first(connections(server.url, QUICK));
  const info = { code: 1000, reason: "", clean: true };
  assertEquals(await connection.closed, info);
  const own = new Error("the body's own");
  const thrown = await assertRejects(async () => {
    for await (const _ of connections(server.url, QUICK)) throw own;
  });
  assertStrictEquals(thrown, own);
  await eventually(() => codes.length === 2, "the second close");
  assertEquals(codes, [1000, 1000]);
});

/** Ends the loop while its first step is under way, and asserts that nothing holds it up. */
async function assertReturns(
  generator: AsyncGenerator<unknown, void, undefined>,
  underWay: Promise<unknown>,
): Promise<void> {
  const pending = generator.next();
  await within(underWay, 60_000, "what it waits for");
  const returning = generator.return();
  const done = { done: true, value: undefined } as const;
  assertEquals(await within(pending, 4000, "next()"), done);
  assertEquals(await within(returning, 60_000, "return()"), done);
  assertEquals(await generator.next(), done);
}

const never = (): Promise<never> => new Promise(() => {});

/** A function that never settles, and tells when it has been called. */
function hanging() {
  const { promise: called, resolve } = Promise.withResolvers<void>();
  return {
    called,
    call: () => {
      resolve();
      return never();
    },
  };
}

each.test("return() ends a handshake that is not answered, and its connection", async (capture) => {
  const asked = Promise.withResolvers<void>();
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    asked.resolve();
    await peer.waitForEnd();
    peer.end();
  });
  const generator = connections(server.url, { capture });
  await assertReturns(generator, asked.promise);
  await eventually(() => server.connections === 1, "no other connection");
});

each.test("return() ends the loop while a function of the caller does not settle, and closes the connection", async (capture) => {
  const codes: number[] = [];
  await using server = accepting((socket) => {
    socket.addEventListener("close", ({ code }) => codes.push(code));
  });
  const onConnect = hanging();
  await assertReturns(
    connections(server.url, { capture, onConnect: onConnect.call }),
    onConnect.called,
  );
  await eventually(() => codes.includes(1000), "the close");

  const onRetry = hanging();
  await assertReturns(
    connections(`ws://127.0.0.1:${quietPort()}`, {
      capture,
      onRetry: onRetry.call,
    }),
    onRetry.called,
  );
});

test("return() and throw() end the wait before the next attempt", async () => {
  const nobody = `ws://127.0.0.1:${quietPort()}`;
  const waiting = Promise.withResolvers<void>();
  const options = { minDelay: "1h", onRetry: () => waiting.resolve() } as const;
  await assertReturns(connections(nobody, options), waiting.promise);

  const generator = connections(nobody, options);
  const pending = generator.next();
  const own = new Error("its own");
  const thrown = within(generator.throw(own), 60_000, "throw()");
  assertStrictEquals(await assertRejects(() => thrown), own);
  assertEquals((await pending).done, true);
});

each.test("return() does not let a step wait for a peer that does not answer the close", async (capture) => {
  await using server = rawServer(async (peer) => {
    await upgrade(peer);
    await peer.waitForEnd();
    peer.end();
  });
  const closeTimeout = "200ms";
  const generator = connections(server.url, { ...SOON, capture, closeTimeout });
  const { value } = await generator.next();
  const connection = value![0];
  const sent = Promise.withResolvers<void>();
  const close = connection.close;
  connection.close = (...args) => {
    sent.resolve();
    return close.apply(connection, args);
  };
  await assertReturns(generator, sent.promise);
  assertEquals((await connection.closed).code, 1006);
  for (const peer of server.peers) peer.end();
});

each.test("return() from outside ends a loop whose body waits for a message, even if the peer does not answer the close", async (capture) => {
  await using server = rawServer(async (peer) => {
    await upgrade(peer);
    await peer.waitForEnd();
    peer.end();
  });
  const closeTimeout = "1m";
  const generator = connections(server.url, { ...SOON, capture, closeTimeout });
  const waiting = Promise.withResolvers<void>();
  const loop = (async () => {
    for await (const [connection] of generator) {
      const message = connection.recv();
      waiting.resolve();
      assertEquals(await message, null);
    }
  })();
  await within(waiting.promise, 60_000, "the body");
  const returning = generator.return();
  await within(loop, 60_000, "the loop");
  for (const peer of server.peers) peer.end();
  await within(returning, 60_000, "return()");
});

each.test("the signal ends the loop while onConnect or onRetry does not settle", async (capture) => {
  await using server = accepting();
  for (
    const [url, name] of [
      [server.url, "onConnect"],
      [`ws://127.0.0.1:${quietPort()}`, "onRetry"],
    ] as const
  ) {
    const stop = new AbortController();
    const { signal } = stop;
    const { called, call } = hanging();
    const generator = connections(url, { capture, signal, [name]: call });
    called.then(() => stop.abort(ENOUGH));
    await assertEnds(generator);
  }
});

test("disposing of the loop closes the connection", async () => {
  await using server = accepting();
  let given: WebSocketConnection | undefined;
  {
    await using generator = connections(server.url, QUICK);
    given = (await generator.next()).value![0];
  }
  assertEquals((await given.closed).code, 1000);
});

test("connections() never has two connections open", async () => {
  let open = 0;
  let most = 0;
  await using server = feed(async (peer) => {
    most = Math.max(most, ++open);
    while ((await peer.readFrame())?.opcode !== 8);
    await delay(5); // late with its answer
    open--;
    await peer.closeFrame(1000);
    peer.end();
  });
  const generator = connections(server.url, QUICK);
  let count = 0;
  for await (const [outer] of generator) {
    for await (const [inner] of generator) {
      assertEquals((await outer.closed).code, 1000);
      if (++count === 3) break;
      await inner.send("x"); // comes round with it open
    }
  }
  assertEquals([count, most, open], [3, 1, 0]);
});

test("connections() connects again when the body closed the connection itself, whatever the code", async () => {
  await using server = accepting();
  const { onRetry, all } = retries();
  const options = { ...QUICK, onRetry, retryIf: () => false };
  let count = 0;
  for await (const [connection] of connections(server.url, options)) {
    if (++count === 3) break;
    await connection.close(count === 1 ? 1000 : 4001, "enough");
  }
  const codes = all.map(({ error }) => (error as ConnectionClosedError).code);
  assertEquals(codes, [1000, 4001]);
});

test("connections() leaves an overflow to the body, and connects again if it goes on", async () => {
  await using server = accepting((socket) => {
    for (let i = 0; i < 10; i++) socket.send(`${i}`);
  });
  const { onRetry, all } = retries();
  const options = { ...QUICK, maxBuffer: { messages: 2 }, onRetry };
  const seen: string[] = [];
  let count = 0;
  for await (const [connection] of connections(server.url, options)) {
    if (++count === 2) break;
    await connection.closed;
    await assertRejects(async () => {
      for await (const message of connection) seen.push(message);
    }, BufferOverflowError);
  }
  assertEquals(seen, ["0", "1"]);
  assertInstanceOf(all[0]!.error, BufferOverflowError);

  const once = connections(server.url, { ...options, retryIf: () => false });
  const [connection] = (await once.next()).value!;
  await connection.closed;
  await assertRejects(() => once.next(), BufferOverflowError);
});

each.test("connections() connects again when no message came for messageTimeout, heartbeats or not", async (capture) => {
  const heard: string[] = [];
  await using server = accepting((socket) => {
    socket.send("one");
    socket.onmessage = ({ data }) => heard.push(data);
  });
  const { onRetry, all } = retries();
  let beats = 0;
  const generator = connections(server.url, {
    ...SOON,
    capture,
    onRetry,
    messageTimeout: "1s",
    heartbeat: { message: () => `beat ${++beats}`, interval: "100ms" },
  });
  const seen: string[] = [];
  let count = 0;
  for await (const [connection] of generator) {
    if (++count === 3) break;
    for await (const message of connection) seen.push(message);
  }
  assertEquals(seen, ["one", "one"]);
  assertEquals(
    all.map(({ error }) => (error as ConnectionClosedError).reason),
    ["message timeout", "message timeout"],
  );
  assertGreater(beats, 2);
  await eventually(() => heard.length >= 2, "heartbeats of both connections");
});

each.test("the error of a heartbeat's function is the body's to see, and ends the loop", async (capture) => {
  await using server = accepting();
  const own = new Error("its own");
  const thrown = await assertRejects(async () => {
    const heartbeat = {
      message: () => {
        throw own;
      },
      interval: "10ms",
    };
    const generator = connections(server.url, { ...SOON, capture, heartbeat });
    for await (const [connection] of generator) {
      for await (const _ of connection);
    }
  });
  assertStrictEquals(thrown, own);
});

// --- How long it waits ---

/** The first delays where a server refuses again and again, in a time that passes for each. */
async function delays(
  count: number,
  options: ReconnectOptions,
  headers: HeadersInit = {},
): Promise<number[]> {
  await using server = serve(() =>
    new Response(null, { status: 503, headers })
  );
  using time = new FakeTime("2015-10-21T07:28:00Z");
  const stop = new AbortController();
  const { onRetry, next } = retries();
  const { signal } = stop;
  const generator = connections(server.url, { ...options, onRetry, signal });
  const end = assertRejects(() => generator.next());
  const all: number[] = [];
  while (true) {
    const { attempt, delayMs, url } = await next();
    assertEquals([attempt, url], [all.push(delayMs), `${server.url}/`]);
    if (all.length === count) break;
    if (delayMs > 0) await time.tickAsync(delayMs - 1);
    assertEquals(server.requests.length, all.length); // not before its time
    await time.tickAsync(1);
  }
  stop.abort();
  await end;
  return all;
}

const seconds = (...list: number[]) => list.map((s) => s * 1000);

test("connections() waits longer every time, up to maxDelay", async () => {
  const waits = await delays(7, { jitter: "none" });
  assertEquals(waits, seconds(1, 2, 4, 8, 16, 30, 30));
});

test("connections() spreads its waits between minDelay and a ceiling that grows", async () => {
  const options = { minDelay: 1, maxDelay: 10, multiplier: 3 };
  const cases: [random: number, ReconnectOptions, expected: number[]][] = [
    [0, options, seconds(1, 1, 1, 1, 1)],
    [0.5, options, seconds(2, 5, 5.5, 5.5, 5.5)],
    [1, options, seconds(3, 9, 10, 10, 10)],
    [1, { minDelay: "1m", jitter: "full" }, seconds(60, 60)],
    [0, { maxDelay: 0.5 }, seconds(0.5, 0.5)],
    [0.5, { minDelay: 0, multiplier: 1e300 }, [0, 0, 0]],
  ];
  const { random } = Math;
  try {
    for (const [value, options, expected] of cases) {
      Math.random = () => value;
      assertEquals(await delays(expected.length, options), expected);
    }
  } finally {
    Math.random = random;
  }
});

test("connections() begins with the shortest wait again after a connection that lived for resetAfter", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      socket.onmessage = () => socket.close(1000);
    })
  );
  using time = new FakeTime();
  const { onRetry, next } = retries();
  const generator = connections(server.url, {
    capture: "none",
    jitter: "none",
    onRetry,
  });
  const lives = [9_999, 9_999, 10_000, 0];
  const steps: number[] = [];
  let pending = generator.next();
  for (const life of lives) {
    const { value } = await pending;
    const [connection] = value!;
    await time.tickAsync(life);
    await connection.send("close");
    await connection.closed;
    pending = generator.next();
    const { attempt, delayMs } = await next();
    assertEquals(delayMs, 1000 * 2 ** (attempt - 1));
    steps.push(attempt);
    await time.tickAsync(delayMs);
  }
  await pending;
  await generator.return();
  assertEquals(steps, [1, 2, 1, 2]);
});

const RETRY_AFTER: [value: string, options: ReconnectOptions, ms: number][] = [
  ["7", {}, 7_000],
  ["0", {}, 1_000],
  ["3600", {}, 30_000],
  ["3600", { maxDelay: "5s" }, 5_000],
  ["3600", { maxRetryAfter: "2h" }, 3_600_000],
  ["20", { maxRetryAfter: 0 }, 1_000],
  ["Wed, 21 Oct 2015 07:28:09 GMT", {}, 9_000],
  ["Wed, 21 Oct 2015 07:27:00 GMT", {}, 1_000],
  ["soon", {}, 1_000],
];

test("connections() waits for as long as Retry-After asks, within limits", async () => {
  for (const [value, options, expected] of RETRY_AFTER) {
    const headers = { "Retry-After": value };
    const waits = await delays(1, { jitter: "none", ...options }, headers);
    assertEquals(waits, [expected], value);
  }
});

// --- Several URLs ---

test("connections() leaves an endpoint that does not exist for good", async () => {
  for (const status of [404, 501]) {
    await using server = serve((request) =>
      new URL(request.url).pathname === "/new"
        ? new Response(null, { status })
        : accept(request, () => {})
    );
    const urls = [`${server.url}/new`, new URL(`${server.url}/old`)];
    const { onRetry, all } = retries();
    const options = { ...QUICK, onRetry, retryIf: () => false };
    let count = 0;
    for await (const [connection] of connections(urls, options)) {
      assertEquals(connection.url, `${server.url}/old`);
      if (++count === 3) break;
    }
    assertEquals(all.length, 2); // none for the move
    const asked = server.requests.map(({ url }) => new URL(url).pathname);
    // The socket and the pre-flight that finds the reason, and never again.
    assertEquals(asked, ["/new", "/new", "/old", "/old", "/old"]);
  }
});

test("connections() throws when no endpoint exists", async () => {
  await using server = serve(() => new Response(null, { status: 404 }));
  const error = await assertRejects(
    () => first(connections([`${server.url}/a`, `${server.url}/b`])),
    HandshakeError,
    "HTTP error: 404",
  );
  assertEquals(error.url, `${server.url}/b`);
  assertEquals(server.requests.length, 2);
});

test("connections() tries the next URL when nothing answers at one in time, and the first again later", async () => {
  const port = quietPort();
  const preferred = `ws://127.0.0.1:${port}/`;
  await using server = accepting();
  await using mute = rawServer((peer) => peer.readHead().then(() => {}));
  const { onRetry, all } = retries();
  const options = { handshakeTimeout: "2s", onRetry };
  const [late] = await first(connections([mute.url, server.url], options));
  assertEquals(late.url, `${server.url}/`);
  assertEquals(all, []);

  const generator = connections([preferred, server.url], QUICK);
  const [fallback] = (await generator.next()).value!;
  assertEquals(fallback.url, `${server.url}/`);

  const back = Deno.serve(
    { hostname: "127.0.0.1", port, onListen() {} },
    (request) => Deno.upgradeWebSocket(request).response,
  );
  const [connection] = (await generator.next()).value!;
  assertEquals(connection.url, preferred);
  await generator.return();
  await back.shutdown();
});

test("connections() waits only after the last URL, and stays with one that answers", async () => {
  await using busy = serve(() => new Response(null, { status: 503 }));
  await using other = accepting();
  const nobody = `ws://127.0.0.1:${quietPort()}/`;
  const { onRetry, all } = retries();
  const options = { ...SOON, maxAttempts: 3, onRetry };
  await assertRejects(
    () => first(connections([nobody, busy.url, other.url], options)),
    HandshakeError,
    "HTTP error: 503",
  );
  assertEquals(other.requests.length, 0);
  assertEquals(busy.requests.length, 3);
  assertEquals(all.map(({ url }) => url), [`${busy.url}/`, `${busy.url}/`]);

  await using gone = serve(() => new Response(null, { status: 404 }));
  const error = await assertRejects(
    () => first(connections([nobody, gone.url], options)),
    HandshakeError,
  );
  assertEquals(error.url, nobody);
  assertEquals(gone.requests.length, 1);
});

// --- Callbacks ---

test("connections() lets retryIf decide about refusals, both ways", async () => {
  const decided: [answer: boolean | undefined, statuses: number[]][] = [
    [true, [403, 404]], // both are asked again
    [false, [503]],
    [undefined, [503, 404]], // as it is without it
  ];
  for (const [answer, statuses] of decided) {
    await using server = refusing(statuses);
    const asked: string[] = [];
    const retryIf = (error: Error) => {
      asked.push(error.name);
      return answer;
    };
    const connecting = first(connections(server.url, { ...SOON, retryIf }));
    if (answer) await connecting;
    else {
      const last = `HTTP error: ${statuses.at(-1)}`;
      await assertRejects(() => connecting, HandshakeError, last);
    }
    assertEquals(asked, statuses.map(() => "HandshakeError"));
    assertEquals(server.connections, statuses.length + (answer ? 2 : 0));
  }
});

test("connections() lets retryIf decide about closes and losses, both ways", async () => {
  await using final = feed(closeWith(4000));
  const again = connections(final.url, {
    ...QUICK,
    retryIf: (error) =>
      error instanceof ConnectionClosedError && error.clean &&
      error.code === 4000,
  });
  for (let i = 0; i < 3; i++) await (await again.next()).value![0].closed;
  await again.return();

  const never = { ...QUICK, retryIf: () => false };
  await using passing = feed(closeWith(1001));
  const quiet = connections(passing.url, never);
  await (await quiet.next()).value![0].closed;
  assertEquals((await quiet.next()).done, true);

  await using lost = feed((peer) => peer.end());
  await assertRejects(
    async () => {
      for await (const [connection] of connections(lost.url, never)) {
        for await (const _ of connection);
      }
    },
    ConnectionClosedError,
    "lost",
  );
});

test("connections() calls onConnect before the loop sees a connection", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      socket.onmessage = ({ data }) => {
        socket.send(`after ${data}`);
        socket.close(1000);
      };
    })
  );
  const seen: string[] = [];
  const generator = connections(server.url, {
    ...QUICK,
    async onConnect(connection, response) {
      assertEquals(response.status, 101);
      await connection.send(`${seen.length}`);
      const ack: string | null = await connection.recv();
      seen.push(ack!);
    },
  });
  for await (const [connection] of generator) {
    assertEquals(await connection.recv(), null);
    if (seen.length === 3) break;
  }
  assertEquals(seen, ["after 0", "after 1", "after 2"]);
});

test("connections() gives a connection that ended during onConnect, with what it received", async () => {
  await using server = feed(async (peer) => {
    await peer.send(`${peer.index}`);
    peer.end();
  });
  const seen: string[] = [];
  const generator = connections(server.url, {
    ...QUICK,
    async onConnect(connection) {
      await connection.closed;
      await connection.send("too late");
    },
  });
  for await (const [connection] of generator) {
    for await (const message of connection) seen.push(message);
    if (seen.length === 2) break;
  }
  assertEquals(seen, ["0", "1"]);
});

test("connections() throws what a callback throws, and closes the connection", async () => {
  await using server = accepting();
  const own = new Error("the callback's own");
  const fail = () => {
    throw own;
  };
  let given: WebSocketConnection | undefined;
  const thrown = await assertRejects(() =>
    first(connections(server.url, {
      ...QUICK,
      onConnect(connection) {
        given = connection;
        fail();
      },
    }))
  );
  assertStrictEquals(thrown, own);
  assertEquals((await given!.closed).code, 1000);

  for (const callbacks of [{ onRetry: fail }, { retryIf: fail }]) {
    await using busy = refusing([503]);
    const thrown = await assertRejects(() =>
      first(connections(busy.url, { ...callbacks }))
    );
    assertStrictEquals(thrown, own);
  }
});

test("connections() sends credentials and headers that can be read only once with every handshake, and shows none", async () => {
  await using server = refusing([503]);
  const { onRetry, all } = retries();
  const url = server.url.replace("//", "//user:secret@") + "/?token=1";
  const headers = new Map([["x-token", "1"]]).entries();
  const [connection] = await first(connections([url, url], {
    ...SOON,
    headers: headers as unknown as HeadersInit,
    onRetry,
  }));
  assertEquals(all[0]!.url, `${server.url}/?token=1`);
  assertEquals(connection.url, `${server.url}/?token=1`);
  assertEquals(server.heads.length, 3);
  for (const head of server.heads) {
    assertStringIncludes(head.toLowerCase(), "authorization: basic ");
    assertStringIncludes(head, "x-token: 1");
  }
});

test("connections() survives a server that is killed, and delivers what each connection received once and in order", async () => {
  const port = quietPort();
  const start = () => spawnServer("ws", ["--port", `${port}`]);
  let server = await start();
  const url = `${server.url}/events?every=1`;
  let kills = 0;
  const generator = connections(url, { minDelay: "2ms", maxDelay: "20ms" });
  for await (const [connection] of generator) {
    let expected = 0;
    const killAt = 1 + Math.floor(Math.random() * 60);
    for await (const message of connection) {
      assertEquals(message, `{"seq":${expected++}}`);
      if (expected !== killAt) continue;
      await eventually(
        () => connection.buffered.messages > 0,
        "some that wait in the buffer",
      );
      await server[Symbol.asyncDispose]();
      if (++kills < 8) server = await start();
    }
    assertGreater(expected, killAt);
    if (kills === 8) break;
  }
});
