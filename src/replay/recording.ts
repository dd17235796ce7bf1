/**
 * Recordings: their lines, which `--format ndjson --output FILE` writes and a
 * replay reads, and how they are played back. docs/recordings.md describes the
 * format.
 *
 * @module
 */

import type { CloseInfo } from "../connection.ts";
import { kindOf } from "../checks.ts";
import { printable } from "../escape.ts";
import { base64, encodeLatin1 } from "../http/encoding.ts";
import type { HandshakeResponse } from "../response.ts";
import { isCloseCode } from "../websocket/close_codes.ts";

/** A text message is a string, a binary one is bytes. */
export type Message = string | Uint8Array;

/** The version of the format that is written: 2 tells sent messages from received ones. */
const VERSION = 2;
/** The versions that can be read. */
const READABLE: readonly unknown[] = [1, VERSION];

/**
 * One event of a recorded connection: a line of a recording, as an object.
 *
 * Each has a `time` in ISO 8601, such as `"2024-05-06T07:08:09.010Z"`. The data of
 * a binary message is in base64. A message with `from: "client"` was sent to the
 * server, any other was received from it.
 *
 * @example Usage
 * ```ts
 * import type { RecordedEvent } from "@wstap/wstap/replay";
 *
 * const events: RecordedEvent[] = [
 *   { time: "2024-05-06T07:08:09.000Z", type: "open", protocol: "events.v1" },
 *   { time: "2024-05-06T07:08:09.010Z", type: "text", data: '{"id":1}' },
 *   { time: "2024-05-06T07:08:09.020Z", type: "binary", data: "AP8K" },
 *   {
 *     time: "2024-05-06T07:08:12.000Z",
 *     type: "close",
 *     code: 1001,
 *     reason: "restart",
 *     clean: true,
 *   },
 * ];
 * console.log(events.length);
 * ```
 */
export type RecordedEvent =
  | { time: string; type: "open"; protocol?: string }
  | { time: string; type: "text" | "binary"; data: string; from?: "client" }
  | {
    time: string;
    type: "close";
    code: number;
    reason: string;
    clean: boolean;
  }
  | { time: string; type: "stop" };

/** How a recorded connection ended. */
export type Ending =
  /** The server closed it; 1005 if its close frame had no code. */
  | { readonly how: "closed"; readonly code: number; readonly reason: string }
  | { readonly how: "lost" }
  /** The recording was stopped, or does not say. */
  | { readonly how: "stopped" };

/** Formats the line that a connection begins with. It holds no secret. */
export function openLine(
  { url, status, headers }: Pick<
    HandshakeResponse,
    "url" | "status" | "headers"
  >,
  protocol: string,
): string {
  return line("open", {
    version: VERSION,
    url: maskUrl(url),
    status,
    protocol,
    headers: [...new Set(headers.keys())],
  });
}

/** Formats the line that a connection ends with. */
export function closeLine({ code, reason, clean }: CloseInfo): string {
  return line("close", { code, reason, clean });
}

/** Formats the line that a connection ends with if wstap itself has ended it. */
export function stopLine(): string {
  return line("stop", {});
}

/**
 * Formats the line of a message.
 *
 * @param time When it was received or sent, in ISO 8601.
 * @param from `"client"` if it was sent, which is recorded only when asked for: it
 * may hold a secret.
 */
export function messageLine(
  time: string,
  message: Message,
  from?: "client",
): string {
  const [type, data] = typeof message === "string"
    ? ["text", message]
    : ["binary", base64(message)];
  return JSON.stringify({ time, type, data, from }) + "\n";
}

function line(type: string, fields: Record<string, unknown>): string {
  const time = new Date().toISOString();
  return JSON.stringify({ time, type, ...fields }) + "\n";
}

/** A URL without its credentials and with the values of its query masked, on one line. */
export function maskUrl(input: string): string {
  if (!URL.canParse(input)) return "the URL";
  const { protocol, host, pathname, search } = new URL(input);
  const query = search.replace(/=[^&]*/g, "=***");
  return printable(`${protocol}//${host}${pathname}${query}`);
}

