/**
 * What a client is expected to send, if a replay waits for the messages of its
 * recording.
 *
 * @module
 */

import type { Message, Recording } from "./recording.ts";

/** The messages of one client, beside those of a recording. */
export class Expected implements AsyncDisposable {
  /** How many messages have come. */
  #received = 0;
  /** How many of them the feed has waited for. */
  #taken = 0;
  #notify: (() => void) | null = null;
  /** The recorded messages, read ahead of the feed; `null` if any message will do. */
  readonly #recorded: AsyncGenerator<Message, void> | null;

  /**
   * @param how `"any"` counts messages, `"exact"` compares them.
   * @param loop Whether the recording begins again at its end.
   */
  constructor(recording: Recording, how: "any" | "exact", loop: boolean) {
    this.#recorded = how === "any" ? null : sentMessages(recording, loop);
  }

  /**
   * Takes a message of the client, which may be ahead of the feed.
   *
   * @returns What is wrong with it, or `null`.
   */
  async receive(message: Message): Promise<string | null> {
    const next = await this.#recorded?.next();
    if (next !== undefined) {
      if (next.done) return null; // it is behind the last recorded one
      if (!isSame(message, next.value)) {
        return `message ${this.#received + 1} is not the recorded one`;
      }
    }
    this.#received++;
    this.#notify?.();
    return null;
  }

  /** Takes a message that has come; `false` if none has. */
  take(): boolean {
    if (this.#taken === this.#received) return false;
    this.#taken++;
    return true;
  }

  /** Waits for the next message. Rejects with the signal's reason if that aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    const wake = () => this.#notify?.();
    signal.addEventListener("abort", wake);
    try {
      while (!this.take()) {
        signal.throwIfAborted();
        await new Promise<void>((resolve) => this.#notify = resolve);
      }
    } finally {
      signal.removeEventListener("abort", wake);
      this.#notify = null;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#recorded?.return();
  }
}

/** The messages that the client of a recording has sent. */
async function* sentMessages(
  recording: Recording,
  loop: boolean,
): AsyncGenerator<Message, void> {
  if (recording.summary.sent === 0) return;
  do {
    for await (const moments of recording.moments()) {
      for (const moment of moments) {
        if (moment.type === "sent") yield moment.message;
      }
    }
  } while (loop);
}

/** Whether two messages are the same: of the same type, and JSON by its value. */
export function isSame(a: Message, b: Message): boolean {
  if (typeof a === "string" && typeof b === "string") {
    if (a === b) return true;
    const values = [parseJson(a), parseJson(b)] as const;
    return values[0] !== undefined && values[1] !== undefined &&
      isEqual(values[0], values[1]);
  }
  if (typeof a === "string" || typeof b === "string") return false;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** The value of a JSON text, `undefined` if it is none. A whole number that would lose digits is kept as a text. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(/\d{16}/.test(text) ? keepDigits(text) : text);
  } catch {
    return undefined;
  }
}

/** Matches strings, so that they are left alone, and long whole numbers. */
const STRING_OR_LONG =
  /"[^"\\]*(?:\\.[^"\\]*)*"|(?<![\d.eE+])-?\d{16,}(?![\d.eE])/gs;

/** Marks a number that is kept as a text. No message has it by chance. */
const MARK = crypto.randomUUID();

function keepDigits(json: string): string {
  return json.replace(
    STRING_OR_LONG,
    (token) =>
      token.startsWith('"') || Number.isSafeInteger(Number(token))
        ? token
        : `"${MARK}${token}"`,
  );
}

/** Whether two JSON values are equal. Any depth will do. */
function isEqual(a: unknown, b: unknown): boolean {
  const pairs: [unknown, unknown][] = [[a, b]];
  for (let pair; (pair = pairs.pop()) !== undefined;) {
    const [one, other] = pair;
    if (one === other) continue;
    if (
      typeof one !== "object" || typeof other !== "object" ||
      one === null || other === null ||
      Array.isArray(one) !== Array.isArray(other)
    ) return false;
    const keys = Object.keys(one);
    if (keys.length !== Object.keys(other).length) return false;
    for (const key of keys) {
      if (!Object.hasOwn(other, key)) return false;
      pairs.push([
        (one as Record<string, unknown>)[key],
        (other as Record<string, unknown>)[key],
      ]);
    }
  }
  return true;
}
