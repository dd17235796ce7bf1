/**
 * The WebSocket connections of a HAR file, as Chrome, mitmproxy and HTTP Toolkit
 * export them: an entry has `_webSocketMessages`, each with a `type` (`"send"` or
 * `"receive"`), a `time` in seconds, an `opcode`, and `data`, which is in base64 if
 * the opcode is 2. Nothing in the file can be trusted to be what it should be.
 *
 * @module
 */

import { fromBase64, type Line, maskUrl } from "./recording.ts";

/** A WebSocket connection of a HAR, of which only the URL has been looked at. */
interface Connection {
  /** As in the file, or `""`. */
  readonly url: string;
  readonly entry: Record<string, unknown>;
  readonly messages: readonly unknown[];
}

/** How many connections an error lists. */
const MAX_LISTED = 20;

/**
 * Reads one connection of a HAR.
 *
 * @param name What an error calls the file.
 * @param entry Its index among the WebSocket connections, or a part of its URL.
 * May be left out if there is only one.
 * @throws {TypeError} If it is not a HAR, or `entry` does not choose one connection.
 * @throws {RangeError} If there is no connection with the index.
 */
export function parseHar(
  name: string,
  bytes: Uint8Array,
  entry: number | string | undefined,
): Line[] {
  const fail = (problem: string) =>
    new TypeError(`Cannot replay ${name}: ${problem}`);
  const all = connectionsOf(parseJson(bytes, fail), fail);
  if (all.length === 0) {
    throw fail("it is a HAR without a WebSocket connection");
  }
  const index = choose(name, all, entry);
  const connection = all[index]!;
  const failAt = (message: number, problem: string) =>
    fail(`message ${message} of its connection ${index} ${problem}`);
  const { url, entry: fields } = connection;
  const messages = messagesOf(connection.messages, failAt);
  const open = openTime(fields.startedDateTime, messages[0]?.time);
  return [
    {
      type: "open",
      time: open,
      url: url === "" ? null : maskUrl(url),
      protocol: protocolOf(fields),
    },
    ...messages,
    {
      type: "ending",
      time: messages.at(-1)?.time ?? open,
      ending: { how: "stopped" }, // a HAR does not tell
    },
  ];
}

function parseJson(
  bytes: Uint8Array,
  fail: (problem: string) => Error,
): unknown {
  let text;
  try {
    // A byte order mark, which some write, is left out.
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw fail("it is not UTF-8");
  }
  try {
    return JSON.parse(text);
  } catch {
    throw fail("it is cut off, or is not JSON");
  }
}

function connectionsOf(
  har: unknown,
  fail: (problem: string) => Error,
): Connection[] {
  const entries = field(field(har, "log"), "entries");
  if (!Array.isArray(entries)) {
    throw fail("it is JSON, but has no log.entries as a HAR has");
  }
  const found: Connection[] = [];
  for (const [i, entry] of entries.entries()) {
    const messages = field(entry, "_webSocketMessages");
    if (messages === undefined || messages === null) continue;
    if (!Array.isArray(messages)) {
      throw fail(`the _webSocketMessages of log.entries[${i}] are no array`);
    }
    const url = field(field(entry, "request"), "url");
    found.push({ url: typeof url === "string" ? url : "", entry, messages });
  }
  return found;
}

/** The value of a property, `undefined` if there is none. */
function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null &&
      Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

/** The index of the connection that an `entry` chooses. */
function choose(
  name: string,
  all: readonly Connection[],
  entry: number | string | undefined,
): number {
  const has = `the HAR ${name} has ${list(all, [...all.keys()])}`;
  if (entry === undefined) {
    if (all.length === 1) return 0;
    throw new TypeError(
      `Cannot replay without an entry, which chooses one WebSocket connection: ${has}`,
    );
  }
  if (typeof entry === "number") {
    if (entry < all.length) return entry;
    throw new RangeError(
      `Invalid entry: expected an index below ${all.length}, got ${entry}: ${has}`,
    );
  }
  const found = [...all.keys()].filter((i) => all[i]!.url.includes(entry));
  if (found.length === 1) return found[0]!;
  throw new TypeError(
    found.length === 0
      ? `Invalid entry: no URL contains it: ${has}`
      : `Invalid entry: it is in the URLs of several connections: ${
        list(all, found)
      }`,
  );
}

/** Lists connections by their index; the URLs are masked. */
function list(all: readonly Connection[], indexes: readonly number[]): string {
  const items = indexes.slice(0, MAX_LISTED).map((i) => {
    const { url, messages: { length } } = all[i]!;
    return `${i} ${maskUrl(url)} (${length} message${length === 1 ? "" : "s"})`;
  });
  const rest = indexes.length - items.length;
  if (rest > 0) items.push(`and ${rest} more`);
  return items.join(", ");
}

/** The subprotocol that the response chose. */
function protocolOf(entry: unknown): string {
  const headers = field(field(entry, "response"), "headers");
  if (!Array.isArray(headers)) return "";
  for (const header of headers) {
    const name = field(header, "name");
    const value = field(header, "value");
    if (typeof name !== "string" || typeof value !== "string") continue;
    if (name.toLowerCase() === "sec-websocket-protocol") return value.trim();
  }
  return "";
}

type MessageLine = Extract<Line, { type: "message" }>;

/**
 * Reads the messages. They stay in the order of the file, in which they passed,
 * whatever their times are.
 */
function messagesOf(
  messages: readonly unknown[],
  fail: (index: number, problem: string) => Error,
): MessageLine[] {
  const found: MessageLine[] = [];
  for (const [i, value] of messages.entries()) {
    const type = field(value, "type");
    if (type === "error") continue; // what Chrome says of a failure
    if (type !== "send" && type !== "receive") {
      throw fail(i, 'has none of the types "send" and "receive"');
    }
    const isText = isTextMessage(field(value, "opcode"), (problem) => {
      throw fail(i, problem);
    });
    if (isText === null) continue;
    const time = field(value, "time");
    if (typeof time !== "number" || !Number.isFinite(time)) {
      throw fail(i, "has no time in seconds");
    }
    const data = field(value, "data");
    if (typeof data !== "string") throw fail(i, "has no data that is a string");
    const message = isText ? data : fromBase64(data);
    if (message === null) {
      throw fail(
        i,
        "has the opcode of a binary message, and no data in base64",
      );
    }
    const from = type === "send" ? "client" : undefined;
    found.push({ type: "message", time: time * 1000, message, from });
  }
  return found;
}

/**
 * Whether an opcode is that of a text or of a binary message (RFC 6455 section
 * 5.2); `null` for a close, a ping or a pong, and for the -1 of Chrome's errors.
 */
function isTextMessage(
  opcode: unknown,
  fail: (problem: string) => never,
): boolean | null {
  switch (opcode) {
    case undefined:
    case 1:
      return true;
    case 2:
      return false;
    case -1:
    case 8:
    case 9:
    case 10:
      return null;
    case 0:
      return fail("is a fragment, and a replay needs whole messages");
  }
  return fail("has an unknown opcode");
}

/** How long after the start of its handshake a connection may get its first message, in milliseconds. */
const MAX_SILENCE = 24 * 60 * 60 * 1000;

/**
 * When the connection opened, in milliseconds. The start of the handshake counts if
 * it is a time of the same clock as those of the messages.
 */
function openTime(started: unknown, first: number | undefined): number {
  const start = typeof started === "string" ? Date.parse(started) : NaN;
  if (first === undefined) return Number.isNaN(start) ? 0 : start;
  return first >= start && first - start <= MAX_SILENCE ? start : first;
}
