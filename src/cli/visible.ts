import { escapeCharacter, UNPRINTABLE } from "../text.ts";

const SHORT: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Shows untrusted text on a terminal: one line, in which no character acts. */
export function visible(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (character) => SHORT[character] ?? escapeCharacter(character),
  );
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text that bytes are in UTF-8, `null` if they are none. */
export function decodeText(bytes: Uint8Array): string | null {
  try {
    return UTF8.decode(bytes);
  } catch {
    return null;
  }
}

/** Shows bytes that are not UTF-8: ASCII as it is, the rest as `\xNN`. */
export function visibleBytes(bytes: Uint8Array): string {
  let shown = "";
  for (const byte of bytes) {
    shown += byte >= 0x20 && byte < 0x7f
      ? String.fromCharCode(byte)
      : "\\x" + byte.toString(16).padStart(2, "0");
  }
  return shown;
}
