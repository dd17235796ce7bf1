import { after } from "../duration.ts";
import { ConnectionClosedError } from "../errors.ts";
import type { PingOptions } from "../socket.ts";

/** A ping that has not been answered. */
interface Pending {
  readonly id: number;
  /** When it was sent, in milliseconds of `performance.now()`. */
  readonly sentAt: number;
  readonly settle: (result: unknown, failed: boolean) => void;
}

/** The pings of a connection that wait for their pongs, in the order in which they were sent. */
export class Pings {
  #lastId = 0;
  #pending: Pending[] = [];
  readonly #send: (payload: Uint8Array<ArrayBuffer>) => void;

  constructor(send: (payload: Uint8Array<ArrayBuffer>) => void) {
    this.#send = send;
  }

  /** Sends a ping and resolves with the milliseconds until its pong. */
  ping({ timeout, signal }: PingOptions): Promise<number> {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      const forget = (error: unknown) => {
        this.#pending = this.#pending.filter((ping) => ping.id !== id);
        settle(error, true);
      };
      const abort = () => forget(signal?.reason);
      const cancel = timeout === undefined
        ? () => {}
        : after(timeout, () =>
          forget(new DOMException("No pong arrived in time", "TimeoutError")));
      const settle = (result: unknown, failed: boolean) => {
        cancel();
        signal?.removeEventListener("abort", abort);
        if (failed) reject(result);
        else resolve(result as number);
      };
      signal?.addEventListener("abort", abort);
      this.#pending.push({ id, sentAt: performance.now(), settle });
      this.#send(encodeId(id));
    });
  }

  /** Takes a pong, which answers every ping up to its own (RFC 6455 section 5.5.3). */
  pong(payload: Uint8Array): void {
    const id = decodeId(payload);
    if (id > this.#lastId) return; // a pong that nobody asked for
    const now = performance.now();
    const answered = this.#pending.filter((ping) => ping.id <= id);
    this.#pending = this.#pending.slice(answered.length);
    for (const { sentAt, settle } of answered) settle(now - sentAt, false);
  }

  /** Rejects all that wait: the connection has ended. */
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

/** The number of the ping that a pong answers, -1 if it is not one of ours. */
function decodeId(payload: Uint8Array): number {
  if (payload.length !== 8) return -1;
  const view = new DataView(payload.buffer, payload.byteOffset, 8);
  return Number(view.getBigUint64(0));
}
