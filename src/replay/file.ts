/**
 * Recordings in files: the lines of `wstap -o FILE --format ndjson`, which are read
 * anew for each client and never in memory as a whole, and HAR files, which are.
 * Which of them a file is is decided by its content.
 *
 * @module
 */

import { parseHar } from "./har.ts";
import { concat, lines } from "./lines.ts";
import { explained } from "./system_error.ts";
import {
  type Line,
  MemoryRecording,
  type Moment,
  parseEvent,
  type Recording,
  type Summary,
  Timeline,
} from "./recording.ts";

/** The longest line in bytes: a message has at most 64 MiB, and JSON writes a byte of it with up to six. */
const MAX_LINE = 400 * 1024 * 1024;

/** The largest HAR file in bytes. It is in memory as a whole. */
export const MAX_HAR = 256 * 1024 * 1024;

/** How many bytes of a file are read at once. */
const READ_SIZE = 256 * 1024;

/** How much of a file shows what it is, in bytes. */
const START = 64 * 1024;

/** `ignoreBOM` keeps a byte order mark, which may be part of a message. */
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads the recording in a file from beginning to end, to see that it is one.
 *
 * @param entry Which connection of a HAR, as in `ReplayOptions`.
 * @param signal Ends the reading, with its reason.
 * @throws {TypeError} If it is not one, naming the line; if it is a HAR in which
 * `entry` does not choose one connection.
 * @throws {RangeError} If a HAR is too large, or has fewer connections.
 * @throws {Error} If the file cannot be read, with the class of Deno's error.
 */
export async function openFile(
  path: string | URL,
  entry: number | string | undefined,
  signal: AbortSignal | undefined,
): Promise<Recording> {
  const name = typeof path === "string" ? path : decodePath(path);
  try {
    const { isFile, size } = await Deno.stat(path);
    if (!isFile) {
      throw new TypeError(
        `Cannot replay ${name}: expected a file, which each client reads anew`,
      );
    }
    if (looksLikeHar(await readStart(path))) {
      if (size > MAX_HAR) {
        throw new RangeError(
          `Cannot replay ${name}: a HAR may have ${
            MAX_HAR / 1024 / 1024
          } MiB, and this one has ${Math.ceil(size / 1024 / 1024)} MiB`,
        );
      }
      const found = parseHar(
        name,
        await Deno.readFile(path),
        entry,
      );
      return new MemoryRecording(name, found);
    }
    if (entry !== undefined) {
      throw new TypeError(
        `Invalid entry: it chooses a connection of a HAR, and ${name} is none`,
      );
    }
    return await FileRecording.open(path, name, size, signal);
  } catch (error) {
    throw explained(`Cannot read ${name}`, error);
  }
}

function decodePath({ pathname }: URL): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return pathname;
  }
}

async function readStart(path: string | URL): Promise<string> {
  using file = await Deno.open(path);
  const bytes = new Uint8Array(START);
  let length = 0;
  while (length < START) {
    const count = await file.read(bytes.subarray(length));
    if (count === null) break;
    length += count;
  }
  return new TextDecoder().decode(bytes.subarray(0, length));
}

/**
 * Whether a text is the start of a HAR rather than of a recording: JSON with "log"
 * where a line of a recording has "time" and "type". It may be indented, or all on
 * one line.
 */
function looksLikeHar(start: string): boolean {
  const text = start.trimStart();
  if (!text.startsWith("{")) return false;
  const first = text.replace(/\r?\n[^]*/, "");
  let value;
  try {
    value = JSON.parse(first);
  } catch {
    // It is indented, cut off, or longer than what has been read.
    const keys = outerKeys(text);
    return keys.includes("log") && !keys.includes("type");
  }
  return "log" in value && !("type" in value);
}

/** Returns the keys of the object with which a text begins, as far as they are in it. */
function outerKeys(text: string): string[] {
  const keys: string[] = [];
  let depth = 0;
  // A string that is cut off ends what can be told.
  const tokens = /"((?:[^"\\]|\\.)*)"(\s*:)?|"[^]*$|[{}[\]]/gs;
  for (const [token, key, colon] of text.matchAll(tokens)) {
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") {
      if (--depth === 0) break;
    } else if (depth === 1 && colon !== undefined) keys.push(key!);
  }
  return keys;
}

/** A recording in a file of lines, which is never in memory as a whole. */
class FileRecording implements Recording {
  readonly name: string;
  summary!: Summary;
  readonly #path: string | URL;
  /** How much of the file is read: what is appended later is not played. */
  readonly #size: number;

  private constructor(path: string | URL, name: string, size: number) {
    this.#path = path;
    this.name = name;
    this.#size = size;
  }

  static async open(
    path: string | URL,
    name: string,
    size: number,
    signal: AbortSignal | undefined,
  ): Promise<FileRecording> {
    const recording = new FileRecording(path, name, size);
    const timeline = new Timeline();
    for await (const _ of recording.#play(timeline)) signal?.throwIfAborted();
    recording.summary = timeline.summary;
    return recording;
  }

  moments(): AsyncIterable<Moment[]> {
    return this.#play(new Timeline());
  }

  async *#play(timeline: Timeline): AsyncGenerator<Moment[]> {
    let number = 0;
    const fail = (problem: string) =>
      new TypeError(`Cannot replay ${this.name}: line ${number} ${problem}`);
    for await (const found of this.#lines()) {
      const moments: Moment[] = [];
      const texts = decodeLines(found);
      for (const [i, bytes] of found.entries()) {
        number++;
        if (bytes.length > MAX_LINE) throw fail("is longer than any message");
        const line = parseLine(texts[i] ?? null, number, fail);
        const moment = timeline.add(line);
        if (moment !== null) moments.push(moment);
      }
      yield moments;
    }
    if (timeline.isEmpty) {
      throw new TypeError(`Cannot replay ${this.name}: it is empty`);
    }
    yield [timeline.end];
  }

  async *#lines(): AsyncGenerator<Uint8Array[]> {
    try {
      using file = await Deno.open(this.#path);
      yield* lines(readUpTo(file, this.#size), MAX_LINE);
    } catch (error) {
      throw explained(`Cannot read ${this.name}`, error);
    }
  }
}

/**
 * Decodes lines; `null` for one that is not UTF-8. Those of one chunk are decoded
 * together, which takes a quarter off the reading of a file of small messages.
 */
function decodeLines(lines: readonly Uint8Array[]): (string | null)[] {
  if (lines.length > 1) {
    const newline = new Uint8Array([10]);
    const text = decode(concat(lines.flatMap((line) => [line, newline])));
    if (text !== null) return text.split("\n");
  }
  return lines.map(decode);
}

function decode(bytes: Uint8Array): string | null {
  try {
    return UTF8.decode(bytes);
  } catch {
    return null;
  }
}

function parseLine(
  text: string | null,
  number: number,
  fail: (problem: string) => Error,
): Line {
  if (text === null) throw fail("is not UTF-8");
  if (number === 1 && text.startsWith("\ufeff")) text = text.slice(1);
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw fail(
      text.trim() === "" ? "is empty" : "is cut off, or is not JSON",
    );
  }
  if (Array.isArray(value)) {
    throw fail("is an array, as --batch writes it: record without --batch");
  }
  return parseEvent(value, fail, { versioned: true });
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
