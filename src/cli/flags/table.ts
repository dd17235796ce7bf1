import { usageError } from "../errors.ts";
import { BEARER_VARIABLE, USER_VARIABLE } from "./variables.ts";

/** What the command line can be asked for besides texts: `tap` is a URL alone. */
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
  /** Its value if it is not given, for the help. */
  readonly default?: string;
  /** Whether its value names a file, for completions. */
  readonly file?: true;
  /** The commands that it goes with; by default `tap` and `demo`. */
  readonly for?: readonly Command[];
  /** Whether the help has it on the line of the option before it. */
  readonly joins?: true;
  readonly help: string;
}

/** The commands that connect. */
const CLIENTS = ["tap", "demo", "ping"] as const;

/** The options under the headings of the help. */
export const GROUPS = {
  "Show the handshake (the response head goes to standard error)": [
    {
      name: "include",
      short: "i",
      help: "print the head on standard output before messages",
    },
    {
      name: "head",
      short: "I",
      help: "print the head on standard output, and exit",
    },
  ],
  "Receive (each message is a line on standard output)": [
    {
      name: "count",
      short: "n",
      value: "N",
      for: CLIENTS,
      help: "exit after N messages, or N pings",
    },
    {
      name: "duration",
      value: "TIME",
      for: CLIENTS,
      help: "exit after TIME",
    },
    {
      name: "wait",
      short: "w",
      value: "TIME",
      help: "exit when all is sent and TIME brings no message",
    },
    {
      name: "format",
      value: "FORMAT",
      choices: ["text", "json", "ndjson"],
      default: "text",
      help: "text, json, or ndjson (time, type, data)",
    },
    {
      name: "batch",
      value: "TIME",
      help: "write the messages of each TIME as a JSON array",
    },
    {
      name: "max",
      value: "N",
      help: "put at most N messages into an array",
    },
    {
      name: "decompress",
      value: "METHOD",
      choices: ["gzip", "deflate", "deflate-raw", "zstd"],
      help: "inflate binary ones: gzip, deflate(-raw), zstd",
    },
    {
      name: "timestamps",
      short: "t",
      help: "put the time of arrival (ISO 8601) before each line",
    },
    {
      name: "time-format",
      value: "FORMAT",
      help: 'format that time, as in "HH:mm:ss.SSS" (local)',
    },
    {
      name: "output",
      short: "o",
      value: "FILE",
      file: true,
      help: "append to FILE; with ndjson it can be replayed",
    },
    {
      name: "rotate",
      value: "SIZE|TIME",
      help: "begin a new FILE when it is that large or old",
    },
    {
      name: "record-sent",
      help: "record what is sent, too; it may hold secrets",
    },
    {
      name: "binary",
      help: "put nothing between messages; send binary ones",
    },
    {
      name: "summary",
      help: "print totals on standard error at the end",
    },
  ],
  "Send (first these, then each line of standard input)": [
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
      help: "send all of FILE as one message; repeatable",
    },
    {
      name: "no-input",
      help: "read nothing from standard input, as ssh -n",
    },
    {
      name: "heartbeat",
      value: "TEXT",
      help: "send TEXT again and again while connected",
    },
    {
      name: "heartbeat-interval",
      value: "TIME",
      default: "30s",
      help: "how often to send it",
    },
  ],
  "Connect": [
    {
      name: "header",
      short: "H",
      value: "LINE",
      repeat: true,
      for: [...CLIENTS, "replay"],
      help: 'send a header, as in "Name: value"; repeatable',
    },
    {
      name: "user",
      short: "u",
      value: "NAME[:PW]",
      for: CLIENTS,
      help: "basic authentication; asks for a missing password",
    },
    {
      name: "bearer",
      value: "TOKEN",
      for: CLIENTS,
      help: "bearer authentication",
    },
    {
      name: "protocol",
      short: "p",
      value: "NAME",
      repeat: true,
      for: CLIENTS,
      help: "offer a subprotocol; repeatable",
    },
    {
      name: "capture",
      value: "MODE",
      choices: ["preflight", "direct", "none"],
      default: "preflight",
      help: "of the head: preflight, direct, none",
    },
    {
      name: "redirect",
      value: "HOW",
      choices: ["error", "follow"],
      for: CLIENTS,
      default: "error",
      help: "what to do at a redirect: error or follow",
    },
    {
      name: "location",
      short: "L",
      for: CLIENTS,
      help: "follow redirects, as --redirect follow",
    },
    {
      name: "timeout",
      value: "TIME",
      for: CLIENTS,
      default: "30s",
      help: "the longest time for the handshake",
    },
    {
      name: "compress",
      help: "offer compression; chooses direct",
    },
    {
      name: "ping-interval",
      value: "TIME",
      help: "send a ping every TIME; chooses direct",
    },
    {
      name: "ping-timeout",
      value: "TIME",
      for: CLIENTS,
      default: "20s",
      help: "the longest wait for a pong",
    },
    {
      name: "idle-timeout",
      value: "TIME",
      for: CLIENTS,
      help: "give the connection up after TIME without traffic",
    },
    {
      name: "message-timeout",
      value: "TIME",
      help: "give the connection up after TIME without a message",
    },
    {
      name: "max-buffer",
      value: "SIZE",
      default: "64M",
      help: "how much may wait to be written",
    },
    {
      name: "overflow",
      value: "HOW",
      choices: ["error", "drop-oldest"],
      default: "error",
      help: "beyond that: error or drop-oldest",
    },
    {
      name: "insecure",
      short: "k",
      for: CLIENTS,
      help: "accept any certificate; chooses direct",
    },
    {
      name: "ca-cert",
      value: "FILE",
      file: true,
      repeat: true,
      for: CLIENTS,
      help: "trust this authority (PEM) as well; repeatable",
    },
    {
      name: "cert",
      value: "FILE",
      file: true,
      for: CLIENTS,
      help: "the client's certificate (PEM)",
    },
    {
      name: "key",
      value: "FILE",
      file: true,
      for: CLIENTS,
      help: "the private key of --cert (PEM)",
    },
    {
      name: "proxy",
      value: "URL",
      for: CLIENTS,
      help: "go through an http:, https: or socks5: proxy",
    },
    {
      name: "connect-to",
      value: "HOST:PORT",
      for: CLIENTS,
      help: "connect there instead of to the URL's host",
    },
    {
      name: "unix-socket",
      value: "PATH",
      file: true,
      for: CLIENTS,
      help: "connect to this Unix socket instead",
    },
  ],
  "Connect again": [
    {
      name: "reconnect",
      short: "r",
      help: "connect again when the connection ends or fails",
    },
    {
      name: "stop-on",
      value: "CODES",
      default: "1008,4000-4999",
      help: "but not after these codes",
    },
    {
      name: "min-delay",
      value: "TIME",
      default: "1s",
      help: "the first delay before that",
    },
    {
      name: "max-delay",
      value: "TIME",
      default: "30s",
      help: "the longest delay; they grow up to it",
    },
    {
      name: "max-attempts",
      value: "N",
      help: "give up after N failures in a row",
    },
  ],
  "wstap ping": [
    {
      name: "interval",
      value: "TIME",
      for: ["ping"],
      default: "1s",
      help: "send a ping every TIME",
    },
  ],
  "wstap replay, wstap demo --listen": [
    {
      name: "listen",
      for: ["demo"],
      help: "keep the demo's feed running for other clients",
    },
    {
      name: "port",
      value: "N",
      for: ["replay", "demo"],
      help: "listen on port N instead of a free one",
    },
    {
      name: "speed",
      value: "N",
      for: ["replay"],
      default: "1",
      help: "play N times as fast; max for no delays",
    },
    {
      name: "loop",
      for: ["replay"],
      help: "start again at the end instead of closing",
    },
    {
      name: "close-after",
      value: "N[:CODE]",
      for: ["replay"],
      help: "close after N messages, with CODE (1000)",
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
      help: "refuse all handshakes, or the first N",
    },
    {
      name: "client-messages",
      value: "HOW",
      choices: ["ignore", "any", "exact"],
      default: "ignore",
      for: ["replay"],
      help: "of a client: ignore, any, exact",
    },
    {
      name: "entry",
      value: "N|TEXT",
      for: ["replay"],
      help: "which connection of a HAR: number or part of URL",
    },
    {
      name: "allow-origin",
      value: "ORIGIN",
      repeat: true,
      for: ["replay"],
      help: "let pages of ORIGIN connect, too; repeatable",
    },
  ],
  "Other": [
    {
      name: "quiet",
      short: "q",
      for: [...CLIENTS, "replay"],
      help: "show errors only: no head, no status line",
    },
    {
      name: "verbose",
      short: "v",
      for: CLIENTS,
      help: "show the request too, secrets masked, and timings",
    },
    {
      name: "help",
      short: "h",
      for: [...CLIENTS, "replay"],
      help: "print this text, or the version",
    },
    {
      name: "version",
      short: "V",
      joins: true,
      for: [...CLIENTS, "replay"],
      help: "print the version",
    },
  ],
} as const satisfies Record<string, readonly Option[]>;

