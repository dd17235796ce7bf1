import { assert, assertEquals, assertMatch } from "@std/assert";
import { run, start } from "./fixtures/cli.ts";
import { path, workplace } from "./fixtures/command.ts";
import { frame, rawServer } from "./fixtures/raw.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { delay, eventually } from "./fixtures/wait.ts";
import { concat } from "../src/replay/lines.ts";
import { Numbering } from "../src/cli/files/rotation.ts";

const LOCAL = "--allow-net=127.0.0.1";
const DIRECT = ["--capture", "direct"];
const windows = Deno.build.os === "windows";

/** The messages of a feed, each with its number. */
function numbered(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => `message ${from + i}`);
}

/** A feed for one connection that sends numbered messages, a hundred every other millisecond, until it is told to close. */
function numberedFeed() {
  let isOver = false;
  let sent = 0;
  const server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    while (!isOver) {
      const frames = numbered(sent, sent += 100).map((text) => frame(1, text));
      await peer.write(concat(frames));
      await delay(2);
    }
    await peer.closeFrame(1000);
    await peer.waitForEnd();
  });
  return {
    url: server.url,
    /** Closes the connection. Returns how many messages were sent. */
    close() {
      isOver = true;
      return sent;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** The lines of a recording as objects. */
async function recorded(file: string): Promise<Record<string, unknown>[]> {
  const text = await Deno.readTextFile(file);
  assert(text.endsWith("\n"), `${file} ends in a whole line`);
  return text.slice(0, -1).split("\n").map((line) => JSON.parse(line));
}

function messagesOf(lines: Record<string, unknown>[]): unknown[] {
  return lines.filter(({ type }) => type === "text").map(({ data }) => data);
}

Deno.test({
  name: "SIGHUP opens the output anew, and loses and cuts no message",
  ignore: windows,
  async fn() {
    await using server = numberedFeed();
    await using place = await workplace();
    const file = `${place.folder}/feed.ndjson`;
    await using running = start(
      ["-q", "--format", "ndjson", "-o", file, ...DIRECT, server.url],
      { permissions: [LOCAL, "--allow-write"] },
    );
    const files: string[] = [];
    const size = () => Deno.stat(file).then(({ size }) => size, () => 0);
    while (files.length < 10) {
      await eventually(async () => await size() > 20_000, "messages");
      const old = `${place.folder}/old.${files.length}`;
      await Deno.rename(file, old);
      files.push(old);
      // More of them than are needed do no harm.
      for (let i = 0; i < 5; i++) running.process.kill("SIGHUP");
      await eventually(async () => await size() > 0, "a new file");
    }
    const count = server.close();
    const { code, stderr } = await running.result();
    assertEquals([code, stderr], [0, ""]);
    files.push(file);
    const all: unknown[] = [];
    for (const name of files) {
      const lines = await recorded(name);
      assertEquals(lines[0]?.type, "open", name);
      assertEquals(lines.at(-1)?.type, name === file ? "close" : "stop");
      all.push(...messagesOf(lines));
    }
    assertEquals(all, numbered(0, count));
  },
});

Deno.test({
  name: "each file between two signals can be replayed by itself",
  ignore: windows,
  async fn() {
    const sockets: WebSocket[] = [];
    await using server = serve((request) =>
      accept(request, (socket) => {
        sockets.push(socket);
        socket.send("one");
      }, {})
    );
    await using place = await workplace();
    const file = `${place.folder}/feed.ndjson`;
    await using running = start(
      ["-q", "--format", "ndjson", "-o", file, server.url],
      { permissions: [LOCAL, "--allow-write"] },
    );
    const holds = (text: string) =>
      eventually(
        async () =>
          (await Deno.readTextFile(file).catch(() => "")).includes(text),
        text,
      );
    await holds('"one"');
    await Deno.rename(file, `${place.folder}/old.ndjson`);
    running.process.kill("SIGHUP");
    // The feed is silent: nothing but the signal makes the new file.
    await holds('"open"');
    for (const socket of sockets) {
      if (socket.readyState === WebSocket.OPEN) {
        socket.send("two");
        socket.close(1000);
      }
    }
    assertEquals((await running.result()).code, 0);
    for (const [name, message] of [["old", "one"], ["feed", "two"]]) {
      await using replay = start(
        ["replay", "--speed", "max", `${place.folder}/${name}.ndjson`],
        { permissions: [LOCAL, "--allow-read"] },
      );
      await replay.sees("stdout", /ws:\S+\n/);
      const [url] = /ws:\S+/.exec(replay.stdout)!;
      const { stdout } = await run(["-q", "-n", "1", url]);
      assertEquals(stdout, `${message}\n`);
    }
  },
});

Deno.test({
  name: "a file that cannot be opened anew ends the run with 5",
  ignore: windows,
  async fn() {
    await using server = serve((request) =>
      accept(request, (socket) => socket.send("one"))
    );
    for (const format of ["text", "ndjson"]) {
      await using place = await workplace();
      const folder = `${place.folder}/there`;
      await Deno.mkdir(folder);
      await using running = start(
        ["-q", "-r", "--format", format, "-o", `${folder}/feed`, server.url],
        { permissions: [LOCAL, "--allow-write"] },
      );
      await eventually(
        async () =>
          (await Deno.readTextFile(`${folder}/feed`).catch(() => ""))
            .includes("one"),
        "a message",
      );
      await Deno.remove(folder, { recursive: true });
      running.process.kill("SIGHUP");
      const { code, stderr } = await running.result();
      assertEquals(code, 5);
      assertMatch(stderr, /^wstap: Cannot open .*: No such file/);
    }
  },
});

/** The files of a folder, the oldest first, and what is left over. */
async function rotated(folder: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(folder)) names.push(name);
  const full = Array.from(
    { length: names.length - 1 },
    (_, i) => `feed.${i + 1}.ndjson`,
  );
  assertEquals(names.toSorted(), [...full, "feed.ndjson"].toSorted());
  return [...full, "feed.ndjson"].map((name) => `${folder}/${name}`);
}

for (const capture of ["none", "direct"]) {
  Deno.test(`--rotate SIZE begins a new file before one is too large, with --capture ${capture}`, async () => {
    const SIZE = 20 * 1024;
    await using server = numberedFeed();
    await using place = await workplace();
    await using running = start([
      ...["-q", "--format", "ndjson", "-o", `${place.folder}/feed.ndjson`],
      ...["--capture", capture, "--rotate", "20K", server.url],
    ], {
      permissions: [LOCAL, "--allow-write", `--allow-read=${place.folder}`],
    });
    await eventually(
      () =>
        Deno.stat(`${place.folder}/feed.20.ndjson`).then(
          () => true,
          () => false,
        ),
      "20 files",
      60_000,
    );
    const count = server.close();
    const { code, stderr } = await running.result();
    assertEquals([code, stderr], [0, ""]);
    const all: unknown[] = [];
    const files = await rotated(place.folder);
    for (const name of files) {
      const { size } = await Deno.stat(name);
      assert(size <= SIZE, `${name} has ${size} bytes`);
      // A message more would not have fitted.
      if (name !== files.at(-1)) assert(size > SIZE - 200, `${size}`);
      const lines = await recorded(name);
      assertEquals(lines[0]?.type, "open", name);
      all.push(...messagesOf(lines));
    }
    assertEquals(all, numbered(0, count));
  });
}

Deno.test("--rotate lets a message that is larger than SIZE have a file of its own", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      for (const letter of "abc") socket.send(letter.repeat(2000));
      socket.send("d");
      socket.close(1000);
    })
  );
  await using place = await workplace();
  const { code, stderr } = await run(
    ["-q", "-o", `${place.folder}/feed.ndjson`, "--rotate", "1K", server.url],
    { permissions: [LOCAL, "--allow-write", "--allow-read"] },
  );
  assertEquals([code, stderr], [0, ""]);
  const texts = [];
  for (const name of await rotated(place.folder)) {
    texts.push(await Deno.readTextFile(name));
  }
  assertEquals(texts, [
    "a".repeat(2000) + "\n",
    "b".repeat(2000) + "\n",
    "c".repeat(2000) + "\n",
    "d\n",
  ]);
});

