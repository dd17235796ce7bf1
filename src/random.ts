/** Random bytes that have not been used. They are generated in blocks, because a call for a few of them is slow. */
const BLOCK = new Uint8Array(8192);
let used = BLOCK.length;

/** Fills a part of an array with random bytes, which are not used again. */
export function fillRandom(bytes: Uint8Array, at: number, count: number): void {
  if (used + count > BLOCK.length) {
    crypto.getRandomValues(BLOCK);
    used = 0;
  }
  for (let i = 0; i < count; i++) bytes[at + i] = BLOCK[used++]!;
}
