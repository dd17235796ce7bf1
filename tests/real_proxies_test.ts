/** The proxies that people run, where they are installed. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { connectWebSocket, HandshakeError } from "@wstap/wstap";
import { answerClose, CAPTURES, NATIVE } from "./fixtures/captures.ts";
import { certificates, type Identity } from "./fixtures/certs.ts";
import { command } from "./fixtures/command.ts";
import {
  BLOCKED,
  CREDENTIALS,
  type Daemon,
  dante,
  microsocks,
  squid,
  tinyproxy,
} from "./fixtures/daemons.ts";
import { installed, testsWith } from "./fixtures/installed.ts";
import { rawServer } from "./fixtures/raw.ts";

const { username, password } = CREDENTIALS;

/** Nobody listens there. */
const CLOSED = "127.0.0.1:1";

const isUnix = Deno.build.os !== "windows";
const withTinyproxy = testsWith(
  "tinyproxy",
  isUnix && installed("tinyproxy", ["-v"]),
);
const withSquid = testsWith("Squid", isUnix && installed("squid", ["-v"]));
const withMicrosocks = testsWith(
  "microsocks",
  isUnix && installed("sh", ["-c", "command -v microsocks"]), // it has no --version
);
const withDante = testsWith("Dante", isUnix && installed("danted", ["-v"]));

function feed(identity?: Identity) {
  return rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    const frame = await peer.readFrame();
    if (frame === null) return peer.end(); // a pre-flight sends none
    await peer.send(frame.payload);
    await answerClose(peer);
    peer.end();
  }, identity);
}

/** Connects with "direct" through a proxy, and sends a message there and back. */
async function goThrough(proxy: Deno.Proxy): Promise<void> {
  const { ca, server: identity } = await certificates();
  for (const secure of [false, true]) {
    await using server = feed(secure ? identity : undefined);
    const [connection] = await connectWebSocket(server.url, {
      capture: "direct",
      http: { caCerts: [ca], proxy },
    });
    const message = "there and back ".repeat(5_000);
    await connection.send(message);
    assertEquals(await connection.recv(), message);
    assertEquals((await connection.close()).clean, true);
  }
}

/** The error of a URL that a proxy does not lead to. */
async function refusal(url: string, proxy: Deno.Proxy): Promise<string> {
  const error = await assertRejects(
    () => connectWebSocket(url, { capture: "direct", http: { proxy } }),
    HandshakeError,
  );
  const shown = `${Deno.inspect(error)} ${error.stack} ${error.cause}`;
  assertEquals(shown.includes(password), false, shown);
  return error.message;
}

