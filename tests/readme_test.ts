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
import { accept, sendEvents, serve } from "./fixtures/serve.ts";

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
];

/** `/echo` sends back what it gets; everything else is a feed of three events. */
const feed = () =>
  serve((request) => {
    const offered = request.headers.get("sec-websocket-protocol");
    return accept(request, (socket) => {
      if (!request.url.endsWith("/echo")) return sendEvents(socket);
      socket.onmessage = ({ data }) => socket.send(data);
    }, { protocol: offered?.split(",")[0]?.trim() });
  });

/** The files that the commands name, and `wstap` itself. */
async function files(): Promise<Record<string, string>> {
  const { ca, client } = await certificates();
  const words = command(PERMISSIONS).map((word) => `'${word}'`).join(" ");
  return {
    "token.txt": "secret\n",
    "headers.txt": "X-Team: feeds\n",
    "request.json": '{"subscribe":"events"}',
    "ca.pem": ca,
    "client.pem": client.cert,
    "client.key": client.key,
    "feed.ndjson":
      '{"time":"2024-05-06T07:08:09.010Z","type":"text","data":"hello"}\n',
    "wstap": `#!/bin/sh\nexec ${words} "$@"\n`,
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
    /^ws:\/\/127\.0\.0\.1:\d+\/\n$/,
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
      await using server = feed();
      await using proxy = proxyTo(Number(new URL(server.url).port));
      await using place = await workplace(await files());
      const { folder } = place;
      await Deno.chmod(`${folder}/wstap`, 0o755);
      const viaProxy = line.includes("--proxy");
      const changed = line
        .replaceAll("proxy.example:3128", proxy.host)
        // A proxy leads to the feed whatever it is asked for.
        .replaceAll("wss://", "ws://")
        .replaceAll(
          "feed.example",
          (host) => viaProxy ? host : new URL(server.url).host,
        )
        .replace(
          /^deno run (.*) jsr:\S+/,
          (_, flags) => command(flags.split(" ")).join(" "),
        );
      if (line.startsWith("wstap replay ") && !line.endsWith("--help")) {
        return await untilInterrupted(changed, folder);
      }
      const { code, stderr } = await output("sh", ["-c", changed], {
        cwd: folder,
        env: { NO_PROXY: "127.0.0.1", PATH: search(folder) },
      });
      assertEquals(code, 0, stderr);
      assertEquals(proxy.lines.length > 0, viaProxy);
    },
  });
}

Deno.test("docs/errors.md lists every exit code", async () => {
  const text = await Deno.readTextFile(path("docs/errors.md"));
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
