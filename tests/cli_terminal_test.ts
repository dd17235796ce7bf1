import { assert, assertEquals, assertMatch } from "@std/assert";
import { command, path, workplace } from "./fixtures/command.ts";
import { accept, serve, type TestServer } from "./fixtures/serve.ts";
import { eventually } from "./fixtures/wait.ts";
import { PATIENCE } from "./fixtures/cli.ts";

/** Whether `script` of util-linux is here, which runs a command on a terminal of its own. */
const available = await new Deno.Command("script", { args: ["--version"] })
  .output()
  .then(({ success }) => success && Deno.build.os === "linux", () => false);
if (!available) {
  console.warn("Not tested on a terminal: there is no script (util-linux).");
}

/** What a shell command that runs the command line writes to a terminal. */
async function onTerminal(
  server: TestServer,
  write: (wstap: string, url: string) => string,
  options: {
    env?: Record<string, string>;
    type?: string;
    until?: (screen: string) => boolean;
  } = {},
  permissions: string[] = [],
): Promise<{ screen: string; code: number }> {
  const wstap = command([
    "--no-prompt",
    "--allow-net=127.0.0.1",
    ...permissions,
  ])
    .map((word) => `'${word}'`).join(" ");
  await using child = new Deno.Command("script", {
    args: ["-qec", write(wstap, server.url), "/dev/null"],
    env: { NO_PROXY: "127.0.0.1", TERM: "xterm", ...options.env },
    cwd: path(""),
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let screen = "";
  const decoder = new TextDecoder();
  const reading = (async () => {
    for await (const chunk of child.stdout) {
      screen += decoder.decode(chunk, { stream: true });
    }
  })();
  const { until, type } = options;
  const writer = child.stdin.getWriter();
  if (until !== undefined) {
    await eventually(() => until(screen), "the screen", PATIENCE);
  }
  if (type !== undefined) await writer.write(new TextEncoder().encode(type));
  const { code } = await child.status;
  await reading;
  await writer.close().catch(() => {});
  return { screen: screen.replaceAll("\r\n", "\n"), code };
}

function terminalTest(name: string, fn: () => Promise<void>) {
  Deno.test({ name, ignore: !available, fn });
}

const NASTY = "\x1b]0;owned\x07\x9b31m\u202e\n";

function nastyFeed() {
  return serve((request) =>
    accept(request, (socket) => {
      socket.send(NASTY);
      socket.send(`{"a":[1,"\x9b"]}`);
      socket.close(4000, NASTY);
    }, { headers: { "X-Nasty": "\x9b31m" } })
  );
}

terminalTest("nothing that a server sends acts on a terminal", async () => {
  await using server = nastyFeed();
  for (
    const args of ["-v", "-i", "--format json", "--format ndjson", "--batch 1s"]
  ) {
    const { screen, code } = await onTerminal(
      server,
      (wstap, url) => `${wstap} ${args} ${url}`,
      { env: { NO_COLOR: "1" } },
    );
    assertEquals(code, 7);
    // Without colours nothing but line breaks is left.
    const [unsafe] = /[^\n\x20-\x7e\u00a0-\u200d…]/.exec(screen) ?? [];
    assertEquals(unsafe, undefined, JSON.stringify(screen));
    assert(screen.includes("\\u001b]0;owned\\u0007"), screen);
  }
});

terminalTest(
  "json is pretty on a terminal, and coloured unless NO_COLOR is set",
  async () => {
    await using server = nastyFeed();
    const write = (wstap: string, url: string) =>
      `${wstap} --format json ${url}`;
    const plain = await onTerminal(server, write, { env: { NO_COLOR: "1" } });
    assert(plain.screen.includes('{\n  "a": [\n    1,\n'), plain.screen);
    const colored = await onTerminal(
      server,
      (wstap, url) => `env -u NO_COLOR ${write(wstap, url)}`,
    );
    assert(colored.screen.includes('\x1b[34;1m"a"\x1b[0m: ['), colored.screen);
    assert(colored.screen.includes("\x1b[1mHTTP/1.1 101 "), colored.screen);
  },
);

terminalTest(
  "a status line stands on the terminal while messages go elsewhere",
  async () => {
    await using server = serve((request) =>
      accept(request, (socket) => {
        socket.send("12345");
        // After the line was written anew.
        const timer = setTimeout(() => socket.close(4000, "enough"), 1500);
        socket.onclose = () => clearTimeout(timer);
      })
    );
    const { screen: raw, code } = await onTerminal(
      server,
      (wstap, url) => `${wstap} --summary ${url} > /dev/null`,
      { env: { NO_COLOR: "1" } },
    );
    assertEquals(code, 7);
    const screen = raw.replaceAll("\r\x1b[K", "<clear>");
    assertMatch(
      screen,
      /<clear>1 messages {2}5 B {2}\d+\/s {2}0 buffered {2}\d\.\d s/,
    );
    // It is taken away before anything else is written, and at the end.
    assertMatch(
      screen,
      /<clear>wstap: the server closed with 4000 "enough"\n[^]*<clear>wstap: 1 message, 5 B, /,
    );
  },
);

terminalTest("the status line tells how far the run is", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => socket.send("12345"))
  );
  await using place = await workplace();
  const { screen } = await onTerminal(
    server,
    (wstap, url) =>
      `${wstap} -n 1234 --duration 4s ${url} > ${place.folder}/log`,
  );
  assertMatch(screen, /1 of 1,234 messages {2}5 B/);
  const left = Array.from(
    screen.matchAll(/buffered {2}(\d\.\d) s left/g),
    ([, seconds]) => Number(seconds),
  );
  assert(left.length >= 2, screen);
  assertEquals(left, left.toSorted((a, b) => b - a));
  assert(left[0]! <= 4 && left.at(-1)! < 1, screen);
});

