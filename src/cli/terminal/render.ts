import { Buffer } from "node:buffer";
import type { Arrival } from "../../internal.ts";
import type { HandshakeResponse } from "../../../mod.ts";
import type { TapSettings } from "../flags/values.ts";
import { decodeText, visible, visibleBytes } from "./text.ts";

type Message = string | Uint8Array;

/** Formatted messages, and the size of the messages themselves in bytes. */
export interface Rendered {
  /** What is to be written, in order. Large messages are not copied into a larger chunk. */
  readonly chunks: readonly Uint8Array[];
  /** The size of the chunks in bytes. */
  readonly length: number;
  readonly bytes: number;
}

/** Formats messages that were received together; `arrivals` tells when each arrived. */
export type Render = (
  messages: readonly Message[],
  arrivals: readonly Arrival[],
) => Rendered;

const ENCODER = new TextEncoder();

/** Whether messages are written byte for byte, so that it does not matter whether a message is a text. */
export function isVerbatim(
  { format, batch }: Pick<TapSettings, "format" | "batch">,
  isTerminal: boolean,
): boolean {
  return format === "text" && batch === null && !isTerminal;
}

/** Creates the function that formats messages for a terminal or for anything else. */
export function createRender(
  settings: Pick<TapSettings, "format" | "batch" | "binary" | "time">,
  { isTerminal, colors }: { isTerminal: boolean; colors: boolean },
): Render {
  const { format, batch, binary, time } = settings;
  const prefix = (date: Date) =>
    time === null || format === "ndjson" ? "" : time(date) + " ";
  const iso = time ?? ((date: Date) => date.toISOString());
  const pretty = (json: string) =>
    !isTerminal
      ? json
      : format === "json"
      ? prettyJson(json, colors)
      : visible(json);
  if (isVerbatim(settings, isTerminal)) {
    const end = binary ? "" : "\n";
    const endBytes = ENCODER.encode(end);
    return (messages, arrivals) => {
      // A loop without any text and any time (the rows of the command line of `bench/`).
      if (time === null && areBytes(messages)) {
        const joined = join(messages, endBytes);
        const added = messages.length * endBytes.length;
        return { ...joined, bytes: joined.length - added };
      }
      return verbatim(messages, arrivals, prefix, end);
    };
  }

  if (batch !== null) {
    return (messages, arrivals) => {
      const elements: string[] = [];
      forEach(messages, arrivals, iso, (message, arrival) => {
        elements.push(element(format, message, arrival));
      });
      // The line has the time of its last message.
      const before = prefix(new Date(arrivals.at(-1)!.time));
      return rendered(
        `${before}${pretty(`[${elements.join(",")}]`)}\n`,
        messages,
      );
    };
  }
  if (format === "text") {
    return (messages, arrivals) => {
      let text = "";
      forEach(messages, arrivals, prefix, (message, before) => {
        text += `${before}${shown(message)}\n`;
      });
      return rendered(text, messages);
    };
  }
  const stamp = format === "ndjson" ? iso : prefix;
  return (messages, arrivals) => {
    let text = "";
    forEach(messages, arrivals, stamp, (message, stamp) => {
      text += format === "ndjson"
        ? pretty(element(format, message, stamp))
        : stamp + pretty(element(format, message, ""));
      text += "\n";
    });
    return rendered(text, messages);
  };
}

/** Calls `fn` with each message and its time, which is formatted once for all messages of an arrival. */
function forEach(
  messages: readonly Message[],
  arrivals: readonly Arrival[],
  format: (time: Date) => string,
  fn: (message: Message, time: string) => void,
): void {
  let next = 0;
  for (const { time, count } of arrivals) {
    const formatted = format(new Date(time));
    for (const end = next + count; next < end;) {
      fn(messages[next++]!, formatted);
    }
  }
}

function rendered(text: string, messages: readonly Message[]): Rendered {
  const chunk = ENCODER.encode(text);
  return { chunks: [chunk], length: chunk.length, bytes: total(messages) };
}

function areBytes(messages: readonly Message[]): messages is Uint8Array[] {
  for (const message of messages) if (typeof message === "string") return false;
  return true;
}

/** Gives the messages byte for byte, with something before and after each. */
function verbatim(
  messages: readonly Message[],
  arrivals: readonly Arrival[],
  prefix: (time: Date) => string,
  after: string,
): Rendered {
  const pieces: Uint8Array[] = [];
  /** What comes before the next piece: texts are encoded together. */
  let text = "";
  let added = after.length * messages.length;
  forEach(messages, arrivals, prefix, (message, before) => {
    if (before !== "") added += Buffer.byteLength(before);
    if (typeof message === "string") {
      text += before + message + after;
      return;
    }
    text += before;
    if (text !== "") pieces.push(ENCODER.encode(text));
    pieces.push(message);
    text = after;
  });
  if (text !== "") pieces.push(ENCODER.encode(text));
  const joined = join(pieces, EMPTY);
  return { ...joined, bytes: joined.length - added };
}

const EMPTY = new Uint8Array();

