/** What SECURITY.md promises. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  type ConnectOptions,
  connectWebSocket,
  HandshakeError,
} from "@wstap/wstap";
import { CAPTURES, each, greet, native, test } from "./fixtures/captures.ts";
import { certificates } from "./fixtures/certs.ts";
import { run } from "./fixtures/cli.ts";
import { type ClientReport, printed, runClient } from "./fixtures/client.ts";
import { acceptKey, type Peer, rawServer } from "./fixtures/raw.ts";
import { quietPort } from "./fixtures/wait.ts";

// TLS

each.test("a certificate that is not to be trusted is refused, before a byte of the request", async (capture) => {
  const all = await certificates();
  const cases = [
    { name: "expired", identity: all.expired },
    { name: "wrong name", identity: all.wrongName },
    { name: "wrong name of an IP", identity: all.wrongName, host: "127.0.0.1" },
    { name: "self-signed", identity: all.selfSigned },
    { name: "wrong CA", identity: all.server, caCerts: [all.other.ca] },
    { name: "unknown CA", identity: all.server, caCerts: [] },
  ];
  for (const { name, identity, host = "localhost", ...more } of cases) {
    await using server = rawServer(greet, identity);
    const http = { caCerts: [all.ca], ...more };
    const error = await assertRejects(
      () =>
        connectWebSocket(`wss://${host}:${server.port}/`, { capture, http }),
      HandshakeError,
      "certificate",
      name,
    );
    assertEquals(error.response, undefined, name);
    assertInstanceOf(error.cause, Error, name);
    assertEquals(server.heads, [], name);
  }
});

// Redirects

/** Texts that must never leave the place where they belong. */
const SECRETS = [
  "s3cret-user",
  "s3cret-pass",
  "s3cret-token",
  "s3cret-cookie",
  "s3cret-bearer",
];

function assertNoSecret(text: string, where: string): void {
  const decoded = text.replace(/Basic ([A-Za-z0-9+/=]+)/g, (_, it) => atob(it));
  for (const secret of SECRETS) {
    assert(!decoded.includes(secret), `${secret} in ${where}: ${decoded}`);
    assert(
      !decoded.includes(btoa(secret).replaceAll("=", "")),
      `${secret} in base64 in ${where}`,
    );
  }
}

each.test("a redirect takes Authorization, cookies and credentials to the same origin only", async (capture) => {
  await using other = rawServer(greet);
  const locations = [
    other.url,
    other.url.replace("ws:", "http:"),
    other.url.replace("ws:", ""),
    // Credentials that the server puts there are not ours to use either.
    other.url.replace("//", "//s3cret-user:s3cret-pass@"),
    other.url.replace("127.0.0.1", "localhost"),
  ];
  for (const location of locations) {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      const Location = peer.target === "/" ? "/same" : `${location}/there`;
      await peer.respond("302 Found", "", { Location });
      await peer.waitForEnd();
    });
    const url = server.url.replace("//", "//s3cret-user:s3cret-pass@");
    const [connection] = await connectWebSocket(url, {
      capture,
      redirect: "follow",
      headers: {
        "Cookie": "id=s3cret-cookie",
        "Proxy-Authorization": "Bearer s3cret-token",
        "X-Feed": "kept",
      },
    });
    assertEquals(await connection.recv(), "hello");
    await connection.close();
    assert(server.heads.length >= 2);
    for (const head of server.heads) {
      assertStringIncludes(head, "s3cret-cookie");
      assertStringIncludes(head, btoa("s3cret-user:s3cret-pass"));
    }
  }
  assert(other.heads.length >= locations.length);
  for (const head of other.heads) {
    assertNoSecret(head, "the request to the other origin");
    assertStringIncludes(head.toLowerCase(), "x-feed: kept");
  }
});

each.test("a redirect never goes from wss: to ws:, however it is written", async (capture) => {
  const { ca, server: identity } = await certificates();
  await using plain = rawServer(greet);
  const there = plain.url.replace("ws:", "");
  for (const location of [`ws:${there}`, `http:${there}`, `HTTP:${there}`]) {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.respond("307 x", "", { Location: location });
      await peer.waitForEnd();
    }, identity);
    const http = { caCerts: [ca] };
    const error = await assertRejects(
      () => connectWebSocket(server.url, { capture, redirect: "follow", http }),
      HandshakeError,
      "wss: to ws:",
    );
    assertEquals(error.response?.status, 307);
  }
  assertEquals(plain.connections, 0);
});

// Secrets

/** What of a request a server might send back in a header field, where it may be quoted as wrong. */
const COPIES: [name: string, copy: (peer: Peer) => string | null][] = [
  ["Upgrade", ({ target }) => target],
  ["Connection", (peer) => peer.header("cookie")],
  ["Sec-WebSocket-Accept", (peer) => peer.header("authorization")],
  ["Sec-WebSocket-Protocol", (peer) => peer.header("x-key")],
  ["Sec-WebSocket-Extensions", ({ target }) => `x; y="${target}"`],
];

