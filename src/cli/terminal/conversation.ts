/**
 * Lines that a person types at a terminal while messages appear there.
 *
 * `node:readline` edits the line and keeps the history. Everything that is shown goes
 * through one queue, so that a message is never written into the middle of the line
 * that is being typed: the line is taken away, the message is written, and the line is
 * drawn again below it. While nothing is typed, nothing but messages is written.
 *
 * @module
 */

import type { createInterface, Interface } from "node:readline";
import type { PassThrough, Writable } from "node:stream";

/** The text before a line that is being typed. */
const PROMPT = "> ";

/** How many lines the history keeps. */
const HISTORY = 1000;

/** The fewest printable characters in a row that are taken for a paste. */
const MIN_PASTE = 8;

/** What a paste is, and what is not: keys. */
const PASTE = new RegExp(`([^\\x00-\\x1f\\x7f]{${MIN_PASTE},})`);

/** Moves to the beginning of the row and clears all below it. */
const CLEAR = "\r\x1b[J";

/** The exit code after SIGQUIT (Ctrl-\), as shells give it. */
const QUIT = 131;

const ENCODER = new TextEncoder();

/** What something that shares the terminal writes through. */
export interface Screen {
  /** Writes whole lines above the line that is being typed. Rejects if the terminal cannot be written to. */
  print(bytes: Uint8Array): Promise<void>;
}

/** What can happen besides lines. */
export interface ConversationEvents {
  /** Called once at Ctrl-D. Lines from before may not have been taken yet. */
  onEnd(): void;
  /** Called at Ctrl-C, where it makes no signal (Windows). */
  onInterrupt(): void;
}

/** The parts of `Interface` that the types of Node do not have. */
type Editor = Interface & {
  /** On which row of its line the cursor was when the line was last drawn. */
  prevRows: number | undefined;
};

/** What is loaded for a conversation only: it takes time. */
interface Node {
  createInterface: typeof createInterface;
  PassThrough: typeof PassThrough;
  Writable: typeof Writable;
}

/** Whether standard input and output are one terminal, at which a person can converse. */
export function isConversation(): boolean {
  return Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
}

/** A terminal on which lines are typed and messages are shown. */
export class Conversation implements Screen, AsyncDisposable {
  readonly #input: PassThrough;
  readonly #editor: Editor;
  /** Emits `resize`, at which the editor draws its line. */
  readonly #output: { emit(event: "resize"): boolean };
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** Whether the last bytes that were typed may have been a part of a key. */
  #hadEscape = false;
  /** Whether the editor has drawn something on the present row. */
  #isDrawn = false;
  /** Whether nothing has been typed into the present line. */
  #isEmpty = true;
  /** Whether no more lines come. */
  #isEnded = false;
  /** Whether the terminal has been given back. */
  #isOver = false;
  /** Settles when everything so far has been written. */
  #written: Promise<void> = Promise.resolve();
  readonly #listeners: [Deno.Signal, () => void][] = [];
  /** The lines that have not been taken, and what tells of a new one. */
  #typed: Uint8Array[] = [];
  #onTyped = Promise.withResolvers<void>();

  /** Takes the terminal, and calls `events` until it is disposed. */
  static async start(events: ConversationEvents): Promise<Conversation> {
    const [{ createInterface }, { PassThrough, Writable }] = await Promise.all([
      import("node:readline"),
      import("node:stream"),
    ]);
    return new Conversation(
      { createInterface, PassThrough, Writable },
      events,
    );
  }

