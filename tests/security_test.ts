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
import { answerClose, CAPTURES, each, upgrade } from "./fixtures/captures.ts";
import { certificates } from "./fixtures/certs.ts";
import { type ClientReport, printed, runClient } from "./fixtures/client.ts";
import { command } from "./fixtures/command.ts";
import { acceptKey, type Peer, rawServer } from "./fixtures/raw.ts";
import { within } from "./fixtures/wait.ts";

/** Greets, and answers a close frame. */
async function greet(peer: Peer): Promise<void> {
  await upgrade(peer);
  await peer.send("hello");
  await answerClose(peer).catch(() => {}); // a pre-flight sends none
  peer.end();
}

// TLS

each(
  "a certificate that is not to be trusted is refused, before a byte of the request",
  async (capture) => {
    const all = await certificates();
    const cases = [
      { name: "expired", identity: all.expired, caCerts: [all.ca] },
      { name: "wrong name", identity: all.wrongName, caCerts: [all.ca] },
      { name: "self-signed", identity: all.selfSigned, caCerts: [all.ca] },
      { name: "wrong CA", identity: all.server, caCerts: [all.other.ca] },
      { name: "unknown CA", identity: all.server, caCerts: undefined },
    ];
    for (const { name, identity, caCerts } of cases) {
      await using server = rawServer(greet, identity);
      const error = await assertRejects(
        () => connectWebSocket(server.url, { capture, http: { caCerts } }),
        HandshakeError,
        "certificate",
        name,
      );
      assertEquals(error.response, undefined, name);
      assertEquals(server.heads, [], name);
    }
  },
);

each("the certificate of the right server is taken", async (capture) => {
  const { ca, server: identity } = await certificates();
  await using server = rawServer(greet, identity);
  const options = { capture, http: { caCerts: [ca] } };
  const [connection] = await connectWebSocket(server.url, options);
  assertEquals(await connection.recv(), "hello");
  await connection.close();
});

each(
  "a certificate is refused by name where the address is an IP it does not list",
  async (capture) => {
    const { ca, wrongName } = await certificates();
    await using server = rawServer(greet, wrongName);
    await assertRejects(
      () =>
        connectWebSocket(`wss://127.0.0.1:${server.port}`, {
          capture,
          http: { caCerts: [ca] },
        }),
      HandshakeError,
      "certificate",
    );
    assertEquals(server.heads, []);
  },
);

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

each(
  "a redirect takes no Authorization, cookie or credentials to another origin",
  async (capture) => {
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
        await peer.respond("302 Found", "", { Location: `${location}/there` });
        await peer.waitForEnd();
      });
      const url = server.url.replace("//", "//s3cret-user:s3cret-pass@");
      const headers = {
        "Cookie": "id=s3cret-cookie",
        "Proxy-Authorization": "Bearer s3cret-token",
        "X-Feed": "kept",
      };
      const [connection] = await connectWebSocket(url, {
        capture,
        redirect: "follow",
        headers,
      });
      assertEquals(await connection.recv(), "hello");
      await connection.close();
      assertStringIncludes(server.heads[0]!, "s3cret-cookie");
      assertStringIncludes(
        server.heads[0]!,
        btoa("s3cret-user:s3cret-pass"),
      );
    }
    assert(other.heads.length >= locations.length);
    for (const head of other.heads) {
      assertNoSecret(head, "the request to the other origin");
      assertStringIncludes(head.toLowerCase(), "x-feed: kept");
    }
  },
);

each(
  "a redirect never goes from wss: to ws:, however it is written",
  async (capture) => {
    const { ca, server: identity } = await certificates();
    await using plain = rawServer(greet);
    const there = plain.url.replace("ws:", "");
    for (const location of [`ws:${there}`, `http:${there}`, `HTTP:${there}`]) {
      await using server = rawServer(async (peer) => {
        await peer.readHead();
        await peer.respond("307 x", "", { Location: location });
        await peer.waitForEnd();
      }, identity);
      await assertRejects(
        () =>
          connectWebSocket(server.url, {
            capture,
            redirect: "follow",
            http: { caCerts: [ca] },
          }),
        HandshakeError,
        "wss: to ws:",
      );
    }
    assertEquals(plain.connections, 0);
  },
);

// Secrets

