/**
 * Connecting, with each capture. The rules of a valid upgrade are in
 * handshake_test.ts, and over the network in hostile/handshakes.ts; what must stay
 * secret is in security_test.ts.
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  connections,
  type ConnectOptions,
  connectWebSocket,
  HandshakeError,
  type HandshakeRequest,
} from "@wstap/wstap";
import { parseOptions } from "../src/options.ts";
import {
  answerClose,
  CAPTURES,
  each,
  greet,
  native,
  test,
  upgrade,
} from "./fixtures/captures.ts";
import { certificates } from "./fixtures/certs.ts";
import { proxyTo } from "./fixtures/proxy.ts";
import {
  type Peer,
  type RawServer,
  rawServer,
  type RawServerOptions,
} from "./fixtures/raw.ts";
import { RESOLVING } from "./fixtures/resolving.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { quietPort, within } from "./fixtures/wait.ts";

/** Reads the request and answers it with one of these, as its path says. */
function answers(
  paths: Record<string, (peer: Peer) => Promise<void>>,
  options?: RawServerOptions,
): RawServer {
  return rawServer(async (peer) => {
    await peer.readHead();
    const { pathname } = new URL(peer.target, "http://localhost");
    await paths[pathname]!(peer);
  }, options);
}

/** Leads elsewhere. */
const leads = (location: string, status = "302 Found") => (peer: Peer) =>
  peer.respond(status, "moved", { Location: location });

/** Accepts the upgrade, for `answers()`. */
async function accepts(peer: Peer): Promise<void> {
  await peer.upgrade();
  await answerClose(peer).catch(() => {}); // a pre-flight sends none
  peer.end();
}

/** Reads the request, and accepts the upgrade. */
async function readsAndAccepts(peer: Peer): Promise<void> {
  await peer.readHead();
  await accepts(peer);
}

/** Connects to what refuses, and gives the error. */
async function refused(
  url: string | URL,
  options: ConnectOptions,
): Promise<HandshakeError> {
  const error = await within(
    assertRejects(() => connectWebSocket(url, options), HandshakeError),
    60_000,
    "the refusal",
  );
  // What the native socket says of every failure over TLS.
  const shown = Deno.inspect(error, { depth: 10 });
  assertEquals(shown.includes("HTTP/2"), false, shown);
  return error;
}

// --- The handshake ---

each.test("connectWebSocket() gives the response and the messages", async (capture) => {
  const protocols = ["feed.v2", "feed.v1"];
  await using server = serve((request) =>
    accept(request, (socket) => {
      for (let seq = 0; seq < 3; seq++) socket.send(JSON.stringify({ seq }));
      socket.close(1000);
    }, { protocol: "feed.v1", headers: { "X-Session": "one" } })
  );
  const url = new URL(`${server.url}/feed?x=y`);
  const [connection, response] = await connectWebSocket(url, {
    capture,
    protocols,
  });

  assertEquals(response.status, 101);
  assertEquals(response.statusText, "Switching Protocols");
  assertEquals(response.isInformational, true);
  assertEquals(response.url, url.href);
  assertEquals(await response.text(), "");
  assertEquals(await response.bytes(), new Uint8Array());
  assertEquals(response.source, capture === "none" ? "socket" : capture);
  assertEquals(
    ["upgrade", "x-session", "sec-websocket-protocol"]
      .map((name) => response.headers.get(name)),
    capture === "none"
      ? [null, null, "feed.v1"]
      : ["websocket", "one", "feed.v1"],
  );
  for (const change of ["set", "append", "delete"] as const) {
    const { headers } = response;
    assertThrows(() => headers[change]("x-session", "two"), TypeError);
  }

  assertEquals(connection.url, url.href);
  assertEquals([connection.protocol, connection.extensions], ["feed.v1", ""]);
  for (const { headers } of server.requests) {
    assertEquals(headers.get("sec-websocket-protocol"), "feed.v2, feed.v1");
  }
  const received = [];
  for (let data; (data = await connection.recv()) !== null;) {
    received.push(JSON.parse(data as string));
  }
  assertEquals(received, [{ seq: 0 }, { seq: 1 }, { seq: 2 }]);
  await connection.closed;
});

