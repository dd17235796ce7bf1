import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { connections, connectWebSocket, HandshakeError } from "@wstap/wstap";
import {
  type ReadVariable,
  refuseBypass,
  routeFor,
} from "../src/proxy/environment.ts";
import { isExempt, isExemptForDeno } from "../src/proxy/no_proxy.ts";
import { answerClose, each, greet, native, test } from "./fixtures/captures.ts";
import { certificates } from "./fixtures/certs.ts";
import { socksProxy, tunnelProxy } from "./fixtures/proxies.ts";
import { runClient } from "./fixtures/client.ts";
import { rawServer } from "./fixtures/raw.ts";
import { quietPort } from "./fixtures/wait.ts";

const EXEMPT: [host: string, list: string, exempt: boolean][] = [
  ["feed.example", "", false],
  ["feed.example", "*", true],
  ["feed.example", "feed.example", true],
  ["FEED.example", "feed.EXAMPLE", true],
  ["a.feed.example", "feed.example", true],
  ["a.feed.example", ".feed.example", true],
  ["feed.example", ".feed.example", true],
  ["a.feed.example", "*.feed.example", true],
  ["myfeed.example", "feed.example", false],
  ["feed.example", "a.feed.example", false],
  ["feed.example", "other, feed.example ,", true],
  ["127.0.0.1", "127.0.0.1", true],
  ["127.0.0.1", "127.0.0.2", false],
  ["127.0.0.1", "127.0.0.0/8", true],
  ["128.0.0.1", "127.0.0.0/8", false],
  ["10.1.2.3", "10.1.2.0/23", true],
  ["10.1.4.3", "10.1.2.0/23", false],
  ["10.1.2.3", "0.0.0.0/0", true],
  ["10.1.2.3", "10.1.2.3/33", false],
  ["10.1.2.3", "10.1.2.3/x", false],
  ["1.2.3.4", "3.4", false],
  ["::1", "::1", true],
  ["::1", "[::1]", true],
  ["fd00::1", "fd00::/8", true],
  ["fe80::1", "fd00::/8", false],
  ["2001:db8::1", "2001:db8:0::/48", true],
  ["::1", "0.0.0.0/0", false],
  ["::1", "::/0", true],
  ["::1", "[::1]/128", true],
  ["::1", "::/129", false],
  ["fd00::1", "fd00::/7", true],
  ["10.0.0.1", "10.0.0.1/", false],
  ["10.9.9.9", "10.0.0.1/", false],
  ["feed.example", "10.0.0.1/", false],
  ["10.0.0.2", "10.0.0.0/8/9", false],
  ["10.0.0.2", "10.0.0.0/+8", false],
  ["10.0.0.2", "10.0.0.0/0", true],
  ["10.0.0.1", "010.0.0.1", false],
  ["10.0.0.1", "10.0.0.1:80", false],
  ["feed.example", "feed.example:80", false],
  ["feed.example", "feed.example/8", false],
  ["::ffff:10.0.0.1", "10.0.0.1", false],
  ["10.0.0.1", "*", true],
  ["feed.example", ".", false],
];

for (const [host, list, exempt] of EXEMPT) {
  Deno.test(`NO_PROXY "${list}" ${exempt ? "exempts" : "does not exempt"} ${host}`, () => {
    assertEquals(isExempt(host, list), exempt);
  });
}

const LIST = "name.invalid, .sub.invalid,10.1.2.0/23,127.0.0.2,fd00::/8,::1";

