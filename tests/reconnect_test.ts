import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLessOrEqual,
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
} from "../mod.ts";
import { quietPort, spawnFeed } from "./fixtures/feed_server.ts";
import { type Peer, type RawServer, rawServer } from "./fixtures/raw.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { delay, eventually, within } from "./fixtures/wait.ts";

/** One handshake per connection, and no wait worth the name. */
const QUICK = { capture: "none", minDelay: 0, maxDelay: 0 } as const;

/** Answers the client's close, and lets go. */
async function seeOff(peer: Peer): Promise<void> {
  for (let frame; (frame = await peer.readFrame()) !== null;) {
    if (frame.opcode === 8) await peer.closeFrame(1000);
  }
  peer.end();
}

/** Accepts, runs `talk`, and waits for the client to go. */
function feed(
  talk: (peer: Peer) => void | Promise<void>,
): RawServer {
  return rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    await talk(peer);
    await seeOff(peer);
  });
}

/** Answers each request with the next status, and upgrades after the last. */
function refusing(
  statuses: string[],
  headers: Record<string, string> = {},
): RawServer {
  return rawServer(async (peer) => {
    await peer.readHead();
    const status = statuses[peer.index];
    if (status !== undefined) return await peer.respond(status, "", headers);
    await peer.upgrade();
    await seeOff(peer);
  });
}

async function closeWith(peer: Peer, code?: number): Promise<void> {
  await peer.closeFrame(code, "why");
  while (await peer.readFrame() !== null);
}

/** Takes the first entry, and ends the loop. */
async function first(
  generator: AsyncGenerator<[WebSocketConnection, HandshakeResponse]>,
): Promise<[WebSocketConnection, HandshakeResponse]> {
  for await (const entry of generator) return entry;
  throw new Error("it gave no connection");
}

/** A queue between `onRetry` and a test. */
function retries(): {
  onRetry(retry: Retry): void;
  next(): Promise<Retry>;
  readonly all: Retry[];
} {
  const all: Retry[] = [];
  let taken = 0;
  return {
    all,
    onRetry: (retry) => void all.push(retry),
    async next() {
      const index = taken++;
      await eventually(() => all.length > index, `retry ${index + 1}`);
      return all[index]!;
    },
  };
}

Deno.test("connections() gives one connection after the other, each with its response", async () => {
  await using server = feed(async (peer) => {
    await peer.send(`hello ${peer.index}`);
    await closeWith(peer, 1001);
  });
  const seen: string[] = [];
  for await (
    const [connection, response] of connections(server.url, QUICK)
  ) {
    assertEquals(response.status, 101);
    assertEquals(connection.url, `${server.url}/`);
    for await (const message of connection) seen.push(message);
    if (seen.length === 3) break;
  }
  assertEquals(seen, ["hello 0", "hello 1", "hello 2"]);
  assertEquals(server.connections, 3);
});

Deno.test("connections() asks twice for each connection by default, and gives the pre-flight's response", async () => {
  await using server = serve((request) =>
    accept(request, () => {}, { headers: { "x-session": "1" } })
  );
  const [, response] = await first(connections(server.url));
  assertEquals(response.source, "preflight");
  assertEquals(response.headers.get("x-session"), "1");
  assertEquals(server.requests.length, 2);
});

Deno.test("connections() gives Uint8Arrays where binary is bytes", async () => {
  await using server = feed((peer) => peer.send(new Uint8Array([1, 2])));
  const generator = connections(server.url, { ...QUICK, binary: "bytes" });
  for await (const [connection] of generator) {
    const message: string | Uint8Array | null = await connection.recv();
    assertEquals(message, new Uint8Array([1, 2]));
    break;
  }
  const options: ReconnectOptions = { ...QUICK };
  const text = connections(server.url, options);
  assertEquals((await text.next()).done, false);
  await text.return();
});

