import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  type ConnectOptions,
  connectWebSocket,
  HandshakeError,
  type HandshakeRequest,
  type WebSocketConnection,
} from "@wstap/wstap";
import {
  type Capture,
  CAPTURES,
  each,
  link,
  NATIVE,
  upgrade,
} from "./fixtures/captures.ts";
import { certificates } from "./fixtures/certs.ts";
import {
  type Peer,
  type RawServer,
  rawServer,
  type RawServerOptions,
} from "./fixtures/raw.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { within } from "./fixtures/wait.ts";

type Connected = WebSocketConnection<string | Uint8Array>;

/** Closes a connection whose peer answers. */
async function closeWell(connection: Connected): Promise<void> {
  assertEquals((await connection.close()).clean, true);
}

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

/** Connects to what refuses, and gives the error. */
function refused(
  url: string | URL,
  options: ConnectOptions,
): Promise<HandshakeError> {
  return within(
    assertRejects(() => connectWebSocket(url, options), HandshakeError),
    15_000,
    "the refusal",
  );
}

/** Everything that an error shows to whoever prints it. */
function shown(error: unknown): string {
  const texts = [Deno.inspect(error, { depth: 10 }), String(error)];
  for (let it = error; it instanceof Error; it = it.cause) {
    texts.push(it.message, it.stack ?? "");
  }
  return texts.join("\n");
}

