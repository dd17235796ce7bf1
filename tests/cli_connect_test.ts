/** How the command line connects: certificates, addresses, redirects, silence, and what may not be read. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { PERMISSIONS } from "../scripts/compile.ts";
import { VARIABLES } from "../src/cli/flags/variables.ts";
import { certificates } from "./fixtures/certs.ts";
import { run } from "./fixtures/cli.ts";
import { path, workplace } from "./fixtures/command.ts";
import { accept, serve } from "./fixtures/serve.ts";

const NET = "--allow-net=127.0.0.1,localhost";
const windows = Deno.build.os === "windows";
/** Whether one connection alone may accept any certificate. */
const hasInsecure = !/^2\.[0-7]\./.test(Deno.version.deno);

/** A feed of one message over TLS. */
async function secure() {
  const { server } = await certificates();
  return serve((request) =>
    accept(request, (socket) => {
      socket.send("hello");
      socket.close(1000);
    }), server);
}

Deno.test({
  name: "--insecure accepts the certificate of a server that nobody trusts",
  ignore: !hasInsecure,
  async fn() {
    await using server = await secure();
    for (const args of [["-k"], ["--insecure", "--capture", "direct"]]) {
      const { code, stdout, stderr } = await run(
        ["-q", ...args, server.url],
        { permissions: [NET] },
      );
      assertEquals([code, stdout, stderr], [0, "hello\n", ""]);
    }
    const ping = await run(["ping", "-k", "-n", "1", "-q", server.url], {
      permissions: [NET],
    });
    assert(ping.code < 2, ping.stderr);
  },
});

Deno.test({
  name: "--insecure says which Deno it needs",
  ignore: hasInsecure,
  async fn() {
    const { code, stderr } = await run(["-k", "wss://localhost:9/"], {
      permissions: [NET],
    });
    assertEquals(code, 2);
    assertMatch(stderr, /^wstap: .*Deno 2\.8.*\n$/);
  },
});

for (const capture of ["preflight", "direct", "none"]) {
  Deno.test(`a certificate that nobody trusts ends with 4 and says what would help (${capture})`, async () => {
    await using server = await secure();
    const { code, stderr } = await run(
      ["-q", "--capture", capture, server.url],
      { permissions: [NET] },
    );
    assertEquals(code, 4, stderr);
    assertMatch(stderr, /^wstap: .*--ca-cert.*-k.*$/m);
  });
}

Deno.test("a key or a DER file as --ca-cert is a wrong command line", async () => {
  const { ca, client } = await certificates();
  await using place = await workplace({ "key.pem": client.key });
  const der = atob(/-----\r?\n([^-]*)/.exec(ca)![1]!.replaceAll(/\s/g, ""));
  await Deno.writeFile(
    `${place.folder}/ca.der`,
    Uint8Array.from(der, (character) => character.charCodeAt(0)),
  );
  for (
    const [file, found] of [["key.pem", "a private key"], ["ca.der", "DER"]]
  ) {
    const { code, stderr } = await run(
      ["--ca-cert", `${place.folder}/${file}`, "wss://localhost:9/"],
      { permissions: [NET, "--allow-read"] },
    );
    assertEquals(code, 2, stderr);
    assertMatch(
      stderr,
      new RegExp(`^wstap: Invalid --ca-cert: expected .*${found}.*\n$`),
    );
  }
});

Deno.test("a wrong option is told before the file of --output is made", async () => {
  await using place = await workplace();
  const file = `${place.folder}/feed`;
  const wrong = [
    ["-p", "a b"],
    ["-H", "Host: a"],
    ["-r", "--min-delay", "2s", "--max-delay", "1s"],
  ];
  for (const args of wrong) {
    const { code } = await run(["-o", file, ...args, "ws://127.0.0.1:9/"], {
      permissions: [NET, "--allow-write"],
    });
    assertEquals(code, 2);
  }
  assertEquals([...Deno.readDirSync(place.folder)], []);
});

