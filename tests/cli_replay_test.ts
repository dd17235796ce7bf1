import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  progressText,
  replay as replayCommand,
} from "../src/cli/commands/replay.ts";
import { Stop } from "../src/cli/stop.ts";
import { Notes } from "../src/cli/terminal/stderr.ts";
import { connectWebSocket, type WebSocketConnection } from "../mod.ts";
import { PATIENCE, run, start } from "./fixtures/cli.ts";
import { command, path } from "./fixtures/command.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { delay, eventually, within } from "./fixtures/wait.ts";

const LOCAL = "--allow-net=127.0.0.1";
const windows = Deno.build.os === "windows";

type Message = string | Uint8Array<ArrayBuffer>;

const DATE = Date.parse("2024-05-06T07:08:09.010Z");

/** A line of a recording, so many milliseconds after its start. */
function line(at: number, type: string, fields: Record<string, unknown> = {}) {
  return JSON.stringify({
    time: new Date(DATE + at).toISOString(),
    type,
    ...fields,
  });
}

const text = (at: number, data: string) => line(at, "text", { data });

const open = (at: number, fields: Record<string, unknown> = {}) =>
  line(at, "open", {
    version: 1,
    url: "wss://feed.example/",
    status: 101,
    protocol: "",
    headers: ["upgrade"],
    ...fields,
  });

const close = (at: number, code: number, reason = "", clean = true) =>
  line(at, "close", { code, reason, clean });

