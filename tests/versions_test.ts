import { assertEquals, assertMatch } from "@std/assert";
import { rootUrl } from "./fixtures/command.ts";

const read = (name: string) => Deno.readTextFile(new URL(name, rootUrl));

/** The versions of Deno in `.ci/versions`. */
async function versions(): Promise<Record<string, string>> {
  const lines = (await read(".ci/versions")).split("\n");
  return Object.fromEntries(
    lines.filter((line) => /^\w+=/.test(line)).map((line) => line.split("=")),
  );
}

Deno.test("the README names the versions of Deno that are checked", async () => {
  const { oldest, newest } = await versions();
  const readme = await read("README.md");
  const named = [...readme.matchAll(/\bdeno@(\d+\.\d+\.\d+)/g)].map((it) =>
    it[1]
  );
  assertEquals([...new Set(named)], [newest]);
  assertMatch(readme, new RegExp(`Deno ${oldest!.replaceAll(".", "\\.")}`));
});

Deno.test("no workflow names a version of Deno of its own", async () => {
  for (const name of ["ci", "nightly", "release"]) {
    const text = await read(`.github/workflows/${name}.yml`);
    const named = [...text.matchAll(/deno(?:-version)?: (\S.*)/g)]
      .map((it) => it[1]!)
      .filter((it) => /\d+\.\d+/.test(it));
    assertEquals(named, [], name);
  }
});