/** A port of 127.0.0.1 on which nobody listens. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

// --- The handshake ---

each(
  "connectWebSocket() gives the response and the messages",
  async (capture) => {
    await using server = serve((request) =>
      accept(request, (socket) => {
        for (let seq = 0; seq < 3; seq++) socket.send(JSON.stringify({ seq }));
        socket.close(1000);
      }, { headers: { "X-Session": "one", "Set-Cookie": "a=b" } })
    );
    const [connection, response] = await connectWebSocket(
      `${server.url}/feed`,
      {
        capture,
      },
    );

    assertEquals(response.status, 101);
    assertEquals(response.statusText, "Switching Protocols");
    assertEquals(response.isInformational, true);
    assertEquals(response.url, `${server.url}/feed`);
    assertEquals(await response.text(), "");
    assertEquals(await response.bytes(), new Uint8Array());
    assertEquals(response.source, capture === "none" ? "socket" : capture);
    assertEquals(
      Object.fromEntries(
        ["upgrade", "x-session", "set-cookie"]
          .map((name) => [name, response.headers.get(name)]),
      ),
      capture === "none"
        ? { "upgrade": null, "x-session": null, "set-cookie": null }
        : { "upgrade": "websocket", "x-session": "one", "set-cookie": "a=b" },
    );

    assertEquals(connection.url, `${server.url}/feed`);
    assertEquals([connection.protocol, connection.extensions], ["", ""]);
    const received = [];
    for (let data; (data = await connection.recv()) !== null;) {
      received.push(JSON.parse(data as string));
    }
    assertEquals(received, [{ seq: 0 }, { seq: 1 }, { seq: 2 }]);
  },
);

each("connectWebSocket() takes a URL object", async (capture) => {
  await using it = await link(capture);
  const [connection] = await connectWebSocket(new URL(it.server.url), {
    capture,
  });
  assertEquals(connection.url, `${it.server.url}/`);
  it.server.peers.at(-1)!.end();
  await connection.closed;
});

Deno.test("connectWebSocket() makes a pre-flight by default", async () => {
  await using server = rawServer(upgrade);
  const [connection, response] = await connectWebSocket(server.url);
  assertEquals(response.source, "preflight");
  assertEquals(server.connections, 2);
  server.peers.at(-1)!.end();
  await connection.closed;
});

each(
  "protocols are offered in order, and the server's choice is shown",
  async (capture) => {
    await using server = serve((request) =>
      accept(request, () => {}, { protocol: "feed.v1" })
    );
    const [connection, response] = await connectWebSocket(server.url, {
      capture,
      protocols: ["feed.v2", "feed.v1"],
    });
    assertEquals(connection.protocol, "feed.v1");
    assertEquals(response.headers.get("sec-websocket-protocol"), "feed.v1");
    for (const { headers } of server.requests) {
      assertEquals(headers.get("sec-websocket-protocol"), "feed.v2, feed.v1");
    }
    await closeWell(connection);
  },
);

each("protocols that the server passes over leave none", async (capture) => {
  await using server = rawServer(upgrade);
  const [connection] = await connectWebSocket(server.url, {
    capture,
    protocols: "feed.v1",
  });
  assertEquals(connection.protocol, "");
  server.peers.at(-1)!.end();
  await connection.closed;
});

each("headers are sent with every handshake request", async (capture) => {
  await using server = rawServer(upgrade);
  const [connection] = await connectWebSocket(`${server.url}/x?y=z`, {
    capture,
    headers: [["X-One", "1"], ["Cookie", "a=b"], ["X-One", "2"]],
  });
  assertEquals(server.heads.length, capture === "preflight" ? 2 : 1);
  for (const peer of server.peers) {
    assertEquals(peer.target, "/x?y=z");
    assertEquals(peer.header("host"), `127.0.0.1:${server.port}`);
    assertEquals(peer.header("x-one")?.replaceAll(" ", ""), "1,2");
    assertEquals(peer.header("cookie"), "a=b");
    assertEquals(peer.header("sec-websocket-version"), "13");
    assertEquals(atob(peer.key).length, 16);
  }
  server.peers.at(-1)!.end();
  await connection.closed;
});

each("User-Agent among the headers replaces Deno's", async (capture) => {
  await using server = rawServer(upgrade);
  const [connection] = await connectWebSocket(server.url, {
    capture,
    headers: { "User-Agent": "probe/1" },
  });
  assertEquals(server.peers[0]!.header("user-agent"), "probe/1");
  server.peers.at(-1)!.end();
  await connection.closed;
}, CAPTURES.filter((it) => it !== "none")); // the native socket sends both

each(
  "credentials of the URL become Authorization, and appear in no url",
  async (capture) => {
    await using server = rawServer(upgrade);
    const url = new URL(`${server.url}/x?token=secret`);
    url.username = "user";
    url.password = "pässword";
    const [connection, response] = await connectWebSocket(url, { capture });
    const bytes = new TextEncoder().encode("user:pässword");
    const expected = `Basic ${btoa(String.fromCharCode(...bytes))}`;
    for (const peer of server.peers) {
      assertEquals(peer.header("authorization"), expected);
    }
    assertEquals(connection.url, `${server.url}/x?token=secret`);
    assertEquals(response.url, `${server.url}/x?token=secret`);
    server.peers.at(-1)!.end();
    await connection.closed;
  },
);

Deno.test("binary decides what the compiler knows of the messages", () => {
  // Never run: it is the compiler that tests it.
  const _ = async (options: ConnectOptions) => {
    const [byDefault] = await connectWebSocket("ws://a.invalid/");
    (await byDefault.recv()) satisfies string | null;
    (await byDefault.recvBatch(1)) satisfies string[];
    const [text] = await connectWebSocket("ws://a.invalid/", {
      binary: "text",
    });
    (await text.recv()) satisfies string | null;
    const [bytes] = await connectWebSocket("ws://a.invalid/", {
      binary: "bytes",
    });
    (await bytes.recv()) satisfies string | Uint8Array | null;
    // @ts-expect-error -- a message may be binary
    (await bytes.recv()) satisfies string | null;
    const [either] = await connectWebSocket("ws://a.invalid/", options);
    (await either.recv()) satisfies string | Uint8Array | null;
    // @ts-expect-error -- a message may be binary
    (await either.recv()) satisfies string | null;
  };
});

// --- Bad arguments ---

type BadOption = [
  options: Record<string, unknown> | null | number,
  error: new () => Error,
  message: string,
];

const BAD_OPTIONS: BadOption[] = [
  [null, TypeError, "Invalid options: expected an object, got null"],
  [5, TypeError, "Invalid options: expected an object, got number"],
  [{ capture: "magic" }, TypeError, `Invalid capture: expected "preflight"`],
  [{ capture: null }, TypeError, "got null"],
  [{ redirect: "manual" }, TypeError, "Invalid redirect"],
  [{ binary: "blob" }, TypeError, "Invalid binary"],
  [{ overflow: "ignore" }, TypeError, "Invalid overflow"],
  [{ overflow: 1 }, TypeError, "got number"],
  [{ handshakeTimeout: "10" }, TypeError, `Cannot parse duration "10"`],
  [{ handshakeTimeout: -1 }, RangeError, "it is negative"],
  [{ closeTimeout: "soon" }, TypeError, `Cannot parse duration "soon"`],
  [{ closeTimeout: NaN }, RangeError, "it is not finite"],
  [{ idleTimeout: "" }, TypeError, "it is empty"],
  [{ idleTimeout: -1 }, RangeError, "it is negative"],
  [{ idleTimeout: {} }, TypeError, "Invalid duration"],
  [{ signal: {} }, TypeError, "Invalid signal: expected an AbortSignal"],
  [{ maxBuffer: 5 }, TypeError, "Invalid maxBuffer: expected an object"],
  [{ maxBuffer: null }, TypeError, "Invalid maxBuffer"],
  [{ maxBuffer: { messages: "3" } }, TypeError, "Invalid maxBuffer.messages"],
  [{ maxBuffer: { messages: 0 } }, RangeError, "Invalid maxBuffer.messages"],
  [{ maxBuffer: { bytes: 1.5 } }, RangeError, "Invalid maxBuffer.bytes"],
  [{ maxBuffer: { bytes: NaN } }, RangeError, "Invalid maxBuffer.bytes"],
  [{ protocols: ["a", "a"] }, TypeError, "more than once"],
  [{ protocols: "a b" }, TypeError, "Invalid subprotocol"],
  [{ protocols: 5 }, TypeError, "Invalid protocols"],
  [{ headers: { Host: "x" } }, TypeError, `The header "Host" cannot be set`],
  [{ headers: "x" }, TypeError, "Invalid headers"],
  [{ http: 5 }, TypeError, "Invalid http"],
  [{ http: { cert: "x" } }, TypeError, `"cert" and "key" go together`],
  [{ http: { key: "x" } }, TypeError, `"cert" and "key" go together`],
  [{ http: { caCerts: "x" } }, TypeError, "Invalid http.caCerts"],
];

for (const [options, ErrorClass, message] of BAD_OPTIONS) {
  const name = JSON.stringify(
    options,
    (_key, value) =>
      typeof value === "number" && Number.isNaN(value) ? "NaN" : value,
  );
  Deno.test(`connectWebSocket() refuses the options ${name} before it asks anyone`, async () => {
    await using server = rawServer(upgrade);
    await assertRejects(
      () => connectWebSocket(server.url, options as ConnectOptions),
      ErrorClass,
      message,
    );
    assertEquals(server.connections, 0);
  });
}

each(
  "connectWebSocket() refuses certificates and keys that are none",
  async (capture) => {
    const { ca, server: identity } = await certificates();
    await using server = serve(
      (request) => accept(request, () => {}),
      identity,
    );
    for (
      const http of [
        {
          caCerts: [
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
          ],
        },
        { caCerts: [ca], cert: "no cert", key: "no key" },
      ]
    ) {
      const error = await assertRejects(() =>
        connectWebSocket(server.url, { capture, http })
      );
      assertInstanceOf(error, Error);
      assert(error.message !== "", "a message");
      assertEquals(shown(error).includes("HTTP/2"), false);
    }
  },
);

for (const scheme of ["http:", "https:", "file:"]) {
  Deno.test(`connectWebSocket() rejects with TypeError for ${scheme}`, async () => {
    await assertRejects(
      () => connectWebSocket(`${scheme}//127.0.0.1/`),
      TypeError,
      `got "${scheme}"`,
    );
  });
}

// --- Refusals ---

interface Refusal {
  status: string;
  headers?: Record<string, string>;
  body?: string;
  /** The standard phrase, where the server writes another. */
  message?: string;
}

