import { HandshakeError } from "../errors.ts";
import { basicAuth, decodePercent, kindOf, quote } from "../text.ts";
import type { HandshakeResponse } from "../response.ts";

/** What is asked of which server: everything that a handshake request says. */
export interface Target {
  /** `ws:` or `wss:`, without credentials or fragment. */
  readonly url: URL;
  /** Subprotocols, in order of preference. */
  readonly protocols: readonly string[];
  /** The caller's headers, and `Authorization` if the URL had credentials. */
  readonly headers: Fields;
}

/**
 * Header fields by their names in lower case. A plain object: `fetch` and
 * `WebSocket` take one in a quarter of the time.
 */
export type Fields = Readonly<Record<string, string>>;

/** `token` of RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * Reads what the caller asks for.
 *
 * @throws {TypeError} For a URL, a subprotocol or a header that cannot be used.
 */
export function parseTarget(
  url: string | URL,
  protocols: string | string[] = [],
  headers?: HeadersInit,
): Target {
  const parsed = parseUrl(url);
  const checked = checkHeaders(headers);
  const { username, password } = parsed;
  return {
    url: withoutCredentials(parsed),
    protocols: checkProtocols(protocols),
    headers: username === "" && password === "" ? checked : {
      authorization: basicAuth(
        decodePercent(username),
        decodePercent(password),
      ),
      ...checked,
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
    // The text is not repeated: it may hold credentials.
    throw new TypeError(
      `Invalid URL: expected one such as "wss://example.com/feed"`,
    );
  }
  if (url.protocol !== "ws:" && url.protocol !== "wss:") {
    throw new TypeError(
      `Invalid URL: expected the scheme "ws:" or "wss:", got "${url.protocol}"`,
    );
  }
  if (url.href.includes("#")) {
    throw new TypeError(
      `Invalid URL: ${
        displayUrl(url)
      } has a fragment, which a WebSocket URL must not have`,
    );
  }
  return url;
}

/** Takes the credentials out of a URL that is ours. */
function withoutCredentials(url: URL): URL {
  if (url.username !== "") url.username = "";
  if (url.password !== "") url.password = "";
  return url;
}

function checkProtocols(input: string | string[]): string[] {
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

/** Header fields that the handshake itself needs to write. */
const RESERVED =
  /^(?:host|connection|upgrade|content-length|transfer-encoding|sec-websocket-.*)$/i;

/** @throws {TypeError} For a header that cannot be used. */
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
      // The value is not repeated: it may be a secret.
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

/** The URL as messages show it: without credentials, and without the query, where tokens live. */
export function displayUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

/** The same URL with the scheme that HTTP has for it. */
export function httpUrl(url: URL): string {
  return url.href.replace(/^ws/, "http");
}

/** A {@linkcode HandshakeError} whose message begins with what was asked of whom. */
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

/** An answer that sends the client elsewhere. */
export interface Redirect {
  readonly location: string;
  readonly response: HandshakeResponse;
}

/**
 * The target that a redirect leads to. `Authorization`, cookies and credentials
 * go to the same origin only, and nothing goes from `wss:` to `ws:`.
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

/** Leaves out what may be secret in a text that is not a URL we can read. */
function withoutQuery(text: string): string {
  return text.replace(/\/\/.*@/s, "//").replace(/[?#].*$/s, "");
}
