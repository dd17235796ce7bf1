/**
 * Connects again without `connections()`, for rules that it does not have: after a
 * lost connection and after a failed attempt there is always the same pause, and the
 * program ends when the server closes the connection.
 *
 *     deno run --allow-net examples/reconnect_by_hand.ts wss://example.com/
 *
 * @module
 */

import {
  ConnectionClosedError,
  connectWebSocket,
  HandshakeError,
  parseDuration,
} from "@wstap/wstap";

const [url = "wss://example.com/", pause = "5s"] = Deno.args;

async function follow(): Promise<void> {
  const [connection] = await connectWebSocket(url);
  await using _ = connection;
  for await (const message of connection) console.log(message);
}

for (let closed = false; !closed;) {
  try {
    await follow();
    closed = true;
  } catch (error) {
    const lost = error instanceof ConnectionClosedError;
    if (!lost && !(error instanceof HandshakeError)) throw error;
    console.error(`${error.message}; again in ${pause}`);
    await new Promise((resolve) => setTimeout(resolve, parseDuration(pause)));
  }
}