for (
  const [how, take] of Object.entries({
    "for await": async (connection: WebSocketConnection, seen: string[]) => {
      for await (const message of connection) seen.push(message);
    },
    "batches()": async (connection: WebSocketConnection, seen: string[]) => {
      for await (const batch of connection.batches("1ms")) seen.push(...batch);
    },
    "readable": async (connection: WebSocketConnection, seen: string[]) => {
      for await (const message of connection.readable) seen.push(message);
    },
  })
) {
  Deno.test(`connections() goes on after a loss in ${how}, with all that was received`, async () => {
    await using server = feed(async (peer) => {
      for (let i = 0; i < 100; i++) await peer.send(`${peer.index}.${i}`);
      peer.end();
    });
    const seen: string[] = [];
    let count = 0;
    for await (const [connection] of connections(server.url, QUICK)) {
      await connection.closed; // everything is buffered by now
      assertEquals(server.connections, ++count);
      await take(connection, seen);
      assertEquals(server.connections, count);
      if (count === 3) break;
    }
    assertEquals(
      seen,
      [0, 1, 2].flatMap((c) =>
        Array.from({ length: 100 }, (_, i) => `${c}.${i}`)
      ),
    );
  });
}

Deno.test("connections() leaves recv() and recvBatch() to reject at a loss", async () => {
  await using server = feed((peer) => peer.end());
  const [connection] = await first(connections(server.url, QUICK));
  await connection.closed;
  await assertRejects(() => connection.recv(), ConnectionClosedError);
  await assertRejects(
    () => connection.recvBatch("1s"),
    ConnectionClosedError,
    "websocket closed",
  );
});

Deno.test("connections() connects again after a close by the server", async (t) => {
  for (const code of [1000, 1001, undefined, 1011, 1012, 1013, 3000, 3999]) {
    await t.step(`code ${code ?? "none"}`, async () => {
      await using server = feed((peer) => closeWith(peer, code));
      const { onRetry, all } = retries();
      let count = 0;
      for await (
        const [connection] of connections(server.url, { ...QUICK, onRetry })
      ) {
        if (++count === 2) break;
        assertEquals(await connection.recv(), null);
      }
      const error = all[0]!.error;
      assertInstanceOf(error, ConnectionClosedError);
      assertEquals(
        { ...error, name: undefined },
        {
          name: undefined,
          code: code ?? 1005,
          reason: code ? "why" : "",
          clean: true,
        },
      );
    });
  }
});

Deno.test("connections() ends quietly at a close that is final", async (t) => {
  for (const code of [1008, 4000, 4009, 4999]) {
    await t.step(`code ${code}`, async () => {
      await using server = feed((peer) => closeWith(peer, code));
      let count = 0;
      for await (const [connection] of connections(server.url, QUICK)) {
        count++;
        for await (const _ of connection);
      }
      assertEquals(count, 1);
      assertEquals(server.connections, 1);
    });
  }
});

Deno.test("connections() asks again after a refusal that may pass", async (t) => {
  for (const status of [408, 425, 429, 500, 501, 502, 503, 504, 599]) {
    await t.step(`${status}`, async () => {
      // In "none" a refused socket is followed by a pre-flight that asks why.
      await using server = refusing([`${status} X`, `${status} X`]);
      const { onRetry, all } = retries();
      await first(connections(server.url, { ...QUICK, onRetry }));
      assertEquals(all.length, 1);
      assertInstanceOf(all[0]!.error, HandshakeError);
      assertStringIncludes(all[0]!.error.message, `HTTP error: ${status}`);
    });
  }
});

Deno.test("connections() throws a refusal that is final", async (t) => {
  for (const status of [200, 302, 400, 401, 403, 404, 410, 426]) {
    await t.step(`${status}`, async () => {
      await using server = refusing([`${status} X`]);
      const error = await assertRejects(
        () => first(connections(server.url)),
        HandshakeError,
        `HTTP error: ${status}`,
      );
      assertEquals(error.response?.status, status);
      assertEquals(server.connections, 1);
    });
  }
});

Deno.test("connections() throws an invalid upgrade, with and without a response", async () => {
  await using wrong = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade({ headers: { "Sec-WebSocket-Accept": "no" } });
  });
  const said = "not a valid upgrade";
  await assertRejects(
    () => first(connections(wrong.url)),
    HandshakeError,
    said,
  );
  assertEquals(wrong.connections, 1);

  await using unasked = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade({ headers: { "Sec-WebSocket-Protocol": "x" } });
    await peer.waitForEnd();
    peer.end();
  });
  const error = await assertRejects(
    () => first(connections(unasked.url, QUICK)),
    HandshakeError,
    said,
  );
  assertEquals(error.response, undefined);
  assertEquals(unasked.connections, 1);
});

