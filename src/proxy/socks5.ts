/**
 * The client's side of SOCKS5 (RFC 1928), with a username and password (RFC 1929),
 * without I/O.
 *
 * @module
 */

import { type HostPort, parseAddress } from "./address.ts";
import { Refusal } from "./refusal.ts";
import type { Route } from "./route.ts";

/** What to do next: send some bytes, then read exactly so many, since the bytes after them are the server's. */
export interface SocksStep {
  readonly send: Uint8Array<ArrayBuffer>;
  readonly read: number;
}

/** The meanings of the replies (RFC 1928 section 6). */
const REPLIES = [
  "",
  "general SOCKS server failure",
  "connection not allowed by ruleset",
  "network unreachable",
  "host unreachable",
  "connection refused",
  "TTL expired",
  "command not supported",
  "address type not supported",
];

/** The replies after which another attempt may succeed. */
const TRANSIENT = [1, 3, 4, 5, 6];

const NOTHING = new Uint8Array();

/**
 * Asks a SOCKS5 proxy to connect to a server, whose name the proxy resolves. Each
 * step is to be answered with the bytes that were read. The tunnel is open when it
 * returns.
 *
 * @throws {Refusal} If the proxy refuses.
 */
export function* socks5(
  { auth }: Pick<Route, "auth">,
  { hostname, port }: HostPort,
): Generator<SocksStep, void, Uint8Array> {
  const methods = auth === null ? [0] : [0, 2];
  const [version, method] = yield {
    send: new Uint8Array([5, methods.length, ...methods]),
    read: 2,
  };
  if (version !== 5) throw new Refusal("does not speak SOCKS5");
  if (method === 2 && auth !== null) {
    const [, status] = yield {
      send: new Uint8Array([
        ...[1, ...field(auth.username)],
        ...field(auth.password),
      ]),
      read: 2,
    };
    if (status !== 0) {
      throw new Refusal("refused the username and password", false);
    }
  } else if (method !== 0) {
    throw new Refusal(
      auth === null
        ? "wants a username and password"
        : "takes none of the ways to authenticate",
      false,
    );
  }
  const bytes = parseAddress(hostname);
  const type = bytes === null ? 3 : bytes.length === 4 ? 1 : 4;
  const [, reply = 0, , bound] = yield {
    send: new Uint8Array([
      ...[5, 1, 0, type],
      ...(bytes ?? field(hostname)),
      ...[port >> 8, port & 0xff],
    ]),
    read: 4,
  };
  if (reply !== 0) {
    throw new Refusal(
      `answered SOCKS error ${reply}: ${REPLIES[reply] ?? "unassigned"}`,
      TRANSIENT.includes(reply),
    );
  }
  // The address from which the proxy connects, which nobody needs.
  let length = bound === 1 ? 4 : 16;
  if (bound === 3) [length = 0] = yield { send: NOTHING, read: 1 };
  yield { send: NOTHING, read: length + 2 };
}

/** Encodes a text with its length before it. */
function field(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > 255) {
    throw new Refusal(
      "cannot be given a name or password of over 255 bytes",
      false,
    );
  }
  return new Uint8Array([bytes.length, ...bytes]);
}
