/** What docs/from-kumomta.md says about the daemons, which read nothing after the handshake. */

import { assertEquals, assertRejects } from "@std/assert";
import {
  ConnectionClosedError,
  connections,
  connectWebSocket,
} from "@wstap/wstap";
import { each, test } from "./fixtures/captures.ts";
import { shapingDaemon } from "./fixtures/kumomta.ts";
import { eventually, within } from "./fixtures/wait.ts";

each.test("leaving the loop over a daemon that answers no close takes closeTimeout, and no longer", async (capture) => {
  await using daemon = shapingDaemon();
  const feed = connections(`${daemon.url}/subscribe_event_v1`, {
    capture,
    closeTimeout: "200ms",
  });
  const [connection] = (await feed.next()).value!;
  await within(feed.return(), 4000, "return()");
  const { code, clean } = await connection.closed;
  assertEquals([code, clean], [1006, false]);
  daemon.restart(); // only the peer can end Deno's WebSocket
});

test("pingInterval ends a healthy feed of a daemon that answers no ping", async () => {
  await using daemon = shapingDaemon();
  const [connection] = await connectWebSocket(
    `${daemon.url}/subscribe_event_v1`,
    { capture: "direct", pingInterval: "50ms", pingTimeout: "100ms" },
  );
  const error = await assertRejects(
    () => connection.recv(),
    ConnectionClosedError,
  );
  assertEquals([error.code, error.reason], [1006, "ping timeout"]);
});

test("a pre-flight is another subscriber, until the daemon sends something to it", async () => {
  for (const [capture, count] of [["preflight", 2], ["direct", 1]] as const) {
    await using daemon = shapingDaemon();
    const [connection] = await connectWebSocket(
      `${daemon.url}/subscribe_event_v1`,
      { capture, closeTimeout: 0 },
    );
    await eventually(() => daemon.subscribers.size === count, `${count}`);
    await connection.close();
    daemon.restart();
  }
});
