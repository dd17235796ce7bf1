import type { HandshakeContext } from "../handshake/request.ts";
import type { Target } from "../handshake/target.ts";

/** Creates an HTTP client for one connection, over HTTP/1.1: over TLS, HTTP/2 would drop the upgrade. */
export function createClient({ http }: HandshakeContext): Deno.HttpClient {
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

/** Whether Deno's WebSocket needs a client of its own; over plain TCP the default one will do. */
export function needsClient(
  { url }: Target,
  { http }: HandshakeContext,
): boolean {
  return url.protocol === "wss:" ||
    Object.values(http).some((value) => value !== undefined);
}
