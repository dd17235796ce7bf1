/**
 * Durations from their grammar, and from noise.
 *
 * @module
 */

import { assert } from "@std/assert";
import { parseDuration } from "@wstap/wstap";
import fc from "npm:fast-check@4.10.2";
import { UNITS } from "../fixtures/units.ts";
import { property } from "./property.ts";

const space = fc.constantFrom("", " ", "  ", "\t");
const span = fc.record({
  whole: fc.nat(100_000),
  fraction: fc.option(fc.nat(999_999)),
  unit: fc.constantFrom(...Object.entries(UNITS)).chain(([names, length]) =>
    fc.constantFrom(...names.split(" ")).map((name) => ({ name, length }))
  ),
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
        text += number + between + unit.name + behind;
        sum += Number(number) * unit.length;
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
