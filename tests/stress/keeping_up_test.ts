/**
 * A loop of calls with options against a sender that never pauses, over Deno's WebSocket,
 * which does not wait: what does not keep up overflows its buffer.
 */

import { assertEquals } from "@std/assert";
import { NATIVE } from "../fixtures/captures.ts";
import { frame, rawServer } from "../fixtures/raw.ts";
import { consume } from "./_consume.ts";
import { form, report } from "./_form.ts";

const COUNT = form(500_000, 2_000_000);
const BLOCK = 10_000;

for (const capture of NATIVE) {
  for (const how of ["timeout", "signal"] as const) {
    Deno.test(`recv() with a ${how} keeps up with a feed that never pauses (${capture})`, async () => {
      const message = frame(1, "0".padEnd(100, "x"));
      const block = new Uint8Array(BLOCK * message.length);
      for (let i = 0; i < BLOCK; i++) block.set(message, i * message.length);
      await using server = rawServer(async (peer) => {
        await peer.readHead();
        await peer.upgrade();
        for (let i = 0; i < COUNT / BLOCK; i++) await peer.write(block);
        await peer.closeFrame(1000);
        await peer.waitForEnd();
      });
      const got = await consume({ url: server.url, options: { capture }, how });
      report(`${how}, ${capture}`, {
        "messages at most": got.messages,
        "ms late at most": got.late,
      });
      assertEquals([got.received, got.error], [COUNT, undefined]);
    });
  }
}
