/**
 * The seam between a session (`session.ts`) and its socket: Deno's WebSocket
 * (`native/socket.ts`) or wstap's own (`direct/socket.ts`).
 *
 * Key invariants:
 *
 * - The session calls `start()` once, first of all. What has arrived since the socket
 *   opened is delivered then, in order, before anything newer.
 * - Messages are delivered in order of arrival, and none after `onEnd()`.
 * - `onEnd()` is called exactly once, whatever ended the connection: the peer's close
 *   frame, the peer's answer to `close()`, a loss, a violation, or `terminate()`, which
 *   calls it before it returns. Then `onRelease()` is called exactly once: when the
 *   socket holds nothing open any more, as far as it can tell.
 * - Reading stops in one way. A socket that can wait asks `readOn()` after each read, and
 *   waits for the promise that it gets. No one else pauses it. A socket that cannot wait,
 *   Deno's, never asks.
 * - `send()` takes a message or calls `onSendEnd()` before it returns: no message is
 *   dropped silently, as far as the socket can know. `onSendEnd()` means that nothing can
 *   be sent any more, while what has arrived is still being delivered. It is called at
 *   most once, never after `onEnd()`, and from then on `send()`, `ping()` and `close()` send
 *   nothing.
 * - Promises of `send()` never reject, and always resolve: when little enough is queued, at
 *   `close()`, and at the end. The session then looks whether the connection is still open.
 * - Promises of `ping()` always settle: with the pong, at `onSendEnd()`, or at the end.
 * - `close()` sends a close frame behind everything that was sent before it. Only the
 *   session calls it, and only once. It sets no time limit: the session calls
 *   `terminate()` when it has waited long enough, also after `onEnd()`, where it ends what
 *   the socket still waits for before `onRelease()`.
 * - The words: a connection *fails* by a violation, is *closed* by the closing handshake,
 *   and is *terminated* without it.
 *
 * @module
 */

import type { HandshakeResponse } from "./response.ts";

/** How a socket ended. */
export interface SocketEnd {
  /** The close code of the peer (RFC 6455 section 7.4): 1005 if its close frame had none, 1006 if the connection was lost. */
  readonly code: number;
  /** The close reason that the peer sent, or why `terminate()` was called. */
  readonly reason: string;
  /** Whether the closing handshake was completed. */
  readonly clean: boolean;
  /** Why the connection was lost, as untrusted text; `""` if it was closed. */
  readonly problem: string;
}

/** What a socket calls: a session. The head of this file says when. */
export interface SocketEvents {
  /**
   * Called with each message: a string for a text message, bytes that are not reused
   * for a binary one, and with `decode: false` bytes for both.
   *
   * @returns Whether another message may be delivered at once. If not, a socket that can
   * wait asks `readOn()` before it goes on in what it has read.
   */
  onMessage(message: string | Uint8Array<ArrayBuffer>): boolean;
  /** Called when bytes have arrived, before what is in them is delivered. A socket that sees no bytes calls it for each message. */
  onTraffic(): void;
  /**
   * Asks whether the socket may read on.
   *
   * @param length The number of bytes that have just been handled.
   * @param arrivedAt The time of `performance.now()` at which these were there; 0 for a
   * read so small that looking at the clock would take longer than handling it.
   * @returns `null` if it may, otherwise a promise that resolves when it may, or when the
   * connection has ended.
   */
  readOn(length: number, arrivedAt: number): Promise<void> | null;
  /** Called when nothing can be sent any more, though the connection has not ended. */
  onSendEnd(): void;
  /** Called once, after the last message. */
  onEnd(end: SocketEnd): void;
  /** Called once, after `onEnd()`, when the resources of the socket are released, as far as the socket can release them. */
  onRelease(): void;
}

/** Options of {@linkcode Socket.ping}. */
export interface PingOptions {
  /** How long to wait for the pong, in milliseconds. No limit if `undefined`. */
  timeout: number | undefined;
  signal: AbortSignal | undefined;
}

/** The size in bytes from which a read counts as large: the feed is fast. */
export const LARGE_READ = 32 * 1024;

/** The number of queued bytes above which `Socket.send()` waits, and no heartbeat is sent. */
export const SEND_HIGH_WATER = 1024 * 1024;

/** An open WebSocket. The head of this file says what holds for it. */
export interface Socket {
  /** The subprotocol that the server chose, or `""` if none. */
  readonly protocol: string;
  /** The extensions that the server agreed to, or `""` if none. */
  readonly extensions: string;
  /** Whether the socket asks `readOn()`. If not, every message is delivered as it arrives. */
  readonly canWait: boolean;
  /** Starts to call `events`, first for what has happened since the socket opened. */
  start(events: SocketEvents): void;
  /**
   * Sends a message.
   *
   * @returns `null` if at most {@linkcode SEND_HIGH_WATER} bytes are queued, otherwise a
   * promise that resolves when that is so again, or when the connection is not open
   * any more.
   */
  send(data: string | Uint8Array<ArrayBuffer>): Promise<void> | null;
  /** Whether more than {@linkcode SEND_HIGH_WATER} bytes are queued, overhead of frames included. */
  isSendQueueFull(): boolean;
  /** Starts the closing handshake. */
  close(code: number, reason: string): void;
  /** Ends the connection at once, as far as the socket can, and reports this end, unless it has ended before. */
  terminate(end: SocketEnd): void;
  /** Sends a ping and resolves with the round-trip time in milliseconds; `undefined` if the socket cannot send pings. */
  readonly ping: ((options: PingOptions) => Promise<number>) | undefined;
}

/** An open socket and the response of its handshake. */
export interface Opened {
  readonly socket: Socket;
  readonly response: HandshakeResponse;
}