const REFUSALS: Record<string, Refusal> = {
  "404 with a body": {
    status: "404 Not Found",
    headers: { "Content-Type": "text/plain; charset=iso-8859-1", "X-One": "1" },
    body: "no such feed\n",
  },
  "401 with WWW-Authenticate": {
    status: "401 Unauthorized",
    headers: { "WWW-Authenticate": `Basic realm="feed"` },
  },
  "403": { status: "403 Forbidden" },
  "426": { status: "426 Upgrade Required", headers: { Upgrade: "websocket" } },
  "429 with Retry-After": {
    status: "429 Too Many Requests",
    headers: { "Retry-After": "120" },
    body: "slow down",
  },
  "503": { status: "503 Service Unavailable", body: "later" },
  "200": { status: "200 OK", body: "<html>" },
  "302 without a Location": { status: "302 Found" },
  "a status that has no reason": { status: "599 Whatever", message: "599" },
  "a reason that is not the standard one": {
    status: "404 Nope",
    message: "404 Not Found",
  },
};

for (
  const [what, { status, headers, body, message }] of Object.entries(REFUSALS)
) {
  for (const redirect of ["error", "follow"] as const) {
    if (redirect === "follow" && !what.startsWith("302")) continue;
    each(
      `connectWebSocket() rejects with HandshakeError for ${what}${
        redirect === "follow" ? ", to follow" : ""
      }`,
      async (capture) => {
        await using server = rawServer(async (peer) => {
          await peer.readHead();
          await peer.respond(status, body, headers);
        });
        const error = await refused(`${server.url}/feed?token=secret`, {
          capture,
          redirect,
        });
        assertEquals(
          error.message,
          `Cannot connect to ${server.url}/feed: HTTP error: ${
            message ?? status
          }`,
        );
        assertEquals(error.url, `${server.url}/feed?token=secret`);
        assertEquals(error.cause, undefined);
        const { response } = error;
        assert(response !== undefined);
        assertEquals(
          `${response.status} ${response.statusText}`.trimEnd(),
          message ?? status,
        );
        assertEquals(await response.text(), body ?? "");
        assertEquals(await response.text(), body ?? "");
        assertEquals(response.contentLength, (body ?? "").length);
        assertEquals(
          response.source,
          capture === "direct" ? "direct" : "preflight",
        );
        for (const [name, value] of Object.entries(headers ?? {})) {
          assertEquals(response.headers.get(name), value);
        }
      },
    );
  }
}

each(
  "a redirect is refused by default, with its Location in the response",
  async (capture) => {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.respond("302 Found", "moved", { Location: "/elsewhere" });
    });
    const error = await refused(server.url, { capture });
    assertStringIncludes(error.message, "HTTP error: 302 Found");
    assertEquals(error.response?.headers.get("location"), "/elsewhere");
    assertEquals(await error.response?.text(), "moved");
  },
);

each(
  "only the first 64 KiB of a refusal's body are read, however long it is",
  async (capture) => {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.write(
        "HTTP/1.1 404 Not Found\r\nContent-Length: 10000000\r\n\r\n",
      );
      // It never comes to its end: who waits for that waits for ever.
      for (let sent = 0; sent < 9_000_000; sent += 10_000) {
        await peer.write("x".repeat(10_000));
      }
    });
    const error = await refused(server.url, { capture });
    assertEquals(error.response?.contentLength, 10_000_000);
    assertEquals(await error.response?.text(), "x".repeat(65536));
  },
);

