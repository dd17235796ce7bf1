/**
 * Opens a tunnel through a proxy, with `CONNECT` (RFC 9110 section 9.3.6) or SOCKS5
 * (RFC 1928, RFC 1929).
 *
 * @module
 */

import { type Conn, ResponseReader, writeAll } from "../conn.ts";
import { handshakeError, httpError, readBody } from "../handshake.ts";
import type { Target } from "../http/target.ts";
import { HandshakeResponse } from "../response.ts";
import { basicAuth } from "../http/encoding.ts";
import { encodeHead, MalformedResponse } from "../http/head.ts";
import { reasonPhrase } from "../http/status.ts";
import { formatHostPort, type HostPort, parseAddress } from "./address.ts";
import type { Route } from "./route.ts";

/**
 * Opens a tunnel to the server through the proxy at the other end of a connection.
 *
 * @throws {HandshakeError} If the proxy refuses. The message names the proxy.
 */
export async function openTunnel(
  target: Target,
  conn: Conn,
  route: Route,
  server: HostPort,
  signal: AbortSignal,
): Promise<void> {
  const proxy = `the proxy ${formatHostPort(route)}`;
  const refuse = (problem: string, details: RefusalDetails = {}) => {
    // An answer says more than that the time was over while its body was read.
    if (details.response === undefined) signal.throwIfAborted();
    return handshakeError(target, `${proxy} ${problem}`, {
      ...details,
      by: "proxy",
    });
  };
  try {
    if (route.kind === "socks5") await socks5(conn, route, server);
    else await connect(target, conn, route, server, signal);
  } catch (error) {
    if (error instanceof Refusal) throw refuse(error.message, error.details);
    if (error instanceof MalformedResponse) {
      throw refuse(`did not answer in HTTP: ${error.message}`);
    }
    signal.throwIfAborted();
    throw error;
  }
}

/** The details of a refusal, as options of a `HandshakeError`. */
interface RefusalDetails {
  readonly response?: HandshakeResponse;
  readonly transient?: boolean;
}

/** Thrown if a proxy refuses. The message continues a sentence that begins with the proxy. */
class Refusal extends Error {
  constructor(message: string, readonly details: RefusalDetails = {}) {
    super(message);
  }
}

async function connect(
  target: Target,
  conn: Conn,
  { auth }: Route,
  server: HostPort,
  signal: AbortSignal,
): Promise<void> {
  const host = formatHostPort(server);
  const headers: [string, string][] = [
    ["Host", host],
    ["User-Agent", navigator.userAgent],
  ];
  if (auth !== null) {
    headers.push([
      "Proxy-Authorization",
      basicAuth(auth.username, auth.password),
    ]);
  }
  await writeAll(conn, encodeHead(`CONNECT ${host} HTTP/1.1`, headers));
  const reader = new ResponseReader(conn);
  const head = await reader.readHead().catch((error) => {
    if (error instanceof MalformedResponse) throw error;
    throw new Refusal("hung up without an answer");
  });
  const { status } = head;
  if (status >= 200 && status < 300) {
    if (reader.takeRest().length === 0) return;
    throw new Refusal("sent more than its answer");
  }
  const statusText = await reasonPhrase(status);
  const body = await readBody(reader.body(head), head.headers, {
    signal,
    caller: undefined,
  });
  const response = new HandshakeResponse({
    url: target.url.href,
    status,
    statusText,
    headers: head.headers,
    source: "direct",
    body,
  });
  throw new Refusal(`answered ${httpError(status, statusText)}`, { response });
}

/** The meanings of the replies of a SOCKS5 proxy (RFC 1928 section 6). */
const SOCKS_REPLIES = [
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
const SOCKS_TRANSIENT = [1, 3, 4, 5, 6];

const PERMANENT = { transient: false };

async function socks5(
  conn: Conn,
  { auth }: Route,
  { hostname, port }: HostPort,
): Promise<void> {
  const methods = auth === null ? [0] : [0, 2];
  await writeAll(conn, new Uint8Array([5, methods.length, ...methods]));
  const [version, method] = await readBytes(conn, 2);
  if (version !== 5) throw new Refusal("does not speak SOCKS5");
  if (method === 2 && auth !== null) {
    await writeAll(
      conn,
      new Uint8Array([1, ...field(auth.username), ...field(auth.password)]),
    );
    const [, status] = await readBytes(conn, 2);
    if (status !== 0) {
      throw new Refusal("refused the username and password", PERMANENT);
    }
  } else if (method !== 0) {
    throw new Refusal(
      auth === null
        ? "wants a username and password"
        : "takes none of the ways to authenticate",
      PERMANENT,
    );
  }
  const bytes = parseAddress(hostname);
  const type = bytes === null ? 3 : bytes.length === 4 ? 1 : 4;
  await writeAll(
    conn,
    new Uint8Array([
      ...[5, 1, 0, type],
      ...(bytes ?? field(hostname)),
      ...[port >> 8, port & 0xff],
    ]),
  );
  const [, reply = 0, , bound] = await readBytes(conn, 4);
  if (reply !== 0) {
    throw new Refusal(
      `answered SOCKS error ${reply}: ${SOCKS_REPLIES[reply] ?? "unassigned"}`,
      { transient: SOCKS_TRANSIENT.includes(reply) },
    );
  }
  const length = bound === 1
    ? 4
    : bound === 4
    ? 16
    : (await readBytes(conn, 1))[0]!;
  await readBytes(conn, length + 2);
}

/** Encodes a text with its length before it, as SOCKS5 does. */
function field(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > 255) {
    throw new Refusal(
      "cannot be given a name or password of over 255 bytes",
      PERMANENT,
    );
  }
  return new Uint8Array([bytes.length, ...bytes]);
}

/** Reads exactly `length` bytes, because the bytes after them are the server's. */
async function readBytes(conn: Conn, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const count = await conn.read(bytes.subarray(at)).catch(() => null);
    if (count === null) throw new Refusal("hung up without an answer");
    at += count;
  }
  return bytes;
}
