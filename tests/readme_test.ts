/** Runs the commands of the README and of docs/command-line.md, with a feed on this machine in the place of theirs. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";

import { PERMISSIONS } from "../scripts/compile.ts";
import { EXIT } from "../src/cli/errors.ts";
import { certificates } from "./fixtures/certs.ts";
import {
  command,
  moduleFlags,
  output,
  path,
  workplace,
} from "./fixtures/command.ts";
import { proxyTo } from "./fixtures/proxy.ts";
import { accept, serve } from "./fixtures/serve.ts";

const pages = await Promise.all(
  ["README.md", "docs/command-line.md"].map((page) =>
    Deno.readTextFile(path(page))
  ),
);

/** Each line of the shell's blocks, without its comment. */
const lines = new Set(
  pages.flatMap((page) => [...page.matchAll(/^```sh\n([^]*?)^```$/gm)])
    .flatMap(([, block]) => block!.trim().split("\n"))
    .map((line) => line.replace(/ {2,}#.*$/, "")),
);

/** What takes a registry or a release: .ci/run and scripts_test.ts see to these. */
const ELSEWHERE = [
  /^npx -y deno@[\d.]+ task (demo|test)$/,
  /^deno (add|install) /,
  /^curl .*\/install\.sh \| sh$/,
  // They take a terminal, a server with TLS, or one at a Unix socket.
  /^wstap -u alice wss/,
  /^wstap wss:\/\/feed\.example\/echo$/,
  /^wstap -k wss/,
  /^wstap --unix-socket /,
];

/** `/echo` sends back what it gets; everything else is a feed of twelve events that then closes. */
const feed = (code: number) =>
  serve((request) => {
    const offered = request.headers.get("sec-websocket-protocol");
    return accept(request, (socket) => {
      if (request.url.endsWith("/echo")) {
        socket.onmessage = ({ data }) => socket.send(data);
        return;
      }
      for (let id = 1; id <= 12; id++) socket.send(JSON.stringify({ id }));
      socket.close(code, "that is all");
    }, offered ? { protocol: offered.split(",")[0]!.trim() } : {});
  });

/** The files that the commands name, `wstap` itself, and a `jq` that changes nothing. */
async function files(host: string): Promise<Record<string, string>> {
  const { ca, client } = await certificates();
  const words = command(PERMISSIONS).map((word) => `'${word}'`).join(" ");
  return {
    "token.txt": "secret\n",
    "headers.txt": "X-Team: feeds\n",
    "request.json": '{"subscribe":"events"}',
    "ca.pem": ca,
    "client.pem": client.cert,
    "client.key": client.key,
    "urls.txt": `ws://${host}/a\nws://${host}/b\n`,
    "talk.ndjson":
      '{"time":"2024-05-06T07:08:09.010Z","type":"text","data":"hello","from":"client"}\n' +
      '{"time":"2024-05-06T07:08:09.020Z","type":"text","data":"hello"}\n',
    "session.har": JSON.stringify({ log: { entries: [har("/a"), har("/b")] } }),
    "jq": "#!/bin/sh\nexec cat\n",
    "feed.ndjson":
      '{"time":"2024-05-06T07:08:09.010Z","type":"text","data":"hello"}\n',
    "wstap": `#!/bin/sh\nexec ${words} "$@"\n`,
  };
}

/** An entry of a HAR file. */
function har(path: string) {
  return {
    request: { method: "GET", url: `wss://feed.example${path}`, headers: [] },
    response: { status: 101, headers: [] },
    _resourceType: "websocket",
    _webSocketMessages: [
      { type: "receive", time: 1700000000.5, opcode: 1, data: "hello" },
    ],
  };
}

/** Where programs are found, `wstap` in the folder. */
const search = (folder: string) => `${folder}:${Deno.env.get("PATH")}`;

/** Runs a command that goes on until Ctrl-C, up to its first line. */
async function untilInterrupted(line: string, folder: string): Promise<void> {
  await using child = new Deno.Command("sh", {
    args: ["-c", `exec ${line}`],
    cwd: folder,
    env: { PATH: search(folder) },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  assertMatch(
    new TextDecoder().decode(value),
    /^ws:\/\/127\.0\.0\.1:\d+\/(\n$|events\n)/,
  );
  child.kill("SIGINT");
  assertEquals((await child.status).code, 130);
  await reader.cancel();
}

for (const line of lines) {
  if (ELSEWHERE.some((pattern) => pattern.test(line))) continue;
  Deno.test({
    name: `the documented command works: ${line}`,
    ignore: Deno.build.os === "windows", // it has no sh
    async fn() {
      assert(/\bwstap\b/.test(line), "nobody has said how to test this one");
      // A run that connects again is ended by a close code.
      const expected = /wstap -r /.test(line) ? EXIT.closed : EXIT.ended;
      await using server = feed(expected === EXIT.ended ? 1000 : 4000);
      const { host, port } = new URL(server.url);
      await using proxy = proxyTo(Number(port));
      await using place = await workplace(await files(host));
      const { folder } = place;
      await Deno.chmod(`${folder}/wstap`, 0o755);
      await Deno.chmod(`${folder}/jq`, 0o755);
      const viaProxy = line.includes("--proxy");
      const changed = line
        .replaceAll("proxy.example:3128", proxy.host)
        // A proxy leads to the feed whatever it is asked for.
        .replaceAll("wss://", "ws://")
        .replaceAll(
          "feed.example",
          (name) => viaProxy ? name : host,
        )
        .replace(/feed\.internal|10\.0\.0\.7:443/, host)
        .replace("--port 8080", "--port 0")
        .replace(
          /^deno run (.*) jsr:\S+/,
          (_, flags) => command(flags.split(" ")).join(" "),
        );
      if (
        /^wstap (replay|demo --listen) /.test(line) && !/--help$/.test(line)
      ) {
        return await untilInterrupted(changed, folder);
      }
      const { code, stderr } = await output("sh", ["-c", changed], {
        cwd: folder,
        env: {
          // Where it holds, Deno's own client would not go to another address.
          NO_PROXY: line.includes("--connect-to") ? "" : "127.0.0.1",
          PATH: search(folder),
        },
      });
      assertEquals(code, expected, stderr);
      assertEquals(proxy.lines.length > 0, viaProxy);
    },
  });
}

Deno.test("docs/command-line.md lists every exit code", async () => {
  const text = await Deno.readTextFile(path("docs/command-line.md"));
  const codes = [...text.matchAll(/^\| (\d+) +\|/gm)].map(([, code]) => +code!);
  assertEquals(codes, Object.values(EXIT) as number[]);
});

Deno.test("deno task demo shows the feed", async () => {
  const args = ["task", "--quiet", "demo", "-n", "2"];
  const { stdout, code, stderr } = await output(Deno.execPath(), args, {
    cwd: path("."),
    // Without asking for JSR again, as this process was started.
    env: { WITHOUT_JSR: moduleFlags()[0] === "--no-config" ? "1" : "" },
  });
  assertEquals(code, 0, stderr);
  assertEquals(stdout.trim().split("\n").length, 2);
  assertStringIncludes(stderr, "HTTP/1.1 101 Switching Protocols");
});
