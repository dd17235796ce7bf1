/**
 * The cookies that redirects set (RFC 6265), such as those with which a load
 * balancer makes a client come back to the same server.
 *
 * @module
 */

import { trimSpace } from "./headers.ts";
import type { Target } from "./target.ts";

/** The most cookies that are kept, the newest ones. */
const MAX_COOKIES = 50;

/** The longest `Set-Cookie` that is taken, in characters (RFC 6265 section 6.1). */
const MAX_LENGTH = 4096;

interface Cookie {
  readonly origin: string;
  readonly path: string;
  readonly name: string;
  /** `null` if the server has deleted the cookie. */
  readonly value: string | null;
}

/**
 * The cookies of one handshake and its redirects. Each is sent only to the origin
 * that has set it, whatever its `Domain` says, and only below its path.
 */
export class CookieJar {
  #cookies: Cookie[] = [];

  /** Keeps the cookies that the answer from a URL sets. */
  store(url: URL, headers: Headers): void {
    for (const text of headers.getSetCookie()) {
      const cookie = parseCookie(url, text);
      if (cookie === null) continue;
      this.#cookies = this.#cookies.filter((it) => !isSame(it, cookie));
      this.#cookies.push(cookie);
      if (this.#cookies.length > MAX_COOKIES) this.#cookies.shift();
    }
  }

  /** Returns a target with the cookies for its URL, which replace those that it has of the same name. */
  applyTo(target: Target): Target {
    const { url, headers } = target;
    const cookies = this.#cookies.filter(({ origin, path }) =>
      origin === originOf(url) && isBelow(url.pathname, path)
    );
    if (cookies.length === 0) return target;
    const names = new Set(cookies.map(({ name }) => name));
    const own = (headers["Cookie"] ?? "").split(";").map(trimSpace).filter(
      (pair) => pair !== "" && !names.has(trimSpace(pair.split("=")[0]!)),
    );
    // Longer paths come first (RFC 6265 section 5.4).
    const set = cookies.filter(({ value }) => value !== null)
      .toSorted((a, b) => b.path.length - a.path.length)
      .map(({ name, value }) => `${name}=${value}`);
    const { Cookie: _, ...others } = headers;
    const all = [...own, ...set].join("; ");
    return {
      ...target,
      headers: all === "" ? others : { ...others, Cookie: all },
    };
  }
}

function isSame(a: Cookie, b: Cookie): boolean {
  return a.origin === b.origin && a.path === b.path && a.name === b.name;
}

/** Returns the scheme, the host and the port of a URL. `URL.origin` is `null` for `ws:` in some versions of Deno. */
function originOf({ protocol, host }: URL): string {
  return `${protocol}//${host}`;
}

/** Parses a `Set-Cookie` (RFC 6265 section 5.2). Returns `null` if it has to be ignored. */
function parseCookie(url: URL, text: string): Cookie | null {
  if (text.length > MAX_LENGTH) return null;
  const [pair = "", ...rest] = text.split(";");
  const equals = pair.indexOf("=");
  const name = trimSpace(pair.slice(0, Math.max(equals, 0)));
  if (name === "") return null;
  const attributes = new Map(rest.map((attribute) => {
    const [key = "", ...value] = attribute.split("=");
    return [trimSpace(key).toLowerCase(), trimSpace(value.join("="))];
  }));
  if (attributes.has("secure") && url.protocol !== "wss:") return null;
  const domain = attributes.get("domain")?.toLowerCase().replace(/^\./, "");
  if (
    domain && url.hostname !== domain && !url.hostname.endsWith(`.${domain}`)
  ) {
    return null;
  }
  const path = attributes.get("path");
  return {
    origin: originOf(url),
    // Otherwise the path of the URL up to its last slash (section 5.1.4).
    path: path?.startsWith("/")
      ? path
      : url.pathname.slice(0, url.pathname.lastIndexOf("/")) || "/",
    name,
    value: isExpired(attributes) ? null : trimSpace(pair.slice(equals + 1)),
  };
}

/** Whether a cookie is to be deleted. `Max-Age` takes precedence over `Expires` (RFC 6265 section 4.1.2.2). */
function isExpired(attributes: ReadonlyMap<string, string>): boolean {
  const maxAge = attributes.get("max-age") ?? "";
  if (/^-?\d+$/.test(maxAge)) return Number(maxAge) <= 0;
  return Date.parse(attributes.get("expires") ?? "") <= Date.now();
}

/** Whether a path is that of a cookie, or lies below it (RFC 6265 section 5.1.4). */
function isBelow(path: string, parent: string): boolean {
  return path === parent ||
    path.startsWith(parent.endsWith("/") ? parent : `${parent}/`);
}
