/** One option of the command line: the parser, the help and the completions read this. */
export interface Option {
  readonly name: string;
  readonly short?: string;
  /** What the help calls its value; an option without one is a switch. */
  readonly value?: string;
  /** Whether it may be given more than once. */
  readonly repeat?: true;
  /** The only values it takes. */
  readonly choices?: readonly string[];
  /** Whether its value names a file, for completions. */
  readonly file?: true;
  readonly help: string;
}

/** The options under the headings of the help. */
export const GROUPS = {
  "Look at the handshake": [
    {
      name: "include",
      short: "i",
      help: "response head on standard output, before the messages",
    },
    {
      name: "head",
      short: "I",
      help: "response head on standard output, then end",
    },
    {
      name: "quiet",
      short: "q",
      help: "nothing on standard error but errors",
    },
    {
      name: "verbose",
      short: "v",
      help: "request head (secrets masked) and timings too",
    },
  ],
  "Receive": [
    {
      name: "count",
      short: "n",
      value: "N",
      help: "end after N messages",
    },
    {
      name: "duration",
      value: "TIME",
      help: 'end after TIME, as in "90s" or "1m 30s"',
    },
    {
      name: "format",
      value: "F",
      choices: ["text", "json", "ndjson"],
      help: "text; json (pretty on a terminal); ndjson (time, type, data)",
    },
    {
      name: "batch",
      value: "TIME",
      help: "one JSON array for each window of TIME in which any came",
    },
    {
      name: "max",
      value: "N",
      help: "at most N messages in a batch",
    },
    {
      name: "timestamps",
      short: "t",
      help: "time of arrival (ISO 8601) before each message",
    },
    {
      name: "time-format",
      value: "FORMAT",
      help: 'that time as in "HH:mm:ss.SSS", local time',
    },
    {
      name: "output",
      short: "o",
      value: "FILE",
      file: true,
      help: "append to FILE instead of standard output",
    },
    {
      name: "binary",
      help: "messages as bytes with nothing between them; send binary ones",
    },
    {
      name: "summary",
      help: "totals on standard error at the end",
    },
  ],
  "Send": [
    {
      name: "send",
      short: "s",
      value: "TEXT",
      repeat: true,
      help: "send TEXT after connecting; repeatable",
    },
    {
      name: "send-file",
      value: "FILE",
      file: true,
      repeat: true,
      help: "send FILE as one message; repeatable",
    },
  ],
  "Connect": [
    {
      name: "header",
      short: "H",
      value: "LINE",
      repeat: true,
      help: '"Name: value" or @FILE of such lines; repeatable',
    },
    {
      name: "user",
      short: "u",
      value: "NAME[:PW]",
      help: "basic authentication; asks for a missing password",
    },
    {
      name: "bearer",
      value: "TOKEN",
      help: "bearer authentication",
    },
    {
      name: "protocol",
      short: "p",
      value: "NAME",
      repeat: true,
      help: "offer a subprotocol; repeatable",
    },
    {
      name: "capture",
      value: "MODE",
      choices: ["preflight", "none"],
      help: "where the response comes from, see below",
    },
    {
      name: "redirect",
      value: "HOW",
      choices: ["error", "follow"],
      help: "error (default) or follow",
    },
    {
      name: "timeout",
      value: "TIME",
      help: "for the handshake (30s)",
    },
    {
      name: "idle-timeout",
      value: "TIME",
      help: "end when nothing came for TIME",
    },
    {
      name: "max-buffer",
      value: "SIZE",
      help: 'how much may wait to be written, as in "64M" (64M)',
    },
    {
      name: "overflow",
      value: "HOW",
      choices: ["error", "drop-oldest"],
      help: "past that: error (default) or drop-oldest",
    },
    {
      name: "ca-cert",
      value: "FILE",
      file: true,
      repeat: true,
      help: "trust these authorities (PEM) too; repeatable",
    },
    {
      name: "cert",
      value: "FILE",
      file: true,
      help: "client certificate (PEM)",
    },
    {
      name: "key",
      value: "FILE",
      file: true,
      help: "its key (PEM)",
    },
    {
      name: "proxy",
      value: "URL",
      help: "http:, https: or socks5: proxy",
    },
  ],
  "Other": [
    {
      name: "listen",
      help: "demo: keep the feed up for other clients",
    },
    {
      name: "port",
      value: "N",
      help: "demo --listen: on this port",
    },
    { name: "help", short: "h", help: "this text" },
    { name: "version", short: "V", help: "the version" },
  ],
} as const satisfies Record<string, readonly Option[]>;

type Known = typeof GROUPS[keyof typeof GROUPS][number];

/** The names of the options that are switches. */
export type SwitchName = Exclude<Known, { value: string }>["name"];
/** The names of the options that take a value. */
export type ValueName = Extract<Known, { value: string }>["name"];

/** Every option, in the order of the help. */
export const OPTIONS: readonly (Option & { name: SwitchName | ValueName })[] =
  Object.values(GROUPS).flat();

/** What can stand in the place of the URL. */
export const COMMANDS = ["demo", "completions"] as const;

/** The shells that `completions` knows. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
