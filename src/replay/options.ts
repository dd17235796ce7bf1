/**
 * The options of `serveReplay()`, and their checks.
 *
 * @module
 */

import {
  checkBoolean,
  checkCallback,
  checkObject,
  checkSignal,
  kindOf,
  oneOf,
} from "../checks.ts";
import { checkHeaders } from "../http/target.ts";
import { isCloseCode } from "../websocket/close_codes.ts";
import { type OriginRule, originRule } from "./origin.ts";
import type { Ending } from "./recording.ts";

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
  /** Header fields that are added to each response. None by default. */
  headers?: HeadersInit;
  /**
   * Refuses handshakes with a status from 200 to 599: the first `count`, or all if
   * `count` is left out. None is refused by default.
   */
  refuse?: { status: number; count?: number };
  /**
   * Ends the feed of each connection after so many messages: with a close frame
   * (`"close"`, with `code`, 1000 by default), without one (`"drop"`), or by
   * staying connected while nothing is sent or answered (`"stall"`). None by
   * default.
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
   * part of its URL. It must be given if there are several; by default, the only
   * one is played.
   */
  entry?: number | string;
  /**
   * Origins of web pages that may connect, such as `"https://example.com"`; `"*"` for
   * all. Pages of this machine (`localhost` and loopback addresses, any port) always
   * may, and so may programs that are not browsers. Others get 403. None by
   * default.
   */
  allowOrigin?: string | string[];
  /**
   * Closes the replay when it aborts. If it aborts while the recording is read,
   * `serveReplay()` rejects with its reason. None by default.
   */
  signal?: AbortSignal;
  /**
   * Called when a client came, was refused, deviated, or got its last message. It is
   * not awaited, and what it throws is an uncaught error: the feed goes on. None by
   * default.
   */
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
   * - `"deviation"`: it sent a message other than the recorded one.
   * - `"ended"`: it got all that it was to get, or left before.
   */
  type: "connected" | "refused" | "deviation" | "ended";
  /** The number of its handshake, from 1. */
  client: number;
  /** One line that says so, as the command line prints it. It holds no message. */
  message: string;
}

/** What a connection gets in the place of its recorded end. */
export type Finish = Ending | { readonly how: "stalled" };

/** The options, checked. */
export interface Settings {
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

/**
 * Checks the options and fills in defaults.
 *
 * @throws {TypeError} If one is invalid.
 * @throws {RangeError} If a number is out of range.
 */
export function parseOptions(options: ReplayOptions): Settings {
  checkObject("options", options);
  const { headers, port = 0, speed = 1 } = options;
  checkHeaders(headers);
  return {
    port: wholeNumber("port", port, 0, 65535),
    speed: parseSpeed(speed),
    loop: checkBoolean("loop", options.loop, false),
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