for (
  const [what, list, ours] of [
    ["that both know", LIST, isExempt],
    ["that both know, for isExemptForDeno()", LIST, isExemptForDeno],
    [
      "that Deno does not know, for isExemptForDeno()",
      "Name.invalid,*.sub.invalid,[fd00::1],10.1.3.3/,127.0.0.2:8123,10.1.4.0/33",
      isExemptForDeno,
    ],
    ["of every host, for isExemptForDeno()", "*", isExemptForDeno],
  ] as const
) {
  test(`NO_PROXY exempts what it does for Deno's own network: entries ${what}`, async () => {
    const hosts = [
      ...["name.invalid", "a.name.invalid", "myname.invalid", "sub.invalid"],
      ...["a.sub.invalid", "10.1.3.3", "10.1.4.3", "127.0.0.2", "127.0.0.3"],
      ...["[::1]", "[fd00::1]", "[fe80::1]"],
    ];
    await using proxy = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      () => new Response("proxied"),
    );
    const code = `
    const proxied = await Promise.all(${JSON.stringify(hosts)}.map((host) =>
      fetch(\`http://\${host}:8123/\`, { signal: AbortSignal.timeout(3000) })
        .then((response) => response.text(), () => "")
    ));
    console.log(JSON.stringify(proxied.map((text) => text === "proxied")));
    Deno.exit();
  `;
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--quiet", "--no-config", code],
      env: {
        HTTP_PROXY: `http://127.0.0.1:${proxy.addr.port}`,
        NO_PROXY: list,
        ...{ ALL_PROXY: "", all_proxy: "", no_proxy: "" },
      },
    }).output();
    const proxied = hosts.map((host) =>
      !ours(host.replace(/[[\]]/g, ""), list)
    );
    assertEquals(proxied, JSON.parse(new TextDecoder().decode(stdout)));
  });
}

/** Reads these variables. */
const reads = (variables: Record<string, string>): ReadVariable => (name) =>
  variables[name];

Deno.test("routeFor() reads the variables as Deno's network does", () => {
  const ws = new URL("ws://feed.example/");
  const wss = new URL("wss://feed.example/");
  const port = (url: URL, variables: Record<string, string>) =>
    routeFor(url, undefined, reads(variables))?.port;
  assertEquals(port(ws, {}), undefined);
  assertEquals(port(ws, { HTTP_PROXY: "http://p:1" }), 1);
  assertEquals(port(ws, { http_proxy: "http://p:2" }), 2);
  assertEquals(port(ws, { HTTPS_PROXY: "http://p:3" }), undefined);
  assertEquals(port(wss, { HTTPS_PROXY: "http://p:3" }), 3);
  assertEquals(port(wss, { https_proxy: "p:4" }), 4);
  assertEquals(port(wss, { HTTP_PROXY: "http://p:1" }), undefined);
  assertEquals(port(ws, { ALL_PROXY: "socks5://p", HTTP_PROXY: "p:1" }), 1080);
  assertEquals(
    port(ws, { HTTP_PROXY: "p:1", REQUEST_METHOD: "GET" }),
    undefined,
  );
  assertEquals(port(ws, { HTTP_PROXY: "p:1", NO_PROXY: "example" }), undefined);
  assertEquals(port(ws, { HTTP_PROXY: "p:1", no_proxy: "*" }), undefined);
  assertEquals(port(ws, { HTTP_PROXY: "p:1", NO_PROXY: "", no_proxy: "*" }), 1);
});

Deno.test("refuseBypass() throws where NO_PROXY would make Deno's client bypass an explicit proxy or address", () => {
  const url = new URL("ws://feed.example:8080/?token");
  const refuse = (
    variables: Record<string, string>,
    option: "http.proxy" | "http.address" = "http.proxy",
  ) => refuseBypass(url, option, reads(variables));
  for (const name of ["NO_PROXY", "no_proxy"]) {
    const error = assertThrows(
      () => refuse({ [name]: "a.example, .example" }, "http.address"),
      TypeError,
      `Cannot use http.address for feed.example:8080: the variable ${name} contains it`,
    );
    assertEquals(error.message.includes("token"), false);
    assertEquals(error.message.includes(`capture "direct"`), true);
  }
  assertThrows(() => refuse({ NO_PROXY: "*" }), TypeError, "http.proxy");
  refuse({});
  refuse({ NO_PROXY: "other.example" });
  refuse({ NO_PROXY: "", no_proxy: "*" });
});

