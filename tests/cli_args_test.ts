import { assertEquals, assertThrows } from "@std/assert";
import { checkCommand, parseArguments } from "../src/cli/flags/parse.ts";
import { CliError, EXIT, explain } from "../src/cli/errors.ts";
import { type Command, OPTIONS } from "../src/cli/flags/table.ts";
import {
  pingSettings,
  replaySettings,
  tapSettings,
} from "../src/cli/flags/values.ts";

const URL = "ws://127.0.0.1:9/";

function settings(...args: string[]) {
  const flags = parseArguments(args);
  return tapSettings(flags, flags.positionals);
}

const wrong: [args: string[], message: string][] = [
  [["--tiemout", "3s"], "Unknown option --tiemout: did you mean --timeout?"],
  [["--foo"], "Unknown option --foo: see wstap --help"],
  [["--haed"], "Unknown option --haed: did you mean --head?"],
  [["--vresion"], "Unknown option --vresion: did you mean --version?"],
  [["--reconect"], "Unknown option --reconect: did you mean --reconnect?"],
  [["--heade=x"], "Unknown option --heade: did you mean --head?"],
  [["--zzzzzzzz"], "Unknown option --zzzzzzzz: see wstap --help"],
  [["--__proto__"], "Unknown option --__proto__: see wstap --help"],
  [["-x"], "Unknown option -x: see wstap --help"],
  [["-qx"], "Unknown option -x in -qx: see wstap --help"],
  [["-timeout"], "Unknown option -timeout: did you mean --timeout?"],
  [["-n"], "The option -n needs a value: -n N"],
  [["--output"], "The option --output needs a value: --output FILE"],
  [["--quiet=yes"], "The option --quiet takes no value"],
  [["-n", "1", "-n", "2"], "The option --count is given more than once"],
  [["-n", "1", "--count=1"], "The option --count is given more than once"],
  [["-n", "abc"], 'Invalid --count "abc": expected a whole number from 1'],
  [["-n", "0"], 'Invalid --count "0": expected a whole number from 1'],
  [["-n", "-5"], 'Invalid --count "-5": expected a whole number from 1'],
  [["-n", "1.5"], 'Invalid --count "1.5": expected a whole number from 1'],
  [["-n", "1e3"], 'Invalid --count "1e3": expected a whole number from 1'],
  [["-n", ""], 'Invalid --count "": expected a whole number from 1'],
  [
    ["-n", "wss://me:secret@example.com/"],
    "Invalid --count (a URL): expected a whole number from 1",
  ],
  [["--max", "1"], "The option --max needs --batch"],
  [
    ["--batch", "1s", "--max", "0"],
    'Invalid --max "0": expected a whole number from 1',
  ],
  [
    ["--batch", "10"],
    'Invalid --batch: Cannot parse duration "10": a unit is missing, as in "10s"',
  ],
  [
    ["--batch", "0"],
    'Invalid --batch "0": expected more than nothing, as in "10s"',
  ],
  [
    ["--wait", "-5s"],
    'Invalid --wait: Invalid duration "-5s": it is negative, expected a time such as "10s" or "1m 30s"',
  ],
  [
    ["--duration", ""],
    'Invalid --duration "": expected more than nothing, as in "10s"',
  ],
  [
    ["--format", "xml"],
    'Invalid --format "xml": expected text, json or ndjson',
  ],
  [
    ["--capture", ""],
    'Invalid --capture "": expected preflight, direct or none',
  ],
  [["--output", ""], "The value of --output is empty"],
  [["--cert", "a"], "The options --cert and --key go together"],
  [["--min-delay", "1s"], "The option --min-delay needs --reconnect"],
  [
    ["-r", "--min-delay", "9s", "--max-delay", "1s"],
    "Invalid --min-delay: expected at most --max-delay, which is 1000 ms, got 9000 ms",
  ],
  [["-H", "secret"], 'Invalid header in --header: expected "Name: value"'],
  [["-u", "a:b", "--bearer", "c"], "--user and --bearer exclude each other"],
  [
    ["--bearer", "c", "-H", "authorization: d"],
    "--bearer and an Authorization header exclude each other",
  ],
  [["--bearer", ""], "The value of --bearer is empty"],
  [
    ["--max-buffer", "much"],
    'Invalid --max-buffer "much": expected a number of bytes, as in "64M" or "65536"',
  ],
  [
    ["--max-buffer", "0"],
    'Invalid --max-buffer "0": expected a number of bytes, as in "64M" or "65536"',
  ],
  [
    ["--binary", "-t"],
    "The options --binary and --timestamps exclude each other: --format ndjson has both",
  ],
  [
    ["--proxy", "localhost:3128"],
    'Invalid proxy in --proxy: expected a URL such as "http://127.0.0.1:3128" or "socks5://127.0.0.1:1080"',
  ],
  [
    ["--stop-on", "1008"],
    "The option --stop-on needs --reconnect",
  ],
  ...["", "x", "999", "1008,", "5000", "4999-4000", "1000-2-3", "all"].map((
    codes,
  ): [string[], string] => [
    ["-r", "--stop-on", codes],
    `Invalid --stop-on ${
      JSON.stringify(codes)
    }: expected close codes from 1000 to 4999, as in "1008,4000-4999", or none`,
  ]),
  [
    ["-k", "--capture", "none"],
    "The option --insecure needs --capture direct, not none",
  ],
  [
    ["--compress", "--capture=preflight"],
    "The option --compress needs --capture direct, not preflight",
  ],
  [
    ["wss://localhost/", "--unix-socket", "x", "--capture=preflight"],
    "The option --unix-socket needs --capture direct for wss:, not preflight",
  ],
  ...["", "host", "host:", ":80", "host:0", "host:65536", "::1:80", "a b:1"]
    .map((address): [string[], string] => [
      ["--connect-to", address],
      `Invalid --connect-to ${
        JSON.stringify(address)
      }: expected a host and a port, as in "10.0.0.7:443" or "[::1]:8080"`,
    ]),
  [
    ["--connect-to", "a:1", "--proxy", "http://b:1"],
    "The options --proxy and --connect-to exclude each other",
  ],
  [["--unix-socket", ""], "The value of --unix-socket is empty"],
  [
    ["-L", "--redirect", "error"],
    "--location and --redirect error exclude each other",
  ],
  [
    ["--heartbeat-interval", "1s"],
    "The option --heartbeat-interval needs --heartbeat",
  ],
  [
    ["--heartbeat", "x", "--heartbeat-interval", "0"],
    'Invalid --heartbeat-interval "0": expected more than nothing, as in "10s"',
  ],
  [
    ["-w", "5"],
    'Invalid --wait: Cannot parse duration "5": a unit is missing, as in "5s"',
  ],
  [
    ["--decompress", "br"],
    'Invalid --decompress "br": expected gzip, deflate, deflate-raw or zstd',
  ],
  [["--rotate", "1M"], "The option --rotate needs --output FILE"],
  [["--rotate", "1M", "-o", "-"], "The option --rotate needs --output FILE"],
  ...["", "0", "often", "-1"].map((extent): [string[], string] => [
    ["-o", "x", "--rotate", extent],
    `Invalid --rotate ${
      JSON.stringify(extent)
    }: expected a size such as "64M", or a time such as "1h"`,
  ]),
  ...[[], ["-o", "x"], ["--format=ndjson", "-o", "-"]].map((
    args,
  ): [string[], string] => [
    ["--record-sent", ...args],
    "The option --record-sent needs a recording: --format ndjson --output FILE, without --batch",
  ]),
];

