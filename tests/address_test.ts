/** `http.address`: connecting to another place than the URL's host. */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { connectWebSocket, HandshakeError } from "@wstap/wstap";
import { each, greet, test } from "./fixtures/captures.ts";
import { certificates } from "./fixtures/certs.ts";
import { runClient } from "./fixtures/client.ts";
import { tunnelProxy } from "./fixtures/proxies.ts";
import { rawServer } from "./fixtures/raw.ts";
import { hasUnixSockets, unixSocket } from "./fixtures/unix.ts";
import { quietPort } from "./fixtures/wait.ts";

/** Whether `node:tls` is up to it in this Deno. */
const NODE_TLS = !/^2\.[0-7]\./.test(Deno.version.deno);

const HOST = "example.invalid";

type Address = { hostname: string; port: number } | { path: string };

/** Defines a test with Unix sockets. */
function unixTest(name: string, fn: () => Promise<void>): void {
  if (hasUnixSockets) test(name, fn);
  else Deno.test.ignore(name, fn);
}

test("direct connects to http.address with the Host of the URL", async () => {
  await using server = rawServer(greet);
  const address = { hostname: "localhost", port: server.port };
  const [connection, response] = await connectWebSocket(
    `ws://${HOST}:8080/feed`,
    { capture: "direct", http: { address } },
  );
  assertEquals(await connection.recv(), "hello");
  assertEquals(connection.url, `ws://${HOST}:8080/feed`);
  assertEquals(response.url, `ws://${HOST}:8080/feed`);
  await connection.close();
  assertEquals(server.peers[0]!.header("host"), `${HOST}:8080`);
});

each.test("http.address takes an IPv6 address, with brackets or without", async (capture) => {
  await using server = rawServer(greet, { hostname: "::1" });
  const { port } = server;
  for (const hostname of ["::1", "[::1]"]) {
    const [connection] = await connectWebSocket(`ws://${HOST}/`, {
      capture,
      http: { address: { hostname, port } },
    });
    assertEquals(await connection.recv(), "hello");
    await connection.close();
  }
});

test("direct connects to http.address over TLS with the certificate of the URL's host", async () => {
  const { ca, server: local, wrongName } = await certificates();
  // A certificate for the URL's host, and one for the address.
  await using right = rawServer(greet, wrongName);
  await using wrong = rawServer(greet, local);
  const connect = (port: number) =>
    connectWebSocket(`wss://${HOST}/feed`, {
      capture: "direct",
      http: { caCerts: [ca], address: { hostname: "localhost", port } },
    });
  const [connection] = await connect(right.port);
  assertEquals(await connection.recv(), "hello");
  await connection.close();
  assertEquals(right.peers[0]!.header("host"), HOST);
  await assertRejects(() => connect(wrong.port), HandshakeError, "certificate");
  assertEquals(wrong.heads, []);
});

/** What the first bytes of a connection over TLS say in the clear. */
async function clientHello(
  http: (port: number) => Promise<
    NonNullable<
      Parameters<typeof connectWebSocket>[1]
    >["http"]
  >,
): Promise<string> {
  let hello = "";
  await using server = rawServer(async (peer) => {
    const bytes = new Uint8Array(4096);
    const length = await peer.conn.read(bytes);
    hello = String.fromCharCode(...bytes.subarray(0, length ?? 0));
    peer.end();
  });
  const options = await http(server.port);
  await assertRejects(
    () =>
      connectWebSocket(`wss://${HOST}/?s3cret`, {
        capture: "direct",
        ...(options && { http: options }),
      }),
    HandshakeError,
  );
  assertEquals(/s3cret|GET|Host/.test(hello), false);
  return hello;
}

test("direct sends the name of the URL's host to http.address in SNI, and nothing in the clear", async () => {
  const address = (port: number) => ({ hostname: "localhost", port });
  assertStringIncludes(
    await clientHello((port) => Promise.resolve({ address: address(port) })),
    HOST,
  );
  if (!NODE_TLS) return;
  const { client } = await certificates();
  const hello = await clientHello((port) =>
    Promise.resolve({ address: address(port), ...client })
  );
  assertStringIncludes(hello, HOST);
});

