import { ARRIVALS } from "./arrivals.ts";
import { checkCertificates } from "./certificates.ts";
import { type DurationLike, parseDuration } from "./duration.ts";
import type { HandshakeRequest, HttpOptions } from "./http/request.ts";
import type { Limit } from "./inbox.ts";
import { denoProxy, parseProxy } from "./proxy/route.ts";
import {
  checkBoolean,
  checkCallback,
  checkCount,
  checkObject,
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
  /** Subprotocols to offer, in order of preference. None by default. */
  protocols?: string | string[];
  /**
   * Header fields to send with every handshake request. None by default. `Host`,
   * `Connection`, `Upgrade`, `Content-Length`, `Transfer-Encoding` and
   * `Sec-WebSocket-*` are refused, because the handshake sets them itself. With
   * capture `"direct"` the names are written as they are given; Deno writes them
   * in lower case.
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
   * followed, and none from `wss:` to `ws:`. `Authorization` and cookies,
   * also those that a redirect sets, are sent to the same origin only.
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
   * How long `close()` waits for the peer to answer, and for what was sent before
   * to be written. Nothing that closes the connection takes longer.
   *
   * @default {"5s"}
   */
  closeTimeout?: DurationLike;
  /**
   * How long nothing may be received before the connection counts as lost. With
   * capture `"direct"` every received byte counts; otherwise only messages
   * count, because Deno's WebSocket does not report pings. No limit by default.
   *
   * What has arrived is looked at first: a process that was blocked or stopped for
   * longer loses nothing. Time during which reading stands still, because the
   * buffer is full, does not count. Both hold for `messageTimeout` and
   * `pingTimeout`, too.
   */
  idleTimeout?: DurationLike;
  /**
   * How long no message may arrive before the connection counts as lost. Only
   * messages count, with every capture: a feed that still answers pings, but
   * sends nothing, ends with code 1006 and the reason `"message timeout"`. No
   * limit by default.
   */
  messageTimeout?: DurationLike;
  /**
   * A message to send at regular intervals, for servers that close a connection
   * on which they receive nothing. None is sent by default.
   *
   * @example A heartbeat that carries the time
   * ```ts no-eval
   * import { connectWebSocket } from "@wstap/wstap";
   *
   * await connectWebSocket("wss://example.com/", {
   *   heartbeat: {
   *     message: () => JSON.stringify({ op: "ping", at: Date.now() }),
   *     interval: "20s",
   *   },
   * });
   * ```
   */
  heartbeat?: Heartbeat;
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
   * reason. None by default.
   */
  signal?: AbortSignal;
  /**
   * How binary messages are received: decoded as UTF-8 into strings (`"text"`),
   * or as `Uint8Array`s (`"bytes"`).
   *
   * With capture `"direct"`, messages of at most 1 KiB may share an `ArrayBuffer` of
   * at most 8 KiB with their neighbours. Nothing writes into it again. Mind
   * `byteOffset` where you use `buffer`, and transfer a copy (`slice()`).
   *
   * @default {"text"}
   */
  binary?: "text" | "bytes";
  /**
   * Whether text messages are decoded into strings. With `false` every message
   * is a `Uint8Array`: a text message as its UTF-8, which is checked, a binary
   * message as it is. Messages of at most 1 KiB may share an `ArrayBuffer` of at
   * most 8 KiB with their neighbours, as with `binary`. Needs capture `"direct"`,
   * and excludes `binary`.
   *
   * @default {true}
   */
  decode?: boolean;
  /**
   * Limits of the buffer for messages that have arrived and not been received.
   * By default, `{ messages: 1048576, bytes: 67108864 }`, which is 64 MiB. If
   * one of the two is left out, its own default holds.
   */
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
   * The longest message that is received, in bytes and after inflating: a whole
   * number from 1. A longer one ends the connection, and the server gets the
   * close code 1009. Needs capture `"direct"`; Deno's WebSocket refuses frames
   * of 64 MiB and more.
   *
   * @default {67108864}
   */
  maxMessage?: number;
  /**
   * What to do when a message arrives that does not fit into the buffer: close
   * the connection (`"error"`), or discard the oldest messages
   * (`"drop-oldest"`). With capture `"direct"` the buffer never overflows:
   * reading stops at a quarter of `maxBuffer`, and TCP makes the peer wait.
   *
   * @default {"error"}
   */
  overflow?: "error" | "drop-oldest";
  /**
   * Certificates, the proxy to connect through, and the address to connect to.
   * Nothing is set by default.
   */
  http?: HttpOptions;
  /**
   * Called before each handshake request is sent, including redirected and
   * repeated ones, and awaited. If it throws, connecting fails with that error.
   * None by default.
   */
  onRequest?(request: HandshakeRequest): void | Promise<void>;
}

