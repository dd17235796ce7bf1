import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { type DurationLike, parseDuration } from "@wstap/wstap";
import { after, sleep } from "../src/duration.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Every name of every unit, and its length in milliseconds. */
const UNITS: Record<string, number> = {
  "ns nsec nanos": 1e-6,
  "us usec µs": 1e-3, // U+00B5, the micro sign
  "μs": 1e-3, // U+03BC, the Greek letter
  "ms msec millis": 1,
  "s sec secs second seconds": SECOND,
  "m min mins minute minutes": MINUTE,
  "h hr hrs hour hours": HOUR,
  "d day days": DAY,
  "w wk wks week weeks": 7 * DAY,
  "M month months": 30.44 * DAY,
  "y yr yrs year years": 365.25 * DAY,
};

for (const [names, length] of Object.entries(UNITS)) {
  Deno.test(`parseDuration() knows ${names}`, () => {
    for (const name of names.split(" ")) {
      assertEquals(parseDuration(`1${name}`), length, name);
      assertEquals(parseDuration(`2 ${name}`), 2 * length, name);
    }
  });
}

const DURATIONS: [DurationLike, number][] = [
  [0, 0],
  [-0, 0],
  [3, 3000],
  [0.25, 250],
  [1.5, 1500],
  [1e6, 1e9],
  ["0", 0],
  [" 0 ", 0],
  ["0s", 0],
  ["10s", 10 * SECOND],
  ["010s", 10 * SECOND],
  ["250ms", 250],
  ["4.2s", 4200],
  [".5s", 500],
  ["0.5h", 30 * MINUTE],
  ["1.5m 1.5s", 91.5 * SECOND],
  ["1m 30s", 90 * SECOND],
  ["1m30s", 90 * SECOND],
  ["1 m 30 s", 90 * SECOND],
  ["  1m\t30s  ", 90 * SECOND],
  ["2h 37min", 2 * HOUR + 37 * MINUTE],
  ["30s 1m", 90 * SECOND],
  ["1s 1s", 2 * SECOND],
  [
    "1y 1M 1w 1d 1h 1m 1s 1ms",
    365.25 * DAY + 30.44 * DAY + 8 * DAY + HOUR + MINUTE + SECOND + 1,
  ],
];

for (const [value, expected] of DURATIONS) {
  Deno.test(`parseDuration() reads ${JSON.stringify(value)}`, () => {
    assertEquals(parseDuration(value) + 0, expected);
  });
}

/** The text, and what the message must say besides the text. */
const UNREADABLE: [string, string][] = [
  ["", "it is empty"],
  ["   ", "it is empty"],
  ["10", `a unit is missing, as in "10s"`],
  ["1.5", `a unit is missing, as in "1.5s"`],
  ["00", "a unit is missing"],
  ["0.0", "a unit is missing"],
  ["1m 30", `a unit is missing, as in "30s"`],
  ["30 1m", "a unit is missing"],
  ["s", "expected a number and a unit"],
  ["ten seconds", "expected a number and a unit"],
  ["10x", `unknown unit "x"`],
  ["10S", `unknown unit "S"`],
  ["10 Seconds", `unknown unit "Seconds"`],
  ["10H", `unknown unit "H"`],
  ["1ss", `unknown unit "ss"`],
  ["1.s", "a unit is missing"],
  ["1.2.3s", "a unit is missing"],
  ["1,5s", "a unit is missing"],
  ["1e3s", `unknown unit "e"`],
  ["0x10s", `unknown unit "x"`],
  ["1m, 30s", "expected a number and a unit"],
  ["1m and 30s", "expected a number and a unit"],
  ["1s -1s", "expected a number and a unit"],
  ["--1s", "expected a number and a unit"],
  ["-", "expected a number and a unit"],
  ["+1s", "a sign is not allowed"],
  ["PT10S", "expected a number and a unit"],
  ["NaN", "expected a number and a unit"],
  ["Infinity", "expected a number and a unit"],
  ["١s", "expected a number and a unit"],
];

for (const [text, problem] of UNREADABLE) {
  Deno.test(`parseDuration() refuses ${JSON.stringify(text)}`, () => {
    const error = assertThrows(
      () => parseDuration(text),
      TypeError,
      `Cannot parse duration ${JSON.stringify(text)}: `,
    );
    assertEquals(error.message.includes(problem), true, error.message);
    assertEquals(/expected|as in/.test(error.message), true, error.message);
  });
}

const OUT_OF_RANGE: [DurationLike, string][] = [
  [-1, "it is negative"],
  [-0.001, "it is negative"],
  ["-1s", "it is negative"],
  ["-1m 30s", "it is negative"],
  [Infinity, "it is not finite"],
  [-Infinity, "it is negative"],
  [NaN, "it is not finite"],
  [1.7e308, "it is not finite"],
  ["9".repeat(400) + "s", "it is not finite"],
];

