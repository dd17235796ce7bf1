/**
 * Lists the npm packages that the files of this repository name, with their newest
 * versions: `deno task outdated`. Its exit code is 1 if one is outdated.
 *
 * Dependabot does not look at packages that are named where they are imported.
 *
 * @module
 */

const root = new URL("../", import.meta.url);

/** Matches a package with its exact version, as in `npm:pako@3.0.3`. */
const PACKAGE = /npm:(?<name>(?:@[\w.-]+\/)?[\w.-]+)@(?<version>\d[\w.-]*)/g;

async function output(program: string, args: string[]): Promise<string> {
  const { success, stdout } = await new Deno.Command(program, {
    args,
    cwd: root,
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`${program} ${args.join(" ")} failed`);
  return new TextDecoder().decode(stdout);
}

/** Finds the packages in a text, each with its versions. */
export function packagesIn(text: string): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const { groups } of text.matchAll(PACKAGE)) {
    const { name, version } = groups as { name: string; version: string };
    found.set(name, (found.get(name) ?? new Set()).add(version));
  }
  return found;
}

if (import.meta.main) {
  const files = (await output("git", ["ls-files", "*.ts", "*.json", "*.md"]))
    .trim().split("\n");
  const texts = await Promise.all(
    files.map((file) => Deno.readTextFile(new URL(file, root))),
  );
  const npm = Deno.build.os === "windows" ? "npm.cmd" : "npm";
  for (const [name, versions] of packagesIn(texts.join("\n"))) {
    const newest = (await output(npm, ["view", name, "version"])).trim();
    const outdated = [...versions].filter((it) => it !== newest);
    if (outdated.length > 0) Deno.exitCode = 1;
    console.log(
      `${outdated.length === 0 ? "ok      " : "OUTDATED"} ${name} ${
        [...versions].join(", ")
      }${outdated.length === 0 ? "" : `, newest ${newest}`}`,
    );
  }
}
