/**
 * `Sec-WebSocket-Key`, and the `Sec-WebSocket-Accept` that answers it (RFC 6455
 * sections 4.1 and 4.2.2).
 *
 * @module
 */

import { fillRandom } from "../random.ts";
import { base64 } from "./encoding.ts";
import { sha1 } from "./sha1.ts";

/** Creates a `Sec-WebSocket-Key`: 16 random bytes in base64. */
export function createKey(): string {
  const key = new Uint8Array(16);
  fillRandom(key, 0, 16);
  return base64(key);
}

/** Computes the `Sec-WebSocket-Accept` for a key. */
export function acceptFor(key: string): string {
  const text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  return base64(sha1(new TextEncoder().encode(text)));
}
