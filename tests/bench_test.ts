import { assert, assertEquals, assertThrows } from "@std/assert";
import { replaceResults, shortTable, table } from "../bench/report.ts";
import { path } from "./fixtures/command.ts";

const { machine, rounds, results } = JSON.parse(
  await Deno.readTextFile(path("bench/results.json")),
);

/** The cells of a page's tables, whatever their widths. */
function cells(text: string): string[] {
  return text.split("\n").filter((line) => line.startsWith("|"))
    .map((line) => line.replace(/-{2,}/g, "--").replace(/\s+/g, " "));
}

for (
  const [page, text] of [
    ["bench/README.md", table(machine, rounds, results)],
    ["docs/performance.md", shortTable(machine, rounds, results)],
  ] as const
) {
  Deno.test(`the tables of ${page} are those of bench/results.json`, async () => {
    const found = new Set(cells(await Deno.readTextFile(path(page))));
    const expected = cells(text);
    assert(expected.length > 20);
    assertEquals(expected.filter((line) => !found.has(line)), []);
  });
}

Deno.test("replaceResults() replaces what is between the marks, and needs them", () => {
  const page = "a\n<!-- results -->\n\nold\n\n<!-- end of results -->\nb\n";
  assertEquals(
    replaceResults(page, "new"),
    "a\n<!-- results -->\n\nnew\n\n<!-- end of results -->\nb\n",
  );
  assertThrows(() => replaceResults("a", "new"), Error, "no marks");
});