/** Shows that the command line says nothing of the credentials, whatever the capture. */
async function staysSecret(proxy: string): Promise<void> {
  for (const capture of CAPTURES) {
    const [program, ...args] = command(["-A"]);
    const { code, stdout, stderr } = await new Deno.Command(program!, {
      args: [
        ...args,
        ...["--verbose", "--capture", capture, "--proxy", proxy],
        `ws://${BLOCKED}/`,
      ],
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    const printed = text(stdout) + text(stderr);
    assert(code > 0, printed);
    assertEquals(printed.includes("wr0ng"), false, printed);
    assertEquals(printed.includes(btoa("user:wr0ng")), false, printed);
  }
}

/** What an HTTP proxy is asked. */
const http = ({ port }: Daemon, credentials = ""): Deno.Proxy => ({
  url: `http://${credentials}127.0.0.1:${port}`,
});

/** What a SOCKS5 proxy is asked. */
const socks = ({ port }: Daemon, credentials = ""): Deno.Proxy => ({
  transport: "socks5",
  url: `socks5://${credentials}127.0.0.1:${port}`,
});

for (
  const [test, start, unreachable, wrong] of [
    [
      withTinyproxy,
      tinyproxy,
      "500 Internal Server Error",
      "401 Unauthorized",
    ],
    [
      withSquid,
      squid,
      "503 Service Unavailable",
      "407 Proxy Authentication Required",
    ],
  ] as const
) {
  for (const auth of [false, true]) {
    const credentials = auth ? `${username}:${password}@` : "";
    test(
      `direct goes through CONNECT ${auth ? "with" : "without"} credentials`,
      async () => {
        await using proxy = await start({ auth });
        await goThrough(http(proxy, credentials));
      },
    );

    test(
      `a refusal of CONNECT ${auth ? "with" : "without"} credentials is told`,
      async () => {
        await using proxy = await start({ auth });
        const says = (status: string) =>
          `the proxy 127.0.0.1:${proxy.port} answered HTTP error: ${status}`;
        const to = http(proxy, credentials);
        assertEquals(
          await refusal(`wss://${BLOCKED}/?s3cret`, to),
          `Cannot connect to wss://${BLOCKED}/: ${says("403 Forbidden")}`,
        );
        assertEquals(
          await refusal(`ws://${CLOSED}/`, to),
          `Cannot connect to ws://${CLOSED}/: ${says(unreachable)}`,
        );
        if (!auth) return;
        assertEquals(
          await refusal(`ws://${CLOSED}/`, http(proxy)),
          `Cannot connect to ws://${CLOSED}/: ` +
            says("407 Proxy Authentication Required"),
        );
        assertEquals(
          await refusal(`ws://${CLOSED}/`, http(proxy, `${username}:wr0ng@`)),
          `Cannot connect to ws://${CLOSED}/: ${says(wrong)}`,
        );
        await staysSecret(`http://user:wr0ng@127.0.0.1:${proxy.port}`);
      },
    );
  }
}

for (
  const [test, start] of [[withTinyproxy, tinyproxy], [
    withSquid,
    squid,
  ]] as const
) {
  for (const capture of NATIVE) {
    test(`${capture} goes through the proxy to wss:, and says why it does not to ws:`, async () => {
      const { ca, server: identity } = await certificates();
      await using proxy = await start();
      const options = { capture, http: { caCerts: [ca], proxy: http(proxy) } };
      await using secure = feed(identity);
      const [connection] = await connectWebSocket(secure.url, options);
      await connection.send("there and back");
      assertEquals(await connection.recv(), "there and back");
      assertEquals((await connection.close()).clean, true);

      // As servers do with a request that is none for an upgrade.
      await using plain = rawServer(async (peer) => {
        await peer.readHead();
        assertEquals(peer.header("upgrade"), null);
        await peer.respond("426 Upgrade Required");
        peer.end();
      });
      const error = await assertRejects(
        () => connectWebSocket(plain.url, options),
        HandshakeError,
        `HTTP error: 426 Upgrade Required: the proxy 127.0.0.1:${proxy.port} is in between`,
      );
      assertEquals(error.transient, false);
    });
  }
}

withSquid("direct goes through an https: proxy", async () => {
  const { ca, server: identity } = await certificates();
  await using proxy = await squid({ auth: true, identity });
  const credentials = `${username}:${password}@`;
  const url = `https://${credentials}localhost:${proxy.tlsPort}`;
  const isOld = /^2\.[0-7]\./.test(Deno.version.deno);
  for (const secure of isOld ? [false] : [false, true]) {
    await using server = feed(secure ? identity : undefined);
    const [connection] = await connectWebSocket(server.url, {
      capture: "direct",
      http: { caCerts: [ca], proxy: { url } },
    });
    await connection.send("over TLS");
    assertEquals(await connection.recv(), "over TLS");
    assertEquals((await connection.close()).clean, true);
  }
});

withMicrosocks("direct goes through SOCKS5 without credentials", async () => {
  await using proxy = await microsocks();
  await goThrough(socks(proxy));
});

withMicrosocks("direct goes through SOCKS5 with credentials", async () => {
  await using proxy = await microsocks({ auth: true });
  await goThrough(socks(proxy, `${username}:${password}@`));
  await goThrough({ ...socks(proxy), basicAuth: CREDENTIALS } as Deno.Proxy);
});

withMicrosocks("a refusal of SOCKS5 is told", async () => {
  await using proxy = await microsocks({ auth: true });
  const start = `Cannot connect to ws://${CLOSED}/: ` +
    `the proxy 127.0.0.1:${proxy.port} `;
  const cases: Record<string, string> = {
    "": "wants a username and password",
    [`${username}:wr0ng@`]: "refused the username and password",
    [`${username}:${password}@`]: "answered SOCKS error 5: connection refused",
  };
  for (const [credentials, expected] of Object.entries(cases)) {
    assertEquals(
      await refusal(`ws://${CLOSED}/`, socks(proxy, credentials)),
      start + expected,
    );
  }
  await staysSecret(`socks5://user:wr0ng@127.0.0.1:${proxy.port}`);
});

withDante("direct goes through SOCKS5, and a refusal is told", async () => {
  await using proxy = await dante();
  await goThrough(socks(proxy));
  const start = (url: string) =>
    `Cannot connect to ${url}: the proxy 127.0.0.1:${proxy.port} answered `;
  for (
    const [url, expected] of [
      [`ws://${CLOSED}/`, "SOCKS error 5: connection refused"],
      ["ws://127.0.0.1:2/", "SOCKS error 2: connection not allowed by ruleset"],
      ["ws://feed.invalid/", "SOCKS error 4: host unreachable"],
    ] as const
  ) assertEquals(await refusal(url, socks(proxy)), start(url) + expected);
});
