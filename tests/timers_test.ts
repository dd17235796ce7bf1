import { assertEquals } from "@std/assert";
import { output } from "./fixtures/command.ts";

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
