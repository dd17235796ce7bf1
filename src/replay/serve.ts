/**
 * `serveReplay()`: a recorded feed as a server. `recording.ts` has what is played,
 * `run.ts` when it is sent to a client, `server.ts` the connections.
 *
 * @module
 */

import { kindOf } from "../checks.ts";
import { quote } from "../escape.ts";
import { openFile } from "./file.ts";
import {
  type Finish,
  parseOptions,
  type ReplayEvent,
  type ReplayOptions,
  type Settings,
} from "./options.ts";
import {
  type RecordedEvent,
  type Recording,
  recordingOfEvents,
  type Summary,
} from "./recording.ts";
import { Run } from "./run.ts";
import {
  type Acceptance,
  type Refusal,
  Server,
  type ServerRequest,
} from "./server.ts";

/**
 * A recorded feed that is being served. Disposing it closes it.
 *
 * @example Usage
 * ```ts
 * import { connectWebSocket } from "@wstap/wstap";
 * import { type Replay, serveReplay } from "@wstap/wstap/replay";
 *
 * const feed: Replay = await serveReplay([
 *   { time: "2024-05-06T07:08:09.010Z", type: "text", data: "hello" },
 * ]);
 * const [connection] = await connectWebSocket(feed.url, { capture: "direct" });
 * console.log(await connection.recv(), feed.clients); // hello 1
 * await feed.close();
 * ```
 */
export interface Replay extends AsyncDisposable {
  /** Where the feed is, as in `ws://127.0.0.1:46127/`. Every path and query leads to it. */
  readonly url: string;
  /** The number of handshakes so far, refused ones included. */
  readonly clients: number;
  /**
   * Stops listening, closes every connection with 1001, and resolves when all are
   * over. One that does not answer within a second is cut.
   */
  close(): Promise<void>;
}

/**
 * Serves a recorded feed on 127.0.0.1, for the tests of a program that consumes it.
 * Each client gets the whole feed from its start, with the recorded delays, and its
 * connection ends as the recorded one did.
 *
 * The recording is a file that `wstap -o FILE --format ndjson` has written, a HAR
 * file in which a browser or a proxy has exported WebSocket messages, or events. A
 * file needs `--allow-read`, and the server `--allow-net=127.0.0.1`.
 *
 * @example Testing a consumer
 * ```ts
 * import { connectWebSocket } from "@wstap/wstap";
 * import { serveReplay } from "@wstap/wstap/replay";
 *
 * await using feed = await serveReplay([
 *   { time: "2024-05-06T07:08:09.000Z", type: "text", data: '{"id":1}' },
 *   { time: "2024-05-06T07:08:10.000Z", type: "text", data: '{"id":2}' },
 * ], { speed: Infinity });
 * const [connection] = await connectWebSocket(feed.url);
 * for await (const message of connection) console.log(JSON.parse(message).id);
 * ```
 *
 * @param recording The path of a file, its `file:` URL, or the events themselves.
 * @param options How it is served.
 * @returns The feed, to which clients can connect.
 * @throws {TypeError} If an option is invalid, if the recording is not one (the
 * error names the line), or if a HAR has several connections and `entry` does not
 * choose one (the error lists them).
 * @throws {RangeError} If a number is out of range, or a HAR has more than 256 MiB.
 * @throws {Deno.errors.NotFound} If there is no such file, and likewise the other
 * errors of the system for a file that cannot be read or a port that is taken.
 */
export function serveReplay(
  recording: string | URL | Iterable<RecordedEvent>,
  options: ReplayOptions = {},
): Promise<Replay> {
  return startReplay(recording, options);
}

/** Serves a recording; what it returns also says how far it is. */
export async function startReplay(
  input: string | URL | Iterable<RecordedEvent>,
  options: ReplayOptions,
): Promise<ReplayServer> {
  const settings = parseOptions(options);
  const { signal, entry } = settings;
  signal?.throwIfAborted();
  const recording = await open(input, entry, signal);
  if (settings.loop && recording.summary.messages === 0) {
    throw new TypeError(
      `Cannot repeat ${recording.name}: it has no messages of the server`,
    );
  }
  signal?.throwIfAborted();
  return new ReplayServer(recording, settings);
}