each(
  "handshakeTimeout ends a body that never ends: what came by then is the body",
  async (capture) => {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.write("HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n");
      await peer.write("the start");
    });
    const error = await refused(server.url, {
      capture,
      handshakeTimeout: "800ms",
    });
    assertStringIncludes(error.message, "HTTP error: 404 Not Found");
    assertEquals(await error.response?.text(), "the start");
  },
);

each(
  "signal ends a body that never ends: its reason is the error",
  async (capture) => {
    const reached = Promise.withResolvers<void>();
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.write("HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n");
      await peer.write("the start");
      reached.resolve();
    });
    const controller = new AbortController();
    const connecting = connectWebSocket(server.url, {
      capture,
      signal: controller.signal,
    });
    await reached.promise;
    const reason = new Error("enough");
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => connecting), reason);
  },
);

each("a body that breaks off is as good as one that ends", async (capture) => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.write("HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n");
    await peer.write("the start");
    peer.end();
  });
  const error = await refused(server.url, { capture });
  assertStringIncludes(error.message, "HTTP error: 404 Not Found");
  assertEquals(error.response?.status, 404);
});

// --- Answers that are no valid upgrade ---

type Overrides = Parameters<Peer["upgrade"]>[0];

const INVALID: [string, Overrides, string][] = [
  [
    "no Upgrade",
    { headers: { Upgrade: null } },
    "its Upgrade header is missing",
  ],
  [
    "another Upgrade",
    { headers: { Upgrade: "h2c" } },
    `its Upgrade header is "h2c"`,
  ],
  [
    "no Connection",
    { headers: { Connection: null } },
    "its Connection header is missing",
  ],
  [
    "a subprotocol nobody offered",
    { headers: { "Sec-WebSocket-Protocol": "b" } },
    `the subprotocol "b", which was not offered`,
  ],
  [
    "an extension",
    { headers: { "Sec-WebSocket-Extensions": "permessage-deflate" } },
    `the extension "permessage-deflate", and none was offered`,
  ],
];

for (const [what, overrides, message] of INVALID) {
  each(
    `an answer with ${what} is refused, and the rule named`,
    async (capture) => {
      await using server = rawServer(async (peer) => {
        await peer.readHead();
        await peer.upgrade(overrides);
      });
      const error = await refused(server.url, { capture, protocols: "a" });
      assertStringIncludes(error.message, "not a valid upgrade");
      assertStringIncludes(error.message, message);
    },
  );
}

each(
  "an answer with a wrong Sec-WebSocket-Accept is refused",
  async (capture) => {
    for (const accept of [null, "AAAAAAAAAAAAAAAAAAAAAAAAAAA="]) {
      await using server = rawServer(async (peer) => {
        await peer.readHead();
        await peer.upgrade({ headers: { "Sec-WebSocket-Accept": accept } });
      });
      const error = await refused(server.url, { capture });
      assertStringIncludes(error.message, "its Sec-WebSocket-Accept header is");
      assertEquals(error.response?.status, 101);
    }
  },
  CAPTURES.filter((it) => it !== "none"),
); // the native socket does not look

each(
  `"Connection: keep-alive, Upgrade" is valid: direct takes it, the others name direct`,
  async (capture) => {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.upgrade({ headers: { Connection: "keep-alive, Upgrade" } });
    });
    if (NATIVE.includes(capture)) {
      const error = await refused(server.url, { capture });
      assertStringIncludes(error.message, `exactly "upgrade"`);
      assertStringIncludes(error.message, `"keep-alive, Upgrade"`);
      assertStringIncludes(error.message, `capture "direct"`);
    } else {
      const [connection] = await connectWebSocket(server.url, { capture });
      server.peers.at(-1)!.end();
      await connection.closed;
    }
  },
);

// --- No answer ---

each(
  "a server that never answers: TimeoutError after handshakeTimeout",
  async (capture) => {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
    });
    const error = await assertRejects(
      () =>
        connectWebSocket(server.url, { capture, handshakeTimeout: "100ms" }),
      DOMException,
    );
    assertEquals(error.name, "TimeoutError");
    await within(server.peers[0]!.waitForEnd(), 10_000, "the client's end");
  },
);

each(
  "a server that answers half a head: TimeoutError after handshakeTimeout",
  async (capture) => {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: web");
    });
    const error = await assertRejects(
      () =>
        connectWebSocket(server.url, { capture, handshakeTimeout: "100ms" }),
      DOMException,
    );
    assertEquals(error.name, "TimeoutError");
  },
);

each(
  "signal that is aborted already: its reason, and nobody is asked",
  async (capture) => {
    await using server = rawServer(upgrade);
    const reason = new Error("enough");
    assertStrictEquals(
      await assertRejects(() =>
        connectWebSocket(server.url, {
          capture,
          signal: AbortSignal.abort(reason),
        })
      ),
      reason,
    );
    assertEquals(server.connections, 0);
  },
);

