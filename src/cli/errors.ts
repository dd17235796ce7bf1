import {
  BufferOverflowError,
  ConnectionClosedError,
  HandshakeError,
} from "../../mod.ts";
import { isSystemError } from "../internal.ts";
import { visible } from "./terminal/text.ts";

/** The exit codes of the command line, as `--help` lists them. */
export const EXIT = {
  ended: 0,
  lost: 1,
  usage: 2,
  refused: 3,
  unreachable: 4,
  output: 5,
  permission: 6,
  closed: 7,
  short: 8,
  internal: 70,
  interrupted: 130,
  terminated: 143,
} as const;

/** One of the codes in {@linkcode EXIT}. */
export type ExitCode = typeof EXIT[keyof typeof EXIT];

/** An error whose message is all that the user needs, with its exit code. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: ExitCode;

  constructor(code: ExitCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Creates the error for a wrong command line. */
export function usageError(message: string): CliError {
  return new CliError(EXIT.usage, message);
}

/** Thrown when the reader of standard output has gone, as `head -1` does. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/** Creates the error for a file or a port, with the system's reason but without Deno's words around it. */
export function fileError(
  code: typeof EXIT.usage | typeof EXIT.output,
  problem: string,
  error: unknown,
): CliError {
  if (error instanceof Deno.errors.NotCapable) {
    const flag = /--allow-\w+/.exec(error.message)?.[0] ?? "a permission";
    return new CliError(EXIT.permission, `${problem}: it needs ${flag}`);
  }
  const reason = error instanceof Error
    ? error.message.replace(/ \(os error \d+\).*$/s, "")
    : String(error);
  return new CliError(code, `${problem}: ${reason}`);
}

/** Converts an error of the system that says what could not be done, as those of a replay do. */
export function systemError(error: unknown): unknown {
  if (error instanceof Deno.errors.NotCapable) {
    return new CliError(EXIT.permission, error.message);
  }
  return isSystemError(error) ? usageError(error.message) : error;
}

/** Converts an error to an exit code and the line that explains it. */
export function explain(error: unknown): { code: ExitCode; message: string } {
  if (error instanceof OutputClosed) return { code: EXIT.ended, message: "" };
  const message = error instanceof Error ? error.message : String(error);
  const isArgument = error instanceof TypeError || error instanceof RangeError;
  return {
    code: codeOf(error),
    message: visible(isArgument ? withFlags(message) : message),
  };
}

/** What the module's options are called on the command line. */
const FLAGS: Record<string, string> = {
  "http.caCerts": "--ca-cert",
  "http.cert": "--cert",
  "http.key": "--key",
  "http.proxy": "--proxy",
  "http.unsafelyIgnoreCertificateErrors": "--insecure",
  compression: "--compress",
  minDelay: "--min-delay",
  maxDelay: "--max-delay",
  pingInterval: "--ping-interval",
};

const OPTION = new RegExp(
  `(?<![\\w."])(?:${
    Object.keys(FLAGS).map((name) => name.replace(".", "\\.")).join("|")
  })(?![\\w."])`,
  "g",
);

/** Names the options in an error of the module as the command line does. */
function withFlags(message: string): string {
  return message.replace(OPTION, (name) => FLAGS[name]!);
}

/** Runs a check of the module; what it refuses is a wrong command line. */
export function check(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) {
      throw error;
    }
    throw usageError(withFlags(error.message));
  }
}

function codeOf(error: unknown): ExitCode {
  if (error instanceof CliError) return error.code;
  if (error instanceof HandshakeError) {
    // Without an answer there is a cause, which the network gave.
    return error.cause === undefined ? EXIT.refused : EXIT.unreachable;
  }
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return EXIT.unreachable;
  }
  if (
    error instanceof ConnectionClosedError ||
    error instanceof BufferOverflowError
  ) return EXIT.lost;
  if (error instanceof Deno.errors.NotCapable) return EXIT.permission;
  // What connectWebSocket() says of its arguments.
  if (error instanceof TypeError || error instanceof RangeError) {
    return EXIT.usage;
  }
  return EXIT.internal;
}