/** A folder with a recording of these lines. */
async function recorded(...lines: string[]) {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/feed.ndjson`;
  await Deno.writeTextFile(path, lines.map((line) => line + "\n").join(""));
  return {
    path,
    async [Symbol.asyncDispose]() {
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** Starts a replay, with the permissions that the README names. */
async function startReplay(path: string, ...args: string[]) {
  const running = start(["replay", ...args, path], {
    permissions: [LOCAL, `--allow-read=${path}`],
  });
  await running.sees("stdout", /^ws:\/\/127\.0\.0\.1:\d+\/\n$/);
  return {
    running,
    url: running.stdout.trim(),
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

function connect(url: string, protocols: string[] = []) {
  return connectWebSocket(url, {
    capture: "direct",
    binary: "bytes",
    closeTimeout: "100ms",
    protocols,
  });
}

/** Everything that a connection brings, and how it ends. */
async function receive(
  connection: WebSocketConnection<string | Uint8Array>,
) {
  const messages: (string | Uint8Array)[] = [];
  try {
    for await (const message of connection) messages.push(message);
  } catch {
    // `closed` says how.
  }
  return { messages, ...await connection.closed };
}

/** What a client of a replay gets. */
async function replayed(path: string, ...args: string[]) {
  await using replay = await startReplay(path, ...args);
  const [connection] = await connect(replay.url);
  return await within(receive(connection), PATIENCE, "the end of the feed");
}

interface RecordedLine {
  time: string;
  type: string;
  data?: string;
  [field: string]: unknown;
}

/** Records a feed with the command line. */
async function record(
  url: string,
  ...args: string[]
): Promise<RecordedLine[]> {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/feed.ndjson`;
    const { code, stderr } = await run(
      ["-q", "--format", "ndjson", "-o", path, ...args, url],
      { permissions: [LOCAL, `--allow-write=${path}`] },
    );
    assert([0, 1, 7].includes(code), stderr);
    return parse(await Deno.readTextFile(path));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function parse(text: string): RecordedLine[] {
  return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** The messages of a recording, with the milliseconds since a time, such as that of its first line. */
function messagesOf(
  lines: RecordedLine[],
  start = Date.parse(lines[0]!.time),
) {
  return lines.filter(({ data }) => data !== undefined)
    .map(({ time, type, data }) => ({
      at: Date.parse(time) - start,
      type,
      data,
    }));
}

Deno.test("a feed that is recorded, replayed and recorded again is the same feed", async () => {
  const GAP = 1000;
  const messages: Message[] = [
    "text",
    new Uint8Array([0, 255, 10]),
    "",
    new Uint8Array(),
    "two\nlines é \u{1f600}",
  ];
  await using server = serve((request) =>
    accept(request, async (socket) => {
      for (const message of messages) {
        if (message === "" || message === messages.at(-1)) await delay(GAP);
        if (socket.readyState !== WebSocket.OPEN) return; // a pre-flight's
        socket.send(message);
      }
      socket.close(4001, "that is all");
    }, { headers: { "X-Session": "secret" } })
  );
  const first = await record(
    server.url.replace("://", "://me:secret@") + "/events?token=secret",
    ...["--capture", "direct"],
  );
  assert(!JSON.stringify(first).includes("secret"));
  const [header, ...rest] = first;
  assertEquals(header?.type, "open");
  assertEquals(header?.url, `${server.url}/events?token=***`);
  assertEquals(header?.status, 101);
  assert((header?.headers as string[]).includes("x-session"));
  assertEquals(rest.map(({ type, data }) => [type, data]), [
    ["text", "text"],
    ["binary", "AP8K"],
    ["text", ""],
    ["binary", ""],
    ["text", messages.at(-1)],
    ["close", undefined],
  ]);
  assertEquals(
    [rest.at(-1)?.code, rest.at(-1)?.reason, rest.at(-1)?.clean],
    [4001, "that is all", true],
  );

  await using file = await recorded(...first.map((it) => JSON.stringify(it)));
  await using replay = await startReplay(file.path);
  // No message may come sooner after this than after the first handshake.
  const start = Date.now();
  const again = await record(replay.url);
  const strip = (lines: RecordedLine[]) =>
    lines.slice(1).map(({ time: _, ...line }) => line);
  assertEquals(strip(again), strip(first));
  const after = messagesOf(again, start);
  for (const [i, { at }] of messagesOf(first).entries()) {
    const difference = after[i]!.at - at;
    assert(difference > -50 && difference < 60_000, `${i}: ${difference}`);
  }
});

Deno.test("--speed waits less, or not at all", async () => {
  const HOUR = 3600 * 1000;
  await using file = await recorded(text(0, "a"), text(HOUR, "b"));
  for (const speed of ["3600000", "max"]) {
    const { messages } = await replayed(file.path, "--speed", speed);
    assertEquals(messages, ["a", "b"]);
  }
});

const FIVE = [0, 1, 2, 3, 4].map((i) => text(0, `${i}`));

const faults: [args: string[], messages: number, code: number][] = [
  [["--close-after", "2"], 2, 1000],
  [["--close-after", "3:1013"], 3, 1013],
  [["--close-after", "7", "--loop"], 7, 1000],
  [["--drop-after", "2"], 2, 1006],
];
for (const [args, messages, code] of faults) {
  Deno.test(`wstap replay ${args.join(" ")} ends with ${code}`, async () => {
    await using file = await recorded(...FIVE, close(0, 4000));
    const got = await replayed(file.path, ...args);
    assertEquals(
      [got.messages.length, got.code, got.clean],
      [messages, code, code !== 1006],
    );
  });
}

Deno.test("--stall-after sends nothing more and answers nothing", async () => {
  await using file = await recorded(...FIVE);
  await using replay = await startReplay(file.path, "--stall-after", "2");
  const [connection] = await connect(replay.url);
  assertEquals([await connection.recv(), await connection.recv()], ["0", "1"]);
  await replay.running.sees("stderr", "nothing more is sent or answered");
  const pinged = connection.ping({ timeout: "300ms" }).then(() => "", String);
  assertMatch(await pinged, /TimeoutError/);
  assertEquals((await connection.close()).clean, false);
});

Deno.test("--refuse refuses the first handshakes, or all", async () => {
  await using file = await recorded(...FIVE);
  {
    await using replay = await startReplay(
      file.path,
      ...["--refuse", "503:2", "--header", "X-Why: a test"],
    );
    for (let i = 0; i < 2; i++) {
      const { code, stderr } = await run(["--capture", "direct", replay.url]);
      assertEquals(code, 3);
      assertMatch(stderr, /^HTTP\/1.1 503 Service Unavailable\n[^]*x-why: a/);
    }
    const { code, stdout, stderr } = await run([replay.url]);
    assertEquals([code, stdout], [0, "0\n1\n2\n3\n4\n"]);
    assertMatch(stderr, /^x-why: a test$/m);
  }
  await using replay = await startReplay(file.path, "--refuse", "401");
  for (let i = 0; i < 3; i++) assertEquals((await run([replay.url])).code, 3);
});

Deno.test("Deno's WebSocket and a client that talks are served alike", async () => {
  await using file = await recorded(text(0, "a"), text(1, "b"), close(2, 4000));
  await using replay = await startReplay(file.path);
  const { code, stdout } = await run(
    ["-q", "-s", "x".repeat(100_000), replay.url],
    { stdin: "hello\n" },
  );
  assertEquals([code, stdout], [7, "a\nb\n"]);
});

/** A client that has shaken hands, and reads when it is told to. */
async function slowClient(url: string): Promise<Deno.TcpConn> {
  const conn = await Deno.connect({
    hostname: "127.0.0.1",
    port: Number(new URL(url).port),
  });
  await conn.write(new TextEncoder().encode(
    "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n" +
      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  ));
  return conn;
}

Deno.test({
  name: "a client that does not read holds a replay at full speed back",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const data = "x".repeat(16_000);
    await using file = await recorded(
      ...Array.from({ length: 1000 }, (_, i) => text(i, data)),
    );
    await using replay = await startReplay(
      file.path,
      ...["--speed", "max", "--loop"],
    );
    const { pid } = replay.running.process;
    const field = async (file: string, name: string) => {
      const text = await Deno.readTextFile(`/proc/${pid}/${file}`);
      return Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(text)![1]);
    };
    using conn = await slowClient(replay.url);
    const start = await field("io", "rchar");
    let read = start;
    await eventually(
      async () => {
        const before = read;
        await delay(300);
        read = await field("io", "rchar");
        return read > start && read === before;
      },
      "a replay that stands still",
      PATIENCE,
    );
    assert(await field("status", "VmRSS") < 400 * 1024);

    // It goes on when the client does, from where it stood.
    const buffer = new Uint8Array(1024 * 1024);
    for (let left = 2 * (read - start); left > 0;) {
      left -= (await within(conn.read(buffer), PATIENCE, "the feed"))!;
    }
  },
});

