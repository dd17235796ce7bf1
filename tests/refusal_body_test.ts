import { assert, assertEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { readBody, readStart } from "../src/refusal_body.ts";

const NEVER = { signal: new AbortController().signal, caller: undefined };

async function gzip(
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream()
    .pipeThrough(new CompressionStream("gzip"));
  return await new Response(stream).bytes();
}

const GZIP = new Headers({ "Content-Encoding": "GZIP" });

Deno.test("readBody() decompresses gzip up to 64 KiB, and not much more of it than that", async () => {
  const { DecompressionStream } = globalThis;
  let inflated = 0;
  globalThis.DecompressionStream = class extends DecompressionStream {
    override get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
      return super.readable.pipeThrough(
        new TransformStream({
          transform(chunk, controller) {
            inflated += chunk.length;
            controller.enqueue(chunk);
          },
        }),
      );
    }
  };
  try {
    for (const size of [0, 1, 65_535, 65_536, 65_537, 60_000_000]) {
      const compressed = await gzip(new Uint8Array(size).fill(97));
      inflated = 0;
      const body = await readBody(new Blob([compressed]).stream(), GZIP, NEVER);
      assertEquals(body.length, Math.min(size, 65_536));
      assert(body.every((byte) => byte === 97));
      assert(inflated < 1_000_000, `${inflated} bytes`);
    }
  } finally {
    globalThis.DecompressionStream = DecompressionStream;
  }
});

Deno.test("readBody() gives what gzip gives up to where it breaks off", async () => {
  const text = Array.from({ length: 5_000 }, (_, i) => `${i * 7919}`).join();
  const whole = await gzip(new TextEncoder().encode(text));
  const half = whole.slice(0, whole.length / 2);
  const body = await readBody(new Blob([half]).stream(), GZIP, NEVER);
  const start = new TextDecoder().decode(body);
  assert(start.length > 1_000);
  assert(text.startsWith(start));
});

Deno.test("readBody() takes what is no gzip as it is, whatever the header says", async () => {
  const body = new Blob(["plain"]).stream();
  assertEquals(
    new TextDecoder().decode(await readBody(body, GZIP, NEVER)),
    "plain",
  );
});

/** A body that gives these chunks, and then nothing, for ever. */
function endless(...chunks: Uint8Array[]) {
  const cancelled = Promise.withResolvers<void>();
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => chunks.forEach((it) => controller.enqueue(it)),
    cancel: () => cancelled.resolve(),
  });
  return { body, cancelled: cancelled.promise };
}

Deno.test("readStart() gives what came in 5 seconds of a body that never ends", async () => {
  using time = new FakeTime();
  const { body, cancelled } = endless(
    new Uint8Array([1, 2]),
    new Uint8Array([3]),
  );
  let settled = false;
  const start = readStart(body, NEVER);
  start.then(() => settled = true);
  await time.runMicrotasks();
  time.tick(4_999);
  await time.runMicrotasks();
  assertEquals(settled, false);
  time.tick(1);
  assertEquals(await start, new Uint8Array([1, 2, 3]));
  await cancelled;
});

Deno.test("readStart() reads 64 KiB and no more", async () => {
  const { body, cancelled } = endless(
    new Uint8Array(60_000).fill(1),
    new Uint8Array(60_000).fill(2),
    new Uint8Array(60_000).fill(3),
  );
  const start = await readStart(body, NEVER);
  assertEquals(start.length, 65_536);
  assertEquals([start[59_999], start[60_000], start[65_535]], [1, 2, 2]);
  await cancelled;
});
