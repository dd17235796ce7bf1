/**
 * Receives the events of KumoMTA's shaping daemon as its shaping helper does: in
 * batches of three seconds, from the older endpoint if the daemon does not have the
 * newer one, and with a pause before connecting again.
 *
 *     deno run --allow-net examples/kumomta_events.ts ws://127.0.0.1:8008
 *
 * @module
 */

import { connections } from "@wstap/wstap";

const [daemon = "ws://127.0.0.1:8008", pause = "30s"] = Deno.args;

const feed = connections([
  `${daemon}/subscribe_event_v1`,
  `${daemon}/subscribe_suspension_v1`, // where the first is 404 Not Found
], {
  minDelay: pause,
  maxDelay: pause,
  onRetry: ({ error }) => console.error(`${error.message}; again in ${pause}`),
});
for await (const [connection, response] of feed) {
  console.log(response.status, new URL(connection.url).pathname);
  for await (const batch of connection.batches("3s")) {
    for (const item of batch) console.log(JSON.parse(item));
  }
}
