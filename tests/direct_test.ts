import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  ConnectionClosedError,
  connectWebSocket,
  HandshakeError,
} from "../mod.ts";
import { certificates } from "./fixtures/certs.ts";
import { acceptKey, frame, type Peer, rawServer } from "./fixtures/raw.ts";
import { eventually, within } from "./fixtures/wait.ts";

const encoder = new TextEncoder();

/** Answers the handshake and then a close frame. */
async function wellBehaved(peer: Peer): Promise<void> {
  await peer.readHead();
  await peer.upgrade();
  await answerClose(peer);
}

async function answerClose(peer: Peer): Promise<void> {
  for (let got; (got = await peer.readFrame()) !== null;) {
    if (got.opcode !== 8) continue;
    await peer.write(frame(8, got.payload));
    return peer.end();
  }
}

Deno.test("direct makes one connection and one request, with nothing of its own in it", async () => {
  await using server = rawServer(wellBehaved);
  const [connection] = await connectWebSocket(
    `${server.url}/a%20b/c?q=1&r=%2F`,
    {
      capture: "direct",
      headers: { "X-Caller": "caf\u00e9", "User-Agent": "mine/1.0" },
      protocols: ["a", "b"],
    },
  );
  await connection.close();
  assertEquals(server.connections, 1);
  assertEquals(server.heads.length, 1);
  const [requestLine, ...lines] = server.heads[0]!.split("\r\n");
  assertEquals(requestLine, "GET /a%20b/c?q=1&r=%2F HTTP/1.1");
  const names = lines.map((line) => line.split(":")[0]!.toLowerCase()).sort();
  assertEquals(names, [
    "accept-encoding",
    "connection",
    "host",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "upgrade",
    "user-agent",
    "x-caller",
  ]);
  const peer = server.peers[0]!;
  assertEquals(peer.header("host"), `127.0.0.1:${server.port}`);
  assertEquals(peer.header("user-agent"), "mine/1.0");
  assertEquals(peer.header("sec-websocket-protocol"), "a, b");
});

Deno.test("direct gives the response of the connection itself, repeated headers and all", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade({
      status: "101 Whatever You Say",
      headers: { "X-Session": `s${peer.index}`, "Sec-WebSocket-Protocol": "b" },
      extra: "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Many: 1\r\nX-Many: 2\r\n",
    });
    await answerClose(peer);
  });
  const [connection, response] = await connectWebSocket(
    `${server.url}/?token=t`,
    {
      capture: "direct",
      protocols: ["a", "b"],
    },
  );
  assertEquals(response.source, "direct");
  assertEquals([response.status, response.statusText], [
    101,
    "Switching Protocols",
  ]);
  assertEquals(response.headers.get("x-session"), "s0");
  assertEquals(response.headers.getSetCookie(), ["a=1", "b=2"]);
  assertEquals(response.headers.get("x-many"), "1, 2");
  assertEquals(response.url, `${server.url}/?token=t`);
  assertEquals(connection.protocol, "b");
  assertEquals(connection.extensions, "");
  assertEquals(await connection.close(), {
    code: 1000,
    reason: "",
    clean: true,
  });
});

Deno.test("direct takes a Connection header that lists more than upgrade", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade({ headers: { Connection: "keep-alive, Upgrade" } });
    await answerClose(peer);
  });
  const [connection] = await connectWebSocket(server.url, {
    capture: "direct",
  });
  assertEquals((await connection.close()).clean, true);
});

