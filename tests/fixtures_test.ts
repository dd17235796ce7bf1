/** That the servers of the tests let no failure pass unseen, nor a client keep them. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { test, upgrade } from "./fixtures/captures.ts";
import { frame, parseClose, rawServer } from "./fixtures/raw.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { eventually } from "./fixtures/wait.ts";

const fail = () => {
  throw new Error("mine");
};

const http = (url: string) => url.replace("ws:", "http:");

test("serve() rethrows what the handler or an onOpen threw", async () => {
  const failing = serve(fail);
  const response = await fetch(http(failing.url));
  assertEquals([response.status, await response.text() !== ""], [500, true]);
  const dispose = (server: AsyncDisposable) =>
    assertRejects(() => Promise.resolve(server[Symbol.asyncDispose]()), Error);
  assertEquals((await dispose(failing)).message, "mine");

  const opening = serve((request) => accept(request, fail));
  const socket = new WebSocket(opening.url);
  const closed = new Promise((resolve) => socket.onclose = resolve);
  await eventually(() => opening.sockets.size === 1, "one socket");
  assertEquals((await dispose(opening)).message, "mine");
  await closed;
});

test("rawServer() rethrows what a handle threw", async () => {
  const server = rawServer(async (peer) => {
    await peer.readHead();
    fail();
  });
  await assertRejects(() => fetch(http(server.url)));
  await assertRejects(
    async () => await server[Symbol.asyncDispose](),
    Error,
    "mine",
  );
});

test("rawServer() speaks frames both ways, and ends while its client reads nothing", async () => {
  const server = rawServer(async (peer) => {
    await upgrade(peer);
    assertEquals((await peer.readFrame())?.payload.length, 70_000);
    await peer.closeFrame(4000, "why");
    const { opcode, payload, masked } = (await peer.readFrame())!;
    assertEquals([opcode, masked], [8, true]);
    assertEquals(parseClose(payload), { code: 4000, reason: "why" });
    for (;;) await peer.write(frame(2, new Uint8Array(2 ** 20)));
  });
  const socket = new WebSocket(`${server.url}/a?b=c`);
  socket.onopen = () => socket.send("x".repeat(70_000));
  const { code, reason } = await new Promise<CloseEvent>((resolve) =>
    socket.onclose = resolve
  );
  assertEquals([code, reason], [4000, "why"]);
  assertEquals(server.peers[0]!.target, "/a?b=c");

  using _client = await Deno.connect({
    hostname: "127.0.0.1",
    port: server.port,
  });
  await eventually(() => server.connections === 2, "two connections");
  await server[Symbol.asyncDispose]();
  assert(server.heads.length === 1);
});