Deno.test("routeFor() prefers the option, whatever NO_PROXY says", () => {
  const url = new URL("ws://feed.example/");
  const route = routeFor(
    url,
    { url: "https://us%65r:p%40ss@proxy.example" },
    reads({ NO_PROXY: "*", ALL_PROXY: "http://other" }),
  );
  assertEquals(route, {
    kind: "https",
    hostname: "proxy.example",
    port: 443,
    auth: { username: "user", password: "p@ss" },
  });
});

Deno.test("routeFor() refuses a transport that is not the scheme of the URL", () => {
  assertThrows(
    () =>
      routeFor(new URL("ws://a/"), {
        transport: "socks5",
        url: "http://127.0.0.1:1" as "socks5://a",
      }, reads({})),
    TypeError,
    `its transport is "socks5", and its URL begins with "http:"`,
  );
});

for (
  const url of [
    ...["ftp://secret@p", "http://", "socks4://secret@p:1", "::"],
    ...["", "secret:1", "http://secret@p:99999", "http://secret p"],
  ]
) {
  Deno.test(`routeFor() refuses ${url}, without repeating it`, () => {
    const error = assertThrows(
      () => routeFor(new URL("ws://a/"), { url }, reads({})),
      TypeError,
      "Invalid proxy in http.proxy",
    );
    assertEquals(error.message.includes("secret"), false);
  });
}

function feed(identity?: { cert: string; key: string }) {
  return rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    await peer.send("by proxy");
    await answerClose(peer);
    peer.end();
  }, identity);
}

for (const secure of [false, true]) {
  const scheme = secure ? "wss:" : "ws:";
  const auth = { username: "user", password: "secret" };

  test(`direct goes through CONNECT to ${scheme}, with credentials`, async () => {
    const { ca, server: identity } = await certificates();
    await using server = feed(secure ? identity : undefined);
    await using proxy = tunnelProxy({ auth });
    const [connection] = await connectWebSocket(server.url, {
      capture: "direct",
      http: {
        caCerts: [ca],
        proxy: { url: `http://user:secret@127.0.0.1:${proxy.port}` },
      },
    });
    assertEquals(await connection.recv(), "by proxy");
    await connection.close();
    const { host } = new URL(server.url);
    assertEquals(proxy.asked, [`CONNECT ${host} HTTP/1.1`]);
  });

  for (const given of [undefined, auth]) {
    test(`direct goes through SOCKS5 to ${scheme} ${given ? "with" : "without"} credentials`, async () => {
      const { ca, server: identity } = await certificates();
      await using server = feed(secure ? identity : undefined);
      await using proxy = socksProxy(given ? { auth: given } : {});
      const [connection] = await connectWebSocket(server.url, {
        capture: "direct",
        http: {
          caCerts: [ca],
          proxy: {
            transport: "socks5",
            url: `socks5://127.0.0.1:${proxy.port}`,
            ...(given && { basicAuth: given }),
          },
        },
      });
      assertEquals(await connection.recv(), "by proxy");
      await connection.close();
      assertEquals(proxy.asked, [new URL(server.url).host]);
    });
  }
}

test("direct goes through an https: proxy to ws:", async () => {
  const { ca, server: identity } = await certificates();
  await using server = feed();
  await using proxy = tunnelProxy({ identity });
  const http = {
    caCerts: [ca],
    proxy: { url: `https://localhost:${proxy.port}` },
  };
  const [connection] = await connectWebSocket(server.url, {
    capture: "direct",
    http,
  });
  assertEquals(await connection.recv(), "by proxy");
  await connection.close();
});

for (const kind of ["http", "https", "socks5"] as const) {
  native.test(`every connection goes through the same ${kind}: proxy to wss:`, async (capture) => {
    const { ca, server: identity } = await certificates();
    await using server = rawServer(greet, identity);
    await using proxy = kind === "socks5"
      ? socksProxy()
      : tunnelProxy(kind === "https" ? { identity } : {});
    const url = `${kind}://localhost:${proxy.port}`;
    const feeds = connections(server.url, {
      capture,
      minDelay: 0,
      http: { caCerts: [ca], proxy: { url } },
    });
    for (let i = 0; i < 2; i++) {
      const [connection] = (await feeds.next()).value!;
      assertEquals(await connection.recv(), "hello");
      await connection.close();
    }
    await feeds.return();
    assertEquals(proxy.asked.length, capture === "preflight" ? 4 : 2);
  });
}

