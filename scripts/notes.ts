/**
 * Prints the notes of a release: the section of CHANGELOG.md about the version of a
 * tag, and when Deno takes the version. `deno run -A scripts/notes.ts v0.1.0` fails if
 * the tag is not the version in deno.json, or if the section has no date yet.
 *
 * @module
 */

import denoJson from "../deno.json" with { type: "json" };

/** What users of the module have to know on the day of a release. */
const WAIT =
  "Deno 2.9 and newer take a version from JSR only 24 hours after it was published. " +
  "`--minimum-dependency-age=0` takes it before. The executables do not wait.";

/**
 * Returns the notes of a release.
 *
 * @param changelog The text of CHANGELOG.md.
 * @param version The version, such as `0.1.0`.
 * @throws {Error} If there is no section for it, or if the section has no date.
 */
export function notesOf(changelog: string, version: string): string {
  for (const section of changelog.split(/^## /m).slice(1)) {
    const end = section.indexOf("\n");
    const [name, date = ""] = section.slice(0, end).split(" - ");
    if (name !== version) continue;
    if (!/^\d{4}-\d{2}-\d{2}$/.test(date)) {
      throw new Error(`CHANGELOG.md has no date for ${version}`);
    }
    return `${section.slice(end).trim()}\n\n${WAIT}\n`;
  }
  throw new Error(`CHANGELOG.md says nothing of ${version}`);
}

if (import.meta.main) {
  const [tag] = Deno.args;
  if (tag !== `v${denoJson.version}`) {
    console.error(`Expected the tag v${denoJson.version}, got ${tag}`);
    Deno.exit(1);
  }
  const file = new URL("../CHANGELOG.md", import.meta.url);
  const changelog = await Deno.readTextFile(file);
  await Deno.stdout.write(
    new TextEncoder().encode(notesOf(changelog, denoJson.version)),
  );
}
