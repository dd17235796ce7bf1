import type { HandshakeResponse } from "./response.ts";

/** How a socket ended. */
export interface SocketEnd {
  /** The close code of the peer (RFC 6455 section 7.4): 1005 if its close frame had none, 1006 if the connection was lost. */
  readonly code: number;
  /** The close reason that the peer sent. */
  readonly reason: string;
  /** Whether the closing handshake was completed. */
  readonly clean: boolean;
  /** Why the connection was lost, as untrusted text; `""` if it was closed. */
  readonly problem: string;
}

/** The callbacks of a socket. */
export interface SocketEvents {
  /** Called with each message: a string for a text message, bytes that are not reused for a binary one. */
  onMessage(message: string | Uint8Array<ArrayBuffer>): void;
  /** Called after each read with capture `"direct"`, and for each message otherwise. */
  onTraffic(): void;
  /** Called once, after the last message. `onRelease` may be called later. */
  onEnd(end: SocketEnd): void;
  /** Called once, when the resources of the socket are released, as far as the socket can release them. */
  onRelease(): void;
  /**
   * Called after a large read, by sockets that can pause.
   *
   * @returns A promise that the socket must wait for before it reads on, or
   * `null`.
   */
  onLargeRead(): Promise<void> | null;
}

/** Options of {@linkcode Socket.ping}. */
export interface PingOptions {
  /** How long to wait for the pong, in milliseconds. No limit if `undefined`. */
  timeout: number | undefined;
  signal: AbortSignal | undefined;
}

/**
 * An open WebSocket: Deno's (`native/socket.ts`) or wstap's own
 * (`direct/socket.ts`).
 */
export interface Socket {
  /** The subprotocol that the server chose, or `""` if none. */
  readonly protocol: string;
  /** The extensions that the server agreed to, or `""` if none. */
  readonly extensions: string;
  /** Whether `pause()` stops reading. If not, every message is delivered as it arrives. */
  readonly canPause: boolean;
  /** Starts to call `events`, first for what has happened since the socket opened. */
  start(events: SocketEvents): void;
  /**
   * Sends a message.
   *
   * @returns `null` if 1 MiB or less is queued, otherwise a promise that resolves
   * when that is so again or the socket has ended. Never rejects.
   */
  send(data: string | Uint8Array<ArrayBuffer>): Promise<void> | null;
  /** Starts the closing handshake. Messages are delivered until it is completed. */
  close(code: number, reason: string): void;
  /** Ends the connection at once, as far as the socket can. No message is delivered afterwards. */
  cut(): void;
  /** Stops reading. Does nothing if `canPause` is `false`. */
  pause(): void;
  /** Starts reading again. */
  resume(): void;
  /** Sends a ping and resolves with the round-trip time in milliseconds; `undefined` if the socket cannot send pings. */
  readonly ping: ((options: PingOptions) => Promise<number>) | undefined;
}

/** An open socket and the response of its handshake. */
export interface Opened {
  readonly socket: Socket;
  readonly response: HandshakeResponse;
}
