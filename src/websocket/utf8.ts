/**
 * Decodes UTF-8, and checks it (RFC 3629).
 *
 * @module
 */

import { ProtocolError } from "./protocol_error.ts";

/** Decodes UTF-8, replacing malformed bytes. A leading byte order mark is kept, since it is part of the message. */
export const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });
/** Decodes UTF-8, and throws if it is malformed. It takes twice as long as {@linkcode UTF8}. */
export const STRICT_UTF8 = new TextDecoder("utf-8", {
  ignoreBOM: true,
  fatal: true,
});

/**
 * Decodes a complete text. A decoder that throws on errors takes twice as long, so
 * it is used only if the output of the other one has a replacement character (the row
 * "recv(), 64 KiB" of `bench/`).
 *
 * @throws {ProtocolError} With code 1007, if the text is not UTF-8.
 */
export function decodeText(bytes: Uint8Array): string {
  const text = UTF8.decode(bytes);
  if (text.includes("\ufffd")) checkReplacement(bytes);
  return text;
}

function checkReplacement(bytes: Uint8Array): void {
  try {
    STRICT_UTF8.decode(bytes);
  } catch {
    throw notUtf8();
  }
}

/** Whether complete bytes are UTF-8. */
let isUtf8 = (bytes: Uint8Array): boolean => {
  try {
    decodeText(bytes);
    return true;
  } catch {
    return false;
  }
};

/**
 * Loads the check for texts that are not decoded. Without it they are decoded only to
 * be checked, which takes from 1.5 to 6 times as long. It is not loaded before it is
 * needed, because that takes 12 milliseconds of the time to start.
 */
export async function loadTextCheck(): Promise<void> {
  ({ isUtf8 } = await import("node:buffer"));
}

/** Whether a complete text is UTF-8. */
export function isText(bytes: Uint8Array): boolean {
  return isUtf8(bytes);
}

/**
 * Checks a complete text.
 *
 * @throws {ProtocolError} With code 1007, if the text is not UTF-8.
 */
export function checkText(bytes: Uint8Array): void {
  if (!isUtf8(bytes)) throw notUtf8();
}

/** Creates the error for a text that is not UTF-8. */
export function notUtf8(): ProtocolError {
  return new ProtocolError(1007, "a text is not UTF-8");
}

/** Checks whether bytes that arrive in parts are UTF-8 (RFC 3629 section 4). */
export class Utf8Checker {
  /** The number of bytes of the current character that have not arrived. */
  #left = 0;
  /** The range in which the next of them must be. */
  #least = 0x80;
  #most = 0xbf;

  /** Starts with a new text. */
  reset(): void {
    this.#left = 0;
    this.#least = 0x80;
    this.#most = 0xbf;
  }

  /** Whether the bytes so far end with a complete character. */
  get isComplete(): boolean {
    return this.#left === 0;
  }

  /** Checks more bytes. Returns `false` if the text is not UTF-8. */
  push(bytes: Uint8Array): boolean {
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i]!;
      if (this.#left > 0) {
        if (byte < this.#least || byte > this.#most) return false;
        this.#left--;
        this.#least = 0x80;
        this.#most = 0xbf;
      } else if (byte >= 0x80) {
        if (byte < 0xc2 || byte > 0xf4) return false;
        this.#left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
        // Excludes overlong forms, surrogates and code points beyond U+10FFFF.
        if (byte === 0xe0) this.#least = 0xa0;
        else if (byte === 0xed) this.#most = 0x9f;
        else if (byte === 0xf0) this.#least = 0x90;
        else if (byte === 0xf4) this.#most = 0x8f;
      }
    }
    return true;
  }
}
