/**
 * Builds one executable, `dist/wstap` or `dist/wstap.exe`:
 * `deno task compile [--target T]`.
 *
 * It holds the version and the commit, the permissions that the command line
 * needs, and, where JSR can be reached, nothing from npm but what compresses.
 *
 * @module
 */

import denoJson from "../deno.json" with { type: "json" };

/** The platforms that Deno compiles for, on any of them. */
export const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
  "aarch64-pc-windows-msvc",
] as const;

/** The environment variables that the command line and Deno's network read. */
export const VARIABLES = [
  ...["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"]
    .flatMap((name) => [name, name.toLowerCase()]),
  "NO_COLOR",
  "WSTAP_BEARER",
  "WSTAP_USER",
];

/**
 * What the executable may do: reach the host of any URL, read and write the
 * files that options name, and read these variables. It never asks for more.
 */
export const PERMISSIONS = [
  "--no-prompt",
  "--allow-net",
  "--allow-read",
  "--allow-write",
  `--allow-env=${VARIABLES.join(",")}`,
];

const root = new URL("../", import.meta.url);

/** Runs Deno in the root of the project. */
async function deno(args: string[]) {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: root,
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { success, stdout: text(stdout), stderr: text(stderr) };
}

/** The version, and the commit where it can be known. */
export async function versionText(): Promise<string> {
  const commit = await describeCommit();
  return commit === "" ? denoJson.version : `${denoJson.version} (${commit})`;
}

/** The commit, with `-dirty` if the files differ from it; `""` outside a clone. */
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

/** What may come from npm: what compresses, and types, of which no code comes along. */
const NPM = /^npm:(?:pako@|@types\/|undici-types@)/;

/** The packages that come along, such as `jsr:@std/cli@1.0.32`. */
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

/** The size of the file in megabytes, as a person reads it. */
async function sizeOf(path: URL): Promise<string> {
  return `${((await Deno.stat(path)).size / 1e6).toFixed(1)} MB`;
}

/**
 * Builds the executable.
 *
 * @param target One of {@linkcode TARGETS}.
 * @returns What went wrong, in one line; `null` if nothing did.
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
      // 0.4 MB smaller, and quicker to start; the oldest Deno has no such flag.
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
