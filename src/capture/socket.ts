import {
  describeRequest,
  invalidUpgrade,
  negotiationProblem,
  networkReason,
  socketHeaders,
  type Target,
} from "../handshake.ts";
import type { Attach } from "../line.ts";
import { needsClient, type Scope } from "./scope.ts";

/**
 * Opens the native socket to the server itself; otherwise as {@linkcode openSocket}.
 *
 * @param client Only used where the default client will not do.
 */
export function openDirect(
  target: Target,
  scope: Scope,
  client: Deno.HttpClient | undefined,
  attach: Attach,
): Promise<string | null> {
  scope.onRequest?.(describeRequest("socket", target, socketHeaders(target)));
  const used = needsClient(target, scope) ? client : undefined;
  return openSocket(target, used, scope.signal, attach);
}

/**
 * Opens Deno's native socket and hands it over in the very event that opened
 * it, before it can dispatch a message.
 *
 * @param client What it is opened with, if not the default. It may be closed as
 * soon as this has returned.
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
