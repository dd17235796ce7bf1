import { type DurationLike, parseDuration } from "./duration.ts";
import type { HandshakeRequest, HttpOptions } from "./http/request.ts";
import type { Limit } from "./inbox.ts";
import {
  checkCallback,
  checkCount,
  checkSignal,
  kindOf,
  oneOf,
} from "./checks.ts";

/**
 * Options of {@linkcode connectWebSocket}. All of them are optional.
 *
 * @example Usage
 * ```ts no-eval
 * import { type ConnectOptions, connectWebSocket } from "@wstap/wstap";
 *
 * const options: ConnectOptions = {
 *   protocols: ["events.v2", "events.v1"],
 *   headers: { Authorization: "Bearer secret" },
 *   capture: "direct",
 *   idleTimeout: "1m",
 * };
 * const [connection] = await connectWebSocket("wss://example.com/", options);
 * console.log(connection.protocol);
 * ```
 */
export interface ConnectOptions {
  /** Subprotocols to offer, in order of preference. */
  protocols?: string | string[];
  /**
   * Header fields to send with every handshake request. `Host`, `Connection`,
   * `Upgrade`, `Content-Length`, `Transfer-Encoding` and `Sec-WebSocket-*` are
   * refused, because the handshake sets them itself.
   */
  headers?: HeadersInit;
  /**
   * Where the handshake response comes from.
   *
   * - `"preflight"`: an additional request, sent before Deno's WebSocket
   *   connects. The server sees two connections.
   * - `"direct"`: the connection itself, over wstap's own WebSocket
   *   implementation. The server sees one connection. Compression, pings and
   *   back-pressure are available only here.
   * - `"none"`: nothing is captured. The response contains only what Deno's
   *   WebSocket reports: status 101, the subprotocol and the extensions.
   *
   * @default {"preflight"}
   */
  capture?: "preflight" | "direct" | "none";
  /**
   * Whether a redirect is an error or is followed. At most 10 redirects are
   * followed, and none from `wss:` to `ws:`. `Authorization` and cookies are
   * sent to the same origin only.
   *
   * @default {"error"}
   */
  redirect?: "error" | "follow";
  /**
   * How long connecting may take, including the pre-flight and all redirects.
   *
   * @default {"30s"}
   */
  handshakeTimeout?: DurationLike;
  /**
   * How long `close()` waits for the peer to answer.
   *
   * @default {"5s"}
   */
  closeTimeout?: DurationLike;
  /**
   * How long nothing may be received before the connection counts as lost. With
   * capture `"direct"` every received byte counts; otherwise only messages
   * count, because Deno's WebSocket does not report pings. No limit by default.
   */
  idleTimeout?: DurationLike;
  /**
   * Whether to offer compression with permessage-deflate (RFC 7692). Needs
   * capture `"direct"`.
   *
   * @default {false}
   */
  compression?: boolean;
  /**
   * How often to send a ping. Needs capture `"direct"`. No pings are sent by
   * default.
   */
  pingInterval?: DurationLike;
  /**
   * How long the peer may take to answer a ping sent by `pingInterval` before
   * the connection counts as lost. Needs capture `"direct"`.
   *
   * @default {"20s"}
   */
  pingTimeout?: DurationLike;
  /**
   * Aborts connecting, and later ends the connection at once: messages that
   * have arrived can still be received, then calls reject with the signal's
   * reason.
   */
  signal?: AbortSignal;
  /**
   * How binary messages are received: decoded as UTF-8 into strings (`"text"`),
   * or as `Uint8Array`s (`"bytes"`).
   *
   * @default {"text"}
   */
  binary?: "text" | "bytes";
  /** Limits of the buffer for messages that have arrived and not been received. */
  maxBuffer?: {
    /**
     * The largest number of messages: a whole number from 1, or `Infinity`.
     *
     * @default {1048576}
     */
    messages?: number;
    /**
     * The largest size of all messages together, in bytes: a whole number from
     * 1, or `Infinity`. A string counts as its `length`, a `Uint8Array` as its
     * `byteLength`.
     *
     * @default {67108864}
     */
    bytes?: number;
  };
  /**
   * What to do when a message arrives that does not fit into the buffer: close
   * the connection (`"error"`), or discard the oldest messages
   * (`"drop-oldest"`). With capture `"direct"` the buffer never overflows:
   * reading stops at a quarter of `maxBuffer`, and TCP makes the peer wait.
   *
   * @default {"error"}
   */
  overflow?: "error" | "drop-oldest";
  /** Certificates, and the proxy to connect through. */
  http?: HttpOptions;
  /**
   * Called before each handshake request is sent, including redirected and
   * repeated ones. If it throws, connecting fails with that error.
   */
  onRequest?(request: HandshakeRequest): void;
}