for (const [args, message] of wrong) {
  Deno.test(`wstap ${JSON.stringify(args)} says what is wrong`, () => {
    const error = assertThrows(() => settings(URL, ...args), CliError);
    assertEquals([error.code, error.message], [EXIT.usage, message]);
  });
}

const REPLAY_USAGE = "Expected one file, as in wstap replay feed.ndjson";

const wrongCommands: [command: Command, args: string[], message: string][] = [
  ["tap", ["--speed", "2"], "The option --speed is for wstap replay"],
  [
    "tap",
    ["--port", "1"],
    "The option --port is for wstap replay and wstap demo",
  ],
  ["tap", ["--interval", "1s"], "The option --interval is for wstap ping"],
  ["demo", ["--loop"], "The option --loop does not go with wstap demo"],
  [
    "ping",
    ["--capture", "none"],
    "The option --capture does not go with wstap ping",
  ],
  ["ping", ["-o", "x"], "The option --output does not go with wstap ping"],
  ["ping", ["--listen"], "The option --listen does not go with wstap ping"],
  ["ping", ["-n", "0"], 'Invalid --count "0": expected a whole number from 1'],
  [
    "ping",
    ["--interval", "0"],
    'Invalid --interval "0": expected more than nothing, as in "10s"',
  ],
  [
    "replay",
    ["wss://me:secret@example.com/"],
    "Expected a file to replay, not a URL",
  ],
  ["replay", [], REPLAY_USAGE],
  ["replay", ["a", "b"], REPLAY_USAGE],
  ["replay", [""], REPLAY_USAGE],
  [
    "replay",
    ["a", "-n", "1"],
    "The option --count does not go with wstap replay",
  ],
  [
    "replay",
    ["a", "--port", "65536"],
    'Invalid --port "65536": expected a whole number from 0 to 65535',
  ],
  ...["0", "-1", "fast", "", "1e9", "Infinity"].map((
    speed,
  ): [Command, string[], string] => [
    "replay",
    ["a", "--speed", speed],
    `Invalid --speed ${
      JSON.stringify(speed)
    }: expected a number above 0, or max`,
  ]),
  ...["x", "1:", "1:1005", "1:1006", "1:999", "1:5000", "1:2:3", ":1000"].map((
    value,
  ): [Command, string[], string] => [
    "replay",
    ["a", "--close-after", value],
    `Invalid --close-after ${
      JSON.stringify(value)
    }: expected a number of messages and a close code that may be sent, as in "10" or "10:1001"`,
  ]),
  ...["x", "101", "600", "503:0", "503:", ":1"].map((
    value,
  ): [Command, string[], string] => [
    "replay",
    ["a", "--refuse", value],
    `Invalid --refuse ${
      JSON.stringify(value)
    }: expected a status from 200 to 599, and how many handshakes, as in "503" or "503:3"`,
  ]),
  [
    "replay",
    ["a", "--drop-after", "x"],
    'Invalid --drop-after "x": expected a whole number from 0',
  ],
  [
    "replay",
    ["a", "--drop-after", "1", "--stall-after", "2", "--close-after", "3"],
    "The options --close-after, --drop-after and --stall-after exclude each other",
  ],
  [
    "replay",
    ["a", "--client-messages", "all"],
    'Invalid --client-messages "all": expected ignore, any or exact',
  ],
  ["replay", ["a", "--entry", ""], "The value of --entry is empty"],
  [
    "replay",
    ["a", "--allow-origin", "a.example"],
    'Invalid --allow-origin "a.example": expected an origin such as "https://app.example:8443", or *',
  ],
  [
    "replay",
    ["a", "--allow-origin", "https://me:secret@a.example/?token=secret"],
    'Invalid --allow-origin (a URL): expected an origin such as "https://app.example:8443", or *',
  ],
  [
    "replay",
    ["a", "-H", "Upgrade: x"],
    'The header "Upgrade" cannot be set: the handshake writes it itself',
  ],
];
for (const [command, args, message] of wrongCommands) {
  Deno.test(`wstap ${command} ${JSON.stringify(args)} says what is wrong`, () => {
    const error = assertThrows(() => {
      const flags = parseArguments(args);
      checkCommand(flags, command);
      const check = { replay: replaySettings, ping: pingSettings };
      check[command as keyof typeof check](flags, flags.positionals);
    }, Error);
    assertEquals([explain(error).code, error.message], [EXIT.usage, message]);
  });
}

