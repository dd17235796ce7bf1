/**
 * How long the peer of a connection may be silent: `idleTimeout`, `messageTimeout` and
 * `pingTimeout`.
 *
 * Each begins anew when what it waits for arrives. None of them counts while reading is
 * held back by a full inbox, and none judges before what has arrived has been read: in
 * Deno, timers run before reads that are due.
 *
 * @module
 */

import { whenArrivedIsRead } from "./gate.ts";
import type { Settings } from "./options.ts";
import { after } from "./timers.ts";

/** What a {@linkcode Silence} judges: a session. */
export interface Judged {
  /** Sends a ping, and settles when it is answered or the connection has ended. */
  sendPing(): Promise<unknown>;
  /** Called when the peer has been silent for too long. */
  onSilence(message: string, reason: string): void;
}

/** The limits: `"pong"` is `pingTimeout`. */
type Limit = "idle" | "message" | "pong";

const VERDICTS: Record<Limit, readonly [message: string, reason: string]> = {
  idle: ["The connection was idle for too long", "idle timeout"],
  message: ["No message arrived for too long", "message timeout"],
  pong: ["A ping was not answered in time", "ping timeout"],
};

/** Judges the silence of one connection. Only a connection with such a limit has one. */
export class Silence {
  readonly #judged: Judged;
  readonly #pingTimeout: number;
  /** How the timers that are set are cancelled. */
  readonly #timers = new Map<Limit | "ping", () => void>();

  // Times of `performance.now()`.
  /** When bytes last arrived. */
  #lastTraffic = performance.now();
  /** When a message last arrived; 0 if none has. */
  #lastMessage = 0;
  /** From when the socket has been reading; `Infinity` while it is held back. */
  #readingSince = this.#lastTraffic;
  /** When the first ping was sent that may not be answered. */
  #pingSentAt = 0;
  #unansweredPings = 0;

  constructor(
    { idleTimeout, messageTimeout, pingInterval, pingTimeout }: Settings,
    judged: Judged,
  ) {
    this.#judged = judged;
    this.#pingTimeout = pingTimeout;
    if (idleTimeout !== undefined) this.#watch("idle", idleTimeout);
    if (messageTimeout !== undefined) this.#watch("message", messageTimeout);
    if (pingInterval !== undefined) this.#keepPinging(pingInterval);
  }

  /** Whether the settings have a limit. */
  static isLimited(settings: Settings): boolean {
    return settings.idleTimeout !== undefined ||
      settings.messageTimeout !== undefined ||
      settings.pingInterval !== undefined;
  }

  /** When the last message arrived, in milliseconds since the epoch; `null` if none has. */
  get lastMessageAt(): number | null {
    if (this.#lastMessage === 0) return null;
    return Date.now() - performance.now() + this.#lastMessage;
  }

  /** Notes that bytes have arrived. */
  onTraffic(): void {
    this.#lastTraffic = performance.now();
  }

  /** Notes that one of the bytes that arrived last has completed a message. */
  onMessage(): void {
    this.#lastMessage = this.#lastTraffic;
  }

  /** Notes whether the socket is held back. */
  onRead(isHeldBack: boolean): void {
    if (isHeldBack) this.#readingSince = Infinity;
    else if (this.#readingSince === Infinity) {
      this.#readingSince = performance.now();
    }
  }

  /** Stops sending pings. */
  stopPinging(): void {
    this.#timers.get("ping")?.();
  }

  /** Stops judging. */
  end(): void {
    for (const cancel of this.#timers.values()) cancel();
  }

  /** Judges once `timeout` milliseconds of silence may be over. */
  #watch(limit: Limit, timeout: number): void {
    const judge = () => {
      if (limit === "pong" && this.#unansweredPings === 0) {
        this.#timers.delete(limit);
      } else if (this.#left(limit, timeout) > 0) this.#watch(limit, timeout);
      else this.#judged.onSilence(...VERDICTS[limit]);
    };
    const look = () => {
      if (this.#left(limit, timeout) > 0) judge();
      else this.#timers.set(limit, whenArrivedIsRead(judge));
    };
    this.#timers.set(limit, after(this.#left(limit, timeout), look));
  }

  /** Returns how many milliseconds of silence are left: all of them while reading is held back. */
  #left(limit: Limit, timeout: number): number {
    if (this.#readingSince === Infinity) return timeout;
    const last = limit === "message" ? this.#lastMessage : this.#lastTraffic;
    const asked = limit === "pong" ? this.#pingSentAt : 0;
    const since = Math.max(last, asked, this.#readingSince);
    return since + timeout - performance.now();
  }

  /** Sends a ping every `interval` milliseconds, except while reading is held back: then its pong would not be read either. */
  #keepPinging(interval: number): void {
    const ping = () => {
      this.#keepPinging(interval);
      if (this.#readingSince === Infinity) return;
      // Of several unanswered pings the first one counts. Once it is answered, its pong
      // is the newest that has arrived, and later than all that wait with it.
      if (this.#unansweredPings++ === 0) this.#pingSentAt = performance.now();
      const answered = () => void this.#unansweredPings--;
      this.#judged.sendPing().then(answered, answered);
      if (!this.#timers.has("pong")) this.#watch("pong", this.#pingTimeout);
    };
    this.#timers.set("ping", after(interval, ping));
  }
}
