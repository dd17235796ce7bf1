import { ConnectionClosedError } from "../../../mod.ts";
import type { TapSettings } from "../flags/values.ts";
import type { Notes } from "../terminal/stderr.ts";
import { decodeText } from "../terminal/text.ts";
import type { Connection } from "./connect.ts";

/**
 * Sends what the options name on every connection, and the lines of standard
 * input, one message each, on whichever connection is open.
 */
export class Sender {
  readonly #settings: Pick<
    TapSettings,
    "send" | "binary" | "input" | "reconnect"
  >;
  readonly #notes: Notes;
  readonly #input: () => AsyncIterable<Uint8Array[]>;
  readonly #onSent: () => void;
  readonly #record: Record | null;
  #connection: Connection | null = null;
  #next = Promise.withResolvers<void>();
  #reading = false;
  /** Whether there is nothing left to read. */
  #done = false;
  /** Whether it has been said that messages wait for a connection. */
  #isTold = false;

  /**
   * @param input Called when the first connection is open. Gives the lines to send.
   * @param onSent Called when all that there was to send has been sent on the
   * connection that is open.
   * @param record Called with each message that is sent; `null` if nobody wants to know.
   */
  constructor(
    settings: Pick<
      TapSettings,
      "send" | "binary" | "input" | "reconnect"
    >,
    notes: Notes,
    input: () => AsyncIterable<Uint8Array[]>,
    onSent: () => void,
    record: Record | null,
  ) {
    this.#settings = settings;
    this.#notes = notes;
    this.#input = input;
    this.#onSent = onSent;
    this.#record = record;
  }

  /**
   * Sends on a connection that has just opened.
   *
   * @throws {Error} If something fails that is not the end of the connection.
   */
  async attach(connection: Connection): Promise<void> {
    try {
      for (const message of this.#settings.send) {
        await this.#sendOn(connection, message);
      }
    } catch (error) {
      if (!(error instanceof ConnectionClosedError)) throw error;
      return; // it has ended: who receives learns why
    }
    this.#connection = connection;
    this.#isTold = false;
    this.#next.resolve();
    if (!this.#reading) {
      this.#reading = true;
      if (this.#settings.input) await this.#forwardInput();
      this.#done = true;
    }
    if (this.#done && this.#connection !== null) this.#onSent();
  }

  async #forwardInput(): Promise<void> {
    for await (const found of this.#input()) {
      for (const line of found) await this.#forward(line);
    }
  }

  async #forward(line: Uint8Array): Promise<void> {
    const message = this.#settings.binary ? line.slice() : decodeText(line);
    if (message !== null) await this.#send(message);
    else {
      this.#notes.error(
        "Cannot send a line that is not UTF-8: --binary sends any bytes",
      );
    }
  }

  async #send(message: string | Uint8Array): Promise<void> {
    while (true) {
      const { reconnect } = this.#settings;
      if (
        this.#connection === null && !this.#isTold && reconnect !== null
      ) {
        this.#isTold = true;
        this.#notes.say("what is to be sent waits for the next connection");
      }
      while (this.#connection === null) await this.#next.promise;
      const connection: Connection = this.#connection;
      try {
        return await this.#sendOn(connection, message);
      } catch (error) {
        if (!(error instanceof ConnectionClosedError)) throw error;
        // It has ended: the message waits for the next one.
        if (this.#connection === connection) {
          this.#connection = null;
          this.#next = Promise.withResolvers();
        }
      }
    }
  }

  async #sendOn(
    connection: Connection,
    message: string | Uint8Array,
  ): Promise<void> {
    const sending = connection.send(message);
    if (this.#record !== null) {
      // On a connection that is over it is rejected at once, and nothing was sent.
      let isOver = false;
      sending.catch(() => isOver = true);
      await null;
      await null;
      if (!isOver) this.#record(message, connection);
    }
    await sending;
  }
}

/** Takes note of a message that is being sent, before an answer to it can arrive. */
type Record = (message: string | Uint8Array, connection: Connection) => void;
