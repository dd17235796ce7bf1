import type { Redirect, Target } from "../handshake.ts";
import { HandshakeResponse } from "../response.ts";
import { explain } from "./preflight.ts";
import type { Attach } from "../line.ts";
import { createClient, needsClient, type Scope } from "./scope.ts";
import { openDirect } from "./socket.ts";

/**
 * Captures nothing: opens the socket, and reports what it knows. Only when it
 * fails does a pre-flight ask why.
 */
export async function captureNone(
  target: Target,
  scope: Scope,
  attach: Attach,
): Promise<HandshakeResponse | Redirect> {
  const headers = new Headers();
  using client = needsClient(target, scope) ? createClient(scope) : undefined;
  const failure = await openDirect(
    target,
    scope,
    client,
    (socket) => {
      if (socket.protocol !== "") {
        headers.set("sec-websocket-protocol", socket.protocol);
      }
      if (socket.extensions !== "") {
        headers.set("sec-websocket-extensions", socket.extensions);
      }
      attach(socket);
    },
  );
  if (failure !== null) return await explain(target, scope, failure);
  return new HandshakeResponse({
    url: target.url.href,
    status: 101,
    statusText: "Switching Protocols",
    headers,
    source: "socket",
  });
}
