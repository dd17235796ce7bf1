/**
 * Close codes, and the payload of a close frame (RFC 6455 sections 5.5.1 and 7.4).
 *
 * @module
 */

import { ProtocolError } from "./protocol_error.ts";
import { isText, UTF8 } from "./utf8.ts";

/** Whether a close code may be sent (RFC 6455 section 7.4, and the IANA registry of close codes). */
export function isCloseCode(code: number): boolean {
  return code >= 3000 && code <= 4999 ||
    code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 &&
      code !== 1006;
}

/**
 * Parses the payload of a close frame. The code is 1005 if the payload is empty.
 *
 * @throws {ProtocolError} With code 1002 if the payload is half a code or a code
 * that must not be sent, with code 1007 if the reason is not UTF-8.
 */
export function parseClose(
  payload: Uint8Array,
): [code: number, reason: string] {
  if (payload.length === 0) return [1005, ""];
  if (payload.length === 1) {
    throw new ProtocolError(1002, "a close frame has half a code");
  }
  const code = payload[0]! << 8 | payload[1]!;
  if (!isCloseCode(code)) {
    throw new ProtocolError(
      1002,
      `a close frame has the code ${code}, which must not be sent`,
    );
  }
  const reason = payload.subarray(2);
  if (!isText(reason)) {
    throw new ProtocolError(1007, "the reason of a close frame is not UTF-8");
  }
  return [code, UTF8.decode(reason)];
}

const ENCODER = new TextEncoder();
const EMPTY = new Uint8Array();

/** Encodes the payload of a close frame: empty without a code. The reason is cut after 123 bytes. */
export function closePayload(
  code: number | undefined,
  reason: string,
): Uint8Array<ArrayBuffer> {
  if (code === undefined) return EMPTY;
  const payload = new Uint8Array(125);
  payload[0] = code >> 8;
  payload[1] = code;
  const { written } = ENCODER.encodeInto(reason, payload.subarray(2));
  return payload.subarray(0, 2 + written);
}
