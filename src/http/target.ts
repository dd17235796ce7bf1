import { basicAuth, decodePercent } from "./encoding.ts";
import { kindOf } from "../checks.ts";
import { quote } from "../escape.ts";
import { CONTROL, TOKEN, trimSpace } from "./headers.ts";

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
 * Header fields by their names. No name is in it twice, in different letters. The
 * fields that the handshake itself knows are spelled as browsers spell them, such
 * as `Authorization`; the others are spelled as the caller did, since some servers
 * mind it. It is a plain object because `fetch` and `WebSocket` take one in a
 * quarter of the time of a `Headers` object (the rows "From the call to the first
 * message" of `bench/`).
 */
export type Fields = Readonly<Record<string, string>>;

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
      Authorization: basicAuth(
        decodePercent(username),
        decodePercent(password),
      ),
      ...target.headers,
    },
  };
}

/**
 * Parses and checks a URL.
 *
 * @throws {TypeError} If it is not a WebSocket URL.
 */
export function parseUrl(input: string | URL): URL {
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
export function withoutCredentials(url: URL): URL {
  if (url.username !== "") url.username = "";
  if (url.password !== "") url.password = "";
  return url;
}

/**
 * Checks the subprotocols that the caller passed, and copies them.
 *
 * @throws {TypeError} If one of them is invalid or is given twice.
 */
export function checkProtocols(input: string | string[] = []): string[] {
  const protocols = typeof input === "string" ? [input] : input;
  if (!Array.isArray(protocols)) {
    throw new TypeError(
      `Invalid protocols: expected a string or an array of strings, got ${
        kindOf(input)
      }`,
    );
  }
  const seen = new Set<string>();
  for (const [index, protocol] of protocols.entries()) {
    // The messages do not repeat it, since some services take a token there.
    if (typeof protocol !== "string" || !TOKEN.test(protocol)) {
      throw new TypeError(
        `Invalid subprotocol number ${
          index + 1
        }: expected a token, as in "chat.v1"`,
      );
    }
    if (seen.has(protocol.toLowerCase())) {
      throw new TypeError(
        `Invalid subprotocol number ${index + 1}: it is given more than once`,
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
  const fields = new Map<string, [name: string, value: string]>();
  for (const [name, text] of headerPairs(input)) {
    if (RESERVED.test(name)) {
      throw new TypeError(
        `The header ${
          quote(name)
        } cannot be set: the handshake writes it itself`,
      );
    }
    // The messages do not repeat the value, which may be a secret, nor what
    // follows a colon, with which the name of a whole line would be given.
    if (!TOKEN.test(name)) {
      throw new TypeError(
        `Invalid header name ${quote(name.replace(/:.*/s, ":…"))}`,
      );
    }
    if (CONTROL.test(text) || !isLatin1(text)) {
      throw new TypeError(
        `Invalid value of the header "${name}": expected one line of characters up to U+00FF, ` +
          "without control characters other than tabs",
      );
    }
    const value = trimSpace(text);
    const key = name.toLowerCase();
    const field = fields.get(key);
    if (field === undefined) {
      const spelling = BROWSERS_SPELLING.get(key) ??
        (input instanceof Headers ? titleCase(key) : name);
      fields.set(key, [spelling, value]);
    } else {
      // Cookies are not a list (RFC 9113 section 8.2.3).
      field[1] += (key === "cookie" ? "; " : ", ") + value;
    }
  }
  return Object.fromEntries(fields.values());
}

/** The fields that the handshake writes or looks at, as browsers spell them, by their names in lower case. */
const BROWSERS_SPELLING = new Map(
  [
    ...["Accept", "Accept-Encoding", "Accept-Language", "Authorization"],
    ...["Cookie", "Origin", "Proxy-Authorization", "User-Agent"],
  ].map((name) => [name.toLowerCase(), name]),
);

/** Spells a name as browsers do. A `Headers` object forgets how it was spelled. */
function titleCase(name: string): string {
  return name.replace(/(?:^|-)[a-z]/g, (start) => start.toUpperCase());
}

function isLatin1(text: string): boolean {
  // deno-lint-ignore no-control-regex -- it matches all of Latin-1
  return /^[\u0000-\u00ff]*$/.test(text);
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
