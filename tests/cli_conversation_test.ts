import { assert, assertEquals } from "@std/assert";
import { command, path, workplace } from "./fixtures/command.ts";
import { screenOf } from "./fixtures/screen.ts";
import { frame, rawServer } from "./fixtures/raw.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { delay } from "./fixtures/wait.ts";

/** Whether `script` of util-linux is here, which runs a command on a terminal of its own. */
const available = await new Deno.Command("script", { args: ["--version"] })
  .output()
  .then(({ success }) => success && Deno.build.os === "linux", () => false);

function terminalTest(name: string, fn: () => Promise<void>) {
  Deno.test({ name, ignore: !available, fn });
}

/** How long any wait may take, in milliseconds. */
const PATIENCE = 60_000;

/** Waits until `check` gives true. */
async function until(
  check: () => boolean,
  describe: () => string,
): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (!check()) {
    if (performance.now() > end) throw new Error(describe());
    await delay(5);
  }
}

const ENCODER = new TextEncoder();

/** The command line on a terminal that a test types at. */
class Terminal implements AsyncDisposable {
  /** What has been written to the terminal. */
  output = "";
  readonly columns: number;
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  /**
   * @param write Gives the shell command; `wstap` is what runs the command line.
   * After it, the shell says whether the terminal is as it was, even if Ctrl-C or
   * Ctrl-\ reached the shell too.
   */
  constructor(write: (wstap: string) => string, columns = 40) {
    this.columns = columns;
    const wstap = command(["--no-prompt", "--allow-net=127.0.0.1"])
      .map((word) => `'${word}'`).join(" ");
    this.#child = new Deno.Command("script", {
      args: [
        "-qec",
        `trap : INT QUIT; stty cols ${columns} rows 20; before=$(stty -g); ` +
        `${write(wstap)}; ` +
        `code=$?; [ "$(stty -g)" = "$before" ] && echo as before; exit $code`,
        "/dev/null",
      ],
      env: { NO_PROXY: "127.0.0.1", TERM: "xterm", NO_COLOR: "1" },
      cwd: path(""),
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stdout) {
      this.output += decoder.decode(chunk, { stream: true });
    }
  }

  /** What the terminal shows now. */
  get rows(): string[] {
    return screenOf(this.output, this.columns);
  }

  async type(keys: string): Promise<void> {
    await this.#writer.write(ENCODER.encode(keys));
  }

  /** Waits until the terminal shows these rows at its end. */
  async shows(...last: string[]): Promise<void> {
    await until(
      () => {
        const rows = this.rows;
        while (rows.at(-1) === "" && last.at(-1) !== "") rows.pop();
        return JSON.stringify(rows.slice(-last.length)) ===
          JSON.stringify(last);
      },
      () => `${JSON.stringify(last)} on ${JSON.stringify(this.rows)}`,
    );
  }

  /** Waits for the end. The terminal must be as it was before. */
  async ends(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#reading;
    assert(this.output.includes("as before"), JSON.stringify(this.output));
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close().catch(() => {});
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.status;
    await this.#reading;
  }
}

const HINT = "wstap: type a line to send it, Ctrl-D to";