test("connectWebSocket() makes a pre-flight by default", async () => {
  await using server = rawServer(greet);
  const [connection, response] = await connectWebSocket(server.url);
  assertEquals(response.source, "preflight");
  assertEquals(server.connections, 2);
  assertEquals(connection.protocol, "");
  await connection.close();
});

Deno.test("the options have their defaults", () => {
  const { limit, ...settings } = parseOptions({});
  assertEquals(limit, { messages: 1_048_576, bytes: 64 * 1024 * 1024 });
  assertEquals(settings, {
    capture: "preflight",
    redirect: "error",
    binary: "text",
    overflow: "error",
    handshakeTimeout: 30_000,
    closeTimeout: 5_000,
    idleTimeout: undefined,
    messageTimeout: undefined,
    heartbeat: undefined,
    compression: false,
    pingInterval: undefined,
    pingTimeout: 20_000,
    decode: true,
    maxMessage: 64 * 1024 * 1024,
    signal: undefined,
    http: {},
    onRequest: undefined,
  });
});

each.test("every request has the headers, the credentials and what onRequest is told", async (capture) => {
  const told: HandshakeRequest[] = [];
  await using server = rawServer(greet);
  const url = new URL(`${server.url}/x?token=y`);
  url.username = "user";
  url.password = "pässword";
  const [connection, response] = await connectWebSocket(url, {
    capture,
    protocols: "p",
    headers: [["X-One", "1"], ["Cookie", "a=b"], ["X-One", "2"], [
      "User-Agent",
      "probe/1",
    ]],
    onRequest: (request) => {
      assert(server.heads.length <= told.length); // it has not been sent
      told.push(request);
    },
  });
  assertEquals(connection.url, `${server.url}/x?token=y`);
  assertEquals(response.url, `${server.url}/x?token=y`);
  await connection.close();
  const socket = capture === "preflight" ? ["socket"] : [];
  const first = capture === "none" ? "socket" : capture;
  assertEquals(told.map(({ source }) => source), [first, ...socket]);
  assertEquals(server.connections, told.length);
  const bytes = new TextEncoder().encode("user:pässword");
  for (const [index, { url, source, headers }] of told.entries()) {
    const peer = server.peers[index]!;
    assertEquals(url, `${server.url}/x?token=y`);
    assertEquals([peer.method, peer.target], ["GET", "/x?token=y"]);
    assertEquals(peer.header("host"), `127.0.0.1:${server.port}`);
    assertEquals(peer.header("x-one")?.replaceAll(" ", ""), "1,2");
    assertEquals(peer.header("cookie"), "a=b");
    const basic = `Basic ${btoa(String.fromCharCode(...bytes))}`;
    assertEquals(peer.header("authorization"), basic);
    assertEquals(peer.header("sec-websocket-version"), "13");
    assertEquals(atob(peer.key).length, 16);
    // The native socket sends its own besides.
    const agent = source === "socket"
      ? `${navigator.userAgent}, probe/1`
      : "probe/1";
    assertEquals(peer.header("user-agent"), agent);
    const sent = new Headers(peer.headers);
    if (source === "socket") sent.delete("sec-websocket-key");
    assertEquals([...headers], [...sent]);
  }
});

each.test("what onRequest throws, or rejects with, ends the handshake", async (capture) => {
  await using server = rawServer(upgrade);
  const failing: NonNullable<ConnectOptions["onRequest"]>[] = [
    () => {
      throw new Error("not this one");
    },
    () => Promise.reject(new Error("not this one")),
  ];
  for (const onRequest of failing) {
    const connecting = connectWebSocket(server.url, { capture, onRequest });
    await assertRejects(() => connecting, Error, "not this one");
  }
  assertEquals(server.heads, []);
});

each.test("no request is sent before onRequest has resolved, nor once the time is over", async (capture) => {
  await using server = rawServer(upgrade);
  const heads: number[] = [];
  const [connection] = await connectWebSocket(server.url, {
    capture,
    onRequest: async () => {
      await new Promise((resolve) => setTimeout(resolve, 10));
      heads.push(server.heads.length);
    },
  });
  assertEquals(heads, capture === "preflight" ? [0, 1] : [0]);
  server.peers.at(-1)!.end();
  await connection.closed;
  const before = server.heads.length;
  const error = await assertRejects(
    () =>
      connectWebSocket(server.url, {
        capture,
        handshakeTimeout: "50ms",
        onRequest: () => new Promise(() => {}),
      }),
    DOMException,
  );
  assertEquals(error.name, "TimeoutError");
  assertEquals(server.heads.length, before);
});

