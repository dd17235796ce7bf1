/**
 * Builds one executable, `dist/wstap` or `dist/wstap.exe`:
 * `deno task compile [--target T]`.
 *
 * The executable contains the version, the commit, and the permissions that the
 * command line needs. If JSR can be reached, its only package from npm is the one that
 * compresses.
 *
 * @module
 */

import denoJson from "../deno.json" with { type: "json" };
import { VARIABLES } from "../src/cli/flags/variables.ts";

/** The platforms that Deno can compile for. */
export const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
  "aarch64-pc-windows-msvc",
] as const;

/**
 * The permissions of the executable: to connect to any host, to read and write the
 * files that options name, and to read these variables. It never asks for others.
 */
export const PERMISSIONS = [
  "--no-prompt",
  "--allow-net",
  "--allow-read",
  "--allow-write",
  `--allow-env=${VARIABLES.join(",")}`,
];

const root = new URL("../", import.meta.url);

/** Runs Deno in the root folder of the project. */
async function deno(args: string[]) {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: root,
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { success, stdout: text(stdout), stderr: text(stderr) };
}

/** Returns the version, and the commit if it is known. */
export async function versionText(): Promise<string> {
  const commit = await describeCommit();
  return commit === "" ? denoJson.version : `${denoJson.version} (${commit})`;
}

/** Returns the commit, with `-dirty` if the files differ from it; `""` outside a clone. */
async function describeCommit(): Promise<string> {
  try {
    const { stdout } = await new Deno.Command("git", {
      args: ["describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"],
      cwd: root,
      stderr: "null",
    }).output();
    return new TextDecoder().decode(stdout).trim();
  } catch {
    return ""; // git is not installed
  }
}

/** The packages from npm that the executable may contain: the one that compresses, and packages of types, which have no code. */
const NPM = /^npm:(?:pako@|@types\/|undici-types@)/;

/** Lists the packages that a program imports, such as `jsr:@std/cli@1.0.32`. */
async function packagesOf(entry: string, flags: string[]): Promise<string[]> {
  const { success, stdout, stderr } = await deno([
    "info",
    "--json",
    ...flags,
    entry,
  ]);
  if (!success) throw new Error(`deno info: ${stderr}`);
  const { modules, npmPackages = {} } = JSON.parse(stdout);
  const names = new Set(Object.keys(npmPackages).map((id) => `npm:${id}`));
  for (const { specifier } of modules as { specifier: string }[]) {
    const [, name, version] =
      /\/(@[^/]+\/[^/]+)\/(\d[^/]*)\//.exec(specifier) ??
        [];
    if (name !== undefined) names.add(`jsr:${name}@${version}`);
  }
  return [...names].sort();
}

/** Formats the size of a file in megabytes. */
async function sizeOf(path: URL): Promise<string> {
  return `${((await Deno.stat(path)).size / 1e6).toFixed(1)} MB`;
}

/**
 * Builds the executable.
 *
 * @param target One of {@linkcode TARGETS}.
 * @returns An error message of one line, or `null` if it succeeded.
 */
export async function compile(target: string): Promise<string | null> {
  const { stdout } = await deno(["run", "-A", "without_jsr/flags.ts"]);
  const flags = stdout.split("\n").filter((flag) => flag !== "");
  const standIns = flags.length > 0;
  if (standIns) {
    console.error("JSR cannot be reached: the stand-ins from npm come along.");
  }

  const version = await versionText();
  const entry = new URL("dist/entry.ts", root);
  await Deno.mkdir(new URL("dist/", root), { recursive: true });
  await Deno.writeTextFile(
    entry,
    `import { main } from "../src/cli/main.ts";
Deno.exit(await main(Deno.args, ${JSON.stringify(version)}));
`,
  );
  try {
    const packages = await packagesOf("dist/entry.ts", flags);
    const strangers = packages.filter((name) =>
      name.startsWith("npm:") && !NPM.test(name)
    );
    if (!standIns && strangers.length > 0) {
      return `These packages do not belong in it: ${strangers.join(", ")}`;
    }
    const name = target.includes("windows") ? "wstap.exe" : "wstap";
    const help = (await deno(["compile", "--help"])).stdout;
    const { success, stderr } = await deno([
      "compile",
      "--target",
      target,
      "--output",
      `dist/${name}`,
      ...PERMISSIONS,
      // This saves 0.4 MB and starts faster. The oldest Deno does not have the flag.
      ...(help.includes("--bundle ") ? ["--bundle"] : []),
      ...flags,
      "dist/entry.ts",
    ]);
    if (!success) {
      return /denort|base binary/i.test(stderr)
        ? `Deno cannot download its runtime: set DENORT_BIN to the denort of ` +
          `Deno ${Deno.version.deno} for ${target}, and run this again`
        : stderr.trimEnd();
    }
    const size = await sizeOf(new URL(`dist/${name}`, root));
    console.log(
      `dist/${name}: wstap ${version} for ${target}, ${size}, ` +
        `with ${packages.join(", ") || "no package"}`,
    );
    return null;
  } finally {
    await Deno.remove(entry);
  }
}

if (import.meta.main) {
  const [flag, target = Deno.build.target, ...rest] = Deno.args;
  const known: readonly string[] = TARGETS;
  const problem = (flag !== undefined && flag !== "--target") ||
      rest.length > 0 || !known.includes(target)
    ? `Usage: deno task compile [--target T], where T is one of\n  ${
      TARGETS.join("\n  ")
    }`
    : await compile(target);
  if (problem !== null) {
    console.error(problem);
    Deno.exit(1);
  }
}
