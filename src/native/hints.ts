import { type HandshakeContext, networkReason } from "../handshake.ts";
import type { Target } from "../http/target.ts";
import { describeAddress, formatHostPort } from "../proxy/address.ts";
import { routeFor } from "../proxy/environment.ts";
import type { Route } from "../proxy/route.ts";

/**
 * Returns what may be the true reason of a refusal: something in the requests of
 * Deno's own HTTP client that capture `"direct"` does not do. The text continues
 * the sentence that names the status; it is empty if there is no such reason.
 *
 * @param asSocket Whether the request was the one of Deno's WebSocket.
 */
export function refusalHint(
  target: Target,
  context: HandshakeContext,
  status: number,
  asSocket: boolean,
): string {
  if (asSocket && status === 400 && "User-Agent" in target.headers) {
    return `: Deno's WebSocket sends its own User-Agent beside the one that was given, ` +
      `and some servers refuse that; leave it out, or choose capture "direct"`;
  }
  if (status === 407) {
    const proxy = httpProxy(target, context);
    return proxy !== null ? `: ${nameOf(proxy)} answered, not the server` : "";
  }
  if (!MISUNDERSTOOD.has(status)) return "";
  if (context.http.address !== undefined) {
    return `: Deno's HTTP client asks for the whole URL at http.address, ` +
      `and some servers do not understand that; capture "direct" asks for the path`;
  }
  const proxy = httpProxy(target, context);
  return proxy !== null
    ? `: ${
      nameOf(proxy)
    } is in between, and may not have passed on the upgrade; capture "direct" opens a tunnel through it`
    : "";
}

/** How servers answer a request that is not the one that was meant. */
const MISUNDERSTOOD = new Set([200, 204, 400, 404, 405, 421, 426, 501]);

/**
 * Returns what a proxy refused, if that is what an error of Deno's HTTP client says.
 *
 * @param reason What the client said.
 */
export function tunnelProblem(
  target: Target,
  context: HandshakeContext,
  reason: string,
): string | null {
  const isAuthorization = /^proxy auth\w+ required$/.test(reason);
  if (!isAuthorization && !/\btunnel/.test(reason)) return null;
  const what = isAuthorization
    ? "did not accept the credentials"
    : "did not open a tunnel";
  return `${nameOf(routeOf(target, context))} ${what} (${reason})`;
}

/**
 * Returns what could not be dialled in place of the URL's host, if that is what an
 * error of Deno's HTTP client says: a proxy, or `http.address`.
 *
 * @param text The whole message of the client.
 */
export function dialProblem(
  target: Target,
  context: HandshakeContext,
  text: string,
): { problem: string; by: "server" | "proxy" } | null {
  const reason = networkReason(text);
  const { address } = context.http;
  if (address !== undefined) {
    return /client error \(Connect\)/.test(text)
      ? {
        problem: `${describeAddress(address)} could not be reached: ${reason}`,
        by: "server",
      }
      : null;
  }
  // With a proxy, nothing else is dialled.
  const proxy = routeOf(target, context);
  return proxy !== null && UNREACHABLE.test(reason)
    ? { problem: `${nameOf(proxy)} could not be used: ${reason}`, by: "proxy" }
    : null;
}

/** What Deno reports where nobody answers, or the name of the host cannot be resolved; the last two with SOCKS. */
const UNREACHABLE =
  /^(?:tcp connect error|dns error|Proxy server unreachable|failed to lookup)\b/;

/** Names a proxy for a message. */
function nameOf(proxy: Route | null): string {
  return proxy === null ? "the proxy" : `the proxy ${formatHostPort(proxy)}`;
}

/** Returns the HTTP proxy that gets the request as it is, without a tunnel, if there is one. */
function httpProxy(target: Target, context: HandshakeContext): Route | null {
  if (target.url.protocol !== "ws:") return null;
  const route = routeOf(target, context);
  return route?.kind === "socks5" ? null : route;
}

/** Returns the proxy that Deno's HTTP client uses, if any. */
function routeOf({ url }: Target, { http }: HandshakeContext): Route | null {
  if (http.address !== undefined) return null;
  try {
    return routeFor(url, http.proxy);
  } catch {
    return null; // the variable names no proxy, which Deno's client overlooks
  }
}
