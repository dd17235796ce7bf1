import { type DurationLike, parseDuration } from "./duration.ts";
import type { HandshakeRequest } from "./handshake/request.ts";
import type { Limit } from "./inbox.ts";
import {
  checkCallback,
  checkCount,
  checkSignal,
  kindOf,
  oneOf,
} from "./text.ts";

/**
 * Options of {@linkcode connectWebSocket}. All of them can be left out.
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
  /** Header fields to send with every handshake request. */
  headers?: HeadersInit;
  /**
   * Where the response comes from.
   *
   * - `"preflight"`: a request of its own, sent before Deno's WebSocket connects.
   * - `"direct"`: the connection itself, which is then wstap's own socket. A
   *   slow consumer holds the peer back, and compression and pings are
   *   available.
   * - `"none"`: nowhere. The response holds only what Deno's WebSocket knows.
   *
   * @default {"preflight"}
   */
  capture?: "preflight" | "direct" | "none";
  /**
   * Whether to follow redirects: at most 10, and never from `wss:` to `ws:`.
   * `Authorization` and cookies are sent to the same origin only.
   *
   * @default {"error"}
   */
  redirect?: "error" | "follow";
  /**
   * How long the handshake may take, including redirects.
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
   * `"direct"` every byte counts; with the others only messages do, because
   * Deno's WebSocket does not show pings. None by default.
   */
  idleTimeout?: DurationLike;
  /**
   * Whether to offer permessage-deflate (RFC 7692). Needs capture `"direct"`.
   *
   * @default {false}
   */
  compression?: boolean;
  /**
   * Sends a ping this often. Needs capture `"direct"`. None by default.
   */
  pingInterval?: DurationLike;
  /**
   * How long the pong to a ping of `pingInterval` may take before the
   * connection counts as lost. Needs capture `"direct"`.
   *
   * @default {"20s"}
   */
  pingTimeout?: DurationLike;
  /** Aborts the handshake, and later the connection. */
  signal?: AbortSignal;
  /**
   * What binary messages become: strings, which must be UTF-8 (`"text"`), or
   * `Uint8Array`s (`"bytes"`).
   *
   * @default {"text"}
   */
  binary?: "text" | "bytes";
  /** How much may be buffered before it is received. */
  maxBuffer?: {
    /**
     * The number of messages.
     *
     * @default {1048576}
     */
    messages?: number;
    /**
     * The size in bytes: UTF-16 length for text, byte length for binary.
     *
     * @default {67108864}
     */
    bytes?: number;
  };
  /**
   * What happens when the peer outruns the buffer: the connection is closed
   * (`"error"`), or the oldest messages are discarded (`"drop-oldest"`). With
   * capture `"direct"` neither happens: reading stops at a quarter of the
   * buffer, and TCP holds the peer back.
   *
   * @default {"error"}
   */
  overflow?: "error" | "drop-oldest";
  /** Certificates and a proxy. */
  http?: HttpOptions;
  /**
   * Called with every handshake request just before it is sent, including
   * redirected and repeated ones. An error that it throws ends the handshake.
   */
  onRequest?(request: HandshakeRequest): void;
}

/**
 * Certificates and the proxy that a handshake uses.
 *
 * @example A private authority
 * ```ts
 * import { connectWebSocket } from "@wstap/wstap";
 *
 * async function connect() {
 *   return await connectWebSocket("wss://example.com/", {
 *     http: { caCerts: [await Deno.readTextFile("ca.pem")] },
 *   });
 * }
 * ```
 */
export interface HttpOptions {
  /** Root certificates in PEM that are trusted besides the usual ones. */
  caCerts?: string[];
  /** A client certificate in PEM; needs `key`. */
  cert?: string;
  /** The private key of `cert` in PEM. */
  key?: string;
  /** The proxy to go through, instead of the one that the environment names. */
  proxy?: Deno.Proxy;
}

/** The options of a connection, each with its value. Durations are in milliseconds. */
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

const MAX_BUFFER_MESSAGES = 1_048_576;
const MAX_BUFFER_BYTES = 64 * 1024 * 1024;

/**
 * Checks the options and gives each its value.
 *
 * @throws {TypeError} If an option is invalid, or the capture cannot serve it.
 * @throws {RangeError} If a number is out of range.
 */
export function parseOptions(options: ConnectOptions): Settings {
  if (options === null || typeof options !== "object") {
    throw new TypeError(
      `Invalid options: expected an object, got ${kindOf(options)}`,
    );
  }
  const settings: Settings = {
    capture: oneOf("capture", options.capture, ["preflight", "direct", "none"]),
    redirect: oneOf("redirect", options.redirect, ["error", "follow"]),
    binary: oneOf("binary", options.binary, ["text", "bytes"]),
    overflow: oneOf("overflow", options.overflow, ["error", "drop-oldest"]),
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

/** Refuses the options that only our own socket can serve. */
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

/** Milliseconds; 0 would end the connection at once. */
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

function parseLimit(maxBuffer: ConnectOptions["maxBuffer"] = {}): Limit {
  if (maxBuffer === null || typeof maxBuffer !== "object") {
    throw new TypeError(
      `Invalid maxBuffer: expected an object, got ${kindOf(maxBuffer)}`,
    );
  }
  const { messages = MAX_BUFFER_MESSAGES, bytes = MAX_BUFFER_BYTES } =
    maxBuffer;
  return {
    messages: checkCount("maxBuffer.messages", messages),
    bytes: checkCount("maxBuffer.bytes", bytes),
  };
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
