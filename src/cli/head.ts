import type { HandshakeRequest, HandshakeResponse } from "../../mod.ts";
import { visible } from "./visible.ts";

/** How a head is written: for a terminal it is made safe, and in colours it stands out. */
export interface HeadStyle {
  readonly safe: boolean;
  readonly colors: boolean;
}

/** The head of a response, as `curl -i` writes it. */
export function responseHead(
  { status, statusText, headers }: HandshakeResponse,
  { safe, colors }: HeadStyle,
): string {
  const text = safe ? visible : (value: string) => value;
  const bold = (value: string) => colors ? `\x1b[1m${value}\x1b[0m` : value;
  let lines = bold(`HTTP/1.1 ${status} ${statusText}`.trimEnd()) + "\n";
  for (const [name, value] of headers) {
    lines += `${bold(text(name))}: ${text(value)}\n`;
  }
  return lines + "\n";
}

/** How much of a refusal's body is shown, in characters. */
const BODY_START = 2000;

/** The start of a body, its lines safe for a terminal. */
export function bodyStart(body: string): string {
  if (body === "") return "";
  const lines = body.slice(0, BODY_START).trimEnd().split(/\r?\n/);
  const cut = body.length > BODY_START ? " …" : "";
  return `${lines.map(visible).join("\n")}${cut}\n\n`;
}

/** The URL without its credentials, and with the values of its query masked. */
export function shownUrl(input: string): string {
  if (!URL.canParse(input)) return "the URL";
  const url = new URL(input);
  return visible(`${url.protocol}//${url.host}${shownTarget(url)}`);
}

function shownTarget({ pathname, search }: URL): string {
  return pathname + search.replace(/=[^&]*/g, "=***");
}

/** Header fields that anyone may see; the others may hold a secret. */
const PUBLIC =
  /^(accept(-.*)?|cache-control|connection|host|origin|pragma|sec-websocket-.*|upgrade|user-agent)$/i;

/** The head of a request, marked as `curl -v` marks it, with secrets masked. */
export function requestHead({ url, headers }: HandshakeRequest): string {
  const lines = [
    `GET ${shownTarget(new URL(url))} HTTP/1.1`,
    ...[...headers].map(([name, value]) =>
      `${name}: ${PUBLIC.test(name) ? value : masked(value)}`
    ),
    "",
  ];
  return lines.map((line) => `> ${visible(line)}`.trimEnd() + "\n").join("");
}

/** Masks all but the scheme, as in `Bearer ***`. */
function masked(value: string): string {
  const scheme = /^(Basic|Bearer|Digest|Negotiate)\s/i.exec(value)?.[1];
  return scheme === undefined ? "***" : `${scheme} ***`;
}
