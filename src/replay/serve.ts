/**
 * `serveReplay()`: a recorded feed as a server. `server.ts` has its connections,
 * `recording.ts` what is played.
 *
 * @module
 */

import { checkCallback, checkSignal, kindOf, oneOf } from "../checks.ts";
import { printable, quote } from "../escape.ts";
import { checkHeaders } from "../http/target.ts";
import { sleep } from "../timers.ts";
import { isCloseCode } from "../websocket/close_codes.ts";
import { Expected } from "./expected.ts";
import { openFile } from "./file.ts";
import { type OriginRule, originRule } from "./origin.ts";
import {
  type Ending,
  type Message,
  type RecordedEvent,
  type Recording,
  recordingOfEvents,
  type Summary,
} from "./recording.ts";
import {
  type Acceptance,
  type Client,
  ClientGone,
  type Refusal,
  Server,
  type ServerRequest,
} from "./server.ts";

/**
 * Options of {@linkcode serveReplay}. All of them are optional.
 *
 * @example Usage
 * ```ts
 * import { type ReplayOptions, serveReplay } from "@wstap/wstap/replay";
 *
 * // Refuses the first handshake, and cuts each connection after a hundred messages.
 * const options: ReplayOptions = {
 *   speed: Infinity,
 *   refuse: { status: 503, count: 1 },
 *   fault: { after: 100, how: "drop" },
 * };
 * await using feed = await serveReplay([
 *   { time: "2024-05-06T07:08:09.010Z", type: "text", data: '{"id":1}' },
 * ], options);
 * console.log(feed.url);
 * ```
 */
export interface ReplayOptions {
  /**
   * The port on 127.0.0.1 to listen on; 0 for any that is free.
   *
   * @default {0}
   */
  port?: number;
  /**
   * How many times as fast as it was recorded the feed is played. `Infinity` leaves
   * out every delay.
   *
   * @default {1}
   */
  speed?: number;
  /**
   * Whether the feed starts again at its end, instead of ending the connection.
   *
   * @default {false}
   */
  loop?: boolean;
  /** Header fields that are added to each response. */
  headers?: HeadersInit;
  /** Refuses handshakes with a status from 200 to 599: the first `count`, or all. */
  refuse?: { status: number; count?: number };
  /**
   * Ends the feed of each connection after so many messages: with a close frame
   * (`"close"`, with `code`, 1000 by default), without one (`"drop"`), or by
   * staying connected while nothing is sent or answered (`"stall"`).
   */
  fault?: { after: number; how: "close" | "drop" | "stall"; code?: number };
  /**
   * What becomes of the messages of a client.
   *
   * - `"ignore"`: nothing.
   * - `"any"`: at each message that was sent in the recording, the feed waits until
   *   the client has sent one more.
   * - `"exact"`: it must be the same one, text or binary, JSON compared by its value.
   *   Any other is a deviation: it is reported, and the connection closed with 1008.
   *
   * A message may come early. Those after the last recorded one are ignored. After a
   * wait the feed goes on with the recorded delays.
   *
   * @default {"ignore"}
   */
  clientMessages?: "ignore" | "any" | "exact";
  /**
   * Which WebSocket connection of a HAR file to play: its index among them, or a
   * part of its URL. Needed if there are several.
   */
  entry?: number | string;
  /**
   * Origins of web pages that may connect, such as `"https://example.com"`; `"*"` for
   * all. Pages of this machine (`localhost` and loopback addresses, any port) always
   * may, and so may programs that are not browsers. Others get 403.
   */
  allowOrigin?: string | string[];
  /** Closes the replay when it aborts. */
  signal?: AbortSignal;
  /** Called when a client came, was refused, deviated, or got its last message. */
  onEvent?(event: ReplayEvent): void;
}

/**
 * What happened to a client of a {@linkcode Replay}.
 *
 * @example Usage
 * ```ts
 * import { type ReplayEvent, serveReplay } from "@wstap/wstap/replay";
 *
 * const events: ReplayEvent[] = [];
 * await using feed = await serveReplay([
 *   { time: "2024-05-06T07:08:09.010Z", type: "text", data: "hello" },
 * ], { onEvent: (event) => events.push(event) });
 * console.log(feed.url, events.length);
 * ```
 */
