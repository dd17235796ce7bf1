const NEWLINE = 10;
const RETURN = 13;

/**
 * Splits bytes into lines. A line ends in LF or CRLF, which are not part of it;
 * the last one may end with the input.
 */
export async function* lines(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  for await (const chunk of chunks) {
    let start = 0;
    for (let end; (end = chunk.indexOf(NEWLINE, start)) !== -1;) {
      const line = concat([...parts, chunk.subarray(start, end)]);
      parts = [];
      yield line.at(-1) === RETURN ? line.subarray(0, -1) : line;
      start = end + 1;
    }
    if (start < chunk.length) parts.push(chunk.slice(start));
  }
  if (parts.length > 0) yield concat(parts);
}

/** Standard input as it comes; nothing where there is none, or only a terminal. */
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

function concat(parts: Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(parts.reduce((sum, it) => sum + it.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