each.test("no error shows credentials, tokens or headers, however it is printed", async (capture) => {
  const { ca, expired } = await certificates();
  const closedPort = quietPort();
  const answers: [name: string, answer: (peer: Peer) => Promise<void>][] = [
    ["refuses", (peer) =>
      peer.respond("403 x", "s3cret-token", {
        "Set-Cookie": "s3cret-cookie",
      })],
    ["breaks a rule", (peer) => peer.upgrade({ headers: { Upgrade: null } })],
    [
      "chooses no subprotocol that was offered",
      (peer) =>
        peer.upgrade({
          headers: { "Sec-WebSocket-Protocol": "x.s3cret-token" },
        }),
    ],
    ["repeats the subprotocols", (peer) =>
      peer.upgrade({
        headers: {
          "Sec-WebSocket-Protocol": peer.header("sec-websocket-protocol"),
        },
      })],
    ...COPIES.map(([name, copy]): typeof answers[number] => [
      `copies the request into ${name}`,
      (peer) => peer.upgrade({ headers: { [name]: copy(peer) } }),
    ]),
    ["speaks no HTTP", (peer) => peer.write("220 s3cret-token\r\n\r\n")],
    ["leaves", () => Promise.resolve()],
    ["redirects to no URL", (peer) =>
      peer.respond("302 x", "", {
        Location: "http://s3cret-user:s3cret-pass?@[::x]/?s3cret-token",
      })],
    ["redirects to a file", (peer) =>
      peer.respond("302 x", "", {
        Location: "file://s3cret-user@host/x?s3cret-token#s3cret-token",
      })],
    ["redirects to nobody", (peer) =>
      peer.respond("302 x", "", {
        Location:
          `ws://s3cret-user:s3cret-pass@127.0.0.1:${closedPort}/?s3cret-token`,
      })],
  ];
  const rest = "/feed?token=s3cret-token";
  const options: ConnectOptions = {
    capture,
    redirect: "follow",
    handshakeTimeout: "10s",
    protocols: ["feed", "bearer.s3cret-token"],
    headers: { "X-Key": "s3cret-bearer", "Cookie": "s3cret-cookie" },
    http: { caCerts: [ca] },
  };
  const failures: [name: string, error: unknown][] = [];
  const attempt = async (name: string, url: string, more = {}) => {
    const withUser = url.replace("//", "//s3cret-user:s3cret-pass@") + rest;
    const error = await connectWebSocket(withUser, { ...options, ...more })
      .then(([connection]) => connection.recv()).catch((error) => error);
    failures.push([name, error]);
  };
  for (const [name, answer] of answers) {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await answer(peer);
      await peer.conn.closeWrite();
      await peer.waitForEnd();
    });
    await attempt(name, server.url);
  }
  const silent = rawServer(async (peer) => void await peer.waitForEnd());
  const untrusted = rawServer(greet, expired);
  await attempt("is not there", `ws://127.0.0.1:${closedPort}`);
  await attempt("is not there by TLS", `wss://127.0.0.1:${closedPort}`);
  // Deno 2.5 leaks a handle where a name that is dialled by Deno.connect has no address.
  if (capture !== "direct") {
    await attempt("has no name", "ws://nowhere.invalid");
  }
  await attempt("is blocked by fetch", "ws://127.0.0.1:6667");
  await attempt("is not trusted", untrusted.url);
  await attempt("is silent", silent.url, { handshakeTimeout: "50ms" });
  await attempt("has a fragment", "ws://127.0.0.1/#s3cret-token");
  await attempt("has no scheme of ours", "http://127.0.0.1/");
  await attempt("is no URL", "ws://[");
  const nobody = "wss://127.0.0.1:9";
  for (const name of ["s3cret-token,", "bearer.s3cret-token"]) {
    const protocols = ["bearer.s3cret-token", name];
    await attempt("has a subprotocol that is none", nobody, { protocols });
  }
  const headers = { "X-Key": "s3cret-bearer\n" + "s3cret-token" };
  await attempt("has a header that is none", nobody, { headers });
  const basicAuth = { username: "s3cret-user", password: "s3cret-pass" };
  const absent = { url: `http://127.0.0.1:${closedPort}`, basicAuth };
  const nothing = { url: "nothing://s3cret-user:s3cret-pass@host" };
  for (const proxy of [absent, nothing]) {
    await attempt(`has the proxy ${proxy.url}`, nobody, { http: { proxy } });
  }
  const http = { cert: "s3cret-token", key: "s3cret-pass" };
  await attempt("has a key that is none", nobody, { http });
  await silent[Symbol.asyncDispose]();
  await untrusted[Symbol.asyncDispose]();
  for (const [name, error] of failures) {
    assertInstanceOf(error, Error, name);
    assertNoSecret(printed(error), `the error of a server that ${name}`);
    if (error instanceof HandshakeError) {
      assertNoSecret(error.url.replace(/\?.*/s, ""), `the url of ${name}`);
    }
  }
});