test("a proxy's refusal is a HandshakeError that says it was the proxy, with its response", async () => {
  await using proxy = tunnelProxy({
    auth: { username: "user", password: "other" },
  });
  const error = await assertRejects(
    () =>
      connectWebSocket("wss://feed.invalid/x?token", {
        capture: "direct",
        http: { proxy: { url: `http://user:secret@127.0.0.1:${proxy.port}` } },
      }),
    HandshakeError,
    `Cannot connect to wss://feed.invalid/x: the proxy 127.0.0.1:${proxy.port} ` +
      "answered HTTP error: 407 Proxy Authentication Required",
  );
  assertEquals(error.response?.status, 407);
  assertEquals(await error.response?.text(), "who are you?");
  assertEquals(/secret|token/.test(Deno.inspect(error)), false);
});

test("a SOCKS5 proxy's refusal is a HandshakeError in words", async () => {
  await using proxy = socksProxy({ reply: 2 });
  await using picky = socksProxy({
    auth: { username: "user", password: "other" },
  });
  const connect = (port: number, credentials: string) =>
    connectWebSocket("ws://feed.invalid/", {
      capture: "direct",
      http: {
        proxy: {
          transport: "socks5",
          url: `socks5://${credentials}127.0.0.1:${port}`,
        },
      },
    });
  await assertRejects(
    () => connect(proxy.port, ""),
    HandshakeError,
    `the proxy 127.0.0.1:${proxy.port} answered SOCKS error 2: connection not allowed`,
  );
  await assertRejects(
    () => connect(picky.port, ""),
    HandshakeError,
    "wants a username and password",
  );
  await assertRejects(
    () => connect(picky.port, "user:secret@"),
    HandshakeError,
    "refused the username and password",
  );
});

test("connections() takes no proxy's refusal for an endpoint that is missing", async () => {
  await using server = feed();
  const { host } = new URL(server.url);
  const answers = ["404 Not Found", "503 Service Unavailable"];
  await using proxy = tunnelProxy({ refuse: () => answers.shift() ?? null });
  const errors: string[] = [];
  const connecting = connections([server.url, "ws://other.invalid/"], {
    capture: "direct",
    http: { proxy: { url: `http://127.0.0.1:${proxy.port}` } },
    minDelay: 0,
    maxDelay: 0,
    onRetry: ({ error }) => void errors.push(error.message),
  });
  for await (const [connection] of connecting) {
    assertEquals(await connection.recv(), "by proxy");
    break;
  }
  assertEquals(proxy.asked, [
    `CONNECT ${host} HTTP/1.1`,
    "CONNECT other.invalid:80 HTTP/1.1",
    `CONNECT ${host} HTTP/1.1`,
  ]);
  assertEquals(errors, [
    `Cannot connect to ws://other.invalid/: the proxy 127.0.0.1:${proxy.port} ` +
    "answered HTTP error: 503 Service Unavailable",
  ]);
});

test("a proxy's refusal says whether another try may mend it", async () => {
  const transient = async (proxy: Deno.Proxy) => {
    const error = await assertRejects(
      () =>
        connectWebSocket("ws://feed.invalid/", {
          capture: "direct",
          http: { proxy },
        }),
      HandshakeError,
    );
    return error.transient;
  };
  const found: Record<string, boolean> = {};
  for (const status of ["403 Forbidden", "502 Bad Gateway"]) {
    await using proxy = tunnelProxy({ refuse: () => status });
    found[status] = await transient({ url: `http://127.0.0.1:${proxy.port}` });
  }
  for (const reply of [1, 2, 3, 4, 5, 6, 7, 8, 99]) {
    await using proxy = socksProxy({ reply });
    const url = `socks5://127.0.0.1:${proxy.port}` as const;
    found[reply] = await transient({ transport: "socks5", url });
  }
  await using picky = socksProxy({ auth: { username: "u", password: "p" } });
  for (const credentials of ["", "u:wrong@"]) {
    const url = `socks5://${credentials}127.0.0.1:${picky.port}` as const;
    found[credentials] = await transient({ transport: "socks5", url });
  }
  assertEquals(found, {
    "403 Forbidden": false,
    "502 Bad Gateway": true,
    1: true,
    2: false,
    3: true,
    4: true,
    5: true,
    6: true,
    7: false,
    8: false,
    99: false,
    "": false,
    "u:wrong@": false,
  });
});

