/**
 * How a run of the command line ends: what ends it, the exit code, and the sentence
 * that says why.
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { PATIENCE, run, start } from "./fixtures/cli.ts";
import { command, output, workplace } from "./fixtures/command.ts";
import { type Peer, rawServer } from "./fixtures/raw.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { eventually, quietPort } from "./fixtures/wait.ts";

const windows = Deno.build.os === "windows";

/** A feed that sends these messages and closes. */
function feed(messages: string[], code = 1000, reason?: string) {
  return serve((request) =>
    accept(request, (socket) => {
      for (const message of messages) socket.send(message);
      socket.close(code, reason);
    })
  );
}

/** A server that takes connections and answers nothing. */
function silent() {
  return rawServer(async (peer) => void await peer.waitForEnd());
}

/** The URL of a port that nothing listens on. */
function nowhere(): string {
  return `ws://127.0.0.1:${quietPort()}/`;
}

for (const capture of ["preflight", "direct", "none"]) {
  Deno.test(`a close with an error code ends with 7, and says so with --quiet, too (${capture})`, async () => {
    await using denied = feed(["one"], 4401, "un\x1bauthorized");
    const first = await run(["-q", "--capture", capture, denied.url]);
    assertEquals(
      [first.code, first.stdout, first.stderr],
      [
        7,
        "one\n",
        'wstap: the server closed with 4401 "un\\u001bauthorized"\n',
      ],
    );
    await using broken = rawServer(async (peer) => {
      await peer.readHead();
      await peer.upgrade();
      if (capture === "preflight" && peer.index === 0) {
        return void await peer.waitForEnd();
      }
      await peer.closeFrame(1011);
      await peer.waitForEnd();
    });
    const second = await run(["-q", "--capture", capture, broken.url]);
    assertEquals(
      [second.code, second.stderr],
      [7, "wstap: the server closed with 1011\n"],
    );
  });
}

Deno.test("a close with 1000, 1001 or no code ends with 0, and with --quiet says nothing", async () => {
  for (const code of [1000, 1001, undefined]) {
    await using server = rawServer(async (peer: Peer) => {
      await peer.readHead();
      await peer.upgrade();
      await peer.closeFrame(code);
      await peer.waitForEnd();
    });
    const args = ["-q", "--capture", "direct", server.url];
    const { code: exit, stderr } = await run(args);
    assertEquals([exit, stderr], [0, ""], `${code}`);
  }
});

Deno.test("a feed that closes before --count ends with 8 and says how many came", async () => {
  await using server = feed(["1", "2", "3"]);
  const { code, stdout, stderr } = await run(["-q", "-n", "10", server.url]);
  assertEquals(
    [code, stdout, stderr],
    [
      8,
      "1\n2\n3\n",
      "wstap: the server closed with 1000 after 3 of 10 messages\n",
    ],
  );
  assertEquals((await run(["-q", "-n", "3", server.url])).code, 0);
});

Deno.test("an error code before --count ends with 7", async () => {
  await using server = feed(["1"], 1011, "oops");
  const { code, stderr } = await run(["-q", "-n", "2", server.url]);
  assertEquals(
    [code, stderr],
    [7, 'wstap: the server closed with 1011 "oops" after 1 of 2 messages\n'],
  );
});

Deno.test("--duration before --count ends with 8, and without --count with 0", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => socket.send("one"))
  );
  const args = ["-q", "--duration", "2s", server.url];
  const { code, stdout, stderr } = await run(["-n", "2", ...args]);
  assertEquals(
    [code, stdout, stderr],
    [8, "one\n", "wstap: 1 of 2 messages came\n"],
  );
  const all = await run(args);
  assertEquals([all.code, all.stderr], [0, ""]);
});

Deno.test("--duration ends a handshake that is not answered, with 4", async () => {
  await using server = silent();
  for (const args of [[], ["-r"], ["-n", "1"], ["--capture", "direct"]]) {
    const { code, stderr } = await run(
      ["-q", "--duration", "300ms", ...args, server.url],
    );
    assertEquals(
      [code, stderr],
      [4, "wstap: No connection within 0.3 s\n"],
      `${args}`,
    );
  }
});

Deno.test("--duration ends the delays of --reconnect, with 4 if there was no connection", async () => {
  const { code, stderr } = await run(
    ["-r", "-q", "--duration", "2s", "--min-delay", "1h", "--max-delay"]
      .concat("1h", nowhere()),
  );
  assertEquals(code, 4);
  assertMatch(
    stderr,
    /^wstap: Cannot connect to .*; connecting again in 3600 s\nwstap: No connection within 2.0 s\n$/,
  );
  await using server = feed(["one"]);
  const later = await run(
    ["-r", "-q", "--duration", "3s", "--min-delay", "1h", "--max-delay"]
      .concat("1h", server.url),
  );
  assertEquals([later.code, later.stdout], [0, "one\n"]);
});

