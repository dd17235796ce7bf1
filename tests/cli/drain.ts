/**
 * Drains a feed with `recvBatch()` alone and prints how many messages came, and
 * how many milliseconds that took.
 *
 * @module
 */

import { connectWebSocket } from "../../mod.ts";

const [url] = Deno.args;
const [connection] = await connectWebSocket(url!, { capture: "tap" });
const start = performance.now();
let messages = 0;
try {
  while (true) messages += (await connection.recvBatch("100ms")).length;
} catch {
  console.log(messages, performance.now() - start);
}
Deno.exit();
