import type { HandshakeContext } from "../handshake.ts";
import type { Target } from "../http/target.ts";
import { formatHost } from "../proxy/address.ts";
import { refuseBypass } from "../proxy/environment.ts";

/**
 * Checks that Deno's own HTTP client connects where the `http` options say.
 *
 * @throws {TypeError} If it would not: it bypasses the proxy or the address if
 * `NO_PROXY` contains the host, and does not encrypt what it sends to an address.
 */
export function checkRoute(
  { url }: Target,
  { http: { proxy, address } }: Pick<HandshakeContext, "http">,
): void {
  if (address !== undefined && url.protocol === "wss:") {
    throw new TypeError(
      `Cannot use http.address for a wss: URL: Deno's HTTP client would not encrypt; choose capture "direct"`,
    );
  }
  if (proxy !== undefined) refuseBypass(url, "http.proxy");
  if (address !== undefined) refuseBypass(url, "http.address");
}

/**
 * Creates an HTTP client for one connection. It uses HTTP/1.1 only, because over
 * HTTP/2 Deno drops the headers of an upgrade.
 */
export function createClient({ http }: HandshakeContext): Deno.HttpClient {
  const { caCerts, cert, key, proxy, address } = http;
  try {
    return Deno.createHttpClient({
      http2: false,
      poolMaxIdlePerHost: 0,
      ...(caCerts && { caCerts }),
      ...(cert !== undefined && key !== undefined && { cert, key }),
      // A copy: Deno 2.5 writes a transport into it, which it refuses the next time.
      ...(proxy && { proxy: { ...proxy } }),
      ...(address && { proxy: asProxy(address) }),
    });
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error; // the proxy needs a permission
    throw new TypeError(`Invalid "http" option: ${(error as Error).message}`);
  }
}

/** Describes an address as Deno's HTTP client takes it: with brackets around IPv6. */
function asProxy(
  address: NonNullable<HandshakeContext["http"]["address"]>,
): Deno.Proxy {
  if ("path" in address) return { transport: "unix", path: address.path };
  const { hostname, port } = address;
  return { transport: "tcp", hostname: formatHost(hostname), port };
}

/** Whether Deno's WebSocket needs its own HTTP client. For `ws:` without `http` options the default one is enough. */
export function needsClient(
  { url }: Target,
  { http }: HandshakeContext,
): boolean {
  return url.protocol === "wss:" ||
    Object.values(http).some((value) => value !== undefined);
}
