/**
 * The lines of a recording, as `--format ndjson --output FILE` writes them and
 * `wstap replay FILE` reads them. docs/recordings.md describes the format.
 *
 * @module
 */

import type { CloseInfo, HandshakeResponse } from "../../mod.ts";
import { isCloseCode } from "../websocket/close_codes.ts";
import { base64, encodeLatin1 } from "../http/encoding.ts";
import { EXIT, fileError, usageError } from "../cli/errors.ts";
import { lines } from "./lines.ts";
import type { Message } from "./server.ts";
import { decodeText, shownUrl } from "../cli/terminal/text.ts";

/** The version of the format that is written: 2 tells sent messages from received ones. */
const VERSION = 2;
/** The versions that can be read. */
const READABLE: readonly unknown[] = [1, VERSION];

/** How a recorded connection ended. */
export type Ending =
  /** The server closed it; 1005 if its close frame had no code. */
  | { readonly how: "closed"; readonly code: number; readonly reason: string }
  | { readonly how: "lost" }
  /** The recording was stopped, or does not say. */
  | { readonly how: "stopped" };

/** Formats the line that a connection begins with. It holds no secret. */
export function openLine(
  { url, status, headers }: HandshakeResponse,
  protocol: string,
): string {
  return line("open", {
    version: VERSION,
    url: shownUrl(url),
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

/** A message of a recording or its end, with the milliseconds since its start. */
export type Moment =
  & { readonly at: number }
  & ({ readonly message: Message } | { readonly ending: Ending });

/** What a recording holds. */
export interface Summary {
  readonly messages: number;
  /** Milliseconds from its start to its end. */
  readonly duration: number;
  readonly ending: Ending;
  /** Of the first connection; `null` if the recording does not say. */
  readonly url: string | null;
  /** The subprotocol of the first connection, `""` if it had none. */
  readonly protocol: string;
  /** Whether its end is missing: what wrote it was killed, or still runs. */
  readonly breaksOff: boolean;
}

/** The longest line in bytes: a message has at most 64 MiB, and JSON writes a byte of it with up to six. */
const MAX_LINE = 400 * 1024 * 1024;

/** How many bytes of a file are read at once. */
const READ_SIZE = 256 * 1024;

/** A recording in a file, which is never in memory as a whole. */
export class Recording {
  readonly path: string;
  /** How much of the file is read: what is appended later is not played. */
  readonly #size: number;
  #url: string | null = null;
  #protocol = "";
  #breaksOff = false;

  private constructor(path: string, size: number) {
    this.path = path;
    this.#size = size;
  }

  /**
   * Reads a recording from beginning to end, to see that it is one.
   *
   * @throws {CliError} If it is not, naming the line; if it cannot be read.
   */
  static async open(path: string): Promise<[Recording, Summary]> {
    const recording = new Recording(path, await fileSize(path));
    let messages = 0;
    let last: Moment | undefined;
    for await (const moments of recording.moments()) {
      for (const moment of moments) if ("message" in moment) messages++;
      last = moments.at(-1);
    }
    const { at: duration, ending } = last as Moment & { ending: Ending };
    const url = recording.#url;
    const protocol = recording.#protocol;
    const breaksOff = recording.#breaksOff;
    return [
      recording,
      { messages, duration, ending, url, protocol, breaksOff },
    ];
  }

  /**
   * The messages with the milliseconds at which they came, and at last the end.
   * Connections follow each other at once, whatever the time between them was.
   *
   * @returns Several at a time, as they are read.
   * @throws {CliError} If the file is not a recording, or cannot be read.
   */
  async *moments(): AsyncGenerator<Moment[]> {
    let number = 0;
    let at = 0;
    /** The time of the line before, unless a connection ended with it. */
    let last: number | null = null;
    let ending: Ending = { how: "stopped" };
    const fail = (problem: string) =>
      usageError(`Cannot replay ${this.path}: line ${number} ${problem}`);
    for await (const found of this.#lines()) {
      const moments: Moment[] = [];
      for (const bytes of found) {
        number++;
        const record = parseLine(bytes, fail);
        if (record.type === "open") {
          last = record.time;
          if (number === 1) {
            this.#url = record.url;
            this.#protocol = record.protocol;
          }
          this.#breaksOff = true; // until its end comes
          ending = { how: "stopped" };
          continue;
        }
        at += Math.max(0, record.time - (last ?? record.time));
        last = record.time;
        if (record.type === "message") {
          if (record.from === "client") continue; // clients send what they like
          moments.push({ at, message: record.message });
        } else {
          ending = record.ending;
          this.#breaksOff = false;
          last = null;
        }
      }
      yield moments;
    }
    if (number === 0) {
      throw usageError(`Cannot replay ${this.path}: it is empty`);
    }
    yield [{ at, ending }];
  }

  async *#lines(): AsyncGenerator<Uint8Array[]> {
    try {
      using file = await Deno.open(this.path);
      yield* lines(readUpTo(file, this.#size), MAX_LINE);
    } catch (error) {
      throw fileError(EXIT.usage, `Cannot read ${this.path}`, error);
    }
  }
}

/** A line that has been checked. */
type Line =
  & { readonly time: number }
  & (
    | { readonly type: "open"; readonly url: string; readonly protocol: string }
    | {
      readonly type: "message";
      readonly message: Message;
      readonly from: "client" | undefined;
    }
    | { readonly type: "ending"; readonly ending: Ending }
  );

function parseLine(bytes: Uint8Array, fail: (problem: string) => Error): Line {
  if (bytes.length > MAX_LINE) throw fail("is longer than any message");
  const text = decodeText(bytes);
  if (text === null) throw fail("is not UTF-8");
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw fail("is cut off, or is not JSON");
  }
  if (Array.isArray(value)) {
    throw fail("is an array, as --batch writes it: record without --batch");
  }
  if (value === null || typeof value !== "object") {
    throw fail("is not an object with time and type");
  }
  const time = typeof value.time === "string" && ISO_TIME.test(value.time)
    ? Date.parse(value.time)
    : NaN;
  if (Number.isNaN(time)) {
    throw fail(
      'has no time such as "2024-05-06T07:08:09.010Z": record without --time-format',
    );
  }
  const parsed = parseFields(value);
  if (typeof parsed === "string") throw fail(parsed);
  return { time, ...parsed };
}

const ISO_TIME =
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/** What a line says besides its time; a text says what is wrong with it. */
function parseFields(
  { type, data, from, version, url, protocol, code, reason, clean }: Record<
    string,
    unknown
  >,
) {
  if (from !== undefined && from !== "client") {
    return 'has a from that is not "client"';
  }
  switch (type) {
    case "open":
      if (!READABLE.includes(version)) {
        return `has the version ${
          JSON.stringify(version)
        } of the format: this wstap knows ${READABLE.join(" and ")}`;
      }
      if (typeof url !== "string" || typeof protocol !== "string") {
        return "has no url or no protocol";
      }
      return { type, url, protocol } as const;
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

function fromBase64(text: string): Uint8Array | null {
  try {
    return encodeLatin1(atob(text));
  } catch {
    return null;
  }
}

/** The size of a file that can be read more than once. */
async function fileSize(path: string): Promise<number> {
  let info;
  try {
    info = await Deno.stat(path);
  } catch (error) {
    throw fileError(EXIT.usage, `Cannot read ${path}`, error);
  }
  if (!info.isFile) {
    throw usageError(
      `Cannot replay ${path}: expected a file, which each client reads anew`,
    );
  }
  return info.size;
}

async function* readUpTo(
  file: Deno.FsFile,
  size: number,
): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(READ_SIZE);
  while (size > 0) {
    const length = await file.read(
      buffer.subarray(0, Math.min(size, buffer.length)),
    );
    if (length === null) return;
    size -= length;
    yield buffer.subarray(0, length);
  }
}
