/**
 * Creates the files of a release in `dist/release/`: for each target an archive with
 * the executable, the man page, `README.md` and `LICENSE`; the install scripts; and
 * `SHA256SUMS`.
 *
 * ```sh
 * deno run -A scripts/package.ts              # all targets
 * deno run -A scripts/package.ts TARGET...    # some targets
 * ```
 *
 * @module
 */

import { compile, TARGETS } from "./compile.ts";

const root = new URL("../", import.meta.url);

async function run(program: string, args: string[], cwd: URL): Promise<void> {
  const { success } = await new Deno.Command(program, {
    args,
    cwd,
    stdout: "null",
  }).output();
  if (!success) throw new Error(`${program} ${args[0]} failed`);
}

/**
 * Packs an executable, the man page, `README.md` and `LICENSE` into an archive, in a
 * folder of the same name. The archive is a zip file for Windows, otherwise a tar.gz file.
 *
 * @param executable The file of the executable.
 * @param target The platform of the executable.
 * @param folder The folder for the archive.
 */
export async function archive(
  executable: URL,
  target: string,
  folder: URL,
): Promise<void> {
  const name = `wstap-${target}`;
  const work = new URL(`${name}/`, folder);
  await Deno.mkdir(work, { recursive: true });
  for (
    const file of [
      executable,
      new URL("docs/wstap.1", root),
      new URL("README.md", root),
      new URL("LICENSE", root),
    ]
  ) await Deno.copyFile(file, new URL(file.pathname.split("/").at(-1)!, work));
  if (target.includes("windows")) {
    // Windows has no zip, but its own tar, which makes one if the name says so.
    const [program, ...args] = Deno.build.os === "windows"
      ? [`${Deno.env.get("SystemRoot")}\\System32\\tar.exe`, "-acf"]
      : ["zip", "-qr"];
    await run(program!, [...args, `${name}.zip`, name], folder);
  } else {
    await run("tar", ["-czf", `${name}.tar.gz`, name], folder);
  }
  await Deno.remove(work, { recursive: true });
}

/** Writes `SHA256SUMS` with the checksums of all files in a folder, in the format of `sha256sum`. */
export async function writeSums(folder: URL): Promise<void> {
  const lines: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (name === "SHA256SUMS") continue;
    const bytes = await Deno.readFile(new URL(name, folder));
    const digest = await crypto.subtle.digest("SHA-256", bytes);
    const hex = Array.from(
      new Uint8Array(digest),
      (byte) => byte.toString(16).padStart(2, "0"),
    );
    lines.push(`${hex.join("")}  ${name}\n`);
  }
  await Deno.writeTextFile(
    new URL("SHA256SUMS", folder),
    lines.sort((a, b) => a.slice(66) < b.slice(66) ? -1 : 1).join(""),
  );
}

if (import.meta.main) {
  const folder = new URL("dist/release/", root);
  await Deno.mkdir(folder, { recursive: true });
  for (const target of Deno.args.length > 0 ? Deno.args : TARGETS) {
    const problem = await compile(target);
    if (problem !== null) {
      console.error(problem);
      Deno.exit(1);
    }
    const name = target.includes("windows") ? "wstap.exe" : "wstap";
    await archive(new URL(`dist/${name}`, root), target, folder);
  }
  for (const name of ["install.sh", "install.ps1"]) {
    await Deno.copyFile(
      new URL(`scripts/${name}`, root),
      new URL(name, folder),
    );
  }
  await writeSums(folder);
}
