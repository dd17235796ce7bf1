import { CliError, EXIT, usageError } from "./exit.ts";

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

/** The error for a file, with the system's reason and not Deno's words around it. */
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
