import { GROUPS, isFor, type Option } from "./options.ts";
import { BEARER_VARIABLE, USER_VARIABLE } from "./secrets.ts";

const USAGE = `\
wstap: see what answers a WebSocket handshake, and take what the feed sends

Usage: wstap [OPTION...] URL [FALLBACK-URL...]
       wstap ping [OPTION...] URL       measure round trips
       wstap replay [OPTION...] FILE    serve what -o FILE recorded as ndjson
       wstap demo [OPTION...]           tap a small feed on this machine
       wstap demo --listen [--port N]   keep that feed up for other clients
       wstap completions bash|zsh|fish  print completions for a shell
       wstap COMMAND --help             only what goes with that command
`;

const NOTES = `\
Formats: json is pretty on a terminal, and makes arrays of values; ndjson has
  binary messages in base64.
Capture: preflight asks ahead on a connection of its own; direct is one
  connection, exact, and slows a fast feed down; none asks nothing.
Secrets: @FILE as the value of -H, -u, --bearer or --proxy, or ${USER_VARIABLE} or
  ${BEARER_VARIABLE} in the environment, keeps one off the command line.
Input: each line of standard input, unless a terminal, is sent as a message; its
  end does not end receiving. Times: "250ms", "10s", "1m 30s".
Exit status: 0 the feed or a limit ended (or the reader of the pipe), 1 lost or
  overflowed, 2 usage, 3 refused, 4 cannot reach, 5 cannot write, 6 permission
  missing, 70 a bug, 130 interrupted, 143 terminated.
Examples:
  wstap -I wss://example.com/feed                     only the response head
  wstap --batch 3s --max 500 wss://example.com/feed   JSON arrays, for a pipe
  wstap -r -q --format ndjson -o log.ndjson wss://example.com/feed
  wstap -n 1 -s '{"subscribe":"trades"}' wss://example.com/feed | jq .`;

/** The text of `--help`, of everything or of one command. */
export function help(command?: string): string {
  const groups = Object.entries(GROUPS).map((
    [heading, options],
  ): [string, readonly Option[]] => [heading, options]);
  if (command !== undefined && command in COMMAND_USAGE) {
    const known = command as keyof typeof COMMAND_USAGE;
    const own = groups.map(([heading, options]) =>
      describeGroup(heading, options.filter((it) => isFor(it, known)))
    );
    return `${COMMAND_USAGE[known]}\n${own.join("")}`;
  }
  return `${USAGE}\n${
    groups.map(([heading, options]) => describeGroup(heading, options)).join("")
  }${NOTES}\n`;
}

function describeGroup(heading: string, options: readonly Option[]): string {
  return options.length === 0
    ? ""
    : `${heading}:\n${helpLines(options).join("")}`;
}

const COMMAND_USAGE = {
  ping: `\
Measures round trips to a WebSocket server, over capture "direct".

Usage: wstap ping [OPTION...] URL [FALLBACK-URL...]

Prints a line for each pong, and at the end the count, the loss, and the
shortest, median and longest round trip. It goes on until Ctrl-C, unless -n or
--duration ends it, and ends with 1 if a pong was missing.
`,
  replay: `\
Serves a recorded feed on 127.0.0.1, and prints its URL.

Usage: wstap replay [OPTION...] FILE

FILE is what wstap --format ndjson -o FILE has written. Each client gets the
whole feed with its timing, and at the end is closed as the recording was, or cut
if the connection was lost. It goes on until Ctrl-C.
`,
};

function helpLines(options: readonly Option[]): string[] {
  const lines: { flags: string; help: string }[] = [];
  for (const { name, short, value, help, joins } of options) {
    const flag = `--${name}${value === undefined ? "" : ` ${value}`}`;
    const before = lines.at(-1);
    if (joins && before !== undefined) before.flags += `, ${flag}`;
    else {
      const letter = short === undefined ? "    " : `-${short}, `;
      lines.push({ flags: letter + flag, help });
    }
  }
  return lines.map(({ flags, help }) => `  ${flags.padEnd(24)} ${help}\n`);
}
