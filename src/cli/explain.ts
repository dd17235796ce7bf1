import {
  BufferOverflowError,
  ConnectionClosedError,
  HandshakeError,
} from "../../mod.ts";
import { CliError, EXIT, type ExitCode } from "./exit.ts";
import { OutputClosed } from "./output.ts";
import { visible } from "./visible.ts";

/** What an error means on the command line: a code, and a line that says why. */
export function explain(error: unknown): { code: ExitCode; message: string } {
  if (error instanceof OutputClosed) return { code: EXIT.ended, message: "" };
  const message = error instanceof Error ? error.message : String(error);
  return { code: codeOf(error), message: visible(message) };
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
