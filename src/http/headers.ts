/**
 * Header fields: their syntax, and those of an answer.
 *
 * @module
 */

/** Matches a `token`, such as the name of a header field or a subprotocol (RFC 9110 section 5.6.2). */
export const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Matches the control characters that a header field must not contain (RFC 9110 section 5.5). */
// deno-lint-ignore no-control-regex -- it matches control characters on purpose
export const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f]/;

/** Removes spaces and tabs around a value, the only white space of a header field (RFC 9110 section 5.6.3). */
export function trimSpace(value: string): string {
  let start = 0;
  let end = value.length;
  while (start < end && isSpace(value.charCodeAt(start))) start++;
  while (end > start && isSpace(value.charCodeAt(end - 1))) end--;
  return value.slice(start, end);
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** Whether a comma-separated value contains a token, in upper or lower case. */
export function listsToken(value: string | null, token: string): boolean {
  return value !== null &&
    value.toLowerCase().split(",").some((part) => trimSpace(part) === token);
}

/** The header fields of an answer: a `Headers` object, or what one can be created from. Names are in lower case. */
export type AnswerHeaders =
  & Pick<Headers, "get">
  & Iterable<[name: string, value: string]>;

/**
 * The header fields of a head. A `Headers` object can be created from them, which
 * takes much longer (the rows "From the call to the first message" of `bench/`).
 */
export class HeaderFields implements AnswerHeaders {
  readonly #fields: [name: string, value: string][];

  /**
   * Parses the lines of a head after the first. A line that begins with white space
   * continues the one before it, as if there were one space between them (RFC 9112
   * section 5.2).
   *
   * @throws {TypeError} If a line is not a header field.
   */
  constructor(lines: readonly string[]) {
    this.#fields = [];
    for (const line of lines) {
      const last = this.#fields.at(-1);
      if (CONTROL.test(line)) throw malformed();
      if (last !== undefined && isSpace(line.charCodeAt(0))) {
        const more = trimSpace(line);
        last[1] += last[1] === "" || more === "" ? more : ` ${more}`;
        continue;
      }
      const colon = line.indexOf(":");
      const name = line.slice(0, Math.max(colon, 0)).toLowerCase();
      if (!TOKEN.test(name)) throw malformed();
      this.#fields.push([name, trimSpace(line.slice(colon + 1))]);
    }
  }

  /** Returns the value of the fields with a name in lower case, as `Headers.get()` does. */
  get(name: string): string | null {
    let all: string | null = null;
    for (const field of this.#fields) {
      if (field[0] !== name) continue;
      all = all === null ? field[1] : `${all}, ${field[1]}`;
    }
    return all;
  }

  [Symbol.iterator](): Iterator<[name: string, value: string]> {
    return this.#fields.values();
  }
}

function malformed(): TypeError {
  return new TypeError("The line is not a header field");
}