terminalTest("a file that --output names has the status line", async () => {
  await using server = nastyFeed();
  await using place = await workplace();
  const { screen } = await onTerminal(
    server,
    (wstap, url) => `${wstap} -o ${place.folder}/log ${url}`,
    {},
    ["--allow-write"],
  );
  assert(screen.includes("buffered"), screen);
});

terminalTest("there is no status line beside a pipe", async () => {
  await using server = nastyFeed();
  await using place = await workplace();
  for (const output of ["", `-o ${place.folder}/log`]) {
    const { screen } = await onTerminal(
      server,
      (wstap, url) => `${wstap} ${output} ${url} | cat`,
      {},
      ["--allow-write"],
    );
    assert(screen.includes("HTTP/1.1 101"), screen);
    assert(!screen.includes("buffered"), screen);
  }
});

terminalTest(
  "there is no status line among messages, nor with --quiet",
  async () => {
    await using server = nastyFeed();
    for (const rest of ["", "-q > /dev/null"]) {
      const { screen } = await onTerminal(
        server,
        (wstap, url) => `${wstap} ${url} ${rest}`,
      );
      assert(!screen.includes("buffered"), screen);
    }
  },
);

terminalTest("Ctrl-C ends it with 130", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => socket.send("hello"))
  );
  const { screen, code } = await onTerminal(
    server,
    (wstap, url) => `${wstap} -q ${url}`,
    { until: (screen) => screen.includes("hello"), type: "\x03" },
  );
  assertEquals(code, 130, screen);
});

terminalTest("--user asks for the password, and does not show it", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => socket.close(1000))
  );
  const { screen, code } = await onTerminal(
    server,
    (wstap, url) => `${wstap} -u me ${url}`,
    {
      until: (screen) => screen.includes("Password of me:"),
      // Ctrl-U takes back what has been typed.
      type: "wr0ng\x15t0p secreé\x7ft\r",
    },
  );
  assertEquals(code, 0, screen);
  assertEquals(
    server.requests[0]?.headers.get("authorization"),
    `Basic ${btoa("me:t0p secret")}`,
  );
  assert(!/t0p|wr0ng/.test(screen), screen);
});

terminalTest("Ctrl-C ends the question for a password", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => socket.close(1000))
  );
  const { screen, code } = await onTerminal(
    server,
    (wstap, url) => `${wstap} -u me ${url}`,
    {
      until: (screen) => screen.includes("Password of me:"),
      type: "t0p\x03",
    },
  );
  assertEquals(code, 130, screen);
  assertEquals(server.requests.length, 0);
});

terminalTest(
  "the question for a password is not written among the data",
  async () => {
    await using server = serve((request) =>
      accept(request, (socket) => {
        socket.send("hello");
        socket.close(1000);
      })
    );
    const { screen, code } = await onTerminal(
      server,
      (wstap, url) => `${wstap} -q -u me ${url} | sed 's/^/data: /'`,
      {
        until: (screen) => screen.includes("Password of me:"),
        type: "t0p secret\r",
      },
    );
    assertEquals(code, 0, screen);
    assert(screen.includes("data: hello"), screen);
    assert(!screen.includes("data: Password"), screen);
  },
);

terminalTest(
  "closing the terminal ends a run that records to a file",
  async () => {
    await using server = serve((request) =>
      accept(request, (socket) => socket.send("hello"))
    );
    await using place = await workplace();
    const wstap = command([
      ...["--no-prompt", "--allow-net=127.0.0.1", "--allow-write"],
    ]).map((word) => `'${word}'`).join(" ");
    const log = `${place.folder}/log`;
    const pid = `${place.folder}/pid`;
    await using child = new Deno.Command("script", {
      args: [
        "-qec",
        `echo $$ > ${pid}; exec ${wstap} -q -o ${log} ${server.url}`,
        "/dev/null",
      ],
      env: { NO_PROXY: "127.0.0.1", TERM: "xterm" },
      cwd: path(""),
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const text = (file: string) => Deno.readTextFile(file).catch(() => "");
    await eventually(async () => await text(log) !== "", "a message");
    const process = `/proc/${(await text(pid)).trim()}`;
    assert((await Deno.stat(process)).isDirectory);
    child.kill("SIGKILL"); // which closes the terminal
    await eventually(
      () => Deno.stat(process).then(() => false, () => true),
      "the end",
      60_000,
    );
    await child.stdin.close().catch(() => {}); // its other end has gone
  },
);
