import { messageLine } from "../../internal.ts";

/**
 * The lines of sent messages that a recording has not got yet. Each is written
 * behind the messages that had arrived when it was sent, although those may still
 * wait to be written.
 */
export class SentLog {
  #waiting: { readonly after: number; readonly line: string }[] = [];

  /** @param after How many messages of the connection had arrived. */
  add(message: string | Uint8Array, after: number): void {
    const line = messageLine(new Date().toISOString(), message, "client");
    this.#waiting.push({ after, line });
  }

  /** How many messages come before the first line; `Infinity` if there is no line. */
  get next(): number {
    return this.#waiting[0]?.after ?? Infinity;
  }

  /** Takes the lines that come behind the first `count` messages or earlier. */
  take(count: number): string {
    const end = this.#waiting.findIndex(({ after }) => after > count);
    const taken = this.#waiting.splice(0, end === -1 ? Infinity : end);
    return taken.map(({ line }) => line).join("");
  }
}
