/** What is made from the table of options: the help, the reference and the man page. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import denoJson from "../deno.json" with { type: "json" };
import { MAN_PAGE, PAGE, withReference } from "../scripts/reference.ts";
import { EXIT } from "../src/cli/errors.ts";
import { help } from "../src/cli/flags/help.ts";
import { manPage } from "../src/cli/flags/man.ts";
import { checkCommand, parseArguments } from "../src/cli/flags/parse.ts";
import {
  type Command,
  type Option,
  optionFlags,
  OPTIONS,
  STATUSES,
} from "../src/cli/flags/table.ts";
import { output, path } from "./fixtures/command.ts";

/** The words of a text, without the line breaks and the bars that `deno fmt` moves. */
function words(text: string): string {
  return text.replaceAll(/[\s|-]+/g, " ").trim();
}

Deno.test("the reference in docs/command-line.md is what the table says", async () => {
  const page = await Deno.readTextFile(PAGE);
  assert(
    words(page) === words(withReference(page)),
    "it is not current: run deno task reference",
  );
});

Deno.test("docs/wstap.1 is what the table says", async () => {
  assert(
    await Deno.readTextFile(MAN_PAGE) === manPage(denoJson.version),
    "it is not current: run deno task reference",
  );
});

const man = await new Deno.Command("man", { args: ["--version"] }).output()
  .then(
    ({ stdout }) => new TextDecoder().decode(stdout).includes("man 2."),
    () => false,
  );

const mandoc = await new Deno.Command("mandoc", {
  args: ["-Tlint", path("docs/wstap.1")],
}).output().catch(() => null);

Deno.test({
  name: "mandoc finds nothing wrong with wstap.1",
  ignore: mandoc === null,
  fn() {
    assertEquals(new TextDecoder().decode(mandoc!.stdout), "");
    assertEquals(mandoc!.code, 0);
  },
});

Deno.test({
  name: "man shows wstap.1 without a warning",
  ignore: !man,
  async fn() {
    const { stdout, stderr } = await output("man", [
      ...["--warnings=w", "--local-file", path("docs/wstap.1")],
    ], { env: { LC_ALL: "C.UTF-8", MANWIDTH: "80" } });
    assertEquals(stderr, "");
    for (const option of OPTIONS) {
      for (const flag of optionFlags(option)) {
        assertMatch(stdout, new RegExp(`^ {7}.*${flag}\\b`, "m"), flag);
      }
    }
    // An example is shown as it would be typed.
    assert(stdout.includes(`wstap -n 1 -s '{"subscribe":"trades"}' wss:`));
  },
});

Deno.test("every option has an example that the parser takes, and a text of sentences", () => {
  for (const option of OPTIONS) {
    const { name, text, example } = option;
    assertMatch(text, /^[A-Z][^]*\.$/, name);
    const call = shellWords(example);
    const given = parseArguments(call).given.map((it) => it.name);
    assert(given.includes(name), `${name}: ${example}`);
    const [first] = parseArguments(call).positionals;
    const command = ["ping", "replay", "demo"].find((it) => it === first);
    checkCommand(parseArguments(call), (command ?? "tap") as Command);
  }
});

/** The words of the call of wstap in a line for a shell. */
function shellWords(line: string): string[] {
  const [, call = ""] = /(?:^|\| |do )wstap ([^|<>;]*)/.exec(
    line.replaceAll(/'[^']*'/g, (quoted) => quoted.replaceAll(/[|<>;]/g, "_")),
  ) ?? [];
  return [...call.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)]
    .map(([, single, double, plain]) => single ?? double ?? plain!);
}

Deno.test("the help stays on two screens of 41 lines, 80 columns wide", () => {
  for (
    const [command, limit] of [[undefined, 82], ["ping", 41], [
      "replay",
      41,
    ]] as const
  ) {
    const lines = help(command).trimEnd().split("\n");
    assert(lines.length <= limit, `${command}: ${lines.length} lines`);
    for (const line of lines) assert(line.length <= 80, line);
  }
});

Deno.test("the help shows the default of every option that has one", () => {
  const text = ["", "ping", "replay"].map((command) => help(command)).join("");
  const named: Option[] = OPTIONS.filter((it) => it.default !== undefined);
  assert(named.length > 10);
  for (const { name, default: usual } of named) {
    const line = text.split("\n").find((line) =>
      new RegExp(`^ {2}(-., | {4})--${name} `).test(line)
    );
    assert(line?.endsWith(` [${usual}]`), `${name}: ${line}`);
  }
});

Deno.test("the help names every exit code", () => {
  const text = help().replaceAll(/\s+/g, " ");
  const codes = Object.values(EXIT);
  assertEquals(STATUSES.map(([status]) => status), codes);
  for (const code of codes) assertMatch(text, new RegExp(`[:;] ${code} [a-z]`));
});
