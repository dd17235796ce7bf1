import {
  connectWebSocket,
  type HandshakeResponse,
  type WebSocketConnection,
} from "../../mod.ts";
import type { TapSettings } from "./args.ts";

/** A connection of the command line: binary messages are bytes. */
export type Connection = WebSocketConnection<string | Uint8Array>;

/** One connection after another, with the responses that answered the handshakes. */
export async function* sessions(
  { urls, connect }: Pick<TapSettings, "urls" | "connect">,
  signal: AbortSignal,
): AsyncGenerator<{ connection: Connection; response: HandshakeResponse }> {
  const [connection, response] = await connectWebSocket(urls[0]!, {
    ...connect,
    signal,
  });
  yield { connection, response };
}
