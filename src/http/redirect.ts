/**
 * Redirects of a handshake.
 *
 * @module
 */

import { quoteAnswer, secretsOf } from "./secrets.ts";
import {
  displayUrl,
  httpUrl,
  parseUrl,
  type Target,
  withoutCredentials,
} from "./target.ts";

/** The most redirects that are followed. */
export const MAX_REDIRECTS = 10;

/**
 * Returns the target to which a `Location` leads, or a sentence that says why it
 * is not followed: it leads to something else than a WebSocket URL, or from `wss:`
 * to `ws:`. `Authorization`, `Cookie` and `Proxy-Authorization` are kept only if
 * the origin stays the same.
 */
export function redirected(target: Target, location: string): Target | string {
  let url: URL;
  try {
    const next = new URL(location, httpUrl(target.url));
    next.hash = "";
    url = parseUrl(next.href.replace(/^http/, "ws"));
  } catch {
    return `it redirects to ${
      quoteAnswer(withoutSecrets(location), secretsOf(target))
    }, which is not a WebSocket URL`;
  }
  if (target.url.protocol === "wss:" && url.protocol === "ws:") {
    return `it redirects from wss: to ws: (${
      displayUrl(url)
    }), which would give up encryption`;
  }
  const headers = { ...target.headers };
  if (!isSameOrigin(target.url, url)) {
    for (const name of ["Authorization", "Cookie", "Proxy-Authorization"]) {
      delete headers[name];
    }
  }
  return { url: withoutCredentials(url), protocols: target.protocols, headers };
}

function isSameOrigin(a: URL, b: URL): boolean {
  return a.protocol === b.protocol && a.host === b.host;
}

/** Removes credentials, the query and the fragment from a text that may not be a valid URL. */
function withoutSecrets(text: string): string {
  return text.replace(/^((?:https?|wss?|ftp):)?(\/*).*@/is, "$1$2")
    .replace(/[?#].*$/s, "");
}
