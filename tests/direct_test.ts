/** What only our own socket does; contract_test.ts has what all of them do. */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertRejects,
} from "@std/assert";
import {
  ConnectionClosedError,
  type ConnectOptions,
  connectWebSocket,
  HandshakeError,
} from "@wstap/wstap";
import {
  answerClose,
  greet,
  link,
  takeClose,
  test,
  upgrade,
} from "./fixtures/captures.ts";
import { certificates } from "./fixtures/certs.ts";
import { spawnServer } from "./fixtures/child.ts";
import { runClient } from "./fixtures/client.ts";
import { acceptKey, frame, type Peer, rawServer } from "./fixtures/raw.ts";
import {
  delay,
  eventually,
  staysPending,
  untilStill,
  within,
} from "./fixtures/wait.ts";

const encode = (text: string) => new TextEncoder().encode(text);

const direct = { capture: "direct" } as const;

/** A valid answer to the handshake. */
const head101 = (peer: Peer) =>
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" +
  `Connection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey(peer.key)}\r\n\r\n`;

// --- The handshake ---

test("direct makes one connection and one request, with nothing of its own in it", async () => {
  await using server = rawServer(greet);
  const [connection] = await connectWebSocket(
    `${server.url}/a%20b/c?q=1&r=%2F`,
    { ...direct, headers: { "X-Caller": "caf\u00e9" }, protocols: ["a", "b"] },
  );
  await connection.close();
  assertEquals(server.connections, 1);
  const [requestLine, ...lines] = server.heads[0]!.split("\r\n");
  assertEquals(requestLine, "GET /a%20b/c?q=1&r=%2F HTTP/1.1");
  const names = lines.map((line) => line.split(":")[0]!.toLowerCase()).sort();
  assertEquals(names, [
    ...["accept-encoding", "connection", "host", "sec-websocket-key"],
    ...["sec-websocket-protocol", "sec-websocket-version", "upgrade"],
    ...["user-agent", "x-caller"],
  ]);
  assertEquals(server.peers[0]!.header("sec-websocket-protocol"), "a, b");
});

test("direct gives the response of the connection itself, repeated headers and all", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade({
      status: "101 Whatever You Say",
      headers: { "X-Session": `s${peer.index}` },
      extra: "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Many: 1\r\nX-Many: 2\r\n",
    });
    await answerClose(peer);
  });
  const [connection, response] = await connectWebSocket(server.url, direct);
  assertEquals(response.source, "direct");
  assertEquals(response.statusText, "Switching Protocols");
  assertEquals(response.headers.get("x-session"), "s0");
  assertEquals(response.headers.getSetCookie(), ["a=1", "b=2"]);
  assertEquals(response.headers.get("x-many"), "1, 2");
  await connection.close();
});

test("direct takes a head that is split at every byte, 1xx responses before it, and frames glued to it", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    if (peer.target === "/split") {
      for (const byte of encode(head101(peer))) {
        await peer.write(Uint8Array.of(byte));
      }
    } else {
      const hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
      const parts = [encode(hints + head101(peer)), frame(1, "glued")];
      await peer.write(await new Blob(parts).bytes());
    }
    await answerClose(peer);
    peer.end();
  });
  for (const path of ["/split", "/glued"]) {
    const [connection, response] = await connectWebSocket(
      server.url + path,
      direct,
    );
    assertEquals(response.headers.has("link"), false);
    if (path === "/glued") assertEquals(await connection.recv(), "glued");
    assertEquals((await connection.close()).clean, true);
  }
});

type Body = [name: string, head: string, parts: string[], text: string];

const LENGTH = "Content-Length: 5\r\n";
const CHUNKED = "Transfer-Encoding: chunked\r\n";
const CHUNKS = ["3;x=y\r\nhel\r", "\n2\r\nlo\r\n0\r\n\r\n"];

const LARGE = `5000\r\n${"x".repeat(0x5000)}\r\n0\r\n\r\n`;

const BODIES: Body[] = [
  ["of a known length", LENGTH, ["he", "llo and more"], "hello"],
  ["that is broken off", LENGTH, ["hel"], "hel"],
  ["in chunks", CHUNKED, CHUNKS, "hello"],
  ["in a chunk of several reads", CHUNKED, [LARGE], "x".repeat(0x5000)],
  ["with wrong chunks", CHUNKED, ["2\r\nhe\r\nzz\r\n"], "he"],
  ["until the end of the connection", "", ["hel", "lo"], "hello"],
];

for (const [name, head, parts, text] of BODIES) {
  test(`direct reads the body of a refusal ${name}`, async () => {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.write(`HTTP/1.1 404 Nope\r\n${head}\r\n`);
      for (const part of parts) await peer.write(part);
      peer.end();
    });
    const error = await assertRejects(
      () => connectWebSocket(server.url, direct),
      HandshakeError,
      "HTTP error: 404 Not Found",
    );
    assertEquals(await error.response?.text(), text);
    assertEquals(error.response?.source, "direct");
    assertEquals(server.connections, 1);
  });
}