Deno.test("binary and decode decide what the compiler knows of the messages", () => {
  // Never run: it is the compiler that tests it.
  const _ = async (options: ConnectOptions) => {
    const url = "ws://a.invalid/";
    const [byDefault] = await connectWebSocket(url);
    (await byDefault.recv()) satisfies string | null;
    (await byDefault.recvBatch(1)) satisfies string[];
    const [text] = await connectWebSocket(url, { binary: "text" });
    (await text.recv()) satisfies string | null;
    const [bytes] = await connectWebSocket(url, { binary: "bytes" });
    (await bytes.recv()) satisfies string | Uint8Array | null;
    // @ts-expect-error -- a message may be binary
    (await bytes.recv()) satisfies string | null;
    for await (const [it] of connections(url, { binary: "bytes" })) {
      // @ts-expect-error -- a message may be binary
      (await it.recv()) satisfies string | null;
    }
    for await (const [it] of connections(url)) {
      (await it.recv()) satisfies string | null;
    }
    const [either] = await connectWebSocket(url, options);
    (await either.recv()) satisfies string | Uint8Array | null;
    // @ts-expect-error -- a message may be binary
    (await either.recv()) satisfies string | null;
    const direct = { capture: "direct", decode: false } as const;
    const [raw] = await connectWebSocket(url, direct);
    (await raw.recv()) satisfies Uint8Array | null;
    for await (
      const [it] of connections(() => url, {
        ...direct,
        onConnect: async (it) => {
          (await it.recv()) satisfies Uint8Array | null;
        },
      })
    ) {
      (await it.recv()) satisfies Uint8Array | null;
    }
    const [decoded] = await connectWebSocket(url, { decode: true });
    (await decoded.recv()) satisfies string | null;
    for await (const [it] of connections(url, options)) {
      (await it.recv()) satisfies string | Uint8Array | null;
      // @ts-expect-error -- a message may be binary
      (await it.recv()) satisfies string | null;
    }
  };
});

// --- Bad arguments ---

type BadOption = [
  options: Record<string, unknown> | null,
  error: new () => Error,
  message: string,
];

const BAD_OPTIONS: BadOption[] = [
  [null, TypeError, "Invalid options: expected an object, got null"],
  [{ capture: "magic" }, TypeError, `Invalid capture: expected "preflight"`],
  [{ redirect: "manual" }, TypeError, "Invalid redirect"],
  [{ binary: "blob" }, TypeError, "Invalid binary"],
  [{ overflow: "ignore" }, TypeError, "Invalid overflow"],
  [{ handshakeTimeout: "10" }, TypeError, `Cannot parse duration "10"`],
  [{ handshakeTimeout: -1 }, RangeError, "it is negative"],
  [{ handshakeTimeout: 0 }, RangeError, "Invalid handshakeTimeout"],
  [{ closeTimeout: "soon" }, TypeError, `Cannot parse duration "soon"`],
  [{ closeTimeout: NaN }, RangeError, "it is not finite"],
  [{ idleTimeout: "" }, TypeError, "it is empty"],
  [{ idleTimeout: "0s" }, RangeError, "Invalid idleTimeout"],
  [{ idleTimeout: {} }, TypeError, "Invalid duration"],
  [{ compression: true }, TypeError, `it needs capture "direct"`],
  [{ pingInterval: 1 }, TypeError, `it needs capture "direct"`],
  [{ signal: {} }, TypeError, "Invalid signal: expected an AbortSignal"],
  [{ onRequest: 5 }, TypeError, "Invalid onRequest: expected a function"],
  [{ maxBuffer: 5 }, TypeError, "Invalid maxBuffer: expected an object"],
  [{ maxBuffer: null }, TypeError, "Invalid maxBuffer"],
  [{ maxBuffer: { messages: "3" } }, TypeError, "Invalid maxBuffer.messages"],
  [{ maxBuffer: { messages: 0 } }, RangeError, "Invalid maxBuffer.messages"],
  [{ maxBuffer: { bytes: 1.5 } }, RangeError, "Invalid maxBuffer.bytes"],
  [{ protocols: ["a", "a"] }, TypeError, "more than once"],
  [{ headers: { Host: "x" } }, TypeError, `The header "Host" cannot be set`],
  [{ http: 5 }, TypeError, "Invalid http"],
  [{ http: { cert: "x" } }, TypeError, `"cert" and "key" go together`],
  [{ http: { key: "x" } }, TypeError, `"cert" and "key" go together`],
  [{ http: { caCerts: "x" } }, TypeError, "Invalid http.caCerts"],
];

