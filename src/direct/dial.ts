import { HandshakeError } from "../errors.ts";
import { closeQuietly, type Conn } from "../conn.ts";
import { type HandshakeContext, networkError } from "../handshake.ts";
import type { Target } from "../http/target.ts";
import { hostOf } from "../proxy/address.ts";
import { routeFor } from "../proxy/environment.ts";
import { openTunnel } from "../proxy/tunnel.ts";
import { startTls } from "./tls.ts";

/**
 * Connects to the server, with TLS for `wss:`, and through a proxy if the options
 * or the environment variables name one. The caller may have to turn off Nagle's
 * algorithm, for which there is more time after the first write.
 *
 * @throws {TypeError} If the proxy is invalid or not supported.
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
  const route = routeFor(url, http.proxy);
  const server = {
    hostname: hostOf(url),
    port: url.port === "" ? secure ? 443 : 80 : Number(url.port),
  };
  const { caCerts, cert, key } = http;
  const hasCertificate = secure && cert !== undefined && key !== undefined;
  const needsNode = secure && route !== null &&
    (route.kind === "https" || hasCertificate);
  if (needsNode && !NODE_TLS) {
    const problem = hasCertificate
      ? "use a client certificate through a proxy"
      : "reach a wss: URL through an https: proxy";
    throw new TypeError(
      `Capture "direct" cannot ${problem} before Deno 2.8: ` +
        'choose capture "preflight" or "none"',
    );
  }
  const tls = {
    hostname: server.hostname,
    alpnProtocols: ["http/1.1"],
    ...(caCerts && { caCerts }),
  };
  let conn: Conn | undefined;
  const cancel = () => conn && closeQuietly(conn);
  signal.addEventListener("abort", cancel);
  try {
    if (hasCertificate && route === null) {
      const secured = await abortable(
        Deno.connectTls({ ...tls, port: server.port, cert, key }),
        signal,
      );
      conn = secured;
      await secured.handshake();
      return conn;
    }
    const { hostname, port } = route ?? server;
    const tcp = TRIES_ALL
      ? await Deno.connect({ hostname, port, signal })
      : await connectInTurn(hostname, port, signal);
    conn = tcp;
    if (secure || route !== null) tcp.setNoDelay(true);
    if (route?.kind === "https") {
      const secured = await Deno.startTls(tcp, { ...tls, hostname });
      conn = secured;
      await secured.handshake();
    }
    if (route !== null) await openTunnel(target, conn, route, server, signal);
    if (needsNode) {
      conn = await startTls(conn, { ...http, hostname: server.hostname });
    } else if (secure) {
      const secured = await Deno.startTls(tcp, tls);
      conn = secured;
      await secured.handshake();
    }
    return conn;
  } catch (error) {
    if (conn) closeQuietly(conn);
    signal.throwIfAborted();
    if (error instanceof Deno.errors.NotCapable) throw error;
    if (error instanceof HandshakeError) throw error;
    const problem = (error as Error).message;
    throw networkError(
      target,
      route === null
        ? problem
        : `the proxy ${route.hostname} could not be used: ${problem}`,
    );
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/** Whether `Deno.connect()` is known to try all addresses of a host name. Deno 2.5 tries only the first. */
const TRIES_ALL = !/^2\.[0-8]\./.test(Deno.version.deno);

/**
 * Whether Deno's `node:tls` is known to work over a connection that is already open.
 * In Deno 2.5 it then sends no client certificate, and large writes get stuck.
 */
const NODE_TLS = !/^2\.[0-7]\./.test(Deno.version.deno);

/** Connects over TCP, trying the addresses of a host name in turn. */
async function connectInTurn(
  hostname: string,
  port: number,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  // If the permission is missing, Deno 2.5 leaks a resource for the signal.
  const cancellable = mayDial(hostname, port);
  try {
    return await Deno.connect({
      hostname,
      port,
      ...(cancellable && { signal }),
    });
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    for (const address of await addresses(hostname, port)) {
      const tried = Deno.connect({ hostname: address, port, signal });
      const conn = await tried.catch(() => null);
      if (conn !== null) return conn;
    }
    throw error;
  }
}

/** Looks up the addresses of a host name to which connecting is permitted. */
async function addresses(
  hostname: string,
  port: number,
): Promise<string[]> {
  const { lookup } = await import("node:dns/promises");
  const found = await lookup(hostname, { all: true }).catch(() => []);
  return found.map(({ address }) => address)
    .filter((address) => mayDial(address, port));
}

/** Whether connecting to an address is permitted without a prompt. */
function mayDial(hostname: string, port: number): boolean {
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  const { state } = Deno.permissions.querySync({
    name: "net",
    host: `${host}:${port}`,
  });
  return state === "granted";
}

/** Waits for a connection attempt that cannot be cancelled. If the signal aborts, the connection is closed as soon as it is open. */
function abortable<T extends Deno.Conn>(
  dialled: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort);
    dialled.then(
      (conn) => signal.aborted ? closeQuietly(conn) : resolve(conn),
      reject,
    )
      .finally(() => signal.removeEventListener("abort", abort));
  });
}
