/**
 * The output of messages. A file can be opened anew (SIGHUP) or renamed when it is
 * full (`--rotate`) between two writes; a write is never divided.
 *
 * @module
 */

import { after } from "../../internal.ts";
import { EXIT, fileError, OutputClosed } from "../errors.ts";
import type { Screen } from "../terminal/conversation.ts";
import type { Extent } from "../flags/read.ts";
import { Numbering } from "./rotation.ts";

/** So many bytes at once show that the feed is a fast one. */
const LARGE_WRITE = 32 * 1024;

/** How long to wait before a full pipe that does not block is tried again, in milliseconds. */
const FULL_PIPE_DELAY = 5;

const ENCODER = new TextEncoder();

/** The lines with which a file begins and ends, if a connection is recorded in it. */
export interface Section {
  begin(): string;
  end(): string;
}

/** Options of {@linkcode Output}. */
export interface OutputOptions {
  /** When the file is renamed, and a new one begun. */
  readonly rotate?: Extent | null;
  /** Called when the file could not be opened anew. Every later write throws. */
  readonly onFailure?: () => void;
  /** Called at SIGHUP when the terminal at which the run was started is gone. */
  readonly onTerminalGone?: () => void;
}

/** The output of messages: standard output, or a file that is appended to. */
export class Output implements Disposable {
  /** Whether it is a terminal, on which nothing untrusted may act. */
  readonly isTerminal: boolean;
  /** Whether colours are wanted there. */
  readonly colors: boolean;
  /** Where the terminal is shared with a line that is being typed; `null` if it is not. */
  screen: Screen | null = null;
  /** Why the file could not be opened anew or renamed, if that has happened. */
  failure: Error | null = null;
  readonly #path: string | null;
  readonly #options: OutputOptions;
  /** What the file is called when it is full; `null` if it is not renamed. */
  #numbering: Numbering | null = null;
  #file: typeof Deno.stdout | Deno.FsFile;
  /** Whether the file is open. Standard output is never closed. */
  #isOpen = true;
  /** Whether it is a file on a disk, once it has been asked for. */
  #onDisk: boolean | null = null;
  /** The size of the file in bytes. */
  #size = 0;
  /** Whether the file has messages. One without is not renamed. */
  #hasMessages = false;
  #isWriting = false;
  #section: Section | null = null;
  /** Whether a recorded connection has ended, and no other has begun. */
  #isBetween = false;
  /** What is to be done as soon as nothing is being written. */
  #due: "reopen" | "rotate" | null = null;
  #cancelTimer = () => {};
  readonly #hadTerminal = hasTerminal();
  readonly #onHangUp = () => {
    // The signal also says that the terminal was closed, at which a person had started it.
    if (this.#hadTerminal && !hasTerminal()) this.#options.onTerminalGone?.();
    else this.#request("reopen");
  };