for (const capture of ["preflight", "direct", "none"]) {
  Deno.test(`--connect-to dials elsewhere, for the host of the URL (${capture})`, async () => {
    await using server = serve((request) =>
      accept(request, (socket) => {
        socket.send(request.headers.get("host")!);
        socket.close(1000);
      })
    );
    const { host } = new URL(server.url);
    const { code, stdout, stderr } = await run(
      ["-q", "--capture", capture, "--connect-to", host]
        .concat("ws://feed.example:81/"),
      { permissions: ["--allow-net"] },
    );
    assertEquals([code, stdout], [0, "feed.example:81\n"], stderr);
  });
}

Deno.test({
  name: "--unix-socket connects to a Unix socket",
  ignore: windows,
  async fn() {
    await using place = await workplace();
    const file = `${place.folder}/feed.sock`;
    await using _server = Deno.serve(
      { path: file, onListen() {} },
      (request) => {
        const host = request.headers.get("host")!;
        const { socket, response } = Deno.upgradeWebSocket(request);
        socket.onerror = (event) => event.preventDefault();
        socket.onopen = () => {
          socket.send(host);
          socket.close(1000);
        };
        return response;
      },
    );
    for (const args of [[], ["--capture", "direct"], ["--capture", "none"]]) {
      const { code, stdout, stderr } = await run(
        ["-q", ...args, "--unix-socket", file, "ws://localhost/events"],
        { permissions: ["-A"] },
      );
      assertEquals([code, stdout], [0, "localhost\n"], stderr);
    }
  },
});

Deno.test("-L follows a redirect", async () => {
  await using server = serve((request) =>
    request.url.endsWith("/old")
      ? new Response("", { status: 302, headers: { Location: "/new" } })
      : accept(request, (socket) => {
        socket.send("hello");
        socket.close(1000);
      })
  );
  const args = ["-q", `${server.url}/old`];
  assertEquals((await run(args)).code, 3);
  const { code, stdout } = await run(["-L", ...args]);
  assertEquals([code, stdout], [0, "hello\n"]);
});

Deno.test("--heartbeat sends its message again and again", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      socket.onmessage = ({ data }) => socket.send(data);
    })
  );
  const { code, stdout } = await run(
    ["-q", "-n", "3", "--heartbeat", "tick", "--heartbeat-interval", "50ms"]
      .concat(server.url),
  );
  assertEquals([code, stdout], [0, "tick\ntick\ntick\n"]);
});

Deno.test("--message-timeout gives a silent connection up, with 1", async () => {
  await using server = serve((request) => accept(request, () => {}));
  const { code, stderr } = await run(
    ["-q", "--message-timeout", "200ms", server.url],
  );
  assertEquals(code, 1);
  assertMatch(stderr, /^wstap: No message arrived for too long\n$/);
});

Deno.test("what may not be read is told by --verbose, and after a 401", async () => {
  await using server = serve((request) =>
    request.headers.has("authorization")
      ? accept(request, (socket) => socket.close(1000))
      : new Response("", { status: 401 })
  );
  const env = { WSTAP_BEARER: "t0p" };
  const refused = await run([server.url], { env });
  assertEquals(refused.code, 3);
  assertMatch(
    refused.stderr,
    /\nwstap: .*401 Unauthorized\nwstap: not read, whether set or not: WSTAP_USER, WSTAP_BEARER, HTTP_PROXY, .* \(--allow-env is missing\)\n$/,
  );
  const verbose = await run(["-v", "-H", "Authorization: x", server.url]);
  assertMatch(verbose.stderr, /^wstap: not read, whether set or not: /);
  // With the permissions of the README nothing is missing.
  const installed = await run(["-v", server.url], {
    env,
    permissions: PERMISSIONS.slice(1),
  });
  assertEquals(installed.code, 0, installed.stderr);
  assert(!installed.stderr.includes("not read"), installed.stderr);
});

Deno.test("the README installs the script with every permission of the executable", async () => {
  const text = await Deno.readTextFile(path("README.md"));
  const [line = ""] = /^deno install .*$/m.exec(text) ?? [];
  for (const permission of PERMISSIONS.slice(0, -1)) {
    assert(line.split(/\s+/).includes(permission), permission);
  }
  const [, listed = ""] = /--allow-env=(\S+)/.exec(line) ?? [];
  assertEquals(listed.split(",").toSorted(), VARIABLES.toSorted());
});
