/**
 * The text of `--help`, made from the table of options.
 *
 * @module
 */

import {
  GROUPS,
  isFor,
  NOTES,
  type Option,
  OPTIONS,
  STATUSES,
  USAGES,
} from "./table.ts";

/** How wide the help is at the most. */
const WIDTH = 80;

/** What the help of a single command begins with. */
const COMMANDS = {
  ping: `\
wstap ping: measure round trips to a WebSocket server

Usage: wstap ping [OPTION...] URL [FALLBACK-URL...]

Prints a line for each pong, and at the end how many were lost, and the
shortest, the median and the longest round trip. It goes on until Ctrl-C, unless
-n or --duration ends it. The exit status is 1 if a pong is missing.
`,
  replay: `\
wstap replay: serve a recorded feed on 127.0.0.1

Usage: wstap replay [OPTION...] FILE

FILE is what wstap --format ndjson -o FILE has written, or a HAR file. Prints
the URL of the feed. Each client gets the whole feed with its timing, and its
connection ends as the recorded one did. It goes on until Ctrl-C.
`,
};

/** The text of `--help`, of everything or of a single command. */
export function help(command?: string): string {
  if (command === "ping" || command === "replay") {
    const options = OPTIONS.filter((option) => isFor(option, command));
    return `${COMMANDS[command]}\n${DEFAULTS}\n${optionLines(options)}`;
  }
  const groups = Object.entries(GROUPS).map(([heading, options]) => {
    const shown = options.filter((option) => isFor(option, "tap"));
    return shown.length === 0 ? "" : `${heading}:\n${optionLines(shown)}`;
  });
  return [
    "wstap: show what answers a WebSocket handshake, and receive what the feed sends\n\n",
    usageLines(),
    `${DEFAULTS}\n`,
    ...groups,
    ...commandLines(),
    ...NOTES.map(([title, text]) => wrap(`${title}: ${text}`)),
    wrap(
      `Exit status: ${
        STATUSES.map(([status, words]) => `${status}\u00a0${words}`).join("; ")
      }.`,
    ),
    "Examples:\n",
    ...EXAMPLES.map((line) => `  ${line}\n`),
    "An example for each option: docs/command-line.md, man wstap\n",
  ].join("");
}

const DEFAULTS =
  'Defaults are in [brackets]. TIME: "250ms", "10s", "1m 30s". SIZE: "64M".';

/** A few command lines to begin with. */
const EXAMPLES = [
  'wstap -n 1 -s \'{"subscribe":"trades"}\' wss://example.com/feed | jq .',
  "wstap --batch 3s --max 500 --format json wss://example.com/feed",
  "wstap -r -q --format ndjson -o feed.ndjson wss://example.com/feed",
];

function usageLines(): string {
  return USAGES.map(([args, meaning], index) => {
    const start = index === 0 ? "Usage: wstap " : "       wstap ";
    return `${`${start}${args}`.padEnd(48)}  ${meaning}`.trimEnd() + "\n";
  }).join("");
}

/** The options that go with one command alone, by their names. */
function commandLines(): string[] {
  const lists = (["ping", "demo", "replay"] as const).map((command) => {
    const names = OPTIONS.filter((option) =>
      isFor(option, command) && !isFor(option, "tap") &&
      (command !== "demo" || !isFor(option, "replay"))
    ).map(({ name }) => `--${name}`);
    return `${command}: ${names.join(" ")}`;
  });
  return [
    "Of the commands alone (see wstap ping --help, wstap replay --help):\n",
    wrap(lists.join("; "), "  "),
  ];
}

function optionLines(options: readonly Option[]): string {
  const lines: { flags: string; help: string }[] = [];
  for (const option of options) {
    const { name, short, value, help, joins } = option;
    const flag = `--${name}${value === undefined ? "" : ` ${value}`}`;
    const before = lines.at(-1);
    if (joins && before !== undefined) before.flags += `, ${flag}`;
    else {
      const letter = short === undefined ? "    " : `-${short}, `;
      const usual = option.default === undefined ? "" : ` [${option.default}]`;
      lines.push({ flags: letter + flag, help: help + usual });
    }
  }
  return lines.map(({ flags, help }) => `  ${flags.padEnd(26)} ${help}\n`)
    .join("");
}

/** Breaks a paragraph into lines, though not at a no-break space. */
function wrap(text: string, first = "", indent = "  "): string {
  let line = first;
  let lines = "";
  for (const word of text.split(" ")) {
    const isStart = line.trim() === "";
    if (!isStart && line.length + 1 + word.length > WIDTH) {
      lines += `${line}\n`;
      line = indent + word;
    } else line += (isStart ? "" : " ") + word;
  }
  return `${lines}${line}\n`.replaceAll("\u00a0", " ");
}