Deno.test("connections() gives up after maxAttempts, with the last error", async () => {
  const { onRetry, all } = retries();
  const error = await assertRejects(
    () =>
      first(connections(`ws://127.0.0.1:${quietPort()}`, {
        ...QUICK,
        maxAttempts: 3,
        onRetry,
      })),
    HandshakeError,
  );
  assertEquals(error.response, undefined);
  assertEquals(all.map(({ attempt }) => attempt), [1, 2]);

  await using server = refusing(["503 X", "502 X", "500 X", "503 X"]);
  await assertRejects(
    () => first(connections(server.url, { minDelay: 0, maxAttempts: 3 })),
    HandshakeError,
    "HTTP error: 500",
  );
  assertEquals(server.connections, 3);
});

Deno.test("connections() counts maxAttempts anew once it is connected", async () => {
  // Two refusals before each connection.
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    if (peer.index % 3 < 2) return await peer.respond("503 X");
    await peer.upgrade();
    peer.end();
  });
  let count = 0;
  const options = { minDelay: 0, maxDelay: 0, maxAttempts: 3 };
  const generator = connections(server.url, {
    ...options,
    capture: "direct",
    retryIf: () => true,
  });
  for await (const _ of generator) if (++count === 3) break;
  assertEquals(server.connections, 9);
});

Deno.test("connections() asks again when a handshake takes too long", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    if (peer.index > 0) await peer.upgrade();
    await seeOff(peer);
  });
  await using silent = rawServer(async (peer) => {
    await peer.readHead();
    await seeOff(peer);
  });
  const { onRetry, all } = retries();
  await first(connections(server.url, {
    ...QUICK,
    handshakeTimeout: "200ms",
    onRetry,
  }));
  assertEquals(all.map(({ error }) => error.name), ["TimeoutError"]);
  await assertRejects(
    () =>
      first(connections(silent.url, {
        ...QUICK,
        handshakeTimeout: "50ms",
        maxAttempts: 1,
      })),
    DOMException,
    "No connection within 50 ms",
  );
});

Deno.test("connections() throws wrong arguments at the call", async (t) => {
  const url = "ws://127.0.0.1:1";
  type Case = [string, ErrorConstructor, string, unknown, unknown?];
  const cases: Case[] = [
    ["a scheme", TypeError, `got "http:"`, "http://127.0.0.1:1"],
    ["a later URL", TypeError, "has a fragment", [url, `${url}#x`]],
    ["no URL", TypeError, "at least one", []],
    ["null", TypeError, "Invalid URL", null],
    ["options", TypeError, "Invalid options", url, null],
    ["an option of the connection", TypeError, "capture", url, {
      capture: "x",
    }],
    ["a header", TypeError, "Host", url, { headers: { Host: "x" } }],
    ["minDelay", TypeError, `"10"`, url, { minDelay: "10" }],
    ["maxDelay", RangeError, "negative", url, { maxDelay: -1 }],
    ["both", RangeError, "at most maxDelay", url, { minDelay: 2, maxDelay: 1 }],
    ["resetAfter", TypeError, "Cannot parse", url, { resetAfter: "x" }],
    ["maxRetryAfter", RangeError, "finite", url, { maxRetryAfter: Infinity }],
    ["multiplier", RangeError, "from 1, got 0.5", url, { multiplier: 0.5 }],
    ["multiplier", RangeError, "got NaN", url, { multiplier: NaN }],
    ["multiplier", TypeError, "got string", url, { multiplier: "2" }],
    ["jitter", TypeError, `got "half"`, url, { jitter: "half" }],
    ["jitter", TypeError, "got number", url, { jitter: 1 }],
    ["maxAttempts", RangeError, "got 0", url, { maxAttempts: 0 }],
    ["maxAttempts", RangeError, "got 1.5", url, { maxAttempts: 1.5 }],
    ["retryIf", TypeError, "got boolean", url, { retryIf: true }],
    ["onRetry", TypeError, "got null", url, { onRetry: null }],
    ["onConnect", TypeError, "got string", url, { onConnect: "x" }],
  ];
  for (const [what, type, text, input, options] of cases) {
    await t.step(`${what}: ${text}`, () => {
      const given = options === null
        ? null as unknown as ReconnectOptions
        : { retryIf: () => true, ...options as object };
      assertThrows(() => connections(input as string, given), type, text);
    });
  }
});