each(
  "signal that aborts during the handshake: its reason, and the server is let go",
  async (capture) => {
    const reached = Promise.withResolvers<void>();
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      reached.resolve();
    });
    const controller = new AbortController();
    const connecting = connectWebSocket(server.url, {
      capture,
      signal: controller.signal,
    });
    await reached.promise;
    const reason = new Error("enough");
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => connecting), reason);
    await within(server.peers[0]!.waitForEnd(), 10_000, "the client's end");
  },
);

const GARBAGE: Record<string, string> = {
  "another protocol": "SSH-2.0-OpenSSH_9.6\r\n\r\n",
  "nothing at all": "",
  "a status line alone": "HTTP/1.1 101 Switching Protocols\r\n",
  "binary rubbish": "\x00\x01\x02\x03\r\n\r\n",
};

for (const [what, text] of Object.entries(GARBAGE)) {
  each(
    `a server that answers ${what}: HandshakeError without a response`,
    async (capture) => {
      await using server = rawServer(async (peer) => {
        await peer.readHead();
        await peer.write(text);
        peer.end();
      });
      const error = await refused(`${server.url}/?token=secret`, { capture });
      assertStringIncludes(error.message, `Cannot connect to ${server.url}/: `);
      assertEquals(error.response, undefined);
      assertEquals(shown(error).includes("secret"), false, shown(error));
    },
  );
}

each(
  "nobody listens: HandshakeError with the network's error as its cause",
  async (capture) => {
    const error = await refused(`ws://127.0.0.1:${freePort()}/?token=secret`, {
      capture,
    });
    assertMatch(error.message, /refused/i);
    assertInstanceOf(error.cause, Error);
    assertMatch(error.cause.message, /refused/i);
    assertEquals(error.response, undefined);
    assertEquals(shown(error).includes("secret"), false, shown(error));
  },
);

for (const capture of CAPTURES) {
  Deno.test({
    name:
      `a name that is not found: HandshakeError with the network's error as its cause (${capture})`,
    // There Deno.connect() keeps a handle when a name is not found.
    sanitizeResources: !Deno.version.deno.startsWith("2.5."),
    fn: async () => {
      for (const scheme of ["ws:", "wss:"]) {
        const error = await refused(
          `${scheme}//the-user:secret@nope.invalid/?token=secret`,
          { capture },
        );
        assertInstanceOf(error.cause, Error);
        assertStringIncludes(
          error.message,
          `Cannot connect to ${scheme}//nope.invalid/: `,
        );
        assertEquals(error.response, undefined);
        const text = shown(error);
        for (const part of ["secret", "the-user", "HTTP/2"]) {
          assertEquals(text.includes(part), false, text);
        }
      }
    },
  });
}

// --- Permissions ---

each("a missing permission surfaces as NotCapable", async (capture) => {
  const code = `
    import { connectWebSocket } from ${
    JSON.stringify(new URL("../mod.ts", import.meta.url).href)
  };
    await connectWebSocket("ws://user:secret@127.0.0.1:8080/?secret", {
      capture: ${JSON.stringify(capture)},
    }).catch((error) => {
      console.log(
        error.name,
        error instanceof Deno.errors.NotCapable,
        error.message.includes("net access") ||
          error.message.includes("--allow-net"),
        Deno.inspect(error, { depth: 10 }).includes("secret"),
      );
    });`;
  const importMap = new URL("../without_jsr/import_map.json", import.meta.url);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--no-lock"],
      ...[`--import-map=${importMap.href}`, "--ext=ts", "-"],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode(code));
  await stdin.close();
  const { stdout, stderr } = await child.output();
  assertEquals(
    new TextDecoder().decode(stdout),
    "NotCapable true true false\n",
    new TextDecoder().decode(stderr),
  );
});

// --- Ports that fetch refuses to dial ---

each(
  "a port that fetch refuses to dial is named, with the way round",
  async (capture) => {
    const fetchRefuses = await fetch("http://127.0.0.1:6667").then(
      () => false,
      (error) => /blocked/.test(error.message),
    );
    const error = await refused("ws://127.0.0.1:6667/?token=secret", {
      capture,
    });
    if (fetchRefuses && capture === "preflight") {
      assertStringIncludes(error.message, "port 6667");
      assertStringIncludes(error.message, `capture "none" and "direct" do not`);
    } else {
      // It was dialled, and nobody listens.
      assertMatch(error.message, /refused|tcp connect error/i);
    }
    assertEquals(shown(error).includes("secret"), false, shown(error));
  },
);

// --- Redirects ---

for (
  const status of [
    "301 Moved Permanently",
    "302 Found",
    "303 See Other",
    "307 Temporary Redirect",
    "308 Permanent Redirect",
  ]
) {
  each(`redirect "follow" follows ${status}`, async (capture) => {
    await using server = answers({
      "/": (peer) => peer.respond(status, "", { Location: "/feed?a=b" }),
      "/feed": (peer) => peer.upgrade(),
    });
    const [connection, response] = await connectWebSocket(server.url, {
      capture,
      redirect: "follow",
    });
    assertEquals(connection.url, `${server.url}/feed?a=b`);
    assertEquals(response.url, `${server.url}/feed?a=b`);
    assertEquals(response.status, 101);
    assertEquals(server.peers.at(-1)!.target, "/feed?a=b");
    server.peers.at(-1)!.end();
    await connection.closed;
  });
}

