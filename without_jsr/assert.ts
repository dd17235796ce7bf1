// Not over node:assert: up to Deno 2.5 its deepStrictEqual finds two errors with
// different messages, or two different ArrayBuffers, equal.
import { createCustomEqual } from "npm:fast-equals@6.2.2";

/** As in @std, two arrays of bytes are equal wherever in their buffers they lie. */
const deepEqual = createCustomEqual({
  createCustomConfig: () => ({
    areTypedArraysEqual: (a: Uint8Array, b: Uint8Array) =>
      a.length === b.length && a.every((value, i) => Object.is(value, b[i])),
  }),
});

// deno-lint-ignore no-explicit-any -- @std takes any constructor of an error
type ErrorConstructor<E extends Error> = abstract new (...args: any[]) => E;

/** What every assertion here throws. */
export class AssertionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}

/** Fails. */
export function fail(msg?: string): never {
  throw new AssertionError(described("Failed assertion", msg));
}

/** The value is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** The value is falsy. */
export function assertFalse(
  expr: unknown,
  msg = "",
): asserts expr is false | 0 | 0n | "" | null | undefined {
  if (expr) throw new AssertionError(msg);
}

/** The values are deeply equal: the same types, and `NaN` equals `NaN`. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  check(deepEqual(actual, expected), "equals", actual, expected, msg);
}

/** The values are not deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  check(!deepEqual(actual, expected), "differs from", actual, expected, msg);
}

/** The values are the same, as `Object.is` sees it. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  check(Object.is(actual, expected), "is", actual, expected, msg);
}

/** The value is neither `null` nor `undefined`. */
export function assertExists<T>(
  actual: T,
  msg?: string,
): asserts actual is NonNullable<T> {
  if (actual !== undefined && actual !== null) return;
  throw new AssertionError(described(`Expected a value, got ${actual}`, msg));
}

/** The value is an instance of the class. */
export function assertInstanceOf<
  // deno-lint-ignore no-explicit-any -- as in @std, any class will do
  T extends abstract new (...args: any[]) => any,
>(
  actual: unknown,
  expectedType: T,
  msg = "",
): asserts actual is InstanceType<T> {
  const holds = actual instanceof expectedType;
  check(holds, "is an instance of", actual, expectedType, msg);
}

/** The string matches the pattern. */
export function assertMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void {
  check(expected.test(actual), "matches", actual, expected, msg);
}

/** The string contains the other one. */
export function assertStringIncludes(
  actual: string,
  expected: string,
  msg?: string,
): void {
  check(actual.includes(expected), "contains", actual, expected, msg);
}

/** The list contains each value of the other one, as `assertEquals` compares. */
export function assertArrayIncludes<T>(
  actual: ArrayLike<T> & object,
  expected: ArrayLike<T> & object,
  msg?: string,
): void {
  const holds = Array.from(expected).every((wanted) =>
    Array.from(actual).some((value) => deepEqual(value, wanted))
  );
  check(holds, "includes", actual, expected, msg);
}

/** The first value is greater than the second. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  check(actual > expected, ">", actual, expected, msg);
}

/** The first value is greater than the second, or equal to it. */
export function assertGreaterOrEqual<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  check(actual >= expected, ">=", actual, expected, msg);
}

/** The first value is less than the second. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  check(actual < expected, "<", actual, expected, msg);
}

/** The first value is less than the second, or equal to it. */
export function assertLessOrEqual<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  check(actual <= expected, "<=", actual, expected, msg);
}

/** Everything in `expected` is in `actual`, which may hold more. */
export function assertObjectMatch(
  // deno-lint-ignore no-explicit-any -- as in @std, the values may be anything
  actual: Record<PropertyKey, any>,
  expected: Record<PropertyKey, unknown>,
  msg?: string,
): void {
  assertEquals(common(actual, expected), common(expected, expected), msg);
}

/** The value is an error: of that class, and with that text in its message. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  ErrorClass?: ErrorConstructor<E>,
  msgMatches?: string | RegExp,
  msg?: string,
): asserts error is E {
  assertInstanceOf(error, ErrorClass ?? Error, msg);
  if (msgMatches instanceof RegExp) assertMatch(error.message, msgMatches, msg);
  else if (msgMatches) assertStringIncludes(error.message, msgMatches, msg);
}

/** The function throws; gives what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorConstructor<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClassOrMsg?: ErrorConstructor<E> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  try {
    fn();
  } catch (error) {
    return expectedError(error, errorClassOrMsg, msgIncludes, msg);
  }
  throw new AssertionError(
    described("Expected function to throw", errorClassOrMsg, msg),
  );
}

/** The function gives a promise that rejects; resolves with the reason. */
export function assertRejects(
  fn: () => PromiseLike<unknown>,
  msg?: string,
): Promise<unknown>;
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorConstructor<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClassOrMsg?: ErrorConstructor<E> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (cause) {
    const message = "Function throws when expected to reject";
    throw new AssertionError(described(message, errorClassOrMsg, msg), {
      cause,
    });
  }
  try {
    await promise;
  } catch (error) {
    return expectedError(error, errorClassOrMsg, msgIncludes, msg);
  }
  throw new AssertionError(
    described("Expected function to reject", errorClassOrMsg, msg),
  );
}

function expectedError<E extends Error>(
  error: unknown,
  errorClassOrMsg?: ErrorConstructor<E> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  if (typeof errorClassOrMsg === "function") {
    assertIsError(error, errorClassOrMsg, msgIncludes, msg);
  }
  return error;
}

// What `actual` holds under the keys of `expected`, at every depth.
function common(actual: unknown, expected: unknown): unknown {
  if (Array.isArray(actual) && Array.isArray(expected)) {
    return actual.slice(0, expected.length)
      .map((value, index) => common(value, expected[index]));
  }
  if (!isRecord(actual) || !isRecord(expected)) return actual;
  return Object.fromEntries(
    Object.keys(expected)
      .filter((key) => key in actual)
      .map((key) => [key, common(actual[key], expected[key])]),
  );
}

// Neither an array nor a Date, Map, Uint8Array and so on.
function isRecord(value: unknown): value is Record<string, unknown> {
  return value instanceof Error ||
    Object.prototype.toString.call(value) === "[object Object]";
}

function check(
  holds: boolean,
  relation: string,
  actual: unknown,
  expected: unknown,
  msg?: string,
): asserts holds {
  if (holds) return;
  throw new AssertionError(
    described(`Expected: ${shown(actual)} ${relation} ${shown(expected)}`, msg),
  );
}

function shown(value: unknown): string {
  return Deno.inspect(value, { depth: 10, strAbbreviateSize: 10_000 });
}

function described(message: string, ...details: unknown[]): string {
  const detail = details.find((it) => typeof it === "string" && it !== "");
  return detail === undefined ? `${message}.` : `${message}: ${detail}`;
}
