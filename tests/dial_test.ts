/** Connecting with "direct": every step can be ended, and leaves nothing behind. */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { type ConnectOptions, connectWebSocket } from "@wstap/wstap";
import { untilAborted } from "../src/direct/transport.ts";
import { test } from "./fixtures/captures.ts";
import { certificates } from "./fixtures/certs.ts";
import { moduleFlags, output, path, workplace } from "./fixtures/command.ts";
import type { ClientOrder } from "./fixtures/client.ts";
import { fullPort, hasFullPort } from "./fixtures/full.ts";
import { testsWith } from "./fixtures/installed.ts";
import { hasNamespaces, inNamespace } from "./fixtures/namespace.ts";
import type { NamesReport } from "./fixtures/_names.ts";
import { tunnelProxy } from "./fixtures/proxies.ts";
import { type Peer, rawServer } from "./fixtures/raw.ts";
import { within } from "./fixtures/wait.ts";

/** Whether `node:tls` is up to it in this Deno. */
const NODE_TLS = !/^2\.[0-7]\./.test(Deno.version.deno);

/** A connection that never gets any further. */
interface Stuck extends AsyncDisposable {
  readonly url: string;
  readonly http?: ConnectOptions["http"];
  /**
   * Resolves when the other end has noticed that the connection is over. Missing
   * where it does not: Deno keeps a connection in whose TLS handshake it waits for
   * the server, although it is closed, until the server says or ends something.
   */
  readonly gone?: Promise<unknown> | undefined;
  /** Resolves when the connection has come to the other end. */
  readonly reached?: Promise<unknown>;
}

