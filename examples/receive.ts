/**
 * Prints the response of the handshake, then each message.
 *
 *     deno run --allow-net examples/receive.ts wss://example.com/
 *
 * @module
 */

import { connectWebSocket } from "@wstap/wstap";

const [url = "wss://example.com/"] = Deno.args;

const [connection, response] = await connectWebSocket(url);
console.log(response.status, response.statusText);
for (const [name, value] of response.headers) console.log(`${name}: ${value}`);

for (let data; (data = await connection.recv()) !== null;) {
  console.log(data);
}

const { code, reason } = await connection.closed;
console.log("closed", code, reason);