each(
  `redirect "follow" takes a Location in http: and in ws:, and drops its fragment`,
  async (capture) => {
    await using server = answers({
      "/": (peer) =>
        peer.respond("302 Found", "", {
          Location: `http://127.0.0.1:${server.port}/two#part`,
        }),
      "/two": (peer) =>
        peer.respond("302 Found", "", { Location: `${server.url}/three` }),
      "/three": (peer) => peer.respond("302 Found", "", { Location: "feed" }),
      "/feed": (peer) => peer.upgrade(),
    });
    const [connection] = await connectWebSocket(server.url, {
      capture,
      redirect: "follow",
    });
    assertEquals(connection.url, `${server.url}/feed`);
    server.peers.at(-1)!.end();
    await connection.closed;
  },
);

each(
  `redirect "follow" goes from ws: to wss:, by https: and by wss:`,
  async (capture) => {
    const { ca, server: identity } = await certificates();
    await using secure = serve(
      (request) => accept(request, () => {}),
      identity,
    );
    await using server = answers({
      "/": (peer) =>
        peer.respond("302 Found", "", { Location: `${secure.httpUrl}/a` }),
      "/wss": (peer) =>
        peer.respond("302 Found", "", { Location: `${secure.url}/b` }),
    });
    for (const [path, end] of [["/", "/a"], ["/wss", "/b"]]) {
      const [connection] = await connectWebSocket(server.url + path, {
        capture,
        redirect: "follow",
        http: { caCerts: [ca] },
      });
      assertEquals(connection.url, `${secure.url}${end}`);
      await closeWell(connection);
    }
  },
);

each(`redirect "follow" never goes from wss: to ws:`, async (capture) => {
  const { ca, server: identity } = await certificates();
  await using plain = rawServer(upgrade);
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.respond("302 Found", "", {
      Location: `http://127.0.0.1:${plain.port}/?secret`,
    });
  }, identity);
  const error = await refused(server.url, {
    capture,
    redirect: "follow",
    http: { caCerts: [ca] },
  });
  assertStringIncludes(error.message, "from wss: to ws:");
  assertEquals(error.response?.status, 302);
  assertEquals(plain.connections, 0);
  assertEquals(shown(error).includes("secret"), false);
});

each(
  `redirect "follow" gives up a loop after 10 redirects`,
  async (capture) => {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.respond("302 Found", "", { Location: "/?secret" });
    });
    const error = await refused(server.url, { capture, redirect: "follow" });
    assertStringIncludes(error.message, "redirects more than 10 times");
    assertEquals(error.response?.status, 302);
    assertEquals(server.connections, capture === "none" ? 22 : 11);
    assertEquals(shown(error).includes("secret"), false);
  },
);

each(`redirect "follow" goes as far as 10 redirects`, async (capture) => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    const hops = Number(peer.target.slice(1));
    if (hops === 10) await peer.upgrade();
    else await peer.respond("302 Found", "", { Location: `/${hops + 1}` });
  });
  const [connection] = await connectWebSocket(server.url, {
    capture,
    redirect: "follow",
  });
  assertEquals(connection.url, `${server.url}/10`);
  server.peers.at(-1)!.end();
  await connection.closed;
});

each(
  `redirect "follow" refuses a Location that is no WebSocket URL`,
  async (capture) => {
    for (
      const location of ["ftp://user:secret@a.invalid/?secret", "http://["]
    ) {
      await using server = rawServer(async (peer) => {
        await peer.readHead();
        await peer.respond("302 Found", "", { Location: location });
      });
      const error = await refused(server.url, { capture, redirect: "follow" });
      assertStringIncludes(error.message, "which is not a WebSocket URL");
      assertEquals(error.response?.status, 302);
      assertEquals(shown(error).includes("secret"), false);
    }
  },
);

each(
  `redirect "follow" gives credentials and cookies to the same origin only`,
  async (capture) => {
    await using other = rawServer(upgrade);
    await using server = answers({
      "/": (peer) => peer.respond("302 Found", "", { Location: "/same" }),
      "/same": (peer) =>
        peer.respond("302 Found", "", { Location: `${other.url}/feed` }),
    });
    const url = new URL(server.url);
    url.username = "user";
    url.password = "secret";
    const [connection] = await connectWebSocket(url, {
      capture,
      redirect: "follow",
      headers: { Cookie: "session=secret", "X-One": "1" },
    });
    for (const peer of server.peers) {
      assertEquals(
        peer.header("authorization"),
        `Basic ${btoa("user:secret")}`,
      );
      assertEquals(peer.header("cookie"), "session=secret");
    }
    for (const peer of other.peers) {
      assertEquals(peer.head.includes("secret"), false);
      assertEquals(peer.header("authorization"), null);
      assertEquals(peer.header("cookie"), null);
      assertEquals(peer.header("x-one"), "1");
    }
    assertEquals(connection.url, `${other.url}/feed`);
    other.peers.at(-1)!.end();
    await connection.closed;
  },
);

