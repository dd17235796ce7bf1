import { EXIT, fileError, OutputClosed } from "../errors.ts";

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
