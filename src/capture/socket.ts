import {
  describeRequest,
  invalidUpgrade,
  negotiationProblem,
  networkReason,
  socketHeaders,
  type Target,
} from "../handshake.ts";
import type { Attach } from "../line.ts";
import { type Scope, socketClient } from "./scope.ts";

/** Opens the native socket to the server itself; otherwise as {@linkcode openSocket}. */
export async function openDirect(
  target: Target,
  scope: Scope,
  attach: Attach,
): Promise<string | null> {
  scope.onRequest?.(describeRequest("socket", target, socketHeaders(target)));
  const client = socketClient(target, scope);
  return await openSocket(target, client, scope.signal, attach);
}

/**
 * Opens Deno's native socket and hands it over in the very event that opened
 * it, before it can dispatch a message.
 *
 * @param client What it is opened with, if not the default; it is closed here.
 * @returns `null` when it opened, else the native socket's own words for why not.
 * @throws {HandshakeError} If the server chose what was not offered.
 * @throws The signal's reason, when it aborts first.
 */
export function openSocket(
  target: Target,
  client: Deno.HttpClient | undefined,
  signal: AbortSignal,
  attach: Attach,
): Promise<string | null> {
  return new Promise((resolve, reject) => {
    using _ = client; // the socket keeps what it needs of it
    signal.throwIfAborted();
    const socket = new WebSocket(target.url, {
      protocols: [...target.protocols],
      headers: target.headers,
      ...(client && { client }),
    });
    socket.binaryType = "arraybuffer";
    let reason = "the connection was closed";
    const abort = () => socket.close(); // cancels the handshake
    signal.addEventListener("abort", abort);
    const settle = () => {
      signal.removeEventListener("abort", abort);
      socket.onopen = socket.onerror = socket.onclose = null;
    };
    socket.onopen = () => {
      settle();
      const problem = negotiationProblem(
        target,
        socket.protocol,
        socket.extensions,
      );
      if (problem !== null) {
        socket.close();
        return reject(invalidUpgrade(target, problem));
      }
      attach(socket);
      resolve(null);
    };
    socket.onerror = (event) => {
      if (event instanceof ErrorEvent) reason = networkReason(event.message);
    };
    socket.onclose = () => {
      settle();
      if (signal.aborted) reject(signal.reason);
      else resolve(reason);
    };
  });
}