// --- The end ---

test("direct cuts a peer that never answers a close, and at once where the signal aborts", async () => {
  for (const aborted of [false, true]) {
    const ended = Promise.withResolvers<void>();
    await using server = rawServer(async (peer) => {
      await upgrade(peer);
      await peer.waitForEnd();
      ended.resolve();
    });
    const controller = new AbortController();
    const [connection] = await connectWebSocket(server.url, {
      ...direct,
      closeTimeout: aborted ? "1h" : "100ms",
      signal: controller.signal,
    });
    if (aborted) controller.abort();
    else await connection.close();
    assertEquals((await connection.closed).clean, false);
    await within(ended.promise, 60_000, "the server to see the end");
  }
});

test("direct cuts a peer that reads nothing while a send waits", async () => {
  for (const aborted of [false, true]) {
    const controller = new AbortController();
    await using it = await link("direct", {
      closeTimeout: "100ms",
      signal: controller.signal,
    });
    const chunk = new Uint8Array(512 * 1024);
    let waiting;
    do {
      waiting = it.connection.send(chunk);
      waiting.catch(() => {});
    } while (!await staysPending(waiting));
    if (aborted) controller.abort();
    else it.connection.close();
    const end = await within(it.connection.closed, 60_000, "the end");
    assertEquals(end, { code: 1006, reason: "", clean: false });
    await assertRejects(() => waiting, ConnectionClosedError);
  }
});

test("direct keeps no process alive whose peer never answers a close", async () => {
  await using server = rawServer(async (peer) => {
    await upgrade(peer);
    await peer.send("hello");
    await peer.waitForEnd();
  });
  const options = { ...direct, closeTimeout: "100ms" };
  const order = { url: server.url, options };
  const { message, error } = await runClient(order, ["--allow-net"]);
  assertEquals([message, error], ["hello", ""]);
});

test("direct sends the close frame that answers the peer's, and lets the peer end TCP first", async () => {
  for (const ends of [true, false]) {
    await using it = await link("direct");
    const start = performance.now();
    await it.peer.closeFrame(4001, "bye");
    assertEquals(await it.connection.recv(), null);
    assertEquals((await takeClose(it.peer)).code, 4001);
    // RFC 6455 section 7.1.1: what is still under way reaches it.
    if (ends) await it.peer.conn.closeWrite();
    await it.peer.waitForEnd();
    if (!ends) assertGreaterOrEqual(performance.now() - start, 240);
  }
});

test("direct ends TCP by itself where the peer does not", async () => {
  await using it = await link("direct");
  await it.peer.closeFrame(1000);
  await takeClose(it.peer);
  await within(it.peer.waitForEnd(), 60_000, "the end of TCP");
});

const VIOLATIONS: [what: string, bytes: Uint8Array, code: number][] = [
  ["a reserved bit", frame(1, "x", { rsv: 4 }), 1002],
  ["a masked frame", frame(1, "x", { mask: true }), 1002],
  ["text that is not UTF-8", frame(1, new Uint8Array([0xff])), 1007],
  ["a message over 64 MiB", frame(2, "", { length: 2 ** 26 + 1 }), 1009],
];

for (const [what, bytes, code] of VIOLATIONS) {
  test(`direct answers ${what} with the close code ${code}`, async () => {
    await using it = await link("direct");
    await it.peer.write(bytes);
    assertEquals((await takeClose(it.peer)).code, code);
    assertEquals((await it.connection.closed).code, 1006);
  });
}

test("direct answers a ping with its payload", async () => {
  await using it = await link("direct");
  await it.peer.write(frame(9, "payload"));
  const { opcode, payload } = (await it.peer.readFrame())!;
  assertEquals([opcode, payload], [10, encode("payload")]);
});

test("direct tells a peer that answers a close without a code from one that hangs up", async () => {
  for (const clean of [true, false]) {
    await using it = await link("direct");
    const closed = it.connection.close();
    await takeClose(it.peer);
    if (clean) await it.peer.closeFrame();
    it.peer.end();
    const code = clean ? 1005 : 1006;
    assertEquals(await closed, { code, reason: "", clean });
    assertEquals(await it.connection.recv(), null);
  }
});

// --- Back-pressure ---

