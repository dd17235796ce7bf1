import { EXIT, fileError, usageError } from "../errors.ts";

/** Reads standard input. Yields nothing if there is none, or if it is a terminal. */
export async function* standardInput(): AsyncGenerator<Uint8Array> {
  try {
    if (Deno.stdin.isTerminal()) return;
    const buffer = new Uint8Array(64 * 1024);
    for (let count; (count = await Deno.stdin.read(buffer)) !== null;) {
      yield buffer.subarray(0, count);
    }
  } catch {
    // It is closed.
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
