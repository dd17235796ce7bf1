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

/** With more bytes than this in the socket, `send()` waits. */
const SEND_HIGH_WATER = 1024 * 1024;

/** How often `bufferedAmount` is looked at, in milliseconds: it has no event. */
const SEND_POLL = 1;

/** Deno's WebSocket, open. */
export class NativeSocket implements Socket {
  readonly protocol: string;
  readonly extensions: string;
  readonly canPause = false;
  readonly ping = undefined;
  readonly released: Promise<void>;
  readonly #socket: WebSocket;
  readonly #release: () => void;
  /** What happened before `start()`: the socket dispatches without waiting for anybody. */
  #early: Event[] = [];
  /** The socket's own words for what went wrong. */
  #problem = "";

  /** Takes over a socket in the very event that opened it. */
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

  async #drained(): Promise<void> {
    do await new Promise((resolve) => setTimeout(resolve, SEND_POLL)); while (
      this.#isFull()
    );
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  /** A socket that waits for its peer cannot be cut: it can only be asked to close. */
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
 * @param client What it is opened with, where the default client will not do.
 * It may be closed as soon as this has returned.
 * @returns The socket, or the words of Deno's WebSocket for why it did not open.
 * @throws {HandshakeError} If the server chose what was not offered.
 * @throws The signal's reason, when it aborts first.
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
