/** The connection under the native socket, where it is in our hands. */
export interface Line {
  /** The subprotocol that the server chose, `""` if none. */
  readonly protocol: string;
  /** Resolves once nothing of it is open any more; never rejects. */
  readonly ended: Promise<void>;
  /** Why it ended the stream of the server by itself, `""` if it did not. */
  readonly failure: string;
  /** Whether the server has sent a close frame. */
  readonly closeReceived: boolean;
  /** Called whenever bytes arrive from the server. */
  onTraffic: () => void;
  /** Stops reading from the server, so that TCP holds it back. */
  pause(): void;
  /** Reads on. */
  resume(): void;
  /** Is told that the native socket is closed. */
  socketClosed(): void;
  /** Ends the connection without any closing handshake. */
  cut(): void;
}

/** Takes over the native socket in the event that opens it. */
export type Attach = (socket: WebSocket, line?: Line) => void;