test("a proxy that hangs up, talks nonsense or is not there is a HandshakeError", async () => {
  await using garbage = rawServer(async (peer) => {
    await peer.write("SSH-2.0\r\n\r\n");
    peer.end();
  });
  await using gone = rawServer((peer) => Promise.resolve(peer.end()));
  for (const port of [garbage.port, gone.port, 1]) { // nobody listens on port 1
    for (const scheme of ["http", "socks5"]) {
      await assertRejects(
        () =>
          connectWebSocket("ws://feed.invalid/", {
            capture: "direct",
            http: {
              proxy: {
                transport: scheme as "http",
                url: `${scheme}://127.0.0.1:${port}`,
              },
            },
          }),
        HandshakeError,
        "the proxy 127.0.0.1",
      );
    }
  }
});

each.test("a proxy that is not there is named, without its credentials, each time", async (capture) => {
  const port = quietPort();
  for (const kind of ["http", "socks5"]) {
    const url = `${kind}://me:s3cret@127.0.0.1:${port}`;
    for (const scheme of ["ws", "wss"]) {
      const loop = connections(`${scheme}://feed.invalid/`, {
        capture,
        http: { proxy: { url } as Deno.Proxy },
        minDelay: 0.001,
        maxAttempts: 2,
      });
      // Deno 2.5 changed the proxy that it got, and did not take it again.
      const error = await assertRejects(() => loop.next(), HandshakeError);
      assertEquals(
        error.message.replace(/used: .*/, "used"),
        `Cannot connect to ${scheme}://feed.invalid/: the proxy 127.0.0.1:${port} could not be used`,
      );
      assertEquals(error.message.includes("s3cret"), false);
    }
  }
});

native.test("a proxy of the environment that is not there is named", async (capture) => {
  const port = quietPort();
  const { error } = await runClient(
    { url: "ws://feed.invalid/", options: { capture } },
    ["--allow-net", "--allow-env"],
    { HTTP_PROXY: `http://me:s3cret@127.0.0.1:${port}` },
  );
  assert(
    error.includes(`the proxy 127.0.0.1:${port} could not be used`),
    error,
  );
  assertEquals(error.includes("s3cret"), false);
});

test("an abort ends the wait for a proxy that never answers", async () => {
  await using silent = rawServer((peer) => peer.waitForEnd().then(() => {}));
  for (const scheme of ["http", "socks5"]) {
    const start = performance.now();
    const error = await assertRejects(
      () =>
        connectWebSocket("ws://feed.invalid/", {
          capture: "direct",
          handshakeTimeout: "100ms",
          http: {
            proxy: {
              transport: scheme as "http",
              url: `${scheme}://127.0.0.1:${silent.port}`,
            },
          },
        }),
      DOMException,
    );
    assertEquals(error.name, "TimeoutError");
    assert(performance.now() - start < 25_000); // 30 seconds by default
  }
});

test("a fault of the server behind a healthy proxy is not blamed on the proxy", async () => {
  const { ca, expired, selfSigned } = await certificates();
  for (const identity of [expired, selfSigned, null]) {
    await using server = rawServer(
      (peer) => Promise.resolve(identity ? undefined : peer.end()),
      identity ?? {},
    );
    await using http = tunnelProxy();
    await using socks = socksProxy();
    for (const kind of ["http", "socks5"] as const) {
      const { port } = kind === "http" ? http : socks;
      const error = await assertRejects(
        () =>
          connectWebSocket(`wss://localhost:${server.port}/`, {
            capture: "direct",
            http: {
              caCerts: [ca],
              proxy: { url: `${kind}://127.0.0.1:${port}` },
            },
          }),
        HandshakeError,
      );
      assertEquals(error.message.includes("proxy"), false, error.message);
      if (identity) assert(error.message.includes("certificate"));
      assertEquals(error.by, "server");
    }
  }
});

