import { EXIT, fileError, usageError } from "../errors.ts";

/**
 * Reads standard input. Yields nothing if there is none, or if it is a terminal.
 *
 * @param onError Called with a sentence if it cannot be read, which ends it.
 */
export async function* standardInput(
  onError: (message: string) => void,
): AsyncGenerator<Uint8Array> {
  try {
    if (Deno.stdin.isTerminal()) return;
    const buffer = new Uint8Array(64 * 1024);
    for (let count; (count = await Deno.stdin.read(buffer)) !== null;) {
      yield buffer.subarray(0, count);
    }
  } catch (error) {
    if (error instanceof Deno.errors.BadResource) return; // it is closed
    onError(
      fileError(EXIT.usage, "Cannot read standard input", error).message,
    );
  }
}

/** Reads a file that an option names. */
export function readBytes(option: string, path: string): Uint8Array {
  if (path === "") throw usageError(`The value of ${option} is empty`);
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    throw fileError(EXIT.usage, `Cannot read ${path} of ${option}`, error);
  }
}

/** Reads a file of text that an option names. */
export function readText(option: string, path: string): string {
  return new TextDecoder().decode(readBytes(option, path));
}
