/**
 * The question for a password.
 *
 * `promptSecret()` of `@std/cli` blocks the process while it waits: with a listener
 * for signals, nothing but an answer could end it then. It also writes to standard
 * output, which may be the data's.
 *
 * @module
 */

import { visible } from "./text.ts";

/** What ends the answer: Enter, or Ctrl-D. */
const END = [0x0d, 0x0a, 0x04];
const BACKSPACE = [0x08, 0x7f];
const CTRL_C = 0x03;
const CTRL_U = 0x15;

/** Whether there is a terminal to ask on. */
export function mayAsk(): boolean {
  return Deno.stdin.isTerminal() && screen() !== undefined;
}

/** Where the question is shown: preferably not among the data. */
function screen(): typeof Deno.stderr | undefined {
  return [Deno.stderr, Deno.stdout].find((stream) => stream.isTerminal());
}

/**
 * Asks for the password of a user on the terminal. What is typed is not shown.
 *
 * @param onInterrupt Called at Ctrl-C, where it makes no signal (Windows).
 * @returns `null` if `signal` aborted first.
 */
export async function askPassword(
  user: string,
  signal: AbortSignal,
  onInterrupt: () => void,
): Promise<string | null> {
  const write = (text: string) =>
    void screen()?.writeSync(new TextEncoder().encode(text));
  // One byte at a time: what is typed behind the answer is for others.
  const byte = new Uint8Array(1);
  const aborted = new Promise<null>((resolve) =>
    signal.addEventListener("abort", () => resolve(null), { once: true })
  );
  const answer: number[] = [];
  // First of all: what is typed at once must not be shown either.
  Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
  try {
    write(`Password of ${visible(user)}: `);
    while (true) {
      const count = await Promise.race([Deno.stdin.read(byte), aborted]);
      if (signal.aborted) return null;
      const key = byte[0]!;
      if (count === null || END.includes(key)) break;
      if (key === CTRL_C) onInterrupt();
      else if (key === CTRL_U) answer.length = 0;
      else if (BACKSPACE.includes(key)) removeLast(answer);
      else answer.push(key);
    }
  } finally {
    Deno.stdin.setRaw(false);
    write("\n");
  }
  return new TextDecoder().decode(new Uint8Array(answer));
}

/** Removes the last character of UTF-8, which may be of several bytes. */
function removeLast(bytes: number[]): void {
  while (bytes.length > 0 && (bytes.pop()! & 0xc0) === 0x80);
}
