/** Compression with servers that others wrote, with each of their settings. */

import { assert, assertEquals } from "@std/assert";
import { connectWebSocket } from "@wstap/wstap";
import { path } from "./fixtures/command.ts";
import { installed, testsWith } from "./fixtures/installed.ts";
import { within } from "./fixtures/wait.ts";

/** What is agreed with a server, and which of the two sides then compresses. */
interface Agreement {
  extensions: string;
  up: boolean;
  down: boolean;
}

const NOTHING = { extensions: "", up: false, down: false };

/** What is agreed where both sides compress. */
const both = (parameters = ""): Agreement => ({
  extensions: `permessage-deflate${parameters}`,
  up: true,
  down: true,
});

/** A server's process, which prints the port of each of its settings. */
async function start(program: string, args: string[]) {
  const child = new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const stop = async () => {
    child.kill("SIGKILL");
    await lines.cancel();
    await child.status;
  };
  try {
    let text = "";
    while (!text.includes("\n")) {
      const { value } = await within(lines.read(), 60_000, program);
      if (value === undefined) throw new Error(`${program} did not start`);
      text += value;
    }
    const ports: Record<string, number> = JSON.parse(text);
    return { ports, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Leads to a port, and counts the bytes of both directions. */
function meter(port: number) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const counts = { up: 0, down: 0 };
  async function copy(from: Deno.Conn, to: Deno.Conn, way: "up" | "down") {
    const bytes = new Uint8Array(65_536);
    for (let length; (length = await from.read(bytes)) !== null;) {
      counts[way] += length;
      for (let at = 0; at < length;) {
        at += await to.write(bytes.subarray(at, length));
      }
    }
    await to.closeWrite();
  }
  const passing = (async () => {
    using client = await listener.accept();
    using server = await Deno.connect({ hostname: "127.0.0.1", port });
    await Promise.allSettled([
      copy(client, server, "up"),
      copy(server, client, "down"),
    ]);
  })();
  return {
    url: `ws://127.0.0.1:${listener.addr.port}/`,
    counts,
    async [Symbol.asyncDispose]() {
      listener.close();
      await passing;
    },
  };
}

const SIZES = [
  ...[0, 1, 20, 31, 32, 100, 125, 126, 200, 255, 256, 999, 1000, 5_000],
  ...[32_768, 65_535, 65_536, 100_000],
];

/** Texts and binary messages of many sizes, most of which can be compressed. */
const MESSAGES: (string | Uint8Array)[] = SIZES.concat(SIZES, SIZES, SIZES)
  .flatMap((size, i) => {
    const text = Array.from(
      { length: size / 40 + 1 },
      (_, j) => `{"id":${i * j},"name":"Ünïcödé","price":${i}.${j}},`,
    ).join("").slice(0, size);
    const random = crypto.getRandomValues(new Uint8Array(Math.min(size, 400)));
    return [text, new TextEncoder().encode(text), random];
  });

const BYTES = MESSAGES.reduce(
  (sum, it) =>
    sum + (typeof it === "string" ? new TextEncoder().encode(it) : it).length,
  0,
);

/** Sends messages and takes the echo of them, both at once. */
async function exchange(port: number, agreement: Agreement): Promise<void> {
  await using between = meter(port);
  const [connection] = await connectWebSocket(between.url, {
    capture: "direct",
    compression: true,
    binary: "bytes",
  });
  await using _ = connection;
  assertEquals(connection.extensions, agreement.extensions);
  const sending = (async () => {
    for (const message of MESSAGES) await connection.send(message);
  })();
  for (const message of MESSAGES) {
    assertEquals(await within(connection.recv(), 60_000, "an echo"), message);
  }
  await sending;
  assertEquals((await connection.close()).clean, true);
  const { up, down } = between.counts;
  const travelled = `${BYTES} bytes took ${up} up and ${down} down`;
  assertEquals(up < BYTES / 2, agreement.up, travelled);
  assertEquals(down < BYTES / 2, agreement.down, travelled);
  assert(agreement.up || up > BYTES, travelled);
  assert(agreement.down || down > BYTES, travelled);
}

/** Tests the settings of a server. */
function testServer(
  test: ReturnType<typeof testsWith>,
  program: () => [program: string, args: string[]],
  agreements: Record<string, Agreement>,
): void {
  test("compression: true speaks with a server of each setting", async (t) => {
    await using server = await start(...program());
    for (const [setting, agreement] of Object.entries(agreements)) {
      const port = server.ports[setting]!;
      await t.step(setting, () => exchange(port, agreement));
    }
  });
}

testServer(
  testsWith("npm ws", true),
  () => [
    Deno.execPath(),
    [
      ...["run", "--quiet", "--no-config", "--no-lock", "-A"],
      path("tests/interop/npm_ws.ts"),
    ],
  ],
  {
    disabled: NOTHING,
    default: both(),
    everything: both(),
    nothing: { ...both("; server_no_context_takeover"), down: false },
    no_context_takeover: both(
      "; server_no_context_takeover; client_no_context_takeover",
    ),
    server_no_context_takeover: both("; server_no_context_takeover"),
    client_no_context_takeover: both("; client_no_context_takeover"),
    small_windows: both("; client_max_window_bits=9; server_max_window_bits=9"),
    client_window: both("; client_max_window_bits=11"),
  },
);

const python = Deno.build.os === "windows" ? "python" : "python3";
testServer(
  testsWith(
    "Python websockets",
    installed(python, ["-c", "import websockets.asyncio.server"]),
  ),
  () => [python, [path("tests/interop/python_websockets.py")]],
  {
    disabled: NOTHING,
    default: both(),
    no_context_takeover: both(
      "; server_no_context_takeover; client_no_context_takeover",
    ),
    server_no_context_takeover: both("; server_no_context_takeover"),
    client_no_context_takeover: both("; client_no_context_takeover"),
    small_windows: both("; server_max_window_bits=9; client_max_window_bits=9"),
    client_window: both("; client_max_window_bits=12"),
  },
);

const goProgram = await buildGo(path("tests/interop/coder_websocket"));
testServer(
  testsWith("Go coder/websocket", goProgram !== null),
  () => [goProgram!, []],
  {
    disabled: NOTHING,
    context_takeover: both(),
    no_context_takeover: both(
      "; client_no_context_takeover; server_no_context_takeover",
    ),
  },
);

/** Builds a program in Go; `null` without Go, or where its packages cannot be fetched. */
async function buildGo(folder: string): Promise<string | null> {
  const out = await Deno.makeTempDir();
  globalThis.addEventListener("unload", () => {
    Deno.removeSync(out, { recursive: true });
  });
  const program = `${out}/peer${Deno.build.os === "windows" ? ".exe" : ""}`;
  try {
    const { success, stderr } = await new Deno.Command("go", {
      args: ["build", "-o", program, "."],
      cwd: folder,
      signal: AbortSignal.timeout(60_000),
    }).output();
    if (!success) console.log(new TextDecoder().decode(stderr));
    return success ? program : null;
  } catch {
    return null;
  }
}
