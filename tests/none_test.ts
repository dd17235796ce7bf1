import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { connectWebSocket, HandshakeError } from "@wstap/wstap";
import { upgrade } from "./fixtures/captures.ts";
import { certificates } from "./fixtures/certs.ts";
import { spawnServer } from "./fixtures/child.ts";
import { type Peer, rawServer } from "./fixtures/raw.ts";

const accepts = (peer: Peer) => peer.upgrade();
const refuses = (peer: Peer) => peer.respond("401 Unauthorized", "who are you");

Deno.test("capture none makes one connection, and its response is what the socket knows", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade({
      headers: { "Sec-WebSocket-Protocol": "a", "X-One": "1" },
    });
  });
  const [connection, response] = await connectWebSocket(`${server.url}/x?y`, {
    capture: "none",
    protocols: ["b", "a"],
  });
  assertEquals(server.connections, 1);
  assertEquals(response.source, "socket");
  assertEquals(response.status, 101);
  assertEquals(response.statusText, "Switching Protocols");
  assertEquals(response.url, `${server.url}/x?y`);
  assertEquals([...response.headers], [["sec-websocket-protocol", "a"]]);
  assertEquals(response.contentLength, null);
  assertEquals(await response.text(), "");
  server.peers.at(-1)!.end();
  await connection.closed;
});

Deno.test("capture none shows no header where no subprotocol was chosen", async () => {
  await using server = rawServer(upgrade);
  const [connection, response] = await connectWebSocket(server.url, {
    capture: "none",
  });
  assertEquals([...response.headers], []);
  server.peers.at(-1)!.end();
  await connection.closed;
});

Deno.test("capture none asks once more when it fails, to learn why", async () => {
  for (const secure of [false, true]) {
    const { ca, server: identity } = await certificates();
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await refuses(peer);
    }, secure ? identity : {});
    const error = await assertRejects(
      () =>
        connectWebSocket(server.url, {
          capture: "none",
          http: { caCerts: [ca] },
        }),
      HandshakeError,
      "HTTP error: 401 Unauthorized",
    );
    assertEquals(server.connections, 2);
    assertEquals(error.response?.source, "preflight");
    assertEquals(await error.response?.text(), "who are you");
  }
});

Deno.test("capture none says so when the second request is accepted", async () => {
  for (const secure of [false, true]) {
    const { ca, server: identity } = await certificates();
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await (peer.index === 0 ? refuses : accepts)(peer);
    }, secure ? identity : {});
    const error = await assertRejects(
      () =>
        connectWebSocket(server.url, {
          capture: "none",
          http: { caCerts: [ca] },
        }),
      HandshakeError,
      "the server accepted the pre-flight and refused the socket",
    );
    assertEquals(error.response, undefined);
    const shown = Deno.inspect(error, { depth: 10 });
    assertEquals(shown.includes("HTTP/2"), false, shown);
    // Over plain TCP the native socket's words say more.
    if (!secure) assertStringIncludes(error.message, "401");
  }
});

Deno.test("capture none does not look at Sec-WebSocket-Accept, as the native socket does not", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade({ headers: { "Sec-WebSocket-Accept": "wrong" } });
  });
  const [connection] = await connectWebSocket(server.url, { capture: "none" });
  server.peers.at(-1)!.end();
  await connection.closed;
});

Deno.test("capture none works where a token is good for one connection", async () => {
  await using server = await spawnServer("ws", [
    ...["--max-live", "1"],
    "--single-use-token",
  ]);
  const [connection, response] = await connectWebSocket(
    `${server.url}/echo?ticket=one`,
    { capture: "none" },
  );
  assertEquals(response.status, 101);
  await connection.send("x");
  assertEquals(await connection.recv(), "x");
  await connection.close();
});
