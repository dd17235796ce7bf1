import type { HandshakeContext } from "../handshake.ts";
import type { Target } from "../http/target.ts";

/**
 * Creates an HTTP client for one connection. It uses HTTP/1.1 only, because over
 * HTTP/2 Deno drops the headers of an upgrade.
 */
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
    if (error instanceof Deno.errors.NotCapable) throw error; // the proxy needs a permission
    throw new TypeError(`Invalid "http" option: ${(error as Error).message}`);
  }
}

/** Whether Deno's WebSocket needs its own HTTP client. For `ws:` without `http` options the default one is enough. */
export function needsClient(
  { url }: Target,
  { http }: HandshakeContext,
): boolean {
  return url.protocol === "wss:" ||
    Object.values(http).some((value) => value !== undefined);
}
