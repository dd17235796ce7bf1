import type { HandshakeContext, Redirect } from "../handshake.ts";
import type { Target } from "../http/target.ts";
import { HandshakeResponse } from "../response.ts";
import type { Opened } from "../socket.ts";
import { checkRoute } from "./client.ts";
import { explain } from "./preflight.ts";
import { openSocket } from "./socket.ts";

/**
 * Opens Deno's WebSocket. The response contains only what it reports. If it does
 * not open, one pre-flight request finds out why.
 */
export async function openPlain(
  target: Target,
  context: HandshakeContext,
): Promise<Opened | Redirect> {
  checkRoute(target, context);
  const socket = await openSocket(target, context);
  if (typeof socket === "string") return await explain(target, context, socket);
  const { protocol, extensions } = socket;
  const headers = {
    ...(protocol !== "" && { "sec-websocket-protocol": protocol }),
    ...(extensions !== "" && { "sec-websocket-extensions": extensions }),
  };
  const response = new HandshakeResponse({
    url: target.url.href,
    status: 101,
    statusText: "Switching Protocols",
    headers,
    source: "socket",
  });
  return { socket, response };
}
