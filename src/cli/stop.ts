import { after } from "../duration.ts";
import { EXIT, type ExitCode } from "./exit.ts";

/**
 * What ends a tap from outside: the first SIGINT or SIGTERM asks it to end well,
 * the second ends the process at once.
 */
export class Stop implements Disposable {
  /** The code to end with, `null` as long as nothing asked. */
  code: ExitCode | null = null;
  readonly #controller = new AbortController();
  #signalled = false;
  #cancelTimer = () => {};
  readonly #listeners: [Deno.Signal, () => void][] = [];

  /** Aborts when the tap is to end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Listens for the signals that the system has. */
  listen(beforeExit: () => void): void {
    // Windows knows no SIGTERM; a closed console or `taskkill` ends it there.
    const codes: [Deno.Signal, ExitCode][] = Deno.build.os === "windows"
      ? [["SIGINT", EXIT.interrupted], ["SIGBREAK", EXIT.interrupted]]
      : [["SIGINT", EXIT.interrupted], ["SIGTERM", EXIT.terminated]];
    for (const [name, code] of codes) {
      const listener = () => {
        if (this.#signalled) {
          beforeExit();
          Deno.exit(code);
        }
        this.#signalled = true;
        this.request(code);
      };
      Deno.addSignalListener(name, listener);
      this.#listeners.push([name, listener]);
    }
  }

  /** Asks the tap to end well, with a code. */
  request(code: ExitCode): void {
    this.code ??= code;
    this.#controller.abort();
  }

  /** Asks the tap to end after so many milliseconds, however many. */
  requestAfter(milliseconds: number, code: ExitCode): void {
    if (milliseconds === Infinity) return;
    this.#cancelTimer = after(milliseconds, () => this.request(code));
  }

  /** Resolves when the tap is to end. */
  aborted(): Promise<void> {
    if (this.signal.aborted) return Promise.resolve();
    return new Promise((resolve) =>
      this.signal.addEventListener("abort", () => resolve(), { once: true })
    );
  }

  [Symbol.dispose](): void {
    this.#cancelTimer();
    for (const [name, listener] of this.#listeners) {
      Deno.removeSignalListener(name, listener);
    }
  }
}
