import type { HandshakeRequest, Target } from "../handshake.ts";

/**
 * How HTTP is spoken: certificates, and a proxy.
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

/** What one call of `connectWebSocket` hands to the capture mode that serves it. */
export interface Scope {
  readonly http: HttpOptions;
  /** Whether redirects are followed, so that their bodies need not be read. */
  readonly follow: boolean;
  /** Aborts when the handshake must end: its time is up, or the caller aborts. */
  readonly signal: AbortSignal;
  /** The caller's own signal. */
  readonly caller: AbortSignal | undefined;
  /** Is told of every request before it is sent. */
  readonly onRequest: ((request: HandshakeRequest) => void) | undefined;
}

/** An HTTP client for one connection, over HTTP/1.1: over TLS, HTTP/2 would drop the upgrade. */
export function createClient({ http }: Scope): Deno.HttpClient {
  const { caCerts, cert, key, proxy } = http;
  try {
    return Deno.createHttpClient({
      http2: false,
      poolMaxIdlePerHost: 0,
      ...(caCerts && { caCerts }),
      ...(cert !== undefined && key !== undefined && { cert, key }),
      ...(proxy && { proxy }),
    });
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error; // for the proxy
    throw new TypeError(`Invalid "http" option: ${(error as Error).message}`);
  }
}

/** Whether the native socket needs a client; over plain TCP the default one will do. */
export function needsClient({ url }: Target, { http }: Scope): boolean {
  return url.protocol === "wss:" ||
    Object.values(http).some((value) => value !== undefined);
}
