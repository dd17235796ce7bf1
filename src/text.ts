/**
 * Helpers for text: escaping untrusted text, checking options, and the encodings
 * that a handshake needs.
 *
 * @module
 */

/**
 * Matches the characters that must be escaped before text is written to a
 * terminal or a log: the control characters of ASCII and Latin-1, line and
 * paragraph separators, and the characters that change the direction of text.
 */
export const UNPRINTABLE =
  // deno-lint-ignore no-control-regex -- it matches control characters on purpose
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Returns the escape sequence of a character, such as `\u001b`. */
export function escapeCharacter(character: string): string {
  return "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0");
}

/**
 * Escapes the characters of a text that are not printable. Needed for text from a
 * server in an error message, which may be written to a terminal.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escapeCharacter);
}

/** Quotes an untrusted text for an error message: escapes it, and cuts it after 100 characters. */
export function quote(text: string): string {
  return `"${printable(text.length > 100 ? text.slice(0, 100) + "…" : text)}"`;
}

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

/** Decodes percent-encoding. Returns the text unchanged if the encoding is invalid. */
export function decodePercent(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Returns the value of an `Authorization` header for HTTP Basic authentication (RFC 7617) in UTF-8. */
export function basicAuth(username: string, password: string): string {
  return `Basic ${base64(new TextEncoder().encode(`${username}:${password}`))}`;
}

/** Encodes bytes in base64. */
export function base64(bytes: Uint8Array): string {
  return btoa(decodeLatin1(bytes));
}

/** Encodes text in Latin-1, one byte for each character, as header fields are encoded. */
export function encodeLatin1(text: string): Uint8Array<ArrayBuffer> {
  const utf8 = new TextEncoder().encode(text);
  if (utf8.length === text.length) return utf8; // it is ASCII, whose encodings are the same
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** The number of bytes that are decoded in one call, which is small enough for the stack. */
const PIECE = 4096;

/** Decodes Latin-1, one character for each byte. */
export function decodeLatin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += PIECE) {
    // A spread of the bytes would go through an iterator, and take six times as long.
    text += Reflect.apply(
      String.fromCharCode,
      null,
      bytes.subarray(at, at + PIECE),
    );
  }
  return text;
}
