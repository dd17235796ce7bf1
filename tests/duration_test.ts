import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { type DurationLike, parseDuration } from "@wstap/wstap";
import { after, sleep } from "../src/timers.ts";
import { UNITS } from "./fixtures/units.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

for (const [names, length] of Object.entries(UNITS)) {
  Deno.test(`parseDuration() knows ${names}`, () => {
    for (const name of names.split(" ")) {
      assertEquals(parseDuration(`1${name}`), length, name);
      assertEquals(parseDuration(`2 ${name}`), 2 * length, name);
    }
  });
}

const DURATIONS: [length: number, ...values: DurationLike[]][] = [
  [0, 0, "0", " 0 ", "0s"],
  [3000, 3, "3s", "1s 2s"],
  [250, 0.25, "250ms", ".25s"],
  [1e9, 1e6],
  [10 * SECOND, "10s", "010s"],
  [4200, "4.2s"],
  [90 * SECOND, 90, "1m 30s", "1m30s", "1 m 30 s", "  1m\t30s  ", "30s 1m"],
  [91.5 * SECOND, "1.5m 1.5s"],
  [2.5 * HOUR, "2h 30min", "2.5h"],
  [
    365.25 * DAY + 30.44 * DAY + 8 * DAY + HOUR + MINUTE + SECOND + 1,
    "1y 1M 1w 1d 1h 1m 1s 1ms",
  ],
];

for (const [length, ...values] of DURATIONS) {
  const names = values.map((value) => JSON.stringify(value)).join(", ");
  Deno.test(`parseDuration() reads ${names} as ${length} ms`, () => {
    for (const value of values) assertEquals(parseDuration(value), length);
  });
}

/** What the message must say, and texts that it is said of. */
const UNREADABLE: Record<string, string[]> = {
  "it is empty, expected": ["", "   "],
  "a unit is missing, as in": [
    ...["10", "1.5", "00", "0.0", "1m 30", "30 1m"],
    ...["1.s", "1.2.3s", "1,5s"],
  ],
  "expected a number and a unit": [
    ...["s", "ten seconds", "1m, 30s", "1m and 30s", "1s -1s", "--1s", "-"],
    ...["PT10S", "NaN", "Infinity", "١s"],
  ],
  "unknown unit": [
    ...["10x", "10S", "10 Seconds", "10H", "1ss", "1e3s", "0x10s"],
  ],
  "a sign is not allowed, expected": ["+1s"],
};

for (const [problem, texts] of Object.entries(UNREADABLE)) {
  Deno.test(`parseDuration() says "${problem}" and repeats the text`, () => {
    for (const text of texts) {
      const error = assertThrows(
        () => parseDuration(text),
        TypeError,
        `Cannot parse duration ${JSON.stringify(text)}: ${problem}`,
      );
      assert(/expected|as in/.test(error.message), error.message);
    }
  });
}

Deno.test("parseDuration() says which unit is missing, and where", () => {
  assertThrows(() => parseDuration("1m 30"), TypeError, `as in "30s"`);
  assertThrows(() => parseDuration("1m, 30s"), TypeError, `at ", 30s"`);
});

const OUT_OF_RANGE: Record<string, DurationLike[]> = {
  "it is negative": [-1, -0.001, "-1s", "-1m 30s", -Infinity],
  "it is not finite": [Infinity, NaN, 1.7e308, "9".repeat(400) + "s"],
};

for (const [problem, values] of Object.entries(OUT_OF_RANGE)) {
  Deno.test(`parseDuration() says "${problem}" with a RangeError`, () => {
    for (const value of [...values]) {
      const error = assertThrows(
        () => parseDuration(value),
        RangeError,
        `${problem}, expected`,
      );
      assert(error.message.includes(String(value).slice(0, 20)));
    }
    assertThrows(() => parseDuration(temporal({ seconds: -1 })), RangeError);
  });
}

Deno.test("parseDuration() refuses what is no duration with a TypeError", () => {
  const values = [null, undefined, true, {}, [1], 1n, new Date(0), Symbol()];
  for (const value of values) {
    assertThrows(
      () => parseDuration(value as unknown as DurationLike),
      TypeError,
      "expected a number of seconds, a string such as",
    );
  }
});

Deno.test("parseDuration() shows a long text shortened, and no control character", () => {
  for (const text of ["x".repeat(1000) + "\x1b[31m\n", "1\x1b\x9bs"]) {
    const { message } = assertThrows(() => parseDuration(text), TypeError);
    assert(message.length < 300, message);
    // deno-lint-ignore no-control-regex -- control characters are what it looks for
    assert(!/[\x00-\x1f\x7f-\x9f]/.test(message), message);
  }
});

/** A `Temporal.Duration` as far as it is looked at, where the global is absent. */
function temporal(fields: Partial<Record<string, number>>): Temporal.Duration {
  if ("Temporal" in globalThis) {
    return Temporal.Duration.from(fields as Temporal.DurationLike);
  }
  const units = "years months weeks days hours minutes seconds milliseconds " +
    "microseconds nanoseconds";
  return {
    ...Object.fromEntries(units.split(" ").map((unit) => [unit, 0])),
    ...fields,
    [Symbol.toStringTag]: "Temporal.Duration",
  } as unknown as Temporal.Duration;
}

const TEMPORAL: [Partial<Record<string, number>>, number][] = [
  [{ minutes: 1, seconds: 30 }, 90 * SECOND],
  [{ hours: 1, days: 1, weeks: 1 }, HOUR + 8 * DAY],
  [{ years: 2, months: 1 }, 2 * 365.25 * DAY + 30.44 * DAY],
  [{ milliseconds: 1, microseconds: 500, nanoseconds: 250 }, 1.50025],
  [{ seconds: 0 }, 0],
];

for (const [fields, expected] of TEMPORAL) {
  const name = JSON.stringify(fields);
  Deno.test(`parseDuration() reads a Temporal.Duration of ${name}`, () => {
    assertEquals(parseDuration(temporal(fields)), expected);
  });
}

const MAX_DELAY = 2 ** 31 - 1;

Deno.test("after() waits its whole length beyond 2^31-1 ms, and calls once", () => {
  using time = new FakeTime();
  let calls = 0;
  after(2.5 * MAX_DELAY, () => calls++);
  time.tick(MAX_DELAY);
  time.tick(MAX_DELAY);
  time.tick(MAX_DELAY / 2 - 10);
  assertEquals(calls, 0);
  time.tick(11);
  assertEquals(calls, 1);
  time.tick(10 * MAX_DELAY);
  assertEquals(calls, 1);
});

Deno.test(
  "parseDuration() names a negative Temporal.Duration as it is written",
  { ignore: !("Temporal" in globalThis) },
  () => {
    const { message } = assertThrows(
      () => parseDuration(temporal({ seconds: -5 })),
      RangeError,
    );
    assertStringIncludes(message, "-PT5S");
  },
);

Deno.test("parseDuration() never gives a negative zero", () => {
  for (const zero of [-0, "-0", "-0s"]) {
    assert(Object.is(parseDuration(zero), 0), String(zero));
  }
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

Deno.test("sleep() resolves when its time is over, or rejects with the signal's reason", async () => {
  using time = new FakeTime();
  const controller = new AbortController();
  const sleeping = sleep(1000, controller.signal);
  time.tick(1000);
  await sleeping;
  const aborted = sleep(60_000, controller.signal);
  const reason = new Error("enough");
  controller.abort(reason);
  assertEquals(await assertRejects(() => aborted), reason);
  assertEquals(await assertRejects(() => sleep(0, controller.signal)), reason);
});