async function open(
  input: string | URL | Iterable<RecordedEvent>,
  entry: number | string | undefined,
  signal: AbortSignal | undefined,
): Promise<Recording> {
  if (input instanceof URL) {
    if (input.protocol === "file:") return await openFile(input, entry, signal);
    throw new TypeError(
      `Invalid recording: expected a "file:" URL, got one of "${input.protocol}"`,
    );
  }
  if (typeof input === "string") {
    if (input === "") {
      throw new TypeError(
        "Invalid recording: expected a path, got an empty one",
      );
    }
    if (/^file:\/\//i.test(input)) {
      throw new TypeError(
        'Invalid recording: expected a path or a URL object, got a "file:" URL as a string',
      );
    }
    // It is not repeated: it may hold a secret.
    if (/^[a-z][a-z0-9+.-]+:\/\//i.test(input)) {
      throw new TypeError("Invalid recording: expected a path, got a URL");
    }
    return await openFile(input, entry, signal);
  }
  if (
    typeof input !== "object" || input === null || !(Symbol.iterator in input)
  ) {
    throw new TypeError(
      `Invalid recording: expected a path, a URL or an iterable of events, got ${
        kindOf(input)
      }`,
    );
  }
  if (entry !== undefined) {
    throw new TypeError(
      "Invalid entry: it chooses a connection of a HAR, and the recording is none",
    );
  }
  return recordingOfEvents(input);
}

/** How far a client is. */
export interface Progress {
  /** The number of its handshake. */
  readonly client: number;
  /** How many messages it has been sent. */
  readonly messages: number;
}

/** A recording that is being served. */
export class ReplayServer implements Replay {
  readonly #recording: Recording;
  readonly #settings: Settings;
  readonly #server: Server;
  readonly #serving = new Map<number, { messages: number }>();
  readonly #abort = () => void this.close();
  #clients = 0;
  /** How many handshakes are still to be refused. */
  #refusals: number;
  /** The running or completed `close()`. */
  #closed: Promise<void> | null = null;

  constructor(recording: Recording, settings: Settings) {
    this.#recording = recording;
    this.#settings = settings;
    this.#refusals = settings.refuse?.count ?? 0;
    this.#server = new Server(settings.port, (it) => this.#answer(it));
    settings.signal?.addEventListener("abort", this.#abort, { once: true });
  }

  get url(): string {
    return `${this.#server.url}/`;
  }

  get clients(): number {
    return this.#clients;
  }

  /** What is played. */
  get summary(): Summary {
    return this.#recording.summary;
  }

  /** How a connection ends. */
  get finish(): Finish {
    return this.#settings.fault?.finish ?? this.summary.ending;
  }

  /** How far each client is that is being served. */
  get progress(): Progress[] {
    return [...this.#serving].map(([client, { messages }]) => ({
      client,
      messages,
    }));
  }

  close(): Promise<void> {
    this.#settings.signal?.removeEventListener("abort", this.#abort);
    return this.#closed ??= this.#server[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Tells of a client. What the callback throws is an uncaught error, as that of an event listener is. */
  #tell(type: ReplayEvent["type"], client: number, what: string): void {
    try {
      this.#settings.onEvent?.({
        type,
        client,
        message: `client ${client} ${what}`,
      });
    } catch (error) {
      reportError(error);
    }
  }

  #answer(request: ServerRequest): Refusal | Acceptance {
    const { headers, refuse, allows } = this.#settings;
    if (!request.isUpgrade) return { headers, serve: async () => {} };
    const client = ++this.#clients;
    const { origin, protocols } = request;
    if (origin !== null && !allows(origin)) {
      this.#tell(
        "refused",
        client,
        `was refused with 403: pages of ${quote(origin)} are not allowed`,
      );
      return {
        status: 403,
        headers,
        body: "Pages of this origin may not connect to this replay.\n",
      };
    }
    if (refuse !== null && this.#refusals > 0) {
      this.#refusals--;
      const { status } = refuse;
      this.#tell("refused", client, `was refused with ${status}`);
      return { status, headers, body: `Refused with ${status}, as asked.\n` };
    }
    const { protocol } = this.summary;
    const run = new Run(this.#recording, this.#settings, {
      tell: (type, what) => this.#tell(type, client, what),
      isClosed: () => this.#closed !== null,
    });
    return {
      headers,
      protocol: protocols.includes(protocol) ? protocol : protocols[0],
      serve: async (connection) => {
        this.#serving.set(client, run);
        try {
          await run.serve(connection);
        } finally {
          this.#serving.delete(client);
        }
      },
      receive: (connection, message) => run.receive(connection, message),
    };
  }
}
