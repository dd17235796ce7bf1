/**
 * Judges the answer to a handshake request (RFC 6455 section 4.1) by its status and
 * its header fields.
 *
 * @module
 */

import { quote } from "../escape.ts";
import { type AnswerHeaders, listsToken, trimSpace } from "./headers.ts";
import { quoteAnswer, repeats } from "./secrets.ts";

/** The requirements of a valid upgrade that depend on the request. */
export interface Expectation {
  /** The value of `Sec-WebSocket-Accept` for the key that was sent. */
  readonly accept: string;
  /** The subprotocols that were offered. */
  readonly protocols: readonly string[];
  /** Returns what of the request a problem must not repeat. None by default. */
  readonly secrets?: () => string[];
  /**
   * Checks `Sec-WebSocket-Extensions`. Returns the rule that it violates, or
   * `null`. By default every extension is refused.
   */
  readonly extensionProblem?: (extensions: string) => string | null;
  /** Whether the answer must also satisfy the stricter checks of Deno's WebSocket. */
  readonly native?: boolean;
}

/** What an answer means. */
export type Verdict =
  | { readonly kind: "upgrade" }
  /** It asks for an upgrade in vain: it violates a rule, which continues a sentence about the answer. */
  | { readonly kind: "invalid"; readonly problem: string }
  | { readonly kind: "redirect"; readonly location: string }
  | { readonly kind: "refusal" };

const UPGRADE: Verdict = { kind: "upgrade" };
const REFUSAL: Verdict = { kind: "refusal" };

/** Judges an answer. */
export function judge(
  { status, headers, version = "1.1" }: {
    status: number;
    headers: AnswerHeaders;
    version?: string;
  },
  expected: Expectation,
): Verdict {
  if (status === 101) {
    const problem = version === "1.1"
      ? upgradeProblem(headers, expected)
      : `it speaks HTTP/${version}, not HTTP/1.1`;
    return problem === null ? UPGRADE : { kind: "invalid", problem };
  }
  const location = [301, 302, 303, 307, 308].includes(status)
    ? headers.get("location")
    : null;
  return location === null ? REFUSAL : { kind: "redirect", location };
}

/** Returns the rule of RFC 6455 section 4.1 that a 101 response violates, or `null`. */
function upgradeProblem(
  headers: AnswerHeaders,
  expected: Expectation,
): string | null {
  const shown = (value: string | null) =>
    value === null ? "missing" : quoteAnswer(value, secretsIn(expected));
  const upgrade = headers.get("upgrade");
  const connection = headers.get("connection");
  const accepted = headers.get("sec-websocket-accept");
  if (upgrade === null || trimSpace(upgrade).toLowerCase() !== "websocket") {
    return `its Upgrade header is ${shown(upgrade)} instead of "websocket"`;
  }
  if (!listsToken(connection, "upgrade")) {
    return `its Connection header is ${
      shown(connection)
    } and does not list "upgrade"`;
  }
  if (accepted === null || trimSpace(accepted) !== expected.accept) {
    return `its Sec-WebSocket-Accept header is ${
      shown(accepted)
    } and does not answer the key`;
  }
  const problem = negotiationProblem(
    headers.get("sec-websocket-protocol") ?? "",
    headers.get("sec-websocket-extensions") ?? "",
    expected,
  );
  if (problem !== null || !expected.native) return problem;
  // Deno's WebSocket compares the whole value; the RFC requires only the token.
  return connection?.toLowerCase() === "upgrade"
    ? null
    : `Deno's WebSocket wants its Connection header to be exactly "upgrade", ` +
      `and it is ${shown(connection)}; capture "direct" takes it`;
}

/** Returns the rule that the chosen subprotocol or the chosen extensions violate, or `null`. */
export function negotiationProblem(
  protocol: string,
  extensions: string,
  expected: Pick<Expectation, "protocols" | "secrets" | "extensionProblem">,
): string | null {
  const { protocols, extensionProblem = noExtension } = expected;
  if (protocol !== "" && !protocols.includes(protocol)) {
    const which = protocols.some((offered) => isLike(protocol, offered))
      ? "a subprotocol that resembles an offered one"
      : `the subprotocol ${quoteAnswer(protocol, secretsIn(expected))}`;
    return `it chose ${which}, which was not offered`;
  }
  const problem = extensions === "" ? null : extensionProblem(extensions);
  const isSecret = problem !== null &&
    secretsIn(expected).some((secret) => repeats(extensions, secret));
  return isSecret
    ? "its Sec-WebSocket-Extensions header repeats a part of the request"
    : problem;
}

function secretsIn({ secrets }: Pick<Expectation, "secrets">): string[] {
  return secrets?.() ?? [];
}

/** Whether a chosen subprotocol resembles an offered one, which may be a token that gives access, so that it must not be shown. */
function isLike(chosen: string, offered: string): boolean {
  return repeats(chosen, offered) ||
    offered.toLowerCase().includes(chosen.toLowerCase());
}

function noExtension(extensions: string): string {
  return `it chose the extension ${quote(extensions)}, and none was offered`;
}