Deno.test("an option without a value at the end does not take the URL for one", () => {
  const flags = parseArguments(["-q", URL]);
  assertEquals(flags.positionals, [URL]);
});

Deno.test("values may be attached, empty, begin with a dash, or hold anything", () => {
  const flags = parseArguments([
    ...["-n5", "-qH", "A: b", "-HC: d", "--header=E: =f", "-s", ""],
    ...["-s", "-1", "--send=", "--send", "--quiet", "-s", "two\nlines"],
    ...["--bearer=a=b", "5", "--", "-n"],
  ]);
  assertEquals(flags.get("count"), "5");
  assertEquals(flags.has("quiet"), true);
  assertEquals(flags.all("header"), ["A: b", "C: d", "E: =f"]);
  assertEquals(flags.all("send"), ["", "-1", "", "--quiet", "two\nlines"]);
  assertEquals(flags.get("bearer"), "a=b");
  assertEquals(flags.positionals, ["5", "-n"]);
});

Deno.test("sizes have units of 1024", () => {
  for (
    const [text, bytes] of [
      ["65536", 65536],
      ["1k", 1024],
      ["2MiB", 2 * 1024 ** 2],
      ["1GB", 1024 ** 3],
    ] as const
  ) {
    const { connect } = settings("--max-buffer", text, URL);
    assertEquals(connect.maxBuffer, { bytes });
  }
});