/** A server that says nothing after it has read something, or after `begin`. */
function silent(
  options: {
    begin?: (peer: Peer) => Promise<unknown>;
    identity?: { cert: string; key: string };
  } = {},
) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  const server = rawServer(async (peer) => {
    reached.resolve();
    await options.begin?.(peer);
    await peer.waitForEnd();
    resolve();
  }, options.identity);
  return {
    port: server.port,
    gone: promise,
    reached: reached.promise,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** The steps of connecting over TCP to an end that is in this process, each with an end that stops there. */
const STEPS: Record<string, () => Promise<Stuck> | Stuck> = {
  "TLS": () => {
    const server = silent();
    const url = `wss://localhost:${server.port}/`;
    return { ...server, url, gone: undefined };
  },
  "the answer": () => {
    const server = silent();
    return { ...server, url: `ws://localhost:${server.port}/` };
  },
  "the answer over TLS": async () => {
    const { ca, server: identity } = await certificates();
    const server = silent({ identity });
    const http = { caCerts: [ca] };
    return { ...server, url: `wss://localhost:${server.port}/`, http };
  },
  "the rest of the answer": () => {
    const server = silent({
      begin: (peer) => peer.write("HTTP/1.1 101 Switching Protocols\r\nA: b"),
    });
    return { ...server, url: `ws://localhost:${server.port}/` };
  },
  "CONNECT": () => {
    const proxy = silent();
    const http = { proxy: { url: `http://localhost:${proxy.port}` } };
    return { ...proxy, url: "ws://feed.invalid/", http };
  },
  "SOCKS5": () => {
    const proxy = silent();
    const http = { proxy: { url: `socks5://localhost:${proxy.port}` } };
    return { ...proxy, url: "ws://feed.invalid/", http };
  },
  "the reply of SOCKS5": () => {
    const proxy = silent({ begin: (peer) => peer.write("\x05\x00") });
    const http = { proxy: { url: `socks5://localhost:${proxy.port}` } };
    return { ...proxy, url: "ws://feed.invalid/", http };
  },
  "TLS to an https: proxy": () => {
    const proxy = silent();
    const http = { proxy: { url: `https://localhost:${proxy.port}` } };
    return { ...proxy, url: "ws://feed.invalid/", http, gone: undefined };
  },
  "TLS through a proxy": () => {
    const server = silent();
    const proxy = tunnelProxy();
    return {
      url: `wss://localhost:${server.port}/`,
      http: { proxy: { url: `http://localhost:${proxy.port}` } },
      async [Symbol.asyncDispose]() {
        await server[Symbol.asyncDispose]();
        await proxy[Symbol.asyncDispose]();
      },
    };
  },
  "TLS with a client certificate": async () => {
    const { client } = await certificates();
    const server = silent();
    const url = `wss://localhost:${server.port}/`;
    // Without node:tls it is Deno's own.
    const gone = NODE_TLS ? server.gone : undefined;
    return { ...server, url, http: client, gone };
  },
  ...(NODE_TLS && {
    "TLS to any certificate": () => {
      const server = silent();
      const http = { unsafelyIgnoreCertificateErrors: true };
      return { ...server, url: `wss://localhost:${server.port}/`, http };
    },
    "TLS through an https: proxy": async () => {
      const { ca, server: identity } = await certificates();
      const server = silent();
      const proxy = tunnelProxy({ identity });
      return {
        url: `wss://localhost:${server.port}/`,
        http: {
          caCerts: [ca],
          proxy: { url: `https://localhost:${proxy.port}` },
        },
        gone: server.gone,
        async [Symbol.asyncDispose]() {
          await server[Symbol.asyncDispose]();
          await proxy[Symbol.asyncDispose]();
        },
      };
    },
  }),
};

for (const [step, stop] of Object.entries(STEPS)) {
  test(`a timeout ends the wait for ${step}`, async () => {
    await using stuck = await stop();
    const { url, http } = stuck;
    const error = await within(
      assertRejects(
        () =>
          connectWebSocket(url, {
            capture: "direct",
            // The connection must have come to the other end by then.
            handshakeTimeout: "1s",
            ...(http && { http }),
          }),
        DOMException,
      ),
      60_000,
      "the timeout",
    );
    assertEquals(error.name, "TimeoutError");
    if (stuck.gone) {
      await within(stuck.gone, 60_000, "the end of the connection");
    }
  });

  test(`the signal ends the wait for ${step}`, async () => {
    await using stuck = await stop();
    const { url, http } = stuck;
    const controller = new AbortController();
    const connecting = connectWebSocket(url, {
      capture: "direct",
      signal: controller.signal,
      ...(http && { http }),
    });
    await stuck.reached;
    setTimeout(() => controller.abort(new Error("enough")), 100);
    await within(
      assertRejects(() => connecting, Error, "enough"),
      60_000,
      "the abort",
    );
    if (stuck.gone) {
      await within(stuck.gone, 60_000, "the end of the connection");
    }
  });
}

// --- Connecting over TCP, and resolving names ---

const withFullPort = testsWith("a queue that drops", hasFullPort);
const withNamespaces = testsWith("namespaces", hasNamespaces);

/** The kinds of connections whose first step is to connect to this port. */
async function toPort(
  port: number,
): Promise<Record<string, Pick<ClientOrder, "url" | "options">>> {
  const { client } = await certificates();
  const address = { hostname: "127.0.0.1", port };
  const proxy = { url: `http://127.0.0.1:${port}` };
  return {
    "ws:": { url: `ws://127.0.0.1:${port}/` },
    "wss:": { url: `wss://localhost:${port}/` },
    "a proxy": { url: "ws://feed.invalid/", options: { http: { proxy } } },
    "an address": {
      url: "wss://feed.invalid/",
      options: { http: { address } },
    },
    "a client certificate": {
      url: `wss://localhost:${port}/`,
      options: { http: client },
    },
  };
}

/** Runs a client in a process of its own until it ends, which must be soon after `handshakeTimeout`. */
async function timesOut(order: ClientOrder, what: string): Promise<void> {
  const options = {
    ...order.options,
    ...{ capture: "direct", handshakeTimeout: "300ms" },
  };
  const start = performance.now();
  const { stdout } = await output(Deno.execPath(), [
    ...["run", "--quiet", "-A", "--no-lock", ...moduleFlags()],
    path("tests/fixtures/client.ts"),
    JSON.stringify({ url: order.url, options }),
  ]);
  assertEquals(JSON.parse(stdout).error.split(":")[0], "TimeoutError", what);
  const took = performance.now() - start;
  assert(took < 45_000, `${what}: the process ended after ${took} ms`);
}

test("a server that never answers in TLS does not keep the process alive", async () => {
  await using server = silent();
  const { client } = await certificates();
  const url = `wss://localhost:${server.port}/`;
  await timesOut({ url }, "TLS");
  await timesOut({ url, options: { http: client } }, "a client certificate");
});

withFullPort(
  "an address that drops packets does not keep the process alive",
  async () => {
    await using full = await fullPort();
    for (const [kind, order] of Object.entries(await toPort(full.port))) {
      // Deno.connectTls() cannot be cancelled, and nothing else shows a certificate.
      if (kind === "a client certificate" && !NODE_TLS) continue;
      await timesOut(order, kind);
    }
  },
);

test("a connection attempt under a signal that has aborted rejects at once, and what it opens is closed", async () => {
  const reason = new Error("enough");
  const opening = Promise.withResolvers<Deno.Conn>();
  const closed = Promise.withResolvers<void>();
  const attempt = untilAborted(opening.promise, AbortSignal.abort(reason));
  assertStrictEquals(await assertRejects(() => attempt), reason);
  opening.resolve({ close: () => closed.resolve() } as Deno.Conn);
  await closed.promise;
});

test("an abort in the moment in which the connection opens leaves it not open", async () => {
  await using server = silent();
  const controller = new AbortController();
  const { connect } = Deno;
  try {
    Deno.connect = (async (
      { signal, ...server }: Deno.ConnectOptions & { signal?: AbortSignal },
    ) => {
      const conn = await connect(server);
      controller.abort(new Error("enough"));
      signal?.throwIfAborted(); // as Deno's own does last
      return conn;
    }) as typeof Deno.connect;
    await assertRejects(
      () =>
        connectWebSocket(`ws://127.0.0.1:${server.port}/`, {
          capture: "direct",
          signal: controller.signal,
        }),
      Error,
      "enough",
    );
  } finally {
    Deno.connect = connect;
  }
  await within(server.gone, 5000, "the end of the connection");
});

/** A program that fails to connect to a name, and goes on. */
const REFUSED = `
  import { connectWebSocket } from "@wstap/wstap";
  const { port } = (() => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    return listener.addr;
  })();
  const options = { capture: "direct" };
  await connectWebSocket("ws://localhost:" + port, options).catch(() => {});
  await new Promise((resolve) => setTimeout(resolve));
`;

test("the addresses of a name are looked up without a warning of Deno's", async () => {
  await using place = await workplace({ "refused.ts": REFUSED });
  const { code, stderr } = await output(Deno.execPath(), [
    ...["run", "--quiet", "--allow-net", "--no-lock", ...moduleFlags()],
    `${place.folder}/refused.ts`,
  ]);
  assertEquals([code, stderr], [0, ""]);
});

const TWO = "127.0.0.1 two.test\n127.0.0.2 two.test";

for (const how of ["drops", "refuses"]) {
  withNamespaces(
    `direct goes on to the next address if the first one ${how}`,
    async () => {
      const { got } = await inNamespace<NamesReport>(
        "tests/fixtures/_names.ts",
        { hosts: TWO },
        how,
      );
      assertEquals(got, "hello");
    },
  );
}

withNamespaces("a timeout ends the resolution of a name", async () => {
  const { got, took } = await inNamespace<NamesReport>(
    "tests/fixtures/_names.ts",
    { resolv: "nameserver 127.0.0.1\noptions timeout:20 attempts:2" },
    "slow",
  );
  assertEquals(got, "TimeoutError: No connection within 300 ms");
  assert(took < 18_000, `it took ${took} ms`);
});

// The last one, because the attempt goes on after it.
Deno.test({
  name:
    "a timeout ends connecting with a client certificate before Deno 2.8, although it cannot be cancelled",
  ignore: NODE_TLS || !hasFullPort,
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await using full = await fullPort();
    const { client } = await certificates();
    const error = await within(
      assertRejects(
        () =>
          connectWebSocket(`wss://localhost:${full.port}/`, {
            capture: "direct",
            handshakeTimeout: "300ms",
            http: client,
          }),
        DOMException,
      ),
      60_000,
      "the timeout",
    );
    assertEquals(error.name, "TimeoutError");
  },
});