type Known = typeof GROUPS[keyof typeof GROUPS][number];

/** The names of the options that are switches. */
export type SwitchName = Exclude<Known, { value: string }>["name"];
/** The names of the options that take a value. */
export type ValueName = Extract<Known, { value: string }>["name"];
/** The names of the options that take one of a few words. */
export type ChoiceName = Extract<Known, { choices: unknown }>["name"];
/** The words that an option takes. */
export type Choice<N extends ChoiceName> = Extract<
  Known,
  { name: N; choices: unknown }
>["choices"][number];

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

const USAGE = `\
wstap: show what answers a WebSocket handshake, and receive what the feed sends

Usage: wstap [OPTION...] URL [FALLBACK-URL...]
       wstap ping [OPTION...] URL       measure round trips
       wstap replay [OPTION...] FILE    serve a feed recorded with -o FILE
       wstap demo [OPTION...]           receive a small feed of this machine
       wstap demo --listen [--port N]   keep that feed running for others
       wstap completions bash|zsh|fish  print completions for a shell
`;

const NOTES = `\
Formats: json is indented on a terminal, and makes arrays of values, not of
  strings; ndjson has binary messages in base64.
Capture: preflight asks first over a connection of its own; direct is one
  connection, and slows down a feed that is too fast; none asks nothing.
Secrets: to keep one off the command line, give @FILE as the value of -H, -u,
  --bearer or --proxy, or set ${USER_VARIABLE} or ${BEARER_VARIABLE}.
Input: standard input is sent unless it is a terminal. When it ends, receiving
  goes on. Times: "250ms", "10s", "1m 30s". Sizes: "65536", "64M".
Exit status: 0 the feed, a limit or the reader of the pipe ended it; 1 lost,
  buffer overflow or no pong; 2 wrong usage; 3 refused; 4 cannot connect;
  5 cannot write; 6 permission missing; 70 bug; 130 interrupted; 143 terminated.
Examples:
  wstap -I wss://example.com/feed                     only the response head
  wstap --batch 3s --max 500 wss://example.com/feed   JSON arrays, for a pipe
  wstap -r -q --format ndjson -o log.ndjson wss://example.com/feed
  wstap replay --speed 10 log.ndjson                  the same feed, served here
  wstap -n 1 -s '{"subscribe":"trades"}' wss://example.com/feed | jq .
More on a command: wstap ping --help, wstap replay --help.`;

