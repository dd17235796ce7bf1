/** Functions for the URL, the headers and the subprotocols of `connections()`. */

import {
  assertEquals,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  type Attempt,
  ConnectionClosedError,
  connections,
  HandshakeError,
  type ReconnectOptions,
  type UrlSource,
} from "@wstap/wstap";
import { answerClose, each, test, upgrade } from "./fixtures/captures.ts";
import { spawnServer } from "./fixtures/child.ts";
import { moduleFlags, output, rootUrl, workplace } from "./fixtures/command.ts";
import { type Peer, rawServer } from "./fixtures/raw.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { countingSignal } from "./fixtures/signal.ts";
import { eventually, quietPort, within } from "./fixtures/wait.ts";

/** Delays that take no time. */
const SOON = { minDelay: 0, maxDelay: 0 } as const;

/** One handshake a connection besides. */
const QUICK = { ...SOON, capture: "direct" } as const;

/** Does not settle, whatever happens. */
const never = (): Promise<never> => new Promise(() => {});

const nobody = () => `ws://127.0.0.1:${quietPort()}/`;

/** Follows a feed to its end. */
async function drain(
  url: UrlSource | UrlSource[],
  options: ReconnectOptions = {},
): Promise<string[]> {
  const urls: string[] = [];
  for await (const [connection] of connections(url, options)) {
    urls.push(connection.url);
    for await (const _ of connection);
  }
  return urls;
}

/** Keeps what a function was asked, and what it answered. */
function recorder<T>(answer: (attempt: Attempt) => T | Promise<T>) {
  const attempts: Attempt[] = [];
  const answers: (T | Promise<T>)[] = [];
  return {
    attempts,
    answers,
    ask: (attempt: Attempt) => {
      attempts.push(attempt);
      const result = answer(attempt);
      answers.push(result);
      return result;
    },
  };
}

each.test("functions are called before each attempt, and what they return is sent", async (capture) => {
  let count = 0;
  const perConnection = capture === "preflight" ? 2 : 1;
  await using server = serve((request) =>
    accept(request, (socket) => {
      if (++count % perConnection !== 0) return; // the pre-flight's
      socket.close(count < 3 * perConnection ? 1000 : 4000);
    }, { protocol: request.headers.get("sec-websocket-protocol")! })
  );
  const urls = await drain(
    ({ number }) => new URL(`${server.url}/${number}?token=${number}`),
    {
      ...SOON,
      capture,
      headers: ({ number }) => Promise.resolve({ "x-ticket": `t${number}` }),
      protocols: ({ number }) => [`p${number}`],
    },
  );
  assertEquals(urls, [1, 2, 3].map((n) => `${server.url}/${n}?token=${n}`));
  const seen = server.requests.map(({ url, headers }) =>
    [
      new URL(url).search,
      headers.get("x-ticket"),
      headers.get("sec-websocket-protocol"),
    ].join(" ")
  );
  assertEquals(
    seen,
    [1, 2, 3].flatMap((n) =>
      Array(perConnection).fill(`?token=${n} t${n} p${n}`)
    ),
  );
});

test("a function is told what ended the last attempt or connection, and when the last message came", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    if (peer.index === 0) return await peer.respond("503 X");
    await peer.upgrade();
    if (peer.index === 1) await peer.send("one");
    if (peer.index === 3) {
      await peer.closeFrame(4000);
      await peer.waitForEnd();
    }
    peer.end();
  });
  const { attempts, ask } = recorder(() => `${server.url}/?secret=1`);
  const before = Date.now();
  await drain(ask, QUICK);
  const after = Date.now();
  assertEquals(attempts.map(({ number }) => number), [1, 2, 3, 4]);
  const [first, second, third, fourth] = attempts.map(({ last }) => last);
  assertEquals(first, null);
  assertInstanceOf(second!.error, HandshakeError);
  assertEquals(second!.url, `${server.url}/?secret=1`);
  assertEquals(second!.lastMessageAt, null);
  assertInstanceOf(third!.error, ConnectionClosedError);
  assertEquals(third!.error.code, 1006);
  assertGreaterOrEqual(third!.lastMessageAt!, before);
  assertGreaterOrEqual(after, third!.lastMessageAt!);
  // The connection in between had no message, so that of the one before counts.
  assertEquals(fourth!.lastMessageAt, third!.lastMessageAt);
});