Deno.test({
  name:
    "a signal closes the connections with 1001, and one that does not answer is cut",
  ignore: windows,
  async fn() {
    await using file = await recorded(text(0, "a"), text(3_600_000, "b"));
    await using replay = await startReplay(file.path);
    const [connection] = await connect(replay.url);
    assertEquals(await connection.recv(), "a");
    using silent = await slowClient(replay.url);
    await replay.running.sees("stderr", "client 2 connected");
    replay.running.process.kill("SIGINT");
    const { code } = await replay.running.result();
    assertEquals(code, 130);
    assertEquals((await connection.closed).code, 1001);
    const rest = new Uint8Array(1000);
    while (await silent.read(rest).catch(() => null) !== null);
  },
});

Deno.test("a recording that cannot be read or repeated is refused", async () => {
  await using file = await recorded(open(0), line(0, "stop"));
  const folder = file.path.replace(/\/[^/]*$/, "");
  const cases: [args: string[], code: number, problem: RegExp][] = [
    [[`${folder}/none`], 2, /Cannot read .*none: /],
    [[folder], 2, /expected a file, which each client reads anew/],
    [["--loop", file.path], 2, /Cannot repeat .*: it has no messages/],
    [["--entry", "1", file.path], 2, /Invalid entry: .* a HAR, and/],
  ];
  for (const [args, expected, problem] of cases) {
    const { code, stderr } = await run(["replay", ...args], {
      permissions: [LOCAL, "--allow-read"],
    });
    assertEquals(code, expected, stderr);
    assertMatch(stderr, problem);
  }
  const denied = await run(["replay", file.path], { permissions: [LOCAL] });
  assertEquals(denied.code, 6);
  assertMatch(denied.stderr, /: it needs --allow-read\n$/);
});

