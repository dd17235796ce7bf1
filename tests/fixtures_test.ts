import { strict as assert } from "node:assert";
import { certificates } from "./fixtures/certs.ts";
import { spawnServer } from "./fixtures/child.ts";
import { parseClose, rawServer } from "./fixtures/raw.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { delay, eventually, within } from "./fixtures/wait.ts";

const UPGRADE = {
  "Connection": "Upgrade",
  "Upgrade": "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
};

/** What a native socket met, once it has closed. */
interface Seen {
  messages: string[];
  code: number;
  reason: string;
}

function watch(socket: WebSocket): Promise<Seen> {
  const messages: string[] = [];
  const { promise, resolve } = Promise.withResolvers<Seen>();
  socket.addEventListener("error", (event) => event.preventDefault());
  socket.addEventListener("message", (event) => messages.push(event.data));
  socket.addEventListener("close", ({ code, reason }) => {
    resolve({ messages, code, reason });
  });
  return within(promise, 10_000, "the close of the socket");
}

/** Fetches, drops what was left of the connection, and gives status and body. */
async function get(
  url: string,
  options: { caCerts?: string[]; http2?: boolean } = {},
  headers: HeadersInit = {},
): Promise<{ status: number; text: string }> {
  const abort = new AbortController();
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0, ...options });
  const response = await fetch(url.replace(/^ws/, "http"), {
    client,
    headers,
    signal: abort.signal,
    redirect: "manual",
  });
  const text = response.status === 101 ? "" : await response.text();
  abort.abort();
  return { status: response.status, text };
}

Deno.test("serve() closes sockets that are open with 1001", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => socket.send("hello"), {
      protocol: "feed",
      headers: { "X-Feed": "1" },
    })
  );
  const socket = new WebSocket(server.url, ["feed"]);
  const seen = watch(socket);
  await eventually(() => server.sockets.size === 1, "one socket");
  await server[Symbol.asyncDispose]();
  assert.deepEqual(await seen, {
    messages: ["hello"],
    code: 1001,
    reason: "",
  });
  assert.equal(socket.protocol, "feed");
  assert.equal(server.requests.length, 1);
});

Deno.test("serve() forgets a pre-flight, whatever its onOpen does", async () => {
  const failed = Promise.withResolvers<void>();
  await using server = serve((request) =>
    accept(request, async (socket) => {
      while (socket.readyState === WebSocket.OPEN) {
        socket.send("x".repeat(1000));
        await delay(1);
      }
      failed.resolve();
      throw new Error("the client has gone");
    })
  );
  assert.equal((await get(server.url, { http2: false }, UPGRADE)).status, 101);
  await failed.promise;
  assert.equal(server.sockets.size, 0);
});

Deno.test("serve() offers HTTP/2, where an upgrade is a plain GET", async () => {
  const { ca, server: identity } = await certificates();
  await using server = serve((request) => accept(request, () => {}), identity);
  for (const [http2, status] of [[true, 426], [false, 101]] as const) {
    const options = { caCerts: [ca], http2 };
    assert.equal((await get(server.url, options, UPGRADE)).status, status);
  }
});

Deno.test("serve() rethrows what the handler threw", async () => {
  const server = serve(() => {
    throw new Error("mine");
  });
  assert.equal((await get(server.httpUrl)).status, 500);
  await assert.rejects(async () => await server[Symbol.asyncDispose](), /mine/);
});

Deno.test("certificates() are trusted, or refused, as their names say", async () => {
  const { ca, other, ...identities } = await certificates();
  for (
    const [name, reason] of [
      ["expired", /expired/],
      ["wrongName", /not valid for name/],
      ["selfSigned", /UnknownIssuer/],
      ["server", null],
    ] as const
  ) {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.respond("200 OK", "hello");
      peer.end();
    }, identities[name]);
    for (const host of ["localhost", "127.0.0.1"]) {
      const url = `https://${host}:${server.port}/`;
      if (reason === null) {
        const { text } = await get(url, { caCerts: [ca] });
        assert.equal(text, "hello");
      } else {
        await assert.rejects(get(url, { caCerts: [ca] }), (error: Error) => {
          assert.match(`${error.message} ${error.cause}`, reason);
          return true;
        });
      }
      await assert.rejects(get(url, { caCerts: [other.ca] }));
    }
  }
});

Deno.test("rawServer() speaks frames both ways", async () => {
  const answered = Promise.withResolvers<unknown>();
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    await peer.send("hello");
    const frame = await peer.readFrame();
    assert.equal(frame?.payload.length, 70_000);
    await peer.closeFrame(4000, "why");
    const close = await peer.readFrame();
    answered.resolve(close && [close.opcode, parseClose(close.payload)]);
    peer.end();
  });
  const socket = new WebSocket(`${server.url}/a?b=c`);
  socket.addEventListener("open", () => socket.send("x".repeat(70_000)));
  assert.deepEqual(await watch(socket), {
    messages: ["hello"],
    code: 4000,
    reason: "why",
  });
  assert.deepEqual(await answered.promise, [8, { code: 4000, reason: "why" }]);
  assert.equal(server.peers[0]?.target, "/a?b=c");
  assert.equal(server.connections, 1);
});

Deno.test("rawServer() notices the end of a pre-flight", async () => {
  const end = Promise.withResolvers<number>();
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    end.resolve(await peer.waitForEnd());
  });
  assert.equal((await get(server.url, {}, UPGRADE)).status, 101);
  assert.equal(await within(end.promise, 5000, "the end"), 0);
});