/** What the help of a single command begins with. */
const COMMAND_USAGE = {
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

FILE is what wstap --format ndjson -o FILE has written. Prints the URL of the
feed. Each client gets the whole feed with its timing, and its connection ends
as the recorded one did. It goes on until Ctrl-C.
`,
};

/** The text of `--help`, of everything or of a single command. */
export function help(command?: string): string {
  if (command === "ping" || command === "replay") {
    const options = OPTIONS.filter((option) => isFor(option, command));
    return `${COMMAND_USAGE[command]}\n${helpLines(options).join("")}`;
  }
  const groups = Object.entries(GROUPS).map(([heading, options]) =>
    `${heading}:\n${helpLines(options).join("")}`
  );
  return `${USAGE}\n${groups.join("")}${NOTES}\n`;
}

function helpLines(options: readonly Option[]): string[] {
  const lines: { flags: string; help: string }[] = [];
  for (const option of options) {
    const { name, short, value, joins, default: usual } = option;
    const help = usual === undefined
      ? option.help
      : `${option.help} [${usual}]`;
    const flag = `--${name}${value === undefined ? "" : ` ${value}`}`;
    const before = lines.at(-1);
    if (joins && before !== undefined) before.flags += `, ${flag}`;
    else {
      const letter = short === undefined ? "    " : `-${short}, `;
      lines.push({ flags: letter + flag, help });
    }
  }
  return lines.map(({ flags, help }) => `  ${flags.padEnd(26)} ${help}\n`);
}

/** The completions for a shell, as a script that it reads. */
export function completions(args: readonly string[]): string {
  const [shell, ...rest] = args;
  const write = shell !== undefined && rest.length === 0 &&
    Object.hasOwn(WRITERS, shell) && WRITERS[shell as keyof typeof WRITERS];
  if (write) return write();
  throw usageError(`Expected wstap completions ${SHELLS.join("|")}`);
}

const WRITERS = { bash, zsh, fish };

function bash(): string {
  const cases = (options: readonly Option[], reply: string) =>
    options.length === 0
      ? ""
      : `    ${options.flatMap(flags).join("|")}) ${reply};;\n`;
  const chosen = OPTIONS.filter((option) => option.choices !== undefined);
  const files = OPTIONS.filter((option) => option.file);
  const others = OPTIONS.filter((option) =>
    option.value !== undefined && !option.file && option.choices === undefined
  );
  return `\
