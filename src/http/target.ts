import { HandshakeError } from "../errors.ts";
import { basicAuth, decodePercent } from "./encoding.ts";
import { kindOf } from "../checks.ts";
import { quote } from "../escape.ts";
import type { HandshakeResponse } from "../response.ts";

/** The URL, subprotocols and headers of a handshake request. */
export interface Target {
  /** `ws:` or `wss:`, without credentials or fragment. */
  readonly url: URL;
  /** Subprotocols, in order of preference. */
  readonly protocols: readonly string[];
  /** The headers that the caller passed, and `Authorization` if the URL had credentials. */
  readonly headers: Fields;
}

/**
 * Header fields by their names in lower case. It is a plain object because `fetch`
 * and `WebSocket` take one in a quarter of the time of a `Headers` object.
 */
export type Fields = Readonly<Record<string, string>>;

/** Matches a `token` (RFC 9110 section 5.6.2). */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * Parses and checks the URL, subprotocols and headers that the caller passed.
 *
 * @throws {TypeError} If one of them is invalid.
 */
export function parseTarget(
  url: string | URL,
  protocols: string | string[] = [],
  headers?: HeadersInit,
): Target {
  const parsed = parseUrl(url);
  const target = {
    url: parsed,
    protocols: checkProtocols(protocols),
    headers: checkHeaders(headers),
  };
  // Most URLs have no credentials, and each property of a URL takes a microsecond.
  if (!parsed.href.includes("@")) return target;
  const { username, password } = parsed;
  if (username === "" && password === "") return target;
  return {
    ...target,
    url: withoutCredentials(parsed),
    headers: {
      authorization: basicAuth(
        decodePercent(username),
        decodePercent(password),
      ),
      ...target.headers,
    },
  };
}

function parseUrl(input: string | URL): URL {
  if (typeof input !== "string" && !(input instanceof URL)) {
    throw new TypeError(
      `Invalid URL: expected a string or a URL, got ${kindOf(input)}`,
    );
  }
  let url: URL;
  try {
    url = new URL(input);
  } catch {
    // The message does not repeat the text, which may contain credentials.
    throw new TypeError(
      `Invalid URL: expected one such as "wss://example.com/feed"`,
    );
  }
  const { href } = url;
  if (!/^wss?:/.test(href)) {
    throw new TypeError(
      `Invalid URL: expected the scheme "ws:" or "wss:", got "${url.protocol}"`,
    );
  }
  if (href.includes("#")) {
    throw new TypeError(
      `Invalid URL: ${
        displayUrl(url)
      } has a fragment, which a WebSocket URL must not have`,
    );
  }
  return url;
}

/** Removes the credentials from a URL, which is modified. */
function withoutCredentials(url: URL): URL {
  if (url.username !== "") url.username = "";
  if (url.password !== "") url.password = "";
  return url;
}

/**
 * Checks the subprotocols that the caller passed, and copies them.
 *
 * @throws {TypeError} If one of them is invalid or is given twice.
 */
export function checkProtocols(input: string | string[]): string[] {
  const protocols = typeof input === "string" ? [input] : input;
  if (!Array.isArray(protocols)) {
    throw new TypeError(
      `Invalid protocols: expected a string or an array of strings, got ${
        kindOf(input)
      }`,
    );
  }
  const seen = new Set<string>();
  for (const protocol of protocols) {
    if (typeof protocol !== "string" || !TOKEN.test(protocol)) {
      throw new TypeError(
        `Invalid subprotocol ${
          quote(String(protocol))
        }: expected a token, as in "chat.v1"`,
      );
    }
    if (seen.has(protocol.toLowerCase())) {
      throw new TypeError(
        `The subprotocol ${quote(protocol)} is given more than once`,
      );
    }
    seen.add(protocol.toLowerCase());
  }
  return [...protocols];
}

/** Matches the names of the header fields that the handshake sets itself. */
const RESERVED =
  /^(?:host|connection|upgrade|content-length|transfer-encoding|sec-websocket-.*)$/i;

