/**
 * Resumes a feed after the connection is lost: each new connection tells the server
 * the last event that was received, so that no event is missed or received twice.
 *
 *     deno run --allow-net examples/resume.ts wss://example.com/events
 *
 * @module
 */

import { connections } from "@wstap/wstap";

const [url = "wss://example.com/events", minDelay = "1s"] = Deno.args;

let last = 0;

const feed = connections(url, {
  minDelay,
  onConnect: (connection) => connection.send(JSON.stringify({ after: last })),
  onRetry: ({ error, delayMs }) =>
    console.error(`${error.message}; again in ${Math.round(delayMs)} ms`),
});
for await (const [connection] of feed) {
  for await (const message of connection) {
    const { id, text } = JSON.parse(message);
    console.log(id, text);
    last = id; // only now, when it has been dealt with
  }
}
