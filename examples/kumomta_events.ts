/**
 * Follows what KumoMTA's shaping daemon has suspended, as its own client does: it
 * uses the older endpoint while the daemon does not have the newer one, and after a
 * pause it connects again, whatever happened. It prints what is new.
 *
 *     deno run --allow-net examples/kumomta_events.ts ws://127.0.0.1:8008
 *
 * @module
 */

import { connections } from "@wstap/wstap";

const [daemon = "ws://127.0.0.1:8008", pause = "30s"] = Deno.args;

// Functions, since a URL that answered 404 would not be tried again.
const endpoints = [
  () => `${daemon}/subscribe_event_v1`,
  () => `${daemon}/subscribe_suspension_v1`, // where the first is 404 Not Found
];

/** What the items of the older endpoint are called by the newer one. */
const NEWER: Record<string, string> = {
  ReadyQ: "ReadyQSuspension",
  SchedQ: "SchedQSuspension",
};

/** What the items of both endpoints have. Their other properties say which queue it is. */
interface Item {
  rule_hash: string;
  reason: string;
  expires: string;
  [name: string]: string | null;
}

/** What is in force, and until when. */
const inForce = new Map<string, string>();

/** Prints an item, unless an earlier connection was sent it: each is sent all of them. */
function apply(kind: string, { rule_hash, reason, expires, ...queue }: Item) {
  const name = NEWER[kind] ?? kind;
  const which = Object.entries(queue).filter(([, value]) => value !== null)
    .map(([key, value]) => `${key}=${value}`).sort();
  const key = [name, rule_hash, ...which].join(" ");
  if (inForce.get(key) === expires) return;
  inForce.set(key, expires);
  console.log(name, ...which, "until", expires, reason);
}

function forgetExpired() {
  for (const [key, expires] of inForce) {
    if (Date.parse(expires) < Date.now()) inForce.delete(key);
  }
}

const feed = connections(endpoints, {
  capture: "direct", // a pre-flight would be another subscriber
  closeTimeout: "1s", // the daemon reads nothing, so it answers no close
  minDelay: pause,
  maxDelay: pause,
  retryIf: () => true, // a 401, a 404 of both: the daemon may be there later
  onRetry: ({ error }) => console.error(`${error.message}; again in ${pause}`),
});
for await (const [connection, response] of feed) {
  console.log(response.status, new URL(connection.url).pathname);
  for await (const batch of connection.batches("3s")) {
    for (const text of batch) {
      const [[kind, item] = []] = Object.entries<Item>(JSON.parse(text));
      if (kind !== undefined && item !== undefined) apply(kind, item);
    }
    forgetExpired();
  }
}
