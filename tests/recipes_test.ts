/** Runs the recipes of docs/recipes.md, each with the permissions that it states. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";

import { certificates } from "./fixtures/certs.ts";
import {
  moduleFlags,
  output,
  path,
  rootUrl,
  workplace,
} from "./fixtures/command.ts";
import { tinyproxy } from "./fixtures/daemons.ts";
import { installed } from "./fixtures/installed.ts";
import { proxyTo } from "./fixtures/proxy.ts";
import {
  accept,
  sendEvents,
  serve,
  type TestServer,
} from "./fixtures/serve.ts";
import { eventually, quietPort } from "./fixtures/wait.ts";

const recipes = await Deno.readTextFile(path("docs/recipes.md"));

/** The first block in a language under a heading. */
function block(heading: string, language: string): string {
  const section = recipes.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ??
    "";
  const fence = new RegExp("^```" + language + "\\b.*\\n([^]*?)^```$", "m");
  const [, text] = fence.exec(section) ?? [];
  assert(text !== undefined, `"${heading}" has no block in ${language}`);
  return text;
}

/** A feed of three events, which it then ends for good. */
const feed = () => serve((request) => accept(request, sendEvents));

/** Runs a recipe, which must print no error, and gives what it prints. */
async function run(...args: Parameters<typeof runBoth>): Promise<string> {
  const { stdout, stderr } = await runBoth(...args);
  assertEquals(stderr, "");
  return stdout;
}

/** Runs a recipe in a folder, with other names in the place of its hosts. */
async function runBoth(
  heading: string,
  folder: string,
  hosts: Record<string, string>,
  env: Record<string, string> = {},
): Promise<{ stdout: string; stderr: string }> {
  const replaced = (text: string) =>
    Object.entries(hosts).reduce(
      (sum, [name, other]) => sum.replaceAll(name, other),
      text,
    );
  const code = replaced(block(heading, "ts"))
    .replace('"@wstap/wstap"', JSON.stringify(new URL("mod.ts", rootUrl).href));
  await Deno.writeTextFile(`${folder}/feed.ts`, code);
  const [program, command, ...flags] = replaced(block(heading, "sh").trim())
    .split(" ");
  assertEquals([program, command, flags.pop()], ["deno", "run", "feed.ts"]);
  const { code: status, stdout, stderr } = await output(Deno.execPath(), [
    ...["run", "--quiet", "--no-prompt", ...moduleFlags()],
    ...flags,
    "feed.ts",
  ], { cwd: folder, env: { NO_PROXY: "127.0.0.1,localhost", ...env } });
  assertEquals(status, 0, stderr);
  return { stdout, stderr };
}

/** Stops a process, and waits for its end. */
async function stop(child: Deno.ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await child.status;
}

const host = (server: TestServer) => new URL(server.url).host;

Deno.test("the recipe for SQLite stores each message", async () => {
  await using server = feed();
  await using place = await workplace();
  await run("Into SQLite", place.folder, {
    "wss://feed.example": server.url,
    "feed.example": host(server),
  });
  const database = new DatabaseSync(`${place.folder}/feed.db`);
  const rows = database.prepare("SELECT body FROM event").all();
  database.close();
  const bodies = rows.map(({ body }) => String(body));
  assertEquals(bodies, ['{"id":1}', '{"id":2}', '{"id":3}']);
});

