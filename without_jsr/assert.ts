// node:assert is not used, because up to Deno 2.5 its deepStrictEqual finds two
// errors with different messages, or two different ArrayBuffers, equal.
import { createCustomEqual } from "npm:fast-equals@6.2.2";

/** Compares deeply, as @std does: typed arrays with the same values are equal, wherever they are in their buffers. */
const deepEqual = createCustomEqual({
  createCustomConfig: () => ({
    areTypedArraysEqual: (a: Uint8Array, b: Uint8Array) =>
      a.length === b.length && a.every((value, i) => Object.is(value, b[i])),
  }),
});

// deno-lint-ignore no-explicit-any -- @std takes any constructor of an error
type ErrorConstructor<E extends Error> = abstract new (...args: any[]) => E;

/** Thrown by an assertion that fails. */
export class AssertionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}

/** Fails always. */
export function fail(msg?: string): never {
  throw new AssertionError(described("Failed assertion", msg));
}

/** Asserts that the value is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Asserts that the value is falsy. */
export function assertFalse(
  expr: unknown,
  msg = "",
): asserts expr is false | 0 | 0n | "" | null | undefined {
  if (expr) throw new AssertionError(msg);
}

/** Asserts that the values are deeply equal. Their types must be the same; `NaN` equals `NaN`. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  check(deepEqual(actual, expected), "equals", actual, expected, msg);
}

/** Asserts that the values are not deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  check(!deepEqual(actual, expected), "differs from", actual, expected, msg);
}

/** Asserts that the values are the same, as `Object.is` compares them. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  check(Object.is(actual, expected), "is", actual, expected, msg);
}

/** Asserts that the value is neither `null` nor `undefined`. */
export function assertExists<T>(
  actual: T,
  msg?: string,
): asserts actual is NonNullable<T> {
  if (actual !== undefined && actual !== null) return;
  throw new AssertionError(described(`Expected a value, got ${actual}`, msg));
}

/** Asserts that the value is an instance of the class. */
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

/** Asserts that the string matches the pattern. */
export function assertMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void {
  check(expected.test(actual), "matches", actual, expected, msg);
}

/** Asserts that the string contains the other one. */
export function assertStringIncludes(
  actual: string,
  expected: string,
  msg?: string,
): void {
  check(actual.includes(expected), "contains", actual, expected, msg);
}

/** Asserts that the list contains each value of the other one. Values are compared as by `assertEquals`. */
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

/** Asserts that the first value is greater than the second. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  check(actual > expected, ">", actual, expected, msg);
}

/** Asserts that the first value is greater than the second, or equal to it. */
export function assertGreaterOrEqual<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  check(actual >= expected, ">=", actual, expected, msg);
}

/** Asserts that the first value is less than the second. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  check(actual < expected, "<", actual, expected, msg);
}

/** Asserts that the first value is less than the second, or equal to it. */
export function assertLessOrEqual<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  check(actual <= expected, "<=", actual, expected, msg);
}

/** Asserts that `actual` contains every property of `expected`. It may have others. */
export function assertObjectMatch(
  // deno-lint-ignore no-explicit-any -- as in @std, the values may be anything
  actual: Record<PropertyKey, any>,
  expected: Record<PropertyKey, unknown>,
  msg?: string,
): void {
  assertEquals(common(actual, expected), common(expected, expected), msg);
}

/** Asserts that the value is an error of the class, and that its message contains the text. */
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

/** Asserts that the function throws, and returns the error. */
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

/** Asserts that the promise of the function rejects, and resolves with the reason. */
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

// Returns the part of `actual` whose keys are in `expected`, at every depth.
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

// Whether a value is a plain object or an error: no array, Date, Map, Uint8Array
// and so on.
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
