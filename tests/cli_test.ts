import { assert, assertEquals, assertMatch } from "@std/assert";
import denoJson from "../deno.json" with { type: "json" };
import {
  type Command,
  COMMANDS,
  isFor,
  OPTIONS,
  SHELLS,
} from "../src/cli/flags/table.ts";
import { PATIENCE, run, start } from "./fixtures/cli.ts";
import { command, output, workplace } from "./fixtures/command.ts";
import { installed, testsWith } from "./fixtures/installed.ts";
import { frame, parseClose, type Peer, rawServer } from "./fixtures/raw.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { eventually, quietPort, untilStill, within } from "./fixtures/wait.ts";

const LOCAL = "--allow-net=127.0.0.1";
const windows = Deno.build.os === "windows";

/** A feed that sends these messages and closes. */
function feed(
  messages: (string | Uint8Array<ArrayBuffer>)[],
  close: [code?: number, reason?: string] = [1000],
) {
  return serve((request) =>
    accept(request, (socket) => {
      for (const message of messages) socket.send(message);
      socket.close(...close);
    }, { headers: { "X-Session": "s1" } })
  );
}

/** A server that sends back what it gets. */
function echo() {
  return serve((request) =>
    accept(request, (socket) => {
      socket.onmessage = ({ data }) => socket.send(data);
    })
  );
}

/** Answers a pre-flight; true for the connection after it. */
async function isSocket(peer: Peer): Promise<boolean> {
  await peer.readHead();
  await peer.upgrade();
  if (peer.index > 0) return true;
  await peer.waitForEnd();
  return false;
}

Deno.test("wstap URL shows the response head on standard error and the messages on standard output", async () => {
  await using server = feed(["one", "two"]);
  const { code, stdout, stderr } = await run([server.url]);
  assertEquals([code, stdout], [0, "one\ntwo\n"]);
  assertMatch(
    stderr,
    /^HTTP\/1.1 101 Switching Protocols\n[^]*x-session: s1\n/,
  );
  assertMatch(stderr, /\n\n$/);
});

Deno.test("--include puts the head before the messages, --quiet hides it", async () => {
  await using server = feed(["one"]);
  const { stdout, stderr } = await run(["-i", server.url]);
  assertMatch(stdout, /^HTTP\/1.1 101 [^]*x-session: s1\n(.+\n)*\none\n$/);
  assertEquals(stderr, "");
  const quiet = await run(["-q", server.url]);
  assertEquals([quiet.stdout, quiet.stderr], ["one\n", ""]);
});

Deno.test("--head ends once the head is there", async () => {
  await using server = echo();
  const { code, stdout, stderr } = await run(["-I", server.url]);
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^HTTP\/1.1 101 [^]*\n\n$/);
});