Deno.test({
  name: "connections() throws a missing permission",
  permissions: { net: false },
  async fn() {
    for (const capture of ["preflight", "direct", "none"] as const) {
      const generator = connections("ws://127.0.0.1:8123", {
        capture,
        retryIf: () => true,
      });
      await assertRejects(() => generator.next(), Deno.errors.NotCapable);
    }
  },
});

Deno.test("connections() throws that fetch refuses to dial a port", async () => {
  const { onRetry, all } = retries();
  const error = await assertRejects(
    () =>
      first(connections("ws://127.0.0.1:1", {
        minDelay: 0,
        maxAttempts: 2,
        onRetry,
      })),
    HandshakeError,
  );
  // Up to Deno 2.5 it dials every port.
  const refused = error.message.includes("fetch refuses to dial port 1");
  assertEquals(all.length, refused ? 0 : 1);
});

Deno.test("connections() throws the signal's reason, wherever the abort finds it", async (t) => {
  // As of AbortSignal.timeout(); it must not pass for a handshake's.
  const reason = new DOMException("enough", "TimeoutError");
  const ends = async (generator: AsyncGenerator, next = generator.next()) => {
    const error = await assertRejects(() => within(next, 5000, "the end"));
    assertStrictEquals(error, reason);
    assertEquals((await generator.next()).done, true);
  };

  await t.step("before it begins", async () => {
    const signal = AbortSignal.abort(reason);
    await ends(connections("ws://127.0.0.1:1", { signal }));
  });

  await t.step("in the handshake", async () => {
    const stop = new AbortController();
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      stop.abort(reason);
      await peer.waitForEnd();
      peer.end();
    });
    const { onRetry, all } = retries();
    const { signal } = stop;
    await ends(connections(server.url, { ...QUICK, signal, onRetry }));
    assertEquals(all, []);
  });

  await t.step("in the wait", async () => {
    const stop = new AbortController();
    const generator = connections(`ws://127.0.0.1:${quietPort()}`, {
      minDelay: "1h",
      signal: stop.signal,
      onRetry: () => void setTimeout(() => stop.abort(reason), 1),
    });
    await ends(generator);
  });

  await t.step("while connected", async () => {
    await using server = feed((peer) => peer.send("one"));
    const stop = new AbortController();
    const { signal } = stop;
    const generator = connections(server.url, { ...QUICK, signal });
    const seen: string[] = [];
    const loop = async () => {
      for await (const [connection] of generator) {
        for await (const message of connection) {
          seen.push(message);
          stop.abort(reason);
        }
      }
    };
    assertStrictEquals(await assertRejects(loop), reason);
    assertEquals(seen, ["one"]);

    const again = new AbortController();
    const { onRetry, all } = retries();
    const options = { ...QUICK, signal: again.signal, onRetry };
    const other = connections(server.url, options);
    await other.next();
    again.abort(reason);
    await ends(other); // also where the body took no notice
    assertEquals(all, []);
  });
});

Deno.test("connections() closes the connection when the loop is left", async () => {
  const codes: number[] = [];
  const left = () => new Error("the body's own");
  await using server = serve((request) =>
    accept(request, (socket) => {
      socket.addEventListener("close", ({ code }) => codes.push(code));
    })
  );
  const [connection] = await first(connections(server.url, QUICK));
  assertEquals(await connection.closed, {
    code: 1000,
    reason: "",
    clean: true,
  });
  await eventually(() => codes.length === 1, "the first close");

  const error = await assertRejects(async () => {
    for await (const _ of connections(server.url, QUICK)) throw left();
  }, Error);
  assertEquals(error.message, "the body's own");
  await eventually(() => codes.length === 2, "the second close");
  assertEquals(codes, [1000, 1000]);
});

Deno.test("connections() never has two connections open", async () => {
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
  assertEquals(count, 3);
  assertEquals(most, 1);
  assertEquals(open, 0);
});

Deno.test("connections() connects again when the body closed the connection itself, whatever the code", async () => {
  await using server = serve((request) => accept(request, () => {}));
  const { onRetry, all } = retries();
  const generator = connections(server.url, {
    ...QUICK,
    onRetry,
    retryIf: () => false,
  });
  let count = 0;
  for await (const [connection] of generator) {
    if (++count === 3) break;
    await connection.close(count === 1 ? 1000 : 4001, "enough");
  }
  assertEquals(
    all.map(({ error }) => (error as ConnectionClosedError).code),
    [1000, 4001],
  );
});

