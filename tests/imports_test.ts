import { assert, assertEquals } from "@std/assert";
import { moduleFlags, output, path, rootUrl } from "./fixtures/command.ts";

interface Info {
  modules: {
    specifier: string;
    dependencies?: Record<"code" | "type", { specifier: string } | undefined>[];
  }[];
}

/** The imports of every file of the project that `cli.ts` leads to, types too. */
async function imports(): Promise<Map<string, string[]>> {
  const { code, stdout, stderr } = await output(Deno.execPath(), [
    ...["info", "--json", ...moduleFlags(), path("cli.ts")],
  ]);
  assertEquals(code, 0, stderr);
  const { modules } = JSON.parse(stdout) as Info;
  return new Map(
    modules.filter(({ specifier }) => specifier.startsWith(rootUrl.href)).map((
      { specifier, dependencies = [] },
    ) => [
      specifier,
      dependencies.flatMap(({ code, type }) => [code, type])
        .flatMap((it) => it === undefined ? [] : [it.specifier]),
    ]),
  );
}

Deno.test("imports, types too, never lead back to where they came from", async () => {
  const graph = await imports();
  assert(graph.size > 30);
  const done = new Set<string>();
  const visit = (file: string, trail: string[]) => {
    assert(
      !trail.includes(file),
      [...trail, file].map((it) => it.replace(rootUrl.href, "")).join(" -> "),
    );
    if (done.has(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...trail, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
});

Deno.test("the command line goes through mod.ts, replay.ts and src/internal.ts", async () => {
  const doors = ["mod.ts", "replay.ts", "src/internal.ts", "deno.json"];
  const others: string[] = [];
  for (const [file, targets] of await imports()) {
    const from = file.slice(rootUrl.href.length);
    if (!from.startsWith("src/cli/")) continue;
    for (const target of targets) {
      const to = target.slice(rootUrl.href.length);
      const isInside = !target.startsWith(rootUrl.href) ||
        to.startsWith("src/cli/") || to.startsWith("without_jsr/");
      if (!isInside && !doors.includes(to)) others.push(`${from} -> ${to}`);
    }
  }
  assertEquals(others, []);
});
