/**
 * Prints the flag with which Deno uses the stand-ins in this folder instead of the
 * `@std` packages, or nothing if JSR can be reached.
 *
 * The check lets Deno resolve the packages, so a mirror (`JSR_URL`), a `"links"`
 * entry and a filled cache count as JSR. `WITHOUT_JSR=1` prints the flag without
 * the check.
 *
 * @module
 */

import importMap from "./import_map.json" with { type: "json" };

const DEADLINE = 10_000; // milliseconds

async function resolves(specifiers: string[]): Promise<boolean> {
  // `deno cache` would take a bare specifier for the name of a file.
  const code = specifiers.map((it) => `import ${JSON.stringify(it)};`).join("");
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", code],
    cwd: new URL("..", import.meta.url), // where deno.json is
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(DEADLINE),
  }).output();
  return success;
}

if (import.meta.main) {
  const unwanted = Deno.env.get("WITHOUT_JSR") === "1";
  const standIns = Object.keys(importMap.imports)
    .filter((name) => name.startsWith("@std/"));
  if (!unwanted && await resolves(standIns)) {
    console.error("Using @std from JSR.");
  } else {
    const reason = unwanted ? "WITHOUT_JSR is set" : "JSR cannot be reached";
    console.error(`${reason}: using the stand-ins in without_jsr/ .`);
    console.log("--import-map=without_jsr/import_map.json");
  }
}
