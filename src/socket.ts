import type { HandshakeResponse } from "./response.ts";

/** How a socket came to its end. */
export interface SocketEnd {
  /** The close code of the peer (RFC 6455 section 7.4): 1005 if its close frame had none, 1006 if the connection was lost. */
  readonly code: number;
  /** The close reason, as the peer sent it. */
  readonly reason: string;
  /** Whether the closing handshake was completed. */
  readonly clean: boolean;
  /** What went wrong, in untrusted words, where the connection was lost; otherwise `""`. */
  readonly problem: string;
}

/** Receives what a socket brings. */
export interface SocketEvents {
  /** Called with every message: a text message as a string, a binary one as bytes of its own. */
  onMessage(message: string | Uint8Array<ArrayBuffer>): void;
  /** Called whenever something arrived: bytes where the socket is our own, messages where it is Deno's. */
  onTraffic(): void;
  /** Called once, after the last message. The socket may need a moment more to be `released`. */
  onEnd(end: SocketEnd): void;
  /**
   * Called by a socket that can pause when much has come at once.
   *
   * @returns What the socket should wait for before it reads on, if anything.
   */
  onLargeRead(): Promise<void> | null;
}

/** The options of {@linkcode Socket.ping}. */
export interface PingOptions {
  /** Milliseconds; `undefined` waits until the connection ends. */
  timeout: number | undefined;
  signal: AbortSignal | undefined;
}

/**
 * An open WebSocket, as a connection uses it: Deno's own (`native/socket.ts`) or
 * ours (`direct/socket.ts`).
 */
export interface Socket {
  /** The subprotocol that the server chose, `""` if none. */
  readonly protocol: string;
  /** The extensions that the server agreed to, `""` if none. */
  readonly extensions: string;
  /** Whether `pause()` holds the peer back. Otherwise everything that arrives is delivered. */
  readonly canPause: boolean;
  /** Resolves once nothing of the socket is open any more, as far as that is possible. It never rejects. */
  readonly released: Promise<void>;
  /** Begins to deliver. Nothing that arrived before is lost. */
  start(events: SocketEvents): void;
  /**
   * Sends a message.
   *
   * @returns `null` while no more than 1 MiB is queued, otherwise a promise that
   * resolves once that is so again or the socket has ended. It never rejects.
   */
  send(data: string | Uint8Array<ArrayBuffer>): Promise<void> | null;
  /** Begins the closing handshake. Messages go on being delivered until its end. */
  close(code: number, reason: string): void;
  /** Ends the connection at once, as far as that is possible, without a further event. */
  cut(): void;
  /** Stops reading, where `canPause` is true. */
  pause(): void;
  /** Reads on. */
  resume(): void;
  /** Sends a ping and resolves with the milliseconds until its pong; `undefined` where pings are out of reach. */
  readonly ping: ((options: PingOptions) => Promise<number>) | undefined;
}

/** An open socket, and the response that answered its handshake. */
export interface Opened {
  readonly socket: Socket;
  readonly response: HandshakeResponse;
}
