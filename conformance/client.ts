/**
 * The client that the fuzzing server tests. It echoes every message.
 *
 * @module
 */

import { ConnectionClosedError, connectWebSocket } from "../mod.ts";

/** The values of the option `capture` that are tested. */
export const CAPTURES = ["direct", "none"] as const;

/** One of {@linkcode CAPTURES}. */
export type Capture = (typeof CAPTURES)[number];

/** The longest time of a case in milliseconds. A case that takes longer hangs. */
const PATIENCE = 300_000;

/** Connects, and echoes text messages as text and binary messages as binary until the connection ends. */
export async function echo(url: string, capture: Capture): Promise<void> {
  const [connection] = await connectWebSocket(url, {
    capture,
    binary: "bytes",
    compression: capture === "direct",
    signal: AbortSignal.timeout(PATIENCE),
  });
  try {
    for await (const message of connection) await connection.send(message);
  } catch (error) {
    // The connection counts as lost in the many cases that violate the protocol.
    if (!(error instanceof ConnectionClosedError)) throw error;
  }
  await connection.closed;
}