for (const [options, ErrorClass, message] of BAD_OPTIONS) {
  const name = Deno.inspect(options, { breakLength: 100 });
  test(`connectWebSocket() refuses the options ${name} before it asks anyone`, async () => {
    await using server = rawServer(upgrade);
    await assertRejects(
      () => connectWebSocket(server.url, options as ConnectOptions),
      ErrorClass,
      message,
    );
    assertEquals(server.connections, 0);
  });
}

test("connectWebSocket() rejects for a URL that it cannot use", async () => {
  await assertRejects(
    () => connectWebSocket("http://127.0.0.1/"),
    TypeError,
    `got "http:"`,
  );
});

each.test("connectWebSocket() refuses certificates, keys and proxies that are none, and connections() never tries them", async (capture) => {
  const { ca } = await certificates();
  const none = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
  await using server = rawServer(upgrade);
  const url = server.url.replace("ws:", "wss:");
  for (
    const http of [
      { caCerts: [none] },
      { caCerts: [ca], cert: "no cert", key: "no key" },
      { caCerts: [ca], cert: ca, key: "no key" },
      { proxy: { url: "nonsense" } },
    ]
  ) {
    await assertRejects(
      () => connectWebSocket(url, { capture, http }),
      TypeError,
      "http.",
    );
    assertThrows(() => connections(url, { capture, http }), TypeError, "http.");
  }
  assertEquals(server.connections, 0);
});

// --- Refusals ---

interface Refusal {
  status: string;
  headers?: Record<string, string>;
  body?: string;
  /** The standard phrase, where the server writes another. */
  message?: string;
}

const REFUSALS: Refusal[] = [
  {
    status: "404 Nope",
    headers: { "Content-Type": "text/plain; charset=iso-8859-1", "X-One": "1" },
    body: "no such feed\n",
    message: "404 Not Found",
  },
  { status: "429 Too Many Requests", headers: { "Retry-After": "120" } },
  { status: "200 OK", body: "<html>" },
  { status: "302 Found", headers: { "Location": "/elsewhere" }, body: "moved" },
  { status: "599 Whatever", message: "599" },
];

each.test("any other answer is a HandshakeError with its status, headers and body", async (capture) => {
  for (const { status, headers = {}, body = "", message } of REFUSALS) {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.respond(status, body, headers);
    });
    const error = await refused(`${server.url}/feed?token=x`, { capture });
    const said = message ?? status;
    assertEquals(
      error.message,
      `Cannot connect to ${server.url}/feed: HTTP error: ${said}`,
    );
    assertEquals(error.url, `${server.url}/feed?token=x`);
    assertEquals("cause" in error, false);
    const { response } = error;
    assert(response !== undefined);
    assertEquals(`${response.status} ${response.statusText}`.trimEnd(), said);
    for (let i = 0; i < 2; i++) assertEquals(await response.text(), body);
    assertEquals(response.contentLength, body.length);
    const source = capture === "direct" ? "direct" : "preflight";
    assertEquals(response.source, source);
    for (const [name, value] of Object.entries(headers)) {
      assertEquals(response.headers.get(name), value);
    }
  }
});

each.test("a refusal whose body never ends: what came by handshakeTimeout, or the signal's reason", async (capture) => {
  const reached = Promise.withResolvers<void>();
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.write("HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n");
    await peer.write("the start");
    reached.resolve();
  });
  const handshakeTimeout = "1500ms";
  const error = await refused(server.url, { capture, handshakeTimeout });
  assertStringIncludes(error.message, "HTTP error: 404 Not Found");
  assertEquals(await error.response?.text(), "the start");

  const controller = new AbortController();
  const { signal } = controller;
  const connecting = connectWebSocket(server.url, { capture, signal });
  await reached.promise;
  const reason = new Error("enough");
  controller.abort(reason);
  assertStrictEquals(await assertRejects(() => connecting), reason);
});

