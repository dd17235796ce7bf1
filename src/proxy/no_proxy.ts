/**
 * `NO_PROXY`: which hosts are connected to without the proxy of the environment.
 *
 * @module
 */

import { parseAddress } from "./address.ts";

/**
 * Whether `NO_PROXY` contains a host. Its entries are names, with or without a
 * leading dot, which include their subdomains; addresses; ranges of addresses such
 * as `10.0.0.0/8`; and `*` for every host. An entry that is none of these, such as
 * one with a port or with an invalid range, contains no host.
 *
 * @param host A host name or an address, without brackets.
 */
export function isExempt(host: string, list: string): boolean {
  const name = host.toLowerCase();
  const address = parseAddress(name);
  return entries(list).some((text) => {
    const entry = text.toLowerCase();
    if (entry === "*") return true;
    const range = parseRange(entry);
    if (range !== null) {
      return address !== null && address.length === range.base.length &&
        sharesPrefix(address, range.base, range.bits);
    }
    if (address !== null) return false;
    const domain = entry.replace(/^\*?\./, "");
    return name === domain || name.endsWith(`.${domain}`);
  });
}

/**
 * Whether Deno's own HTTP client takes `NO_PROXY` to contain a host. It knows no
 * `*.name`, no brackets and no upper case in names, and `*` contains no addresses.
 *
 * @param host A host name or an address, without brackets.
 */
export function isExemptForDeno(host: string, list: string): boolean {
  const isAddress = parseAddress(host) !== null;
  return entries(list).some((entry) => {
    const isKnown = isAddress
      ? entry !== "*" && !entry.startsWith("[")
      : !entry.startsWith("*.") && entry === entry.toLowerCase();
    return isKnown && isExempt(host, entry);
  });
}

function entries(list: string): string[] {
  return list.split(",").map((text) => text.trim()).filter((text) =>
    text !== ""
  );
}

/** Parses an address or a range of addresses. Returns `null` for anything else. */
function parseRange(
  entry: string,
): { base: number[]; bits: number } | null {
  const match = /^\[?([^[\]/]*)\]?(?:\/(\d{1,3}))?$/.exec(entry);
  const base = match && parseAddress(match[1]!);
  if (!base) return null;
  const all = base.length * 8;
  const bits = match[2] === undefined ? all : Number(match[2]);
  return bits <= all ? { base, bits } : null;
}

/** Whether the first `bits` bits of two addresses are equal. */
function sharesPrefix(a: number[], b: number[], bits: number): boolean {
  return a.every((byte, i) => {
    const left = Math.min(Math.max(bits - i * 8, 0), 8);
    const mask = 0xff << (8 - left) & 0xff;
    return (byte & mask) === (b[i]! & mask);
  });
}
