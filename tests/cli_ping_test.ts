import { assert, assertEquals, assertMatch } from "@std/assert";
import { PATIENCE, run, start } from "./fixtures/cli.ts";
import { certificates } from "./fixtures/certs.ts";
import { frame, parseClose, type Peer, rawServer } from "./fixtures/raw.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { within } from "./fixtures/wait.ts";

const windows = Deno.build.os === "windows";
const PING = 9;
const PONG = 10;

/** A server that answers these pings, counted from 1, and reports the others. */
function pongs(
  answers: (number: number, peer: Peer) => boolean | Promise<boolean>,
) {
  return rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    for (let number = 1;; number++) {
      const got = await peer.readFrame();
      if (got === null || got.opcode === 8) {
        await peer.closeFrame(1000);
        return;
      }
      assertEquals(got.opcode, PING);
      if (await answers(number, peer)) {
        await peer.write(frame(PONG, got.payload));
      }
    }
  });
}

Deno.test("wstap ping prints each round trip, and a summary", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => socket.send("a message among the pongs"))
  );
  const { code, stdout, stderr } = await run(
    ["ping", "-n", "3", "--interval", "20ms", `${server.url}/?token=secret`],
  );
  assertEquals(code, 0);
  assertMatch(
    stderr,
    /^wstap: connected to ws:\/\/127.0.0.1:\d+\/\?token=\*\*\*: 101 Switching Protocols\n$/,
  );
  assertMatch(
    stdout,
    /^pong 1: [\d.]+ ms\npong 2: [\d.]+ ms\npong 3: [\d.]+ ms\n\n--- ws:.*\/\?token=\*\*\* ---\n3 pings sent, 3 pongs received, 0% lost, [\d.]+ s\nround trip min\/median\/max = [\d.]+\/[\d.]+\/[\d.]+ ms\n$/,
  );
  const [, min, median, max] = /= ([\d.]+)\/([\d.]+)\/([\d.]+) ms/.exec(stdout)!
    .map(Number);
  assert(min! <= median! && median! <= max!);
});

Deno.test("wstap ping sends pings at the interval, however long a pong takes", async () => {
  // A pong answers every ping up to its own.
  await using server = pongs((number) => number === 3);
  const { code, stdout } = await run(
    ["ping", "-n", "3", "--interval", "10ms", server.url],
  );
  assertEquals(code, 0);
  assertMatch(stdout, /3 pings sent, 3 pongs received, 0% lost/);
  const [first, , third] = [...stdout.matchAll(/pong \d: ([\d.]+)/g)];
  assert(Number(first![1]) > Number(third![1]));
});

Deno.test("wstap ping takes the messages in front of a pong, however many", async () => {
  const message = frame(2, new Uint8Array(1024 * 1024));
  await using server = pongs(async (number, peer) => {
    if (number === 2) {
      for (let i = 0; i < 40; i++) await peer.write(message);
    }
    return true;
  });
  const { code, stdout } = await run(
    ["ping", "-n", "3", "--interval", "10ms", server.url],
  );
  assertEquals(code, 0, stdout);
});

Deno.test("a pong that does not come is told, and ends wstap ping with 1", async () => {
  await using server = pongs((number) => number === 1);
  const { code, stdout } = await run(
    ["ping", "-n", "2", "--interval", "50ms", "--ping-timeout", "2s"]
      .concat(server.url),
  );
  assertEquals(code, 1);
  assertMatch(stdout, /^pong 1: .*\nno pong 2 within 2.0 s\n/);
  assertMatch(stdout, /2 pings sent, 1 pong received, 50% lost/);
});

Deno.test("a connection that ends early is told, and ends wstap ping with 1", async () => {
  await using closes = pongs(async (number, peer) => {
    if (number === 1) return true;
    await peer.closeFrame(1001, "restart");
    return false;
  });
  const closed = await run(
    ["ping", "-n", "5", "--interval", "2s", closes.url],
  );
  assertEquals(closed.code, 1);
  assertMatch(
    closed.stderr,
    /\nwstap: the server closed with 1001 "restart"\n/,
  );
  assertMatch(closed.stdout, /\n2 pings sent, 1 pong received, 50% lost/);

  await using between = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    const ping = await peer.readFrame();
    await peer.write(frame(PONG, ping!.payload));
    await peer.closeFrame(1000);
    await peer.waitForEnd();
  });
  const early = await run(["ping", "--interval", "1h", between.url]);
  assertEquals(early.code, 1);
  assertMatch(early.stderr, /\nwstap: the server closed with 1000\n/);
  assertMatch(early.stdout, /\n1 ping sent, 1 pong received, 0% lost/);

  await using drops = pongs((_, peer) => {
    peer.end();
    return false;
  });
  const lost = await run(["ping", drops.url]);
  assertEquals(lost.code, 1);
  assertMatch(lost.stderr, /\nwstap: the connection was lost\n/);
  assertMatch(lost.stdout, /\n1 ping sent, 0 pongs received, 100% lost, .*\n$/);
});

