import { EXIT, fileError, OutputClosed, usageError } from "./errors.ts";

const NEWLINE = 10;
const RETURN = 13;

/**
 * Splits bytes into lines, and gives those that end in the same chunk together. A
 * line ends in LF or CRLF, which are not part of it; the last one may end with
 * the input.
 *
 * @param limit A line of more bytes than this is given as far as it came, and
 * is the last one.
 */
export async function* lines(
  chunks: AsyncIterable<Uint8Array>,
  limit = Infinity,
): AsyncGenerator<Uint8Array[]> {
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    const found: Uint8Array[] = [];
    let start = 0;
    for (let end; (end = chunk.indexOf(NEWLINE, start)) !== -1;) {
      let line = chunk.subarray(start, end);
      if (parts.length > 0) {
        line = concat([...parts, line]);
        parts = [];
        length = 0;
      }
      found.push(line.at(-1) === RETURN ? line.subarray(0, -1) : line);
      start = end + 1;
    }
    if (found.length > 0) yield found;
    if (start === chunk.length) continue;
    parts.push(chunk.slice(start));
    length += chunk.length - start;
    if (length > limit) break;
  }
  if (parts.length > 0) yield [concat(parts)];
}

/** Reads standard input. Yields nothing if there is none, or if it is a terminal. */
export async function* standardInput(): AsyncGenerator<Uint8Array> {
  try {
    if (Deno.stdin.isTerminal()) return;
    const buffer = new Uint8Array(64 * 1024);
    for (let count; (count = await Deno.stdin.read(buffer)) !== null;) {
      yield buffer.subarray(0, count);
    }
  } catch {
    // It is closed.
  }
}

/** Joins bytes; a single part is not copied. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(parts.reduce((sum, it) => sum + it.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Reads a file that an option names. */
export function readBytes(option: string, path: string): Uint8Array {
  if (path === "") throw usageError(`The value of ${option} is empty`);
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    throw fileError(EXIT.usage, `Cannot read ${path} of ${option}`, error);
  }
}

/** Reads a file of text that an option names. */
export function readText(option: string, path: string): string {
  return new TextDecoder().decode(readBytes(option, path));
}

/** A chunk of this many bytes shows that the feed is a fast one. */
const LARGE_CHUNK = 32 * 1024;

/** The output of messages: standard output, or a file that is appended to. */
export class Output implements Disposable {
  /** Whether it is a terminal, on which nothing untrusted may act. */
  readonly isTerminal: boolean;
  /** Whether colours are wanted there. */
  readonly colors: boolean;
  readonly #name: string;
  readonly #file: typeof Deno.stdout | Deno.FsFile;
  /** Whether it is a file on a disk, once it has been asked for. */
  #onDisk: boolean | null = null;

  constructor(path: string | null) {
    this.#name = path ?? "standard output";
    if (path === null) this.#file = Deno.stdout;
    else {
      try {
        this.#file = Deno.openSync(path, { append: true, create: true });
      } catch (error) {
        throw fileError(EXIT.output, `Cannot open ${path}`, error);
      }
    }
    this.isTerminal = this.#file.isTerminal();
    this.colors = this.isTerminal && !Deno.noColor;
  }

  /**
   * Writes all the bytes, without blocking the process while a slow reader keeps
   * it waiting. Large chunks are written to a disk synchronously: a socket that
   * never runs dry starves the event loop, and with it an asynchronous write.
   */
  async write(bytes: Uint8Array): Promise<void> {
    try {
      if (bytes.length >= LARGE_CHUNK) {
        this.#onDisk ??= await isOnDisk(this.#file);
      }
      if (this.#onDisk) return writeAllSync(this.#file, bytes);
      for (let start = 0; start < bytes.length;) {
        start += await this.#writeSome(bytes.subarray(start));
      }
    } catch (error) {
      if (
        error instanceof Deno.errors.BrokenPipe &&
        this.#file === Deno.stdout
      ) throw new OutputClosed();
      throw fileError(EXIT.output, `Cannot write to ${this.#name}`, error);
    }
  }

  async #writeSome(bytes: Uint8Array): Promise<number> {
    try {
      return await this.#file.write(bytes);
    } catch (error) {
      // A pipe that the other side has set to non-blocking is full.
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
      return 0;
    }
  }

  [Symbol.dispose](): void {
    if (this.#file !== Deno.stdout) this.#file.close();
  }
}

/** Writes a text to standard output. */
export async function print(text: string): Promise<void> {
  using output = new Output(null);
  await output.write(new TextEncoder().encode(text));
}

/** Asks only when there is much to write: `node:fs` takes 40 ms to load. */
async function isOnDisk(
  file: typeof Deno.stdout | Deno.FsFile,
): Promise<boolean> {
  if (file === Deno.stdout) {
    const { fstatSync } = await import("node:fs");
    return fstatSync(1).isFile();
  }
  try {
    (file as Deno.FsFile).seekSync(0, Deno.SeekMode.Current);
    return true;
  } catch {
    return false; // a named pipe: it has no position, and `stat` needs a permission
  }
}

function writeAllSync(
  file: { writeSync(bytes: Uint8Array): number },
  bytes: Uint8Array,
): void {
  for (let start = 0; start < bytes.length;) {
    start += file.writeSync(bytes.subarray(start));
  }
}
