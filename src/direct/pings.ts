import { after } from "../timers.ts";
import { ConnectionClosedError } from "../errors.ts";
import { whenArrivedIsRead } from "../gate.ts";
import type { PingOptions } from "../socket.ts";

/** A ping that has not been answered. */
interface Pending {
  readonly id: number;
  /** The time of `performance.now()` at which it was sent. */
  readonly sentAt: number;
  readonly settle: (result: unknown, failed: boolean) => void;
}

const LOST = { code: 1006, reason: "", clean: false };

/** Sends the pings of a connection, and matches the pongs to them. */
export class Pings {
  #lastId = 0;
  /** The pings that have not been answered, in the order in which they were sent. */
  #pending: Pending[] = [];
  readonly #send: (payload: Uint8Array<ArrayBuffer>) => boolean;

  /** @param send Sends a ping, and returns whether it could. */
  constructor(send: (payload: Uint8Array<ArrayBuffer>) => boolean) {
    this.#send = send;
  }

  /** Sends a ping, and resolves with the round-trip time in milliseconds. */
  ping({ timeout, signal }: PingOptions): Promise<number> {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      const forget = (error: unknown) => {
        this.#pending = this.#pending.filter((ping) => ping.id !== id);
        settle(error, true);
      };
      const abort = () => forget(signal?.reason);
      let cancel = timeout === undefined ? () => {} : after(timeout, () => {
        cancel = whenArrivedIsRead(() =>
          forget(new DOMException("No pong arrived in time", "TimeoutError"))
        );
      });
      const settle = (result: unknown, failed: boolean) => {
        cancel();
        signal?.removeEventListener("abort", abort);
        if (failed) reject(result);
        else resolve(result as number);
      };
      signal?.addEventListener("abort", abort);
      this.#pending.push({ id, sentAt: performance.now(), settle });
      if (!this.#send(encodeId(id))) this.end(LOST);
    });
  }

  /** Handles a pong. It answers its own ping and all earlier ones (RFC 6455 section 5.5.3). */
  pong(payload: Uint8Array): void {
    const id = decodeId(payload);
    if (id > this.#lastId) return; // it answers no ping of this connection
    const now = performance.now();
    const answered = this.#pending.filter((ping) => ping.id <= id);
    this.#pending = this.#pending.slice(answered.length);
    for (const { sentAt, settle } of answered) settle(now - sentAt, false);
  }

  /** Rejects all pings that have not been answered, because the connection has ended. */
  end(end: { code: number; reason: string; clean: boolean }): void {
    for (const { settle } of this.#pending.splice(0)) {
      settle(
        new ConnectionClosedError(
          "The connection ended before the pong arrived",
          end,
        ),
        true,
      );
    }
  }
}

function encodeId(id: number): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(8);
  new DataView(payload.buffer).setBigUint64(0, BigInt(id));
  return payload;
}

/** Returns the number of the ping that a pong answers; -1 if it answers none of this class. */
function decodeId(payload: Uint8Array): number {
  if (payload.length !== 8) return -1;
  const view = new DataView(payload.buffer, payload.byteOffset, 8);
  return Number(view.getBigUint64(0));
}