Deno.test("the reader of a pipe that has enough ends it with 0, whatever --count says", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      const timer = setInterval(() => {
        if (socket.readyState === WebSocket.OPEN) socket.send("tick");
      }, 5);
      socket.onclose = () => clearInterval(timer);
    })
  );
  await using running = start(["-q", "-n", "100000", server.url], {}, false);
  const reader = running.process.stdout.getReader();
  await reader.read();
  await reader.cancel();
  assertEquals((await running.process.status).code, 0);
  assertEquals(running.stderr, "");
});

Deno.test("--reconnect connects again after every end, and says why", async () => {
  let connections = 0;
  const codes = [1000, 1001, 1011, 3000, 4000];
  await using server = serve((request) =>
    accept(request, (socket) => socket.close(codes[connections++], "so"))
  );
  const { code, stderr } = await run(
    ["-r", "-q", "--capture", "none", "--min-delay", "1ms", "--max-delay"]
      .concat("2ms", server.url),
  );
  assertEquals([code, connections], [7, 5]);
  const lines = stderr.trimEnd().split("\n");
  assertEquals(lines.length, 5, stderr);
  for (const [i, again] of [1000, 1001, 1011, 3000].entries()) {
    assertMatch(lines[i]!, new RegExp(`${again}.*connecting again in`));
  }
  assertEquals(lines[4], 'wstap: the server closed with 4000 "so"');
});

Deno.test("--stop-on says after which codes the run ends", async () => {
  let connections = 0;
  const codes = [4000, 1008, 4001, 1000];
  await using server = serve((request) =>
    accept(request, (socket) => socket.close(codes[connections++]))
  );
  const args = ["-r", "-q", "--capture", "none", "--min-delay", "1ms"]
    .concat("--max-delay", "2ms", "--stop-on");
  const plain = await run([...args, "1000,1001", server.url]);
  assertEquals([plain.code, connections], [0, 4], plain.stderr);
  assertMatch(plain.stderr, /\nwstap: the server closed with 1000\n$/);

  connections = 0;
  const one = await run([...args, "1008", server.url]);
  assertEquals([one.code, connections], [7, 2]);
  assertMatch(one.stderr, /\nwstap: the server closed with 1008\n$/);

  connections = 0;
  const none = await run(
    [...args, "none", "--duration", "4s", server.url],
  );
  assert(connections >= 4, `${connections}`);
  assertEquals(none.code, 0, none.stderr);
});

for (const status of [401, 403, 404]) {
  Deno.test(`--reconnect gives up after ${status}, and says so`, async () => {
    await using server = serve(() => new Response("", { status }));
    const { code, stderr } = await run(["-r", "-q", server.url]);
    assertEquals([code, server.requests.length], [3, 1]);
    assertMatch(stderr, new RegExp(`^wstap: .*HTTP error: ${status} .*\n$`));
  });
}

Deno.test("--wait ends after the answers to what was read", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      socket.onmessage = ({ data }) => socket.send(`got ${data}`);
    })
  );
  const began = performance.now();
  const { code, stdout, stderr } = await run(
    ["-q", "-w", "1500ms", "-s", "a", server.url],
    { stdin: "b\nc\n" },
  );
  assertEquals([code, stdout, stderr], [0, "got a\ngot b\ngot c\n", ""]);
  assert(performance.now() - began >= 1500);
  const short = await run(["-q", "-w", "100ms", "-n", "9", server.url]);
  assertEquals(
    [short.code, short.stderr],
    [8, "wstap: 0 of 9 messages came\n"],
  );
});

Deno.test("--wait counts from the last message", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      let left = 8;
      const timer = setInterval(() => {
        if (left-- > 0 && socket.readyState === WebSocket.OPEN) {
          socket.send(`${left}`);
        }
      }, 300);
      socket.onclose = () => clearInterval(timer);
    })
  );
  const { code, stdout } = await run(["-q", "-w", "1500ms", server.url]);
  assertEquals([code, stdout], [0, "7\n6\n5\n4\n3\n2\n1\n0\n"]);
});