Deno.test({
  name: "the recipe for Redis Streams adds each message (needs redis-server)",
  ignore: !installed("redis-server"),
  async fn() {
    await using server = feed();
    await using place = await workplace();
    const port = quietPort();
    const redis = new Deno.Command("redis-server", {
      args: ["--port", `${port}`, "--bind", "127.0.0.1", "--save", ""],
      cwd: place.folder,
      stdout: "null",
      stderr: "null",
    }).spawn();
    try {
      const length = async () => {
        using conn = await Deno.connect({ hostname: "127.0.0.1", port });
        await conn.write(new TextEncoder().encode("XLEN events\r\n"));
        const buffer = new Uint8Array(100);
        const count = await conn.read(buffer) ?? 0;
        return new TextDecoder().decode(buffer.subarray(0, count));
      };
      await eventually(
        () => length().then((text) => text === ":0\r\n", () => false),
        "redis-server answers",
      );
      await run("Into Redis Streams", place.folder, {
        "wss://feed.example": server.url,
        "feed.example": host(server),
        "127.0.0.1:6379": `127.0.0.1:${port}`,
      });
      assertEquals(await length(), ":3\r\n");
    } finally {
      await stop(redis);
    }
  },
});

Deno.test({
  name: "the recipe for NATS JetStream stores each message (needs nats-server)",
  ignore: !installed("nats-server"),
  async fn() {
    await using server = feed();
    await using place = await workplace();
    const port = quietPort();
    const monitor = quietPort();
    const nats = new Deno.Command("nats-server", {
      args: [
        ...["--addr", "127.0.0.1", "--port", `${port}`],
        ...["--http_port", `${monitor}`],
        ...["--jetstream", "--store_dir", place.folder],
      ],
      stdout: "null",
      stderr: "null",
    }).spawn();
    try {
      const info = async () => {
        const url = `http://127.0.0.1:${monitor}/jsz?streams=true`;
        return await (await fetch(url)).json();
      };
      await eventually(
        () => info().then(({ streams }) => streams === 0, () => false),
        "nats-server answers",
        60_000,
      );
      const hosts = {
        "wss://feed.example": server.url,
        "feed.example": host(server),
        "127.0.0.1:4222": `127.0.0.1:${port}`,
      };
      await run("Into NATS JetStream", place.folder, hosts);
      await run("Into NATS JetStream", place.folder, hosts); // it exists by now
      const [account] = (await info()).account_details;
      const [stream] = account.stream_detail;
      assertEquals([stream.name, stream.state.messages], ["feed", 6]);
    } finally {
      await stop(nats);
    }
  },
});

Deno.test("the recipe for a token and a gap fetches a token for each attempt, and what was sent meanwhile", async () => {
  // Each token is good once. Events 4 to 6 are sent while nobody is connected.
  const sent = [[1, 2, 3], [7, 8], [8, 9]];
  let tokens = 0;
  let connected = 0;
  const history: string[] = [];
  await using server = serve((request) => {
    const { pathname, search, searchParams } = new URL(request.url);
    if (pathname === "/token") {
      // The first time there is none.
      return tokens++ === 0
        ? new Response("later", { status: 503 })
        : new Response(`${tokens - 1}`);
    }
    if (pathname === "/history") {
      history.push(search);
      const after = Number(searchParams.get("after"));
      const before = Number(searchParams.get("before"));
      const ids = Array.from({ length: before - after - 1 }, (_, i) => i);
      return Response.json(ids.map((i) => ({ id: after + 1 + i })));
    }
    const expected = `Bearer ${connected + 1}`;
    if (request.headers.get("authorization") !== expected) {
      return new Response(null, { status: 401 });
    }
    const ids = sent[connected++]!;
    return accept(request, (socket) => {
      for (const id of ids) socket.send(JSON.stringify({ id }));
      socket.close(ids.includes(9) ? 4000 : 1012);
    });
  });
  await using place = await workplace();
  const { stdout, stderr } = await runBoth(
    "With a fresh token, and without a gap",
    place.folder,
    {
      "wss://feed.example": server.url,
      "https://feed.example": server.url.replace("ws", "http"),
      "feed.example": host(server),
    },
  );
  const ids = Array.from({ length: 9 }, (_, i) => `{ id: ${i + 1} }\n`);
  assertEquals(stdout, ids.join(""));
  assertEquals(history, ["?after=3&before=7"]);
  assertEquals(
    stderr,
    "no token: 503\n" +
      "The connection was closed with code 1012\n".repeat(2),
  );
});

