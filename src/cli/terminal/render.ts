import { Buffer } from "node:buffer";
import type { HandshakeResponse } from "../../../mod.ts";
import type { TapSettings } from "../flags/values.ts";
import { decodeText, visible, visibleBytes } from "./text.ts";

type Message = string | Uint8Array;

/** Formatted messages, and the size of the messages themselves in bytes. */
export interface Rendered {
  readonly chunk: Uint8Array;
  readonly bytes: number;
}

/** Formats messages that arrived together. */
export type Render = (messages: readonly Message[], time: Date) => Rendered;

const ENCODER = new TextEncoder();

/** Creates the function that formats messages for a terminal or for anything else. */
export function createRender(
  { format, batch, binary, time }: Pick<
    TapSettings,
    "format" | "batch" | "binary" | "time"
  >,
  { isTerminal, colors }: { isTerminal: boolean; colors: boolean },
): Render {
  const prefix = (date: Date) =>
    time === null || format === "ndjson" ? "" : time(date) + " ";
  const iso = time ?? ((date: Date) => date.toISOString());
  const pretty = (json: string) =>
    !isTerminal
      ? json
      : format === "json"
      ? prettyJson(json, colors)
      : visible(json);

  if (batch !== null) {
    return (messages, date) => {
      const elements = messages.map((message) =>
        element(format, message, () => iso(date))
      );
      return {
        chunk: ENCODER.encode(
          `${prefix(date)}${pretty(`[${elements.join(",")}]`)}\n`,
        ),
        bytes: total(messages),
      };
    };
  }
  if (format !== "text") {
    return (messages, date) => {
      const before = prefix(date);
      const arrival = iso(date);
      let text = "";
      for (const message of messages) {
        text += `${before}${pretty(element(format, message, () => arrival))}\n`;
      }
      return { chunk: ENCODER.encode(text), bytes: total(messages) };
    };
  }
  if (isTerminal) {
    return (messages, date) => {
      const before = prefix(date);
      let text = "";
      for (const message of messages) text += `${before}${shown(message)}\n`;
      return { chunk: ENCODER.encode(text), bytes: total(messages) };
    };
  }
  const end = binary ? "" : "\n";
  return (messages, date) => unchanged(messages, prefix(date), end);
}

/** Joins the messages byte for byte, with something before and after each. */
function unchanged(
  messages: readonly Message[],
  before: string,
  after: string,
): Rendered {
  const parts: Uint8Array[] = [];
  let text = "";
  for (const message of messages) {
    if (typeof message === "string") text += before + message + after;
    else {
      parts.push(ENCODER.encode(text + before), message);
      text = after;
    }
  }
  const last = ENCODER.encode(text);
  const chunk = parts.length === 0 ? last : Buffer.concat([...parts, last]);
  const added = messages.length *
    (Buffer.byteLength(before) + Buffer.byteLength(after));
  return { chunk, bytes: chunk.length - added };
}

/** A message as a JSON value of one line. */
function element(
  format: TapSettings["format"],
  message: Message,
  time: () => string,
): string {
  if (format === "ndjson") {
    const [type, data] = typeof message === "string"
      ? ["text", message]
      : ["binary", base64(message)];
    return JSON.stringify({ time: time(), type, data });
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
