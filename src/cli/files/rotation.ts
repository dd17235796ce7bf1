/**
 * What an output file is called when it is full.
 *
 * @module
 */

/**
 * Gives the names of full files: `feed.1.ndjson`, `feed.2.ndjson` and so on for
 * `feed.ndjson`. A number is higher than those of all files that are there or have
 * been named before, so that the lowest one is always the oldest.
 */
export class Numbering {
  readonly #folder: string;
  readonly #stem: string;
  readonly #extension: string;
  #last = 0;
  /** The path of the file. */
  readonly path: string;

  /** @param path The path of the file. Its folder is read, for the numbers that are taken. */
  constructor(path: string) {
    this.path = path;
    const [, folder = "", name = ""] = /^(.*[/\\])?(.*)$/s.exec(path) ?? [];
    // A point at the beginning is no extension.
    const point = name.lastIndexOf(".");
    const end = point > 0 ? point : name.length;
    this.#folder = folder;
    this.#stem = name.slice(0, end);
    this.#extension = name.slice(end);
  }

  /** Gives the file, which is full, its name. */
  rename(): void {
    Deno.renameSync(this.path, this.next());
  }

  /** Returns the path of the next full file. */
  next(): string {
    for (const { name } of Deno.readDirSync(this.#folder || ".")) {
      this.#last = Math.max(this.#last, this.#numberOf(name));
    }
    this.#last++;
    return `${this.#folder}${this.#stem}.${this.#last}${this.#extension}`;
  }

  /** The number in a file name; 0 if it is not one of these names. */
  #numberOf(name: string): number {
    const start = this.#stem.length + 1;
    const end = name.length - this.#extension.length;
    if (
      !name.startsWith(`${this.#stem}.`) || !name.endsWith(this.#extension)
    ) return 0;
    const digits = name.slice(start, end);
    return /^[1-9]\d{0,14}$/.test(digits) ? Number(digits) : 0;
  }
}