test("a proxy whose certificate is not trusted, or that speaks no TLS, is blamed", async () => {
  const { selfSigned } = await certificates();
  await using untrusted = tunnelProxy({ identity: selfSigned });
  await using plain = rawServer(async (peer) => {
    await peer.conn.read(new Uint8Array(16));
    await peer.write("HTTP/1.1 400 Bad Request\r\n\r\n");
    await peer.waitForEnd();
  });
  for (const { port } of [untrusted, plain]) {
    const error = await assertRejects(
      () =>
        connectWebSocket("ws://feed.invalid/", {
          capture: "direct",
          handshakeTimeout: "60s",
          http: { proxy: { url: `https://user:s3cret@localhost:${port}` } },
        }),
      HandshakeError,
      `the proxy localhost:${port} could not be used: `,
    );
    assertEquals(error.by, "proxy");
    assertEquals(error.transient, true);
    assert(error.cause instanceof TypeError);
    assertEquals(Deno.inspect(error).includes("s3cret"), false);
  }
});

test("a proxy's refusal with a slow body is told with what came of it, at the timeout", async () => {
  await using proxy = rawServer(async (peer) => {
    await peer.readHead();
    await peer.write(
      "HTTP/1.1 407 Proxy Authentication Required\r\n" +
        "Content-Length: 100\r\n\r\nwho are",
    );
    await peer.waitForEnd();
  });
  const connect = (signal?: AbortSignal) =>
    connectWebSocket("ws://feed.invalid/", {
      capture: "direct",
      handshakeTimeout: "1500ms",
      http: { proxy: { url: `http://127.0.0.1:${proxy.port}` } },
      ...(signal && { signal }),
    });
  const error = await assertRejects(
    () => connect(),
    HandshakeError,
    "answered HTTP error: 407 Proxy Authentication Required",
  );
  assertEquals(await error.response?.text(), "who are");
  assertEquals([error.by, error.transient], ["proxy", false]);
  // An abort is the caller's, who wants to hear nothing more.
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error("enough")), 100);
  await assertRejects(() => connect(controller.signal), Error, "enough");
});

test("a proxy that says more than its answer, or something else, is refused", async () => {
  const cases: [answer: string, problem: string][] = [
    ["HTTP/1.1 200 OK\r\n\r\nGARBAGE", "sent more than its answer"],
    ["HTTP/1.1 200 OK\r\nContent-Le", "did not answer in HTTP"],
    ["SSH-2.0-OpenSSH_9.2\r\n", "did not answer in HTTP"],
    ["\x04\x5a", "does not speak SOCKS5"],
    ["\x05\xff", "wants a username and password"],
    ["\x05\x07", "wants a username and password"],
    ["\x05", "hung up without an answer"],
    ["\x05\x00\x05\x00\x00", "hung up without an answer"],
    ["\x05\x00\x05\x00\x00\x03\x09local", "hung up without an answer"],
  ];
  for (const [answer, problem] of cases) {
    await using proxy = rawServer(async (peer) => {
      await peer.conn.read(new Uint8Array(1));
      await peer.write(Uint8Array.from(answer, (it) => it.charCodeAt(0)));
      await peer.conn.closeWrite();
      await peer.waitForEnd();
    });
    const kind = /^[A-Z]/.test(answer) ? "http" : "socks5";
    const error = await assertRejects(
      () =>
        connectWebSocket("ws://feed.invalid/", {
          capture: "direct",
          http: { proxy: { url: `${kind}://127.0.0.1:${proxy.port}` } },
        }),
      HandshakeError,
      `the proxy 127.0.0.1:${proxy.port} ${problem}`,
    );
    assertEquals(error.by, "proxy");
  }
});