Deno.test("a refusal shows the head and the start of the body, and ends with 3", async () => {
  await using server = serve(() =>
    new Response("No such \x1b[31mfeed\n", {
      status: 404,
      headers: { "X-Why": "\x9bno" },
    })
  );
  const { code, stdout, stderr } = await run([server.url]);
  assertEquals([code, stdout], [3, ""]);
  assertMatch(stderr, /^HTTP\/1.1 404 Not Found\n[^]*x-why: \\u009bno\n/);
  assertMatch(
    stderr,
    /\n\nNo such \\u001b\[31mfeed\n\nwstap: .*HTTP error: 404 Not Found\n$/,
  );
  const head = await run(["-I", server.url]);
  assertEquals(head.code, 3);
  assertMatch(head.stdout, /^HTTP\/1.1 404 Not Found\n/);
});

Deno.test("a server that is not there ends with 4", async () => {
  const url = `ws://127.0.0.1:${quietPort()}/?token=secret`;
  const { code, stderr } = await run([url]);
  assertEquals(code, 4);
  assertMatch(
    stderr,
    /^wstap: Cannot connect to ws:\/\/127.0.0.1:\d+\/: .*refused.*\n$/,
  );
});

Deno.test("a server that does not answer in time ends with 4", async () => {
  await using server = rawServer(async (peer) => void await peer.waitForEnd());
  const { code, stderr } = await run(["--timeout", "200ms", server.url]);
  assertEquals([code, stderr], [4, "wstap: No connection within 200 ms\n"]);
});

Deno.test("a lost connection ends with 1, behind what arrived before", async () => {
  await using server = rawServer(async (peer) => {
    if (!await isSocket(peer)) return;
    await peer.send("one");
    peer.end();
  });
  const { code, stdout, stderr } = await run(["-q", server.url]);
  assertEquals([code, stdout], [1, "one\n"]);
  assertMatch(stderr, /^wstap: The connection was lost.*\n$/);
});

Deno.test("a close that says why is told, and ends with 0", async () => {
  await using server = feed([], [1000, "go\x1baway"]);
  const { code, stderr } = await run([server.url]);
  assertEquals(code, 0);
  assertMatch(
    stderr,
    /\nwstap: the server closed with 1000 "go\\u001baway"\n$/,
  );
});

Deno.test("wrong usage ends with 2 and one line", async () => {
  const wrong = [
    [],
    ["--bogus"],
    ["-n", "x", "ws://127.0.0.1:9/"],
    ["http://127.0.0.1:9/"],
    ["wss://me:secret@[/"],
    ["-H", "Host: a", "ws://127.0.0.1:9/"],
    ["-p", "a b", "ws://127.0.0.1:9/"],
    ["-u", "me", "ws://127.0.0.1:9/"],
    ["--listen"],
    ["completions", "tcsh"],
    ["demo", "ws://127.0.0.1:9/"],
    ["relay", "feed.ndjson"],
  ];
  for (const args of wrong) {
    const { code, stdout, stderr } = await run(args);
    assertEquals([code, stdout], [2, ""], args.join(" "));
    assertMatch(stderr, /^wstap: [^\n]+\n$/, args.join(" "));
    assert(!stderr.includes("secret"), stderr);
  }
});

Deno.test("a missing permission ends with 6 and is named", async () => {
  const net = await run(["ws://127.0.0.1:8765/"], { permissions: [] });
  assertEquals(net.code, 6);
  assertMatch(net.stderr, /^wstap: .*--allow-net.*\n$/);
  const file = await run(["-o", "x", "ws://127.0.0.1:9/"]);
  assertEquals(
    [file.code, file.stderr],
    [6, "wstap: Cannot open x: it needs --allow-write\n"],
  );
});

Deno.test("--count, --duration and --batch", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      for (let i = 1; i <= 9; i++) socket.send(`{"n":${i}}`);
    })
  );
  const two = await run(["-q", "-n", "2", server.url]);
  assertEquals([two.code, two.stdout], [0, '{"n":1}\n{"n":2}\n']);
  const batches = await run(
    ["-q", "--batch", "9s", "--max", "2", "-n", "3", "--format", "json"]
      .concat(server.url),
  );
  assertEquals(batches.stdout, '[{"n":1},{"n":2}]\n[{"n":3}]\n');
  const timed = await run([
    "-q",
    "--duration",
    "2s",
    "--summary",
    server.url,
  ]);
  assertEquals([timed.code, timed.stdout.split("\n").length], [0, 10]);
  assertMatch(timed.stderr, /^wstap: 9 messages, 63 B, in .* messages\/s\n$/);
});

Deno.test("--send, --send-file and standard input are sent in that order", async () => {
  await using server = echo();
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "from\na file\n");
    const { code, stdout } = await run(
      ["-q", "-n", "5", "--format", "ndjson", "--send-file", file, "-s", "a"]
        .concat("-s", "", server.url),
      { permissions: [LOCAL, "--allow-read"], stdin: "first\r\nlast" },
    );
    assertEquals(code, 0);
    assertEquals(
      stdout.trimEnd().split("\n").map((line) => JSON.parse(line).data),
      ["a", "", "from\na file\n", "first", "last"],
    );
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("--binary sends and writes bytes", async () => {
  const got: unknown[] = [];
  await using server = serve((request) =>
    accept(request, (socket) => {
      socket.onmessage = ({ data }) => {
        got.push(new Uint8Array(data));
        socket.send(new Uint8Array([0, 10, 65]));
        socket.send("text");
        socket.close(1000);
      };
    })
  );
  const { stdout } = await run(["-q", "--binary", "-s", "é", server.url]);
  assertEquals(got, [new Uint8Array([0xc3, 0xa9])]);
  assertEquals(stdout, "\0\nAtext");
});

Deno.test("the end of standard input does not end receiving, and one that never ends does not keep it running", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      socket.onmessage = ({ data }) => {
        socket.send(`got ${data}`);
        socket.send("more");
        socket.close(1000);
      };
    })
  );
  const ended = await run(["-q", server.url], { stdin: "hi\n" });
  assertEquals([ended.code, ended.stdout], [0, "got hi\nmore\n"]);
  await using open = start(["-q", "-s", "x", server.url], { stdin: "open" });
  const { code, stdout } = await open.result();
  assertEquals([code, stdout], [0, "got x\nmore\n"]);
  await open.process.stdin.close().catch(() => {});
});