each(
  "no error shows credentials, tokens or headers, however it is printed",
  async (capture) => {
    const { ca, expired } = await certificates();
    const gone = rawServer(greet);
    const closedPort = gone.port;
    await gone[Symbol.asyncDispose]();
    const answers: [name: string, answer: (peer: Peer) => Promise<void>][] = [
      ["refuses", (peer) =>
        peer.respond("403 x", "s3cret-token", {
          "Set-Cookie": "s3cret-cookie",
        })],
      ["breaks a rule", (peer) => peer.upgrade({ headers: { Upgrade: null } })],
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
      headers: { "X-Key": "s3cret-bearer", "Cookie": "s3cret-cookie" },
      http: { caCerts: [ca] },
    };
    const failures: [name: string, error: unknown][] = [];
    const attempt = async (name: string, url: string, more = {}) => {
      const withUser = url.replace("//", "//s3cret-user:s3cret-pass@") + rest;
      const error = await connectWebSocket(withUser, { ...options, ...more })
        .then(([connection]) => connection.recv(), (error) => error);
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
    if (capture !== "tap") await attempt("has no name", "ws://nowhere.invalid");
    await attempt("is blocked by fetch", "ws://127.0.0.1:6667");
    await attempt("is not trusted", untrusted.url);
    await attempt("is silent", silent.url, { handshakeTimeout: "50ms" });
    await attempt("has a fragment", "ws://127.0.0.1/#s3cret-token");
    await attempt("has no scheme of ours", "http://127.0.0.1/");
    await attempt("is no URL", "ws://[");
    await attempt("has a header that is none", "ws://127.0.0.1", {
      headers: { "X-Key": "s3cret-bearer\n" + "s3cret-token" },
    });
    await attempt("has a proxy that is not there", "ws://127.0.0.1:9", {
      http: {
        proxy: {
          url: `http://127.0.0.1:${closedPort}`,
          basicAuth: { username: "s3cret-user", password: "s3cret-pass" },
        },
      },
    });
    await attempt("has a proxy that is none", "ws://127.0.0.1:9", {
      http: { proxy: { url: "nothing://s3cret-user:s3cret-pass@host" } },
    });
    await attempt("has a key that is none", "wss://127.0.0.1:9", {
      http: { cert: "s3cret-token", key: "s3cret-pass" },
    });
    await silent[Symbol.asyncDispose]();
    await untrusted[Symbol.asyncDispose]();
    for (const [name, error] of failures) {
      assertInstanceOf(error, Error, name);
      assertNoSecret(printed(error), `the error of a server that ${name}`);
      if (error instanceof HandshakeError) {
        assertNoSecret(error.url.replace(/\?.*/s, ""), `the url of ${name}`);
      }
    }
  },
);

each(
  "neither a connection nor its response shows credentials",
  async (capture) => {
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
  },
);

/** Runs the command line; gives all that it wrote. */
async function wstap(...args: string[]) {
  const [program, ...words] = command(["--allow-net", "--no-prompt"]);
  const { stdout, stderr } = await new Deno.Command(program!, {
    args: [...words, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(60_000),
  }).output();
  const decoder = new TextDecoder();
  return { out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("the command line shows no secret, refused or not", async () => {
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
  assertEquals(results[0]!.out, "hello\n");
  for (const { out, err } of results) {
    assert(err.length > 0);
    assertNoSecret(out + err, "the output");
  }
});

Deno.test("the command line lets nothing of the server's act on a terminal", async () => {
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
  for (const { out, err } of results) {
    assert(err.length > 0);
    // deno-lint-ignore no-control-regex -- control characters are what it looks for
    const acting = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/;
    assert(!acting.test(err), JSON.stringify(err));
    assertEquals(out, "");
  }
});

// The loopback tap

/** Calls back with each listener of this process, as it begins to listen. */
function spyOnListen(): Disposable & { listeners: Deno.TcpListener[] } {
  const { listen } = Deno;
  const listeners: Deno.TcpListener[] = [];
  const spy = (options: Deno.TcpListenOptions) => {
    const listener = listen(options);
    listeners.push(listener);
    return listener;
  };
  Deno.listen = spy as typeof Deno.listen;
  return {
    listeners,
    [Symbol.dispose]() {
      Deno.listen = listen;
    },
  };
}

const encoder = new TextEncoder();

/** What strangers say to the tap. */
const STRANGERS: [name: string, words: string][] = [
  ["silent", ""],
  ["within a request", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Wstap-Proof: "],
  [
    "without a proof",
    "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
  ],
  ["with an empty proof", "GET / HTTP/1.1\r\nx-wstap-proof: \r\n\r\n"],
  [
    "with a wrong proof",
    `GET / HTTP/1.1\r\nx-wstap-proof: ${crypto.randomUUID()}\r\n\r\n`,
  ],
  [
    "with two proofs",
    "GET / HTTP/1.1\r\nx-wstap-proof: a\r\nx-wstap-proof: b\r\n\r\n",
  ],
  ["not in HTTP", "\0\x01\x02".repeat(1000) + "\n\n"],
  ["without end", "X".repeat(200_000)],
];

/** Says its words, and gives what it heard until the end. */
async function stranger(port: number, words: string): Promise<number> {
  let heard = 0;
  try {
    using conn = await Deno.connect({ hostname: "127.0.0.1", port });
    const buffer = new Uint8Array(1000);
    const speaking = (async () => {
      let rest = encoder.encode(words);
      while (rest.length > 0) rest = rest.subarray(await conn.write(rest));
    })();
    speaking.catch(() => {}); // it was not listened to
    for (let n; (n = await conn.read(buffer)) !== null;) heard += n;
    await speaking;
  } catch {
    // It was shown the door.
  }
  return heard;
}

async function assertNobodyListens(port: number): Promise<void> {
  await assertRejects(
    async () => (await Deno.connect({ hostname: "127.0.0.1", port })).close(),
    Deno.errors.ConnectionRefused,
  );
}

Deno.test("tap lets no stranger in, and its own socket through a crowd of them", async () => {
  using spy = spyOnListen();
  const open = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    asked.resolve();
    await open.promise;
    await peer.upgrade();
    await peer.send("for the real one");
    await answerClose(peer);
    peer.end();
  });
  const [, ...more] = spy.listeners;
  assertEquals(more, []);
  const connecting = connectWebSocket(server.url, { capture: "tap" });
  await within(asked.promise, 5000, "the request");
  const listener = spy.listeners.at(-1)!;
  const { hostname, port } = listener.addr;
  assertEquals(hostname, "127.0.0.1");

  const strangers = Array.from(
    { length: 64 },
    (_, i) => stranger(port, STRANGERS[i % STRANGERS.length]![1]),
  );
  // Those that say something wrong are sent away while the server is waited for.
  await within(strangers[2]!, 5000, "the end of a stranger");
  open.resolve();
  const [connection] = await within(connecting, 10_000, "the connection");
  assertEquals(await connection.recv(), "for the real one");
  const heard = await within(Promise.all(strangers), 5000, "every stranger");
  assertEquals(heard, heard.map(() => 0));
  await assertNobodyListens(port);
  await connection.close();
  assertEquals(server.connections, 1);
});

Deno.test("tap whose strangers come first, by itself each", async () => {
  for (const [name, words] of STRANGERS) {
    using spy = spyOnListen();
    await using server = rawServer(greet);
    const listening = spy.listeners.length;
    const connecting = connectWebSocket(server.url, { capture: "tap" });
    const { port } = spy.listeners[listening]!.addr;
    const heard = stranger(port, words); // before the native socket has dialled
    const [connection] = await within(connecting, 10_000, name);
    assertEquals(await connection.recv(), "hello", name);
    assertEquals(await within(heard, 5000, name), 0, name);
    await assertNobodyListens(port);
    await connection.close();
  }
});

Deno.test("tap listens no more once the handshake has failed, and sends strangers away", async () => {
  const endings: [
    name: string,
    answer: (peer: Peer) => Promise<void>,
    options: () => ConnectOptions,
  ][] = [
    ["refused", (peer) => peer.respond("404 x"), () => ({})],
    ["left", (peer) => Promise.resolve(peer.end()), () => ({})],
    [
      "timed out",
      () => Promise.resolve(),
      () => ({ handshakeTimeout: "100ms" }),
    ],
    [
      "aborted",
      () => Promise.resolve(),
      () => ({ signal: AbortSignal.timeout(100) }),
    ],
  ];
  for (const [name, answer, options] of endings) {
    using spy = spyOnListen();
    const go = Promise.withResolvers<void>();
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await go.promise;
      await answer(peer);
    });
    const listening = spy.listeners.length;
    const connecting = connectWebSocket(server.url, {
      ...options(),
      capture: "tap",
    })
      .then(() => "opened", () => "failed");
    const { port } = spy.listeners[listening]!.addr;
    const heard = stranger(port, "");
    go.resolve();
    assertEquals(await within(connecting, 5000, name), "failed", name);
    assertEquals(await within(heard, 5000, name), 0, name);
    await assertNobodyListens(port);
  }
});

Deno.test("tap cannot be reached from outside", async () => {
  using spy = spyOnListen();
  const outside = Deno.networkInterfaces().find(({ address, family }) =>
    family === "IPv4" && !address.startsWith("127.")
  );
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.waitForEnd();
  });
  const abort = new AbortController();
  const listening = spy.listeners.length;
  const connecting = connectWebSocket(server.url, {
    capture: "tap",
    signal: abort.signal,
  });
  connecting.catch(() => {});
  const { hostname, port } = spy.listeners[listening]!.addr;
  assertEquals(hostname, "127.0.0.1");
  if (outside === undefined) {
    console.log("skipped in part: this machine has no address but loopback");
  } else {
    await assertRejects(async () =>
      (await Deno.connect({ hostname: outside.address, port })).close()
    );
  }
  abort.abort();
  await assertRejects(() => connecting);
});