each.test("lastMessageAt is the time of the last message, not of the end", async (capture) => {
  let peers = 0;
  const times: number[] = [];
  await using server = rawServer(async (peer) => {
    await upgrade(peer);
    if (capture === "preflight" && peers++ % 2 === 0) {
      await peer.waitForEnd();
      return peer.end();
    }
    await peer.send("one");
    await peer.send("two");
    await new Promise((resolve) => setTimeout(resolve, 1000));
    times.push(Date.now());
    peer.end();
  });
  const { attempts, ask } = recorder(() => server.url);
  for await (const [connection] of connections(ask, { ...SOON, capture })) {
    for await (const _ of connection);
    if (times.length === 2) break;
  }
  assertLess(attempts[1]!.last!.lastMessageAt!, times[0]! - 100);
});

test("the URLs are asked for one by one, as they are tried, and the headers once in a round", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => socket.close(4000))
  );
  const first = recorder(nobody);
  const second = recorder(nobody);
  const third = recorder(({ number }) => number === 1 ? nobody() : server.url);
  const last = recorder(nobody);
  const headers = recorder(() => ({ "x-ticket": "1" }));
  const protocols = recorder(() => []);
  const urls = [first.ask, second.ask, third.ask, last.ask];
  await drain(urls, {
    ...QUICK,
    headers: headers.ask,
    protocols: protocols.ask,
  });
  assertEquals(
    [first, second, third, last, headers, protocols].map(({ attempts }) =>
      attempts.map(({ number }) => number)
    ),
    [[1, 2], [1, 2], [1, 2], [1], [1, 2], [1, 2]],
  );
  assertEquals(server.requests[0]!.headers.get("x-ticket"), "1");
  // What came last is the URL before, or the round before.
  const lasts = (index: number) =>
    [first, second, third].map(({ attempts }) => attempts[index]!.last?.url);
  const tried = (index: number) =>
    [first, second, last].map(({ answers }) => answers[index]);
  assertEquals(lasts(0), [undefined, ...tried(0).slice(0, 2)]);
  assertEquals(lasts(1), [tried(0)[2], ...tried(1).slice(0, 2)]);
});

test("an endpoint that a function names is asked for again, whatever it answered", async () => {
  let refusals = 3;
  const asked: string[] = [];
  await using server = serve((request) => {
    const { pathname } = new URL(request.url);
    asked.push(pathname);
    if (pathname === "/new" && refusals-- > 0) {
      return new Response(null, { status: 404 });
    }
    return accept(request, (socket) => {
      socket.close(pathname === "/new" ? 4000 : 1000);
    });
  });
  const urls = [() => `${server.url}/new`, `${server.url}/old`];
  assertEquals(
    (await drain(urls, QUICK)).map((it) => new URL(it).pathname),
    ["/old", "/old", "/old", "/new"],
  );
  assertEquals(
    asked,
    [..."123"].flatMap(() => ["/new", "/old"]).concat("/new"),
  );
});

test("no endpoint is given up while none of them exists", async () => {
  let refusals = 4;
  const asked: string[] = [];
  await using server = serve((request) => {
    asked.push(new URL(request.url).pathname);
    return refusals-- > 0
      ? new Response(null, { status: 404 })
      : accept(request, (socket) => socket.close(4000));
  });
  const urls = [`${server.url}/new`, `${server.url}/old`];
  await drain(urls, {
    ...QUICK,
    retryIf: (error) => error instanceof HandshakeError || undefined,
  });
  assertEquals(asked, ["/new", "/old", "/new", "/old", "/new"]);
});

