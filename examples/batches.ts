/**
 * Sends one request, then receives the answers in batches: the messages of half a
 * second, and at most 100 of them.
 *
 *     deno run --allow-net examples/batches.ts wss://example.com/trace
 *
 * @module
 */

import { connectWebSocket } from "@wstap/wstap";

const [url = "wss://example.com/trace"] = Deno.args;

const [connection] = await connectWebSocket(url);
await using _ = connection; // closed at the end, whatever happens
await connection.send(JSON.stringify({ trace: "smtp" }));

for await (const batch of connection.batches("500ms", { max: 100 })) {
  const events = batch.map((message) => JSON.parse(message));
  console.log(`${events.length} events, the last of them`, events.at(-1));
}
