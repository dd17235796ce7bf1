/**
 * Resumes a feed after the connection is lost: the URL of each attempt tells the
 * server the last event that was dealt with, so that no event is missed or received
 * twice.
 *
 *     deno run --allow-net examples/resume.ts wss://example.com/events
 *
 * @module
 */

import { connections } from "@wstap/wstap";

const [feedUrl = "wss://example.com/events", minDelay = "1s"] = Deno.args;

let cursor: string | undefined;

/** Called before each attempt. */
function url(): URL {
  const url = new URL(feedUrl);
  if (cursor !== undefined) url.searchParams.set("after", cursor);
  return url;
}

const feed = connections(url, {
  minDelay,
  onRetry: ({ error, delayMs }) =>
    console.error(`${error.message}; again in ${Math.round(delayMs)} ms`),
});
for await (const [connection] of feed) {
  for await (const message of connection) {
    const { id, text } = JSON.parse(message);
    console.log(id, text);
    cursor = String(id); // only now, when it has been dealt with
  }
}
