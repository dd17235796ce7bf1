import { after } from "../internal.ts";
import { EXIT, type ExitCode } from "./errors.ts";

/**
 * Ends a command when a signal arrives or its time is up. The first SIGINT or
 * SIGTERM asks it to end well, a second one ends the process at once.
 */
export class Stop implements Disposable {
  /** The exit code; `null` as long as nothing asks for an end. */
  code: ExitCode | null = null;
  readonly #controller = new AbortController();
  #signalled = false;
  #beforeExit = () => {};
  #cancelTimer = () => {};
  readonly #listeners: [Deno.Signal, () => void][] = [];

  /** Aborts when the command is to end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Starts to listen for signals. `beforeExit` is called if a second one ends the process. */
  listen(beforeExit: () => void): void {
    this.#beforeExit = beforeExit;
    // Windows knows no SIGTERM; a closed console or `taskkill` ends it there.
    const codes: [Deno.Signal, ExitCode][] = Deno.build.os === "windows"
      ? [["SIGINT", EXIT.interrupted], ["SIGBREAK", EXIT.interrupted]]
      : [["SIGINT", EXIT.interrupted], ["SIGTERM", EXIT.terminated]];
    for (const [name, code] of codes) {
      const listener = () => this.interrupt(code);
      Deno.addSignalListener(name, listener);
      this.#listeners.push([name, listener]);
    }
  }

  /** Does what a signal does: the first one asks for an end, a second one ends the process. */
  interrupt(code: ExitCode): void {
    if (this.#signalled) {
      this.#beforeExit();
      Deno.exit(code);
    }
    this.#signalled = true;
    this.request(code);
  }

  /** Asks the command to end well, with an exit code. */
  request(code: ExitCode): void {
    this.code ??= code;
    this.#controller.abort();
  }

  /** Asks the command to end after a number of milliseconds, which may be `Infinity`. */
  requestAfter(milliseconds: number, code: ExitCode): void {
    if (milliseconds === Infinity) return;
    this.#cancelTimer = after(milliseconds, () => this.request(code));
  }

  /** Resolves when the command is to end. */
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
