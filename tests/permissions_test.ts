/** Each feature, run with exactly the permissions that it needs, and with one less. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { run } from "./fixtures/cli.ts";
import { CAPTURES } from "./fixtures/captures.ts";
import { type ClientOrder, runClient } from "./fixtures/client.ts";
import { certificates } from "./fixtures/certs.ts";
import { workplace } from "./fixtures/command.ts";
import { proxyTo } from "./fixtures/proxy.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { hasUnixSockets, unixSocket } from "./fixtures/unix.ts";

function feed(identity?: { cert: string; key: string }) {
  return serve((request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/refuse") return new Response("no", { status: 404 });
    return accept(request, (socket) => socket.send("hello"));
  }, identity);
}

/** Runs a client with `--allow-net` for these hosts and nothing else. */
function withNet(order: ClientOrder, ...hosts: string[]) {
  const flags = hosts.length > 0 ? [`--allow-net=${hosts.join()}`] : [];
  return runClient(order, flags);
}

for (const capture of CAPTURES) {
  Deno.test(`ws: needs the net to the host alone (${capture})`, async () => {
    await using server = feed();
    const { port } = new URL(server.url);
    const url = `ws://localhost:${port}/`;
    const [options, host] = [{ capture }, `localhost:${port}`];
    const [got, refused, again, without] = await Promise.all([
      withNet({ url, options }, host),
      withNet({ url: `${url}refuse`, options }, host),
      withNet({ url, options, reconnect: true }, host),
      withNet({ url, options }),
    ]);
    assertEquals([got.status, got.message, got.error], [101, "hello", ""]);
    assertStringIncludes(refused.error, "HTTP error: 404 Not Found");
    assertEquals(again.message, "hello");
    assertStringIncludes(without.error, "NotCapable");
    assertStringIncludes(without.error, "--allow-net");
  });

  Deno.test(`wss: with a private CA needs no more (${capture})`, async () => {
    const { ca, server: identity } = await certificates();
    await using server = feed(identity);
    const { port } = new URL(server.url);
    const url = `wss://localhost:${port}/`;
    const options = { capture, http: { caCerts: [ca] } };
    const got = await withNet({ url, options }, `localhost:${port}`);
    assertEquals(got.error, "");
    assertEquals(got.message, "hello");
  });
}

if (hasUnixSockets) {
  Deno.test("a Unix socket needs to be read and written, and from Deno 2.9 on the net to it", async () => {
    await using server = feed();
    await using socket = await unixSocket(Number(new URL(server.url).port));
    const { path } = socket;
    const order: ClientOrder = {
      url: "ws://feed.invalid/",
      options: { capture: "direct", http: { address: { path } } },
    };
    const isNew = !/^2\.[0-8]\./.test(Deno.version.deno);
    const flags = [
      ...[`--allow-read=${path}`, `--allow-write=${path}`],
      ...(isNew ? [`--allow-net=unix:${path}`] : []),
    ];
    const got = await runClient(order, flags);
    assertEquals([got.error, got.message], ["", "hello"]);
    for (const missing of flags) {
      const { error } = await runClient(
        order,
        flags.filter((flag) => flag !== missing),
      );
      assertStringIncludes(error, "NotCapable");
    }
    assertEquals(socket.connections, 1);
  });
}

for (const secure of [false, true]) {
  Deno.test(`http.address needs the net to the address alone (${secure ? "wss:" : "ws:"})`, async () => {
    const { ca, wrongName } = await certificates();
    await using server = feed(secure ? wrongName : undefined);
    const { port } = new URL(server.url);
    const order: ClientOrder = {
      url: `${secure ? "wss" : "ws"}://example.invalid/`,
      options: {
        capture: "direct",
        http: {
          caCerts: [ca],
          address: { hostname: "localhost", port: Number(port) },
        },
      },
    };
    const got = await withNet(order, `localhost:${port}`);
    assertEquals([got.error, got.message], ["", "hello"]);
    const without = await withNet(order, "example.invalid");
    assertStringIncludes(without.error, "NotCapable");
  });
}

/** Runs the command line with these permissions. */
const wstap = (permissions: string[], ...args: string[]) =>
  run(args, { permissions, env: { NO_COLOR: "1" } });

Deno.test("the command line needs the net to the host alone", async () => {
  await using server = feed();
  const net = `--allow-net=${new URL(server.url).host}`;
  const [got, none] = await Promise.all([
    wstap([net], "--count", "1", server.url),
    wstap([], "--count", "1", server.url),
  ]);
  assertEquals([got.code, got.stdout], [0, "hello\n"], got.stderr);
  assertEquals(none.code, 6, none.stderr);
  assertEquals(none.stdout, "");
});

Deno.test("the command line needs to write the file of --output alone, and to read that of --send-file", async () => {
  await using server = feed();
  await using place = await workplace({ sent: "hi" });
  const net = `--allow-net=${new URL(server.url).host}`;
  const [output, sent] = [`${place.folder}/out`, `${place.folder}/sent`];
  const args = ["--count", "1", "--output", output, server.url];
  const got = await wstap([net, `--allow-write=${output}`], ...args);
  assertEquals(got.code, 0, got.stderr);
  assertEquals(await Deno.readTextFile(output), "hello\n");
  assertEquals((await wstap([net], ...args)).code, 6);

  const send = ["--count", "1", "--send-file", sent, server.url];
  assertEquals((await wstap([net, `--allow-read=${sent}`], ...send)).code, 0);
  assertEquals((await wstap([net], ...send)).code, 6);
});

Deno.test("the command line needs the net to the proxy besides", async () => {
  await using server = feed();
  const { host, port } = new URL(server.url);
  await using proxy = proxyTo(Number(port));
  const args = ["-n", "1", "--proxy", `http://${proxy.host}`, server.url];
  const net = `--allow-net=${host}`;
  const { code, stderr } = await wstap([net], ...args);
  assertEquals(code, 6);
  assertStringIncludes(stderr, proxy.host);
  assertEquals((await wstap([`${net},${proxy.host}`], ...args)).code, 0);
});

Deno.test("a replay needs the net to 127.0.0.1 and to read its file alone", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, "no recording");
    // It says what is wrong with the file, so it was read; a replay would go on.
    const [read, net] = [`--allow-read=${path}`, "--allow-net=127.0.0.1"];
    assertStringIncludes(
      (await wstap([read], "replay", path)).stderr,
      "line 1 is cut off, or is not JSON",
    );
    const unread = await wstap([net], "replay", path);
    assertEquals(unread.code, 6);
    assertStringIncludes(unread.stderr, "--allow-read");

    await Deno.writeTextFile(
      path,
      '{"time":"2024-05-06T07:08:09.010Z","type":"text","data":"hello"}\n',
    );
    const unheard = await wstap([read], "replay", path);
    assertEquals(unheard.code, 6);
    assertStringIncludes(unheard.stderr, "--allow-net");
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("the demo needs the net to 127.0.0.1 alone", async () => {
  const got = await wstap(["--allow-net=127.0.0.1"], "demo", "--count", "2");
  assertEquals(got.code, 0, got.stderr);
  assertEquals(got.stdout.trim().split("\n").length, 2);
});