each.test("the body of a refusal is decompressed", async (capture) => {
  const text = "no such feed\n".repeat(1000);
  const stream = new Blob([text]).stream()
    .pipeThrough(new CompressionStream("gzip"));
  const gzip = await new Response(stream).bytes();
  for (const body of [gzip, gzip.slice(0, -20)]) {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.write(
        "HTTP/1.1 404 Not Found\r\nContent-Encoding: gzip\r\n" +
          `Content-Length: ${body.length}\r\n\r\n`,
      );
      await peer.write(body);
      await peer.waitForEnd();
    });
    const { response } = await refused(server.url, { capture });
    const got = await response!.text();
    if (body === gzip) assertEquals(got, text);
    else assert(text.startsWith(got), got);
  }
});

// --- No answer ---

each.test("a server that never answers, or half a head: TimeoutError after handshakeTimeout", async (capture) => {
  for (const half of ["", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: web"]) {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.write(half);
    });
    const error = await assertRejects(
      () => connectWebSocket(server.url, { capture, handshakeTimeout: 0.1 }),
      DOMException,
    );
    assertEquals(error.name, "TimeoutError");
    await within(server.peers[0]!.waitForEnd(), 60_000, "the client's end");
  }
});

each.test("signal that aborts before or during the handshake: its reason, and the server is let go", async (capture) => {
  const reached = Promise.withResolvers<void>();
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    reached.resolve();
  });
  const reason = new Error("enough");
  const aborted = AbortSignal.abort(reason);
  assertStrictEquals(
    await assertRejects(() =>
      connectWebSocket(server.url, { capture, signal: aborted })
    ),
    reason,
  );
  assertEquals(server.connections, 0);

  const controller = new AbortController();
  const { signal } = controller;
  const connecting = connectWebSocket(server.url, { capture, signal });
  await reached.promise;
  controller.abort(reason);
  assertStrictEquals(await assertRejects(() => connecting), reason);
  await within(server.peers[0]!.waitForEnd(), 60_000, "the client's end");
});

each.test("no answer over HTTP is a HandshakeError whose cause is the network's error", async (capture) => {
  const { ca, server: identity } = await certificates();
  await using gone = answers({ "/": (peer) => Promise.resolve(peer.end()) });
  await using secure = serve(() => new Response(), identity);
  await using plain = serve((request) => accept(request, () => {}));
  const port = quietPort();
  const failures: [url: string, reason: RegExp][] = [
    [`ws://127.0.0.1:${port}/`, /refused/i],
    [`wss://127.0.0.1:${port}/`, /refused/i],
    [`${gone.url}/`, /./],
    [`${secure.url.replace("wss:", "ws:")}/`, /./],
    [`wss://localhost:${new URL(plain.url).port}/`, /./],
  ];
  for (const [url, reason] of failures) {
    const http = { caCerts: [ca] };
    const error = await refused(`${url}?token=x`, { capture, http });
    assert(error.message.startsWith(`Cannot connect to ${url}: `));
    assertMatch(error.message, reason);
    assertEquals(error.response, undefined);
    assertInstanceOf(error.cause, Error);
    assertStringIncludes(error.message, error.cause.message);
  }
});

for (const capture of CAPTURES) {
  Deno.test({
    name: `a name that is not found is a HandshakeError (${capture})`,
    // There Deno.connect() keeps a handle when a name is not found.
    sanitizeResources: !Deno.version.deno.startsWith("2.5."),
    ...RESOLVING,
    fn: async () => {
      for (const scheme of ["ws:", "wss:"]) {
        const url = `${scheme}//nope.invalid/`;
        const error = await refused(url, { capture });
        assertStringIncludes(error.message, `Cannot connect to ${url}: `);
        assertInstanceOf(error.cause, Error);
        assertEquals(error.response, undefined);
      }
    },
  });
}

