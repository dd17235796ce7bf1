import { EXIT } from "./exit.ts";
import { fileError } from "./files.ts";

/** The reader of standard output has gone, as `head -1` does. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/** Where messages go: standard output, or a file that is appended to. */
export class Output implements Disposable {
  /** Whether it is a terminal, on which nothing untrusted may act. */
  readonly isTerminal: boolean;
  /** Whether colours are wanted there. */
  readonly colors: boolean;
  readonly #name: string;
  readonly #file: typeof Deno.stdout | Deno.FsFile;

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
   * Writes all the bytes. It does not block: signals are still heard while a
   * slow reader keeps it waiting.
   */
  async write(bytes: Uint8Array): Promise<void> {
    try {
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