Deno.test("a recording that breaks off between lines is replayed so far, and that is told", async () => {
  await using file = await recorded(open(0), text(0, "a"));
  await using replay = await startReplay(file.path);
  await replay.running.sees("stderr", "\nwstap: it breaks off: ");
  const [connection] = await connect(replay.url);
  assertEquals((await receive(connection)).messages, ["a"]);
});

Deno.test("a recording tells of a limit, of a loss, and of each connection", async () => {
  await using file = await recorded(...FIVE);
  const types = (lines: RecordedLine[]) => lines.map(({ type }) => type).join();
  await using cut = await startReplay(file.path, "--drop-after", "2");
  assertEquals(types(await record(cut.url, "-n", "1")), "open,text,stop");
  const lost = await record(cut.url);
  assertEquals(types(lost), "open,text,text,close");
  assertEquals([lost.at(-1)?.code, lost.at(-1)?.clean], [1006, false]);
  const twice = await record(
    cut.url,
    ...["-r", "--min-delay", "1ms", "--max-delay", "1ms", "-n", "3"],
  );
  assertEquals(types(twice), "open,text,text,close,open,text,stop");
});

Deno.test("nothing but messages is written to standard output, or with --batch", async () => {
  await using file = await recorded(...FIVE);
  await using replay = await startReplay(file.path);
  const { stdout } = await run(["-q", "--format", "ndjson", replay.url]);
  assertEquals(
    parse(stdout).map(({ type, data }) => [type, data]),
    ["0", "1", "2", "3", "4"].map((data) => ["text", data]),
  );
  const batched = await record(replay.url, "--batch", "9s", "--max", "5");
  assertEquals(batched.flat().map(({ data }) => data), [
    ..."01234",
  ]);
});

Deno.test("--include keeps the head out of a recording", async () => {
  await using file = await recorded(...FIVE);
  await using replay = await startReplay(file.path);
  const path = `${file.path}.again`;
  const { stdout } = await run(
    ["-i", "--format", "ndjson", "-o", path, replay.url],
    { permissions: [LOCAL, `--allow-write=${path}`] },
  );
  assertMatch(stdout, /^HTTP\/1.1 101 /);
  assertEquals(parse(await Deno.readTextFile(path))[0]?.type, "open");
});

Deno.test("Ctrl-C while a large recording is read ends the command", async () => {
  // The reading would fail at the last line, a megabyte later.
  const line = text(0, "x".repeat(1000));
  await using it = await recorded(...Array(1000).fill(line), "oops");
  using stop = new Stop();
  const settings = { path: it.path, options: {} };
  const ending = replayCommand(settings, new Notes(true), stop);
  stop.interrupt(130);
  assertEquals(await within(ending, PATIENCE, "the end"), 130);
});

Deno.test("a file that is no recording is refused before anything listens", async () => {
  await using file = await recorded(text(0, "a"), "oops");
  const { code, stdout, stderr } = await run(["replay", file.path], {
    permissions: [LOCAL, `--allow-read=${file.path}`],
  });
  assertEquals([code, stdout], [2, ""]);
  assertEquals(
    stderr,
    `wstap: Cannot replay ${file.path}: line 2 is cut off, or is not JSON\n`,
  );
});

Deno.test("a port that is taken is a wrong command line", async () => {
  await using file = await recorded(...FIVE);
  await using replay = await startReplay(file.path);
  const { port } = new URL(replay.url);
  const { code, stderr } = await run(["replay", "--port", port, file.path], {
    permissions: [LOCAL, "--allow-read"],
  });
  assertEquals(code, 2);
  assertMatch(stderr, /^wstap: Cannot listen on port \d+: [^()]*\n$/);
});