unixTest("direct connects to a Unix socket", async () => {
  await using server = rawServer(greet);
  await using socket = await unixSocket(server.port);
  const [connection] = await connectWebSocket(`ws://${HOST}/feed`, {
    capture: "direct",
    http: { address: { path: socket.path } },
  });
  assertEquals(await connection.recv(), "hello");
  assertEquals((await connection.close()).clean, true);
  assertEquals(server.peers[0]!.header("host"), HOST);
  assertEquals(socket.connections, 1);
});

unixTest(
  "direct connects over TLS to a Unix socket, from Deno 2.8 on",
  async () => {
    const { ca, server: local, wrongName } = await certificates();
    await using server = rawServer(greet, wrongName);
    await using socket = await unixSocket(server.port);
    await using other = rawServer(greet, local);
    await using wrong = await unixSocket(other.port);
    const connect = (path: string) =>
      connectWebSocket(`wss://${HOST}/`, {
        capture: "direct",
        http: { caCerts: [ca], address: { path } },
      });
    if (!NODE_TLS) {
      const error = await assertRejects(() => connect(socket.path), TypeError);
      assertEquals(
        error.message,
        'Capture "direct" cannot reach a wss: URL through a Unix socket before Deno 2.8',
      );
      assertEquals(socket.connections, 0);
      return;
    }
    const [connection] = await connect(socket.path);
    assertEquals(await connection.recv(), "hello");
    assertEquals((await connection.close()).clean, true);
    await assertRejects(
      () => connect(wrong.path),
      HandshakeError,
      "certificate",
    );
    assertEquals(other.heads, []);
  },
);

unixTest("an address that is not there is a HandshakeError", async () => {
  const port = quietPort();
  for (
    const address of [
      { hostname: "127.0.0.1", port },
      { path: "/nowhere/socket" },
    ]
  ) {
    const error = await assertRejects(
      () =>
        connectWebSocket(`ws://${HOST}/?s3cret`, {
          capture: "direct",
          http: { address },
        }),
      HandshakeError,
      `Cannot connect to ws://${HOST}/: `,
    );
    assert(error.cause instanceof Error);
    assertEquals(error.transient, true);
  }
});

test("the proxy of the environment does not apply to http.address", async () => {
  await using server = rawServer(greet);
  await using proxy = tunnelProxy();
  const got = await runClient(
    {
      url: `ws://${HOST}/`,
      options: {
        capture: "direct",
        http: { address: { hostname: "127.0.0.1", port: server.port } },
      },
    },
    ["--allow-net", "--allow-env"],
    {
      ALL_PROXY: `http://127.0.0.1:${proxy.port}`,
      HTTP_PROXY: `http://127.0.0.1:${proxy.port}`,
    },
  );
  assertEquals([got.error, got.message], ["", "hello"]);
  assertEquals(proxy.asked, []);
});

test("http.address with a client certificate needs Deno 2.8", async () => {
  const { client } = await certificates();
  if (NODE_TLS) return;
  await assertRejects(
    () =>
      connectWebSocket(`wss://${HOST}/`, {
        capture: "direct",
        http: { ...client, address: { hostname: "127.0.0.1", port: 1 } },
      }),
    TypeError,
    'Capture "direct" cannot use a client certificate with http.address before Deno 2.8',
  );
});

each.test("an http.address that cannot be reached is named", async (capture) => {
  const hostname = "127.0.0.1";
  const port = quietPort();
  const addresses: [address: Address, name: string][] = [
    [{ hostname, port }, `: ${hostname}:${port} could not be reached: `],
    ...(hasUnixSockets
      ? [[
        { path: "/nonexistent/feed.sock" },
        ': the Unix socket "/nonexistent/feed.sock" could not be reached: ',
      ] as [Address, string]]
      : []),
  ];
  for (const [address, name] of addresses) {
    const error = await assertRejects(
      () =>
        connectWebSocket(`ws://${HOST}/?s3cret`, {
          capture,
          http: { address },
        }),
      HandshakeError,
      name,
    );
    assert(error.cause instanceof TypeError, `${error.cause}`);
    assertEquals(error.message.includes("s3cret"), false);
  }
});
