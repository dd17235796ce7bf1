/**
 * One client of a replay, and what it is sent when.
 *
 * @module
 */

import { printable } from "../escape.ts";
import { sleep } from "../timers.ts";
import { Expected } from "./expected.ts";
import type { Finish, ReplayEvent, Settings } from "./options.ts";
import type { Message, Recording } from "./recording.ts";
import { type Client, ClientGone } from "./server.ts";

/** Messages that are due together are sent together, up to so many characters or bytes. */
const MAX_WRITE = 64 * 1024;

/** What a {@linkcode Run} asks of its server. */
export interface RunContext {
  tell(type: ReplayEvent["type"], what: string): void;
  /** Whether the replay is being closed. */
  isClosed(): boolean;
}

/** One client, and its playback. */
export class Run {
  /** How many messages it has been sent. */
  messages = 0;
  readonly #recording: Recording;
  readonly #settings: Settings;
  readonly #context: RunContext;
  readonly #expected: Expected | null;
  /** What ended the feed before its time. */
  #stopped:
    | { readonly is: "deviation" | "failure"; readonly why: string }
    | null = null;
  /** Whether the end has been reached: nothing more is expected of the client. */
  #isOver = false;

  constructor(
    recording: Recording,
    settings: Settings,
    context: RunContext,
  ) {
    this.#recording = recording;
    this.#settings = settings;
    this.#context = context;
    const { clientMessages, loop } = settings;
    this.#expected = clientMessages === "ignore"
      ? null
      : new Expected(recording, clientMessages, loop);
  }

  /** Plays the recording to a client, and ends its connection. */
  async serve(client: Client): Promise<void> {
    this.#context.tell("connected", "connected");
    try {
      const finish = await this.#play(client);
      this.#isOver = true;
      this.#context.tell(
        "ended",
        `got ${this.#sent}; ${describeFinish(finish)}`,
      );
      await end(client, finish);
    } catch (error) {
      this.#isOver = true;
      if (!(error instanceof ClientGone)) this.#fail(client, error);
      this.#context.tell("ended", this.#describeEnd());
    } finally {
      await this.#expected?.[Symbol.asyncDispose]();
    }
  }

  /** Takes a message of the client. */
  async receive(client: Client, message: Message): Promise<void> {
    if (this.#expected === null || this.#isOver || this.#stopped) return;
    try {
      const problem = await this.#expected.receive(message);
      if (problem === null || this.#isOver) return;
      this.#stopped = { is: "deviation", why: problem };
      this.#context.tell("deviation", `deviated: its ${problem}`);
      void client.close(1008, problem);
    } catch (error) {
      this.#fail(client, error);
    }
  }

  /** Cuts a client off: the file has changed, or cannot be read any more. */
  #fail(client: Client, error: unknown): void {
    if (this.#stopped !== null) return;
    this.#stopped = {
      is: "failure",
      why: printable(error instanceof Error ? error.message : String(error)),
    };
    void client.cut();
  }

  #describeEnd(): string {
    const stopped = this.#stopped;
    return stopped === null
      ? this.#context.isClosed()
        ? `got ${this.#sent}; the replay ends`
        : `left after ${this.#sent}`
      : stopped.is === "deviation"
      ? `got ${this.#sent}; the connection is closed with 1008`
      : `was cut off after ${this.#sent}: ${stopped.why}`;
  }

  get #sent(): string {
    return countMessages(this.messages);
  }

  /**
   * Sends messages when they are due, which is counted from the start, so that
   * no delay adds up. A client that is slower than the feed gets them as fast as
   * it takes them, and nothing waits for it in memory.
   *
   * @returns How the connection is to end.
   */
  async #play(client: Client): Promise<Finish> {
    const { speed, loop, fault } = this.#settings;
    let start = performance.now();
    let waiting: Message[] = [];
    let size = 0;
    const send = async () => {
      const messages = waiting;
      waiting = [];
      size = 0;
      if (messages.length > 0) await client.send(messages);
      this.messages += messages.length;
    };
    if (fault?.after === 0) return fault.finish;
    while (true) {
      for await (const moments of this.#recording.moments()) {
        for (const moment of moments) {
          if (moment.type === "sent" && this.#expected === null) continue;
          const due = start + moment.at / speed;
          if (due > performance.now()) {
            await send();
            await sleep(Math.max(0, due - performance.now()), client.gone);
          }
          if (moment.type === "end") {
            await send();
            if (!loop) return moment.ending;
            start = due;
          } else if (moment.type === "sent") {
            await send();
            if (this.#expected!.take()) continue;
            await this.#expected!.wait(client.gone);
            start = performance.now() - moment.at / speed;
          } else {
            waiting.push(moment.message);
            size += moment.message.length + 1;
            const isLast = this.messages + waiting.length === fault?.after;
            if (size >= MAX_WRITE || isLast) await send();
            if (isLast) return fault.finish;
          }
        }
      }
    }
  }
}

/** Ends a connection as told. */
function end(client: Client, finish: Finish): Promise<void> {
  switch (finish.how) {
    case "closed":
      return client.close(
        finish.code === 1005 ? undefined : finish.code,
        finish.reason,
      );
    case "stopped":
      return client.close(1000, "");
    case "lost":
      return client.cut();
    case "stalled":
      return client.stall();
  }
}

/** Says how a connection ends, as the end of a sentence. */
export function describeFinish(finish: Finish): string {
  switch (finish.how) {
    case "closed": {
      const { code, reason } = finish;
      const why = reason === "" ? "" : ` "${printable(reason)}"`;
      return code === 1005
        ? "the connection is closed without a code"
        : `the connection is closed with ${code}${why}`;
    }
    case "stopped":
      return "the connection is closed with 1000";
    case "lost":
      return "the connection is cut";
    case "stalled":
      return "nothing more is sent or answered";
  }
}

function countMessages(count: number): string {
  return `${count.toLocaleString("en-US")} message${count === 1 ? "" : "s"}`;
}
