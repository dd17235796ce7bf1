import { captureNone } from "./capture/none.ts";
import { capturePreflight } from "./capture/preflight.ts";
import { captureTap } from "./capture/tap.ts";
import type { HttpOptions, Scope } from "./capture/scope.ts";
import {
  checkSignal,
  createConnection,
  type WebSocketConnection,
} from "./connection.ts";
import { after, type DurationLike, parseDuration } from "./duration.ts";
import {
  handshakeError,
  type HandshakeRequest,
  kindOf,
  parseTarget,
  redirected,
  type Target,
} from "./handshake.ts";
import type { Limit } from "./inbox.ts";
import { HandshakeResponse } from "./response.ts";

/**
 * How {@linkcode connectWebSocket} connects. Every option may be left out.
 *
 * @example Usage
 * ```ts no-eval
 * import { type ConnectOptions, connectWebSocket } from "@wstap/wstap";
 *
 * const options: ConnectOptions = {
 *   protocols: ["events.v2", "events.v1"],
 *   headers: { Authorization: "Bearer secret" },
 *   capture: "tap",
 *   idleTimeout: "1m",
 * };
 * const [connection] = await connectWebSocket("wss://example.com/", options);
 * console.log(connection.protocol);
 * ```
 */
export interface ConnectOptions {
  /** Subprotocols to offer, in order of preference. */
  protocols?: string | string[];
  /** Header fields to send with every handshake request. */
  headers?: HeadersInit;
  /**
   * Where the response comes from: a request of its own ahead of the socket
   * (`"preflight"`), the connection itself, whose bytes then pass through a
   * loopback tap (`"tap"`, which also holds back a peer that sends too fast),
   * or nowhere (`"none"`: it says only what the native socket knows).
   *
   * @default {"preflight"}
   */
  capture?: "preflight" | "tap" | "none";
  /**
   * Whether to follow redirects: at most 10, never from `wss:` to `ws:`, and
   * with `Authorization` and cookies for the same origin only.
   *
   * @default {"error"}
   */
  redirect?: "error" | "follow";
  /**
   * How long the handshake may take, redirects and all.
   *
   * @default {"30s"}
   */
  handshakeTimeout?: DurationLike;
  /**
   * How long `close()` waits for the peer's answer.
   *
   * @default {"5s"}
   */
  closeTimeout?: DurationLike;
  /**
   * Ends the connection when nothing arrived for this long. With capture
   * `"tap"` every byte counts, with the others only messages: pings are
   * invisible there. None by default.
   */
  idleTimeout?: DurationLike;
  /** Aborts the handshake, and later the connection. */
  signal?: AbortSignal;
  /**
   * What binary messages become: strings, which must be UTF-8 (`"text"`), or
   * `Uint8Array`s (`"bytes"`).
   *
   * @default {"text"}
   */
  binary?: "text" | "bytes";
  /**
   * How much may wait to be received: a number of messages (no limit by
   * default), and a number of bytes (64 MiB by default), which counts the
   * UTF-16 length of text.
   */
  maxBuffer?: {
    /**
     * A number of messages.
     *
     * @default {Infinity}
     */
    messages?: number;
    /**
     * A number of bytes.
     *
     * @default {67108864}
     */
    bytes?: number;
  };
  /**
   * What happens when the peer outruns the buffer: the connection is closed
   * (`"error"`), or the oldest messages are discarded (`"drop-oldest"`). With
   * capture `"tap"` neither happens: the peer is held back from a quarter of
   * the buffer on.
   *
   * @default {"error"}
   */
  overflow?: "error" | "drop-oldest";
  /** Certificates and a proxy. */
  http?: HttpOptions;
  /**
   * Is told of every handshake request just before it is sent, redirected and
   * repeated ones too: for logs and for timings. What it throws ends the
   * handshake.
   */
  onRequest?(request: HandshakeRequest): void;
}

const MAX_REDIRECTS = 10;
const MAX_BUFFER_BYTES = 64 * 1024 * 1024;

const CAPTURES = {
  preflight: capturePreflight,
  tap: captureTap,
  none: captureNone,
};

/**
 * Connects to a WebSocket server, and gives the connection together with the
 * HTTP response that answered the handshake.
 *
 * By default the server is asked twice: a pre-flight request, whose response
 * you get, and then the socket itself. With `capture: "tap"` it is asked once,
 * and the response is that of the connection itself; with `"none"` it is asked
 * once, and the response says only what the native socket knows.
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
 * @param url A `ws:` or `wss:` URL. Its credentials become an `Authorization`
 * header, and appear nowhere else.
 * @param options How to connect.
 * @returns The connection, which is yours to close, and the response, which
 * needs no closing.
 * @throws {TypeError} If the URL or an option is invalid.
 * @throws {RangeError} If a number among the options is out of range.
 * @throws {HandshakeError} If the server refused the handshake, answered it
 * wrongly, or did not answer.
 * @throws {DOMException} Named `TimeoutError`, after `handshakeTimeout`.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 */
export function connectWebSocket(
  url: string | URL,
  options?: ConnectOptions & { binary?: "text" },
): Promise<
  [connection: WebSocketConnection<string>, response: HandshakeResponse]
>;
/**
 * Connects with binary messages as `Uint8Array`s.
 *
 * @param url A `ws:` or `wss:` URL.
 * @param options How to connect.
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
 * Connects with options of which the compiler does not know what `binary` is.
 *
 * @param url A `ws:` or `wss:` URL.
 * @param options How to connect.
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
export function connectWebSocket(
  url: string | URL,
  options: ConnectOptions = {},
): Promise<
  [
    connection: WebSocketConnection<string | Uint8Array>,
    response: HandshakeResponse,
  ]
> {
  return open(url, options, false);
}

/** Connects; `quietLoss` is for `connections()`, whose outer loop answers a loss. */
export async function open(
  url: string | URL,
  options: ConnectOptions,
  quietLoss: boolean,
): Promise<
  [
    connection: WebSocketConnection<string | Uint8Array>,
    response: HandshakeResponse,
  ]