/** Sends numbered messages of 1,000 characters until the peer closes, and counts them. */
function flood(sent: { count: number }) {
  return async (peer: Peer) => {
    await upgrade(peer);
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

/** Connects to a server that floods, with room for 100 messages, and waits until they are there. */
async function connectUntilFull(
  url: string,
  options: Pick<ConnectOptions, "overflow" | "idleTimeout"> = {},
) {
  const [connection] = await connectWebSocket(url, {
    ...options,
    ...direct,
    maxBuffer: { messages: 400 },
  });
  await eventually(
    () => connection.buffered.messages > 100,
    "the buffer to fill",
  );
  return connection;
}

for (const overflow of ["error", "drop-oldest"] as const) {
  test(`direct holds a fast peer back and loses nothing, whatever overflow says (${overflow})`, async () => {
    const sent = { count: 0 };
    await using server = rawServer(flood(sent));
    const connection = await connectUntilFull(server.url, { overflow });
    await untilStill(() => sent.count, "the peer to be held back");
    // Past its mark by no more than one read and one message.
    const { messages } = connection.buffered;
    assert(messages <= 100 + 512 * 1024 / 1000 + 1);
    const held = sent.count;
    for (let i = 0; i < held + 2_000; i++) {
      assertEquals(parseInt(await connection.recv() ?? "", 10), i);
    }
    assertEquals(connection.dropped, 0);
    assertEquals((await connection.close()).clean, true);
  });
}

test("direct notices the end of a feed that it holds back once messages are received", async () => {
  const count = 5_000;
  await using server = rawServer(async (peer) => {
    await upgrade(peer);
    for (let i = 0; i < count; i++) await peer.send(`${i}`.padEnd(1000));
    await peer.closeFrame(1000);
    await peer.waitForEnd();
  });
  const connection = await connectUntilFull(server.url);
  assertEquals(await Promise.race([connection.closed, delay(200)]), undefined);
  for (let i = 0; i < count; i++) {
    assertEquals(parseInt(await connection.recv() ?? "", 10), i);
  }
  assertEquals(await connection.recv(), null);
  assertEquals((await connection.closed).clean, true);
});

test("direct completes a close while the feed is held back", async () => {
  const sent = { count: 0 };
  await using server = rawServer(flood(sent));
  const connection = await connectUntilFull(server.url);
  const { messages } = connection.buffered;
  assertEquals((await connection.close()).clean, true);
  assertEquals((await connection.recvBatch(0)).length, messages);
  assertEquals(await connection.recv(), null);
});

test("direct does not take being held back for idleness", async () => {
  await using server = rawServer(flood({ count: 0 }));
  const connection = await connectUntilFull(server.url, {
    idleTimeout: "500ms",
  });
  await delay(1000);
  assert(
    await Promise.race([connection.closed, true]) === true,
    "it is still open",
  );
  for (let i = 0; i < 2_000; i++) {
    assertEquals(parseInt(await connection.recv() ?? "", 10), i);
  }
  await connection.close();
});

test("direct counts the time of idleness from the moment at which it reads on", async () => {
  await using server = rawServer(async (peer) => {
    await upgrade(peer);
    for (let i = 0; i < 101; i++) await peer.send("x");
    await peer.waitForEnd();
  });
  const connection = await connectUntilFull(server.url, {
    idleTimeout: "700ms",
  });
  await delay(1200);
  assertEquals((await connection.recvBatch(0)).length, 101);
  const start = performance.now();
  const { reason } = await connection.closed;
  assertEquals(reason, "idle timeout");
  assert(performance.now() - start > 600);
});

test("direct asks for http/1.1 by ALPN, and trusts no authority but the usual ones unasked", async () => {
  const { ca, server: identity } = await certificates();
  const chosen: (string | null)[] = [];
  await using server = rawServer(async (peer) => {
    const { alpnProtocol } = await (peer.conn as Deno.TlsConn).handshake();
    chosen.push(alpnProtocol);
    await greet(peer);
  }, { ...identity, alpnProtocols: ["h2", "http/1.1"] });
  const [connection] = await connectWebSocket(server.url, {
    ...direct,
    http: { caCerts: [ca] },
  });
  await connection.close();
  assertEquals(chosen, ["http/1.1"]);
  await assertRejects(
    () => connectWebSocket(server.url, direct),
    HandshakeError,
    "certificate",
  );
});

test("direct reaches an IPv6 literal", async () => {
  await using server = rawServer(greet, { hostname: "::1" });
  const [connection] = await connectWebSocket(`ws://[::1]:${server.port}/`, {
    capture: "direct",
  });
  assertEquals(server.peers[0]!.header("host"), `[::1]:${server.port}`);
  assertEquals((await connection.close()).clean, true);
});

test("direct lets timers fire while a feed never pauses and nobody waits for anything else", async () => {
  await using server = await spawnServer("raw");
  const count = 100_000;
  const url = `${server.url}/?n=${count}&size=100`;
  const [connection] = await connectWebSocket(url, direct);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const start = performance.now();
  let received = 0;
  for await (const _ of connection) received++;
  clearInterval(timer);
  const milliseconds = performance.now() - start;
  assertEquals(received, count);
  assert(ticks > milliseconds / 300, `${ticks} ticks in ${milliseconds} ms`);
});
