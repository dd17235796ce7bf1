import { CliError, usageError } from "../errors.ts";
import { readBytes } from "../files/input.ts";
import type { Arguments } from "./parse.ts";

/**
 * What the options name: files, and standard input as `-`. A file is read each
 * time it is asked for, so that it may change between attempts; a pipe and
 * standard input, which can be read once, are kept.
 */
export class Sources {
  /** The passwords that were asked for on the terminal, by the names of their users. */
  readonly passwords = new Map<string, string>();
  readonly #input: Uint8Array | null;
  readonly #pipes = new Map<string, Uint8Array>();

  /** @param input All of standard input, `null` if no option names it. */
  constructor(input: Uint8Array | null = null) {
    this.#input = input;
  }

  /** Whether standard input has been read for an option. */
  get hasInput(): boolean {
    return this.#input !== null;
  }

  /** Reads what an option names. */
  bytes(option: string, path: string): Uint8Array {
    if (path === "-" && this.#input !== null) return this.#input;
    const kept = this.#pipes.get(path);
    if (kept !== undefined) return kept;
    const bytes = readBytes(option, path);
    if (!isFile(path)) this.#pipes.set(path, bytes);
    return bytes;
  }

  /** Reads the text that an option names. */
  text(option: string, path: string): string {
    return new TextDecoder().decode(this.bytes(option, path));
  }
}

/** Whether a path that could be read is a file, not a pipe. */
function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false; // it has gone: what was read is all there is
  }
}

/** The options whose value may be `@-`. */
const SECRETS = ["header", "user", "bearer", "proxy"] as const;

/**
 * Reads standard input to its end, if an option names it.
 *
 * @returns `null` if `signal` aborted first.
 * @throws {CliError} If two options name it: it can be read only once.
 */
export async function readSources(
  args: Arguments,
  signal: AbortSignal,
): Promise<Sources | null> {
  const named = [
    ...args.all("send-file").filter((path) => path === "-")
      .map(() => "--send-file -"),
    ...SECRETS.flatMap((name) =>
      args.all(name).filter((value) => value === "@-").map(() => `--${name} @-`)
    ),
  ];
  if (named.length === 0) return new Sources();
  if (named.length > 1) {
    throw usageError(
      `Standard input can be read only once, not for both ${
        named.slice(0, 2).join(" and ")
      }`,
    );
  }
  const aborted = new Promise<null>((resolve) =>
    signal.addEventListener("abort", () => resolve(null), { once: true })
  );
  const input = await Promise.race([readInput(named[0]!), aborted]);
  return input === null ? null : new Sources(input);
}

async function readInput(option: string): Promise<Uint8Array> {
  try {
    return await new Response(Deno.stdin.readable).bytes();
  } catch (error) {
    throw new CliError(
      2,
      `Cannot read standard input for ${option}: ${(error as Error).message}`,
    );
  }
}
