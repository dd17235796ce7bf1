/**
 * The encodings that a handshake needs.
 *
 * @module
 */

/** Decodes percent-encoding. Returns the text unchanged if the encoding is invalid. */
export function decodePercent(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Returns the value of an `Authorization` header for HTTP Basic authentication (RFC 7617) in UTF-8. */
export function basicAuth(username: string, password: string): string {
  return `Basic ${base64(new TextEncoder().encode(`${username}:${password}`))}`;
}

/** Encodes bytes in base64. */
export function base64(bytes: Uint8Array): string {
  return btoa(decodeLatin1(bytes));
}

/** Encodes text in Latin-1, one byte for each character, as header fields are encoded. */
export function encodeLatin1(text: string): Uint8Array<ArrayBuffer> {
  const utf8 = new TextEncoder().encode(text);
  if (utf8.length === text.length) return utf8; // it is ASCII, whose encodings are the same
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** The number of bytes that are decoded in one call, which is small enough for the stack. */
const PIECE = 4096;

/** Decodes Latin-1, one character for each byte. */
export function decodeLatin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += PIECE) {
    // A spread of the bytes would go through an iterator, and take six times as long.
    text += Reflect.apply(
      String.fromCharCode,
      null,
      bytes.subarray(at, at + PIECE),
    );
  }
  return text;
}
