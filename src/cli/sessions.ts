import {
  type CloseInfo,
  connections,
  type HandshakeResponse,
  type WebSocketConnection,
} from "../../mod.ts";
import type { TapSettings } from "./args.ts";
import type { Notes } from "./notes.ts";
import type { Trace } from "./trace.ts";
import { visible } from "./visible.ts";

/** A connection of the command line: binary messages are bytes. */
export type Connection = WebSocketConnection<string | Uint8Array>;

/**
 * One connection after another; only one where none is to be replaced. Either
 * way the URLs after the first are there to fall back to.
 */
export function sessions(
  { urls, connect, reconnect }: Pick<
    TapSettings,
    "urls" | "connect" | "reconnect"
  >,
  notes: Notes,
  trace: Trace | null,
  signal: AbortSignal,
): AsyncGenerator<[Connection, HandshakeResponse], void> {
  return connections([...urls], {
    ...connect,
    ...reconnect ?? { retryIf: () => false },
    signal,
    ...(trace && { onRequest: (request) => trace.request(request) }),
    onRetry: ({ error, delayMs }) => {
      trace?.answered();
      const wait = (delayMs / 1000).toFixed(delayMs < 10_000 ? 1 : 0);
      notes.error(`${error.message}; connecting again in ${wait} s`);
    },
  });
}

/** How a connection ended, in words. */
export function describeClose({ code, reason, clean }: CloseInfo): string {
  const why = reason === "" ? "" : ` "${visible(reason)}"`;
  return clean
    ? `the server closed with ${code}${why}`
    : `the connection was lost${why}`;
}
