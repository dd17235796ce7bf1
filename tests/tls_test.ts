import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  ConnectionClosedError,
  type ConnectOptions,
  connectWebSocket,
  HandshakeError,
} from "@wstap/wstap";
import { connect, type Socket } from "node:net";
import { createServer } from "node:tls";
import { answerClose, greet } from "./fixtures/captures.ts";
import { certificates, type Identity } from "./fixtures/certs.ts";
import { runClient } from "./fixtures/client.ts";
import { workplace } from "./fixtures/command.ts";
import { testsWith } from "./fixtures/installed.ts";
import { hasOpenssl, OpensslFolder } from "./fixtures/openssl.ts";
import {
  socksProxy,
  type TunnelProxy,
  tunnelProxy,
} from "./fixtures/proxies.ts";
import { type Peer, rawServer } from "./fixtures/raw.ts";
import { eventually, untilStill, within } from "./fixtures/wait.ts";

/** Whether Node's TLS is up to it in this Deno. */
const CAN = !/^2\.[0-7]\./.test(Deno.version.deno);

/** Defines a test that needs it. */
function test(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name,
    ignore: !CAN,
    fn: () => within(fn(), 60_000, name),
  });
}

/** Sends every message back, until the client closes. */
async function echo(peer: Peer): Promise<void> {
  await peer.readHead();
  await peer.upgrade();
  for (;;) {
    const frame = await peer.readFrame();
    if (frame === null) return peer.end();
    if (frame.opcode === 8) {
      await peer.closeFrame(1000);
      return peer.end();
    }
    const { opcode, payload } = frame;
    await peer.send(opcode === 1 ? new TextDecoder().decode(payload) : payload);
  }
}

/** The options that lead to a server through an `https:` proxy. */
async function through(proxy: TunnelProxy): Promise<ConnectOptions> {
  return {
    capture: "direct",
    binary: "bytes",
    http: {
      caCerts: [(await certificates()).ca],
      proxy: { url: `https://localhost:${proxy.port}` },
    },
  };
}

for (const host of ["localhost", "127.0.0.1"]) {
  test(`direct goes through an https: proxy to wss://${host}`, async () => {
    const { server: identity } = await certificates();
    await using server = rawServer(echo, identity);
    await using proxy = tunnelProxy({ identity });
    const [connection, response] = await connectWebSocket(
      `wss://${host}:${server.port}/`,
      await through(proxy),
    );
    assertEquals(response.status, 101);
    const messages = [
      "grüße",
      new Uint8Array(0),
      crypto.getRandomValues(new Uint8Array(50_000)),
      "x".repeat(1_000_000),
    ];
    for (const message of messages) {
      await connection.send(message);
      assertEquals(await within(connection.recv(), 60_000, "an echo"), message);
    }
    assertEquals(await connection.close(), {
      code: 1000,
      reason: "",
      clean: true,
    });
    assertEquals(proxy.asked, [`CONNECT ${host}:${server.port} HTTP/1.1`]);
  });
}

for (const kind of ["expired", "wrongName", "selfSigned"] as const) {
  test(`direct refuses a certificate behind an https: proxy that is not trusted: ${kind}`, async () => {
    const all = await certificates();
    await using server = rawServer(echo, all[kind]);
    await using proxy = tunnelProxy({ identity: all.server });
    const error = await assertRejects(
      async () =>
        connectWebSocket(`${server.url}/?secret`, await through(proxy)),
      HandshakeError,
    );
    assertMatch(error.message, /certificate|altnames/i);
    assert(error.cause instanceof Error);
    assertEquals(error.response, undefined);
    assertEquals(server.heads, []);
    assertEquals(Deno.inspect(error).includes("secret"), false);
  });
}

