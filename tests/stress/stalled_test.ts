import { assert, assertEquals } from "@std/assert";
import { spawnServer } from "../fixtures/child.ts";
import { delay } from "../fixtures/wait.ts";
import { consume } from "./_consume.ts";
import { form, report } from "./_form.ts";

const COUNT = form(2_000_000, 5_000_000);

Deno.test(`direct holds a feed of ${COUNT} messages in less than 150 MB while nobody receives, and loses none`, async () => {
  await using server = await spawnServer("raw");
  let held = 0;
  const got = await consume({
    url: `${server.url}/?n=${COUNT}&size=100`,
    options: { capture: "direct" },
    how: "stall",
  }, async () => {
    // The server is at a standstill once it has written nothing for a while.
    const written = () => server.events.filter((it) => it.type === "written");
    for (let before = -1; before !== written().length;) {
      before = written().length === 0 ? -1 : written().length;
      await delay(500);
    }
    held = Number(written().at(-1)!.bytes);
  });
  report("a stalled consumer", {
    "MB stalled": Math.round(got.stalled / 1e6),
    "MB at most": Math.round(got.memory / 1e6),
    "MB written by the server": Math.round(held / 1e6),
  });
  assert(held < COUNT * 100 / 2, "the server was not held back");
  assertEquals(got.received, COUNT);
  assert(got.inOrder);
  assertEquals(got.code, 1000);
  assert(got.stalled < 150e6, `${got.stalled} bytes`);
});
