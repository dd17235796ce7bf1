/**
 * Lines in a stream of bytes: those of a recording, and of standard input.
 *
 * @module
 */

const NEWLINE = 10;
const RETURN = 13;

/**
 * Splits bytes into lines, and gives those that end in the same chunk together. A
 * line ends in LF or CRLF, which are not part of it; the last one may end with
 * the input.
 *
 * @param limit A line of more bytes than this is given as far as it came, and
 * is the last one.
 */
export async function* lines(
  chunks: AsyncIterable<Uint8Array>,
  limit = Infinity,
): AsyncGenerator<Uint8Array[]> {
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    const found: Uint8Array[] = [];
    let start = 0;
    for (let end; (end = chunk.indexOf(NEWLINE, start)) !== -1;) {
      let line = chunk.subarray(start, end);
      if (parts.length > 0) {
        line = concat([...parts, line]);
        parts = [];
        length = 0;
      }
      found.push(line.at(-1) === RETURN ? line.subarray(0, -1) : line);
      start = end + 1;
    }
    if (found.length > 0) yield found;
    if (start === chunk.length) continue;
    parts.push(chunk.slice(start));
    length += chunk.length - start;
    if (length > limit) break;
  }
  if (parts.length > 0) yield [concat(parts)];
}

/** Joins bytes; a single part is not copied. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(parts.reduce((sum, it) => sum + it.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