// Proxies of the environment

const PROXIED: {
  env: string[];
  secure?: boolean;
  /** The variable that the refusal names; none if it is not refused. */
  refused?: string;
  /** Without the permission to read the environment. */
  blind?: boolean;
}[] = [
  { env: [] },
  { env: ["NO_PROXY=*"] },
  { env: ["NO_PROXY=localhost,127.0.0.1"] },
  { env: ["HTTP_PROXY"], refused: "HTTP_PROXY" },
  { env: ["http_proxy"], refused: "http_proxy" },
  { env: ["ALL_PROXY"], refused: "ALL_PROXY" },
  { env: ["HTTPS_PROXY"] },
  { env: ["HTTP_PROXY", "NO_PROXY=*"] },
  { env: ["HTTP_PROXY", "NO_PROXY=localhost"] },
  { env: ["HTTP_PROXY", "NO_PROXY=127.0.0.1"], refused: "HTTP_PROXY" },
  { env: ["ALL_PROXY", "NO_PROXY=.localhost"] },
  { env: ["HTTP_PROXY"], blind: true },
  { env: ["ALL_PROXY", "NO_PROXY=127.0.0.1"], blind: true },
  { env: ["HTTPS_PROXY"], secure: true, refused: "HTTPS_PROXY" },
  { env: ["https_proxy"], secure: true, refused: "https_proxy" },
  { env: ["ALL_PROXY"], secure: true, refused: "ALL_PROXY" },
  { env: ["HTTP_PROXY"], secure: true },
  { env: ["NO_PROXY=*"], secure: true },
  { env: ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY=*"], secure: true },
  {
    env: ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"],
    secure: true,
    blind: true,
  },
];

Deno.test("tap lets every byte pass through itself, or is refused, whatever proxies the environment names", async () => {
  const { ca, server: identity } = await certificates();
  await using plain = rawServer(greet);
  await using secure = rawServer(greet, identity);
  await using proxy = rawServer(async (peer) => {
    await peer.readHead();
    await peer.respond("502 x");
    await peer.waitForEnd();
  });
  const attempt = async (it: typeof PROXIED[number]) => {
    const name = `${it.env}${it.secure ? " wss" : ""}${
      it.blind ? " blind" : ""
    }`;
    const env = Object.fromEntries(it.env.map((entry) => {
      const [variable = "", value] = entry.split("=");
      return [variable, value ?? `http://127.0.0.1:${proxy.port}`];
    }));
    const { error, message } = await runClient(
      {
        url: it.secure ? secure.url : `ws://localhost:${plain.port}`,
        options: { capture: "tap", http: it.secure ? { caCerts: [ca] } : {} },
      },
      ["--allow-net", ...(it.blind ? [] : ["--allow-env"])],
      env,
    );
    if (it.refused === undefined) {
      assertEquals([error, message], ["", "hello"], name);
    } else {
      assertStringIncludes(error, "TypeError", name);
      assertStringIncludes(error, it.refused, name);
    }
  };
  // Two at a time: each is a process.
  const rest = [...PROXIED];
  await Promise.all([1, 2].map(async () => {
    for (let it; (it = rest.shift()) !== undefined;) await attempt(it);
  }));
  assertEquals(proxy.connections, 0);
  const opened = PROXIED.filter(({ refused }) => refused === undefined);
  assertEquals(
    plain.connections + secure.connections,
    opened.length,
    "a refused call asks nobody",
  );
  for (const head of [...plain.heads, ...secure.heads]) {
    assert(!/wstap-proof|proxy/i.test(head), head);
    assert(/^GET \/ HTTP\/1\.1\r\nhost: localhost:\d+\r\n/i.test(head), head);
  }
});

each("a proxy sees of wss: the host and no more", async (capture) => {
  if (capture as string === "tap") return; // it goes through none
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
}, ["preflight", "none"]);
