import { assertEquals, assertThrows } from "@std/assert";
import { tapSettings } from "../src/cli/args.ts";
import { CliError, EXIT } from "../src/cli/exit.ts";
import { parseFlags } from "../src/cli/flags.ts";
import { OPTIONS } from "../src/cli/options.ts";

const URL = "ws://127.0.0.1:9/";

function settings(...args: string[]) {
  const flags = parseFlags(args);
  return tapSettings(flags, flags.positionals);
}

const wrong: [args: string[], message: string][] = [
  [["--tiemout", "3s"], "Unknown option --tiemout: did you mean --timeout?"],
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
    "The value of --min-delay is above that of --max-delay",
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
    'Invalid --proxy: expected a URL such as "http://127.0.0.1:3128" or "socks5://127.0.0.1:1080"',
  ],
];

for (const [args, message] of wrong) {
  Deno.test(`wstap ${JSON.stringify(args)} says what is wrong`, () => {
    const error = assertThrows(() => settings(URL, ...args), CliError);
    assertEquals([error.code, error.message], [EXIT.usage, message]);
  });
}

Deno.test("an option without a value at the end does not take the URL for one", () => {
  const flags = parseFlags(["-q", URL]);
  assertEquals(flags.positionals, [URL]);
});

Deno.test("values may be attached, empty, begin with a dash, or hold anything", () => {
  const flags = parseFlags([
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

Deno.test("a proxy's credentials go where Deno wants them", () => {
  const { connect } = settings("--proxy", "http://me:p%40ss@localhost:1", URL);
  assertEquals(connect.http?.proxy, {
    url: "http://localhost:1/",
    basicAuth: { username: "me", password: "p@ss" },
  });
});

Deno.test("no two options share a name or a letter", () => {
  const names = OPTIONS.map((option) => option.name);
  const letters = OPTIONS.flatMap((option) => option.short ?? []);
  assertEquals(new Set(names).size, names.length);
  assertEquals(new Set(letters).size, letters.length);
});
