import { assertEquals } from "@std/assert";
import { start } from "../fixtures/cli.ts";
import { frame, rawServer } from "../fixtures/raw.ts";

const MESSAGES = 1_000_000;
const AT_ONCE = 1000;
const SIZE = 100;

/** A feed of so many messages, as fast as they are taken. */
function feed() {
  const one = frame(1, "x".repeat(SIZE));
  const block = new Uint8Array(one.length * AT_ONCE);
  for (let i = 0; i < AT_ONCE; i++) block.set(one, i * one.length);
  return rawServer(async (peer) => {
    await peer.readHead();
    await peer.upgrade();
    for (let i = 0; i < MESSAGES / AT_ONCE; i++) await peer.write(block);
    await peer.closeFrame(1000);
    await peer.waitForEnd();
  });
}

for (const where of ["file", "pipe"]) {
  Deno.test(`the command line writes a million messages to a ${where}`, async () => {
    await using server = feed();
    const file = where === "file" ? await Deno.makeTempFile() : null;
    try {
      const args = ["-q", "--capture", "direct", ...(file ? ["-o", file] : [])];
      await using running = start(
        [...args, server.url],
        { permissions: ["-A"] },
        false,
      );
      let bytes = 0;
      for await (const chunk of running.process.stdout) bytes += chunk.length;
      const { code } = await running.process.status;
      if (file !== null) bytes += (await Deno.stat(file)).size;
      assertEquals(code, 0);
      assertEquals(bytes, MESSAGES * (SIZE + 1));
    } finally {
      if (file !== null) await Deno.remove(file);
    }
  });
}