Deno.test("--rotate TIME begins a new file in a silence too, but renames none without messages", async () => {
  const sockets: WebSocket[] = [];
  await using server = serve((request) =>
    accept(request, (socket) => {
      sockets.push(socket);
      socket.send("one");
    })
  );
  await using place = await workplace();
  const file = `${place.folder}/feed.ndjson`;
  await using running = start(
    [
      ...["-q", "--format", "ndjson", "-o", file, "--rotate", "200ms"],
      ...[...DIRECT, server.url],
    ],
    { permissions: [LOCAL, "--allow-write", "--allow-read"] },
  );
  const messagesIn = async (name: string) =>
    messagesOf(await recorded(`${place.folder}/${name}`).catch(() => []));
  const holds = (name: string, message: string) =>
    eventually(
      async () => (await messagesIn(name)).includes(message),
      `${message} in ${name}`,
    );
  await holds("feed.1.ndjson", "one");
  await delay(600); // several times what would begin a new file
  sockets[0]!.send("two");
  await holds("feed.2.ndjson", "two");
  sockets[0]!.close(1000);
  assertEquals((await running.result()).code, 0);
  for (const name of await rotated(place.folder)) {
    assertEquals((await recorded(name))[0]?.type, "open");
  }
});

Deno.test("--rotate TIME begins no file behind the end of the last connection", async () => {
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    for (let i = 0; i < 20; i++) {
      await peer.write(frame(1, `message ${i}`));
      await delay(10);
    }
    await peer.waitForEnd(); // without an answer to the close frame
  });
  await using place = await workplace();
  const { code } = await run(
    [
      ...["-q", "--format", "ndjson", "-o", `${place.folder}/feed.ndjson`],
      ...["--rotate", "500ms", "-n", "20", ...DIRECT, server.url],
    ],
    { permissions: [LOCAL, "--allow-write", "--allow-read"] },
  );
  assertEquals(code, 0);
  for (const name of await rotated(place.folder)) {
    const lines = await recorded(name);
    assertEquals([lines[0]?.type, lines.at(-1)?.type], ["open", "stop"]);
  }
});

