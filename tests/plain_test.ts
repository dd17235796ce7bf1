import { assertEquals } from "@std/assert";
import { connectWebSocket, type WebSocketConnection } from "@wstap/wstap";
import { answerClose, test } from "./fixtures/captures.ts";
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

for (
  const [loop, received] of [
    ["recv()", async (connection: WebSocketConnection) => {
      let count = 0;
      while (await connection.recv() !== null) count++;
      return count;
    }],
    ["for await", async (connection: WebSocketConnection) => {
      let count = 0;
      for await (const _ of connection) count++;
      return count;
    }],
  ] as const
) {
  test(`a loop of ${loop} is not left behind by a feed that never pauses`, async () => {
    await using server = await spawnServer("raw");
    const [connection] = await connectWebSocket(
      `${server.url}/?n=100000&size=100`,
      { capture: "none", maxBuffer: { messages: 1000 } },
    );
    assertEquals(await received(connection), 100_000);
  });
}
