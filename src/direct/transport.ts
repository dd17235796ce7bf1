/**
 * Connections without TLS: over TCP, and to a Unix socket.
 *
 * @module
 */

import { closeQuietly } from "../conn.ts";
import { formatHost, type HostPort } from "../proxy/address.ts";
import {
  type ConnectAttempt,
  connectFirst,
  interleave,
} from "./happy_eyeballs.ts";

/**
 * Connects over TCP. If a host name has several addresses, they are tried as RFC
 * 8305 says. Before Deno 2.9 that needs the permissions to resolve the name and to
 * connect to each address; without them only the first address is tried.
 *
 * @throws The signal's reason, as soon as it aborts.
 */
export function connectTcp(
  server: HostPort,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  return TRIES_ALL
    ? connectStoppably(server, signal)
    : connectFirst(attempts(server), closeQuietly, signal);
}

/**
 * Connects to a Unix socket.
 *
 * @throws The signal's reason, as soon as it aborts.
 */
export function connectUnix(
  path: string,
  signal: AbortSignal,
): Promise<Deno.UnixConn> {
  return untilAborted(Deno.connect({ transport: "unix", path }), signal);
}

/**
 * Connects to one host name or address. When the signal aborts, the attempt ends.
 *
 * @throws The signal's reason, as soon as it aborts.
 */
function connectStoppably(
  server: HostPort,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  if (signal.aborted) return Promise.reject(signal.reason);
  const stop = new AbortController();
  // Deno asks the signal once more after the connection has been opened, and forgets
  // the connection if that throws: nobody could close it any more.
  stop.signal.throwIfAborted = () => {};
  const onAbort = () => stop.abort();
  signal.addEventListener("abort", onAbort);
  const connecting = Deno.connect({ ...server, signal: stop.signal });
  return untilAborted(connecting, signal)
    .finally(() => signal.removeEventListener("abort", onAbort));
}

/**
 * Waits for a connection attempt that does not end by itself when the signal aborts.
 * What it opens after that is closed at once.
 *
 * @throws The signal's reason, as soon as it aborts.
 */
export function untilAborted<T extends Deno.Conn>(
  connecting: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort);
    const settle = () => signal.removeEventListener("abort", onAbort);
    connecting.then((conn) => {
      settle();
      if (signal.aborted) closeQuietly(conn);
      else resolve(conn);
    }, (error) => {
      settle();
      reject(error);
    });
  });
}

/** Whether `Deno.connect()` tries the addresses of a host name as RFC 8305 says. Before Deno 2.9, it tries only the first. */
const TRIES_ALL = !/^2\.[0-8]\./.test(Deno.version.deno);

/**
 * Yields the attempts for a server: first by its name, because the permission may be
 * for that alone, and then for each address if there are several. One of them is
 * that of the first attempt: Deno does not say which.
 */
async function* attempts(
  { hostname, port }: HostPort,
): AsyncGenerator<ConnectAttempt<Deno.TcpConn>> {
  // If the permission is missing, Deno 2.5 leaks a resource for the signal.
  const cancellable = mayConnect(hostname, port);
  const connect =
    (hostname: string): ConnectAttempt<Deno.TcpConn> => (signal) =>
      cancellable
        ? connectStoppably({ hostname, port }, signal)
        : untilAborted(Deno.connect({ hostname, port }), signal);
  yield connect(hostname);
  if (!cancellable || !mayConnect(hostname)) return;
  const found = await addressesOf(hostname);
  if (found.length === 1) return;
  for (const address of interleave(found)) {
    if (mayConnect(address, port)) yield connect(address);
  }
}

/** Resolves a host name; no addresses if that fails. (Deno 2.5 warns of a deprecated module if it is done by `node:dns/promises`.) */
async function addressesOf(hostname: string): Promise<string[]> {
  const { lookup } = await import("node:dns");
  return await new Promise((resolve) =>
    lookup(
      hostname,
      { all: true },
      (error, found) =>
        resolve(error ? [] : found.map(({ address }) => address)),
    )
  );
}

/** Whether connecting to a host, at any port or at one, is permitted without a prompt. */
function mayConnect(hostname: string, port?: number): boolean {
  const host = formatHost(hostname);
  const { state, partial } = Deno.permissions.querySync({
    name: "net",
    host: port === undefined ? host : `${host}:${port}`,
  });
  return state === "granted" && !partial;
}
