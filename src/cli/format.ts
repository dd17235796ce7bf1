import { Buffer } from "node:buffer";
import type { TapSettings } from "./args.ts";
import { isJson, oneLine, prettyJson } from "./json.ts";
import { decodeText, visible, visibleBytes } from "./visible.ts";

type Message = string | Uint8Array;

/** Messages as they are written, and how many bytes they had themselves. */
export interface Rendered {
  readonly chunk: Uint8Array;
  readonly bytes: number;
}

/** Turns messages that arrived together into what is written for them. */
export type Render = (messages: readonly Message[], time: Date) => Rendered;

const ENCODER = new TextEncoder();

/** How messages are written, to a terminal or to anything else. */
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
  return (messages, date) => untouched(messages, prefix(date), end);
}

/** The messages byte for byte, with something before and after each. */
function untouched(
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