Deno.test("rawServer() rethrows what a handle threw", async () => {
  const server = rawServer(async (peer) => {
    await peer.readHead();
    throw new Error("mine");
  });
  await get(server.url).catch(() => {});
  await assert.rejects(async () => await server[Symbol.asyncDispose](), /mine/);
});

Deno.test("rawServer() ends while its client reads nothing", async () => {
  const server = rawServer(async (peer) => {
    for (;;) await peer.write(new Uint8Array(2 ** 20));
  });
  using _client = await Deno.connect({
    hostname: "127.0.0.1",
    port: server.port,
  });
  await eventually(() => server.connections === 1, "one connection");
  await server[Symbol.asyncDispose]();
});

Deno.test("spawnServer() starts ws with its paths", async () => {
  await using server = await spawnServer("ws");
  assert.deepEqual(
    await watch(new WebSocket(`${server.url}/events?n=3&every=1`)),
    {
      messages: ['{"seq":0}', '{"seq":1}', '{"seq":2}'],
      code: 1000,
      reason: "",
    },
  );
  assert.equal((await server.next("close")).code, 1000);
  const close = await watch(
    new WebSocket(`${server.url}/close?code=4000&reason=x`),
  );
  assert.deepEqual(close, { messages: [], code: 4000, reason: "x" });
  const burst = await watch(new WebSocket(`${server.url}/burst?n=20000`));
  assert.equal(burst.messages.length, 20_000);
  const cut = await watch(new WebSocket(`${server.url}/terminate`));
  assert.deepEqual(cut, { messages: ["last"], code: 0, reason: "" });
  const refused = await get(`${server.url}/refuse/404`, {}, UPGRADE);
  assert.deepEqual(refused, {
    status: 404,
    text: "refused: 404 Not Found\n",
  });
  const redirect = await get(`${server.url}/redirect?to=/echo`, {}, UPGRADE);
  assert.equal(redirect.status, 302);

  const told = new WebSocket(`${server.url}/other`);
  const seen = watch(told);
  told.addEventListener("message", () => told.send("got it"));
  await server.next("open");
  await eventually(() => told.readyState === WebSocket.OPEN, "open");
  await server.command("send hello");
  assert.equal((await server.next("message")).text, "got it");
  await server.command("close 4001 told to");
  assert.deepEqual(await seen, {
    messages: ["hello"],
    code: 4001,
    reason: "told to",
  });
});

Deno.test("spawnServer() starts ws, which takes a ticket once", async () => {
  await using server = await spawnServer("ws", ["--single-use-token"]);
  for (const status of [101, 401]) {
    const response = await get(`${server.url}/echo?ticket=a`, {}, UPGRADE);
    assert.equal(response.status, status);
  }
});

Deno.test("spawnServer() starts ws, which refuses more than --max-live", async () => {
  await using server = await spawnServer("ws", ["--max-live", "1"]);
  const socket = new WebSocket(`${server.url}/echo`);
  const seen = watch(socket);
  await server.next("open");
  assert.equal((await get(`${server.url}/echo`, {}, UPGRADE)).status, 503);
  socket.close(1000);
  await seen;
  await server.next("close");
  assert.equal((await get(`${server.url}/echo`, {}, UPGRADE)).status, 101);
});

Deno.test("spawnServer() starts ws, which counts a connection until --release-after", async () => {
  await using server = await spawnServer("ws", [
    ...["--max-live", "1", "--release-after", "200"],
  ]);
  const answers = [];
  for (const wait of [0, 400]) {
    await delay(wait);
    const url = `${server.url}/echo`;
    answers.push((await get(url, {}, UPGRADE)).status);
    answers.push((await get(url, {}, UPGRADE)).status);
  }
  assert.deepEqual(answers, [101, 503, 101, 503]);
});

Deno.test("spawnServer() starts ws, which closes its port and opens it again", async () => {
  await using server = await spawnServer("ws");
  await server.command("refuse");
  await server.next("refusing");
  await assert.rejects(get(`${server.url}/echo`, {}, UPGRADE));
  await server.command("accept");
  await server.next("accepting");
  assert.equal((await get(`${server.url}/echo`, {}, UPGRADE)).status, 101);
});

Deno.test("spawnServer() starts ws, which never answers a close when silent", async () => {
  const server = await spawnServer("ws");
  const socket = new WebSocket(`${server.url}/silent?n=1`);
  const seen = watch(socket);
  let closed = false;
  socket.addEventListener("close", () => closed = true);
  await server.next("open");
  await eventually(() => socket.readyState === WebSocket.OPEN, "open");
  socket.close(1000);
  await delay(100);
  assert.equal(closed, false);
  await server[Symbol.asyncDispose]();
  await seen;
});

Deno.test("spawnServer() starts a raw server", async () => {
  const server = await spawnServer("raw");
  const lost = await watch(new WebSocket(`${server.url}/lost?n=2`));
  assert.deepEqual(lost, {
    messages: ['{"seq":0}', '{"seq":1}'],
    code: 0,
    reason: "",
  });
  const flood = await watch(new WebSocket(`${server.url}/flood?n=50000`));
  assert.equal(flood.messages.length, 50_000);
  assert.match(flood.messages.at(-1) ?? "", /^49999 x+$/);
  assert.equal(flood.code, 1000);

  using conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await conn.write(
    new TextEncoder().encode("GET /reset HTTP/1.1\r\nHost: localhost\r\n\r\n"),
  );
  assert.notEqual(await conn.read(new Uint8Array(1000)), null);
  await server.command("reset");
  await assert.rejects(
    conn.read(new Uint8Array(1000)),
    Deno.errors.ConnectionReset,
  );
  await server[Symbol.asyncDispose]();
});