Deno.test("connections() leaves an overflow to the body, and connects again if it goes on", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      for (let i = 0; i < 10; i++) socket.send(`${i}`);
    })
  );
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

  await assertRejects(async () => {
    for await (const [connection] of connections(server.url, options)) {
      await connection.closed;
      for await (const _ of connection);
    }
  }, BufferOverflowError);
});

Deno.test("connections() waits longer every time, up to maxDelay", async () => {
  await using server = serve(() => new Response(null, { status: 503 }));
  using time = new FakeTime();
  const stop = new AbortController();
  const { onRetry, next } = retries();
  const generator = connections(server.url, {
    jitter: "none",
    onRetry,
    signal: stop.signal,
  });
  const end = assertRejects(() => generator.next());
  const expected = [1, 2, 4, 8, 16, 30, 30].entries();
  for (const [index, seconds] of expected) {
    const retry = await next();
    assertEquals(retry.delayMs, seconds * 1000);
    assertEquals(retry.attempt, index + 1);
    assertEquals(retry.url, `${server.url}/`);
    await time.tickAsync(retry.delayMs - 1);
    await time.runMicrotasks();
    assertEquals(server.requests.length, index + 1);
    await time.tickAsync(1);
    await eventually(
      () => server.requests.length === index + 2,
      "the next attempt",
    );
  }
  stop.abort();
  await end;
});

Deno.test("connections() spreads its waits between minDelay and a ceiling that grows", async () => {
  await using server = serve(() => new Response(null, { status: 503 }));
  const random = Math.random;
  const delays = async (value: number, options: ReconnectOptions) => {
    using time = new FakeTime();
    const stop = new AbortController();
    const { onRetry, next } = retries();
    Math.random = () => value;
    const generator = connections(server.url, {
      ...options,
      signal: stop.signal,
      onRetry,
    });
    const end = assertRejects(() => generator.next());
    const all: number[] = [];
    while (all.length < 5) {
      const { delayMs } = await next();
      all.push(delayMs);
      await time.tickAsync(delayMs);
    }
    stop.abort();
    await end;
    return all;
  };
  try {
    const options = { minDelay: 1, maxDelay: 10, multiplier: 3 };
    const seconds = (list: number[]) => list.map((s) => s * 1000);
    assertEquals(await delays(0, options), seconds([1, 1, 1, 1, 1]));
    assertEquals(await delays(0.5, options), seconds([2, 5, 5.5, 5.5, 5.5]));
    assertEquals(await delays(1, options), seconds([3, 9, 10, 10, 10]));
    assertEquals(
      await delays(1, { minDelay: "1m", jitter: "full" }),
      seconds([60, 60, 60, 60, 60]),
    );
    assertEquals(
      await delays(0, { maxDelay: 0.5 }),
      seconds([0.5, 0.5, 0.5, 0.5, 0.5]),
    );
    assertEquals(
      await delays(0.5, { minDelay: 0, multiplier: 1e300 }),
      [0, 0, 0, 0, 0],
    );
  } finally {
    Math.random = random;
  }
});

