import { HandshakeError } from "../errors.ts";
import { closeQuietly, type Conn } from "../conn.ts";
import {
  type HandshakeContext,
  handshakeError,
  networkError,
  networkReason,
} from "../handshake.ts";
import type { HttpOptions } from "../http/request.ts";
import type { Target } from "../http/target.ts";
import { describeAddress, hostOf, type HostPort } from "../proxy/address.ts";
import { routeFor } from "../proxy/environment.ts";
import type { Route } from "../proxy/route.ts";
import { openTunnel, proxyError } from "../proxy/tunnel.ts";
import { startTls } from "./tls.ts";
import { connectTcp, connectUnix, untilAborted } from "./transport.ts";

/**
 * Connects to the server, with TLS for `wss:`: to `http.address` if that is given,
 * or through a proxy if the options or the environment variables name one. When the
 * signal aborts, it rejects at once with the signal's reason, and closes what it has
 * opened. The caller may have to turn off Nagle's algorithm, for which there is more
 * time after the first write.
 *
 * @throws {TypeError} If the proxy of the environment is invalid, or this version of
 * Deno cannot do what the options ask for.
 * @throws {HandshakeError} If the server or the proxy cannot be reached, or the
 * proxy refuses.
 */
export async function dial(
  target: Target,
  context: HandshakeContext,
): Promise<Conn> {
  const { url } = target;
  const { http, signal } = context;
  const secure = url.protocol === "wss:";
  const route = http.address === undefined ? routeFor(url, http.proxy) : null;
  const server = {
    hostname: hostOf(url),
    port: url.port === "" ? secure ? 443 : 80 : Number(url.port),
  };
  const withNode = secure && needsNode(http, route);
  if (withNode && !NODE_TLS) {
    const problem = problemWithoutNode(http, route);
    if (problem !== null) {
      const others = http.address === undefined &&
          !http.unsafelyIgnoreCertificateErrors
        ? ': choose capture "preflight" or "none"'
        : "";
      throw new TypeError(
        `Capture "direct" cannot ${problem} before Deno 2.8${others}`,
      );
    }
  }
  /** What has been opened so far. */
  let conn: Conn | undefined;
  const cancel = () => conn && closeQuietly(conn);
  /** Notes what has been opened, so that it is closed if something fails. */
  const hold = <T extends Conn>(opened: T): T => {
    conn = opened;
    signal.throwIfAborted();
    return opened;
  };
  signal.addEventListener("abort", cancel);
  try {
    if (withNode && !NODE_TLS) {
      const secured = hold(await connectTls(server, http, signal));
      await secured.handshake();
      return secured;
    }
    const below = route === null
      ? hold(await connect(server, target, context))
      : await connectThrough(route, server, target, context, hold);
    if (secure && "setNoDelay" in below) below.setNoDelay?.(true);
    if (withNode) {
      return hold(
        await startTls(below, { ...http, hostname: server.hostname }),
      );
    }
    if (!secure) return below;
    const secured = hold(
      await Deno.startTls(
        below as Deno.TcpConn,
        tlsOptions(server.hostname, http),
      ),
    );
    await secured.handshake();
    return secured;
  } catch (error) {
    if (conn) closeQuietly(conn);
    // A proxy's answer says more than that the time was over while its body was read.
    if (error instanceof HandshakeError && error.response) throw error;
    signal.throwIfAborted();
    if (
      error instanceof HandshakeError || error instanceof Deno.errors.NotCapable
    ) throw error;
    throw networkError(target, (error as Error).message);
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/**
 * Connects to the server, or to `http.address` in its place.
 *
 * @throws {HandshakeError} If that address cannot be reached. The message names it.
 */
async function connect(
  server: HostPort,
  target: Target,
  { http: { address }, signal }: HandshakeContext,
): Promise<Deno.TcpConn | Deno.UnixConn> {
  if (address === undefined) return await connectTcp(server, signal);
  try {
    return "path" in address
      ? await connectUnix(address.path, signal)
      : await connectTcp(address, signal);
  } catch (error) {
    if (signal.aborted || error instanceof Deno.errors.NotCapable) throw error;
    const reason = networkReason((error as Error).message);
    throw handshakeError(
      target,
      `${describeAddress(address)} could not be reached: ${reason}`,
      { cause: new TypeError(reason) },
    );
  }
}

/**
 * Opens a tunnel through a proxy.
 *
 * @param hold Called with each connection that has been opened, the last one
 * included.
 * @throws {HandshakeError} If the proxy cannot be used, or refuses. The message
 * blames the proxy.
 */
async function connectThrough(
  route: Route,
  server: HostPort,
  target: Target,
  context: HandshakeContext,
  hold: <T extends Conn>(opened: T) => T,
): Promise<Conn> {
  const { http, signal } = context;
  try {
    const tcp = hold(await connectTcp(route, signal));
    tcp.setNoDelay(true);
    let conn: Conn = tcp;
    if (route.kind === "https") {
      const secured = hold(
        await Deno.startTls(tcp, tlsOptions(route.hostname, http)),
      );
      await secured.handshake();
      conn = secured;
    }
    await openTunnel(target, conn, route, server, context);
    return conn;
  } catch (error) {
    if (
      signal.aborted || error instanceof HandshakeError ||
      error instanceof Deno.errors.NotCapable
    ) throw error;
    const reason = networkReason((error as Error).message);
    throw proxyError(target, route, `could not be used: ${reason}`, {
      cause: new TypeError(reason),
    });
  }
}

function tlsOptions(hostname: string, { caCerts }: HttpOptions) {
  return {
    hostname,
    alpnProtocols: ["http/1.1"],
    ...(caCerts && { caCerts }),
  };
}

/** Whether the TLS connection to the server needs `node:tls`, because `Deno.startTls()` does not support what is asked for. */
function needsNode(http: HttpOptions, route: Route | null): boolean {
  return http.cert !== undefined ||
    http.unsafelyIgnoreCertificateErrors === true ||
    http.address !== undefined && "path" in http.address ||
    route?.kind === "https";
}

/**
 * Whether Deno's `node:tls` is known to work over a connection that is already open.
 * In Deno 2.5 it then sends no client certificate, and large writes get stuck.
 */
const NODE_TLS = !/^2\.[0-7]\./.test(Deno.version.deno);

/**
 * Returns what cannot be done without `node:tls`, or `null` if it is only to show a
 * client certificate.
 */
function problemWithoutNode(
  { address, cert, unsafelyIgnoreCertificateErrors }: HttpOptions,
  route: Route | null,
): string | null {
  if (unsafelyIgnoreCertificateErrors) return "accept any certificate";
  if (address !== undefined) {
    return "path" in address
      ? "reach a wss: URL through a Unix socket"
      : "use a client certificate with http.address";
  }
  if (route === null) return null;
  return cert === undefined
    ? "reach a wss: URL through an https: proxy"
    : "use a client certificate through a proxy";
}

/**
 * Connects with a client certificate, without `node:tls`. This cannot be cancelled:
 * if the signal aborts before the connection is open, the attempt goes on in the
 * background until the system gives it up, and what it opens is closed.
 */
function connectTls(
  server: HostPort,
  http: HttpOptions,
  signal: AbortSignal,
): Promise<Deno.TlsConn> {
  const { cert, key } = http as { cert: string; key: string };
  const options = { ...server, ...tlsOptions(server.hostname, http) };
  return untilAborted(Deno.connectTls({ ...options, cert, key }), signal);
}