Deno.test("--wait does not count while connecting, nor while standard input goes on", async () => {
  await using slow = rawServer(async (peer) => {
    await peer.readHead();
    await new Promise((resolve) => setTimeout(resolve, 1600));
    await peer.upgrade();
    await peer.send("late");
    await peer.waitForEnd();
  });
  const late = await run(
    ["-q", "-w", "1s", "--capture", "direct", slow.url],
  );
  assertEquals([late.code, late.stdout], [0, "late\n"]);

  await using server = serve((request) =>
    accept(request, (socket) => {
      socket.onmessage = ({ data }) => socket.send(data);
    })
  );
  await using running = start(["-q", "-w", "200ms", server.url], {
    stdin: "open",
  });
  const writer = running.process.stdin.getWriter();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await writer.write(new TextEncoder().encode("hello\n"));
  await running.sees("stdout", "hello\n");
  await writer.close();
  assertEquals((await running.result()).code, 0);
});

Deno.test("--wait does not count between two connections", async () => {
  let connections = 0;
  await using server = serve((request) =>
    accept(request, (socket) => {
      if (++connections === 1) socket.close(1001);
      else socket.send("late");
    })
  );
  await using running = start(
    ["-q", "-r", "-w", "1s", "--capture", "none", "--min-delay", "2s"]
      .concat("--max-delay", "2s", server.url),
    { stdin: "open" },
  );
  await running.sees("stderr", "connecting again in 2.0 s");
  await running.process.stdin.close();
  const { code, stdout } = await running.result();
  assertEquals([code, stdout], [0, "late\n"]);
});

Deno.test("--no-input leaves standard input to others", async () => {
  const got: string[] = [];
  await using server = serve((request) =>
    accept(request, (socket) => {
      socket.onmessage = ({ data }) => got.push(data);
      socket.send("one");
    })
  );
  const { code, stdout } = await run(
    ["-q", "--no-input", "-w", "1500ms", "-s", "said", server.url],
    { stdin: "secret\n" },
  );
  assertEquals([code, stdout], [0, "one\n"]);
  assertEquals(got, ["said"]);
});

Deno.test({
  name: "a signal has its own code, whatever --count says",
  ignore: windows,
  async fn() {
    await using server = serve((request) => accept(request, () => {}));
    await using running = start(["-n", "5", server.url]);
    await running.sees("stderr", "HTTP/1.1 101");
    await eventually(() => server.sockets.size === 1, "a socket", PATIENCE);
    running.process.kill("SIGINT");
    const { code, stderr } = await running.result();
    assertEquals(code, 130);
    assert(!stderr.includes("wstap:"), stderr);
  },
});

Deno.test("-o - writes to standard output", async () => {
  await using server = feed(["one"]);
  const { code, stdout } = await run(["-q", "-o", "-", server.url]);
  assertEquals([code, stdout], [0, "one\n"]);
});

Deno.test("--send-file - sends standard input as one message", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      socket.onmessage = ({ data }) => socket.send(JSON.stringify(data));
    })
  );
  const { code, stdout } = await run(
    ["-q", "-n", "1", "--send-file", "-", server.url],
    { stdin: "one\ntwo\n" },
  );
  assertEquals([code, stdout], [0, '"one\\ntwo\\n"\n']);
});

Deno.test("@- reads a secret from standard input, once", async () => {
  await using server = feed([]);
  const { code } = await run(["-q", "--bearer", "@-", server.url], {
    stdin: "t0p\n",
  });
  assertEquals(code, 0);
  const [request] = server.requests;
  assertEquals(request!.headers.get("authorization"), "Bearer t0p");
  const twice = await run(
    ["--bearer", "@-", "--send-file", "-", server.url],
    { stdin: "t0p\n" },
  );
  assertEquals(
    [twice.code, twice.stderr],
    [
      2,
      "wstap: Standard input can be read only once, not for both --send-file - and --bearer @-\n",
    ],
  );
});