Deno.test({
  name: "a signal ends wstap ping with its summary",
  ignore: windows,
  async fn() {
    const closed = Promise.withResolvers<number>();
    const second = Promise.withResolvers<void>();
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.upgrade();
      const ping = await peer.readFrame();
      await peer.write(frame(PONG, ping!.payload));
      await peer.readFrame(); // stays unanswered, and is not counted as lost
      second.resolve();
      const close = await peer.readFrame();
      closed.resolve(parseClose(close!.payload).code);
      await peer.closeFrame(1000);
    });
    await using running = start(["ping", "--interval", "3s", server.url]);
    await running.sees("stdout", "pong 1");
    await within(second.promise, PATIENCE, "the second ping");
    running.process.kill("SIGINT");
    const { code, stdout, stderr } = await running.result();
    assertEquals(code, 130);
    assertMatch(
      stdout,
      /\n2 pings sent, 1 pong received, 0% lost, .* s, 1 still under way\n/,
    );
    assertMatch(stderr, /^wstap: connected to [^\n]*\n$/);
    assertEquals(await closed.promise, 1000);
  },
});

Deno.test({
  name: "a signal before the first pong counts the ping that was sent",
  ignore: windows,
  async fn() {
    const sent = Promise.withResolvers<void>();
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.upgrade();
      await peer.readFrame();
      sent.resolve();
      await peer.readFrame();
      await peer.closeFrame(1000);
    });
    await using running = start(["ping", "-q", server.url]);
    await within(sent.promise, PATIENCE, "the ping");
    running.process.kill("SIGINT");
    const { code, stdout } = await running.result();
    assertEquals(code, 130);
    assertMatch(
      stdout,
      /\n1 ping sent, 0 pongs received, 0% lost, .* s, 1 still under way\n$/,
    );
  },
});

Deno.test("a close with an error code ends wstap ping with 7", async () => {
  await using server = pongs(async (_, peer) => {
    await peer.closeFrame(1011, "oops");
    return false;
  });
  const { code, stderr } = await run(["ping", "-q", server.url]);
  assertEquals(
    [code, stderr],
    [7, 'wstap: the server closed with 1011 "oops"\n'],
  );
});

Deno.test("--duration before --count ends wstap ping with 8, before a connection with 4", async () => {
  await using server = pongs(() => true);
  const short = await run(
    ["ping", "-q", "-n", "9", "--duration", "2s", "--interval", "1h"]
      .concat(server.url),
  );
  assertEquals(
    [short.code, short.stderr],
    [8, "wstap: 1 of 9 pings were sent\n"],
  );
  await using silent = rawServer(async (peer) => void await peer.waitForEnd());
  const none = await run(["ping", "-q", "--duration", "300ms", silent.url]);
  assertEquals(
    [none.code, none.stderr],
    [4, "wstap: No connection within 0.3 s\n"],
  );
});

Deno.test("--duration ends wstap ping with 0", async () => {
  await using server = pongs(() => true);
  const { code, stdout } = await run(
    ["ping", "--duration", "2s", "--interval", "50ms", server.url],
  );
  assertEquals(code, 0);
  assertMatch(stdout, /0% lost/);
});

Deno.test("a reader that goes ends wstap ping quietly", async () => {
  await using server = pongs(() => true);
  await using running = start(
    ["ping", "-q", "--interval", "5ms", server.url],
    {},
    false,
  );
  const reader = running.process.stdout.getReader();
  await reader.read();
  await reader.cancel();
  const { code } = await within(running.process.status, PATIENCE, "the end");
  assertEquals([code, running.stderr], [0, ""]);
});

Deno.test("wstap ping connects as the tap does", async () => {
  const { ca, server: identity } = await certificates();
  await using server = serve(
    (request) => accept(request, () => {}, { protocol: "v2" }),
    identity,
  );
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, ca);
    const { code, stderr } = await run(
      ["ping", "-v", "-n", "1", "--ca-cert", file, "-u", "me:t0p", "-p", "v2"]
        .concat("-H", "X-A: 1", server.url),
      { permissions: ["--allow-net=localhost", "--allow-read"] },
    );
    assertEquals(code, 0, stderr);
    const { headers } = server.requests[0]!;
    assertEquals(headers.get("authorization"), `Basic ${btoa("me:t0p")}`);
    assertEquals(headers.get("x-a"), "1");
    assertEquals(server.requests.length, 1);
    assert(!stderr.includes("t0p"));
    assertMatch(stderr, /^> authorization: Basic \*\*\*$/m);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("a refusal ends wstap ping with 3", async () => {
  await using server = serve(() => new Response("", { status: 404 }));
  const { code, stdout, stderr } = await run(["ping", server.url]);
  assertEquals([code, stdout], [3, ""]);
  assertMatch(stderr, /^wstap: .*HTTP error: 404 Not Found\n$/);
});
