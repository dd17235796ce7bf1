/**
 * The reference of the options in `docs/command-line.md`, made from the table of
 * options.
 *
 * @module
 */

import {
  type Command,
  GROUPS,
  isFor,
  type Option,
  optionFlags,
  STATUSES,
} from "./table.ts";

/** What stands before the part of the page that is made, and nowhere else in it. */
export const MARK =
  "<!-- What follows is made from src/cli/flags/table.ts: deno task reference -->";

/** The reference, as Markdown that `deno fmt` has still to break into lines. */
export function reference(): string {
  const parts = [
    "## Options",
    'A `TIME` is a number and a unit, as in `250ms`, `10s` or `"1m 30s"`. A `SIZE` is ' +
    "a number of bytes, with units of 1024: `65536`, `64M`.",
    ...Object.entries(GROUPS).flatMap(([heading, options]) => [
      `### ${heading.replace(/ \(.*/, "")}`,
      ...options.flatMap(entry),
    ]),
    "## Exit status",
    [
      "| Exit status | Meaning |",
      "| --- | --- |",
      ...STATUSES.map(([status, , meaning]) => `| ${status} | ${meaning} |`),
    ].join("\n"),
  ];
  return parts.join("\n\n") + "\n";
}

const COMMANDS: readonly Command[] = ["tap", "demo", "ping", "replay"];

function entry(option: Option): string[] {
  const { value, text, example } = option;
  const flags = optionFlags(option).map((flag, index, all) =>
    index === all.length - 1 && value !== undefined
      ? `\`${flag} ${value}\``
      : `\`${flag}\``
  );
  const commands = COMMANDS.filter((command) => isFor(option, command));
  const facts = [
    option.default === undefined ? "" : `Default: \`${option.default}\`.`,
    commands.includes("tap")
      ? ""
      : `For ${
        commands.map((command) => `\`wstap ${command}\``).join(" and ")
      }.`,
  ].filter((fact) => fact !== "");
  return [
    `#### ${flags.join(", ")}`,
    [text, ...facts].join(" "),
    `\`\`\`sh\n${example}\n\`\`\``,
  ];
}
