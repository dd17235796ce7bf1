import { HandshakeError, printable } from "./errors.ts";
import { decodeLatin1 } from "./latin1.ts";
import type { HandshakeResponse } from "./response.ts";
import { sha1 } from "./sha1.ts";

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

/**
 * A handshake request that is about to be sent.
 *
 * @example Usage
 * ```ts no-eval
 * import { connectWebSocket, type HandshakeRequest } from "@wstap/wstap";
 *
 * function onRequest({ source, headers }: HandshakeRequest) {
 *   console.error(source, [...headers.keys()]);
 * }
 * await connectWebSocket("wss://example.com/", { onRequest });
 * ```
 */
export interface HandshakeRequest {
  /** What sends it: as {@linkcode HandshakeResponse.source} says of the answer. */
  readonly source: "preflight" | "tap" | "socket";
  /** The URL that is asked, without credentials. Its query may be secret. */
  readonly url: string;
  /**
   * The header fields, secrets and all. Of the native socket's request
   * `Sec-WebSocket-Key` is missing: it is known to nobody else.
   */
  readonly headers: Headers;
}

/** An answer that sends the caller elsewhere. */
export interface Redirect {
  readonly location: string;
  readonly response: HandshakeResponse;
}

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
    headers: username === "" && password === ""
      ? checked
      : { authorization: basic(username, password), ...checked },
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

function basic(username: string, password: string): string {
  const bytes = new TextEncoder().encode(
    `${decodePercent(username)}:${decodePercent(password)}`,
  );
  return `Basic ${base64(bytes)}`;
}

function decodePercent(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a "%" that encodes nothing stands for itself
  }
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

/** Names the type of a value in a message, without the value. */
export function kindOf(value: unknown): string {
  return value === null
    ? "null"
    : Array.isArray(value)
    ? "an array"
    : typeof value;
}

/** Quotes an untrusted text in a message: short, and with no control character in it. */
function quote(text: string): string {
  return `"${printable(text.length > 100 ? text.slice(0, 100) + "…" : text)}"`;
}

/** The URL as messages show it: without credentials, and without the query, where tokens live. */
export function displayUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

/** The same URL with the scheme that HTTP has for it. */
export function httpUrl(url: URL): string {
  return url.href.replace(/^ws/, "http");
}

/** A fresh `Sec-WebSocket-Key`: 16 random bytes in base64. */
export function createKey(): string {
  return base64(crypto.getRandomValues(new Uint8Array(16)));
}

/** The `Sec-WebSocket-Accept` that answers a key (RFC 6455 section 4.2.2). */
export function acceptFor(key: string): string {
  const text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  return base64(sha1(new TextEncoder().encode(text)));
}

function base64(bytes: Uint8Array): string {
  return btoa(decodeLatin1(bytes));
}

/** The header fields of a handshake request (RFC 6455 section 4.1), but for `Host`. */
export function requestHeaders(
  { protocols, headers }: Target,
  key: string,
): Fields {
  return {
    "accept-encoding": "identity",
    "user-agent": navigator.userAgent,
    ...headers,
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": key,
    ...(protocols.length > 0 && {
      "sec-websocket-protocol": protocols.join(", "),
    }),
  };
}

/** The header fields that the native socket sends of itself and for the caller. */
export function socketHeaders(target: Target): Headers {
  const headers = new Headers(requestHeaders(target, ""));
  for (const name of ["sec-websocket-key", "accept-encoding"]) {
    if (!Object.hasOwn(target.headers, name)) headers.delete(name);
  }
  headers.set("user-agent", navigator.userAgent);
  const own = target.headers["user-agent"];
  if (own !== undefined) headers.append("user-agent", own); // it sends both
  return headers;
}

/** Describes a request to the caller. */
export function describeRequest(
  source: HandshakeRequest["source"],
  { url }: Target,
  fields: HeadersInit,
): HandshakeRequest {
  const headers = new Headers(fields);
  headers.set("host", url.host);
  return { source, url: url.href, headers };
}

