/**
 * Command lines from their grammar, and from noise.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { parseArguments } from "../../src/cli/flags/parse.ts";
import { CliError } from "../../src/cli/errors.ts";
import {
  OPTIONS,
  type SwitchName,
  type ValueName,
} from "../../src/cli/flags/table.ts";
import { tapSettings } from "../../src/cli/flags/values.ts";
import { property } from "./property.ts";

/** One option as it is meant, and as it is written. */
interface Given {
  name: string;
  value: string | undefined;
  words: string[];
}

/** Values that are likely to be misread. */
const value = fc.oneof(
  fc.constantFrom("", "-", "--", "-1", "--count", "=", "=x", "a=b", "@", "0"),
  fc.string({ unit: "binary", maxLength: 12 }),
);

const given: fc.Arbitrary<Given> = fc.constantFrom(...OPTIONS).chain((option) =>
  fc.tuple(value, fc.nat(3)).map(([value, spelling]): Given => {
    const long = `--${option.name}`;
    if (option.value === undefined) {
      const short = option.short === undefined ? long : `-${option.short}`;
      return {
        name: option.name,
        value: undefined,
        words: [spelling % 2 ? long : short],
      };
    }
    const spellings = [[`${long}=${value}`], [long, value]];
    if (option.short !== undefined) {
      spellings.push([`-${option.short}`, value], [
        `-${option.short}=${value}`,
      ]);
    }
    return {
      name: option.name,
      value,
      words: spellings[spelling % spellings.length]!,
    };
  })
);

/** Positionals that are none of the options'. */
const positional = fc.string({ unit: "grapheme", minLength: 1 })
  .filter((text) => !text.startsWith("-"));

export const commandLines = [
  property(
    "parseArguments() gives what was meant, however it is spelled",
    300,
    fc.record({
      options: fc.uniqueArray(given, { selector: ({ name }) => name }),
      repeated: fc.array(
        given.filter(({ name }) =>
          OPTIONS.some((option) => option.name === name && option.repeat)
        ),
      ),
      positionals: fc.array(positional, { maxLength: 3 }),
      dashes: fc.boolean(),
    }),
    ({ options, repeated, positionals, dashes }) => {
      const all = [...options, ...repeated];
      const words = all.flatMap(({ words }) => words);
      const flags = parseArguments(
        dashes ? [...words, "--", ...positionals] : [...positionals, ...words],
      );
      assertEquals(flags.positionals, positionals);
      for (const { name, value, repeat } of OPTIONS) {
        const meant = all.filter((it) => it.name === name);
        if (value === undefined) {
          assertEquals(flags.has(name as SwitchName), meant.length > 0, name);
          continue;
        }
        const values = meant.map(({ value }) => value!);
        assertEquals(flags.all(name as ValueName), values, name);
        if (!repeat) {
          assertEquals(flags.get(name as ValueName), values[0], name);
        }
      }
    },
  ),
  property(
    "any command line is understood, or refused as a usage error",
    500,
    fc.array(
      fc.oneof(
        // --user without a colon asks for a password where there is a terminal.
        given.filter(({ name }) => name !== "user").map(({ words }) => words),
        fc.tuple(
          fc.constantFrom(
            ...["--count", "--duration", "--batch", "--max", "--timeout"],
            ...["--max-buffer", "--min-delay", "--proxy", "--header"],
          ),
          fc.constantFrom(
            ...["10", "1", "3s", "64MiB", "1e3", "http://a:b@c", "A: b"],
            ...["-5", "99999999999999999999", "NaN", "Infinity", " 1 "],
          ),
        ),
        value.map((text) =>
          text.startsWith("--u") || text.startsWith("-u") ? [] : [text]
        ),
      ),
      { maxLength: 8 },
    ),
    (groups) => {
      let settings;
      try {
        const flags = parseArguments(groups.flat());
        if (flags.get("user") !== undefined) return;
        settings = tapSettings(flags, flags.positionals);
      } catch (error) {
        assert(error instanceof CliError, `${error}`);
        return assertEquals(error.code, 2, error.message);
      }
      assert(settings.count >= 1 && settings.max >= 1);
      assert(settings.duration >= 0);
    },
  ),
];
