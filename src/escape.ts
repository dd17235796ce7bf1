/**
 * Escaping of untrusted text, which may be written to a terminal or a log.
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