/**
 * What happens at some time of a playback: a message of the server or of the
 * client, or the end. `at` is in milliseconds since the start.
 */
export type Moment =
  & { readonly at: number }
  & (
    | { readonly type: "message"; readonly message: Message }
    | { readonly type: "sent"; readonly message: Message }
    | { readonly type: "end"; readonly ending: Ending }
  );

/** What a recording holds. */
export interface Summary {
  /** The number of messages of the server. */
  readonly messages: number;
  /** The number of messages of the client. */
  readonly sent: number;
  /** Milliseconds from its start to its end. */
  readonly duration: number;
  readonly ending: Ending;
  /** Of the first connection, masked; `null` if the recording does not say. */
  readonly url: string | null;
  /** The subprotocol of the first connection, `""` if it had none. */
  readonly protocol: string;
  /** Whether its end is missing: what wrote it was killed, or still runs. */
  readonly breaksOff: boolean;
}

/** A recording that can be played any number of times. */
export interface Recording {
  /** What an error calls it. */
  readonly name: string;
  readonly summary: Summary;
  /**
   * Plays it: everything that happens in turn, several at a time; the end comes
   * last.
   *
   * @throws {TypeError} If it has changed, and is not a recording any more.
   */
  moments(): Iterable<Moment[]> | AsyncIterable<Moment[]>;
}

/** An event that has been checked. Its time is in milliseconds. */
export type Line =
  & { readonly time: number }
  & (
    | {
      readonly type: "open";
      readonly url: string | null;
      readonly protocol: string;
    }
    | {
      readonly type: "message";
      readonly message: Message;
      readonly from: "client" | undefined;
    }
    | { readonly type: "ending"; readonly ending: Ending }
  );

/**
 * Converts the lines of one or more connections to one playback: each connection
 * starts when the one before it ends, and a clock that was set back takes no time.
 */
export class Timeline {
  #at = 0;
  /** The time of the line before, unless a connection ended with it. */
  #last: number | null = null;
  #lines = 0;
  #messages = 0;
  #sent = 0;
  #ending: Ending = { how: "stopped" };
  #url: string | null = null;
  #protocol = "";
  #breaksOff = false;