Deno.test("the recipe for a proxy goes through it", async () => {
  await using server = feed();
  await using place = await workplace();
  await using proxy = proxyTo(Number(new URL(server.url).port));
  const output = await run("Behind a proxy", place.folder, {
    "proxy.example:3128": proxy.host,
  });
  assertEquals(output, '101\n{"id":1}\n{"id":2}\n{"id":3}\n');
  // Proxies that people run pass no other upgrade on.
  assertEquals(proxy.lines, ["CONNECT feed.example:80 HTTP/1.1"]);
});

Deno.test({
  name: "the recipe for a proxy goes through tinyproxy (needs tinyproxy)",
  ignore: Deno.build.os === "windows" || !installed("tinyproxy", ["-v"]),
  async fn() {
    await using server = feed();
    await using place = await workplace();
    await using proxy = await tinyproxy();
    const output = await run("Behind a proxy", place.folder, {
      "feed.example": host(server),
      "proxy.example:3128": `127.0.0.1:${proxy.port}`,
    });
    assertEquals(output, '101\n{"id":1}\n{"id":2}\n{"id":3}\n');
    assertEquals(server.requests.length, 1);
  },
});

Deno.test({
  name: "the recipe for a client certificate shows it (needs node)",
  ignore: !installed("node"),
  async fn() {
    const { ca, server: identity, client } = await certificates();
    await using place = await workplace({
      "ca.pem": ca,
      "server.pem": identity.cert,
      "server.key": identity.key,
      "client.pem": client.cert,
      "client.key": client.key,
      "server.cjs": MUTUAL_TLS_SERVER,
    });
    const { folder } = place;
    const server = new Deno.Command("node", {
      args: ["server.cjs"],
      cwd: folder,
      stdout: "piped",
    }).spawn();
    const reader = server.stdout.getReader();
    try {
      const { value } = await reader.read();
      const port = new TextDecoder().decode(value).trim();
      const output = await run("With a client certificate", folder, {
        "feed.example": `localhost:${port}`,
      });
      assertEquals(output, "wstap test\n");
    } finally {
      server.kill();
      await reader.cancel();
      await server.status;
    }
  },
});

/** Sends the common name in the client's certificate, and closes. */
const MUTUAL_TLS_SERVER = `
const { createHash } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { createServer } = require("node:https");

const server = createServer({
  cert: readFileSync("server.pem"),
  key: readFileSync("server.key"),
  ca: readFileSync("ca.pem"),
  requestCert: true,
  rejectUnauthorized: true,
});
server.on("upgrade", (request, socket) => {
  socket.on("error", () => {});
  const key = request.headers["sec-websocket-key"];
  const accept = createHash("sha1")
    .update(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
    .digest("base64");
  socket.write(
    "HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\n" +
      "Upgrade: websocket\\r\\nSec-WebSocket-Accept: " + accept + "\\r\\n\\r\\n",
  );
  const name = Buffer.from(socket.getPeerCertificate().subject.CN);
  socket.write(Buffer.concat([Buffer.from([0x81, name.length]), name]));
  socket.write(Buffer.from([0x88, 2, 0x03, 0xe8]));
  socket.on("data", () => socket.end());
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
`;

Deno.test({
  name: "the systemd unit is valid (needs systemd-analyze)",
  ignore: !installed("systemd-analyze"),
  async fn() {
    const unit = block("As a systemd unit", "ini");
    const program = "ExecStart=/usr/local/bin/wstap ";
    assertStringIncludes(unit, program);
    await using place = await workplace({
      "feed.service": unit.replace(program, `ExecStart=${Deno.execPath()} `),
    });
    const file = `${place.folder}/feed.service`;
    const args = ["verify", "--man=no", file];
    const { stderr } = await output("systemd-analyze", args);
    const complaints = stderr.split("\n")
      .filter((line) => line.includes("feed.service"));
    assertEquals(complaints, []);
  },
});
