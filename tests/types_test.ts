import { assertEquals } from "@std/assert";
import { moduleFlags, output, path, workplace } from "./fixtures/command.ts";

// A project that imports the module from a folder checks its sources with its own options.
const OPTIONS: Record<string, Record<string, boolean>> = {
  "the default options": {},
  "exactOptionalPropertyTypes": {
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: false,
  },
};

for (const [name, compilerOptions] of Object.entries(OPTIONS)) {
  // Without an import map of its own the project would be this one.
  const flags = moduleFlags().filter((flag) => flag !== "--no-config");
  Deno.test({
    name: `a caller's types are right with ${name}`,
    ignore: flags.some((flag) => flag.startsWith("--config=")),
    async fn() {
      await using place = await workplace({
        "deno.json": JSON.stringify({ lock: false, compilerOptions }),
      });
      const { code, stderr } = await output(Deno.execPath(), [
        ...["check", "--quiet", `--config=${place.folder}/deno.json`, ...flags],
        ...[path("tests/fixtures/types.ts"), path("replay.ts")],
      ]);
      assertEquals(code, 0, stderr);
    },
  });
}
