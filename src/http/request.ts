import type { Fields, Target } from "./target.ts";

/**
 * A handshake request, as passed to `onRequest` before it is sent.
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
  /**
   * What sends the request: the pre-flight (`"preflight"`), wstap's own
   * connection (`"direct"`), or Deno's WebSocket (`"socket"`).
   */
  readonly source: "preflight" | "direct" | "socket";
  /** The URL of the request, without credentials. It includes the query, which may be secret. */
  readonly url: string;
  /**
   * The header fields, including secret ones. `Sec-WebSocket-Key` is missing if
   * the source is `"socket"`, because Deno's WebSocket does not reveal it.
   */
  readonly headers: Headers;
}

/**
 * Certificates, the proxy to connect through, and the address to connect to.
 *
 * @example Trusting a private certificate authority
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
  /**
   * Root certificates to trust in addition to the default ones, each as PEM
   * text. They count for a proxy's certificate, too. None by default.
   */
  caCerts?: string[];
  /** The client certificate for the server, as PEM text. Needs `key`. None by default. */
  cert?: string;
  /** The private key of `cert`, as PEM text, not encrypted. None by default. */
  key?: string;
  /**
   * The proxy to connect through: an `http:`, `https:` or `socks5:` proxy.
   * Defaults to the one that the environment variables name.
   */
  proxy?: Deno.Proxy;
  /**
   * Where to connect instead of the URL's host: another host and port, such as
   * a tunnel or one node of a cluster, or the path of a Unix socket. `Host`, SNI
   * and the check of the certificate stay the URL's. Excludes `proxy`. For
   * `wss:` it needs capture `"direct"`, because Deno's client would not encrypt.
   * Defaults to the URL's host.
   */
  address?: { hostname: string; port: number } | { path: string };
  /**
   * Accepts any certificate of the server, for this connection alone. The
   * connection is then not protected against an attacker on the way. Needs
   * capture `"direct"`, and Deno 2.8 or newer.
   *
   * @default {false}
   */
  unsafelyIgnoreCertificateErrors?: boolean;
}

/** The `User-Agent` that Deno itself sends. */
export const USER_AGENT = navigator.userAgent;

/** Returns the header fields of a handshake request (RFC 6455 section 4.1), without `Host`. */
export function requestHeaders(
  { protocols, headers }: Target,
  key: string,
): Fields {
  return {
    "Accept-Encoding": "identity",
    "User-Agent": USER_AGENT,
    ...headers,
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": key,
    ...(protocols.length > 0 && {
      "Sec-WebSocket-Protocol": protocols.join(", "),
    }),
  };
}

/** Returns the header fields that Deno's WebSocket sends, without `Host` and `Sec-WebSocket-Key`. */
export function socketHeaders(target: Target): Headers {
  const headers = new Headers(requestHeaders(target, ""));
  for (const name of ["Sec-WebSocket-Key", "Accept-Encoding"]) {
    if (!Object.hasOwn(target.headers, name)) headers.delete(name);
  }
  headers.set("user-agent", USER_AGENT);
  const own = target.headers["User-Agent"];
  if (own !== undefined) headers.append("user-agent", own); // Deno sends both
  return headers;
}

/** Creates the description of a request that `onRequest` gets. */
export function describeRequest(
  source: HandshakeRequest["source"],
  { url }: Target,
  fields: HeadersInit,
): HandshakeRequest {
  const headers = new Headers(fields);
  headers.set("host", url.host);
  return { source, url: url.href, headers };
}
