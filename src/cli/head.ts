import type { HandshakeResponse } from "../../mod.ts";
import { visible } from "./visible.ts";

/** How a head is written: for a terminal it is made safe, and in colours it stands out. */
export interface HeadStyle {
  readonly safe: boolean;
  readonly colors: boolean;
}

/** The head of a response, as `curl -i` writes it. */
export function responseHead(
  { status, statusText, headers }: HandshakeResponse,
  style: HeadStyle,
): string {
  return head(`HTTP/1.1 ${status} ${statusText}`.trimEnd(), headers, style) +
    "\n";
}

function head(
  firstLine: string,
  headers: Iterable<[string, string]>,
  { safe, colors }: HeadStyle,
): string {
  const text = safe ? visible : (value: string) => value;
  const bold = (value: string) => colors ? `\x1b[1m${value}\x1b[0m` : value;
  let lines = `${bold(text(firstLine))}\n`;
  for (const [name, value] of headers) {
    lines += `${bold(text(name))}: ${text(value)}\n`;
  }
  return lines;
}