> {
  const settings = parseOptions(options);
  const target = parseTarget(url, options.protocols, options.headers);
  const { signal: caller, handshakeTimeout } = settings;
  caller?.throwIfAborted();

  const stop = new AbortController();
  const abort = () => stop.abort(caller?.reason);
  caller?.addEventListener("abort", abort);
  const connecting = follow(target, settings, quietLoss, {
    http: settings.http,
    follow: settings.redirect === "follow",
    signal: stop.signal,
    caller,
    onRequest: settings.onRequest,
  });
  // From here on it waits for the network: time enough to set a timer.
  const cancel = after(handshakeTimeout, () => {
    stop.abort(
      new DOMException(
        `No connection within ${handshakeTimeout} ms`,
        "TimeoutError",
      ),
    );
  });
  try {
    return await connecting;
  } finally {
    cancel();
    caller?.removeEventListener("abort", abort);
  }
}

/** Connects to where the redirects lead, if they are to be followed. */
async function follow(
  target: Target,
  settings: ReturnType<typeof parseOptions>,
  quietLoss: boolean,
  scope: Scope,
): Promise<[WebSocketConnection<string | Uint8Array>, HandshakeResponse]> {
  for (let hops = 0;; hops++) {
    let connection: WebSocketConnection<string | Uint8Array> | undefined;
    const answer = await CAPTURES[settings.capture](
      target,
      scope,
      (socket, line) => {
        connection = createConnection({
          ...settings,
          socket,
          line,
          url: target.url.href,
          quietLoss,
        });
      },
    );
    if (answer instanceof HandshakeResponse) return [connection!, answer];
    if (hops === MAX_REDIRECTS) {
      throw handshakeError(
        target,
        `it redirects more than ${MAX_REDIRECTS} times`,
        answer,
      );
    }
    target = redirected(target, answer);
  }
}

/** Gives every option a value. */
export function parseOptions(options: ConnectOptions) {
  if (options === null || typeof options !== "object") {
    throw new TypeError(
      `Invalid options: expected an object, got ${kindOf(options)}`,
    );
  }
  return {
    capture: oneOf("capture", options.capture, ["preflight", "tap", "none"]),
    redirect: oneOf("redirect", options.redirect, ["error", "follow"]),
    binary: oneOf("binary", options.binary, ["text", "bytes"]),
    overflow: oneOf("overflow", options.overflow, ["error", "drop-oldest"]),
    handshakeTimeout: parseTimeout(options.handshakeTimeout, 30_000),
    closeTimeout: parseTimeout(options.closeTimeout, 5_000),
    idleTimeout: options.idleTimeout === undefined
      ? undefined
      : parseDuration(options.idleTimeout),
    limit: parseLimit(options.maxBuffer),
    signal: checkSignal(options.signal),
    http: parseHttp(options.http),
    onRequest: parseCallback("onRequest", options.onRequest),
  };
}

/** @param byDefault Milliseconds. */
function parseTimeout(
  value: DurationLike | undefined,
  byDefault: number,
): number {
  return value === undefined ? byDefault : parseDuration(value);
}

function parseCallback<T>(name: string, value: T | undefined): T | undefined {
  if (value !== undefined && typeof value !== "function") {
    throw new TypeError(
      `Invalid ${name}: expected a function, got ${kindOf(value)}`,
    );
  }
  return value;
}

/** The value of an option, the first of its choices by default. */
function oneOf<const T extends string>(
  name: string,
  value: T | undefined,
  choices: readonly [T, ...T[]],
): T {
  if (value === undefined) return choices[0];
  if (choices.includes(value)) return value;
  const expected = choices.map((choice) => `"${choice}"`).join(" or ");
  const got = typeof value === "string" ? JSON.stringify(value) : kindOf(value);
  throw new TypeError(`Invalid ${name}: expected ${expected}, got ${got}`);
}

function parseLimit(maxBuffer: ConnectOptions["maxBuffer"] = {}): Limit {
  if (maxBuffer === null || typeof maxBuffer !== "object") {
    throw new TypeError(
      `Invalid maxBuffer: expected an object, got ${kindOf(maxBuffer)}`,
    );
  }
  const { messages = Infinity, bytes = MAX_BUFFER_BYTES } = maxBuffer;
  checkLimit("messages", messages);
  checkLimit("bytes", bytes);
  return { messages, bytes };
}

function checkLimit(name: keyof Limit, value: number): void {
  if (typeof value !== "number") {
    throw new TypeError(
      `Invalid maxBuffer.${name}: expected a number, got ${kindOf(value)}`,
    );
  }
  if (value !== Infinity && !(Number.isInteger(value) && value >= 1)) {
    throw new RangeError(
      `Invalid maxBuffer.${name}: expected a whole number from 1 or Infinity, got ${value}`,
    );
  }
}

function parseHttp(http: HttpOptions = {}): HttpOptions {
  if (http === null || typeof http !== "object") {
    throw new TypeError(
      `Invalid http: expected an object, got ${kindOf(http)}`,
    );
  }
  if ((http.cert === undefined) !== (http.key === undefined)) {
    throw new TypeError(`Invalid http: "cert" and "key" go together`);
  }
  if (http.caCerts !== undefined && !Array.isArray(http.caCerts)) {
    throw new TypeError(
      `Invalid http.caCerts: expected an array of PEM texts, got ${
        kindOf(http.caCerts)
      }`,
    );
  }
  return http;
}
