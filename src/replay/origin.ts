/**
 * Which web pages may connect to a server of this machine. A browser lets every page
 * open a WebSocket anywhere, and only says in `Origin` which page it is (RFC 6455
 * section 10.2). Other programs send no `Origin`.
 *
 * @module
 */

import { kindOf } from "../checks.ts";

/** Decides by the value of `Origin` whether a handshake is accepted. */
export type OriginRule = (origin: string) => boolean;

/**
 * Checks the option `allowOrigin`, and creates the rule: pages of this machine are
 * always allowed, whatever their port.
 *
 * @throws {TypeError} If it is not an origin such as `"https://example.com"`,
 * `"null"` or `"*"`, or several.
 */
export function originRule(
  option: string | readonly string[] | undefined,
): OriginRule {
  const list = option === undefined
    ? []
    : Array.isArray(option)
    ? option
    : [option];
  const allowed = new Set(list.map(normalize));
  return (origin) =>
    allowed.has("*") || allowed.has(origin.toLowerCase()) || isLocal(origin);
}

function normalize(value: unknown): string {
  if (typeof value !== "string") {
    throw new TypeError(
      `Invalid allowOrigin: expected a string or an array of strings, got ${
        kindOf(value)
      }`,
    );
  }
  if (value === "*" || value === "null") return value;
  const origin = value.toLowerCase().replace(/\/$/, "");
  // Schemes such as chrome-extension: have no origin of their own in a URL.
  const url = URL.canParse(origin) ? new URL(origin) : null;
  if (
    url === null || !/^[a-z][a-z0-9+.-]*:\/\/[^/?#@]+$/.test(origin)
  ) {
    throw new TypeError(
      `Invalid allowOrigin: expected an origin such as "https://example.com", "null" or "*"`,
    );
  }
  // A default port is left out, as a browser does.
  return url.origin === "null" ? origin : url.origin;
}

/** Whether a page comes from this machine: `localhost`, a name below it, or a loopback address. */
function isLocal(origin: string): boolean {
  if (!/^https?:\/\/[^/?#@]+$/i.test(origin) || !URL.canParse(origin)) {
    return false;
  }
  const { hostname } = new URL(origin);
  return hostname === "localhost" || hostname.endsWith(".localhost") ||
    /^127\.\d+\.\d+\.\d+$/.test(hostname) || hostname === "[::1]";
}
