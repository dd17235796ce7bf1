/**
 * Opens a tunnel to a server through a proxy.
 *
 * @module
 */

import { type Conn, ResponseReader, writeAll } from "../conn.ts";
import {
  type HandshakeContext,
  handshakeError,
  httpError,
} from "../handshake.ts";
import { MalformedResponse } from "../http/head.ts";
import { reasonPhrase } from "../http/status.ts";
import type { Target } from "../http/target.ts";
import { readBody } from "../refusal_body.ts";
import { HandshakeResponse } from "../response.ts";
import { HandshakeError } from "../errors.ts";
import { formatHostPort, type HostPort } from "./address.ts";
import { connectRequest } from "./connect.ts";
import { Refusal } from "./refusal.ts";
import type { Route } from "./route.ts";
import { socks5 } from "./socks5.ts";

/**
 * Opens a tunnel to the server through the proxy at the other end of a connection.
 * What is read of the connection after that is the server's.
 *
 * @throws {HandshakeError} If the proxy refuses. The message names the proxy.
 */
export async function openTunnel(
  target: Target,
  conn: Conn,
  route: Route,
  server: HostPort,
  context: Pick<HandshakeContext, "signal" | "caller">,
): Promise<void> {
  try {
    if (route.kind === "socks5") await throughSocks5(conn, route, server);
    else await throughHttp(target, conn, route, server, context);
  } catch (error) {
    if (error instanceof HandshakeError) throw error;
    context.signal.throwIfAborted();
    if (error instanceof Refusal) {
      const { message, transient } = error;
      throw proxyError(target, route, message, {
        ...(transient !== undefined && { transient }),
      });
    }
    if (error instanceof MalformedResponse) {
      throw proxyError(
        target,
        route,
        `did not answer in HTTP: ${error.message}`,
      );
    }
    throw error;
  }
}

/** Creates an error that blames the proxy. The problem continues a sentence that begins with it. */
export function proxyError(
  target: Target,
  route: Route,
  problem: string,
  options: Omit<Parameters<typeof handshakeError>[2] & object, "by"> = {},
): HandshakeError {
  return handshakeError(
    target,
    `the proxy ${formatHostPort(route)} ${problem}`,
    { ...options, by: "proxy" },
  );
}

async function throughHttp(
  target: Target,
  conn: Conn,
  route: Route,
  server: HostPort,
  context: Pick<HandshakeContext, "signal" | "caller">,
): Promise<void> {
  await writeAll(conn, connectRequest(route, server));
  const reader = new ResponseReader(conn);
  const head = await reader.readHead().catch((error) => {
    if (error instanceof MalformedResponse) throw error;
    throw new Refusal("hung up without an answer");
  });
  const { status, headers } = head;
  if (status >= 200 && status < 300) {
    if (reader.takeRest().length === 0) return;
    throw new Refusal("sent more than its answer");
  }
  const statusText = await reasonPhrase(status);
  const body = await readBody(reader.body(head), headers, context);
  const url = target.url.href;
  const response = new HandshakeResponse({
    ...{ url, status, statusText, headers, body },
    source: "direct",
  });
  // Also if the timeout has ended the reading of the body: the answer says more.
  throw proxyError(target, route, `answered ${httpError(status, statusText)}`, {
    response,
  });
}

async function throughSocks5(
  conn: Conn,
  route: Route,
  server: HostPort,
): Promise<void> {
  const steps = socks5(route, server);
  for (let step = steps.next(); !step.done;) {
    const { send, read } = step.value;
    if (send.length > 0) await writeAll(conn, send);
    step = steps.next(await readExactly(conn, read));
  }
}

async function readExactly(conn: Conn, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const count = await conn.read(bytes.subarray(at)).catch(() => null);
    if (count === null) throw new Refusal("hung up without an answer");
    at += count;
  }
  return bytes;
}
