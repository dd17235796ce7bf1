import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { connectWebSocket, HandshakeError } from "@wstap/wstap";
import { answerClose, test } from "./fixtures/captures.ts";
import { certificates } from "./fixtures/certs.ts";
import { spawnServer } from "./fixtures/child.ts";
import { rawServer } from "./fixtures/raw.ts";

test("capture none makes one connection, and its response is what the socket knows", async () => {
  for (const protocol of ["a", null]) {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      const headers = { "Sec-WebSocket-Protocol": protocol, "X-One": "1" };
      await peer.upgrade({ headers });
      await answerClose(peer);
      peer.end();
    });
    const [connection, response] = await connectWebSocket(`${server.url}/x?y`, {
      capture: "none",
      protocols: ["b", "a"],
    });
    assertEquals(server.connections, 1);
    assertEquals(response.source, "socket");
    assertEquals(
      [...response.headers],
      protocol === null ? [] : [["sec-websocket-protocol", protocol]],
    );
    assertEquals(response.contentLength, null);
    assertEquals(connection.protocol, protocol ?? "");
    await connection.close();
  }
});

for (const secure of [false, true]) {
  const scheme = secure ? "wss:" : "ws:";

  test(`capture none asks once more when it fails, to learn why (${scheme})`, async () => {
    const { ca, server: identity } = await certificates();
    for (const accepted of [false, true]) {
      await using server = rawServer(async (peer) => {
        await peer.readHead();
        if (accepted && peer.index === 1) await peer.upgrade();
        else await peer.respond("401 Unauthorized", "who are you");
      }, secure ? identity : {});
      const http = { caCerts: [ca] };
      const error = await assertRejects(
        () => connectWebSocket(server.url, { capture: "none", http }),
        HandshakeError,
        accepted
          ? "the server accepted the pre-flight and refused the socket"
          : "HTTP error: 401 Unauthorized",
      );
      assertEquals(server.connections, 2);
      const shown = Deno.inspect(error, { depth: 10 });
      assertEquals(shown.includes("HTTP/2"), false, shown);
      assertEquals(
        await error.response?.text(),
        accepted ? undefined : "who are you",
      );
      // Over plain TCP the native socket's words say more.
      if (!secure) assertStringIncludes(error.message, "401");
    }
  });
}

test("capture none works where a token is good for one connection", async () => {
  await using server = await spawnServer("ws", [
    ...["--max-live", "1", "--single-use-token"],
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
