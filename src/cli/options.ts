/** What the command line can be asked for besides texts: `tap` stands for a URL alone. */
export type Command = "tap" | "demo" | "ping" | "replay";

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
  /** The commands that it is for; by default `tap` and `demo`. */
  readonly for?: readonly Command[];
  /** Whether the help has it on the line of the option before it. */
  readonly joins?: true;
  readonly help: string;
}

/** The options under the headings of the help. */
export const GROUPS = {
  "Look at the handshake (its response head goes to standard error)": [
    {
      name: "include",
      short: "i",
      help: "the head on standard output, before the messages",
    },
    {
      name: "head",
      short: "I",
      help: "the head on standard output, and end",
    },
    {
      name: "quiet",
      short: "q",
      for: ["tap", "demo", "ping", "replay"],
      help: "no head, no status line: errors only",
    },
    {
      name: "verbose",
      short: "v",
      for: ["tap", "demo", "ping"],
      help: "the request head too, secrets masked, and timings",
    },
  ],
  "Receive (one message a line on standard output)": [
    {
      name: "count",
      short: "n",
      value: "N",
      for: ["tap", "demo", "ping"],
      help: "end after N messages, or N pings",
    },
    {
      name: "duration",
      value: "TIME",
      for: ["tap", "demo", "ping"],
      help: "end after TIME",
    },
    {
      name: "format",
      value: "FORMAT",
      choices: ["text", "json", "ndjson"],
      help: "text, json or ndjson (objects: time, type, data)",
    },
    {
      name: "batch",
      value: "TIME",
      help: "what came in each TIME as a JSON array (of strings)",
    },
    {
      name: "max",
      value: "N",
      help: "at most N messages in an array",
    },
    {
      name: "timestamps",
      short: "t",
      help: "time of arrival (ISO 8601) before each line",
    },
    {
      name: "time-format",
      value: "FORMAT",
      help: 'that time as in "HH:mm:ss.SSS", local',
    },
    {
      name: "output",
      short: "o",
      value: "FILE",
      file: true,
      help: "append to FILE instead",
    },
    {
      name: "binary",
      help: "nothing between messages; send binary ones",
    },
    {
      name: "summary",
      help: "totals on standard error at the end",
    },
  ],
  "Send (once connected, then standard input)": [
    {
      name: "send",
      short: "s",
      value: "TEXT",
      repeat: true,
      help: "send TEXT as a message; repeatable",
    },
    {
      name: "send-file",
      value: "FILE",
      file: true,
      repeat: true,
      help: "send the whole FILE as a message; repeatable",
    },
  ],
  "Connect": [
    {
      name: "header",
      short: "H",
      value: "LINE",
      repeat: true,
      for: ["tap", "demo", "ping", "replay"],
      help: 'send a header "Name: value"; repeatable',
    },
    {
      name: "user",
      short: "u",
      value: "NAME[:PW]",
      for: ["tap", "demo", "ping"],
      help: "basic authentication; asks for a missing password",
    },
    {
      name: "bearer",
      value: "TOKEN",
      for: ["tap", "demo", "ping"],
      help: "bearer authentication",
    },
    {
      name: "protocol",
      short: "p",
      value: "NAME",
      repeat: true,
      for: ["tap", "demo", "ping"],
      help: "offer a subprotocol; repeatable",
    },
    {
      name: "capture",
      value: "MODE",
      choices: ["preflight", "direct", "none"],
      help: "where the head comes from: preflight, direct or none",
    },
    {
      name: "redirect",
      value: "HOW",
      choices: ["error", "follow"],
      for: ["tap", "demo", "ping"],
      help: "what a redirect is: error or follow",
    },
    {
      name: "timeout",
      value: "TIME",
      for: ["tap", "demo", "ping"],
      help: "how long the handshake may take (30s)",
    },
    {
      name: "compress",
      help: "offer compression; needs --capture direct",
    },
    {
      name: "ping-interval",
      value: "TIME",
      help: "send a ping every TIME; needs --capture direct",
    },
    {
      name: "ping-timeout",
      value: "TIME",
      for: ["tap", "demo", "ping"],
      help: "how long its pong may take (20s)",
    },
    {
      name: "idle-timeout",
      value: "TIME",
      for: ["tap", "demo", "ping"],
      help: "end when nothing came for TIME",
    },
    {
      name: "max-buffer",
      value: "SIZE",
      help: "how much may wait to be written (64M)",
    },
    {
      name: "overflow",
      value: "HOW",
      choices: ["error", "drop-oldest"],
      help: "past that: error or drop-oldest",
    },
    {
      name: "ca-cert",
      value: "FILE",
      file: true,
      repeat: true,
      for: ["tap", "demo", "ping"],
      help: "trust this authority (PEM) too; repeatable",
    },
    {
      name: "cert",
      value: "FILE",
      file: true,
      for: ["tap", "demo", "ping"],
      help: "client certificate (PEM)",
    },
    {
      name: "key",
      value: "FILE",
      file: true,
      for: ["tap", "demo", "ping"],
      help: "its key (PEM)",
    },
    {
      name: "proxy",
      value: "URL",
      for: ["tap", "demo", "ping"],
      help: "go through an http:, https: or socks5: proxy",
    },
  ],
  "Connect again": [
    {
      name: "reconnect",
      short: "r",
      help: "when the connection ends or fails",
    },
    {
      name: "min-delay",
      value: "TIME",
      help: "the first wait before that (1s)",
    },
    {
      name: "max-delay",
      value: "TIME",
      help: "the longest wait, to which they grow (30s)",
    },
    {
      name: "max-attempts",
      value: "N",
      help: "give up after N failures in a row",
    },
  ],
  "Measure round trips (wstap ping)": [
    {
      name: "interval",
      value: "TIME",
      for: ["ping"],
      help: "send a ping every TIME (1s)",
    },
  ],
  "Serve on this machine (wstap replay, wstap demo)": [
    {
      name: "port",
      value: "N",
      for: ["replay", "demo"],
      help: "listen on port N instead of one that is free",
    },
    {
      name: "listen",
      for: ["demo"],
      help: "demo: keep the feed up for other clients",
    },
    {
      name: "speed",
      value: "N",
      for: ["replay"],
      help: "N times as fast as recorded, or max",
    },
    {
      name: "loop",
      for: ["replay"],
      help: "begin again at the end instead of closing",
    },
    {
      name: "close-after",
      value: "N[:CODE]",
      for: ["replay"],
      help: "close after N messages to a client (1000)",
    },
    {
      name: "drop-after",
      value: "N",
      for: ["replay"],
      help: "cut the connection after N messages",
    },
    {
      name: "stall-after",
      value: "N",
      for: ["replay"],
      help: "send and answer nothing after N messages",
    },
    {
      name: "refuse",
      value: "STATUS[:N]",
      for: ["replay"],
      help: "refuse every handshake, or the first N",
    },
  ],
  "Other": [
    {
      name: "help",
      short: "h",
      for: ["tap", "demo", "ping", "replay"],
      help: "this text, or the version",
    },
    {
      name: "version",
      short: "V",
      joins: true,
      for: ["tap", "demo", "ping", "replay"],
      help: "the version",
    },
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

/** Whether an option goes with a command. */
export function isFor(option: Option, command: Command): boolean {
  return (option.for ?? ["tap", "demo"]).includes(command);
}

/** What can stand in the place of the URL. */
export const COMMANDS = ["ping", "replay", "demo", "completions"] as const;

/** The shells that `completions` knows. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