each.test("a port that fetch refuses to dial is named, with the way round", async (capture) => {
  for (const port of [0, 6667]) { // on which nobody listens
    const fetchRefuses = await fetch(`http://127.0.0.1:${port}`).then(
      () => false,
      (error) => /blocked/.test(error.message),
    );
    const error = await refused(`ws://127.0.0.1:${port}/`, { capture });
    assertInstanceOf(error.cause, Error);
    assertEquals(error.response, undefined);
    if (fetchRefuses && capture === "preflight") {
      assertStringIncludes(error.message, `port ${port}`);
      assertStringIncludes(error.message, `capture "none" and "direct" do not`);
    } else {
      // It was dialled.
      assertMatch(error.message, /refused|tcp connect error|port/i);
    }
  }
});

test("statusText is the same with every capture, and the standard phrase", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.respond(`${peer.target.slice(1)} x`);
  });
  const phrases = async (capture: ConnectOptions["capture"] & string) => {
    const texts: Record<number, string | undefined> = {};
    for (const status of STATUSES) {
      const error = await refused(`${server.url}/${status}`, { capture });
      texts[status] = error.response?.statusText;
    }
    return texts;
  };
  const direct = await phrases("direct");
  assertEquals(await phrases("preflight"), direct);
  const { 203: other, 404: missing, 418: tea, 425: early, 509: none } = direct;
  assertEquals([missing, other], [
    "Not Found",
    "Non-Authoritative Information",
  ]);
  assertEquals([tea, early, none], ["I'm a teapot", "Too Early", ""]);
});

/** The statuses of refusals that have a reason phrase in some list, and some that have none. */
const STATUSES = [
  ...[200, 201, 202, 203, 204, 205, 206, 207, 208, 226],
  ...[300, 301, 302, 303, 304, 305, 306, 307, 308],
  ...[400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413],
  ...[414, 415, 416, 417, 418, 421, 422, 423, 424, 425, 426, 428, 429, 431],
  ...[451, 499, 500, 501, 502, 503, 504, 505, 506, 507, 508, 509, 510, 511],
  ...[599, 999],
];

// --- Redirects ---

each.test(`redirect "follow" takes a Location in every form, as far as 10 redirects`, async (capture) => {
  const { ca, server: identity } = await certificates();
  await using secure = answers({
    "/b": leads("/c"),
    "/c": (peer) => leads(`https://localhost:${secure.port}/d`)(peer),
    "/d": (peer) => leads(`${secure.url}/0?a=b`)(peer),
    ...Object.fromEntries(
      [0, 1, 2].map((hop) => [`/${hop}`, leads(`/${hop + 1}`)]),
    ),
    "/3": accepts,
  }, identity);
  await using server = answers({
    "/x/": leads("y", "301 Moved Permanently"),
    "/x/y": (peer) => leads(`${server.url}/z`, "307 x")(peer),
    "/z": (peer) => leads(`http://127.0.0.1:${server.port}/a#part`)(peer),
    "/a": (peer) => leads(`https://localhost:${secure.port}/b`)(peer),
    "/more": leads("/x/", "308 x"),
  });
  const options = { capture, redirect: "follow", http: { caCerts: [ca] } };
  const [connection, response] = await connectWebSocket(
    `${server.url}/x/`,
    options as ConnectOptions,
  );
  assertEquals(connection.url, `${secure.url}/3`);
  assertEquals(response.url, `${secure.url}/3`);
  assertEquals(response.status, 101);
  await connection.close();

  const error = await refused(
    `${server.url}/more`,
    options as ConnectOptions,
  );
  assertStringIncludes(error.message, "redirects more than 10 times");
  assertEquals(error.response?.status, 302);
  assertEquals(error.url, `${secure.url}/2`);
});

each.test(`redirect "follow" refuses a redirect that it does not follow with its status, why, and its body`, async (capture) => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.respond("302 x", "moved", { Location: "file:///x" });
  });
  const error = await refused(server.url, { capture, redirect: "follow" });
  assertStringIncludes(
    error.message,
    `: HTTP error: 302 Found: it redirects to "file:///x", which`,
  );
  assertEquals(await error.response?.text(), "moved");
});

// --- TLS ---

