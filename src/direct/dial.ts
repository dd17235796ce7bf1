import { HandshakeError } from "../errors.ts";
import { networkError } from "../handshake/judge.ts";
import type { Target } from "../handshake/target.ts";
import type { HttpOptions } from "../handshake/request.ts";
import type { Conn } from "./http1.ts";
import { hostOf, passThrough, routeFor } from "./proxy.ts";

/**
 * Connects to the server, over TLS for `wss:`, through the proxy that the
 * options or the environment name.
 *
 * @throws {TypeError} If the proxy is not one that can be used.
 * @throws {HandshakeError} If the server or the proxy cannot be reached, or the
 * proxy refuses.
 */
export async function dial(
  target: Target,
  http: HttpOptions,
  signal: AbortSignal,
): Promise<Conn> {
  const { url } = target;
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
  const abort = () => conn && close(conn);
  signal.addEventListener("abort", abort);
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
    const tcp = await connectTcp(hostname, port, signal);
    conn = tcp;
    tcp.setNoDelay(true);
    if (route?.kind === "https") {
      const secured = await Deno.startTls(tcp, { ...tls, hostname });
      conn = secured;
      await secured.handshake();
    }
    if (route !== null) await passThrough(target, conn, route, server, signal);
    if (needsNode) {
      const { startTls } = await import("./tls.ts");
      conn = await startTls(conn, { ...http, hostname: server.hostname });
    } else if (secure) {
      const secured = await Deno.startTls(tcp, tls);
      conn = secured;
      await secured.handshake();
    }
    return conn;
  } catch (error) {
    if (conn) close(conn);
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
    signal.removeEventListener("abort", abort);
  }
}

/** Whether `Deno.connect()` tries every address of a name; Deno 2.5 tries the first alone. */
const TRIES_ALL = !/^2\.[0-8]\./.test(Deno.version.deno);

/**
 * Whether Node's TLS works over a connection that is open already. Deno 2.5
 * sends no certificate then, and gets stuck when much is sent at a time.
 */
const NODE_TLS = !/^2\.[0-7]\./.test(Deno.version.deno);

/** Connects over TCP, to the addresses of a name in turn. */
async function connectTcp(
  hostname: string,
  port: number,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  // Where the permission is missing, Deno 2.5 leaks what the signal would cancel.
  const cancellable = TRIES_ALL || mayDial(hostname, port);
  try {
    return await Deno.connect({
      hostname,
      port,
      ...(cancellable && { signal }),
    });
  } catch (error) {
    if (TRIES_ALL || !(error instanceof Deno.errors.ConnectionRefused)) {
      throw error;
    }
    for (const address of await addresses(hostname, port)) {
      const tried = Deno.connect({ hostname: address, port, signal });
      const conn = await tried.catch(() => null);
      if (conn !== null) return conn;
    }
    throw error;
  }
}

/** The addresses of a name, as far as they may be dialled. */
async function addresses(
  hostname: string,
  port: number,
): Promise<string[]> {
  const { lookup } = await import("node:dns/promises");
  const found = await lookup(hostname, { all: true }).catch(() => []);
  return found.map(({ address }) => address)
    .filter((address) => mayDial(address, port));
}

/** Whether an address may be dialled without a prompt. */
function mayDial(hostname: string, port: number): boolean {
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  const { state } = Deno.permissions.querySync({
    name: "net",
    host: `${host}:${port}`,
  });
  return state === "granted";
}

/** Waits for a connection that cannot be cancelled; one that comes too late is closed. */
function abortable<T extends Deno.Conn>(
  dialled: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort);
    dialled.then((conn) => signal.aborted ? close(conn) : resolve(conn), reject)
      .finally(() => signal.removeEventListener("abort", abort));
  });
}

/** Closes what may be closed already. */
function close(resource: { close(): void }): void {
  try {
    resource.close();
  } catch {
    // It is.
  }
}