test("a timeout ends a handshake of TLS behind an https: proxy", async () => {
  const { server: identity } = await certificates();
  await using silent = rawServer((peer) => peer.waitForEnd().then(() => {}));
  await using proxy = tunnelProxy({ identity });
  const error = await assertRejects(
    async () =>
      connectWebSocket(`wss://localhost:${silent.port}/`, {
        ...await through(proxy),
        handshakeTimeout: "200ms",
      }),
    DOMException,
  );
  assertEquals(error.name, "TimeoutError");
  assertEquals(silent.connections, 1);
});

test("direct holds a fast server back behind an https: proxy", async () => {
  const { server: identity } = await certificates();
  // As many as are on the way when it is held back, and some more.
  let count = Infinity;
  let sent = 0;
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    for (; sent < count; sent++) await peer.send(`${sent}`.padEnd(32_768));
    await answerClose(peer);
    peer.end();
  }, identity);
  await using proxy = tunnelProxy({ identity });
  const [connection] = await connectWebSocket(server.url, {
    ...await through(proxy),
    maxBuffer: { messages: 40 },
  });
  await eventually(
    () => connection.buffered.messages >= 10,
    "the buffer to fill",
  );
  await untilStill(() => sent, "the server to be held back");
  count = sent + 100;
  for (let i = 0; i < count; i++) {
    assertEquals(parseInt(`${await connection.recv()}`), i);
  }
  assertEquals((await connection.close()).clean, true);
});

test("a connection that breaks behind an https: proxy is a loss", async () => {
  const { server: identity } = await certificates();
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    await peer.send("last");
    peer.end();
  }, identity);
  await using proxy = tunnelProxy({ identity });
  const [connection] = await connectWebSocket(
    server.url,
    await through(proxy),
  );
  assertEquals(await connection.recv(), "last");
  const error = await assertRejects(
    () => within(connection.recv(), 60_000, "the loss"),
    ConnectionClosedError,
  );
  assertEquals(error.code, 1006);
});

test("a signal cuts a connection behind an https: proxy whose server reads nothing", async () => {
  const { server: identity } = await certificates();
  const gone = Promise.withResolvers<void>();
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    await gone.promise;
  }, identity);
  await using proxy = tunnelProxy({ identity });
  const controller = new AbortController();
  const [connection] = await connectWebSocket(server.url, {
    ...await through(proxy),
    signal: controller.signal,
  });
  const sending = (async () => {
    for (;;) await connection.send(new Uint8Array(1024 * 1024));
  })();
  controller.abort(new Error("enough"));
  await assertRejects(() => connection.recv(), Error, "enough");
  await assertRejects(() => sending);
  assertEquals((await connection.closed).code, 1006);
  gone.resolve();
});

test("caCerts add to the default authorities, also behind an https: proxy and with a client certificate", async () => {
  const { ca, other, server: identity, client } = await certificates();
  await using server = rawServer(greet, identity);
  await using proxy = tunnelProxy({ identity });
  await using place = await workplace({ "ca.pem": ca });
  const proxied = { proxy: { url: `https://localhost:${proxy.port}` } };
  for (const more of [proxied, client, { ...proxied, ...client }]) {
    const got = await runClient(
      {
        url: server.url,
        options: {
          capture: "direct",
          http: { caCerts: [other.ca], ...more },
        },
      },
      ["--allow-net"],
      { DENO_CERT: `${place.folder}/ca.pem` },
    );
    assertEquals([got.error, got.message], ["", "hello"]);
  }
});

test("an https: proxy to wss: needs the net to both alone", async () => {
  const { server: identity } = await certificates();
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    await peer.send("hello");
    await answerClose(peer);
    peer.end();
  }, identity);
  await using proxy = tunnelProxy({ identity });
  const got = await runClient(
    { url: server.url, options: await through(proxy) },
    [`--allow-net=localhost:${server.port},localhost:${proxy.port}`],
  );
  assertEquals(got, { status: 101, message: "hello", error: "", printed: "" });
});

