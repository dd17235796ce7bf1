/**
 * Reads the value of one option, as each function here says, or refuses it with a
 * sentence that names the option.
 *
 * @module
 */

import { parseDuration } from "../../../mod.ts";
import { usageError } from "../errors.ts";
import type { Arguments } from "./parse.ts";
import {
  type Choice,
  type ChoiceName,
  OPTIONS,
  type ValueName,
} from "./table.ts";

/** The value of an option that must not be empty. */
export function text(args: Arguments, name: ValueName): string | undefined {
  const value = args.get(name);
  if (value === "") throw usageError(`The value of --${name} is empty`);
  return value;
}

/** The value of an option that takes one of a few words. */
export function choice<N extends ChoiceName>(
  args: Arguments,
  name: N,
): Choice<N> | undefined {
  const value = args.get(name);
  const { choices } = OPTIONS.find((option) => option.name === name)!;
  if (value === undefined || choices!.includes(value)) {
    return value as Choice<N> | undefined;
  }
  throw usageError(
    `Invalid --${name} ${shown(value)}: expected ${listed(choices!)}`,
  );
}

/** A value in a message; a URL slipped in there may hold a secret. */
export function shown(value: string): string {
  return value.includes("://") ? "(a URL)" : JSON.stringify(value);
}

/** As in "a, b or c". */
export function listed(words: readonly string[], last = "or"): string {
  return words.join(", ").replace(/, ([^,]*)$/, ` ${last} $1`);
}

/** The value of an option that counts something. */
export function whole(
  args: Arguments,
  name: ValueName,
  least = 1,
  most: number = Number.MAX_SAFE_INTEGER,
): number | undefined {
  const value = args.get(name);
  if (value === undefined) return undefined;
  const number = /^\d+$/.test(value) ? Number(value) : NaN;
  if (number >= least && number <= most) return number;
  const range = most === Number.MAX_SAFE_INTEGER
    ? `from ${least}`
    : `from ${least} to ${most}`;
  throw usageError(
    `Invalid --${name} ${shown(value)}: expected a whole number ${range}`,
  );
}

/** The value of an option in milliseconds: more than 0. */
export function duration(
  args: Arguments,
  name: ValueName,
): number | undefined {
  const value = args.get(name);
  if (value === undefined) return undefined;
  let milliseconds = 0;
  try {
    if (value !== "") milliseconds = parseDuration(value);
  } catch (error) {
    if (value.includes("://")) {
      throw usageError(
        `Invalid --${name} (a URL): expected a time such as "10s"`,
      );
    }
    const problem = (error as Error).message
      .replace(/, expected a number of seconds.*$/s, "");
    const hint = problem.includes("as in")
      ? ""
      : problem.includes("expected")
      ? ', as in "10s" or "1m 30s"'
      : ', expected a time such as "10s" or "1m 30s"';
    throw usageError(`Invalid --${name}: ${problem}${hint}`);
  }
  if (milliseconds > 0) return milliseconds;
  throw usageError(
    `Invalid --${name} ${
      shown(value)
    }: expected more than nothing, as in "10s"`,
  );
}

/** The value of an option in bytes; the units are powers of 1024. */
export function size(args: Arguments, name: ValueName): number | undefined {
  const value = args.get(name);
  if (value === undefined) return undefined;
  const bytes = parseSize(value);
  if (bytes !== null) return bytes;
  throw usageError(
    `Invalid --${name} ${
      shown(value)
    }: expected a number of bytes, as in "64M" or "65536"`,
  );
}

const SIZE_UNITS = ["", "k", "m", "g"];

/** The number of bytes of a size such as `64M`; `null` if it is none. */
function parseSize(text: string): number | null {
  const [, number, unit = ""] = /^(\d+)\s*(?:([kmg])i?b?|b)?$/i.exec(text) ??
    [];
  const bytes = Number(number) *
    1024 ** SIZE_UNITS.indexOf(unit.toLowerCase());
  return bytes >= 1 && Number.isSafeInteger(bytes) ? bytes : null;
}

/** How large or how old something may become. */
export type Extent =
  | { readonly bytes: number }
  | { readonly milliseconds: number };

/** The value of an option that is a size or a time: `10M` is a size, `10m` ten minutes. */
export function extent(args: Arguments, name: ValueName): Extent | undefined {
  const value = args.get(name);
  if (value === undefined) return undefined;
  const bytes = /^\d+\s*m$/.test(value) ? null : parseSize(value);
  if (bytes !== null) return { bytes };
  try {
    const milliseconds = parseDuration(value);
    if (milliseconds > 0) return { milliseconds };
  } catch {
    // It is neither of the two.
  }
  throw usageError(
    `Invalid --${name} ${
      shown(value)
    }: expected a size such as "64M", or a time such as "1h"`,
  );
}

/** The value of an option that lists close codes: says of a code whether it is among them. */
export function closeCodes(
  args: Arguments,
  name: ValueName,
): ((code: number) => boolean) | undefined {
  const value = args.get(name);
  if (value === undefined) return undefined;
  if (value.trim() === "none") return () => false;
  const ranges = value.split(",").map((part) => {
    const [, first, last = first] = /^\s*(\d{4})(?:-(\d{4}))?\s*$/.exec(part) ??
      [];
    return [Number(first), Number(last)] as const;
  });
  const isValid = ranges.every(([first, last]) =>
    first >= 1000 && first <= last && last <= 4999
  );
  if (isValid) {
    return (code) =>
      ranges.some(([first, last]) => code >= first && code <= last);
  }
  throw usageError(
    `Invalid --${name} ${
      shown(value)
    }: expected close codes from 1000 to 4999, as in "1008,4000-4999", or none`,
  );
}

/** The value of an option that is a host and a port; an IPv6 address stands in brackets. */
export function hostAndPort(
  args: Arguments,
  name: ValueName,
): { hostname: string; port: number } | undefined {
  const value = args.get(name);
  if (value === undefined) return undefined;
  const [, address, host, digits] =
    /^(?:\[([\da-f:.%a-z]+)\]|([^\s:/?#@[\]]+)):(\d{1,5})$/i.exec(value) ?? [];
  const hostname = address ?? host;
  const port = Number(digits);
  if (hostname !== undefined && port >= 1 && port <= 65535) {
    return { hostname, port };
  }
  throw usageError(
    `Invalid --${name} ${
      shown(value)
    }: expected a host and a port, as in "10.0.0.7:443" or "[::1]:8080"`,
  );
}