/** A feed whose messages fill a small file several times. */
function threeTimes() {
  return serve((request) =>
    accept(request, (socket) => {
      for (const letter of "abc") socket.send(letter.repeat(2000));
      socket.close(1000);
    })
  );
}

Deno.test({
  name: "--rotate renames no device",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using server = threeTimes();
    await using place = await workplace();
    const link = `${place.folder}/feed.ndjson`;
    await Deno.symlink("/dev/zero", link);
    const { code, stderr } = await run(
      ["-q", "-o", link, "--rotate", "1K", server.url],
      { permissions: [LOCAL, "--allow-write", "--allow-read"] },
    );
    assertEquals([code, stderr], [0, ""]);
    assertEquals(await rotated(place.folder), [link]);
    assertEquals((await Deno.lstat("/dev/zero")).isCharDevice, true);
  },
});

Deno.test({
  name: "--rotate renames the file that a link leads to, and not the link",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using server = threeTimes();
    await using place = await workplace();
    await Deno.mkdir(`${place.folder}/data`);
    const link = `${place.folder}/link`;
    const file = `${place.folder}/data/feed.ndjson`;
    await Deno.writeTextFile(file, "");
    await Deno.symlink(file, link);
    const { code, stderr } = await run(
      ["-q", "-o", link, "--rotate", "1K", server.url],
      { permissions: [LOCAL, "--allow-write", "--allow-read"] },
    );
    assertEquals([code, stderr], [0, ""]);
    assertEquals((await Deno.lstat(link)).isSymlink, true);
    assertEquals((await rotated(`${place.folder}/data`)).length, 3);
  },
});

Deno.test("a file that may not be renamed ends the run with 6", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      for (let i = 0; i < 100; i++) socket.send("x".repeat(100));
    })
  );
  await using place = await workplace();
  const { code, stderr } = await run(
    ["-q", "-o", `${place.folder}/feed`, "--rotate", "1K", server.url],
    // Renaming needs --allow-read as well.
    { permissions: [LOCAL, "--allow-write"] },
  );
  assertEquals(code, 6);
  assertMatch(stderr, /^wstap: Cannot rename .*: it needs --allow-read\n$/);
});

Deno.test("Numbering names a full file after the highest number that is there", async () => {
  await using place = await workplace({
    "feed.1.ndjson": "",
    "feed.12.ndjson": "",
    "feed.013.ndjson": "",
    "feed.14.txt": "",
    "feed.x.ndjson": "",
    "other.99.ndjson": "",
    "log.3": "",
    ".hidden.4": "",
  });
  const next = (name: string) => {
    const numbering = new Numbering(`${place.folder}/${name}`);
    return numbering.next().slice(place.folder.length + 1);
  };
  assertEquals(next("feed.ndjson"), "feed.13.ndjson");
  assertEquals(next("feed.txt"), "feed.15.txt");
  assertEquals(next("new.ndjson"), "new.1.ndjson");
  assertEquals(next("log"), "log.4");
  assertEquals(next(".hidden"), ".hidden.5");
});

Deno.test("Numbering uses no number twice, whatever is removed", async () => {
  await using place = await workplace({ "feed.1.ndjson": "" });
  const numbering = new Numbering(`${place.folder}/feed.ndjson`);
  assertEquals(numbering.next(), `${place.folder}/feed.2.ndjson`);
  await Deno.remove(`${place.folder}/feed.1.ndjson`);
  assertEquals(numbering.next(), `${place.folder}/feed.3.ndjson`);
  assertEquals(new Numbering(path("feed")).next(), path("feed.1"));
});