for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test({
    name:
      `${signal} closes with 1000, writes what arrived, and ends with ${expected}`,
    ignore: windows,
    async fn() {
      const closed = Promise.withResolvers<number>();
      await using server = rawServer(async (peer) => {
        if (!await isSocket(peer)) return;
        await peer.send("one");
        const close = await peer.readFrame();
        closed.resolve(parseClose(close!.payload).code);
        await peer.closeFrame(1000);
      });
      await using running = start(["-q", server.url]);
      await running.sees("stdout", "one\n");
      running.process.kill(signal);
      assertEquals(await within(closed.promise, PATIENCE, "a close"), 1000);
      const { code, stdout, stderr } = await running.result();
      assertEquals([code, stdout, stderr], [expected, "one\n", ""]);
    },
  });
}

Deno.test({
  name: "a signal ends a handshake that is not answered",
  ignore: windows,
  async fn() {
    await using server = rawServer(async (peer) =>
      void await peer.waitForEnd()
    );
    await using running = start([server.url]);
    await eventually(() => server.connections > 0, "a connection", PATIENCE);
    running.process.kill("SIGINT");
    const { code, stderr } = await running.result();
    assertEquals([code, stderr], [130, ""]);
  },
});

Deno.test({
  name: "a second signal ends at once, though nobody reads the pipe",
  ignore: windows,
  async fn() {
    await using server = serve((request) =>
      accept(request, (socket) => {
        socket.send("x".repeat(8 * 1024 * 1024));
        socket.onclose = () => closed.resolve();
      })
    );
    const closed = Promise.withResolvers<void>();
    // One connection: a pre-flight's close would be taken for the socket's.
    const args = ["--capture", "none", server.url];
    await using running = start(args, {}, false);
    await running.sees("stderr", "HTTP/1.1 101");
    await eventually(() => server.sockets.size === 1, "a socket", PATIENCE);
    running.process.kill("SIGINT");
    await within(closed.promise, PATIENCE, "the close");
    running.process.kill("SIGINT");
    const { code } = await within(running.process.status, PATIENCE, "the end");
    assertEquals(code, 130);
    await running.process.stdout.cancel();
  },
});

Deno.test("a closed pipe ends quietly", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      const timer = setInterval(() => {
        if (socket.readyState === WebSocket.OPEN) socket.send("tick");
      }, 5);
      socket.onclose = () => clearInterval(timer);
    })
  );
  await using running = start(["-q", server.url], {}, false);
  const reader = running.process.stdout.getReader();
  await reader.read();
  await reader.cancel();
  const { code } = await within(running.process.status, PATIENCE, "the end");
  assertEquals([code, running.stderr], [0, ""]);
});