// --- TLS ---

each(
  "wss: works where HTTP/2 is on offer, with a private authority",
  async (capture) => {
    const { ca, server: identity } = await certificates();
    await using server = serve(
      (request) => accept(request, (socket) => socket.send("secure")),
      identity,
    );
    const [connection, response] = await connectWebSocket(server.url, {
      capture,
      http: { caCerts: [ca] },
    });
    assertEquals(response.status, 101);
    assertEquals(connection.url, `${server.url}/`);
    assertEquals(await connection.recv(), "secure");
    await closeWell(connection);
  },
);

each("wss: works with a client certificate at hand", async (capture) => {
  const { ca, server: identity, client } = await certificates();
  await using server = serve(
    (request) => accept(request, (socket) => socket.send("secure")),
    identity,
  );
  const [connection] = await connectWebSocket(server.url, {
    capture,
    http: { caCerts: [ca], ...client },
  });
  assertEquals(await connection.recv(), "secure");
  await closeWell(connection);
});

for (const kind of ["server", "expired", "wrongName", "selfSigned"] as const) {
  each(
    `wss: refuses a certificate that is not trusted: ${kind}`,
    async (capture) => {
      const all = await certificates();
      await using server = rawServer(upgrade, all[kind]);
      const caCerts = kind === "server" ? [all.other.ca] : [all.ca];
      const error = await refused(`${server.url}/?secret`, {
        capture,
        http: { caCerts },
      });
      assertMatch(error.message, /certificate/i);
      assertInstanceOf(error.cause, Error);
      assertEquals(server.heads, []);
      assertEquals(shown(error).includes("HTTP/2"), false, shown(error));
      assertEquals(shown(error).includes("secret"), false, shown(error));
    },
  );
}

each("wss: names the true reason of every failure", async (capture) => {
  const { ca, server: identity } = await certificates();
  const http = { caCerts: [ca] };
  await using server = answers({
    "/401": (peer) => peer.respond("401 Unauthorized"),
    "/426": (peer) => peer.respond("426 Upgrade Required"),
    "/upgrade": (peer) => peer.upgrade({ headers: { Upgrade: "h2c" } }),
    "/gone": (peer) => Promise.resolve(peer.end()),
  }, identity);
  const failures: [string, RegExp][] = [
    [`${server.url}/401`, /HTTP error: 401 Unauthorized$/],
    [`${server.url}/426`, /HTTP error: 426 Upgrade Required$/],
    [`${server.url}/upgrade`, /its Upgrade header is "h2c"/],
    [`${server.url}/gone`, /Cannot connect/],
    [`wss://127.0.0.1:${freePort()}/`, /refused/i],
  ];
  for (const [url, reason] of failures) {
    const error = await refused(url, { capture, http });
    assertMatch(error.message, reason);
    assertEquals(shown(error).includes("HTTP/2"), false, shown(error));
  }
});

each(
  "ws: to a server that speaks TLS, and wss: to one that does not, are refused",
  async (capture) => {
    const { ca, server: identity } = await certificates();
    await using secure = serve(() => new Response(), identity);
    await using plain = serve((request) => accept(request, () => {}));
    for (
      const url of [
        secure.url.replace("wss:", "ws:"),
        plain.url.replace("ws:", "wss:").replace("127.0.0.1", "localhost"),
      ]
    ) {
      const error = await refused(url, { capture, http: { caCerts: [ca] } });
      assertEquals(error.response, undefined);
      assertEquals(shown(error).includes("HTTP/2"), false, shown(error));
    }
  },
);

// --- Proxies ---

interface Proxy extends AsyncDisposable {
  readonly url: string;
  /** The first line of each request. */
  readonly requests: string[];
}

/** A proxy that leads to one port whatever it is asked for. */
function proxyTo(port: number): Proxy {
  const requests: string[] = [];
  const server = rawServer(async (peer) => {
    await peer.readHead();
    const [line = "", ...rest] = peer.head.split("\r\n");
    requests.push(line);
    await peer.conn.read(new Uint8Array(1)); // the last byte of the head
    using target = await Deno.connect({ hostname: "127.0.0.1", port });
    if (peer.method === "CONNECT") {
      await peer.write("HTTP/1.1 200 OK\r\n\r\n");
    } else {
      const { pathname, search } = new URL(peer.target);
      const head = [`GET ${pathname}${search} HTTP/1.1`, ...rest].join("\r\n");
      await target.write(new TextEncoder().encode(head + "\r\n\r\n"));
    }
    await Promise.race([
      peer.conn.readable.pipeTo(target.writable).catch(() => {}),
      target.readable.pipeTo(peer.conn.writable).catch(() => {}),
    ]);
    peer.end();
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    requests,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

each("http.proxy is gone through, for ws: and for wss:", async (capture) => {
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
      http: { proxy: { url: proxy.url }, caCerts: [ca] },
    });
    assertEquals(connection.url, url);
    assertEquals(proxy.requests.length, server.requests.length);
    assertEquals(await connection.recv(), "by proxy");
    await closeWell(connection);
  }
}, NATIVE);