/** A server that takes TLS with a client certificate alone, and passes on what comes. */
async function gate(port: number, identity: Identity, ca: string) {
  const names: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer(
    { ...identity, ca, requestCert: true, ALPNProtocols: ["http/1.1"] },
    (client) => {
      names.push(`${client.getPeerCertificate().subject.CN}`);
      const upstream = connect(port, "127.0.0.1");
      for (const socket of [client, upstream]) {
        sockets.add(socket);
        socket.on("error", () => {});
      }
      client.pipe(upstream).pipe(client);
    },
  );
  server.on("tlsClientError", (_error, client) => client.destroy());
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  const { port: own } = server.address() as { port: number };
  return {
    names,
    url: `wss://localhost:${own}`,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

for (const kind of ["http", "https", "socks5"] as const) {
  test(`direct shows a client certificate through a proxy (${kind}:)`, async () => {
    const { ca, server: identity, client } = await certificates();
    await using server = rawServer(echo);
    await using front = await gate(server.port, identity, ca);
    await using proxy = kind === "socks5"
      ? socksProxy()
      : tunnelProxy(kind === "https" ? { identity } : {});
    const http = {
      caCerts: [ca],
      proxy: {
        transport: kind,
        url: `${kind}://localhost:${proxy.port}`,
      } as Deno.Proxy,
    };
    const [connection] = await connectWebSocket(front.url, {
      capture: "direct",
      http: { ...http, ...client },
    });
    await connection.send("who am I?");
    assertEquals(await connection.recv(), "who am I?");
    assertEquals((await connection.close()).clean, true);
    assertEquals(front.names, ["wstap test"]);
    await assertRejects(
      () => connectWebSocket(front.url, { capture: "direct", http }),
      HandshakeError,
    );
    assertEquals(front.names.length, 1);
  });
}

Deno.test({
  name:
    "TLS over TLS, and a client certificate through a proxy, are TypeErrors before Deno 2.8",
  ignore: CAN,
  async fn() {
    const { client } = await certificates();
    for (
      const http of [
        { ...client, proxy: { url: "http://secret@127.0.0.1:1" } },
        { proxy: { url: "https://secret@127.0.0.1:1" } },
      ]
    ) {
      const error = await assertRejects(
        () =>
          connectWebSocket("wss://feed.invalid/", { capture: "direct", http }),
        TypeError,
        `choose capture "preflight" or "none"`,
      );
      assertEquals(error.message.includes("secret"), false);
    }
  },
});

// --- unsafelyIgnoreCertificateErrors ---

const withOpenssl = CAN
  ? testsWith("openssl", hasOpenssl)
  : Deno.test.ignore.bind(Deno.test);

/** Receives the greeting of a server whose certificate is not checked. */
async function greeted(
  url: string,
  http: ConnectOptions["http"],
): Promise<void> {
  const [connection] = await connectWebSocket(url, {
    capture: "direct",
    http: { ...http, unsafelyIgnoreCertificateErrors: true },
  });
  assertEquals(await connection.recv(), "hello");
  assertEquals((await connection.close()).clean, true);
}

for (const kind of ["expired", "wrongName", "selfSigned"] as const) {
  test(`unsafelyIgnoreCertificateErrors accepts a certificate that is not to be trusted: ${kind}`, async () => {
    const all = await certificates();
    await using server = rawServer(greet, all[kind]);
    await greeted(server.url, {});
    await greeted(server.url, { caCerts: [all.ca] });
    const { port } = server;
    await greeted(`wss://example.invalid/`, {
      address: { hostname: "127.0.0.1", port },
    });
    // Of that connection alone.
    await assertRejects(
      () => connectWebSocket(server.url, { capture: "direct" }),
      HandshakeError,
      "certificate",
    );
  });
}

for (const proxied of ["http", "https", "socks5"] as const) {
  test(`unsafelyIgnoreCertificateErrors accepts the server's certificate through a proxy (${proxied}:)`, async () => {
    const { ca, server: identity, selfSigned } = await certificates();
    await using server = rawServer(greet, selfSigned);
    await using proxy = proxied === "socks5"
      ? socksProxy()
      : tunnelProxy(proxied === "https" ? { identity } : {});
    const url = `${proxied}://localhost:${proxy.port}`;
    await greeted(server.url, { caCerts: [ca], proxy: { url } });
    assertEquals(proxy.asked.length, 1);
  });
}

test("unsafelyIgnoreCertificateErrors does not accept a proxy's certificate", async () => {
  const { selfSigned } = await certificates();
  await using server = rawServer(greet, selfSigned);
  await using proxy = tunnelProxy({ identity: selfSigned });
  const error = await assertRejects(
    () =>
      greeted(server.url, {
        proxy: { url: `https://localhost:${proxy.port}` },
      }),
    HandshakeError,
    `the proxy localhost:${proxy.port} could not be used: `,
  );
  assertEquals(error.by, "proxy");
  assertEquals(proxy.asked, []);
});

test("unsafelyIgnoreCertificateErrors shows the client certificate", async () => {
  const { ca, selfSigned, client } = await certificates();
  await using server = rawServer(greet);
  await using front = await gate(server.port, selfSigned, ca);
  await greeted(front.url, client);
  assertEquals(front.names, ["wstap test"]);
});

test("NODE_TLS_REJECT_UNAUTHORIZED=0 does not make direct accept any certificate", async () => {
  const { client, selfSigned } = await certificates();
  await using server = rawServer(greet, selfSigned);
  for (const http of [{}, client]) {
    const got = await runClient(
      { url: server.url, options: { capture: "direct", http } },
      ["--allow-net", "--allow-env"],
      { NODE_TLS_REJECT_UNAUTHORIZED: "0" },
    );
    assertMatch(got.error, /certificate/);
  }
  assertEquals(server.heads, []);
});

withOpenssl(
  "a certificate of plain openssl req -x509 is explained, and accepted where that is asked for",
  async () => {
    await using files = new OpensslFolder();
    await files.run(
      "req -x509 -newkey rsa:2048 -nodes -keyout k -out c -subj /CN=localhost " +
        "-addext subjectAltName=DNS:localhost",
    );
    const identity = { cert: files.read("c"), key: files.read("k") };
    await using server = rawServer(greet, identity);
    const error = await assertRejects(
      () =>
        connectWebSocket(server.url, {
          capture: "direct",
          http: { caCerts: [identity.cert] },
        }),
      HandshakeError,
    );
    assertMatch(error.message, /CA:TRUE.*unsafelyIgnoreCertificateErrors/s);
    await greeted(server.url, {});
    await greeted(server.url, { caCerts: [identity.cert] });
  },
);

withOpenssl(
  "a certificate of openssl with CA:FALSE is trusted with caCerts, also by node:tls",
  async () => {
    await using files = new OpensslFolder();
    await files.run(
      "req -x509 -newkey rsa:2048 -nodes -keyout k -out c -subj /CN=localhost " +
        "-addext subjectAltName=DNS:localhost -addext basicConstraints=CA:FALSE",
    );
    const identity = { cert: files.read("c"), key: files.read("k") };
    const { client } = await certificates();
    await using server = rawServer(greet, identity);
    for (const more of [{}, client]) {
      const [connection] = await connectWebSocket(server.url, {
        capture: "direct",
        http: { caCerts: [identity.cert], ...more },
      });
      assertEquals(await connection.recv(), "hello");
      await connection.close();
    }
  },
);

Deno.test({
  name: "unsafelyIgnoreCertificateErrors is a TypeError before Deno 2.8",
  ignore: CAN,
  async fn() {
    const error = await assertRejects(
      () => greeted("wss://feed.invalid/", {}),
      TypeError,
    );
    assertEquals(
      error.message,
      'Capture "direct" cannot accept any certificate before Deno 2.8',
    );
  },
});