Deno.test("a HAR with several connections needs --entry, and the error lists them", async () => {
  const har = path("tests/fixtures/har/chromium.har");
  const { code, stderr } = await run(["replay", har], {
    permissions: [LOCAL, "--allow-read"],
  });
  assertEquals(code, 2);
  assertMatch(
    stderr,
    /^wstap: .* entry.*: the HAR .* has 0 ws:\S+\/events\?token=\*\*\* \(8 messages\), 1 ws:\S+\/echo \(2 messages\)\n$/,
  );
  for (const entry of ["1", "/echo"]) {
    assertEquals(await replayed(har, "--entry", entry), {
      messages: ["hello"],
      code: 1000,
      reason: "",
      clean: true,
    });
  }
});

Deno.test("--client-messages waits for what was recorded with --record-sent, and tells of a deviation", async () => {
  const sent = (at: number, data: string) =>
    line(at, "text", { data, from: "client" });
  await using file = await recorded(
    ...[open(0, { version: 2 }), sent(0, '{"id":1}'), text(0, "ok")],
  );
  await using replay = await startReplay(
    file.path,
    ...["--client-messages", "exact"],
  );
  await replay.running.sees("stderr", "waits for 1 message of each client");
  const right = await run(["-q", "-s", '{ "id": 1 }', replay.url]);
  assertEquals([right.code, right.stdout], [0, "ok\n"]);
  const wrong = await run([
    ...["--capture", "direct", "-s", '{"id":"secret"}', replay.url],
  ]);
  assertEquals(wrong.stdout, "");
  assertMatch(wrong.stderr, /1008/);
  await replay.running.sees(
    "stderr",
    /client \d deviated: its message 1 is not the recorded one\n/,
  );
  await replay.running.sees("stderr", /got 0 messages; .* closed with 1008\n/);
  assert(!replay.running.stderr.includes("secret"));
});

Deno.test("--record-sent records what is sent where it was sent, and only then", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      socket.send("welcome");
      socket.addEventListener("message", ({ data }) => {
        socket.send(data === "last" ? "bye" : `got ${data}`);
        if (data === "last") socket.close(4000);
      });
    })
  );
  const capture = ["--capture", "direct"];
  const args = ["-s", "first", "-s", "second"];
  const stdin = "third\nlast\n";
  const recordWith = async (...more: string[]) => {
    const folder = await Deno.makeTempDir();
    const file = `${folder}/talk.ndjson`;
    const { stderr } = await run(
      ["-q", ...capture, ...args, "--format", "ndjson", ...more, "-o", file]
        .concat(server.url),
      { permissions: [LOCAL, `--allow-write=${file}`], stdin },
    );
    const text = await Deno.readTextFile(file);
    await Deno.remove(folder, { recursive: true });
    assert(text !== "", stderr);
    return parse(text);
  };
  const without = await recordWith();
  assert(without.every(({ from }) => from === undefined));
  const lines = await recordWith("--record-sent");
  const bySide = (from?: string) =>
    lines.filter((it) => it.data !== undefined && it.from === from)
      .map(({ data }) => data);
  assertEquals(bySide("client"), ["first", "second", "third", "last"]);
  assertEquals(bySide(), [
    "welcome",
    ...["got first", "got second", "got third"],
    "bye",
  ]);
  // Each answer stands behind what it answers, inside of the connection.
  assertEquals([lines[0]!.type, lines.at(-1)!.type], ["open", "close"]);
  const index = (data: string) => lines.findIndex((it) => it.data === data);
  for (const data of ["first", "second", "third"]) {
    assert(index(data) < index(`got ${data}`), JSON.stringify(lines));
  }
  assert(index("last") < index("bye"));

  // It replays as it happened.
  await using file = await recorded(...lines.map((it) => JSON.stringify(it)));
  await using replay = await startReplay(
    file.path,
    ...["--client-messages", "exact", "--speed", "max"],
  );
  const again = await run(["-q", ...capture, ...args, replay.url], { stdin });
  assertEquals(
    again.stdout,
    "welcome\ngot first\ngot second\ngot third\nbye\n",
  );
});

