import {
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { connectWebSocket, HandshakeError } from "@wstap/wstap";
import { answerClose, native, test, upgrade } from "./fixtures/captures.ts";
import { certificates } from "./fixtures/certs.ts";
import { spawnServer } from "./fixtures/child.ts";
import { type Peer, rawServer, type RawServerOptions } from "./fixtures/raw.ts";
import { eventually } from "./fixtures/wait.ts";

/** Answers each connection as its number says; the last one for all that follow. */
function inTurn(
  turns: ((peer: Peer) => Promise<void>)[],
  options?: RawServerOptions,
) {
  return rawServer(async (peer) => {
    await peer.readHead();
    await turns[Math.min(peer.index, turns.length - 1)]!(peer);
  }, options);
}

async function accepts(peer: Peer): Promise<void> {
  await peer.upgrade();
  await answerClose(peer).catch(() => {}); // a pre-flight sends none
  peer.end();
}

const refuses = (peer: Peer) =>
  peer.respond("503 Service Unavailable", "one at a time");

test("a pre-flight asks for an upgrade as RFC 6455 says, and is released before the socket is used", async () => {
  await using server = rawServer(upgrade);
  const [connection, response] = await connectWebSocket(`${server.url}/x?y`, {
    protocols: ["b", "a"],
  });
  assertEquals(response.source, "preflight");
  assertEquals(server.connections, 2);
  const [preflight, socket] = server.peers as [Peer, Peer];
  assertEquals([preflight.method, preflight.target], ["GET", "/x?y"]);
  const expected = {
    "host": `127.0.0.1:${server.port}`,
    "upgrade": "websocket",
    "connection": "upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-protocol": "b, a",
    "accept-encoding": "identity",
  };
  for (const [name, value] of Object.entries(expected)) {
    assertEquals(preflight.header(name)?.toLowerCase(), value);
  }
  assertEquals(atob(preflight.key).length, 16);
  assertNotEquals(preflight.key, socket.key);

  await preflight.waitForEnd();
  await connection.send("alive");
  const frame = await socket.readFrame();
  assertEquals(frame?.payload, new TextEncoder().encode("alive"));
  socket.end();
  await connection.closed;
});

test("a pre-flight leaves no connection in a pool", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.respond("404 Not Found", "", { Connection: "keep-alive" });
  });
  for (let i = 0; i < 3; i++) {
    await assertRejects(() => connectWebSocket(server.url), HandshakeError);
  }
  assertEquals(server.connections, 3);
  for (const peer of server.peers) await peer.waitForEnd();
});

test("a socket that is refused after an accepted pre-flight is tried once more, after 100 ms", async () => {
  const times: number[] = [];
  const timed = (turn: (peer: Peer) => Promise<void>) => (peer: Peer) => {
    times.push(performance.now());
    return turn(peer);
  };
  await using server = inTurn([accepts, timed(refuses), timed(accepts)]);
  const [connection, response] = await connectWebSocket(server.url);
  assertEquals(response.status, 101);
  assertEquals(server.connections, 3);
  assertGreaterOrEqual(times[1]! - times[0]!, 95);
  await connection.close();
});

native.test("a socket that is refused for good: one more pre-flight finds the reason", async (capture) => {
  const { ca, server: identity } = await certificates();
  const sockets = capture === "none" ? [refuses] : [accepts, refuses, refuses];
  for (const secure of [false, true]) {
    for (const last of [refuses, accepts]) {
      const turns = [...sockets, last];
      await using server = inTurn(turns, secure ? identity : {});
      const http = { caCerts: [ca] };
      const error = await assertRejects(
        () => connectWebSocket(server.url, { capture, http }),
        HandshakeError,
        last === refuses
          ? "HTTP error: 503 Service Unavailable"
          : "the server accepted the pre-flight and refused the socket",
      );
      assertEquals(
        await error.response?.text(),
        last === refuses ? "one at a time" : undefined,
      );
      assertEquals(server.connections, turns.length);
      const shown = Deno.inspect(error, { depth: 10 });
      assertEquals(shown.includes("HTTP/2"), false, shown);
      // Over plain TCP the native socket's words say more.
      if (!secure) assertStringIncludes(error.message, "503");
    }
  }
});

test("a socket is not tried again past handshakeTimeout", async () => {
  await using server = inTurn([accepts, refuses]);
  const error = await assertRejects(
    () => connectWebSocket(server.url, { handshakeTimeout: "60ms" }),
    DOMException,
  );
  assertEquals(error.name, "TimeoutError");
  assertLess(server.connections, 3);
});

test("a subprotocol that the pre-flight has and the socket has not, is the socket's to say", async () => {
  const headers = { "Sec-WebSocket-Protocol": "a" };
  await using server = inTurn([(peer) => peer.upgrade({ headers }), accepts]);
  const [connection, response] = await connectWebSocket(server.url, {
    protocols: "a",
  });
  assertEquals(response.headers.get("sec-websocket-protocol"), "a");
  assertEquals(connection.protocol, "");
  await connection.close();
});

test("a subprotocol or an extension that only the socket's answer has is refused, too", async () => {
  const answers: [Record<string, string>, string][] = [
    [{ "Sec-WebSocket-Protocol": "b" }, `the subprotocol "b"`],
    [{ "Sec-WebSocket-Extensions": "x" }, `the extension "x"`],
  ];
  for (const [headers, message] of answers) {
    await using server = inTurn([
      accepts,
      (peer) => peer.upgrade({ headers }),
    ]);
    await assertRejects(
      () => connectWebSocket(server.url, { protocols: "a" }),
      HandshakeError,
      message,
    );
    await server.peers[1]!.conn.closeWrite();
    await server.peers[1]!.waitForEnd();
  }
});

test("200 connects in a row succeed where one connection is allowed at a time", async () => {
  await using server = await spawnServer("ws", ["--max-live", "1"]);
  const count = (type: string) =>
    server.events.filter((event) => event.type === type).length;
  for (let i = 0; i < 200; i++) {
    const [connection, response] = await connectWebSocket(`${server.url}/echo`);
    assertEquals(response.status, 101);
    await connection.send(`${i}`);
    assertEquals(await connection.recv(), `${i}`);
    assertEquals((await connection.close()).clean, true);
    // What the server has not noticed the end of still counts there.
    await eventually(
      () => count("open") >= 2 * i + 2 && count("open") === count("close"),
      "the server's end of the connection",
    );
  }
  assertEquals(count("open"), 400);
});