/**
 * A message that is sent at regular intervals while a connection is open.
 *
 * @example Usage
 * ```ts
 * import type { Heartbeat } from "@wstap/wstap";
 *
 * const heartbeat: Heartbeat = { message: "ping", interval: "25s" };
 * console.log(heartbeat.interval);
 * ```
 */
export interface Heartbeat {
  /**
   * The message, or a function that returns it, which is called before each
   * sending. An error that it throws ends the connection with that error.
   */
  message:
    | string
    | ArrayBuffer
    | ArrayBufferView
    | (() => string | ArrayBuffer | ArrayBufferView);
  /**
   * The time between two messages, and between the opening of the connection
   * and the first one. No message is sent while more than 1 MiB waits to be
   * sent.
   */
  interval: DurationLike;
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
  readonly messageTimeout: number | undefined;
  readonly heartbeat: {
    readonly message: Heartbeat["message"];
    readonly interval: number;
  } | undefined;
  readonly compression: boolean;
  readonly pingInterval: number | undefined;
  readonly pingTimeout: number;
  readonly decode: boolean;
  readonly maxMessage: number;
  readonly limit: Limit;
  readonly signal: AbortSignal | undefined;
  readonly http: HttpOptions;
  readonly onRequest: ConnectOptions["onRequest"];
  /** Whether a connection keeps a ledger of arrivals (`arrivals.ts`). */
  readonly notesArrivals?: true;
}

// The values of options. The first ones are the defaults.
const CAPTURES = ["preflight", "direct", "none"] as const;
const REDIRECTS = ["error", "follow"] as const;
const BINARIES = ["text", "bytes"] as const;
const OVERFLOWS = ["error", "drop-oldest"] as const;

// Connections with the same options share these objects.
const DEFAULT_LIMIT: Limit = { messages: 1_048_576, bytes: 64 * 1024 * 1024 };
const DEFAULT_HTTP: HttpOptions = {};

const DEFAULT_MAX_MESSAGE = 64 * 1024 * 1024;

/**
 * Checks the options and fills in defaults. The result shares nothing with the
 * options that a caller could change afterwards.
 *
 * @throws {TypeError} If an option is invalid, excludes another, or needs capture
 * `"direct"` and the capture is another.
 * @throws {RangeError} If a number or duration is out of range.
 */
export function parseOptions(
  given: Omit<ConnectOptions, "headers" | "protocols">,
): Settings {
  checkObject("options", given);
  const options = readOptions(given);
  const settings: Settings = {
    capture: oneOf("capture", options.capture, CAPTURES),
    redirect: oneOf("redirect", options.redirect, REDIRECTS),
    binary: oneOf("binary", options.binary, BINARIES),
    overflow: oneOf("overflow", options.overflow, OVERFLOWS),
    handshakeTimeout: parseTimeout(options, "handshakeTimeout") ?? 30_000,
    closeTimeout: options.closeTimeout === undefined
      ? 5_000
      : parseDuration(options.closeTimeout),
    idleTimeout: parseTimeout(options, "idleTimeout"),
    messageTimeout: parseTimeout(options, "messageTimeout"),
    heartbeat: parseHeartbeat(options.heartbeat),
    compression: checkBoolean("compression", options.compression, false),
    pingInterval: parseTimeout(options, "pingInterval"),
    pingTimeout: parseTimeout(options, "pingTimeout") ?? 20_000,
    decode: checkBoolean("decode", options.decode, true),
    maxMessage: parseMaxMessage(options.maxMessage),
    limit: parseLimit(options.maxBuffer),
    signal: checkSignal(options.signal),
    http: parseHttp(options.http),
    onRequest: checkCallback("onRequest", options.onRequest),
    ...(ARRIVALS in given && { notesArrivals: true }),
  };
  if (!settings.decode && options.binary !== undefined) {
    throw new TypeError(
      "Invalid binary: it excludes decode: false, with which every message is bytes",
    );
  }
  if (settings.capture !== "direct") refuseDirectOptions(options, settings);
  return settings;
}

