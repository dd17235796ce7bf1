import { assert, assertEquals } from "@std/assert";
import { run, start } from "../fixtures/cli.ts";

const LINES = 1_000_000;

/** The most that serving such a file may take, in bytes. */
const MAX_RSS = 250 * 1024 * 1024;

/** A recording of so many lines, some of them sent by the client. */
async function write(path: string): Promise<void> {
  using file = await Deno.open(path, { write: true });
  const begin = Date.parse("2024-05-06T07:08:09.000Z");
  let text = "";
  for (let i = 0; i < LINES; i++) {
    const time = new Date(begin + i).toISOString();
    const data = JSON.stringify({ id: i, text: "x".repeat(80) });
    const from = i % 1000 === 0 ? "client" : undefined;
    text += JSON.stringify({ time, type: "text", data, from }) + "\n";
    if (text.length > 1024 * 1024 || i === LINES - 1) {
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length;) {
        at += await file.write(bytes.subarray(at));
      }
      text = "";
    }
  }
}

Deno.test({
  name:
    "a recording of a million lines is served to three clients in less than 250 MB",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const path = await Deno.makeTempFile({ suffix: ".ndjson" });
    try {
      await write(path);
      await using replay = start(["replay", "-q", "--speed", "max", path], {
        permissions: ["-A"],
      });
      await replay.sees("stdout", /^ws:.*\n$/);
      const url = replay.stdout.trim();
      const runs = await Promise.all(
        Array.from(
          { length: 3 },
          () =>
            run([
              "--summary",
              "-q",
              "--capture",
              "direct",
              "-o",
              "/dev/null",
              url,
            ], { permissions: ["-A"] }),
        ),
      );
      for (const { code, stderr } of runs) {
        assertEquals(code, 0, stderr);
        assert(stderr.includes("999,000 messages"), stderr);
      }
      const status = await Deno.readTextFile(
        `/proc/${replay.process.pid}/status`,
      );
      const [, peak] = /^VmHWM:\s*(\d+) kB$/m.exec(status)!;
      console.log(`${Math.round(Number(peak) / 1024)} MiB at the most`);
      assert(Number(peak) * 1024 < MAX_RSS, `${peak} kB`);
    } finally {
      await Deno.remove(path);
    }
  },
});