each.test("neither a connection nor its response shows credentials", async (capture) => {
  await using server = rawServer(greet);
  const [connection, response] = await connectWebSocket(
    server.url.replace("//", "//s3cret-user:s3cret-pass@"),
    { capture, headers: { "X-Key": "s3cret-bearer" } },
  );
  for (const value of [connection, response]) {
    assertNoSecret(
      Deno.inspect(value, { depth: 10, showHidden: true }) +
        JSON.stringify(value),
      "what is printed",
    );
  }
  assertEquals(connection.url, `${server.url}/`);
  assertEquals(response.url, `${server.url}/`);
  await connection.close();
});

/** Runs the command line. */
const wstap = (...args: string[]) =>
  run(args, { permissions: ["--allow-net"] });

test("the command line shows no secret, refused or not", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    if (peer.target.startsWith("/refuse")) {
      await peer.respond("401 x", "no");
    } else {
      await peer.upgrade();
      await peer.send("hello");
      await peer.closeFrame(1000);
    }
    await peer.waitForEnd();
  });
  const args = [
    ...["--verbose", "--summary", "--header", "X-Key: s3cret-bearer"],
    ...["--header", "Cookie: s3cret-cookie"],
    ...["--protocol", "feed", "--protocol", "bearer.s3cret-token"],
  ];
  const url = server.url.replace("//", "//s3cret-user:s3cret-pass@");
  const results = await Promise.all([
    wstap(...args, `${url}/feed?token=s3cret-token`),
    wstap(...args, `${url}/refuse?token=s3cret-token`),
    wstap(...args, `${url}:0/refuse?token=s3cret-token`),
    wstap(
      ...args,
      "--bearer",
      "s3cret-bearer",
      "--user",
      "s3cret-user:s3cret-pass",
      server.url,
    ),
    wstap(
      ...args,
      "--proxy",
      "http://s3cret-user:s3cret-pass@127.0.0.1:9",
      server.url,
    ),
    wstap("--header", "s3cret-bearer", server.url),
  ]);
  assertEquals(results[0]!.stdout, "hello\n");
  for (const { stdout, stderr } of results) {
    assert(stderr.length > 0);
    assertNoSecret(stdout + stderr, "the output");
  }
});

test("the command line lets nothing of the server's act on a terminal", async () => {
  const evil = "\x1b[2J\x1b]0;owned\x07\u009b31m\u202e";
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    if (peer.target === "/refuse") {
      await peer.respond(`401 \x80`, evil, {
        "X-Evil": "\x9b31m",
        "Content-Type": "text/plain",
      });
    } else {
      const accept = `Sec-WebSocket-Accept: ${acceptKey(peer.key)}\r\n`;
      await peer.write(
        "HTTP/1.1 101 \x85\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
          `${accept}X-Evil: \u009b2J\u202e\r\n\r\n`,
      );
      await peer.closeFrame(4000, evil);
    }
    await peer.waitForEnd();
  });
  const results = await Promise.all(
    CAPTURES.flatMap((capture) =>
      ["/feed", "/refuse"].map((path) =>
        wstap("--verbose", "--summary", "--capture", capture, server.url + path)
      )
    ),
  );
  for (const { stdout, stderr } of results) {
    assert(stderr.length > 0);
    // deno-lint-ignore no-control-regex -- control characters are what it looks for
    const acting = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/;
    assert(!acting.test(stderr), JSON.stringify(stderr));
    assertEquals(stdout, "");
  }
});

native.test("a proxy sees of wss: the host and no more", async (capture) => {
  const { ca, server: identity } = await certificates();
  await using server = rawServer(greet, identity);
  await using proxy = rawServer(async (peer) => {
    await peer.readHead();
    await peer.respond("502 x");
    await peer.waitForEnd();
  });
  const url = server.url.replace("//", "//s3cret-user:s3cret-pass@");
  const reports: ClientReport[] = [];
  for (const name of ["HTTPS_PROXY", "ALL_PROXY"]) {
    reports.push(
      await runClient(
        {
          url: `${url}/s3cret-token?s3cret-token`,
          options: {
            capture,
            headers: { "Cookie": "s3cret-cookie" },
            http: { caCerts: [ca] },
          },
        },
        ["--allow-net"],
        { [name]: `http://127.0.0.1:${proxy.port}` },
      ),
    );
  }
  assert(proxy.connections > 0);
  assertEquals(server.connections, 0);
  for (const head of proxy.heads) {
    assert(head.startsWith(`CONNECT localhost:${server.port} `), head);
    assertNoSecret(head, "what the proxy is asked");
  }
  for (const { error } of reports) {
    assertStringIncludes(error, "HandshakeError");
  }
});
