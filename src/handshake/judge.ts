import type { HandshakeError } from "../errors.ts";
import { HandshakeResponse } from "../response.ts";
import { printable, quote } from "../text.ts";
import { readBody } from "./body.ts";
import type { HandshakeContext, HandshakeRequest } from "./request.ts";
import { handshakeError, type Redirect, type Target } from "./target.ts";

export { handshakeError } from "./target.ts";

/** The answer to a handshake request, whatever brought it. */
export interface Answer {
  readonly source: HandshakeRequest["source"];
  readonly status: number;
  readonly statusText: string;
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | null;
}

/** What a valid upgrade must say. */
export interface Expectation {
  /** The `Sec-WebSocket-Accept` that answers the key which was sent. */
  readonly accept: string;
  /** Names the rule that the agreed extensions break, `null` if none. By default any extension breaks one. */
  readonly extensionProblem?: (extensions: string) => string | null;
  /** Whether Deno's WebSocket must be able to take the answer too. */
  readonly native?: boolean;
}

/**
 * Decides what an answer means.
 *
 * @returns The response of a valid upgrade, or a redirect that is to be followed.
 * @throws {HandshakeError} If the answer is a refusal, with the start of its
 * body, or if it is not a valid upgrade, naming the rule that it breaks.
 */
export async function judge(
  target: Target,
  answer: Answer,
  expected: Expectation,
  context: HandshakeContext,
): Promise<HandshakeResponse | Redirect> {
  const { source, status, statusText, headers } = answer;
  const respond = (body?: Uint8Array) =>
    new HandshakeResponse({
      url: target.url.href,
      status,
      statusText,
      headers,
      source,
      body,
    });
  if (status === 101) {
    const response = respond();
    const problem = upgradeProblem(target, headers, expected);
    if (problem !== null) throw invalidUpgrade(target, problem, { response });
    return response;
  }
  const location = context.follow ? redirectLocation(status, headers) : null;
  if (location !== null) return { location, response: respond() };
  const response = respond(await readBody(answer.body, headers, context));
  throw handshakeError(target, httpError(status, statusText), { response });
}

/** How messages name an answer that is a refusal. */
export function httpError(status: number, statusText: string): string {
  return `HTTP error: ${status} ${statusText}`.trimEnd();
}

/** The rule of RFC 6455 section 4.1 that a 101 response breaks, `null` if none. */
function upgradeProblem(
  target: Target,
  headers: Headers,
  { accept, extensionProblem, native }: Expectation,
): string | null {
  const upgrade = headers.get("upgrade");
  const connection = headers.get("connection");
  const accepted = headers.get("sec-websocket-accept");
  if (upgrade?.trim().toLowerCase() !== "websocket") {
    return `its Upgrade header is ${shown(upgrade)} instead of "websocket"`;
  }
  if (!lists(connection, "upgrade")) {
    return `its Connection header is ${
      shown(connection)
    } and does not list "upgrade"`;
  }
  if (accepted?.trim() !== accept) {
    return `its Sec-WebSocket-Accept header is ${
      shown(accepted)
    } and does not answer the key`;
  }
  const problem = negotiationProblem(
    target,
    headers.get("sec-websocket-protocol") ?? "",
    headers.get("sec-websocket-extensions") ?? "",
    extensionProblem,
  );
  if (problem !== null || !native) return problem;
  // Deno's WebSocket compares the whole header, where the RFC asks for a token in it.
  return connection?.toLowerCase() === "upgrade"
    ? null
    : `Deno's WebSocket wants its Connection header to be exactly "upgrade", ` +
      `and it is ${shown(connection)}; capture "direct" takes it`;
}

/** The rule that the choice of a subprotocol or of extensions breaks, `null` if none. */
export function negotiationProblem(
  target: Target,
  protocol: string,
  extensions: string,
  extensionProblem: Expectation["extensionProblem"] = noExtension,
): string | null {
  if (protocol !== "" && !target.protocols.includes(protocol)) {
    return `it chose the subprotocol ${quote(protocol)}, which was not offered`;
  }
  return extensions === "" ? null : extensionProblem(extensions);
}

function noExtension(extensions: string): string {
  return `it chose the extension ${quote(extensions)}, and none was offered`;
}

/** Whether a comma-separated header value lists a token. */
function lists(value: string | null, token: string): boolean {
  return (value ?? "").split(",").some((part) =>
    part.trim().toLowerCase() === token
  );
}

function shown(value: string | null): string {
  return value === null ? "missing" : quote(value);
}

/** The error for an answer that is not a valid upgrade. */
export function invalidUpgrade(
  target: Target,
  problem: string,
  options: { response?: HandshakeResponse; cause?: Error } = {},
): HandshakeError {
  return handshakeError(
    target,
    `the server's answer is not a valid upgrade: ${problem}`,
    { ...options, transient: false },
  );
}

/** The error for a request that got no answer, with the reason in the network's words. */
export function networkError(target: Target, message: string): HandshakeError {
  const reason = networkReason(message);
  return handshakeError(target, reason, { cause: new TypeError(reason) });
}

/** Where a redirect leads, `null` if the response is none. */
function redirectLocation(status: number, headers: Headers): string | null {
  return [301, 302, 303, 307, 308].includes(status)
    ? headers.get("location")
    : null;
}

/**
 * The heart of a network error's text. Around it Deno puts the whole URL, with
 * its credentials and its query.
 */
export function networkReason(message: string): string {
  const heart = message
    .replace(/^.*?client error \(\w+\): /s, "")
    .replace(/^NetworkError: (?:failed to connect to WebSocket: )?/, "")
    .replace(/\b(?:https?|wss?):\/\/\S+/g, "the server");
  return printable(heart);
}
