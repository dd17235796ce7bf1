import { sleep } from "../../timers.ts";
import { CliError, EXIT, type ExitCode, usageError } from "../errors.ts";
import type { Notes } from "../terminal/stderr.ts";
import { print } from "../files/output.ts";
import { Recording, type Summary } from "../../replay/recording.ts";
import {
  type Acceptance,
  type Client,
  ClientGone,
  listen,
  type Message,
  type Refusal,
  type ServerRequest,
} from "../../replay/server.ts";
import type { Fault, ReplaySettings } from "../flags/values.ts";
import type { Stop } from "../stop.ts";
import { count, time, visible } from "../terminal/text.ts";

/** Messages that are due together are sent together, up to so many bytes. */
const MAX_WRITE = 64 * 1024;

/** Serves a recording to every client that connects, until a signal. */
export async function replay(
  settings: ReplaySettings,
  notes: Notes,
  stop: Stop,
): Promise<ExitCode> {
  const [recording, summary] = await Recording.open(settings.path);
  if (settings.loop && summary.messages === 0) {
    throw usageError(`Cannot repeat ${settings.path}: it has no messages`);
  }
  const feed = new Feed(recording, summary, settings, (text) => {
    if (!stop.signal.aborted) notes.say(text);
  });
  await using server = listen(settings.port, (request) => feed.answer(request));
  for (const line of describe(summary, settings)) notes.say(line);
  if (summary.breaksOff) {
    notes.say("it breaks off: what recorded it has not ended well, or goes on");
  }
  await print(`${server.url}/\n`);
  await stop.aborted();
  return stop.code ?? EXIT.ended;
}

/** Says what is played, and how it ends, in two lines. */
function describe(
  { messages, duration, ending, url }: Summary,
  { speed, loop, fault }: ReplaySettings,
): [string, string] {
  const length = speed === Infinity ? "" : ` in ${time(duration / speed)}`;
  const source = url === null ? "" : `, recorded from ${visible(url)}`;
  const end = loop ? "it starts again" : describeEnding(ending);
  return [
    `replaying ${count(messages, "message")}${length}${source}`,
    fault === null
      ? `at the end ${end}`
      : `after ${count(fault.after, "message")} ${
        describeEnding(fault.ending)
      }`,
  ];
}

function describeEnding(ending: Fault["ending"]): string {
  switch (ending.how) {
    case "closed": {
      const { code, reason } = ending;
      const why = reason === "" ? "" : ` "${visible(reason)}"`;
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

/** A recording as a feed: each client gets all of it. */
class Feed {
  readonly #recording: Recording;
  readonly #summary: Summary;
  readonly #settings: ReplaySettings;
  readonly #say: (text: string) => void;
  #clients = 0;
  /** How many handshakes are still to be refused. */
  #refusals: number;

  constructor(
    recording: Recording,
    summary: Summary,
    settings: ReplaySettings,
    say: (text: string) => void,
  ) {
    this.#recording = recording;
    this.#summary = summary;
    this.#settings = settings;
    this.#say = say;
    this.#refusals = settings.refuse?.count ?? 0;
  }

  answer(request: ServerRequest): Refusal | Acceptance {
    const { headers, refuse } = this.#settings;
    if (refuse !== null && request.isUpgrade && this.#refusals > 0) {
      this.#refusals--;
      const { status } = refuse;
      this.#say(`a client was refused with ${status}`);
      return { status, headers, body: `Refused with ${status}, as asked.\n` };
    }
    const { protocol } = this.#summary;
    return {
      headers,
      protocol: request.protocols.includes(protocol)
        ? protocol
        : request.protocols[0],
      serve: (client) => this.#serve(client),
    };
  }

  async #serve(client: Client): Promise<void> {
    const name = `client ${++this.#clients}`;
    this.#say(`${name} connected`);
    const progress = { messages: 0 };
    const sent = () => count(progress.messages, "message");
    try {
      const ending = await this.#play(client, progress);
      this.#say(`${name} got ${sent()}; ${describeEnding(ending)}`);
      await end(client, ending);
    } catch (error) {
      if (error instanceof ClientGone) {
        this.#say(`${name} left after ${sent()}`);
      } else if (error instanceof CliError) {
        // The file has changed.
        this.#say(`${name} was cut off after ${sent()}: ${error.message}`);
        await client.cut();
      } else throw error;
    }
  }

  /**
   * Sends messages when they are due, which is counted from the start, so that
   * no delay adds up. A client that is slower than the feed gets them as fast as
   * it takes them, and nothing waits for it in memory.
   *
   * @returns How the connection is to end.
   */
  async #play(
    client: Client,
    progress: { messages: number },
  ): Promise<Fault["ending"]> {
    const { speed, loop, fault } = this.#settings;
    let start = performance.now();
    let waiting: Message[] = [];
    let size = 0;
    const send = async () => {
      const messages = waiting;
      waiting = [];
      size = 0;
      if (messages.length > 0) await client.send(messages);
      progress.messages += messages.length;
    };
    if (fault?.after === 0) return fault.ending;
    while (true) {
      for await (const moments of this.#recording.moments()) {
        for (const moment of moments) {
          const due = start + moment.at / speed;
          if (due > performance.now()) {
            await send();
            await sleep(Math.max(0, due - performance.now()), client.gone);
          }
          if ("ending" in moment) {
            await send();
            if (!loop) return moment.ending;
            start = due;
            break;
          }
          waiting.push(moment.message);
          size += moment.message.length;
          const isLast = progress.messages + waiting.length === fault?.after;
          if (size >= MAX_WRITE || isLast) await send();
          if (isLast) return fault.ending;
        }
      }
    }
  }
}

/** Ends a connection as told. */
function end(client: Client, ending: Fault["ending"]): Promise<void> {
  switch (ending.how) {
    case "closed":
      return client.close(
        ending.code === 1005 ? undefined : ending.code,
        ending.reason,
      );
    case "stopped":
      return client.close(1000, "");
    case "lost":
      return client.cut();
    case "stalled":
      return client.stall();
  }
}
