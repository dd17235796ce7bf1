/**
 * Connects with capture "direct", receives nothing until told to by a line, then
 * everything, and prints its memory and what arrived.
 *
 * @module
 */

import { connectWebSocket } from "../../mod.ts";

const [url = ""] = Deno.args;
const [connection] = await connectWebSocket(url, { capture: "direct" });
let most = 0;
const measure = () => {
  most = Math.max(most, Deno.memoryUsage().rss);
};
const timer = setInterval(measure, 20);
await Deno.stdin.read(new Uint8Array(10));
const buffered = connection.buffered.bytes;
measure();
const stalled = most;
let received = 0;
let inOrder = true;
for await (const message of connection) {
  if (parseInt(message) !== received) inOrder = false;
  if (received++ % 10_000 === 0) measure();
}
clearInterval(timer);
console.log(
  JSON.stringify({
    received,
    inOrder,
    buffered,
    stalled,
    most,
    ...await connection.closed,
  }),
);
Deno.exit();