# Completions of wstap for bash: source <(wstap completions bash)
_wstap() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  case $previous in
${
    chosen.map((option) => cases([option], `${words(option.choices!)}; return`))
      .join("")
  }${cases(files, `${FILES}; return`)}${
    cases(others, "return")
  }    completions) ${words(SHELLS)}; return;;
  esac
  case $current in
    -*) ${words(OPTIONS.flatMap(flags))};;
    *) if [[ $COMP_CWORD -eq 1 ]]; then ${words(COMMANDS)}
       elif [[ \${COMP_WORDS[1]} == replay ]]; then ${FILES}; fi;;
  esac
}
complete -o filenames -F _wstap wstap
`;
}

const FILES = 'COMPREPLY=($(compgen -f -- "$current"))';

function words(list: readonly string[]): string {
  return `COMPREPLY=($(compgen -W "${list.join(" ")}" -- "$current"))`;
}

function zsh(): string {
  const specs = OPTIONS.map((option) => {
    const { short, name, value, repeat, choices, file } = option;
    const help = option.help.trim().replace(/[[\]:]/g, "\\$&");
    const action = choices !== undefined
      ? `(${choices.join(" ")})`
      : file
      ? "_files"
      : "";
    const argument = value === undefined
      ? ""
      : `:${value.replace(/[[\]:]/g, "\\$&")}:${action}`;
    const rest = `[${help}]${argument}`;
    if (repeat) {
      return flags(option).map((flag) =>
        `'*${flag}${rest.replace(/'/g, "'\\''")}'`
      )
        .join(" \\\n    ");
    }
    const both = short === undefined ? `--${name}` : `'{-${short},--${name}}'`;
    const exclusive = short === undefined ? "" : `(-${short} --${name})`;
    return `'${exclusive}${both}${rest.replace(/'/g, "'\\''")}'`;
  });
  return `\
#compdef wstap
# Completions of wstap for zsh: source <(wstap completions zsh)
_wstap() {
  _arguments -s \\
    ${specs.join(" \\\n    ")} \\
    '1:URL or command:(${COMMANDS.join(" ")})' \\
    '*:argument: _alternative "files:file:_files" "shells:shell:(${
    SHELLS.join(" ")
  })"'
}
compdef _wstap wstap
`;
}

function fish(): string {
  const lines = OPTIONS.map(({ short, name, value, choices, file, help }) =>
    [
      "complete -c wstap",
      short === undefined ? "" : `-s ${short}`,
      `-l ${name}`,
      value === undefined ? "" : file ? "-r -F" : "-x",
      choices === undefined ? "" : `-a '${choices.join(" ")}'`,
      `-d '${help.trim().replace(/['\\]/g, "\\$&")}'`,
    ].filter((part) => part !== "").join(" ")
  );
  return `\
# Completions of wstap for fish: wstap completions fish | source
complete -c wstap -f
complete -c wstap -n __fish_use_subcommand -a '${COMMANDS.join(" ")}'
complete -c wstap -n '__fish_seen_subcommand_from completions' -a '${
    SHELLS.join(" ")
  }'
complete -c wstap -n '__fish_seen_subcommand_from replay' -F
${lines.join("\n")}
`;
}

function flags({ short, name }: Option): string[] {
  return short === undefined ? [`--${name}`] : [`-${short}`, `--${name}`];
}