/** Reads each option once, since one that is a getter may say something else each time. */
function readOptions({
  capture,
  redirect,
  binary,
  overflow,
  handshakeTimeout,
  closeTimeout,
  idleTimeout,
  messageTimeout,
  heartbeat,
  compression,
  pingInterval,
  pingTimeout,
  decode,
  maxMessage,
  maxBuffer,
  signal,
  http,
  onRequest,
}: ConnectOptions) {
  return {
    capture,
    redirect,
    binary,
    overflow,
    handshakeTimeout,
    closeTimeout,
    idleTimeout,
    messageTimeout,
    heartbeat,
    compression,
    pingInterval,
    pingTimeout,
    decode,
    maxMessage,
    maxBuffer,
    signal,
    http,
    onRequest,
  };
}

/** What {@linkcode readOptions} returns. */
type Given = ReturnType<typeof readOptions>;

/** Throws if an option is set that only capture `"direct"` supports. */
function refuseDirectOptions(
  { pingInterval, pingTimeout, maxMessage }: Given,
  { capture, compression, decode, http }: Settings,
): void {
  const name = compression
    ? "compression"
    : pingInterval !== undefined
    ? "pingInterval"
    : pingTimeout !== undefined
    ? "pingTimeout"
    : !decode
    ? "decode"
    : maxMessage !== undefined
    ? "maxMessage"
    : http.unsafelyIgnoreCertificateErrors
    ? "http.unsafelyIgnoreCertificateErrors"
    : null;
  if (name === null) return;
  throw new TypeError(
    `Invalid ${name}: it needs capture "direct", and the capture is "${capture}"`,
  );
}

/** Parses a timeout into milliseconds. Refuses 0, which would end the connection at once. */
function parseTimeout(
  options: Given,
  name:
    | "handshakeTimeout"
    | "idleTimeout"
    | "messageTimeout"
    | "pingInterval"
    | "pingTimeout",
): number | undefined {
  const value = options[name];
  return value === undefined ? undefined : parsePositive(name, value);
}

function parsePositive(name: string, value: DurationLike): number {
  const milliseconds = parseDuration(value);
  if (milliseconds === 0) {
    throw new RangeError(`Invalid ${name}: expected more than 0, got 0`);
  }
  return milliseconds;
}

function parseHeartbeat(
  heartbeat: ConnectOptions["heartbeat"],
): Settings["heartbeat"] {
  if (heartbeat === undefined) return undefined;
  checkObject("heartbeat", heartbeat);
  const { message, interval } = heartbeat;
  return {
    message: copyHeartbeat(message),
    interval: parsePositive("heartbeat.interval", interval),
  };
}

function copyHeartbeat(message: Heartbeat["message"]): Heartbeat["message"] {
  if (typeof message === "string" || typeof message === "function") {
    return message;
  }
  if (message instanceof ArrayBuffer) return message.slice(0);
  if (ArrayBuffer.isView(message)) {
    const { buffer, byteOffset, byteLength } = message;
    return new Uint8Array(buffer, byteOffset, byteLength).slice();
  }
  throw new TypeError(
    `Invalid heartbeat.message: expected a string, bytes, or a function that returns one, got ${
      kindOf(message)
    }`,
  );
}

function parseMaxMessage(value = DEFAULT_MAX_MESSAGE): number {
  if (typeof value !== "number") {
    throw new TypeError(
      `Invalid maxMessage: expected a number, got ${kindOf(value)}`,
    );
  }
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError(
      `Invalid maxMessage: expected a whole number from 1, got ${value}`,
    );
  }
  return value;
}

