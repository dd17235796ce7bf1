import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";

import { PERMISSIONS } from "../scripts/compile.ts";
import { exercise } from "../scripts/exercise.ts";
import { notesOf } from "../scripts/notes.ts";
import { archive, writeSums } from "../scripts/package.ts";
import { install, tryRelease } from "../scripts/try_release.ts";
import { command } from "./fixtures/command.ts";

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

Deno.test("notesOf() gives the section of a version", () => {
  const changelog = "# Changelog\n\n## 0.2.0 - 2026-02-01\n\nNew.\n\n" +
    "## 0.1.0 - 2026-01-01\n\nOld.\n\n## 0.0.1 - unreleased\n\nNever.\n";
  assertEquals(notesOf(changelog, "0.2.0"), "New.\n");
  assertEquals(notesOf(changelog, "0.1.0"), "Old.\n");
  assertThrows(() => notesOf(changelog, "0.0.1"), Error, "no date");
  assertThrows(() => notesOf(changelog, "0.0.2"), Error, "nothing of 0.0.2");
});
