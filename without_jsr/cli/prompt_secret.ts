const ENTER = ["\n", "\r"];
const ERASE = ["\b", "\x7f"];

/**
 * Asks for a secret and echoes a mask. Returns `null` if the input is not a
 * terminal.
 */
export function promptSecret(
  message = "Secret",
  options: { mask?: string; clear?: boolean } = {},
): string | null {
  if (!Deno.stdin.isTerminal()) return null;
  const { mask = "*", clear = false } = options;
  const secret: number[] = [];
  const write = (text: string) =>
    Deno.stdout.writeSync(new TextEncoder().encode(text));
  const redraw = () =>
    write(`\r\x1b[K${message} ${mask.repeat(secret.length)}`);

  redraw();
  // In cbreak mode Ctrl-C still works. Windows does not have it.
  Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
  try {
    const byte = new Uint8Array(1);
    while (Deno.stdin.readSync(byte)) {
      const key = String.fromCharCode(...byte);
      if (ENTER.includes(key)) break;
      if (ERASE.includes(key)) secret.pop();
      else secret.push(...byte);
      redraw();
    }
  } finally {
    Deno.stdin.setRaw(false);
    write(clear ? "\r\x1b[K" : "\n");
  }
  return new TextDecoder().decode(new Uint8Array(secret));
}