function parseLimit(maxBuffer: ConnectOptions["maxBuffer"]): Limit {
  if (maxBuffer === undefined) return DEFAULT_LIMIT;
  checkObject("maxBuffer", maxBuffer);
  const { messages = DEFAULT_LIMIT.messages, bytes = DEFAULT_LIMIT.bytes } =
    maxBuffer;
  return {
    messages: checkCount("maxBuffer.messages", messages),
    bytes: checkCount("maxBuffer.bytes", bytes),
  };
}

/** Checks and copies the `http` options. */
function parseHttp(http: HttpOptions = DEFAULT_HTTP): HttpOptions {
  if (http === DEFAULT_HTTP) return http;
  checkObject("http", http);
  const { caCerts, cert, key, proxy, address } = http;
  if (caCerts !== undefined && !Array.isArray(caCerts)) {
    throw new TypeError(
      `Invalid http.caCerts: expected an array of PEM texts, got ${
        kindOf(caCerts)
      }`,
    );
  }
  for (const pem of caCerts ?? []) checkPem("http.caCerts", pem);
  if (cert !== undefined) checkPem("http.cert", cert);
  if (key !== undefined) checkPem("http.key", key);
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError(`Invalid http: "cert" and "key" go together`);
  }
  checkCertificates({ caCerts, cert, key });
  if (proxy !== undefined && address !== undefined) {
    throw new TypeError(
      'Invalid http: "address" and "proxy" exclude each other',
    );
  }
  return {
    ...(caCerts !== undefined && { caCerts: [...caCerts] }),
    ...(cert !== undefined && key !== undefined && { cert, key }),
    ...(proxy !== undefined && { proxy: copyProxy(proxy) }),
    ...(address !== undefined && { address: copyAddress(address) }),
    ...(checkBoolean(
      "http.unsafelyIgnoreCertificateErrors",
      http.unsafelyIgnoreCertificateErrors,
      false,
    ) && { unsafelyIgnoreCertificateErrors: true }),
  };
}

function checkPem(name: string, value: unknown): void {
  if (typeof value === "string") return;
  throw new TypeError(
    `Invalid ${name}: expected PEM text, got ${kindOf(value)}`,
  );
}

/** The values of `transport` with which a `Deno.Proxy` names a proxy by its URL. */
const TRANSPORTS = ["http", "https", "socks5"];

function copyProxy(proxy: Deno.Proxy): Deno.Proxy {
  checkObject("http.proxy", proxy);
  const { transport } = proxy;
  if (transport !== undefined && !TRANSPORTS.includes(transport)) {
    throw new TypeError(
      `Invalid http.proxy: expected the transport "http", "https" or "socks5"; ` +
        `http.address connects to another address or a Unix socket`,
    );
  }
  const { url, basicAuth } = proxy as Extract<Deno.Proxy, { url: string }>;
  if (typeof url !== "string") {
    throw new TypeError(
      `Invalid http.proxy: expected an object with a "url", got ${
        kindOf(url)
      } as the url`,
    );
  }
  if (basicAuth !== undefined) {
    checkObject("http.proxy.basicAuth", basicAuth);
    const { username, password } = basicAuth;
    if (typeof username !== "string" || typeof password !== "string") {
      throw new TypeError(
        `Invalid http.proxy.basicAuth: expected a "username" and a "password"`,
      );
    }
  }
  return denoProxy(parseProxy(proxy));
}

function copyAddress(
  address: NonNullable<HttpOptions["address"]>,
): NonNullable<HttpOptions["address"]> {
  checkObject("http.address", address);
  if ("path" in address) {
    const { path } = address;
    if (typeof path === "string" && path !== "" && !("hostname" in address)) {
      return { path };
    }
  } else {
    const { hostname, port } = address;
    if (
      typeof hostname === "string" && hostname !== "" &&
      Number.isInteger(port) && port >= 1 && port <= 65535
    ) return { hostname: hostname.replace(/^\[(.+)\]$/, "$1"), port };
  }
  throw new TypeError(
    "Invalid http.address: expected a hostname and a port from 1 to 65535, or the path of a Unix socket",
  );
}
