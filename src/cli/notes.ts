const ENCODER = new TextEncoder();
const CLEAR_LINE = "\r\x1b[K";

/** Everything that goes to standard error, so that a status line can stand below it. */
export class Notes {
  readonly isTerminal: boolean;
  /** Whether colours are wanted there. */
  readonly colors: boolean;
  /** Whether anything but errors is written. */
  readonly quiet: boolean;
  #line = "";

  constructor(quiet: boolean) {
    this.quiet = quiet;
    this.isTerminal = Deno.stderr.isTerminal();
    this.colors = this.isTerminal && !Deno.noColor;
  }

  /** Writes text as it is. */
  write(text: string): void {
    this.#put((this.#line === "" ? "" : CLEAR_LINE) + text + this.#line);
  }

  /** Writes a line that tells what happens. */
  say(text: string): void {
    if (!this.quiet) this.write(`wstap: ${text}\n`);
  }

  /** Writes a line that tells what went wrong. */
  error(text: string): void {
    const label = this.colors ? "\x1b[31;1mwstap:\x1b[0m" : "wstap:";
    this.write(`${label} ${text}\n`);
  }

  /** Sets the line that stays below everything else; an empty one takes it away. */
  setLine(text: string): void {
    // A line that wraps could not be taken away again.
    const line = text.slice(0, columns() - 1);
    if (line === this.#line) return;
    this.#line = line;
    this.#put(CLEAR_LINE + line);
  }

  #put(text: string): void {
    const bytes = ENCODER.encode(text);
    try {
      for (let start = 0; start < bytes.length;) {
        start += Deno.stderr.writeSync(bytes.subarray(start));
      }
    } catch {
      // Nobody reads it: no reason to stop receiving.
    }
  }
}

function columns(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}
