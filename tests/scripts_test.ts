import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";

import { PERMISSIONS, TARGETS } from "../scripts/compile.ts";
import { exercise } from "../scripts/exercise.ts";
import { notesOf } from "../scripts/notes.ts";
import { packagesIn } from "../scripts/outdated.ts";
import { archive, writeSums } from "../scripts/package.ts";
import {
  dockerfile,
  flake,
  formula,
  parseSums,
  scoop,
} from "../scripts/packages.ts";
import { install, tryRelease } from "../scripts/try_release.ts";
import { command, moduleFlags, path } from "./fixtures/command.ts";

const windows = Deno.build.os === "windows";

/** A release for this system, whose executable runs the files of this tree. */
async function makeRelease(): Promise<URL> {
  const folder = new URL(`file://${await Deno.makeTempDir()}/`);
  const words = command(["-A"]);
  const quoted = words.map((word) => `'${word}'`).join(" ");
  const executable = new URL("wstap", folder);
  await Deno.writeTextFile(executable, `#!/bin/sh\nexec ${quoted} "$@"\n`);
  await Deno.chmod(executable, 0o755);
  await archive(executable, Deno.build.target, folder);
  await Deno.remove(executable);
  const script = new URL("../scripts/install.sh", import.meta.url);
  await Deno.copyFile(script, new URL("install.sh", folder));
  await writeSums(folder);
  return folder;
}

/** Runs scripts/compile.ts. */
async function compile(args: string[], env: Record<string, string> = {}) {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", path("scripts/compile.ts"), ...args],
    env: {
      NO_COLOR: "1",
      WITHOUT_JSR: moduleFlags()[0] === "--no-config" ? "1" : "",
      ...env,
    },
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

Deno.test("deno task compile says in one line what to set without denort", async () => {
  const DENORT_BIN = path("nothing/here");
  const { code, stderr } = await compile([], { DENORT_BIN });
  assertEquals(code, 1);
  assertMatch(stderr.trim().split("\n").at(-1)!, /: set DENORT_BIN to /);
});

Deno.test("deno task compile lists the targets it knows", async () => {
  const { code, stderr } = await compile(["--target", "pdp-11"]);
  assertEquals(code, 1);
  for (const target of TARGETS) assertStringIncludes(stderr, target);
});

Deno.test("exercise() passes with the permissions of the executable and no more", async () => {
  const lines: string[] = [];
  await exercise(command(PERMISSIONS), (line) => lines.push(line));
  assertEquals(lines.filter((line) => !line.startsWith("ok ")), []);
});

Deno.test("exercise() counts what fails", async () => {
  const lines: string[] = [];
  const failures = await exercise(
    [Deno.execPath(), "eval", "console.log('nothing useful')"],
    (line) => lines.push(line),
  );
  assertEquals(failures, lines.length);
});

Deno.test({
  name: "install.sh installs a release that then works",
  ignore: windows,
  async fn() {
    const release = await makeRelease();
    try {
      const lines: string[] = [];
      const failures = await tryRelease(release, (line) => lines.push(line));
      assertEquals(failures, 0, lines.join("\n"));
      assertMatch(lines[0]!, /^Installed wstap \S+ as .*\/wstap\nAdd /);
    } finally {
      await Deno.remove(release, { recursive: true });
    }
  },
});

Deno.test({
  name: "install.sh puts the man page where man looks for it",
  ignore: windows,
  async fn() {
    const release = await makeRelease();
    const dir = await Deno.makeTempDir();
    try {
      const { code, output } = await install(release, `${dir}/bin`);
      assertEquals(code, 0, output);
      assertEquals(
        await Deno.readTextFile(`${dir}/share/man/man1/wstap.1`),
        await Deno.readTextFile(path("docs/wstap.1")),
      );
    } finally {
      await Deno.remove(release, { recursive: true });
      await Deno.remove(dir, { recursive: true });
    }
  },
});

Deno.test({
  name: "install.sh refuses an archive whose sum is wrong",
  ignore: windows,
  async fn() {
    const release = await makeRelease();
    const dir = await Deno.makeTempDir();
    try {
      const name = `wstap-${Deno.build.target}.tar.gz`;
      await Deno.writeTextFile(new URL(name, release), "x", { append: true });
      const { code, output } = await install(release, dir);
      assertEquals(code, 1);
      assertStringIncludes(output, `the SHA-256 sum of ${name} is wrong`);
      assertEquals([...Deno.readDirSync(dir)], []);
    } finally {
      await Deno.remove(release, { recursive: true });
      await Deno.remove(dir);
    }
  },
});

Deno.test("notesOf() gives the section of a version, and how long Deno waits for it", () => {
  const changelog = "# Changelog\n\n## 0.2.0 - 2026-02-01\n\nNew.\n\n" +
    "## 0.1.0 - 2026-01-01\n\nOld.\n\n## 0.0.1 - unreleased\n\nNever.\n";
  for (const [version, section] of [["0.2.0", "New."], ["0.1.0", "Old."]]) {
    const [first, wait, ...rest] = notesOf(changelog, version!).split("\n\n");
    assertEquals([first, rest], [section, []]);
    assertStringIncludes(wait!, "24 hours");
  }
  assertThrows(() => notesOf(changelog, "0.0.1"), Error, "no date");
  assertThrows(() => notesOf(changelog, "0.0.2"), Error, "nothing of 0.0.2");
});

/** The text of `SHA256SUMS` with a different sum for each target. */
const SUMS =
  TARGETS.map((target, i) =>
    `${String(i).repeat(64)}  wstap-${target}.${
      target.includes("windows") ? "zip" : "tar.gz"
    }\n`
  ).join("") + `${"f".repeat(64)}  install.sh\n`;

Deno.test("every package for a package manager has the sums of the archives that it installs", () => {
  const archives = parseSums(SUMS, "1.2.3");
  assertEquals(archives.length, TARGETS.length);
  const texts = { formula, scoop, flake, dockerfile };
  const systems = {
    formula: /linux|darwin/,
    scoop: /windows/,
    flake: /linux|darwin/,
    dockerfile: /linux/,
  };
  for (const [name, make] of Object.entries(texts)) {
    const text = make(archives, "1.2.3");
    assertStringIncludes(text, "1.2.3");
    for (const { target, sum } of archives) {
      const expected = systems[name as keyof typeof systems].test(target);
      assertEquals(text.includes(sum), expected, `${target} in ${name}`);
    }
  }
  const manifest = JSON.parse(scoop(archives, "1.2.3"));
  assertEquals(manifest.architecture["64bit"], {
    url:
      "https://github.com/wstap/wstap/releases/download/v1.2.3/wstap-x86_64-pc-windows-msvc.zip",
    hash: "4".repeat(64),
    extract_dir: "wstap-x86_64-pc-windows-msvc",
  });
});

Deno.test("parseSums() refuses a release without an archive", () => {
  assertThrows(() => parseSums("nothing\n"), Error, "lists no archive");
});

Deno.test("packagesIn() finds packages with and without a scope", () => {
  const npm = "npm" + ":"; // or the task would take them for packages of this file
  const text = ["pako@3.0.3", "@a/b-c@1.0.0/sub", "pako@3.0.4", "unpinned"]
    .map((name) => `import "${npm}${name}";`).join("\n");
  assertEquals([...packagesIn(text)], [
    ["pako", new Set(["3.0.3", "3.0.4"])],
    ["@a/b-c", new Set(["1.0.0"])],
  ]);
});