Deno.test("what only direct can serve chooses it", () => {
  const choosing = [
    ["-k"],
    ["--compress"],
    ["--ping-interval", "5s"],
    ["--ping-timeout", "5s"],
    ["wss://localhost/", "--connect-to", "127.0.0.1:8443"],
    ["wss://localhost/", "--unix-socket", "/run/feed.sock"],
    ["--connect-to", "127.0.0.1:8080"],
  ];
  for (const args of choosing) {
    assertEquals(settings(URL, ...args).connect.capture, "direct", `${args}`);
  }
  for (const args of [[], ["-L"]]) {
    assertEquals(settings(URL, ...args).connect.capture, undefined, `${args}`);
  }
  const none = settings(URL, "--capture", "none", "--connect-to", "[::1]:80");
  assertEquals(none.connect.capture, "none");
  assertEquals(none.connect.http?.address, { hostname: "::1", port: 80 });
});

Deno.test("--stop-on lists codes and ranges of codes", () => {
  const stops = (...args: string[]) =>
    [1000, 1008, 1011, 4000, 4999].filter((code) =>
      settings(URL, "-r", ...args).reconnect!.stopsOn?.(code)
    );
  assertEquals(stops("--stop-on", "1000, 4000-4500"), [1000, 4000]);
  assertEquals(stops("--stop-on", "none"), []);
  assertEquals(settings(URL, "-r").reconnect!.stopsOn, undefined);
});

Deno.test("--rotate takes a size or a time, and 10m are minutes", () => {
  const rotate = (extent: string) =>
    settings(URL, "-o", "x", "--rotate", extent).rotate;
  assertEquals(rotate("10M"), { bytes: 10 * 1024 ** 2 });
  assertEquals(rotate("10mb"), { bytes: 10 * 1024 ** 2 });
  assertEquals(rotate("4096"), { bytes: 4096 });
  assertEquals(rotate("10m"), { milliseconds: 600_000 });
  assertEquals(rotate("1h 30m"), { milliseconds: 5_400_000 });
});

Deno.test("-o - is standard output", () => {
  assertEquals(settings(URL, "-o", "-").output, null);
});

Deno.test("no two options share a name or a letter", () => {
  const names = OPTIONS.map((option) => option.name);
  const letters = OPTIONS.flatMap((option) => option.short ?? []);
  assertEquals(new Set(names).size, names.length);
  assertEquals(new Set(letters).size, letters.length);
});
