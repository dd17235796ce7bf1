/**
 * The client that the fuzzing server examines: it sends back what it receives.
 *
 * @module
 */

import { ConnectionClosedError, connectWebSocket } from "../mod.ts";

/** The ways to connect that are examined. */
export const CAPTURES = ["direct", "none"] as const;

/** One of {@linkcode CAPTURES}. */
export type Capture = (typeof CAPTURES)[number];

/** How long a case may take, in milliseconds; all take less unless they hang. */
const PATIENCE = 300_000;

/** Connects, and sends back text as text and binary as binary until the end. */
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
    // Many cases break the protocol, so that the connection must be lost.
    if (!(error instanceof ConnectionClosedError)) throw error;
  }
  await connection.closed;
}