/** Whether a comma-separated header value lists a token. */
function lists(value: string | null, token: string): boolean {
  return (value ?? "").split(",").some((part) =>
    part.trim().toLowerCase() === token
  );
}

/**
 * Throws a {@linkcode HandshakeError} that names the rule of RFC 6455 section
 * 4.1 which a 101 response breaks.
 *
 * @param expected What {@linkcode acceptFor} gives for the key that was sent.
 */
export function verifyUpgrade(
  target: Target,
  response: HandshakeResponse,
  expected: string,
): void {
  const { headers } = response;
  const upgrade = headers.get("upgrade");
  const accept = headers.get("sec-websocket-accept");
  const problem = upgrade?.trim().toLowerCase() !== "websocket"
    ? `its Upgrade header is ${shown(upgrade)} instead of "websocket"`
    : !lists(headers.get("connection"), "upgrade")
    ? `its Connection header is ${
      shown(headers.get("connection"))
    } and does not list "upgrade"`
    : accept?.trim() !== expected
    ? `its Sec-WebSocket-Accept header is ${
      shown(accept)
    } and does not answer the key`
    : negotiationProblem(
      target,
      headers.get("sec-websocket-protocol") ?? "",
      headers.get("sec-websocket-extensions") ?? "",
    );
  if (problem !== null) throw invalidUpgrade(target, problem, response);
}

/** The rule that the choice of a subprotocol or of extensions breaks, `null` if none. */
export function negotiationProblem(
  target: Target,
  protocol: string,
  extensions: string,
): string | null {
  if (protocol !== "" && !target.protocols.includes(protocol)) {
    return `it chose the subprotocol ${quote(protocol)}, which was not offered`;
  }
  if (extensions !== "") {
    return `it chose the extension ${quote(extensions)}, and none was offered`;
  }
  return null;
}

function shown(value: string | null): string {
  return value === null ? "missing" : quote(value);
}

/** The error for an answer that is no valid upgrade. */
export function invalidUpgrade(
  target: Target,
  problem: string,
  response?: HandshakeResponse,
  cause?: Error,
): HandshakeError {
  const error = handshakeError(
    target,
    `the server's answer is not a valid upgrade: ${problem}`,
    { response, ...(cause && { cause }) },
  );
  invalidUpgrades.add(error);
  return error;
}

const invalidUpgrades = new WeakSet<Error>();

/** Whether an error is one of {@linkcode invalidUpgrade}: not every one has a response to tell by. */
export function isInvalidUpgrade(error: Error): boolean {
  return invalidUpgrades.has(error);
}

/** The error for an answer over HTTP that is not 101. */
export function refusal(
  target: Target,
  response: HandshakeResponse,
): HandshakeError {
  const status = `${response.status} ${response.statusText}`.trimEnd();
  return handshakeError(target, `HTTP error: ${status}`, { response });
}

/** A {@linkcode HandshakeError} whose message begins with what was asked of whom. */
export function handshakeError(
  target: Target,
  problem: string,
  options: { response?: HandshakeResponse; cause?: unknown } = {},
): HandshakeError {
  return new HandshakeError(
    `Cannot connect to ${displayUrl(target.url)}: ${problem}`,
    {
      url: target.url.href,
      ...options,
    },
  );
}

/** Where a redirect leads, `null` if the response is none. */
export function redirectLocation(
  status: number,
  headers: Headers,
): string | null {
  return [301, 302, 303, 307, 308].includes(status)
    ? headers.get("location")
    : null;
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

/**
 * The heart of a network error's text. Around it Deno puts the whole URL, with
 * its credentials and its query.
 */
export function networkReason(message: string): string {
  const heart = message
    .replace(/^.*?client error \(\w+\): /s, "")
    .replace(/^NetworkError: (?:failed to connect to WebSocket: )?/, "")
    .replace(/\b(?:https?|wss?):\/\/\S+/g, "the server");
  return printable(heart);
}