/** The parsed options of a connection, with defaults filled in. Durations are in milliseconds. */
export interface Settings {
  readonly capture: "preflight" | "direct" | "none";
  readonly redirect: "error" | "follow";
  readonly binary: "text" | "bytes";
  readonly overflow: "error" | "drop-oldest";
  readonly handshakeTimeout: number;
  readonly closeTimeout: number;
  readonly idleTimeout: number | undefined;
  readonly compression: boolean;
  readonly pingInterval: number | undefined;
  readonly pingTimeout: number;
  readonly limit: Limit;
  readonly signal: AbortSignal | undefined;
  readonly http: HttpOptions;
  readonly onRequest: ((request: HandshakeRequest) => void) | undefined;
}

// The values of options. The first ones are the defaults.
const CAPTURES = ["preflight", "direct", "none"] as const;
const REDIRECTS = ["error", "follow"] as const;
const BINARIES = ["text", "bytes"] as const;
const OVERFLOWS = ["error", "drop-oldest"] as const;

// Connections with the same options share these objects.
const DEFAULT_LIMIT: Limit = { messages: 1_048_576, bytes: 64 * 1024 * 1024 };
const DEFAULT_HTTP: HttpOptions = {};

/**
 * Checks the options and fills in defaults.
 *
 * @throws {TypeError} If an option is invalid, or needs capture `"direct"` and
 * the capture is another.
 * @throws {RangeError} If a number or duration is out of range.
 */
export function parseOptions(options: ConnectOptions): Settings {
  if (options === null || typeof options !== "object") {
    throw new TypeError(
      `Invalid options: expected an object, got ${kindOf(options)}`,
    );
  }
  const settings: Settings = {
    capture: oneOf("capture", options.capture, CAPTURES),
    redirect: oneOf("redirect", options.redirect, REDIRECTS),
    binary: oneOf("binary", options.binary, BINARIES),
    overflow: oneOf("overflow", options.overflow, OVERFLOWS),
    handshakeTimeout: parseTimeout(options, "handshakeTimeout") ?? 30_000,
    closeTimeout: parseDuration(options.closeTimeout ?? 5),
    idleTimeout: parseTimeout(options, "idleTimeout"),
    compression: parseCompression(options.compression),
    pingInterval: parseTimeout(options, "pingInterval"),
    pingTimeout: parseTimeout(options, "pingTimeout") ?? 20_000,
    limit: parseLimit(options.maxBuffer),
    signal: checkSignal(options.signal),
    http: parseHttp(options.http),
    onRequest: checkCallback("onRequest", options.onRequest),
  };
  if (settings.capture !== "direct") refuseDirectOptions(options, settings);
  return settings;
}

/** Throws if an option is set that only capture `"direct"` supports. */
function refuseDirectOptions(
  { pingInterval, pingTimeout }: ConnectOptions,
  { capture, compression }: Settings,
): void {
  const name = compression
    ? "compression"
    : pingInterval !== undefined
    ? "pingInterval"
    : pingTimeout !== undefined
    ? "pingTimeout"
    : null;
  if (name === null) return;
  throw new TypeError(
    `Invalid ${name}: it needs capture "direct", and the capture is "${capture}"`,
  );
}

/** Parses a timeout into milliseconds. Refuses 0, which would end the connection at once. */
function parseTimeout(
  options: ConnectOptions,
  name: "handshakeTimeout" | "idleTimeout" | "pingInterval" | "pingTimeout",
): number | undefined {
  const value = options[name];
  if (value === undefined) return undefined;
  const milliseconds = parseDuration(value);
  if (milliseconds === 0) {
    throw new RangeError(`Invalid ${name}: expected more than 0, got 0`);
  }
  return milliseconds;
}

function parseCompression(value: boolean | undefined = false): boolean {
  if (typeof value === "boolean") return value;
  throw new TypeError(
    `Invalid compression: expected a boolean, got ${kindOf(value)}`,
  );
}

function parseLimit(maxBuffer: ConnectOptions["maxBuffer"]): Limit {
  if (maxBuffer === undefined) return DEFAULT_LIMIT;
  if (maxBuffer === null || typeof maxBuffer !== "object") {
    throw new TypeError(
      `Invalid maxBuffer: expected an object, got ${kindOf(maxBuffer)}`,
    );
  }
  const { messages = DEFAULT_LIMIT.messages, bytes = DEFAULT_LIMIT.bytes } =
    maxBuffer;
  return {
    messages: checkCount("maxBuffer.messages", messages),
    bytes: checkCount("maxBuffer.bytes", bytes),
  };
}

function parseHttp(http: HttpOptions = DEFAULT_HTTP): HttpOptions {
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
