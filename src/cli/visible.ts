/**
 * What must not reach a terminal as it is: the control characters of ASCII and
 * of Latin-1, line and paragraph separators, and what turns the direction of
 * text.
 */
const UNSAFE =
  // deno-lint-ignore no-control-regex -- control characters are what it looks for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

const SHORT: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Shows untrusted text on a terminal: one line, in which no character acts. */
export function visible(text: string): string {
  return text.replace(
    UNSAFE,
    (character) =>
      SHORT[character] ??
        "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0"),
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