each.test("wss: works where HTTP/2 is on offer, with a private authority and a client certificate", async (capture) => {
  const { ca, server: identity, client } = await certificates();
  await using server = serve(
    (request) => accept(request, (socket) => socket.send("secure")),
    identity,
  );
  for (const http of [{ caCerts: [ca] }, { caCerts: [ca], ...client }]) {
    const [connection, response] = await connectWebSocket(server.url, {
      capture,
      http,
    });
    assertEquals(response.status, 101);
    assertEquals(connection.url, `${server.url}/`);
    assertEquals(await connection.recv(), "secure");
    assertEquals((await connection.close()).clean, true);
  }
});

each.test("wss: names the true reason of every failure", async (capture) => {
  const { ca, server: identity } = await certificates();
  await using server = answers({
    "/401": (peer) => peer.respond("401 Unauthorized"),
    "/426": (peer) => peer.respond("426 Upgrade Required"),
    "/upgrade": (peer) => peer.upgrade({ headers: { Upgrade: "h2c" } }),
    "/gone": (peer) => Promise.resolve(peer.end()),
  }, identity);
  const failures: [string, RegExp][] = [
    ["/401", /HTTP error: 401 Unauthorized$/],
    ["/426", /HTTP error: 426 Upgrade Required$/],
    ["/upgrade", /its Upgrade header is "h2c"/],
    ["/gone", /closed|eof/i],
  ];
  for (const [path, reason] of failures) {
    const http = { caCerts: [ca] };
    const error = await refused(server.url + path, { capture, http });
    assertMatch(error.message, reason);
  }
});

// --- What onRequest may do ---

each.test("an abort within onRequest rejects with its reason, and leaves nothing open", async (capture) => {
  const sources = {
    preflight: ["preflight", "socket"],
    none: ["socket"],
    direct: ["direct"],
  };
  for (const source of sources[capture]) {
    await using server = rawServer(upgrade);
    const controller = new AbortController();
    const reason = await connectWebSocket(server.url, {
      capture,
      signal: controller.signal,
      onRequest: (request) => {
        if (request.source === source) controller.abort("enough");
      },
    }).then(() => "connected", (error) => error);
    assertEquals(reason, "enough");
    // Whatever was opened has ended, and nothing more comes.
    await server.peers.at(-1)?.waitForEnd();
    assertEquals(
      server.heads.length,
      source === "socket" && capture === "preflight" ? 1 : 0,
    );
  }
});

// --- Cookies ---

each.test("a cookie that a redirect sets is sent to the same origin, and there alone", async (capture) => {
  await using other = rawServer(readsAndAccepts);
  await using server = answers({
    // A load balancer that wants its clients to come back to the same node.
    "/feed": (peer) =>
      peer.header("cookie")?.includes("node=7")
        ? peer.respond("307 Temporary Redirect", "", {
          Location: `http://127.0.0.1:${other.port}/`,
        })
        : peer.respond("307 Temporary Redirect", "", {
          "Location": "/feed",
          "Set-Cookie": "node=7; Path=/; HttpOnly",
        }),
  });
  const [connection] = await connectWebSocket(`${server.url}/feed`, {
    capture,
    redirect: "follow",
    headers: [["Cookie", "a=1"], ["cookie", "b=2"]],
  });
  await connection.close();
  assertEquals(server.peers.at(-1)!.header("cookie"), "a=1; b=2; node=7");
  assertEquals(server.peers[0]!.header("cookie"), "a=1; b=2");
  for (const peer of other.peers) assertEquals(peer.header("cookie"), null);
});

// --- Proxies; proxy_test.ts has those of "direct" ---

native.test("http.proxy is gone through, for ws: and for wss:", async (capture) => {
  const { ca, server: identity } = await certificates();
  for (const secure of [false, true]) {
    await using server = serve(
      (request) => accept(request, (socket) => socket.send("by proxy")),
      secure ? identity : {},
    );
    await using proxy = proxyTo(Number(new URL(server.url).port));
    const url = secure ? "wss://localhost:8443/x" : "ws://feed.invalid/x";
    const [connection] = await connectWebSocket(url, {
      capture,
      http: { proxy: { url: `http://${proxy.host}` }, caCerts: [ca] },
    });
    assertEquals(connection.url, url);
    assertEquals(proxy.lines.length, server.requests.length);
    assertEquals(await connection.recv(), "by proxy");
    assertEquals((await connection.close()).clean, true);
  }
});
