import { escapeCharacter, UNPRINTABLE } from "../../internal.ts";

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

/** The URL without its credentials, and with the values of its query masked. */
export function shownUrl(input: string): string {
  if (!URL.canParse(input)) return "the URL";
  const url = new URL(input);
  return visible(`${url.protocol}//${url.host}${shownTarget(url)}`);
}

/** A name and a value of a query. A token alone may end in `=`, too. */
const PARAMETER = /^([^=]{1,40}=)[^=]/;

/** The path and the query of a URL, with all of the query masked but the names of its values. */
export function shownTarget({ pathname, search }: URL): string {
  if (search === "") return pathname;
  const parts = search.slice(1).split("&").map((part) =>
    `${PARAMETER.exec(part)?.[1] ?? ""}***`
  );
  return `${pathname}?${parts.join("&")}`;
}

/** A number with its thousands apart; one digit after the point below ten. */
export function number(value: number): string {
  const digits = Number.isInteger(value) || value >= 10 ? 0 : 1;
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}

/** A number of bytes, in the largest unit of 1000 that fits. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; bytes >= 1000 && unit < units.length - 1; unit++) bytes /= 1000;
  return `${bytes.toFixed(unit === 0 || bytes >= 100 ? 0 : 1)} ${units[unit]}`;
}

/** A length of time, as in `4.2 s`, `1:05` or `2:03:04`. */
export function time(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const minutes = seconds / 60;
  return minutes < 60
    ? `${Math.floor(minutes)}:${two(seconds % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

/** A number of things, as in `1 message` or `1,000 messages`. */
export function count(value: number, name: string): string {
  return `${number(value)} ${name}${value === 1 ? "" : "s"}`;
}
