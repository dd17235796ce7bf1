import { WebSocketConnection } from "./connection.ts";
import { after } from "./timers.ts";
import { openDirect } from "./direct/open.ts";
import type { HandshakeContext } from "./handshake.ts";
import { CookieJar } from "./http/cookies.ts";
import { parseTarget, type Target } from "./http/target.ts";
import { checkRoute } from "./native/client.ts";
import { openPlain } from "./native/plain.ts";
import { openWithPreflight } from "./native/preflight.ts";
import { type ConnectOptions, parseOptions, type Settings } from "./options.ts";
import type { HandshakeResponse } from "./response.ts";
import type { Opened } from "./socket.ts";

const CAPTURES = {
  preflight: openWithPreflight,
  direct: openDirect,
  none: openPlain,
};

/**
 * Connects to a WebSocket server and returns the connection together with the
 * HTTP response that answered the handshake.
 *
 * By default the server sees two connections: a pre-flight request, whose
 * response is returned, and then Deno's WebSocket. With `capture: "direct"` it
 * sees one connection, and the response is the one that opened it. With
 * `capture: "none"` it sees one connection, and the response contains only what
 * Deno's WebSocket reports.
 *
 * @example Usage
 * ```ts no-eval
 * import { connectWebSocket } from "@wstap/wstap";
 *
 * const [connection, response] = await connectWebSocket("wss://example.com/");
 * console.log(response.status, response.statusText); // 101 Switching Protocols
 * for (let data; (data = await connection.recv()) !== null;) {
 *   console.log(JSON.parse(data));
 * }
 * ```
 *
 * @param url A `ws:` or `wss:` URL. Credentials in it are sent as an
 * `Authorization` header, and are removed from every URL that is reported.
 * @param options Options for connecting.
 * @returns The connection, which the caller must close, and the response, which
 * needs no closing.
 * @throws {TypeError} If the URL or an option is invalid.
 * @throws {RangeError} If a number or duration in the options is out of range.
 * @throws {HandshakeError} If the server refused the handshake, gave an invalid
 * answer, or did not answer.
 * @throws {DOMException} Named `TimeoutError`, if connecting took longer than
 * `handshakeTimeout`.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 */
export function connectWebSocket(
  url: string | URL,
  options?: ConnectOptions & { binary?: "text"; decode?: true },
): Promise<
  [connection: WebSocketConnection<string>, response: HandshakeResponse]
>;
/**
 * Connects with `binary: "bytes"`: binary messages are received as
 * `Uint8Array`s.
 *
 * @param url A `ws:` or `wss:` URL.
 * @param options Options for connecting.
 * @returns The connection and the response.
 */
export function connectWebSocket(
  url: string | URL,
  options: ConnectOptions & { binary: "bytes" },
): Promise<
  [
    connection: WebSocketConnection<string | Uint8Array>,
    response: HandshakeResponse,
  ]
>;
/**
 * Connects with `decode: false`: every message is received as a `Uint8Array`.
 *
 * @param url A `ws:` or `wss:` URL.
 * @param options Options for connecting.
 * @returns The connection and the response.
 */
export function connectWebSocket(
  url: string | URL,
  options: ConnectOptions & { decode: false },
): Promise<
  [connection: WebSocketConnection<Uint8Array>, response: HandshakeResponse]
>;
/**
 * Connects with options whose `binary` and `decode` are not known at compile
 * time, so a message may be a string or a `Uint8Array`.
 *
 * @param url A `ws:` or `wss:` URL.
 * @param options Options for connecting.
 * @returns The connection and the response.
 */
export function connectWebSocket(
  url: string | URL,
  options?: ConnectOptions,
): Promise<
  [
    connection: WebSocketConnection<string | Uint8Array>,
    response: HandshakeResponse,
  ]
>;
export async function connectWebSocket(
  url: string | URL,
  options: ConnectOptions = {},
): Promise<
  [
    connection: WebSocketConnection<string | Uint8Array>,
    response: HandshakeResponse,
  ]
> {
  const settings = parseOptions(options);
  const target = parseTarget(url, options.protocols, options.headers);
  const { socket, response } = await open(target, settings);
  const connection = new WebSocketConnection<string | Uint8Array>({
    socket,
    url: response.url,
    settings,
  });
  return [connection, response];
}

/**
 * Checks that the capture can connect to a target as the `http` options say, as far
 * as that is known before it connects.
 *
 * @throws {TypeError} If it cannot.
 */
export function checkTarget(target: Target, settings: Settings): void {
  if (settings.capture !== "direct") checkRoute(target, settings);
}

/**
 * Opens a socket to a target within `handshakeTimeout`, following redirects if the
 * options say so. `spent` is the part of `handshakeTimeout` that is over already,
 * in milliseconds.
 */
export async function open(
  target: Target,
  settings: Settings,
  spent = 0,
): Promise<Opened> {
  const { capture, signal: caller, handshakeTimeout } = settings;
  caller?.throwIfAborted();
  const stop = new AbortController();
  const context: HandshakeContext = {
    http: settings.http,
    compression: settings.compression,
    decode: settings.decode,
    maxMessage: settings.maxMessage,
    follow: settings.redirect === "follow",
    hops: 0,
    signal: stop.signal,
    caller,
    onRequest: settings.onRequest,
  };
  const onCallerAbort = () => stop.abort(caller?.reason);
  caller?.addEventListener("abort", onCallerAbort);
  let opening = CAPTURES[capture](target, context);
  // The timer is set after the request has been started, so as not to delay it.
  const cancel = after(
    Math.max(0, handshakeTimeout - spent),
    () => stop.abort(timeoutError(handshakeTimeout)),
  );
  try {
    const cookies = new CookieJar();
    for (let hops = 1;; hops++) {
      const result = await opening;
      if ("socket" in result) return result;
      cookies.store(target.url, result.response.headers);
      target = result.target;
      opening = CAPTURES[capture](cookies.applyTo(target), {
        ...context,
        hops,
      });
    }
  } finally {
    cancel();
    caller?.removeEventListener("abort", onCallerAbort);
  }
}

/** Creates the error of a connection that was not open within `handshakeTimeout`, in milliseconds. */
export function timeoutError(handshakeTimeout: number): DOMException {
  return new DOMException(
    `No connection within ${handshakeTimeout} ms`,
    "TimeoutError",
  );
}
