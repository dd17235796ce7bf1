import {
  announce,
  type HandshakeContext,
  invalidUpgrade,
  networkReason,
} from "../handshake.ts";
import { describeRequest, socketHeaders } from "../http/request.ts";
import { secretsOf } from "../http/secrets.ts";
import type { Target } from "../http/target.ts";
import { negotiationProblem } from "../http/upgrade.ts";
import {
  SEND_HIGH_WATER,
  type Socket,
  type SocketEnd,
  type SocketEvents,
} from "../socket.ts";
import { createClient, needsClient } from "./client.ts";

/** The interval at which `bufferedAmount` is checked, in milliseconds. No event reports its changes. */
const SEND_POLL = 1;

/** What Deno needs for a queued message besides its payload, which is all that `bufferedAmount` counts, in bytes. */
const MESSAGE_OVERHEAD = 256;

/**
 * Deno's `WebSocket`. Most of its handlers are set only once, because setting one
 * takes a hundredth of the time of connecting.
 */
export class NativeSocket implements Socket {
  protocol = "";
  extensions = "";
  readonly canWait = false;
  readonly ping = undefined;
  readonly #socket: WebSocket;
  /** Called when the socket has opened or failed to. */
  #settle: ((failure: string | null) => void) | null;
  #events: SocketEvents | undefined;
  /** The messages before `start()`, which Deno's WebSocket dispatches as soon as it is open. */
  #early: MessageEvent[] = [];
  /** The `close` event, if it came before `start()`. */
  #earlyClose: CloseEvent | undefined;
  /** The message of the first `error` event. */
  #problem = "";
  /** Whether `onEnd()` has been called. */
  #ended = false;

  /** The messages that were sent since `bufferedAmount` was last seen to be 0. */
  #queued = 0;
  /** What the calls of `send()` wait for; `null` while none waits. With a timer each, a thousand of them would leave Deno no time to send. */
  #draining: Promise<void> | null = null;

  /**
   * @param socket A socket that has just been created.
   * @param settle Called once: with `null` when the socket is open, or with the
   * reason why it did not open.
   */
  constructor(socket: WebSocket, settle: (failure: string | null) => void) {
    this.#socket = socket;
    this.#settle = settle;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#settle = null;
      this.protocol = socket.protocol;
      this.extensions = socket.extensions;
      settle(null);
    };
    socket.onmessage = (event) => this.#early.push(event);
    socket.onerror = (event) => {
      if (event instanceof ErrorEvent) this.#problem ||= event.message;
    };
    socket.onclose = (event) => {
      if (this.#settle !== null) {
        settle(networkReason(this.#problem) || "the connection was closed");
      } else if (this.#events === undefined) this.#earlyClose = event;
      else this.#onClose(event);
    };
  }

  start(events: SocketEvents): void {
    this.#events = events;
    const onMessage = ({ data }: MessageEvent) => {
      events.onTraffic();
      events.onMessage(typeof data === "string" ? data : new Uint8Array(data));
    };
    this.#socket.onmessage = onMessage;
    for (const event of this.#early) onMessage(event);
    this.#early = [];
    if (this.#earlyClose !== undefined) this.#onClose(this.#earlyClose);
  }

  #onClose({ code, reason, wasClean }: CloseEvent): void {
    this.#end(
      wasClean
        ? { code, reason, clean: true, problem: "" }
        : { code: 1006, reason: "", clean: false, problem: this.#problem },
    );
  }

  #end(end: SocketEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#events!.onEnd(end);
    this.#events!.onRelease();
  }

  /**
   * Sends a message. Deno's WebSocket drops it silently once it is not open, which it
   * is not from a moment before its `close` event. (What the peer sends while it reads
   * nothing may be that close frame: Deno says nothing of it until its answer is sent.)
   */
  send(data: string | Uint8Array<ArrayBuffer>): Promise<void> | null {
    const socket = this.#socket;
    if (socket.readyState !== WebSocket.OPEN) {
      this.#events!.onSendEnd();
      return null;
    }
    if (socket.bufferedAmount === 0) this.#queued = 0;
    socket.send(data);
    this.#queued++;
    return this.isSendQueueFull() ? this.#draining ??= this.#drained() : null;
  }

  isSendQueueFull(): boolean {
    const { bufferedAmount, readyState } = this.#socket;
    return readyState === WebSocket.OPEN &&
      bufferedAmount + this.#queued * MESSAGE_OVERHEAD > SEND_HIGH_WATER;
  }

  /** Resolves when `send()` need not wait any more. */
  async #drained(): Promise<void> {
    do {
      await new Promise((resolve) => setTimeout(resolve, SEND_POLL));
      if (this.#socket.bufferedAmount === 0) this.#queued = 0;
    } while (this.isSendQueueFull() && !this.#ended);
    this.#draining = null;
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  /** Starts the closing handshake, and ignores what follows. Deno's WebSocket cannot be ended without it. */
  terminate(end: SocketEnd): void {
    const socket = this.#socket;
    socket.onmessage = null;
    if (socket.readyState === WebSocket.OPEN) socket.close(1000);
    this.#end(end);
  }
}

/**
 * Opens Deno's WebSocket.
 *
 * It gets an HTTP client of its own: over TLS, the one of the pre-flight would
 * resume its session and then stall for 44 ms (the rows "From the call to the first
 * message" over TLS of `bench/`).
 *
 * @returns The socket, or the message of Deno's WebSocket if it did not open.
 * @throws {HandshakeError} If the server chose a subprotocol or an extension that
 * was not offered.
 * @throws The signal's reason, if it aborts before that.
 */
export async function openSocket(
  target: Target,
  context: HandshakeContext,
): Promise<NativeSocket | string> {
  const { signal } = context;
  await announce(
    context,
    () => describeRequest("socket", target, socketHeaders(target)),
  );
  return await new Promise((resolve, reject) => {
    signal.throwIfAborted(); // a moment has passed
    // The client may be closed as soon as the socket has been created.
    using client = needsClient(target, context) ? createClient(context) : null;
    const { protocols, headers } = target;
    const socket = new WebSocket(target.url, {
      // Each that is left out saves a tenth of the time of connecting.
      ...(protocols.length > 0 && { protocols: [...protocols] }),
      ...(Object.keys(headers).length > 0 && { headers }),
      ...(client && { client }),
    });
    const cancel = () => socket.close(); // while connecting, it cancels the handshake
    signal.addEventListener("abort", cancel);
    const opening = new NativeSocket(socket, (failure) => {
      signal.removeEventListener("abort", cancel);
      if (signal.aborted) return reject(signal.reason);
      if (failure !== null) return resolve(failure);
      const { protocol, extensions } = opening;
      const problem = negotiationProblem(protocol, extensions, {
        protocols,
        secrets: () => secretsOf(target),
      });
      if (problem === null) return resolve(opening);
      socket.close();
      reject(invalidUpgrade(target, problem));
    });
  });
}
