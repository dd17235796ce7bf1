/**
 * What of a request must be in no message, although the answer may repeat it.
 *
 * @module
 */

import { quote } from "../escape.ts";
import { decodePercent } from "./encoding.ts";
import type { Target } from "./target.ts";

/** The length from which a text may be a secret, in characters: many answers have a shorter one in them by chance. */
const SHORTEST = 4;

/** Returns what may give access: the query, the values of the headers, and the subprotocols. */
export function secretsOf({ url, protocols, headers }: Target): string[] {
  const query = url.search.slice(1);
  return [query, decodePercent(query), ...Object.values(headers), ...protocols]
    .filter((secret) => secret.length >= SHORTEST);
}

/** The length from which a part of a secret may be worth keeping secret, in characters. */
const PART = 6;

/** Whether a text has a whole secret in it, or a part of one. */
export function repeats(text: string, secret: string): boolean {
  const [all, kept] = [text.toLowerCase(), secret.toLowerCase()];
  if (all.includes(kept)) return true;
  for (let at = 0; at + PART <= kept.length; at++) {
    if (all.includes(kept.slice(at, at + PART))) return true;
  }
  return false;
}

/** How much of a text is looked at, in characters: all that `quote()` shows. */
const MAX_LOOK = 100;

/** Quotes a text of an answer, unless it repeats a part of a secret. */
export function quoteAnswer(text: string, secrets: readonly string[]): string {
  return secrets.some((secret) => repeats(text.slice(0, MAX_LOOK), secret))
    ? "(not shown: it repeats a part of the request)"
    : quote(text);
}