/** A server that keeps what it gets, and sends what a test wants. */
function peer() {
  const got: string[] = [];
  const sockets: WebSocket[] = [];
  const server = serve((request) =>
    accept(request, (socket) => {
      sockets.push(socket);
      socket.onmessage = ({ data }) => {
        got.push(data);
        if (String(data).startsWith("echo ")) socket.send(data.slice(5));
      };
    })
  );
  return {
    url: server.url,
    got,
    /** Sends to whoever is there: a pre-flight is no longer. */
    send(text: string) {
      for (const socket of sockets) {
        if (socket.readyState === WebSocket.OPEN) socket.send(text);
      }
    },
    close() {
      for (const socket of sockets.splice(0)) socket.close(1001);
    },
    async gets(...messages: string[]) {
      const all = () => JSON.stringify(got);
      await until(
        () => all() === JSON.stringify(messages),
        () => all(),
      );
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** A server that says hello, and answers no close frame. */
function silentPeer() {
  const closing = Promise.withResolvers<void>();
  const server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    await peer.write(frame(1, "hello"));
    await peer.readFrame();
    closing.resolve();
    await peer.waitForEnd();
  });
  return Object.assign(server, { closing: closing.promise });
}

terminalTest(
  "lines that are typed at a terminal are sent, and Ctrl-D closes",
  async () => {
    await using server = peer();
    await using terminal = new Terminal((wstap) => `${wstap} ${server.url}`);
    await terminal.shows(HINT, " close");
    await terminal.type("echo one\r");
    await terminal.shows("> echo one", "one");
    await terminal.type("two\rthr\x7f\x7f\x7fthree\r");
    await server.gets("echo one", "two", "three");
    await terminal.type("\x04");
    assertEquals(await terminal.ends(), 0);
  },
);

terminalTest(
  "a message does not garble the line that is being typed",
  async () => {
    await using server = peer();
    await using terminal = new Terminal((wstap) => `${wstap} -q ${server.url}`);
    await terminal.type("echo go\r");
    await terminal.shows("go");
    await terminal.type("half");
    await terminal.shows("> half");
    server.send("first");
    await terminal.shows("first", "> half");
    // Longer than the terminal is wide, with characters of two columns.
    const wide = "字".repeat(20);
    await terminal.type(` a line, ${wide}`);
    await terminal.shows(
      "> half a line, 字字字字字字字字字字字字",
      "字字字字字字字字",
    );
    server.send("second\nline");
    await terminal.shows(
      "first",
      "second\\nline",
      "> half a line, 字字字字字字字字字字字字",
      "字字字字字字字字",
    );
    // The cursor may be anywhere in it.
    await terminal.type("\x01more ");
    await terminal.shows(
      "> more half a line, 字字字字字字字字字字",
      "字字字字字字字字字字",
    );
    server.send("third");
    await terminal.shows(
      "second\\nline",
      "third",
      "> more half a line, 字字字字字字字字字字",
      "字字字字字字字字字字",
    );
    await terminal.type("\x05.\r");
    await server.gets("echo go", `more half a line, ${wide}.`);
    // Nothing is left of a line that is deleted.
    await terminal.type("gone");
    await terminal.shows("> gone");
    await terminal.type("\x15");
    server.send("fourth");
    await terminal.shows("字字字字字字字字字字.", "fourth");
    await terminal.type("\x04");
    assertEquals(await terminal.ends(), 0);
  },
);

terminalTest(
  "the line that is being typed fits the terminal when that gets another size",
  async () => {
    await using server = peer();
    await using place = await workplace();
    const flag = `${place.folder}/resize`;
    await using terminal = new Terminal((wstap) =>
      `(while [ ! -e ${flag} ]; do sleep 0.05; done; stty cols 20 </dev/tty) & ` +
      `${wstap} -q ${server.url}`
    );
    await terminal.type("echo go\r");
    await terminal.shows("go");
    await terminal.type("abcdefghijklmnopqrstuvwxyz");
    await terminal.shows("> abcdefghijklmnopqrstuvwxyz");
    const before = terminal.output.length;
    await Deno.writeTextFile(flag, "");
    // It is drawn again, in two rows; a message then goes above both.
    await until(
      () => terminal.output.slice(before).endsWith("z\x1b[9G"),
      () => JSON.stringify(terminal.output.slice(before)),
    );
    server.send("message");
    await until(
      () => terminal.output.includes("message"),
      () => "the message",
    );
    await until(
      () =>
        terminal.output.slice(before).includes(
          "message\r\n\x1b[1G\x1b[0J> abc",
        ),
      () => JSON.stringify(terminal.output.slice(before)),
    );
    const hidden = terminal.output.slice(before).split("message")[0]!;
    assert(hidden.endsWith("\x1b[1A\r\x1b[J"), JSON.stringify(hidden));
    await terminal.type("\r\x04");
    assertEquals(await terminal.ends(), 0);
  },
);

terminalTest("the history gives a line again", async () => {
  await using server = peer();
  await using terminal = new Terminal((wstap) => `${wstap} -q ${server.url}`);
  await terminal.type("echo one\r");
  await terminal.shows("one");
  await terminal.type("two\r");
  await terminal.type("\x1b[A\x1b[A");
  await terminal.shows("> echo one");
  await terminal.type("\r");
  await server.gets("echo one", "two", "echo one");
  await terminal.type("\x04");
  assertEquals(await terminal.ends(), 0);
});

terminalTest(
  "what a server sends does not act on the line that is being typed",
  async () => {
    await using server = peer();
    await using terminal = new Terminal((wstap) => `${wstap} -q ${server.url}`);
    await terminal.type("echo go\r");
    await terminal.shows("go");
    await terminal.type("half");
    await terminal.shows("> half");
    server.send("\r\x1b[2Aowned");
    await terminal.shows("\\r\\u001b[2Aowned", "> half");
    await terminal.type("\x03");
    assertEquals(await terminal.ends(), 130);
  },
);

terminalTest(
  "a line that is typed without a connection waits for the next one, and that is said",
  async () => {
    await using server = peer();
    await using terminal = new Terminal(
      (wstap) => `${wstap} -r --min-delay 2s ${server.url}`,
      100,
    );
    await terminal.type("echo go\r");
    await terminal.shows("go");
    server.close();
    await until(
      () => terminal.output.includes("connecting again"),
      () => "the end of the connection",
    );
    await terminal.type("echo later\r");
    await until(
      () => terminal.output.includes("waits for the next connection"),
      () => "the note",
    );
    await terminal.shows("later");
    await terminal.type("\x04");
    assertEquals(await terminal.ends(), 0);
  },
);

terminalTest("Ctrl-D ends a run that waits to connect again", async () => {
  await using server = peer();
  await using terminal = new Terminal(
    (wstap) => `${wstap} -r --min-delay 1h --max-delay 1h ${server.url}`,
    100,
  );
  await terminal.type("echo go\r");
  await terminal.shows("go");
  server.close();
  await until(
    () => terminal.output.includes("connecting again"),
    () => "the end of the connection",
  );
  await terminal.type("\x04");
  assertEquals(await terminal.ends(), 0);
});

terminalTest("--no-input reads nothing from a terminal", async () => {
  await using server = peer();
  await using terminal = new Terminal((wstap) =>
    `${wstap} -q --no-input ${server.url}; read line; echo "got $line"; true`
  );
  await until(
    () => {
      server.send("there");
      return terminal.output.includes("there");
    },
    () => "a message",
  );
  await terminal.type("for the shell\r");
  await until(
    () => terminal.output.includes("for the shell"),
    () => "what was typed",
  );
  server.close();
  await until(
    () => terminal.output.includes("got for the shell"),
    () => "what the shell reads",
  );
  assertEquals(await terminal.ends(), 0);
  assertEquals(server.got, []);
});

terminalTest("a second Ctrl-C gives the terminal back", async () => {
  // It answers no close frame, so that the first one takes two seconds.
  await using server = silentPeer();
  await using terminal = new Terminal((wstap) =>
    `${wstap} -q --capture direct ${server.url}`
  );
  await terminal.shows("hello");
  await terminal.type("half");
  await terminal.shows("> half");
  await terminal.type("\x03");
  await server.closing;
  await terminal.type("\x03");
  assertEquals(await terminal.ends(), 130);
});

terminalTest("lines that are pasted before Ctrl-D are all sent", async () => {
  await using server = peer();
  await using terminal = new Terminal((wstap) => `${wstap} -q ${server.url}`);
  await terminal.type("echo go\r");
  await terminal.shows("go");
  const lines = Array.from({ length: 50 }, (_, i) => `line ${i}`);
  await terminal.type(lines.join("\r") + "\r\x04");
  assertEquals(await terminal.ends(), 0);
  await server.gets("echo go", ...lines);
});

terminalTest("a long line can be pasted", async () => {
  await using server = peer();
  await using terminal = new Terminal((wstap) => `${wstap} -q ${server.url}`);
  await terminal.type("echo go\r");
  await terminal.shows("go");
  // One key at a time, it took the editor a minute.
  const long = "0123456789字".repeat(2_000);
  await terminal.type(`${long}\r`);
  await server.gets("echo go", long);
  await terminal.type("\x04");
  assertEquals(await terminal.ends(), 0);
});

terminalTest("a paste of several rows is drawn once", async () => {
  await using server = peer();
  await using terminal = new Terminal(
    (wstap) => `${wstap} -q ${server.url}`,
    20,
  );
  await terminal.type("echo go\r");
  await terminal.shows("go");
  await terminal.type("0123456789".repeat(4));
  const rows = ["> 012345678901234567", "89012345678901234567", "89"];
  await terminal.shows("go", ...rows);
  // An arrow is a key, and so is what follows it.
  await terminal.type("\x1b[D\x1b[D\x1b[D");
  await terminal.type("a paste in it");
  server.send("hello");
  await terminal.shows(
    ...["go", "hello", rows[0]!],
    ...["8901234567890123456a", " paste in it789"],
  );
});

terminalTest("the prompt stands before a line of any character", async () => {
  await using server = peer();
  await using terminal = new Terminal((wstap) => `${wstap} -q ${server.url}`);
  await terminal.type("echo go\r");
  await terminal.shows("go");
  await terminal.type("👍");
  await terminal.shows("go", "> 👍");
});

terminalTest("Ctrl-\\ gives the terminal back", async () => {
  await using server = peer();
  await using terminal = new Terminal((wstap) => `${wstap} -q ${server.url}`);
  await terminal.type("echo go\r");
  await terminal.shows("go");
  await terminal.type("\x1c");
  assertEquals(await terminal.ends(), 131);
});
