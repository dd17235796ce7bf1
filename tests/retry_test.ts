import { assertEquals, assertThrows } from "@std/assert";
import {
  ConnectionClosedError,
  HandshakeError,
  HandshakeResponse,
} from "@wstap/wstap";
import {
  delayAfter,
  isMissing,
  isUnreachable,
  isWorthRetrying,
  parsePolicy,
  type PolicyOptions,
} from "../src/retry.ts";
import { FakeTime } from "@std/testing/time";

const url = "ws://127.0.0.1/";

/** The error of a refusal with this status. */
function refusal(status: number, headers: HeadersInit = {}): HandshakeError {
  const response = new HandshakeResponse({
    url,
    status,
    statusText: "",
    headers: new Headers(headers),
    source: "direct",
  });
  return new HandshakeError("refused", { url, response });
}

const closed = (code: number, clean = true) =>
  new ConnectionClosedError("closed", { code, reason: "", clean });

const lost = closed(1006, false);

const unreachable = new HandshakeError("nobody", { url, cause: new Error() });

const invalid = new HandshakeError("not a valid upgrade", {
  url,
  transient: false,
});

const timeout = new DOMException("late", "TimeoutError");

Deno.test("parsePolicy() fills in what is not given, and fits minDelay and maxDelay to each other", () => {
  const bounds = (options: PolicyOptions) => {
    const { minDelay, maxDelay, maxRetryAfter } = parsePolicy(options);
    return [minDelay, maxDelay, maxRetryAfter];
  };
  assertEquals(parsePolicy({}), {
    minDelay: 1_000,
    maxDelay: 30_000,
    multiplier: 2,
    jitter: "full",
    maxAttempts: Infinity,
    resetAfter: 10_000,
    maxRetryAfter: 30_000,
    retryIf: undefined,
  });
  assertEquals(bounds({ minDelay: "1m" }), [60_000, 60_000, 60_000]);
  assertEquals(bounds({ maxDelay: "500ms" }), [500, 500, 500]);
  assertEquals(bounds({ maxRetryAfter: 0 }), [1_000, 30_000, 0]);
});

Deno.test("parsePolicy() refuses null, which is not the same as an option that is not given", () => {
  for (const name of Object.keys(parsePolicy({}))) {
    assertThrows(() => parsePolicy({ [name]: null }), TypeError);
  }
});

Deno.test("isWorthRetrying() decides by what happened, unless retryIf does", () => {
  const policy = parsePolicy({});
  const decided: [error: Error, expected: boolean][] = [
    [lost, true],
    [closed(1000), true],
    [closed(1012), true],
    [closed(1008), false],
    [closed(3999), true],
    [closed(4000), false],
    [closed(4999), false],
    [unreachable, true],
    [timeout, true],
    [refusal(503), true],
    [refusal(429), true],
    [refusal(401), false],
    [refusal(302), false],
    [invalid, false],
  ];
  for (const [error, expected] of decided) {
    assertEquals(isWorthRetrying(error, policy), expected, error.message);
    for (const answer of [true, false]) {
      const own = parsePolicy({ retryIf: () => answer });
      assertEquals(isWorthRetrying(error, own), answer);
    }
    const none = parsePolicy({ retryIf: () => undefined });
    assertEquals(isWorthRetrying(error, none), expected);
  }
});

Deno.test("isMissing() and isUnreachable() tell the errors apart after which the next URL is tried", () => {
  const next = (error: Error) => [isMissing(error), isUnreachable(error)];
  assertEquals(next(refusal(404)), [true, false]);
  assertEquals(next(refusal(501)), [true, false]);
  for (const error of [refusal(503), refusal(410), invalid, lost]) {
    assertEquals(next(error), [false, false]);
  }
  for (const error of [unreachable, timeout]) {
    assertEquals(next(error), [false, true]);
  }
});

Deno.test("delayAfter() grows without end where maxDelay does, and never is NaN", () => {
  const policy = parsePolicy({
    ...{ minDelay: 1, maxDelay: "100y", multiplier: 10, jitter: "none" },
  });
  assertEquals(delayAfter(lost, 1, policy), 1_000);
  assertEquals(delayAfter(lost, 4, policy), 1_000_000);
  assertEquals(delayAfter(lost, 1e6, policy), policy.maxDelay);
  const none = parsePolicy({ minDelay: 0 });
  assertEquals(delayAfter(lost, 1e6, none), 0);
});

Deno.test("delayAfter() takes the longer of the backoff and Retry-After, which maxRetryAfter bounds", () => {
  using _ = new FakeTime("2015-10-21T07:28:00Z");
  const policy = parsePolicy({ jitter: "none", maxRetryAfter: "1m" });
  const cases: [value: string, expected: number][] = [
    ["0", 4_000],
    ["3", 4_000],
    ["5", 5_000],
    ["61", 60_000],
    ["99999999999999999999", 60_000],
    ["Wed, 21 Oct 2015 07:28:09 GMT", 9_000],
    ["Wed, 21 Oct 2015 07:27:00 GMT", 4_000],
    ["-5", 4_000],
    ["soon", 4_000],
    ["", 4_000],
  ];
  for (const [value, expected] of cases) {
    const error = refusal(503, { "Retry-After": value });
    assertEquals(delayAfter(error, 3, policy), expected, value);
  }
});