test("a ticket that is good once is fetched for each attempt (npm ws, in another process)", async () => {
  await using server = await spawnServer("ws", ["--single-use-token"]);
  for (const capture of ["direct", "none"] as const) {
    const seen: string[] = [];
    const url = ({ number }: Attempt) =>
      `${server.url}/terminate?ticket=${capture}${number}`;
    for await (const [connection] of connections(url, { ...SOON, capture })) {
      for await (const message of connection) seen.push(message);
      if (seen.length === 3) break;
    }
    assertEquals(seen, ["last", "last", "last"]);
    const spent = `${server.url}/terminate?ticket=${capture}1`;
    await assertRejects(
      () => drain(spent, { ...SOON, capture }),
      HandshakeError,
      "401 Unauthorized",
    );
  }
});

// --- Errors ---

const FAILURES: [
  name: string,
  value: (fail: () => never) => {
    url?: UrlSource;
    options?: ReconnectOptions;
  },
][] = [
  ["URL", (url) => ({ url })],
  ["headers", (headers) => ({ options: { headers } })],
  ["protocols", (protocols) => ({ options: { protocols } })],
];

for (const [name, given] of FAILURES) {
  test(`what the function for the ${name} throws ends the loop, whatever it is`, async () => {
    for (
      const own of [
        new Error("its own"),
        new DOMException("its own", "TimeoutError"),
        new HandshakeError("its own", { url: "ws://127.0.0.1/" }),
      ]
    ) {
      let calls = 0;
      const { url = nobody(), options } = given(() => {
        calls++;
        throw own;
      });
      const retryIf = () => true;
      const thrown = await assertRejects(() =>
        drain([url, nobody()], { ...SOON, ...options, retryIf })
      );
      assertStrictEquals(thrown, own);
      assertEquals(calls, 1);
    }
  });

  test(`a function for the ${name} that never settles holds up neither the timeout, nor the signal, nor return()`, async () => {
    const { url = nobody(), options } = given(never as unknown as () => never);
    const late = { ...SOON, handshakeTimeout: "50ms", ...options } as const;
    const error = await assertRejects(
      () => within(drain(url, { ...late, maxAttempts: 2 }), 60_000, "the end"),
      DOMException,
      "No connection within 50 ms",
    );
    assertEquals(error.name, "TimeoutError");

    const stop = new AbortController();
    const reason = new Error("enough");
    const running = drain(url, { ...options, signal: stop.signal });
    setTimeout(() => stop.abort(reason), 10);
    const thrown = await assertRejects(() =>
      within(running, 60_000, "the end")
    );
    assertStrictEquals(thrown, reason);

    const generator = connections(url, options);
    const pending = generator.next();
    await within(generator.return(), 60_000, "return()");
    assertEquals(await pending, { done: true, value: undefined });
  });

  test(`a function for the ${name} that throws because the timeout aborted it has failed an attempt`, async () => {
    const { attempts, ask } = recorder(({ signal }) =>
      new Promise<never>((_, reject) =>
        signal.addEventListener("abort", () => reject(new Error("its own")))
      )
    );
    const { url = nobody(), options } = given(ask as unknown as () => never);
    await assertRejects(
      () =>
        drain(url, {
          ...SOON,
          handshakeTimeout: "20ms",
          maxAttempts: 3,
          ...options,
        }),
      DOMException,
      "No connection within 20 ms",
    );
    assertEquals(attempts.map(({ number }) => number), [1, 2, 3]);
    assertEquals(attempts[1]!.last!.error.name, "TimeoutError");
    assertEquals(attempts[1]!.last!.url, name === "URL" ? "" : url);
  });
}

test("neither the timeout nor the signal is collected as garbage while a function does not settle", async () => {
  const code = `
    import { connections } from ${
    JSON.stringify(new URL("mod.ts", rootUrl).href)
  };
    const url = "ws://127.0.0.1:1/";
    const never = () => new Promise(() => {});
    const enough = new AbortController();
    const loops = [
      connections(never, { handshakeTimeout: "200ms", maxAttempts: 1 }),
      connections(never, { signal: enough.signal }),
      connections(url, {
        signal: enough.signal,
        retryIf: () => true,
        onRetry: never,
      }),
    ];
    const ends = loops.map((loop) => loop.next().catch(String));
    for (let i = 0; i < 10; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      globalThis.gc();
    }
    enough.abort("enough");
    console.log(JSON.stringify(await Promise.all(ends)));
  `;
  await using place = await workplace({ "main.ts": code });
  const { stdout, stderr } = await output(Deno.execPath(), [
    ...["run", "--quiet", "--v8-flags=--expose-gc", "--allow-net=127.0.0.1"],
    ...[...moduleFlags(), `${place.folder}/main.ts`],
  ]);
  const timeout = "TimeoutError: No connection within 200 ms";
  assertEquals([stdout, stderr], [
    JSON.stringify([timeout, "enough", "enough"]) + "\n",
    "",
  ]);
});