const BODIES: [
  name: string,
  head: string,
  parts: (string | Uint8Array)[],
  text: string,
][] = [
  [
    "of a known length",
    "Content-Length: 5\r\n",
    ["he", "llo and more"],
    "hello",
  ],
  [
    "in chunks",
    "Transfer-Encoding: chunked\r\n",
    ["3;x=y\r\nhel\r", "\n2\r\nlo\r\n0\r\n\r\n"],
    "hello",
  ],
  ["until the end of the connection", "", ["hel", "lo"], "hello"],
  ["that is broken off", "Content-Length: 500\r\n", ["hello"], "hello"],
  [
    "with wrong chunks",
    "Transfer-Encoding: chunked\r\n",
    ["2\r\nhe\r\nzz\r\n"],
    "he",
  ],
];
for (const [name, head, parts, text] of BODIES) {
  Deno.test(`direct reads the body of a refusal ${name}`, async () => {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.write(`HTTP/1.1 404 Nope\r\n${head}\r\n`);
      for (const part of parts) await peer.write(part);
      peer.end();
    });
    const error = await assertRejects(
      () => connectWebSocket(server.url, { capture: "direct" }),
      HandshakeError,
      "HTTP error: 404 Not Found",
    );
    assertEquals(await error.response?.text(), text);
    assertEquals(error.response?.source, "direct");
    assertEquals(server.connections, 1);
  });
}

Deno.test("direct takes a response head that is split at every byte", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    const head = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n` +
      `Connection: Upgrade\r\nSec-WebSocket-Accept: ${
        acceptKey(peer.key)
      }\r\n\r\n`;
    for (const byte of encoder.encode(head)) {
      await peer.write(Uint8Array.of(byte));
    }
    await answerClose(peer);
  });
  const [connection] = await connectWebSocket(server.url, {
    capture: "direct",
  });
  assertEquals((await connection.close()).clean, true);
});

Deno.test("direct takes the first frames glued to the head, and 1xx responses before it", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    const head = `HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n` +
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n` +
      `Connection: Upgrade\r\nSec-WebSocket-Accept: ${
        acceptKey(peer.key)
      }\r\n\r\n`;
    const parts = [
      encoder.encode(head),
      frame(1, "one"),
      frame(1, "two"),
      frame(8, ""),
    ];
    await peer.write(
      new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer()),
    );
    await peer.waitForEnd();
  });
  const [connection, response] = await connectWebSocket(server.url, {
    capture: "direct",
  });
  assertEquals(response.headers.has("link"), false);
  assertEquals(await connection.recv(), "one");
  assertEquals(await connection.recv(), "two");
  assertEquals(await connection.recv(), null);
  assertEquals(await connection.closed, {
    code: 1005,
    reason: "",
    clean: true,
  });
});

const HEADS: [name: string, head: string, message: RegExp][] = [
  [
    "too large",
    `HTTP/1.1 101 X\r\nX: ${"x".repeat(70_000)}\r\n\r\n`,
    /larger than 64 KiB/,
  ],
  [
    "of another protocol",
    "SSH-2.0-OpenSSH_9\r\n\r\n",
    /does not begin with an HTTP\/1\.1 status/,
  ],
  [
    "with a header that is none",
    "HTTP/1.1 101 X\r\nno colon\r\n\r\n",
    /malformed header/,
  ],
  ["that breaks off", "HTTP/1.1 101 X\r\nUpgr", /breaks off/],
  ["of HTTP/1.0", "HTTP/1.0 101 X\r\n\r\n", /speaks HTTP\/1\.0/],
];
for (const [name, head, message] of HEADS) {
  Deno.test(`direct refuses a response head ${name}`, async () => {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.write(head);
      peer.end();
    });
    const error = await assertRejects(
      () => connectWebSocket(server.url, { capture: "direct" }),
      HandshakeError,
    );
    assertStringIncludes(error.message, "not a valid upgrade");
    assertMatch(error.message, message);
  });
}

Deno.test("direct gives up on a response head that is never finished", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.write("HTTP/1.1 101 Switching Protocols\r\n");
    await peer.waitForEnd();
  });
  const error = await assertRejects(
    () =>
      connectWebSocket(server.url, {
        capture: "direct",
        handshakeTimeout: "200ms",
      }),
    DOMException,
  );
  assertEquals(error.name, "TimeoutError");
});