  /** Adds a line, and returns what happens then: `null` for a line that is no message. */
  add(line: Line): Moment | null {
    this.#lines++;
    if (line.type === "open") {
      this.#last = line.time;
      if (this.#lines === 1) {
        this.#url = line.url;
        this.#protocol = line.protocol;
      }
      this.#breaksOff = true; // until its end comes
      this.#ending = { how: "stopped" };
      return null;
    }
    this.#at += Math.max(0, line.time - (this.#last ?? line.time));
    if (line.type === "ending") {
      this.#last = null;
      this.#ending = line.ending;
      this.#breaksOff = false;
      return null;
    }
    this.#last = line.time;
    const { message } = line;
    if (line.from === "client") {
      this.#sent++;
      return { at: this.#at, type: "sent", message };
    }
    this.#messages++;
    return { at: this.#at, type: "message", message };
  }

  /** Whether no line has been added. */
  get isEmpty(): boolean {
    return this.#lines === 0;
  }

  /** The end, once every line has been added. */
  get end(): Moment {
    return { at: this.#at, type: "end", ending: this.#ending };
  }

  /** What has been added. */
  get summary(): Summary {
    return {
      messages: this.#messages,
      sent: this.#sent,
      duration: this.#at,
      ending: this.#ending,
      url: this.#url,
      protocol: this.#protocol,
      breaksOff: this.#breaksOff,
    };
  }
}

/** A recording in memory. */
export class MemoryRecording implements Recording {
  readonly name: string;
  readonly summary: Summary;
  readonly #moments: Moment[];

  /** Plays lines that have been checked. */
  constructor(name: string, lines: Iterable<Line>) {
    this.name = name;
    const timeline = new Timeline();
    this.#moments = [];
    for (const line of lines) {
      const moment = timeline.add(line);
      if (moment !== null) this.#moments.push(moment);
    }
    this.#moments.push(timeline.end);
    this.summary = timeline.summary;
  }

  moments(): Iterable<Moment[]> {
    return [this.#moments];
  }
}

/** Checks events that a caller has passed. */
export function recordingOfEvents(
  events: Iterable<RecordedEvent>,
): MemoryRecording {
  const lines: Line[] = [];
  for (const event of events) {
    const fail = (problem: string) =>
      new TypeError(`Invalid recording: event ${lines.length} ${problem}`);
    lines.push(parseEvent(event, fail, { versioned: false }));
  }
  if (lines.length === 0) {
    throw new TypeError("Invalid recording: expected at least one event");
  }
  return new MemoryRecording("the recording", lines);
}

const ISO_TIME =
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/**
 * Checks an event.
 *
 * @param fail Creates the error; the problem continues a sentence about the event.
 * @param versioned Whether a connection must begin with the version of the format
 * and the URL, as in a file.
 */
export function parseEvent(
  value: unknown,
  fail: (problem: string) => Error,
  { versioned }: { versioned: boolean },
): Line {
  if (value === null || typeof value !== "object") {
    throw fail(`is not an object with time and type, but ${kindOf(value)}`);
  }
  const event = value as Record<string, unknown>;
  const time = typeof event.time === "string" && ISO_TIME.test(event.time)
    ? Date.parse(event.time)
    : NaN;
  if (Number.isNaN(time)) {
    throw fail(
      'has no time such as "2024-05-06T07:08:09.010Z"' +
        (versioned ? ": record without --time-format" : ""),
    );
  }
  const parsed = parseFields(event, versioned);
  if (typeof parsed === "string") throw fail(parsed);
  return { time, ...parsed };
}

/** What an event says besides its time; a text says what is wrong with it. */
function parseFields(
  { type, data, from, version, url, protocol, code, reason, clean }: Record<
    string,
    unknown
  >,
  versioned: boolean,
) {
  if (from !== undefined && from !== "client") {
    return 'has a from that is not "client"';
  }
  switch (type) {
    case "open": {
      if (versioned || version !== undefined) {
        if (!READABLE.includes(version)) {
          return `has the version ${
            JSON.stringify(version)
          } of the format: this wstap knows ${READABLE.join(" and ")}`;
        }
        if (typeof url !== "string" || typeof protocol !== "string") {
          return "has no url or no protocol";
        }
        return { type, url: maskUrl(url), protocol } as const;
      }
      if (protocol !== undefined && typeof protocol !== "string") {
        return "has a protocol that is not a string";
      }
      return { type, url: null, protocol: protocol ?? "" } as const;
    }
    case "text":
      if (typeof data !== "string") return "has no data that is a string";
      return { type: "message", message: data, from } as const;
    case "binary": {
      const message = typeof data === "string" ? fromBase64(data) : null;
      if (message === null) return "has no data in base64";
      return { type: "message", message, from } as const;
    }
    case "close": {
      if (clean === false) {
        return { type: "ending", ending: { how: "lost" } } as const;
      }
      if (
        clean !== true || typeof reason !== "string" ||
        typeof code !== "number" || code !== 1005 && !isCloseCode(code)
      ) {
        return "has no code, reason and clean that belong together";
      }
      if (new TextEncoder().encode(reason).length > 123) {
        return "has a reason of more than 123 bytes, which no close frame can hold";
      }
      return {
        type: "ending",
        ending: { how: "closed", code, reason },
      } as const;
    }
    case "stop":
      return { type: "ending", ending: { how: "stopped" } } as const;
  }
  return 'has none of the types "open", "text", "binary", "close" and "stop"';
}

/** Decodes base64; `null` if it is none. */
export function fromBase64(text: string): Uint8Array | null {
  try {
    return encodeLatin1(atob(text));
  } catch {
    return null;
  }
}
