/**
 * Hosts and addresses, as proxies and `NO_PROXY` name them.
 *
 * @module
 */

import { quote } from "../escape.ts";

/** A host, without the brackets of an IPv6 address, and a port. */
export interface HostPort {
  readonly hostname: string;
  readonly port: number;
}

/** Returns the host of a URL, without the brackets of an IPv6 address. */
export function hostOf({ hostname }: URL): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}

/** Formats a host, with brackets around an IPv6 address. */
export function formatHost(hostname: string): string {
  return hostname.includes(":") ? `[${hostname}]` : hostname;
}

/** Formats a host and a port, with brackets around an IPv6 address. */
export function formatHostPort({ hostname, port }: HostPort): string {
  return `${formatHost(hostname)}:${port}`;
}

/** Names what is dialled in place of a URL's host, for a message. */
export function describeAddress(address: HostPort | { path: string }): string {
  return "path" in address
    ? `the Unix socket ${quote(address.path)}`
    : formatHostPort(address);
}

/** Parses an IPv4 or IPv6 address into its 4 or 16 bytes. Returns `null` for a host name. */
export function parseAddress(text: string): number[] | null {
  // A leading zero could mean octal, so it makes no address.
  if (/^(?:(?:0|[1-9]\d{0,2})(?:\.(?!$)|$)){4}$/.test(text)) {
    const bytes = text.split(".").map(Number);
    return bytes.every((byte) => byte <= 255) ? bytes : null;
  }
  if (!text.includes(":")) return null;
  // The URL parser converts every IPv6 address to one notation, without dots.
  const canonical = URL.parse(`http://[${text}]/`)?.hostname.slice(1, -1);
  if (canonical === undefined) return null;
  const [head = "", tail] = canonical.split("::");
  const groups = (part: string) => part === "" ? [] : part.split(":");
  const before = groups(head);
  const after = groups(tail ?? "");
  const zeros = Array(8 - before.length - after.length).fill("0");
  return [...before, ...zeros, ...after].flatMap((group) => {
    const value = parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