test("the time of a function counts into handshakeTimeout", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.waitForEnd();
    peer.end();
  });
  const start = performance.now();
  await assertRejects(
    () =>
      drain(async () => {
        await new Promise((resolve) => setTimeout(resolve, 2000));
        return server.url;
      }, { capture: "direct", handshakeTimeout: 3, maxAttempts: 1 }),
    DOMException,
    "No connection within 3000 ms",
  );
  assertEquals(server.connections, 1);
  assertLess(performance.now() - start, 4900); // not the sum of both
});

const INVALID: [
  type: ErrorConstructor,
  message: string,
  url: unknown,
  options?: unknown,
][] = [
  [TypeError, `got "http:"`, () => "http://127.0.0.1/"],
  [TypeError, "has a fragment", () => new URL("ws://127.0.0.1/#x")],
  [TypeError, "got null", () => null],
  [TypeError, "got undefined", async () => {}],
  [TypeError, "Host", nobody, { headers: () => ({ Host: "x" }) }],
  [TypeError, "got number", nobody, { headers: () => 1 }],
  [TypeError, "more than once", nobody, { protocols: () => ["a", "a"] }],
  [TypeError, "expected a token", nobody, { protocols: () => "a b" }],
];

test("what a function returns is checked as an argument is", async () => {
  // As an argument that is not given.
  const nothing = (() => {}) as () => never;
  await assertRejects(
    () =>
      drain(nobody(), { headers: nothing, protocols: nothing, maxAttempts: 1 }),
    HandshakeError,
  );
  for (const [type, message, url, options] of INVALID) {
    const given = { retryIf: () => true, ...options as object };
    await assertRejects(
      () => within(drain(url as UrlSource, given), 60_000, "the end"),
      type,
      message,
    );
  }
});

// --- The signal of an attempt ---

test("the signal of an attempt aborts with the loop, and not at the timeout of an attempt that succeeded", async () => {
  await using server = rawServer(async (peer: Peer) => {
    await upgrade(peer);
    await answerClose(peer);
    peer.end();
  });
  const { attempts, ask } = recorder(() => server.url);
  const generator = connections(ask, { ...QUICK, handshakeTimeout: "1s" });
  await generator.next();
  await new Promise((resolve) => setTimeout(resolve, 1200));
  const [attempt] = attempts;
  assertEquals(attempt!.signal.aborted, false);
  await generator.return();
  assertEquals(attempt!.signal.aborted, true);

  const stop = new AbortController();
  const reason = new Error("enough");
  const other = recorder(() => {
    stop.abort(reason);
    return server.url;
  });
  await assertRejects(() => drain(other.ask, { signal: stop.signal }));
  assertStrictEquals(other.attempts[0]!.signal.reason, reason);
  await eventually(() => server.peers.length === 1, "no other connection");
});

test("the signal of an attempt aborts with the loop, and the loop leaves no listener on its own", async () => {
  await using server = rawServer(upgrade);
  const counting = countingSignal();
  const { attempts, ask } = recorder(() => server.url);
  for await (
    const [connection] of connections(ask, {
      ...QUICK,
      signal: counting.signal,
    })
  ) {
    assertEquals(attempts[0]!.signal.aborted, false);
    server.peers.at(-1)!.end();
    await connection.closed;
    if (attempts.length === 2) break;
  }
  assertEquals(attempts[1]!.signal.aborted, true);
  assertEquals(counting.listeners, 0);
});