Deno.test("direct cuts a peer that never answers a close", async () => {
  const ended = Promise.withResolvers<void>();
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    await peer.waitForEnd();
    ended.resolve();
  });
  const [connection] = await connectWebSocket(server.url, {
    capture: "direct",
    closeTimeout: "100ms",
  });
  assertEquals(await connection.close(), {
    code: 1006,
    reason: "",
    clean: false,
  });
  assertEquals(await connection.recv(), null);
  await within(ended.promise, 5_000, "the server to see the end");
});

Deno.test("direct tells a peer that answers a close without a code from one that hangs up", async () => {
  for (const answer of [Uint8Array.of(0x88, 0), new Uint8Array()]) {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.upgrade();
      await peer.readFrame();
      await peer.write(answer);
      peer.end();
    });
    const [connection] = await connectWebSocket(server.url, {
      capture: "direct",
    });
    const clean = answer.length > 0;
    assertEquals(await connection.close(), {
      code: clean ? 1005 : 1006,
      reason: "",
      clean,
    });
    assertEquals(await connection.recv(), null);
  }
});

Deno.test("direct cuts the connection at once when the signal aborts", async () => {
  const ended = Promise.withResolvers<void>();
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    await peer.send("before");
    await peer.waitForEnd();
    ended.resolve();
  });
  const controller = new AbortController();
  const [connection] = await connectWebSocket(server.url, {
    capture: "direct",
    closeTimeout: "1h",
    signal: controller.signal,
  });
  await eventually(() => connection.buffered.messages === 1, "the message");
  controller.abort(new Error("enough"));
  assertEquals(await connection.recv(), "before");
  await assertRejects(() => connection.recv(), Error, "enough");
  await assertRejects(() => connection.recvBatch(0), Error, "enough");
  assertEquals(await connection.closed, {
    code: 1006,
    reason: "",
    clean: false,
  });
  await within(ended.promise, 5_000, "the server to see the end");
});

Deno.test("direct counts pings as traffic for idleTimeout", async () => {
  let pings = 0;
  const stop = Promise.withResolvers<void>();
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    const pinging = setInterval(() => {
      peer.write(frame(9, "")).catch(() => {});
      if (++pings === 20) {
        clearInterval(pinging);
        stop.resolve();
      }
    }, 50);
    await stop.promise;
    await peer.waitForEnd();
  });
  // 20 pings take twice as long as this
  const [connection] = await connectWebSocket(server.url, {
    capture: "direct",
    idleTimeout: "500ms",
  });
  const error = await assertRejects(
    () => connection.recv(),
    ConnectionClosedError,
  );
  assertEquals([error.code, error.reason, error.clean], [
    1006,
    "idle timeout",
    false,
  ]);
  assertEquals(pings, 20);
  assertEquals((await connection.closed).reason, "idle timeout");
});

/** Sends numbered messages of 1,000 characters until the peer closes, and counts them. */
function flood(sent: { count: number }) {
  return async (peer: Peer) => {
    await peer.readHead();
    await peer.upgrade();
    let closed = false;
    const closing = (async () => {
      for (let got; (got = await peer.readFrame()) !== null;) {
        if (got.opcode === 8) closed = true;
      }
    })();
    while (!closed) await peer.send(`${sent.count++}`.padEnd(1000));
    await peer.closeFrame(1000);
    await closing;
  };
}

Deno.test("direct holds a fast peer back, and loses nothing when it goes on", async () => {
  const sent = { count: 0 };
  await using server = rawServer(flood(sent));
  const [connection] = await connectWebSocket(server.url, {
    capture: "direct",
    maxBuffer: { messages: 400 },
    overflow: "error",
  });
  let last = -1;
  await eventually(() => {
    const stands = sent.count > 400 && sent.count === last;
    last = sent.count;
    return stands;
  }, "the peer to be held back");
  assertEquals(connection.dropped, 0);
  const held = sent.count;
  for (let i = 0; i < held + 10_000; i++) {
    assertEquals(parseInt(await connection.recv() ?? "", 10), i);
  }
  assertEquals((await connection.close()).clean, true);
});