Deno.test("what @FILE names is read again before each attempt", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const token = `${folder}/token`;
    const lines = `${folder}/headers`;
    let number = 1;
    const write = () => {
      Deno.writeTextFileSync(token, `t${number}\n`);
      Deno.writeTextFileSync(
        lines,
        `# of this attempt\n\nX-Number: ${number}\n`,
      );
      number++;
    };
    write();
    await using server = serve((request) => {
      write();
      return number === 3
        ? new Response("", { status: 503 })
        : accept(request, (socket) => socket.close(number < 5 ? 1001 : 4000));
    });
    const { code } = await run(
      ["-r", "-q", "--capture", "direct", "--min-delay", "1ms", "--max-delay"]
        .concat("2ms", "--bearer", `@${token}`, "-H", `@${lines}`, server.url),
      { permissions: ["--allow-net=127.0.0.1", "--allow-read"] },
    );
    assertEquals(code, 7);
    assertEquals(
      server.requests.map(({ headers }) => [
        headers.get("authorization"),
        headers.get("x-number"),
      ]),
      [["Bearer t1", "1"], ["Bearer t2", "2"], ["Bearer t3", "3"]],
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a token file that is gone at a later attempt is waited for", async () => {
  await using place = await workplace({ token: "t1\n" });
  const token = `${place.folder}/token`;
  await using server = serve((request) => {
    const isFirst = server.requests.length === 1;
    if (isFirst) Deno.removeSync(token);
    return accept(request, (socket) => socket.close(isFirst ? 1001 : 4000));
  });
  await using running = start(
    ["-r", "-q", "--capture", "direct", "--min-delay", "1ms", "--bearer"]
      .concat(`@${token}`, server.url),
    { permissions: ["--allow-net=127.0.0.1", "--allow-read"] },
  );
  await running.sees("stderr", "; waiting for it\n");
  // What replaces it may be empty for a moment.
  await Deno.writeTextFile(token, "");
  await Deno.writeTextFile(token, "t2\n");
  const { code, stderr } = await running.result();
  assertEquals(code, 7, stderr);
  assertEquals(
    server.requests.map(({ headers }) => headers.get("authorization")),
    ["Bearer t1", "Bearer t2"],
  );
  assertStringIncludes(stderr, `Cannot read ${token} of --bearer: `);
});

Deno.test({
  name: "standard input that cannot be read is told, and ends like any other",
  ignore: windows,
  async fn() {
    await using server = serve((request) => accept(request, () => {}));
    await using place = await workplace();
    const wstap = command(["--no-prompt", "--allow-net=127.0.0.1"])
      .map((word) => `'${word}'`).join(" ");
    const { code, stderr } = await output("bash", [
      "-c",
      `${wstap} -q -w 1ms ${server.url} < ${place.folder}`,
    ], { env: { NO_PROXY: "127.0.0.1" } });
    assertEquals(
      [code, stderr],
      [0, "wstap: Cannot read standard input: Is a directory\n"],
    );
  },
});

Deno.test({
  name: "a pipe that an option names is read once",
  ignore: windows,
  async fn() {
    let connections = 0;
    await using server = serve((request) =>
      accept(request, (socket) => socket.close(++connections < 3 ? 1001 : 4000))
    );
    const { code, stderr } = await output("bash", [
      "-c",
      'exec "$@" --bearer @<(echo t0p)',
      "bash",
      ...command(["--no-prompt", "-A"]),
      ..."-r -q --capture direct --min-delay 1ms --max-delay 2ms".split(" "),
      server.url,
    ]);
    assertEquals(code, 7, stderr);
    assertEquals(
      server.requests.map(({ headers }) => headers.get("authorization")),
      ["Bearer t0p", "Bearer t0p", "Bearer t0p"],
    );
  },
});

Deno.test({
  name: "--no-input in a loop over a list leaves the list to the loop",
  ignore: windows,
  async fn() {
    const got: string[] = [];
    await using server = serve((request) =>
      accept(request, (socket) => {
        socket.onmessage = ({ data }) => got.push(data);
        socket.send(new URL(request.url).pathname);
      })
    );
    await using place = await workplace({
      urls: ["/a", "/b", "/c"].map((path) => `${server.url}${path}\n`).join(""),
    });
    const { stdout } = await output("sh", [
      "-c",
      'urls=$1; shift; while read -r url; do "$@" "$url"; done < "$urls"',
      "sh",
      `${place.folder}/urls`,
      ...command(["--no-prompt", "--allow-net=127.0.0.1"]),
      ...["-q", "--no-input", "-n", "1"],
    ]);
    assertEquals([stdout, got], ["/a\n/b\n/c\n", []]);
  },
});

Deno.test({
  name: "a signal ends the reading of standard input for an option",
  ignore: windows,
  async fn() {
    await using running = start(
      ["--bearer", "@-", "ws://127.0.0.1:9/"],
      { stdin: "open" },
    );
    await new Promise((resolve) => setTimeout(resolve, 500));
    running.process.kill("SIGINT");
    const { code, stderr } = await running.result();
    assertEquals([code, stderr], [130, ""]);
    await running.process.stdin.close().catch(() => {});
  },
});

Deno.test("wstap -n URL says that the count is missing", async () => {
  const { code, stderr } = await run(["-n", "ws://127.0.0.1:9/?token=t0p"]);
  assertEquals(
    [code, stderr],
    [
      2,
      "wstap: The option --count needs a value before the URL: --count N\n",
    ],
  );
});
