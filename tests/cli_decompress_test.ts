import { assert, assertEquals, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import {
  deflateRawSync,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from "node:zlib";
import { run } from "./fixtures/cli.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { Decompressor, type Method } from "../src/cli/decompress.ts";

/** Whether this Deno has zstd. */
const hasZstd = (() => {
  try {
    return zstdCompressSync(new Uint8Array(1)).length > 0;
  } catch {
    return false;
  }
})();

const COMPRESS: Record<Method, (bytes: Uint8Array) => Uint8Array> = {
  gzip: (bytes) => new Uint8Array(gzipSync(bytes)),
  deflate: (bytes) => new Uint8Array(deflateSync(bytes)),
  "deflate-raw": (bytes) => new Uint8Array(deflateRawSync(bytes)),
  zstd: (bytes) => new Uint8Array(zstdCompressSync(bytes)),
};

const METHODS = Object.keys(COMPRESS) as Method[];
const encode = (text: string) => new TextEncoder().encode(text);
const concat = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts));

function each(name: string, fn: (method: Method) => Promise<void>) {
  for (const method of METHODS) {
    Deno.test({
      name: `${name}: ${method}`,
      ignore: method === "zstd" && !hasZstd,
      fn: () => fn(method),
    });
  }
}

/** What a message becomes: the text, the bytes, or the sentence about it. */
async function inflate(method: Method, bytes: Uint8Array) {
  const decompressor = await Decompressor.load(method);
  const { messages, error } = await decompressor.all([bytes]);
  return error?.message ?? messages[0];
}

function feed(...messages: (string | Uint8Array)[]) {
  return serve((request) =>
    accept(request, (socket) => {
      for (const message of messages) {
        socket.send(message as string | Uint8Array<ArrayBuffer>);
      }
      socket.close(1000);
    })
  );
}

each(
  "--decompress inflates binary messages to texts, or to bytes",
  async (method) => {
    const compress = COMPRESS[method];
    await using server = feed(
      compress(encode("one ü")),
      "a text",
      compress(new Uint8Array([0xff, 0])),
      compress(encode("")),
      compress(encode("x".repeat(300_000))),
    );
    for (const capture of ["preflight", "none", "direct"]) {
      const { code, stdout, stderr } = await run([
        ...["-q", "--format", "ndjson", "--capture", capture],
        ...["--decompress", method, server.url],
      ]);
      assertEquals([code, stderr], [0, ""]);
      assertEquals(
        stdout.trim().split("\n").map((line) => {
          const { type, data } = JSON.parse(line);
          return [type, data];
        }),
        [
          ["text", "one ü"],
          ["text", "a text"],
          ["binary", "/wA="],
          ["text", ""],
          ["text", "x".repeat(300_000)],
        ],
      );
    }
  },
);

each(
  "a message that does not inflate ends the run with 1, behind those before it",
  async (method) => {
    const good = COMPRESS[method](encode("good"));
    await using server = feed(good, encode("this is not compressed"), good);
    for (const batch of [[], ["--batch", "10s"]]) {
      const { code, stdout, stderr } = await run(
        ["-q", ...batch, "--decompress", method, server.url],
      );
      assertEquals(code, 1);
      assertEquals(stdout, batch.length > 0 ? '["good"]\n' : "good\n");
      assertMatch(
        stderr,
        /^wstap: A message of 22 bytes (is not|is cut off: its) \S+( data has no end)?\n$/,
      );
    }
    await using bad = feed(encode("bad"));
    const { code, stdout } = await run(
      ["-q", "--batch", "10s", "--decompress", method, bad.url],
    );
    assertEquals([code, stdout], [1, ""]);
  },
);

each(
  "a message that is cut off anywhere is told from a whole one",
  async (method) => {
    const text = Array.from({ length: 300 }, (_, i) => `${i * i}`).join();
    const whole = COMPRESS[method](encode(text));
    assertEquals(await inflate(method, whole), text);
    for (let length = 0; length < whole.length; length++) {
      assertEquals(
        await inflate(method, whole.subarray(0, length)),
        `A message of ${length} bytes is cut off: its ${method} data has no end`,
      );
    }
  },
);

each("what follows the compressed data is refused", async (method) => {
  const bytes = concat(COMPRESS[method](encode("good")), encode("junk"));
  assertEquals(
    await inflate(method, bytes),
    `A message of ${bytes.length} bytes has more behind its ${method} data`,
  );
});

each(
  "a message may inflate to 64 MiB and no more, without holding up anything else",
  async (method) => {
    const most = new Uint8Array(64 * 1024 * 1024);
    assertEquals(
      (await inflate(method, COMPRESS[method](most)) as string).length,
      most.length,
    );
    const bomb = COMPRESS[method](new Uint8Array(most.length * 4));
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const before = Deno.memoryUsage();
    assertEquals(
      await inflate(method, bomb),
      `A message of ${
        bomb.length.toLocaleString("en-US")
      } bytes inflates to more than 64 MiB`,
    );
    clearInterval(timer);
    // A turn every 10 ms, and zstd needs a few of them; one, if it held up all else.
    assert(turns >= 2, `${turns} turns of the event loop`);
    const { external } = Deno.memoryUsage();
    assert(external - before.external < 3 * most.length, `${external}`);
  },
);

Deno.test("several gzip members, and several zstd frames, are one message", async () => {
  const methods: Method[] = hasZstd ? ["gzip", "zstd"] : ["gzip"];
  for (const method of methods) {
    const compress = COMPRESS[method];
    const bytes = concat(compress(encode("one")), compress(encode("two")));
    assertEquals(await inflate(method, bytes), "onetwo");
    assertEquals(
      await inflate(method, bytes.subarray(0, -1)),
      `A message of ${
        bytes.length - 1
      } bytes is cut off: its ${method} data has no end`,
    );
  }
});

Deno.test({
  name: "zstd data with a wrong checksum is an error, whenever it is noticed",
  ignore: !hasZstd,
  async fn() {
    // What zstdCompressSync() writes has no checksum: `printf hello | zstd` has.
    const head = [0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x29, 0, 0];
    const bytes = concat(new Uint8Array(head), encode("hello\0\0\0\0"));
    const { now } = performance;
    let time = 0;
    // Every piece of output seems to have taken a turn of the event loop.
    performance.now = () => time += 1_000;
    try {
      assertEquals(
        await inflate("zstd", bytes),
        `A message of ${bytes.length} bytes is not zstd`,
      );
    } finally {
      performance.now = now;
    }
  },
});

Deno.test({
  name: "zstd data that holds nothing but a frame to skip is empty",
  ignore: !hasZstd,
  async fn() {
    const skipped = new Uint8Array([0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 7]);
    assertEquals(await inflate("zstd", skipped), "");
  },
});

Deno.test({
  name: "--decompress zstd on a Deno that has none ends with 2, and says so",
  ignore: hasZstd,
  async fn() {
    await using server = feed();
    const { code, stderr } = await run([
      "-q",
      "--decompress",
      "zstd",
      server.url,
    ]);
    assertEquals(code, 2);
    assertMatch(stderr, /^wstap: Deno \S+ cannot inflate zstd: /);
  },
});