Deno.test("direct completes a close while the feed is held back", async () => {
  const sent = { count: 0 };
  await using server = rawServer(flood(sent));
  const [connection] = await connectWebSocket(server.url, {
    capture: "direct",
    maxBuffer: { messages: 400 },
  });
  await eventually(
    () => connection.buffered.messages > 100,
    "the buffer to fill",
  );
  const { messages } = connection.buffered;
  assertEquals(await connection.close(), {
    code: 1000,
    reason: "",
    clean: true,
  });
  assertEquals((await connection.recvBatch(0)).length, messages);
  assertEquals(await connection.recv(), null);
});

Deno.test("direct does not take being held back for idleness", async () => {
  await using server = rawServer(flood({ count: 0 }));
  const [connection] = await connectWebSocket(server.url, {
    capture: "direct",
    maxBuffer: { messages: 400 },
    idleTimeout: "100ms",
  });
  await eventually(
    () => connection.buffered.messages > 100,
    "the buffer to fill",
  );
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert(
    await Promise.race([connection.closed, true]) === true,
    "it is still open",
  );
  for (let i = 0; i < 2_000; i++) {
    assertEquals(parseInt(await connection.recv() ?? "", 10), i);
  }
  await connection.close();
});

Deno.test("direct speaks TLS with a private CA, a client certificate and ALPN http/1.1", async () => {
  const { ca, server: identity, client } = await certificates();
  await using server = rawServer(wellBehaved, {
    ...identity,
    alpnProtocols: ["h2", "http/1.1"],
  });
  for (const http of [{ caCerts: [ca] }, { caCerts: [ca], ...client }]) {
    const [connection, response] = await connectWebSocket(server.url, {
      capture: "direct",
      http,
    });
    assertEquals(response.status, 101);
    assertEquals((await connection.close()).clean, true);
  }
  const error = await assertRejects(
    () => connectWebSocket(server.url, { capture: "direct" }),
    HandshakeError,
    "certificate",
  );
  assertInstanceOf(error.cause, TypeError);
});

Deno.test("direct reaches an IPv6 literal", async () => {
  await using server = rawServer(wellBehaved, { hostname: "::1" });
  const [connection] = await connectWebSocket(`ws://[::1]:${server.port}/`, {
    capture: "direct",
  });
  assertEquals(server.peers[0]!.header("host"), `[::1]:${server.port}`);
  assertEquals((await connection.close()).clean, true);
});

Deno.test("direct passes messages both ways, whatever their size", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    for (let got; (got = await peer.readFrame()) !== null;) {
      await peer.write(frame(got.opcode, got.payload));
      if (got.opcode === 8) return peer.end();
    }
  });
  const [connection] = await connectWebSocket(server.url, {
    capture: "direct",
    binary: "bytes",
  });
  for (const size of [0, 1, 125, 126, 65_535, 65_536, 5_000_000]) {
    const bytes = new Uint8Array(size).map((_, i) => i % 251);
    await connection.send(bytes);
    assertEquals(await connection.recv(), bytes);
    await connection.send("x".repeat(size));
    assertEquals(await connection.recv(), "x".repeat(size));
  }
  assertEquals(await connection.close(4000, "done"), {
    code: 4000,
    reason: "done",
    clean: true,
  });
});

Deno.test("direct sends the close frame that answers the peer's", async () => {
  const answer = Promise.withResolvers<number>();
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    await peer.closeFrame(4001, "bye");
    answer.resolve((await peer.readFrame())?.opcode ?? -1);
    await peer.waitForEnd();
  });
  const [connection] = await connectWebSocket(server.url, {
    capture: "direct",
  });
  assertEquals(await connection.recv(), null);
  assertEquals(await connection.closed, {
    code: 4001,
    reason: "bye",
    clean: true,
  });
  assertEquals(await answer.promise, 8);
});