/** The size in bytes from which a message is a chunk of its own: writing it costs less than copying it. */
const MIN_OWN_CHUNK = 16 * 1024;

/** Joins pieces with `after` behind each, as far as they are small. */
function join(
  pieces: readonly Uint8Array[],
  after: Uint8Array,
): Pick<Rendered, "chunks" | "length"> {
  if (pieces.length === 1 && after.length === 0) {
    return { chunks: pieces, length: pieces[0]!.length };
  }
  let copied = after.length * pieces.length;
  for (const { length } of pieces) if (length < MIN_OWN_CHUNK) copied += length;
  const chunks: Uint8Array[] = [];
  const buffer = new Uint8Array(copied);
  let start = 0;
  let at = 0;
  let length = copied;
  for (const piece of pieces) {
    if (piece.length < MIN_OWN_CHUNK) {
      buffer.set(piece, at);
      at += piece.length;
    } else {
      if (at > start) chunks.push(buffer.subarray(start, at));
      start = at;
      chunks.push(piece);
      length += piece.length;
    }
    for (let i = 0; i < after.length; i++) buffer[at++] = after[i]!;
  }
  if (at > start) chunks.push(buffer.subarray(start, at));
  return { chunks, length };
}

/** A message as a JSON value of one line. */
function element(
  format: TapSettings["format"],
  message: Message,
  time: string,
): string {
  if (format === "ndjson") {
    const [type, data] = typeof message === "string"
      ? ["text", message]
      : ["binary", base64(message)];
    return JSON.stringify({ time, type, data });
  }
  const text = typeof message === "string" ? message : decodeText(message);
  if (text === null) {
    return JSON.stringify({
      type: "binary",
      data: base64(message as Uint8Array),
    });
  }
  return format === "json" && isJson(text)
    ? oneLine(text)
    : JSON.stringify(text);
}

function shown(message: Message): string {
  const text = typeof message === "string" ? message : decodeText(message);
  return text === null ? visibleBytes(message as Uint8Array) : visible(text);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString("base64");
}

function total(messages: readonly Message[]): number {
  let bytes = 0;
  for (const message of messages) bytes += Buffer.byteLength(message);
  return bytes;
}

/** Whether a text is a JSON value. */
export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * JSON on one line. The text stays what it is, so that no number loses digits:
 * a line break in valid JSON stands between two tokens.
 */
export function oneLine(json: string): string {
  return /[\r\n]/.test(json) ? json.trim().replace(/\s*[\r\n]\s*/g, " ") : json;
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs;

const COLORS = {
  key: "\x1b[34;1m",
  string: "\x1b[32m",
  number: "\x1b[33m",
  literal: "\x1b[36m",
} as const;

/** Formats JSON for a terminal: indented, in colours if asked for, control characters escaped. */
export function prettyJson(json: string, colors: boolean): string {
  const tokens = json.match(TOKEN) ?? [];
  const paint = (kind: keyof typeof COLORS, text: string) =>
    colors ? `${COLORS[kind]}${text}\x1b[0m` : text;
  let pretty = "";
  let depth = 0;
  const newline = () => "\n" + "  ".repeat(depth);
  tokens.forEach((token, i) => {
    const next = tokens[i + 1];
    if (token === "{" || token === "[") {
      depth++;
      pretty += token + (next === "}" || next === "]" ? "" : newline());
    } else if (token === "}" || token === "]") {
      depth--;
      const previous = tokens[i - 1];
      const empty = previous === "{" || previous === "[";
      pretty += (empty ? "" : newline()) + token;
    } else if (token === ",") pretty += token + newline();
    else if (token === ":") pretty += ": ";
    else {
      const kind = token[0] !== '"'
        ? /^[tfn]/.test(token) ? "literal" : "number"
        : next === ":"
        ? "key"
        : "string";
      pretty += paint(kind, visible(token));
    }
  });
  return pretty;
}

/** How a head is formatted: with control characters escaped, and in colours. */
export interface HeadStyle {
  readonly safe: boolean;
  readonly colors: boolean;
}

/** Formats the head of a response as `curl -i` does. */
export function responseHead(
  { status, statusText, headers }: HandshakeResponse,
  { safe, colors }: HeadStyle,
): string {
  const text = safe ? visible : (value: string) => value;
  const bold = (value: string) => colors ? `\x1b[1m${value}\x1b[0m` : value;
  let lines = bold(`HTTP/1.1 ${status} ${statusText}`.trimEnd()) + "\n";
  for (const [name, value] of headers) {
    lines += `${bold(text(name))}: ${text(value)}\n`;
  }
  return lines + "\n";
}

/** How much of a refusal's body is shown, in characters. */
const BODY_START = 2000;

/** The start of a body, its lines safe for a terminal. */
export function bodyStart(body: string): string {
  if (body === "") return "";
  const lines = body.slice(0, BODY_START).trimEnd().split(/\r?\n/);
  const cut = body.length > BODY_START ? " …" : "";
  return `${lines.map(visible).join("\n")}${cut}\n\n`;
}
