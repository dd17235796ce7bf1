import {
  invalidUpgrade,
  negotiationProblem,
  networkReason,
} from "../handshake/judge.ts";
import {
  describeRequest,
  type HandshakeContext,
  socketHeaders,
} from "../handshake/request.ts";
import type { Target } from "../handshake/target.ts";
import type { Socket, SocketEvents } from "../socket.ts";
import { needsClient } from "./client.ts";

/** The number of bytes queued in the socket above which `send()` waits. */
const SEND_HIGH_WATER = 1024 * 1024;

/** The interval at which `bufferedAmount` is checked, in milliseconds. No event reports its changes. */
const SEND_POLL = 1;

/** An open `WebSocket` of Deno. */
export class NativeSocket implements Socket {
  readonly protocol: string;
  readonly extensions: string;
  readonly canPause = false;
  readonly ping = undefined;
  readonly released: Promise<void>;
  readonly #socket: WebSocket;
  readonly #release: () => void;
  /** The events before `start()`, which Deno's WebSocket dispatches as soon as it is open. */
  #early: Event[] = [];
  /** The message of the first `error` event. */
  #problem = "";

  /** Must be called in the `open` event of the socket, so that no later event is missed. */
  constructor(socket: WebSocket) {
    this.#socket = socket;
    this.protocol = socket.protocol;
    this.extensions = socket.extensions;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.released = promise;
    this.#release = resolve;
    socket.onmessage = socket.onerror = socket.onclose = (event: Event) => {
      this.#early.push(event);
    };
  }

  start(events: SocketEvents): void {
    const socket = this.#socket;
    socket.onmessage = ({ data }) => {
      events.onTraffic();
      events.onMessage(typeof data === "string" ? data : new Uint8Array(data));
    };
    socket.onerror = (event) => {
      if (event instanceof ErrorEvent) this.#problem ||= event.message;
    };
    socket.onclose = ({ code, reason, wasClean }) => {
      events.onEnd(
        wasClean
          ? { code, reason, clean: true, problem: "" }
          : { code: 1006, reason: "", clean: false, problem: this.#problem },
      );
      this.#release();
    };
    for (const event of this.#early) {
      const handler = socket[`on${event.type}` as "onmessage"];
      handler!.call(socket, event as MessageEvent);
    }
    this.#early = [];
  }

  send(data: string | Uint8Array<ArrayBuffer>): Promise<void> | null {
    this.#socket.send(data);
    return this.#isFull() ? this.#drained() : null;
  }

  #isFull(): boolean {
    return this.#socket.bufferedAmount > SEND_HIGH_WATER &&
      this.#socket.readyState === WebSocket.OPEN;
  }

  /** Resolves when `send()` need not wait any more. */
  async #drained(): Promise<void> {
    do await new Promise((resolve) => setTimeout(resolve, SEND_POLL)); while (
      this.#isFull()
    );
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  /** Starts the closing handshake. Deno's WebSocket cannot be ended without it. */
  cut(): void {
    const socket = this.#socket;
    socket.onmessage = null;
    if (socket.readyState === WebSocket.OPEN) socket.close(1000);
    this.#release();
  }

  pause(): void {}

  resume(): void {}
}

/**
 * Opens Deno's WebSocket.
 *
 * @param client The HTTP client to use, if the default one is not enough. It may
 * be closed as soon as this function has returned.
 * @returns The socket, or the message of Deno's WebSocket if it did not open.
 * @throws {HandshakeError} If the server chose a subprotocol or an extension that
 * was not offered.
 * @throws The signal's reason, if it aborts before that.
 */
export function openSocket(
  target: Target,
  context: HandshakeContext,
  client: Deno.HttpClient | undefined,
): Promise<NativeSocket | string> {
  const { signal } = context;
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    context.onRequest?.(
      describeRequest("socket", target, socketHeaders(target)),
    );
    const socket = new WebSocket(target.url, {
      protocols: [...target.protocols],
      headers: target.headers,
      ...(client && needsClient(target, context) && { client }),
    });
    socket.binaryType = "arraybuffer";
    let reason = "the connection was closed";
    const abort = () => socket.close(); // cancels the handshake
    signal.addEventListener("abort", abort);
    const settle = () => {
      signal.removeEventListener("abort", abort);
      socket.onopen = socket.onerror = socket.onclose = null;
    };
    socket.onopen = () => {
      settle();
      const { protocol, extensions } = socket;
      const problem = negotiationProblem(target, protocol, extensions);
      if (problem === null) return resolve(new NativeSocket(socket));
      socket.close();
      reject(invalidUpgrade(target, problem));
    };
    socket.onerror = (event) => {
      if (event instanceof ErrorEvent) reason = networkReason(event.message);
    };
    socket.onclose = () => {
      settle();
      if (signal.aborted) reject(signal.reason);
      else resolve(reason);
    };
  });
}
