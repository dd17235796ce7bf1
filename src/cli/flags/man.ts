/**
 * The man page `wstap(1)`, made from the table of options.
 *
 * @module
 */

import {
  GROUPS,
  NOTES,
  type Option,
  optionFlags,
  STATUSES,
  USAGES,
} from "./table.ts";
import { BEARER_VARIABLE, USER_VARIABLE } from "./variables.ts";

/** The environment variables, and what each is read for. */
const VARIABLES: readonly [name: string, meaning: string][] = [
  [USER_VARIABLE, "Stands in for `--user`, as NAME:PASSWORD."],
  [BEARER_VARIABLE, "Stands in for `--bearer`."],
  [
    "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY",
    "The proxy to connect through, unless `--proxy` is given. The names may be in lower case.",
  ],
  ["NO_COLOR", "If it is set and not empty, nothing is coloured."],
  [
    "DENO_CERT",
    "A file of certificates (PEM) to trust in addition, in the place of `--ca-cert`.",
  ],
];

/** The day on which the options last changed, as `man(7)` wants it. */
const DATE = "2026-11-27";

/** The longest line of roff, in characters. Linters complain of more than 80. */
const WIDTH = 78;

/**
 * The man page, as roff with the macros of `man(7)`.
 *
 * @param version The version of wstap.
 */
export function manPage(version: string): string {
  const lines = [
    '.\\" Made from src/cli/flags/table.ts by scripts/reference.ts: do not edit.',
    `.TH WSTAP 1 ${DATE} "wstap ${version}" "User Commands"`,
    ".SH NAME",
    "wstap \\- show what answers a WebSocket handshake, and receive what the feed\nsends",
    ".SH SYNOPSIS",
    ...USAGES.flatMap(([words], index) => [
      ...(index === 0 ? [] : [".br"]),
      `.B wstap\n${roff(words)}`,
    ]),
    ".SH DESCRIPTION",
    filled(
      "`wstap URL` connects, prints the head of the response to the handshake on " +
        "standard error, and prints each message as a line on standard output. " +
        "The URLs after the first are fallbacks.",
    ),
    ...USAGES.slice(1).flatMap(([words, meaning]) => [
      ".TP",
      `.B wstap ${roff(words)}`,
      filled(sentence(meaning)),
    ]),
    ...NOTES.flatMap(([title, text]) => [
      ".PP",
      filled(`${title}: ${text}`),
    ]),
    ".SH OPTIONS",
    filled(
      'A TIME is a number and a unit, as in "250ms", "10s" or "1m 30s". A SIZE is a ' +
        'number of bytes, with the units of 1024: "65536", "64M".',
    ),
    ...Object.entries(GROUPS).flatMap(([heading, options]) => [
      `.SS ${roff(heading)}`,
      ...options.flatMap(entry),
    ]),
    ".SH EXIT STATUS",
    ...STATUSES.flatMap(([status, , meaning]) => [
      ".TP",
      `.B ${status}`,
      filled(meaning),
    ]),
    ".SH ENVIRONMENT",
    ...VARIABLES.flatMap(([name, meaning]) => [
      ".TP",
      `.B ${roff(name)}`,
      filled(meaning),
    ]),
    ".SH SEE ALSO",
    ".BR curl (1),",
    ".BR ssh (1)",
    ".PP",
    "https://github.com/wstap/wstap",
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function entry(option: Option): string[] {
  const { text, example, value } = option;
  const usual = option.default === undefined
    ? ""
    : ` The default is ${option.default}.`;
  const flags = optionFlags(option).map((flag) => `\\fB${roff(flag)}\\fR`);
  return [
    ".TP",
    flags.join(", ") + (value === undefined ? "" : ` \\fI${roff(value)}\\fR`),
    filled(text + usual),
    ".RS",
    ".PP",
    ".EX",
    // What follows a backslash at the end of a line stands on the same line.
    wrapped(roff(example), " \\\n"),
    ".EE",
    ".RE",
  ];
}

/** Text that is filled, in lines that are not too long. */
function filled(text: string): string {
  return wrapped(roff(text), "\n");
}

/** Breaks roff at spaces. A line that would begin as a request is kept from being one. */
function wrapped(text: string, end: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && `${line} ${word}`.length > WIDTH) {
      lines.push(line);
      line = word.replace(/^\./, "\\&.");
    } else line += `${line && " "}${word}`;
  }
  return [...lines, line].join(end);
}

function sentence(words: string): string {
  return `${words[0]!.toUpperCase()}${words.slice(1)}.`;
}

/**
 * Text as roff takes it: what is between backticks is bold, and no character is a
 * request, an escape, or anything but itself.
 */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replaceAll('"', "\\(dq")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    .replace(/^\./, "\\&.")
    .replace(/`([^`]*)`/g, "\\fB$1\\fR");
}