/**
 * Checks the headers that the caller passed.
 *
 * @throws {TypeError} If one of them is invalid or is set by the handshake itself.
 */
export function checkHeaders(input: HeadersInit | undefined): Fields {
  if (input === undefined) return {};
  const headers = new Headers();
  for (const [name, value] of headerPairs(input)) {
    if (RESERVED.test(name)) {
      throw new TypeError(
        `The header "${name}" cannot be set: the handshake writes it itself`,
      );
    }
    try {
      headers.append(name, value);
    } catch {
      // The message does not repeat the value, which may be a secret.
      throw new TypeError(
        TOKEN.test(name)
          ? `Invalid value of the header "${name}": expected one line of characters up to U+00FF`
          : `Invalid header name ${quote(name)}`,
      );
    }
  }
  return Object.fromEntries(headers);
}

function headerPairs(input: HeadersInit): [string, string][] {
  if (input === null || typeof input !== "object") {
    throw new TypeError(
      `Invalid headers: expected an object, got ${kindOf(input)}`,
    );
  }
  const pairs = Symbol.iterator in input ? [...input] : Object.entries(input);
  return pairs.map((pair: Iterable<string>) => {
    const [name, value, ...rest] = [...pair].map(String);
    if (name === undefined || value === undefined || rest.length > 0) {
      throw new TypeError(
        "Invalid headers: expected pairs of a name and a value",
      );
    }
    return [name, value];
  });
}

/** Formats a URL for messages: without credentials, and without the query, which often has a token. */
export function displayUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

/** Returns the URL with `http:` in place of `ws:`, or `https:` in place of `wss:`. */
export function httpUrl(url: URL): string {
  return url.href.replace(/^ws/, "http");
}

/** Creates a {@linkcode HandshakeError} whose message begins with `Cannot connect to` and the URL. */
export function handshakeError(
  target: Target,
  problem: string,
  options: {
    response?: HandshakeResponse;
    cause?: unknown;
    transient?: boolean;
  } = {},
): HandshakeError {
  return new HandshakeError(
    `Cannot connect to ${displayUrl(target.url)}: ${problem}`,
    {
      url: target.url.href,
      ...options,
    },
  );
}

/** An answer that redirects the client. */
export interface Redirect {
  readonly location: string;
  readonly response: HandshakeResponse;
}

/**
 * Returns the target of a redirect. `Authorization`, `Cookie` and
 * `Proxy-Authorization` are kept only if the origin stays the same.
 *
 * @throws {HandshakeError} If the redirect leads to something else than a
 * WebSocket URL, or from `wss:` to `ws:`.
 */
export function redirected(
  target: Target,
  { location, response }: Redirect,
): Target {
  let url: URL;
  try {
    const next = new URL(location, httpUrl(target.url));
    next.hash = "";
    url = parseUrl(next.href.replace(/^http/, "ws"));
  } catch {
    throw handshakeError(
      target,
      `it redirects to ${
        quote(withoutQuery(location))
      }, which is not a WebSocket URL`,
      { response },
    );
  }
  if (target.url.protocol === "wss:" && url.protocol === "ws:") {
    throw handshakeError(
      target,
      `it redirects from wss: to ws: (${
        displayUrl(url)
      }), which would give up encryption`,
      { response },
    );
  }
  const headers = { ...target.headers };
  const sameOrigin = url.protocol === target.url.protocol &&
    url.host === target.url.host;
  if (!sameOrigin) {
    for (const name of ["authorization", "cookie", "proxy-authorization"]) {
      delete headers[name];
    }
  }
  return { url: withoutCredentials(url), protocols: target.protocols, headers };
}

/** Removes credentials, the query and the fragment from a text that may not be a valid URL. */
function withoutQuery(text: string): string {
  return text.replace(/\/\/.*@/s, "//").replace(/[?#].*$/s, "");
}
