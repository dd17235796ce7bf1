/**
 * Durations from their grammar, and from noise.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { parseDuration } from "@wstap/wstap";
import fc from "npm:fast-check@4.10.2";
import { property } from "./property.ts";

const DAY = 86_400_000;

/** Every unit there is, in milliseconds, as the documents have them. */
const UNITS: Record<string, number> = {
  ...all("ns nsec nanos", 1e-6),
  ...all("us usec µs", 1e-3),
  ...all("ms msec millis", 1),
  ...all("s sec secs second seconds", 1000),
  ...all("m min mins minute minutes", 60_000),
  ...all("h hr hrs hour hours", 3_600_000),
  ...all("d day days", DAY),
  ...all("w wk wks week weeks", 7 * DAY),
  ...all("M month months", 30.44 * DAY),
  ...all("y yr yrs year years", 365.25 * DAY),
};

function all(names: string, length: number): Record<string, number> {
  return Object.fromEntries(names.split(" ").map((name) => [name, length]));
}

const space = fc.constantFrom("", " ", "  ", "\t");
const span = fc.record({
  whole: fc.nat(100_000),
  fraction: fc.option(fc.nat(999_999)),
  unit: fc.constantFrom(...Object.keys(UNITS)),
  between: space,
  behind: space,
});

export const durations = [
  property(
    "parseDuration() gives the sum of any spans",
    1000,
    fc.array(span, { minLength: 1, maxLength: 6 }),
    (spans) => {
      let text = "";
      let sum = 0;
      for (const { whole, fraction, unit, between, behind } of spans) {
        const number = fraction === null ? `${whole}` : `${whole}.${fraction}`;
        text += number + between + unit + behind;
        sum += Number(number) * UNITS[unit]!;
      }
      const got = parseDuration(text);
      assert(Math.abs(got - sum) <= Math.abs(sum) * 1e-12, `${text}: ${got}`);
    },
  ),
  property(
    "parseDuration() gives a length, a TypeError or a RangeError for any text",
    2000,
    fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string(),
      fc.array(
        fc.constantFrom(
          ..."0|1|10|.5|5.|-|+|e9|s|ms|µs|M|y|∞|NaN| |\n|\0|\x1b[2J|１|m 3"
            .split("|"),
        ),
      ).map((parts) => parts.join("")),
    ),
    (text) => gives(text),
    ["-", "", "0", "-0", "1e9s", "9".repeat(400) + "y"],
  ),
  property(
    "parseDuration() gives a length, a TypeError or a RangeError for any value",
    500,
    fc.anything({
      withBigInt: true,
      withNullPrototype: true,
      withSparseArray: true,
    }),
    (value) => gives(value as string),
  ),
  property(
    "parseDuration() takes a number as seconds",
    200,
    fc.double({ min: 0, max: 1e15, noNaN: true }),
    (seconds) => assertEquals(parseDuration(seconds), seconds * 1000),
  ),
];

function gives(value: string): void {
  let length;
  try {
    length = parseDuration(value);
  } catch (error) {
    assert(
      error instanceof TypeError || error instanceof RangeError,
      `${error}`,
    );
    // deno-lint-ignore no-control-regex -- the message may reach a terminal
    assert(!/[\u0000-\u001f\u007f-\u009f]/.test(error.message), error.message);
    return assert(error.message.length < 400, error.message);
  }
  assert(Number.isFinite(length) && length >= 0, `${length}`);
}
