/**
 * Connects again in a loop of its own, for when the rules of `connections()` are
 * not the ones that you want: here every loss and every failure is followed by
 * the same pause, and a close by the server is the end.
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