Deno.test("connections() begins with the shortest wait again after a connection that lived for resetAfter", async () => {
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

Deno.test("connections() waits for as long as Retry-After asks, within limits", async (t) => {
  const cases: [string, ReconnectOptions, number][] = [
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
  for (const [value, options, expected] of cases) {
    await t.step(`${value} ${JSON.stringify(options)}`, async () => {
      await using server = serve(() =>
        new Response(null, { status: 429, headers: { "Retry-After": value } })
      );
      using _ = new FakeTime("2015-10-21T07:28:00Z");
      const stop = new AbortController();
      const { onRetry, next } = retries();
      const generator = connections(server.url, {
        jitter: "none",
        ...options,
        onRetry,
        signal: stop.signal,
      });
      const end = assertRejects(() => generator.next());
      assertEquals((await next()).delayMs, expected);
      stop.abort();
      await end;
    });
  }
});

Deno.test("connections() leaves an endpoint that does not exist for good", async (t) => {
  for (const status of [404, 501]) {
    await t.step(`${status}`, async () => {
      await using server = serve((request) =>
        new URL(request.url).pathname === "/new"
          ? new Response(null, { status })
          : accept(request, () => {})
      );
      const urls = [`${server.url}/new`, new URL(`${server.url}/old`)];
      const { onRetry, all } = retries();
      let count = 0;
      for await (
        const [connection] of connections(urls, {
          ...QUICK,
          onRetry,
          retryIf: () => false,
        })
      ) {
        assertEquals(connection.url, `${server.url}/old`);
        if (++count === 3) break;
      }
      assertEquals(all.length, 2); // none for the move
      const asked = server.requests.map(({ url }) => new URL(url).pathname);
      // The socket and the pre-flight that finds the reason, and never again.
      assertEquals(asked, ["/new", "/new", "/old", "/old", "/old"]);
    });
  }
});

Deno.test("connections() throws when no endpoint exists", async () => {
  await using server = serve(() => new Response(null, { status: 404 }));
  const error = await assertRejects(
    () => first(connections([`${server.url}/a`, `${server.url}/b`])),
    HandshakeError,
    "HTTP error: 404",
  );
  assertEquals(error.url, `${server.url}/b`);
  assertEquals(server.requests.length, 2);
});

Deno.test("connections() tries the next URL when nothing answers at one, and the first again later", async () => {
  const port = quietPort();
  const preferred = `ws://127.0.0.1:${port}/`;
  await using server = serve((request) => accept(request, () => {}));
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

Deno.test("connections() tries the next URL when one does not answer in time", async () => {
  await using mute = rawServer((peer) => peer.readHead().then(() => {}));
  await using server = serve((request) => accept(request, () => {}));
  const { onRetry, all } = retries();
  const [connection] = await first(connections([mute.url, server.url], {
    handshakeTimeout: "300ms",
    onRetry,
  }));
  assertEquals(connection.url, `${server.url}/`);
  assertEquals(all, []);
});

Deno.test("connections() waits only after the last URL, and stays with one that answers", async () => {
  await using busy = serve(() => new Response(null, { status: 503 }));
  await using other = serve((request) => accept(request, () => {}));
  const nobody = `ws://127.0.0.1:${quietPort()}/`;
  const { onRetry, all } = retries();
  const options = { minDelay: 0, maxDelay: 0, maxAttempts: 3, onRetry };
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

Deno.test("connections() lets retryIf decide, both ways", async (t) => {
  const asked: string[] = [];
  const retryIf = (answer: boolean | undefined) => (error: Error) => {
    asked.push(error.name);
    return answer;
  };

  await t.step("a refusal that is final is asked again", async () => {
    await using server = refusing(["403 X", "404 X"]);
    const options = { minDelay: 0, maxDelay: 0, retryIf: retryIf(true) };
    await first(connections(server.url, options));
    assertEquals(server.connections, 4);
  });

  await t.step("a refusal that may pass is thrown", async () => {
    await using server = refusing(["503 X"]);
    await assertRejects(
      () => first(connections(server.url, { retryIf: retryIf(false) })),
      HandshakeError,
    );
    assertEquals(server.connections, 1);
  });

  await t.step("a close that is final is answered", async () => {
    await using server = feed((peer) => closeWith(peer, 4000));
    const generator = connections(server.url, {
      ...QUICK,
      retryIf: (error) =>
        error instanceof ConnectionClosedError && error.clean &&
        error.code === 4000,
    });
    for (let i = 0; i < 3; i++) {
      const [connection] = (await generator.next()).value!;
      await connection.closed;
    }
    await generator.return();
  });

  await t.step("a close that is not ends it quietly", async () => {
    await using server = feed((peer) => closeWith(peer, 1001));
    const generator = connections(server.url, {
      ...QUICK,
      retryIf: retryIf(false),
    });
    const [connection] = (await generator.next()).value!;
    await connection.closed;
    assertEquals((await generator.next()).done, true);
  });

  await t.step("a loss is thrown", async () => {
    await using server = feed((peer) => peer.end());
    await assertRejects(
      async () => {
        const generator = connections(server.url, {
          ...QUICK,
          retryIf: retryIf(false),
        });
        for await (const [connection] of generator) {
          for await (const _ of connection);
        }
      },
      ConnectionClosedError,
      "lost",
    );
  });

  await t.step("undefined leaves it as it is", async () => {
    await using server = refusing(["503 X", "404 X"]);
    const options = { minDelay: 0, maxDelay: 0, retryIf: retryIf(undefined) };
    await assertRejects(
      () => first(connections(server.url, options)),
      HandshakeError,
      "404",
    );
  });

  assertEquals(asked, [
    "HandshakeError",
    "HandshakeError",
    "HandshakeError",
    "ConnectionClosedError",
    "ConnectionClosedError",
    "HandshakeError",
    "HandshakeError",
  ]);
});

Deno.test("connections() calls onConnect before the loop sees a connection", async () => {
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

Deno.test("connections() gives a connection that ended during onConnect, with what it received", async () => {
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

Deno.test("connections() throws what a callback throws, and closes the connection", async () => {
  await using server = serve((request) => accept(request, () => {}));
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
    await using busy = refusing(["503 X"]);
    const thrown = await assertRejects(() =>
      first(connections(busy.url, { ...callbacks }))
    );
    assertStrictEquals(thrown, own);
  }
});

Deno.test("connections() shows no credentials", async () => {
  await using server = refusing(["503 X"]);
  const { onRetry, all } = retries();
  const url = server.url.replace("//", "//user:secret@") + "/?token=1";
  const options = { minDelay: 0, maxDelay: 0, onRetry };
  const [connection] = await first(connections(url, options));
  assertEquals(all[0]!.url, `${server.url}/?token=1`);
  assertEquals(connection.url, `${server.url}/?token=1`);
  for (const head of server.heads) {
    assertStringIncludes(head.toLowerCase(), "authorization: basic ");
  }
});

Deno.test("connections() sends headers that can be read only once with every handshake", async () => {
  await using server = refusing(["503 X"]);
  const headers = new Map([["x-token", "1"]]).entries();
  await first(connections([server.url, server.url], {
    headers: headers as unknown as HeadersInit,
    minDelay: 0,
    maxDelay: 0,
  }));
  assertEquals(server.heads.length, 3);
  for (const head of server.heads) assertStringIncludes(head, "x-token: 1");
});

Deno.test("connections() survives a hundred restarts of its server, and delivers what each connection received once and in order", async () => {
  const RESTARTS = 100;
  const port = quietPort();
  const bounds = { minDelay: "2ms", maxDelay: "20ms" };
  const servers = [0, 1, 2, 3].map((name) => spawnFeed(port, name));
  const killed: Promise<void>[] = [];
  let generation = 0; // of the server that is up
  let toDrain = 0; // messages that came out after their server's end
  const ids = new Set<string>();
  let waited: { from: number; delay: number } | undefined;
  const generator = connections(`ws://127.0.0.1:${port}/`, {
    ...bounds,
    onRetry({ delayMs: delay }) {
      assertGreaterOrEqual(delay, 2);
      assertLessOrEqual(delay, 20);
      waited = { from: performance.now(), delay };
    },
    onConnect() {
      if (waited === undefined) return;
      // A timer counts whole milliseconds.
      assertGreaterOrEqual(
        performance.now() - waited.from,
        Math.floor(waited.delay) - 1,
      );
    },
  });
  await servers[0]!.start();
  try {
    for await (const [connection] of generator) {
      const killAt = 1 + Math.floor(Math.random() * 60);
      let expected = 0;
      let id: string | undefined;
      let dead = false;
      for await (const message of connection) {
        const end = message.lastIndexOf(".");
        id ??= message.slice(0, end);
        assertEquals(message, `${id}.${expected++}`);
        if (dead) toDrain++;
        if (expected === killAt) {
          assertEquals(id.split(".")[0], String(generation));
          killed.push(servers[generation]!.kill());
          dead = true;
          generation++;
          if (generation > RESTARTS) break;
          await servers[generation]!.start();
          if (servers.length <= RESTARTS) {
            servers.push(spawnFeed(port, servers.length));
          }
        }
        if (expected % 8 === 0) await delay(1); // so that some wait in the buffer
      }
      if (id !== undefined) {
        assert(!ids.has(id), `${id} came twice`);
        ids.add(id);
      }
      if (generation > RESTARTS) break;
    }
  } finally {
    await Promise.all(killed);
    await Promise.all(servers.slice(generation).map((server) => server.kill()));
  }
  assertEquals(ids.size, RESTARTS + 1);
  assertGreater(toDrain, 0);
});
