import type { HttpOptions } from "../options.ts";
import { base64 } from "../text.ts";
import { sha1 } from "./sha1.ts";
import type { Fields, Target } from "./target.ts";

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
  /** Which connection sends it, as {@linkcode HandshakeResponse.source} says for the answer. */
  readonly source: "preflight" | "direct" | "socket";
  /** The URL that is asked, without credentials. Its query may be secret. */
  readonly url: string;
  /**
   * The header fields, secrets and all. Of the native socket's request
   * `Sec-WebSocket-Key` is missing: it is known to nobody else.
   */
  readonly headers: Headers;
}

/** What a handshake needs besides its target. */
export interface HandshakeContext {
  readonly http: HttpOptions;
  /** Whether to offer permessage-deflate; only our own socket can. */
  readonly compression: boolean;
  /** Whether redirects are followed, so that their bodies need not be read. */
  readonly follow: boolean;
  /** Aborts when the handshake must end: its time is up, or the caller aborts. */
  readonly signal: AbortSignal;
  /** The caller's own signal. */
  readonly caller: AbortSignal | undefined;
  /** Called with every request before it is sent. */
  readonly onRequest: ((request: HandshakeRequest) => void) | undefined;
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
