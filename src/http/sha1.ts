/**
 * Computes the SHA-1 digest of a short message (FIPS 180-4 section 6.1.2).
 *
 * `crypto.subtle.digest()` computes in another thread, which takes a third of the
 * time in which Deno's WebSocket connects (the rows "From the call to the first
 * message" of `bench/`), and loading `node:crypto` takes 12 to 15 ms, once. A handshake uses the digest to tell a WebSocket server from another
 * server, not for security (RFC 6455 section 10.3).
 *
 * @param message The message, less than 512 MiB long.
 * @returns The digest, 20 bytes long.
 */
export function sha1(message: Uint8Array): Uint8Array {
  // The message, one bit that is set, zeros, and the length of the message in bits.
  const padded = new Uint8Array((message.length + 72) & ~63);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 4, message.length * 8);

  const hash = new Int32Array([
    0x67452301,
    0xefcdab89,
    0x98badcfe,
    0x10325476,
    0xc3d2e1f0,
  ]);
  const words = new Int32Array(80);
  for (let block = 0; block < padded.length; block += 64) {
    for (let t = 0; t < 16; t++) words[t] = view.getInt32(block + t * 4);
    for (let t = 16; t < 80; t++) {
      const mixed = words[t - 3]! ^ words[t - 8]! ^ words[t - 14]! ^
        words[t - 16]!;
      words[t] = (mixed << 1) | (mixed >>> 31);
    }
    let a = hash[0]!, b = hash[1]!, c = hash[2]!, d = hash[3]!, e = hash[4]!;
    for (let t = 0; t < 80; t++) {
      const mixed = t < 20
        ? ((b & c) | (~b & d)) + 0x5a827999
        : t < 40
        ? (b ^ c ^ d) + 0x6ed9eba1
        : t < 60
        ? ((b & c) | (b & d) | (c & d)) - 0x70e44324
        : (b ^ c ^ d) - 0x359d3e2a;
      const added = (mixed | 0) + (e + words[t]! | 0) | 0;
      const next = ((a << 5) | (a >>> 27)) + added | 0;
      e = d;
      d = c;
      c = (b << 30) | (b >>> 2);
      b = a;
      a = next;
    }
    hash[0]! += a; // modulo 2^32, because of the Int32Array
    hash[1]! += b;
    hash[2]! += c;
    hash[3]! += d;
    hash[4]! += e;
  }
  const digest = new DataView(new ArrayBuffer(20));
  for (let i = 0; i < 5; i++) digest.setInt32(i * 4, hash[i]!);
  return new Uint8Array(digest.buffer);
}
