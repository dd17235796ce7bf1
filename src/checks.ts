/**
 * Checks of option values. Each throws an error that names the option.
 *
 * @module
 */

/** Names the type of a value for an error message, without revealing the value. */
export function kindOf(value: unknown): string {
  return value === null
    ? "null"
    : Array.isArray(value)
    ? "an array"
    : typeof value;
}

/**
 * Checks that an option is one of several strings.
 *
 * @returns The value, or the first choice if it is `undefined`.
 * @throws {TypeError} For any other value.
 */
export function oneOf<const T extends string>(
  name: string,
  value: T | undefined,
  choices: readonly [T, ...T[]],
): T {
  if (value === undefined) return choices[0];
  if (choices.includes(value)) return value;
  const expected = choices.map((choice) => `"${choice}"`).join(" or ");
  const got = typeof value === "string" ? JSON.stringify(value) : kindOf(value);
  throw new TypeError(`Invalid ${name}: expected ${expected}, got ${got}`);
}

/**
 * Checks that an option is an object.
 *
 * @throws {TypeError} For any other value.
 */
export function checkObject(name: string, value: unknown): void {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    return;
  }
  throw new TypeError(
    `Invalid ${name}: expected an object, got ${kindOf(value)}`,
  );
}

/**
 * Checks that an option is a boolean.
 *
 * @returns The value, or `fallback` if it is `undefined`.
 * @throws {TypeError} For any other value.
 */
export function checkBoolean(
  name: string,
  value: boolean | undefined,
  fallback: boolean,
): boolean {
  if (value === undefined) return fallback;
  if (typeof value === "boolean") return value;
  throw new TypeError(
    `Invalid ${name}: expected a boolean, got ${kindOf(value)}`,
  );
}

/**
 * Checks that a value is a whole number from 1, or `Infinity`.
 *
 * @throws {TypeError} If it is not a number.
 * @throws {RangeError} If it is any other number.
 */
export function checkCount(name: string, value: number): number {
  if (typeof value !== "number") {
    throw new TypeError(
      `Invalid ${name}: expected a number, got ${kindOf(value)}`,
    );
  }
  if (value !== Infinity && !(Number.isInteger(value) && value >= 1)) {
    throw new RangeError(
      `Invalid ${name}: expected a whole number from 1 or Infinity, got ${value}`,
    );
  }
  return value;
}

/**
 * Checks that an option is a function, if it is given.
 *
 * @throws {TypeError} For any other value.
 */
export function checkCallback<T>(
  name: string,
  value: T | undefined,
): T | undefined {
  if (value !== undefined && typeof value !== "function") {
    throw new TypeError(
      `Invalid ${name}: expected a function, got ${kindOf(value)}`,
    );
  }
  return value;
}

/**
 * Checks that an option is an `AbortSignal`, if it is given.
 *
 * @throws {TypeError} For any other value.
 */
export function checkSignal(
  signal: AbortSignal | undefined,
): AbortSignal | undefined {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(
      `Invalid signal: expected an AbortSignal, got ${kindOf(signal)}`,
    );
  }
  return signal;
}