Deno.test("--output appends", async () => {
  await using server = feed(["one"]);
  const folder = await Deno.makeTempDir();
  try {
    const args = ["-q", "-o", `${folder}/log`, server.url];
    const options = { permissions: [LOCAL, "--allow-write"] };
    await run(args, options);
    const { code, stdout } = await run(args, options);
    assertEquals([code, stdout], [0, ""]);
    assertEquals(await Deno.readTextFile(`${folder}/log`), "one\none\n");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a feed that never pauses reaches a file whole", async () => {
  // Somewhat more than the buffer takes: what does not write meanwhile overflows.
  const COUNT = 700_000;
  const block = new Uint8Array(102 * 1000);
  for (let i = 0; i < 1000; i++) block.set(frame(1, "x".repeat(100)), i * 102);
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    for (let i = 0; i < COUNT; i += 1000) await peer.write(block);
    await peer.closeFrame(1000);
    await peer.waitForEnd();
  });
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/log`;
    const args = ["-q", "--capture", "none", "-o", path, server.url];
    const { code, stderr } = await run(args, {
      permissions: [LOCAL, "--allow-write"],
    });
    assertEquals([code, stderr], [0, ""]);
    const { size } = await Deno.stat(path);
    assertEquals(size, COUNT * 101);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test({
  name: "much at a time reaches a file that a shell has opened, in order",
  ignore: windows,
  async fn() {
    const messages = Array.from(
      { length: 50 },
      (_, i) => `${i} `.padEnd(100_000, "x"),
    );
    await using server = feed(["first", ...messages, "last"]);
    const folder = await Deno.makeTempDir();
    try {
      const path = `${folder}/log`;
      const { code, stderr } = await new Deno.Command("sh", {
        args: [
          "-c",
          'out=$1; shift; exec "$@" > "$out"',
          "sh",
          path,
          ...command(["--no-prompt", LOCAL]),
          "-q",
          server.url,
        ],
      }).output();
      assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
      assertEquals(
        await Deno.readTextFile(path),
        ["first", ...messages, "last", ""].join("\n"),
      );
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "a full disk ends with 5",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using server = echo();
    const { code, stderr } = await run(
      ["-q", "-s", "a", "-o", "/dev/full", server.url],
      { permissions: ["-A"] },
    );
    assertEquals(
      [code, stderr],
      [5, "wstap: Cannot write to /dev/full: No space left on device\n"],
    );
  },
});

Deno.test("credentials reach the server and nothing else", async () => {
  await using server = feed([]);
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "t0p-file\n");
    const cases: [string[], Record<string, string>, string][] = [
      [["-u", "me:t0p"], {}, `Basic ${btoa("me:t0p")}`],
      [["--bearer", "t0p"], {}, "Bearer t0p"],
      [["--bearer", `@${file}`], {}, "Bearer t0p-file"],
      [[], { WSTAP_BEARER: "t0p" }, "Bearer t0p"],
      [[], { WSTAP_USER: "me:t0p" }, `Basic ${btoa("me:t0p")}`],
      [["--bearer", "t0p"], { WSTAP_BEARER: "other" }, "Bearer t0p"],
    ];
    for (const [args, env, expected] of cases) {
      const { code, stdout, stderr } = await run(
        ["-v", "--summary", ...args, `${server.url}/?key=t0p`],
        {
          permissions: [
            LOCAL,
            "--allow-read",
            "--allow-env=WSTAP_BEARER,WSTAP_USER",
          ],
          env,
        },
      );
      assertEquals(code, 0, stderr);
      const { headers } = server.requests.at(-1)!;
      assertEquals(headers.get("authorization"), expected);
      assert(!`${stdout}${stderr}`.includes("t0p"), stderr);
      assert(!stderr.includes(btoa("me:t0p")), stderr);
      assertMatch(stderr, /^> authorization: (Basic|Bearer) \*\*\*$/m);
      assertMatch(
        stderr,
        /^wstap: pre-flight [\d.]+ ms, socket [\d.]+ ms, [\d.]+ ms in all$/m,
      );
    }
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("--header takes a line, or a file of them", async () => {
  await using server = feed([]);
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "# two\nX-A: 1\r\n\nX-B: 2:3\n");
    const args = ["-q", "-H", `@${file}`, "-H", "X-C:", server.url];
    await run(args, { permissions: [LOCAL, "--allow-read"] });
    const { headers } = server.requests[0]!;
    assertEquals(
      ["x-a", "x-b", "x-c"].map((name) => headers.get(name)),
      ["1", "2:3", ""],
    );
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("--reconnect connects again, sends again, and tells of each outage", async () => {
  const got: string[] = [];
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    if (peer.index % 2 === 0) return void await peer.waitForEnd();
    const hello = await peer.readFrame();
    got.push(new TextDecoder().decode(hello!.payload));
    await peer.send(`from ${peer.index}`);
    if (peer.index === 1) peer.end();
  });
  const { code, stdout, stderr } = await run(
    ["-r", "-q", "--min-delay", "1ms", "--max-delay", "1ms", "-n", "2"]
      .concat("-s", "hello", server.url),
  );
  assertEquals([code, stdout], [0, "from 1\nfrom 3\n"]);
  assertMatch(
    stderr,
    /^wstap: The connection was lost.*; connecting again in 0.0 s\n$/,
  );
  assertEquals(got, ["hello", "hello"]);
});

Deno.test("--max-attempts gives up", async () => {
  await using server = serve(() => new Response("", { status: 503 }));
  const { code, stderr } = await run(
    ["-r", "-q", "--min-delay", "1ms", "--max-delay", "1ms"]
      .concat("--max-attempts", "2", server.url),
  );
  assertEquals(code, 3);
  assertMatch(
    stderr,
    /^wstap: .*503.*; connecting again in .* s\nwstap: .*503 Service Unavailable\n$/,
  );
});

Deno.test({
  name: "a signal ends the wait before connecting again",
  ignore: windows,
  async fn() {
    await using server = serve(() => new Response("", { status: 503 }));
    await using running = start(["-r", "--min-delay", "1h", server.url]);
    await running.sees("stderr", "connecting again in");
    running.process.kill("SIGTERM");
    assertEquals((await running.result()).code, 143);
  },
});

Deno.test("further URLs are there to fall back to", async () => {
  await using server = serve((request) =>
    request.url.endsWith("/v2")
      ? new Response("", { status: 404 })
      : accept(request, (socket) => socket.close(1000))
  );
  const urls = [`${server.url}/v2`, `${server.url}/v1`];
  const { code, stdout } = await run(["-i", ...urls]);
  assertEquals(code, 0);
  assertMatch(stdout, /^HTTP\/1.1 101 /);
  assertEquals((await run([...urls].reverse())).code, 0);
  assertEquals((await run(["-q", urls[0]!, urls[0]!])).code, 3);
});

Deno.test("a slow reader of the pipe slows the feed down with --capture direct", async () => {
  const COUNT = 600;
  const block = frame(1, "x".repeat(65535));
  let sent = 0;
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    for (; sent < COUNT; sent++) await peer.write(block);
    await peer.closeFrame(1000);
    await peer.waitForEnd();
  });
  await using running = start(
    ["-q", "--capture", "direct", "--max-buffer", "1M", server.url],
    {},
    false,
  );
  await eventually(() => sent > 0, "the feed to begin", PATIENCE);
  await untilStill(() => sent, "the feed to stand still");
  assert(sent < COUNT, "it held nothing back");
  let length = 0;
  for await (const chunk of running.process.stdout) length += chunk.length;
  assertEquals(length, COUNT * 65536);
  assertEquals((await running.process.status).code, 0);
});

Deno.test("without it the buffer overflows, and that ends with 1", async () => {
  const sent = Promise.withResolvers<void>();
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    const block = frame(1, "x".repeat(65535));
    for (let i = 0; i < 600; i++) await peer.write(block);
    sent.resolve();
    await peer.waitForEnd();
  });
  const args = ["--capture", "none", "--max-buffer", "1M", server.url];
  await using running = start(["-q", ...args], {}, false);
  await within(sent.promise, PATIENCE, "all of the feed");
  await new Response(running.process.stdout).bytes();
  const { code } = await within(running.process.status, PATIENCE, "the end");
  await running.sees("stderr", "outran the buffer");
  assertEquals(code, 1);
});

Deno.test("demo taps its own feed and ends by itself", async () => {
  const { code, stdout, stderr } = await run(["demo", "-n", "2"]);
  assertEquals(code, 0);
  assertMatch(
    stderr,
    /HTTP\/1.1 101 Switching Protocols\n[^]*x-demo-session: /,
  );
  assertEquals(
    stdout.trimEnd().split("\n").map((line) => JSON.parse(line).id),
    [1, 2],
  );
});

Deno.test({
  name: "demo --listen serves others until a signal",
  ignore: windows,
  async fn() {
    await using demo = start(["demo", "--listen", "--port", "0"]);
    await demo.sees("stdout", "/refuse/404\n");
    const [events, echo, refuse] = demo.stdout.split("\n");
    const tapped = await run(["-q", "-n", "1", events!]);
    assertEquals(JSON.parse(tapped.stdout).id, 1);
    const echoed = await run(["-q", "-n", "1", "-s", "hi", echo!]);
    assertEquals(echoed.stdout, "hi\n");
    for (const status of [401, 404, 418, 503, 302]) {
      const refused = await run([refuse!.replace("404", `${status}`)]);
      assertEquals(refused.code, 3, refused.stderr);
      assertMatch(refused.stderr, new RegExp(`^HTTP/1.1 ${status} `));
    }
    demo.process.kill("SIGTERM");
    assertEquals((await demo.result()).code, 143);
  },
});

Deno.test("--help names every option and fits a screen's width, --version the version", async () => {
  const { code, stdout, stderr } = await run(["--help"], { permissions: [] });
  assertEquals([code, stderr], [0, ""]);
  for (const { name } of OPTIONS) assert(stdout.includes(`--${name}`), name);
  for (const line of stdout.split("\n")) assert(line.length <= 80, line);
  for (const command of ["ping", "replay"]) {
    const { stdout } = await run([command, "--help"], { permissions: [] });
    assertMatch(stdout, new RegExp(`^wstap ${command}: `));
    for (const line of stdout.split("\n")) assert(line.length <= 80, line);
    for (const option of OPTIONS) {
      const { name } = option;
      const shown = new RegExp(`^ .*--${name}[ ,\n]`, "m").test(stdout);
      assertEquals(shown, isFor(option, command as Command), name);
    }
  }
  const version = await run(["--version"], { permissions: [] });
  assertEquals(version.stdout, `wstap ${denoJson.version}\n`);
});

Deno.test("completions know every option", async () => {
  for (const shell of SHELLS) {
    const { code, stdout } = await run(["completions", shell]);
    assertEquals(code, 0);
    for (const { name } of OPTIONS) {
      const flag = shell === "fish" ? `-l ${name} ` : `--${name}`;
      assert(stdout.includes(flag), `${shell} ${flag}`);
    }
    for (const name of COMMANDS) assert(stdout.includes(name), name);
  }
});

/** What a shell prints that has the completions in the file `_wstap`. */
async function complete(shell: "bash" | "zsh", ...args: string[]) {
  const { stdout: completions } = await run(["completions", shell]);
  await using place = await workplace({ _wstap: completions, "a b.har": "" });
  const { code, stdout, stderr } = await output(shell, args, {
    cwd: place.folder,
  });
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  return stdout;
}

const withBash = testsWith("bash", Deno.build.os !== "windows");
const withZsh = testsWith("zsh", installed("zsh"));

withBash(
  "the completions of bash complete options, values and files",
  async () => {
    const script = `
    source ./_wstap
    for line in "--durat" "--format js" "--format = js" "--format =" "-o a" "replay a"; do
      COMP_WORDS=(wstap $line)
      COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
      _wstap
      printf '%s;' "\${COMPREPLY[@]}"
      echo
    done`;
    assertEquals(
      await complete("bash", "-c", script),
      "--duration;\njson;\njson;\ntext;json;ndjson;\na b.har;\na b.har;\n",
    );
  },
);

withZsh(
  "the completions of zsh work at once in $fpath, and when they are read",
  async () => {
    const script = `
    _arguments() { print completed }
    compdef() { print compdef $* }
    source ./_wstap
    unfunction _wstap
    fpath=($PWD)
    autoload -Uz _wstap
    _wstap
    _wstap`;
    assertEquals(
      await complete("zsh", "-f", "-c", script),
      "compdef _wstap wstap\ncompleted\ncompleted\n",
    );
  },
);

withZsh("the completions of zsh complete a value after =", async () => {
  const script = `
    _arguments() { print -l - \${(M)@:#*(format|count|quiet)*} }
    compdef() { }
    source ./_wstap
    _wstap`;
  const specs = (await complete("zsh", "-f", "-c", script)).split("\n");
  const flags = specs.map((spec) => spec.replace(/\[.*/s, ""));
  for (const flag of ["--format=", "(-n --count)--count="]) {
    assert(flags.includes(flag), `${flag} in ${flags}`);
  }
  assert(flags.includes("(-q --quiet)--quiet"), `${flags}`);
});
