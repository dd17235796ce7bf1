import { DAY, HOUR, MINUTE, SECOND, WEEK } from "@std/datetime/constants";

/**
 * A duration: a number of seconds, a string such as `"10s"`, `"1m 30s"` or
 * `"250ms"`, or a `Temporal.Duration`. {@linkcode parseDuration} describes the
 * units.
 *
 * @example Usage
 * ```ts
 * import { type DurationLike, parseDuration } from "@wstap/wstap";
 *
 * const durations: DurationLike[] = [1.5, "1s 500ms"];
 * console.log(durations.map(parseDuration)); // [1500, 1500]
 * ```
 */
export type DurationLike = number | string | Temporal.Duration;

// The average lengths in the Gregorian calendar, as in `humantime`.
const MONTH = 30.44 * DAY;
const YEAR = 365.25 * DAY;

const UNITS: ReadonlyMap<string, number> = new Map(
  ([
    ["ns nsec nanos", 1e-6],
    ["us usec µs μs", 1e-3],
    ["ms msec millis", 1],
    ["s sec secs second seconds", SECOND],
    ["m min mins minute minutes", MINUTE],
    ["h hr hrs hour hours", HOUR],
    ["d day days", DAY],
    ["w wk wks week weeks", WEEK],
    ["M month months", MONTH],
    ["y yr yrs year years", YEAR],
  ] as const).flatMap(([names, length]) =>
    names.split(" ").map((name): [string, number] => [name, length])
  ),
);

const TEMPORAL_UNITS = {
  years: YEAR,
  months: MONTH,
  weeks: WEEK,
  days: DAY,
  hours: HOUR,
  minutes: MINUTE,
  seconds: SECOND,
  milliseconds: 1,
  microseconds: 1e-3,
  nanoseconds: 1e-6,
} as const;

const EXPECTED =
  `expected a number of seconds, a string such as "10s" or "1m 30s", ` +
  "or a Temporal.Duration";

/**
 * Converts a duration to milliseconds.
 *
 * A number is a number of seconds, and may have a fraction. A string is a
 * sequence of decimal numbers, each followed by a unit; spaces are optional. The
 * units are those of the Rust crate `humantime`:
 *
 * - `ns nsec nanos`
 * - `us usec µs`
 * - `ms msec millis`
 * - `s sec secs second seconds`
 * - `m min mins minute minutes`
 * - `h hr hrs hour hours`
 * - `d day days`
 * - `w wk wks week weeks`
 * - `M month months`, of 30.44 days
 * - `y yr yrs year years`, of 365.25 days
 *
 * The string `"0"` is the only one without a unit. In a `Temporal.Duration`,
 * months and years have the same lengths as above.
 *
 * @example Usage
 * ```ts
 * import { parseDuration } from "@wstap/wstap";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseDuration(3), 3_000);
 * assertEquals(parseDuration("1m 30s"), 90_000);
 * assertEquals(parseDuration("4.2s"), 4_200);
 * ```
 *
 * @param value The duration.
 * @returns The number of milliseconds, which may have a fraction.
 * @throws {TypeError} If the value is a string that cannot be parsed, or not a
 * duration.
 * @throws {RangeError} If the duration is negative or not finite.
 */
export function parseDuration(value: DurationLike): number {
  const milliseconds = typeof value === "number"
    ? value * SECOND
    : typeof value === "string"
    ? parseText(value)
    : sumTemporal(value);
  if (!Number.isFinite(milliseconds) || milliseconds < 0) {
    const problem = milliseconds < 0 ? "it is negative" : "it is not finite";
    throw new RangeError(
      `Invalid duration ${show(value)}: ${problem}, ${EXPECTED}`,
    );
  }
  return milliseconds + 0; // -0 becomes 0
}

function parseText(text: string): number {
  const fail = (problem: string) =>
    new TypeError(`Cannot parse duration ${show(text)}: ${problem}`);
  const trimmed = text.trim();
  if (trimmed === "") throw fail(`it is empty, ${EXPECTED}`);
  const sign = /^[+-]/.exec(trimmed)?.[0];
  const unsigned = sign === undefined ? trimmed : trimmed.slice(1);
  if (sign === "+") throw fail(`a sign is not allowed, ${EXPECTED}`);
  if (unsigned === "0") return 0;

  const span = /\s*(\d+(?:\.\d+)?|\.\d+)\s*(\p{L}*)/uy;
  let sum = 0;
  do {
    const start = span.lastIndex;
    const match = span.exec(unsigned);
    if (match === null) {
      const rest = unsigned.slice(start).trimStart();
      throw fail(`expected a number and a unit, as in "10s", at ${show(rest)}`);
    }
    const [, number = "", unit = ""] = match;
    if (unit === "") {
      throw fail(`a unit is missing, as in ${show(number + "s")}`);
    }
    const length = UNITS.get(unit);
    if (length === undefined) {
      throw fail(
        `unknown unit ${show(unit)}, expected one of ns us ms s m h d w M y`,
      );
    }
    sum += Number(number) * length;
  } while (span.lastIndex < unsigned.length);
  return sign === "-" ? -sum : sum;
}

/** Adds the fields of a `Temporal.Duration`. Its `total()` refuses calendar units, and the global is absent before Deno 2.7. */
function sumTemporal(value: Temporal.Duration): number {
  if (!isTemporal(value)) {
    throw new TypeError(`Invalid duration ${show(value)}: ${EXPECTED}`);
  }
  let sum = 0;
  for (const [unit, length] of Object.entries(TEMPORAL_UNITS)) {
    sum += value[unit as keyof typeof TEMPORAL_UNITS] * length;
  }
  return sum;
}

/** Whether a value is a `Temporal.Duration`, of Deno or of a polyfill. */
function isTemporal(value: unknown): value is Temporal.Duration {
  return Object.prototype.toString.call(value) === "[object Temporal.Duration]";
}

/** Formats a value for an error message: cuts it, and replaces control characters. */
function show(value: unknown): string {
  const text = typeof value === "string"
    ? JSON.stringify(value.length > 60 ? value.slice(0, 60) + "…" : value)
    : value !== null && typeof value === "object"
    ? isTemporal(value)
      ? value.toString()
      : Object.prototype.toString.call(value)
    : String(value);
  return text.replace(/[\u007f-\u009f]/g, "\ufffd");
}