each(
  "a proxy that refuses, or is not there, is a HandshakeError without its credentials",
  async (capture) => {
    const { ca } = await certificates();
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.respond("502 Bad Gateway", "no");
    });
    for (const port of [server.port, freePort()]) {
      for (const url of ["ws://feed.invalid/", "wss://feed.invalid/"]) {
        const error = await refused(url, {
          capture,
          http: {
            proxy: { url: `http://user:secret@127.0.0.1:${port}` },
            caCerts: [ca],
          },
        });
        assertEquals(shown(error).includes("secret"), false, shown(error));
        assertEquals(shown(error).includes("HTTP/2"), false, shown(error));
      }
    }
  },
  NATIVE,
);

// --- Nothing secret in a message ---

each(
  "no message, cause or inspection of an error shows credentials or the query",
  async (capture) => {
    await using server = answers({
      "/404": (peer) =>
        peer.respond("404 Not Found", "", { "Set-Cookie": "x=secret" }),
      "/invalid": (peer) => peer.upgrade({ headers: { Upgrade: "h2c" } }),
      "/garbage": (peer) =>
        peer.write("SSH-2.0\r\n\r\n").then(() => peer.end()),
      "/gone": (peer) => Promise.resolve(peer.end()),
      "/loop": (peer) =>
        peer.respond("302 Found", "", { Location: "/loop?secret" }),
      "/silent": () => Promise.resolve(),
    });
    const urls = [
      ...["/404", "/invalid", "/garbage", "/gone", "/loop", "/silent"]
        .map((path) => `${server.url}${path}`),
      `ws://127.0.0.1:${freePort()}/`,
      "ws://127.0.0.1:6667/",
    ];
    for (const plain of urls) {
      const url = new URL(`${plain}?token=secret`);
      url.username = "the-user";
      url.password = "secret";
      const error = await assertRejects(() =>
        connectWebSocket(url, {
          capture,
          redirect: "follow",
          handshakeTimeout: plain.endsWith("/silent") ? "200ms" : "30s",
          headers: { "X-Key": "secret" },
        })
      );
      const text = shown(error);
      for (const secret of ["secret", "the-user", btoa("the-user:secret")]) {
        assertEquals(text.includes(secret), false, text);
      }
      if (error instanceof HandshakeError) {
        assertEquals(new URL(error.url).username, "");
        assertEquals(new URL(error.url).password, "");
        assertStringIncludes(error.url, "secret"); // the query is kept there
      }
    }
  },
);

each("the body of a refusal is decompressed", async (capture) => {
  const text = "no such feed\n".repeat(1000);
  const stream = new Blob([text]).stream()
    .pipeThrough(new CompressionStream("gzip"));
  const gzip = await new Response(stream).bytes();
  for (const [body, start] of [[gzip, text], [gzip.slice(0, -20), "no such"]]) {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.write(
        "HTTP/1.1 404 Not Found\r\nContent-Encoding: gzip\r\n" +
          `Content-Length: ${body!.length}\r\n\r\n`,
      );
      await peer.write(body!);
      await peer.waitForEnd();
    });
    const { response } = await refused(server.url, { capture });
    const got = await response!.text();
    if (start === text) assertEquals(got, text);
    else assert(got === "" || got.startsWith("no such"), got);
  }
});

each(
  "onRequest is told what each request says before it is sent",
  async (capture) => {
    const told: HandshakeRequest[] = [];
    await using server = rawServer(async (peer) => {
      await upgrade(peer);
      await peer.closeFrame(1000);
      await peer.waitForEnd();
    });
    const [connection] = await connectWebSocket(
      `${server.url.replace("//", "//me:pw@")}/a?b=c`,
      {
        capture,
        protocols: "p",
        headers: { "X-Mine": "1" },
        onRequest: (request) => {
          assert(server.heads.length <= told.length);
          told.push(request);
        },
      },
    );
    assertEquals((await connection.closed).clean, true);
    const socket = capture === "preflight" ? ["socket"] : [];
    const first = capture === "none" ? "socket" : capture;
    assertEquals(told.map(({ source }) => source), [first, ...socket]);
    for (const [index, { url, source, headers }] of told.entries()) {
      assertEquals(url, `${server.url}/a?b=c`);
      const [, ...lines] = server.heads[index]!.split("\r\n");
      const sent = new Headers(
        lines.map((line) => /^(.*?): *(.*)$/.exec(line)!.slice(1, 3)) as [
          string,
          string,
        ][],
      );
      if (source === "socket") sent.delete("sec-websocket-key");
      assertEquals([...headers], [...sent]);
    }
  },
);

each("what onRequest throws ends the handshake", async (capture) => {
  await using server = rawServer(upgrade);
  await assertRejects(
    () =>
      connectWebSocket(server.url, {
        capture,
        onRequest: () => {
          throw new Error("not this one");
        },
      }),
    Error,
    "not this one",
  );
  assertEquals(server.heads, []);
});

Deno.test("every capture there is is tested", () => {
  const all: Record<NonNullable<ConnectOptions["capture"]>, true> = {
    preflight: true,
    direct: true,
    none: true,
  };
  assertEquals([...CAPTURES].sort(), (Object.keys(all) as Capture[]).sort());
});