export interface ReplayEvent {
  /**
   * - `"connected"`: its handshake was accepted.
   * - `"refused"`: its handshake was refused.
   * - `"deviation"`: it sent something else than the recorded message.
   * - `"ended"`: it got all that it was to get, or left before.
   */
  type: "connected" | "refused" | "deviation" | "ended";
  /** The number of its handshake, from 1. */
  client: number;
  /** One line that says so, as the command line prints it. It holds no message. */
  message: string;
}

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
  const recording = await open(input, entry);
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
): Promise<Recording> {
  if (input instanceof URL) {
    if (input.protocol === "file:") return await openFile(input, entry);
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
    // It is not repeated: it may hold a secret.
    if (/^[a-z][a-z0-9+.-]+:\/\//i.test(input)) {
      throw new TypeError("Invalid recording: expected a path, got a URL");
    }
    return await openFile(input, entry);
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

/** What a connection gets in the place of its recorded end. */
type Finish = Ending | { readonly how: "stalled" };

/** The options, checked. */
interface Settings {
  readonly port: number;
  readonly speed: number;
  readonly loop: boolean;
  readonly headers: readonly [name: string, value: string][];
  readonly refuse: { readonly status: number; readonly count: number } | null;
  readonly fault: { readonly after: number; readonly finish: Finish } | null;
  readonly clientMessages: "ignore" | "any" | "exact";
  readonly entry: number | string | undefined;
  readonly allows: OriginRule;
  readonly signal: AbortSignal | undefined;
  readonly onEvent: ((event: ReplayEvent) => void) | undefined;
}

function parseOptions(options: ReplayOptions): Settings {
  checkObject("options", options);
  const { headers, loop = false } = options;
  checkHeaders(headers);
  if (typeof loop !== "boolean") {
    throw new TypeError(
      `Invalid loop: expected a boolean, got ${kindOf(loop)}`,
    );
  }
  return {
    port: wholeNumber("port", options.port ?? 0, 0, 65535),
    speed: parseSpeed(options.speed ?? 1),
    loop,
    headers: [...new Headers(headers)],
    refuse: parseRefusal(options.refuse),
    fault: parseFault(options.fault),
    clientMessages: oneOf("clientMessages", options.clientMessages, [
      "ignore",
      "any",
      "exact",
    ]),
    entry: parseEntry(options.entry),
    allows: originRule(options.allowOrigin),
    signal: checkSignal(options.signal),
    onEvent: checkCallback("onEvent", options.onEvent)?.bind(options),
  };
}

function checkObject(name: string, value: unknown): void {
  if (typeof value !== "object" || value === null) {
    throw new TypeError(
      `Invalid ${name}: expected an object, got ${kindOf(value)}`,
    );
  }
}

function checkNumber(name: string, value: unknown): void {
  if (typeof value === "number") return;
  throw new TypeError(
    `Invalid ${name}: expected a number, got ${kindOf(value)}`,
  );
}

function wholeNumber(
  name: string,
  value: number,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): number {
  checkNumber(name, value);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  const range = most === Number.MAX_SAFE_INTEGER
    ? `from ${least}`
    : `from ${least} to ${most}`;
  throw new RangeError(
    `Invalid ${name}: expected a whole number ${range}, got ${value}`,
  );
}

function parseSpeed(speed: number): number {
  checkNumber("speed", speed);
  if (speed > 0) return speed;
  throw new RangeError(
    `Invalid speed: expected a number above 0, got ${speed}`,
  );
}

function parseRefusal(refuse: ReplayOptions["refuse"]): Settings["refuse"] {
  if (refuse === undefined) return null;
  checkObject("refuse", refuse);
  const { status, count = Infinity } = refuse;
  return {
    status: wholeNumber("refuse.status", status, 200, 599),
    count: count === Infinity ? count : wholeNumber("refuse.count", count, 1),
  };
}

function parseFault(fault: ReplayOptions["fault"]): Settings["fault"] {
  if (fault === undefined) return null;
  checkObject("fault", fault);
  const { how, code } = fault;
  const after = wholeNumber("fault.after", fault.after, 0);
  if (how === undefined) {
    throw new TypeError(
      'Invalid fault.how: expected "close" or "drop" or "stall", got undefined',
    );
  }
  oneOf("fault.how", how, ["close", "drop", "stall"]);
  if (how !== "close") {
    if (code !== undefined) {
      throw new TypeError(
        `Invalid fault.code: it needs the fault "close", and the fault is "${how}"`,
      );
    }
    return { after, finish: { how: how === "drop" ? "lost" : "stalled" } };
  }
  if (code !== undefined) {
    checkNumber("fault.code", code);
    if (!isCloseCode(code)) {
      throw new RangeError(
        `Invalid fault.code: expected a close code that may be sent, got ${code}`,
      );
    }
  }
  return { after, finish: { how: "closed", code: code ?? 1000, reason: "" } };
}

function parseEntry(entry: ReplayOptions["entry"]): Settings["entry"] {
  if (entry === undefined) return undefined;
  if (typeof entry === "number") return wholeNumber("entry", entry, 0);
  if (typeof entry === "string" && entry !== "") return entry;
  throw new TypeError(
    `Invalid entry: expected an index or a part of a URL, got ${
      entry === "" ? "an empty string" : kindOf(entry)
    }`,
  );
}

/** Messages that are due together are sent together, up to so many characters or bytes. */
const MAX_WRITE = 64 * 1024;

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

/** What a {@linkcode Run} asks of its server. */
interface RunContext {
  tell(type: ReplayEvent["type"], what: string): void;
  /** Whether the replay is being closed. */
  isClosed(): boolean;
}

/** One client, and its playback. */
class Run {
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