Deno.test("what is sent to a server that says nothing is recorded at once", async () => {
  await using server = serve((request) => accept(request, () => {}));
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/talk.ndjson`;
    await using running = start(
      ["-q", "--capture", "direct", "--format", "ndjson", "--record-sent"]
        .concat("-s", "hello", "--heartbeat", "ping")
        .concat("--heartbeat-interval", "100ms", "-o", file, server.url),
      { permissions: [LOCAL, `--allow-write=${file}`] },
    );
    await eventually(
      async () => {
        const text = await Deno.readTextFile(file).catch(() => "");
        return text.includes('"data":"hello","from":"client"}\n') &&
          text.includes('"data":"ping","from":"client"}\n');
      },
      "the lines of the message and of a heartbeat",
      PATIENCE,
    );
    assert(running.stderr === "");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("--allow-origin lets pages of other origins connect", async () => {
  await using file = await recorded(...FIVE);
  const origin = ["-q", "-H", "Origin: https://app.example"];
  await using closed = await startReplay(file.path);
  assertEquals((await run([...origin, closed.url])).code, 3);
  await closed.running.sees(
    "stderr",
    'client 1 was refused with 403: pages of "https://app.example" are not',
  );
  await using allowed = await startReplay(
    file.path,
    // It is taken as the module takes it: with a slash, and with any scheme.
    ...["--allow-origin", "https://app.example/"],
    ...["--allow-origin", "chrome-extension://abc"],
  );
  assertEquals((await run([...origin, allowed.url])).code, 0);
});

/** Whether `script` of util-linux is here, which runs a command on a terminal of its own. */
const hasTerminal = await new Deno.Command("script", { args: ["--version"] })
  .output()
  .then(({ success }) => success && Deno.build.os === "linux", () => false);

for (const pipe of ["", " | cat"]) {
  Deno.test({
    name: pipe === ""
      ? "a terminal has a line that says how far each client is"
      : "the line stays away beside a pipe, whose end may write there",
    ignore: !hasTerminal,
    async fn() {
      await using file = await recorded(text(0, "a"), text(3_600_000, "b"));
      const wstap = command([
        ...["--no-prompt", LOCAL, `--allow-read=${file.path}`],
      ]).map((word) => `'${word}'`).join(" ");
      await using child = new Deno.Command("script", {
        args: ["-qec", `${wstap} replay '${file.path}'${pipe}`, "/dev/null"],
        env: { TERM: "xterm", NO_COLOR: "1" },
        stdin: "piped",
        stdout: "piped",
        stderr: "null",
      }).spawn();
      let screen = "";
      const reading = (async () => {
        for await (const chunk of child.stdout) {
          screen += new TextDecoder().decode(chunk);
        }
      })();
      const shows = (pattern: RegExp) =>
        eventually(() => pattern.test(screen), `${pattern}`, PATIENCE);
      await shows(/ws:\/\/127\.0\.0\.1:\d+\//);
      const [connection] = await connect(/ws:\/\/[\d.:]+\//.exec(screen)![0]);
      await connection.recv();
      if (pipe === "") await shows(/Kclient 1: 1 of 2/);
      else {
        await delay(700); // the line would have been written
        assert(!screen.includes("1 of 2"), screen);
      }
      const writer = child.stdin.getWriter();
      await writer.write(new Uint8Array([3])); // Ctrl-C
      await child.status;
      await reading;
      await writer.close().catch(() => {});
      assertEquals((await connection.closed).code, 1001);
    },
  });
}

Deno.test("the line of a terminal says how far each client is", () => {
  const clients = (...messages: number[]) =>
    messages.map((messages, i) => ({ client: i + 1, messages }));
  assertEquals(progressText([], 5), "");
  assertEquals(
    progressText(clients(1234, 0), 5000),
    "client 1: 1,234 of 5,000  client 2: 0 of 5,000",
  );
  assertEquals(progressText(clients(7), null), "client 1: 7 messages");
  assertEquals(
    progressText(clients(1, 2, 3, 4, 5, 6), null).replace(/.* {2}/, ""),
    "2 more",
  );
});