for (const [value, problem] of OUT_OF_RANGE) {
  const name = String(value).slice(0, 20);
  Deno.test(`parseDuration() refuses ${name}, which is out of range`, () => {
    const error = assertThrows(() => parseDuration(value), RangeError, problem);
    assertEquals(error.message.includes(name.slice(0, 5)), true, error.message);
    assertEquals(error.message.includes("expected"), true, error.message);
  });
}

for (
  const value of [null, undefined, true, {}, [], [1], 1n, new Date(0), Symbol()]
) {
  const kind = Object.prototype.toString.call(value);
  Deno.test(`parseDuration() refuses what is no duration: ${kind}`, () => {
    assertThrows(
      () => parseDuration(value as unknown as DurationLike),
      TypeError,
      "expected a number of seconds, a string such as",
    );
  });
}

Deno.test("parseDuration() shows a long text shortened, and no control character", () => {
  const error = assertThrows(
    () => parseDuration("x".repeat(1000) + "\x1b[31m\n"),
    TypeError,
  );
  assertEquals(error.message.length < 300, true, error.message);
  const control = assertThrows(() => parseDuration("1\x1b\x9bs"), TypeError);
  // deno-lint-ignore no-control-regex -- control characters are what it looks for
  assertEquals(/[\x00-\x1f\x7f-\x9f]/.test(control.message), false);
});

/** A `Temporal.Duration` as far as it is looked at, where the global is absent. */
function temporal(fields: Partial<Record<string, number>>): Temporal.Duration {
  if ("Temporal" in globalThis) {
    return Temporal.Duration.from(fields as Temporal.DurationLike);
  }
  return {
    years: 0,
    months: 0,
    weeks: 0,
    days: 0,
    hours: 0,
    minutes: 0,
    seconds: 0,
    milliseconds: 0,
    microseconds: 0,
    nanoseconds: 0,
    ...fields,
    [Symbol.toStringTag]: "Temporal.Duration",
  } as unknown as Temporal.Duration;
}

const TEMPORAL: [Partial<Record<string, number>>, number][] = [
  [{ seconds: 10 }, 10 * SECOND],
  [{ minutes: 1, seconds: 30 }, 90 * SECOND],
  [{ hours: 1, days: 1, weeks: 1 }, HOUR + 8 * DAY],
  [{ months: 1 }, 30.44 * DAY],
  [{ years: 2 }, 2 * 365.25 * DAY],
  [{ milliseconds: 1, microseconds: 500 }, 1.5],
  [{ nanoseconds: 250 }, 250e-6],
  [{ seconds: 0 }, 0],
];

for (const [fields, expected] of TEMPORAL) {
  const name = JSON.stringify(fields);
  Deno.test(`parseDuration() reads a Temporal.Duration of ${name}`, () => {
    assertEquals(parseDuration(temporal(fields)), expected);
  });
}

Deno.test("parseDuration() refuses a negative Temporal.Duration", () => {
  assertThrows(
    () => parseDuration(temporal({ seconds: -1 })),
    RangeError,
    "it is negative",
  );
});

const MAX_DELAY = 2 ** 31 - 1;

Deno.test("after() waits its whole length beyond 2^31-1 ms", () => {
  using time = new FakeTime();
  let calls = 0;
  after(2.5 * MAX_DELAY, () => calls++);
  time.tick(MAX_DELAY);
  time.tick(MAX_DELAY);
  assertEquals(calls, 0);
  time.tick(MAX_DELAY / 2 - 10);
  assertEquals(calls, 0);
  time.tick(11);
  assertEquals(calls, 1);
  time.tick(10 * MAX_DELAY);
  assertEquals(calls, 1);
});

Deno.test("after() does not fire at once beyond 2^31-1 ms of the real clock", async () => {
  let fired = false;
  const cancel = after(MAX_DELAY + 1, () => fired = true);
  await new Promise((resolve) => setTimeout(resolve, 20));
  cancel();
  assertEquals(fired, false);
});

Deno.test("after() is cancelled in any link of its chain", () => {
  for (const passed of [0, 1.5 * MAX_DELAY]) {
    using time = new FakeTime();
    let fired = false;
    const cancel = after(2 * MAX_DELAY, () => fired = true);
    for (let left = passed; left > 0; left -= MAX_DELAY) {
      time.tick(Math.min(left, MAX_DELAY));
    }
    cancel();
    time.tick(3 * MAX_DELAY);
    assertEquals(fired, false);
  }
});

Deno.test("sleep() rejects with the signal's reason, and leaves no timer", async () => {
  const controller = new AbortController();
  const sleeping = sleep(60_000, controller.signal);
  const reason = new Error("enough");
  controller.abort(reason);
  assertEquals(await assertRejects(() => sleeping), reason);
  assertEquals(await assertRejects(() => sleep(0, controller.signal)), reason);
});

Deno.test("sleep() resolves when its time is over", async () => {
  using time = new FakeTime();
  const sleeping = sleep(1000, new AbortController().signal);
  time.tick(1000);
  await sleeping;
});
