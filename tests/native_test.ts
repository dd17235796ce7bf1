/**
 * Where the captures "preflight" and "none" connect to, and what they say where
 * Deno's own requests are the reason of a refusal.
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { connectWebSocket, HandshakeError } from "@wstap/wstap";
import { greet, NATIVE, native } from "./fixtures/captures.ts";
import { certificates } from "./fixtures/certs.ts";
import { runClient } from "./fixtures/client.ts";
import { testsWith } from "./fixtures/installed.ts";
import { hasNode, nodeServer } from "./fixtures/node.ts";
import { rawServer } from "./fixtures/raw.ts";
import { hasUnixSockets, unixSocket } from "./fixtures/unix.ts";

// --- http.address ---

native.test("http.address leads a ws: URL to another host and port, and Host stays the URL's", async (capture) => {
  await using server = rawServer(greet);
  const [connection, response] = await connectWebSocket(
    "ws://feed.invalid:8080/x?y",
    {
      capture,
      headers: { Authorization: "Bearer x" },
      http: { address: { hostname: "127.0.0.1", port: server.port } },
    },
  );
  assertEquals(response.url, "ws://feed.invalid:8080/x?y");
  assertEquals(await connection.recv(), "hello");
  await connection.close();
  for (const peer of server.peers) {
    assertEquals(peer.header("host"), "feed.invalid:8080");
    assertEquals(peer.header("authorization"), "Bearer x");
  }
});

for (const capture of NATIVE) {
  Deno.test({
    name: `http.address leads a ws: URL to a Unix socket (${capture})`,
    ignore: !hasUnixSockets,
    async fn() {
      await using server = rawServer(greet);
      await using socket = await unixSocket(server.port);
      const [connection] = await connectWebSocket("ws://feed.invalid/x", {
        capture,
        http: { address: { path: socket.path } },
      });
      assertEquals(await connection.recv(), "hello");
      await connection.close();
      for (const peer of server.peers) {
        assertEquals(peer.header("host"), "feed.invalid");
      }
    },
  });
}

native.test("http.address takes no server for the feed that cannot be it, and says why it may have refused", async (capture) => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.respond("404 Not Found");
    peer.end();
  });
  const error = await assertRejects(
    () =>
      connectWebSocket("ws://feed.invalid/x", {
        capture,
        http: { address: { hostname: "127.0.0.1", port: server.port } },
      }),
    HandshakeError,
  );
  assertMatch(
    error.message,
    /HTTP error: 404 Not Found: .* whole URL at http\.address.*capture "direct"/,
  );
});

native.test("http.address with a wss: URL is a TypeError, and nothing is sent", async (capture) => {
  await using server = rawServer(greet);
  await assertRejects(
    () =>
      connectWebSocket("wss://feed.invalid/x", {
        capture,
        headers: { Authorization: "Bearer secret" },
        http: { address: { hostname: "127.0.0.1", port: server.port } },
      }),
    TypeError,
    'Cannot use http.address for a wss: URL: Deno\'s HTTP client would not encrypt; choose capture "direct"',
  );
  assertEquals(server.connections, 0);
});

native.test("a redirect to wss: is a TypeError where http.address leads", async (capture) => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.respond("302 Found", "", { Location: "wss://feed.invalid/" });
    peer.end();
  });
  const reached = () => server.connections;
  await assertRejects(
    () =>
      connectWebSocket("ws://feed.invalid/", {
        capture,
        redirect: "follow",
        http: { address: { hostname: "127.0.0.1", port: server.port } },
      }),
    TypeError,
    "http.address",
  );
  assertEquals(reached(), capture === "none" ? 2 : 1);
});

// --- A proxy that refuses ---

for (
  const [scheme, status, message] of [
    ["wss", "403 Forbidden", /the proxy 127.* did not open a tunnel/],
    ["wss", "407 X", /the proxy 127.* did not (accept|open)/],
    ["ws", "407 X", /407 .*: the proxy 127.* answered, not the server$/],
  ] as const
) {
  native.test(`a proxy that answers ${status} to a ${scheme}: handshake is named`, async (capture) => {
    await using proxy = rawServer(async (peer) => {
      await peer.readHead();
      await peer.respond(status);
      peer.end();
    });
    const { port } = proxy;
    const error = await assertRejects(
      () =>
        connectWebSocket(`${scheme}://feed.invalid/?secret`, {
          capture,
          http: { proxy: { url: `http://me:hidden@127.0.0.1:${port}` } },
        }),
      HandshakeError,
    );
    assertMatch(error.message, message);
    assert(!/secret|hidden/.test(Deno.inspect(error)), error.message);
    if (scheme === "wss") assertEquals(error.by, "proxy");
    if (status.startsWith("407")) assertEquals(error.transient, false);
  });
}

// --- NO_PROXY ---

for (const option of ["proxy", "address"] as const) {
  native.test(`http.${option} that NO_PROXY would bypass is a TypeError, and nothing is connected to`, async (capture) => {
    await using server = rawServer(greet);
    await using other = rawServer(greet);
    const http = option === "proxy"
      ? { proxy: { url: `http://127.0.0.1:${other.port}` } }
      : { address: { hostname: "127.0.0.1", port: other.port } };
    const { error } = await runClient(
      {
        url: `ws://127.0.0.1:${server.port}/`,
        options: { capture, http },
      },
      ["-A"],
      { NO_PROXY: "127.0.0.1" },
    );
    assertMatch(
      error,
      new RegExp(
        `^TypeError: Cannot use http\\.${option} for 127.*NO_PROXY.*"direct"`,
      ),
    );
    assertEquals([server.connections, other.connections], [0, 0]);
  });
}

// --- What Deno's own requests are the reason of ---

native.test("a refusal behind an HTTP proxy says that the proxy is in between, and names direct", async (capture) => {
  // As proxies do, it passes the request on without Upgrade, and the answer back.
  await using proxy = rawServer(async (peer) => {
    await peer.readHead();
    assertStringIncludes(peer.target, "http://feed.invalid/x");
    await peer.respond("426 Upgrade Required", "use a WebSocket");
    peer.end();
  });
  const address = `127.0.0.1:${proxy.port}`;
  const error = await assertRejects(
    () =>
      connectWebSocket("ws://feed.invalid/x?secret", {
        capture,
        http: { proxy: { url: `http://user:secret@${address}` } },
      }),
    HandshakeError,
  );
  assertEquals(
    error.message,
    "Cannot connect to ws://feed.invalid/x: HTTP error: 426 Upgrade Required: " +
      `the proxy ${address} is in between, and may not have passed on the upgrade; ` +
      'capture "direct" opens a tunnel through it',
  );
  assertEquals(error.response?.status, 426);
  assertEquals(error.transient, false);
});

native.test("a refusal that is the server's own says nothing of a proxy", async (capture) => {
  await using proxy = rawServer(async (peer) => {
    await peer.readHead();
    await peer.respond("403 Forbidden");
    peer.end();
  });
  const error = await assertRejects(
    () =>
      connectWebSocket("ws://feed.invalid/x", {
        capture,
        http: { proxy: { url: `http://127.0.0.1:${proxy.port}` } },
      }),
    HandshakeError,
  );
  assertMatch(error.message, /HTTP error: 403 Forbidden$/);
});

for (const secure of [false, true]) {
  native.test(`a socket that is refused for its second User-Agent is not tried again, and the message says why (${secure ? "wss" : "ws"}:)`, async (capture) => {
    const { ca, server: identity } = await certificates();
    // As aiohttp does.
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      const count = peer.head.match(/^user-agent:/gim)?.length;
      if (count === 1) await peer.upgrade();
      else await peer.respond("400 Bad Request", "Duplicate 'User-Agent'");
      await peer.waitForEnd();
      peer.end();
    }, secure ? identity : undefined);
    const error = await assertRejects(
      () =>
        connectWebSocket(server.url, {
          capture,
          headers: { "user-agent": "mine/1.0" },
          http: { caCerts: [ca] },
        }),
      HandshakeError,
    );
    assertMatch(
      error.message,
      /HTTP error: 400 Bad Request: Deno's WebSocket sends its own User-Agent beside .*capture "direct"$/,
    );
    assertEquals(await error.response?.text(), "Duplicate 'User-Agent'");
    assertEquals(error.transient, false);
  });
}

// --- Time ---

const withNode = testsWith("Node", hasNode);

for (const capture of NATIVE) {
  withNode(
    `a wss: connection waits for no delayed acknowledgement (${capture})`,
    async () => {
      const { ca, server: identity } = await certificates();
      await using server = await nodeServer(identity);
      // Each took 47 ms where the socket resumed the pre-flight's session.
      for (let i = 0, shortest = Infinity; shortest >= 40; i++) {
        assert(i < 100, `${shortest} ms`);
        const start = performance.now();
        const [connection] = await connectWebSocket(server.url, {
          capture,
          http: { caCerts: [ca] },
        });
        shortest = Math.min(shortest, performance.now() - start);
        await connection.close();
      }
    },
  );
}
