import { GROUPS, type Option } from "./options.ts";
import { BEARER_VARIABLE, USER_VARIABLE } from "./secrets.ts";

const USAGE = `\
wstap: see what answers a WebSocket handshake, and take what the feed sends

Usage: wstap [OPTION...] URL [FALLBACK-URL...]
       wstap demo [OPTION...]           tap a small feed on this machine
       wstap demo --listen [--port N]   keep that feed up for other clients
       wstap completions bash|zsh|fish  print completions for a shell
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

/** The text of `--help`. */
export function help(): string {
  const groups = Object.entries(GROUPS).map(([heading, options]) =>
    `${heading}:\n${helpLines(options).join("")}`
  );
  return `${USAGE}\n${groups.join("")}${NOTES}\n`;
}

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
