import { assertEquals } from "@std/assert";
import { after } from "../src/timers.ts";
import { output } from "./fixtures/command.ts";
import { block, delay } from "./fixtures/wait.ts";

Deno.test("after() takes a time that is over, and writes no warning", async () => {
  const { stdout, stderr } = await output(Deno.execPath(), [
    "eval",
    "--no-lock",
    `import { after } from ${
      JSON.stringify(import.meta.resolve("../src/timers.ts"))
    };
     after(-5, () => console.log("called"));`,
  ]);
  assertEquals([stdout, stderr], ["called\n", ""]);
});

Deno.test("after() calls nothing once it is cancelled, not even where the time was over as well", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = listener.accept();
  using conn = await Deno.connect({
    hostname: "127.0.0.1",
    port: listener.addr.port,
  });
  using peer = await accepting;
  const calls: number[] = [];
  for (let i = 0; i < 5; i++) {
    const cancel = after(5, () => calls.push(i));
    const reading = conn.read(new Uint8Array(1)).then(() => {
      cancel();
      calls.length = 0; // what came before it may
    });
    await peer.write(new Uint8Array(1));
    block(20); // now the read and the timer are due
    await reading;
    await delay(10);
    assertEquals(calls, []);
  }
});