  private constructor(
    { createInterface, PassThrough, Writable }: Node,
    events: ConversationEvents,
  ) {
    this.#input = Object.assign(new PassThrough(), {
      isTTY: true,
      setRawMode,
    });
    const output = new Writable({
      decodeStrings: false,
      write: (text: string, _encoding, done) => {
        this.#isDrawn = true;
        // Who prints a message learns of an error.
        this.#put(ENCODER.encode(text)).catch(() => {});
        done();
      },
    });
    Object.defineProperties(output, {
      isTTY: { value: true },
      columns: { get: () => size().columns },
      rows: { get: () => size().rows },
    });
    this.#output = output;
    this.#editor = createInterface({
      input: this.#input,
      output,
      terminal: true,
      prompt: PROMPT,
      historySize: HISTORY,
    }) as Editor;
    this.#editor.on("line", (line) => {
      this.#isDrawn = false;
      this.#isEmpty = true;
      this.#typed.push(ENCODER.encode(line));
      this.#onTyped.resolve();
    });
    this.#editor.on("SIGINT", () => events.onInterrupt());
    this.#editor.on("close", () => {
      this.#isEnded = true;
      this.#onTyped.resolve();
      if (!this.#isOver) events.onEnd();
    });
    // The editor has its own listener, which was added before.
    this.#input.on("keypress", () => this.#tidy());
    if (Deno.build.os !== "windows") {
      this.#listen("SIGWINCH", () => this.#resize());
      this.#listen("SIGCONT", () => {
        setRawMode(true);
        this.#redraw();
      });
      // It ends the process, but must not leave a shell that shows nothing.
      this.#listen("SIGQUIT", () => {
        setRawMode(false);
        Deno.exit(QUIT);
      });
    }
    void this.#read();
  }

  /** Yields the lines that are typed, several at a time if they were pasted, until Ctrl-D. */
  async *lines(): AsyncGenerator<Uint8Array[]> {
    while (true) {
      await this.#onTyped.promise;
      if (this.#isEnded && this.#typed.length === 0) return;
      const typed = this.#typed;
      this.#typed = [];
      if (!this.#isEnded) this.#onTyped = Promise.withResolvers();
      yield typed;
    }
  }

  print(bytes: Uint8Array): Promise<void> {
    this.#hide();
    const printed = this.#put(bytes);
    this.#redraw();
    return printed;
  }

  /** Gives the terminal back, once everything has been written. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    for (const [signal, listener] of this.#listeners) {
      Deno.removeSignalListener(signal, listener);
    }
    this.#hide();
    this.#editor.close();
    setRawMode(false);
    await this.#written;
  }

  #listen(signal: Deno.Signal, listener: () => void): void {
    Deno.addSignalListener(signal, listener);
    this.#listeners.push([signal, listener]);
  }

  /** Passes on what is typed. The read that waits at the end is ended by the process. */
  async #read(): Promise<void> {
    const buffer = new Uint8Array(4096);
    for (let count; (count = await readInput(buffer)) !== null;) {
      if (this.#isOver) return;
      this.#type(this.#decoder.decode(buffer.subarray(0, count), {
        stream: true,
      }));
    }
    this.#editor.close();
  }

  /**
   * Passes characters to the editor. It measures the whole line at each key, which
   * takes seconds for a line of some thousand: what is pasted is passed at once.
   */
  #type(text: string): void {
    // Printable characters after an escape are a key, such as an arrow.
    const areKeys = this.#hadEscape || text.includes("\x1b");
    this.#hadEscape = text.includes("\x1b");
    if (areKeys) {
      this.#input.emit("data", text);
      return;
    }
    for (const part of text.split(PASTE)) {
      if (part.length < MIN_PASTE || !PASTE.test(part)) {
        if (part !== "") this.#input.emit("data", part);
        continue;
      }
      // The first character draws the prompt.
      const first = this.#editor.line === ""
        ? String.fromCodePoint(part.codePointAt(0)!)
        : "";
      if (first !== "") this.#input.emit("data", first);
      const sequence = part.slice(first.length);
      this.#input.emit("keypress", sequence, { sequence });
      // It takes notice only of rows that it begins by itself.
      this.#editor.prevRows = this.#editor.getCursorPos().rows;
    }
  }

  /** Draws the prompt before the first character of a line, and takes it away after the last one. */
  #tidy(): void {
    if (this.#isEnded) return;
    const wasEmpty = this.#isEmpty;
    this.#isEmpty = this.#editor.line === "";
    if (this.#isEmpty) this.#hide();
    else if (wasEmpty) this.#redraw();
  }

  #resize(): void {
    // The terminal has moved what was drawn into rows of the new width.
    this.#editor.prevRows = this.#editor.getCursorPos().rows;
    this.#output.emit("resize");
    this.#tidy();
  }

  /** Draws the line that is being typed, if there is one, on an empty row. */
  #redraw(): void {
    if (this.#editor.line === "" || this.#isEnded) return;
    this.#editor.prevRows = 0;
    // Not `prompt()`, which asks for an environment variable on Deno 2.5.
    this.#output.emit("resize");
  }

  /** Takes the line away that is being typed. */
  #hide(): void {
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    const { rows } = this.#editor.getCursorPos();
    const up = rows > 0 ? `\x1b[${rows}A` : "";
    this.#put(ENCODER.encode(up + CLEAR)).catch(() => {});
  }

  #put(bytes: Uint8Array): Promise<void> {
    const written = this.#written.then(() => writeAll(bytes));
    this.#written = written.catch(() => {});
    return written;
  }
}

/** In this mode keys come one by one and are not shown, and Ctrl-C and Ctrl-Z are still signals where the system has it. */
function setRawMode(on: boolean): void {
  Deno.stdin.setRaw(on, { cbreak: Deno.build.os !== "windows" });
}

/** Reads what is typed; `null` once the terminal is gone. */
async function readInput(buffer: Uint8Array): Promise<number | null> {
  try {
    return await Deno.stdin.read(buffer);
  } catch {
    return null;
  }
}

async function writeAll(bytes: Uint8Array): Promise<void> {
  for (let start = 0; start < bytes.length;) {
    start += await Deno.stdout.write(bytes.subarray(start));
  }
}

function size(): { columns: number; rows: number } {
  try {
    const { columns, rows } = Deno.consoleSize();
    if (columns > 0) return { columns, rows };
  } catch {
    // It is no terminal any more.
  }
  return { columns: 80, rows: 24 };
}