  /** @param path The file, or `null` for standard output. */
  constructor(path: string | null, options: OutputOptions = {}) {
    this.#path = path;
    this.#options = options;
    this.#file = path === null ? Deno.stdout : openFile(path);
    this.isTerminal = this.#file.isTerminal();
    this.colors = this.isTerminal && !Deno.noColor;
    if (path === null) return;
    const size = position(this.#file as Deno.FsFile);
    this.#onDisk = size !== null;
    // A named pipe is neither opened anew, which could wait for a reader, nor renamed.
    if (size === null) return;
    this.#size = size;
    this.#hasMessages = size > 0;
    if (options.rotate) {
      try {
        this.#numbering = numberingOf(path);
      } catch (error) {
        this.#close();
        throw fileError(EXIT.output, `Cannot rename ${path}`, error);
      }
    }
    this.#startTimer();
    if (Deno.build.os !== "windows") {
      Deno.addSignalListener("SIGHUP", this.#onHangUp);
    }
  }

  /** What ends a file and begins the next one; `null` while there is no connection. */
  get section(): Section | null {
    return this.#section;
  }

  set section(section: Section | null) {
    this.#isBetween = section === null;
    // A file that is due is renamed before the connection begins in it.
    if (this.#due !== null && !this.#isWriting) this.#doWhatIsDue();
    this.#section = section;
  }

  /**
   * Returns whether a chunk may be added to the file. If not, `write()` begins a new
   * file with it.
   */
  fits(bytes: number): boolean {
    const { rotate } = this.#options;
    if (this.#numbering === null || !rotate || !("bytes" in rotate)) {
      return true;
    }
    const end = this.#section === null
      ? 0
      : ENCODER.encode(this.#section.end());
    return this.#size + bytes + (end === 0 ? 0 : end.length) <= rotate.bytes;
  }

  /**
   * Writes messages, without blocking the process while a slow reader keeps it
   * waiting. Much at once is written to a disk synchronously: a socket that never
   * runs dry starves the event loop, and with it an asynchronous write.
   *
   * @param length The size of all chunks in bytes.
   *
   * @throws {OutputClosed} If the reader of standard output has gone.
   * @throws {CliError} If the bytes cannot be written.
   */
  async write(chunks: readonly Uint8Array[], length: number): Promise<void> {
    if (this.#hasMessages && !this.fits(length)) this.#rotate();
    this.#hasMessages = true;
    await this.#write(chunks, length);
  }

  /** Writes a line of a recording that is no message. */
  async writeLine(line: string): Promise<void> {
    const chunk = ENCODER.encode(line);
    await this.#write([chunk], chunk.length);
  }

  async #write(chunks: readonly Uint8Array[], length: number): Promise<void> {
    if (this.failure !== null) throw this.failure;
    this.#isWriting = true;
    try {
      if (length >= LARGE_WRITE) this.#onDisk ??= await isOnDisk();
      const isSync = this.#onDisk === true && length >= LARGE_WRITE;
      for (const chunk of chunks) {
        if (this.screen !== null) await this.screen.print(chunk);
        else if (isSync) writeAllSync(this.#file, chunk);
        else {
          for (let start = 0; start < chunk.length;) {
            start += await this.#writeSome(chunk.subarray(start));
          }
        }
      }
      this.#size += length;
    } catch (error) {
      throw this.#writeError(error);
    } finally {
      this.#isWriting = false;
    }
    if (this.#due !== null) this.#doWhatIsDue();
  }

  async #writeSome(bytes: Uint8Array): Promise<number> {
    try {
      return await this.#file.write(bytes);
    } catch (error) {
      // A pipe that the other side has set to non-blocking is full.
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      await new Promise((resolve) => setTimeout(resolve, FULL_PIPE_DELAY));
      return 0;
    }
  }

  #writeError(error: unknown): Error {
    if (error instanceof Deno.errors.BrokenPipe && this.#path === null) {
      return new OutputClosed();
    }
    const name = this.#path ?? "standard output";
    return fileError(EXIT.output, `Cannot write to ${name}`, error);
  }

  /** Asks for something that must not happen in the middle of a write. */
  #request(what: "reopen" | "rotate"): void {
    if (this.#due !== "reopen") this.#due = what;
    if (!this.#isWriting) this.#doWhatIsDue();
  }

  #doWhatIsDue(): void {
    const what = this.#due;
    // The new file would hold nothing, if there is no other connection.
    if (what === "rotate" && this.#isBetween) return;
    this.#due = null;
    try {
      if (what === "reopen") this.#reopen();
      else if (this.#hasMessages) this.#rotate();
      else this.#startTimer();
    } catch (error) {
      this.failure = error as Error;
      this.#options.onFailure?.();
    }
  }

  /** Opens the file by its name, which may now be another file. */
  #reopen(): void {
    const file = openFile(this.#path!);
    this.#endSection();
    this.#begin(file);
  }

  /** Renames the file, which is full, and begins a new one. */
  #rotate(): void {
    const path = this.#path!;
    this.#endSection();
    // Windows renames no file that is open.
    this.#close();
    try {
      // Where a link leads may have changed since.
      const numbering = numberingOf(path);
      if (numbering?.path !== this.#numbering?.path) {
        this.#numbering = numbering;
      }
      this.#numbering?.rename();
    } catch (error) {
      // Someone else has moved or removed it: then only a new one is begun.
      if (!(error instanceof Deno.errors.NotFound)) {
        throw fileError(EXIT.output, `Cannot rename ${path}`, error);
      }
    }
    // Deno opens no link that leads to nothing.
    this.#begin(openFile(this.#numbering?.path ?? path));
  }

  #endSection(): void {
    if (this.#section === null) return;
    try {
      writeAllSync(this.#file, ENCODER.encode(this.#section.end()));
    } catch (error) {
      throw this.#writeError(error);
    }
  }

  /** Goes on in a file that has just been opened. */
  #begin(file: Deno.FsFile): void {
    this.#close();
    this.#file = file;
    this.#isOpen = true;
    this.#size = position(file) ?? 0;
    this.#hasMessages = this.#size > 0;
    this.#startTimer();
    if (this.#section === null) return;
    const line = ENCODER.encode(this.#section.begin());
    try {
      writeAllSync(file, line);
    } catch (error) {
      throw this.#writeError(error);
    }
    this.#size += line.length;
  }

  #startTimer(): void {
    const { rotate } = this.#options;
    this.#cancelTimer();
    if (this.#numbering === null || !rotate || "bytes" in rotate) return;
    this.#cancelTimer = after(
      rotate.milliseconds,
      () => this.#request("rotate"),
    );
  }

  [Symbol.dispose](): void {
    if (this.#path === null) return;
    this.#cancelTimer();
    if (Deno.build.os !== "windows") {
      Deno.removeSignalListener("SIGHUP", this.#onHangUp);
    }
    this.#close();
  }

  #close(): void {
    if (this.#isOpen) (this.#file as Deno.FsFile).close();
    this.#isOpen = false;
  }
}

/** Writes a text to standard output. */
export async function print(text: string): Promise<void> {
  using output = new Output(null);
  await output.writeLine(text);
}

function openFile(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { append: true, create: true });
  } catch (error) {
    throw fileError(EXIT.output, `Cannot open ${path}`, error);
  }
}

/**
 * How to name the file that a path leads to, perhaps through links. `null` for a
 * device: nobody may rename `/dev/null`.
 */
function numberingOf(path: string): Numbering | null {
  const { isSymlink } = Deno.lstatSync(path);
  const file = isSymlink ? Deno.realPathSync(path) : path;
  return Deno.statSync(file).isFile ? new Numbering(file) : null;
}

/** Whether any of the standard streams is a terminal. */
function hasTerminal(): boolean {
  return [Deno.stdin, Deno.stdout, Deno.stderr].some((it) => it.isTerminal());
}

/** The size of a file that is appended to; `null` if it is a named pipe or a device. `stat` would need a permission. */
function position(file: Deno.FsFile): number | null {
  try {
    return file.seekSync(0, Deno.SeekMode.End);
  } catch {
    return null;
  }
}

/** Whether standard output is a file on a disk. Asks only when there is much to write: `node:fs` takes 40 ms to load. */
async function isOnDisk(): Promise<boolean> {
  const { fstatSync } = await import("node:fs");
  return fstatSync(1).isFile();
}

/** Whether standard output is a file or a device such as `/dev/null`, and not a pipe. */
export async function isStdoutFile(): Promise<boolean> {
  const { fstatSync } = await import("node:fs");
  try {
    const info = fstatSync(1);
    return info.isFile() || info.isCharacterDevice();
  } catch {
    return false; // Windows says nothing of a pipe, and a closed one is none
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
