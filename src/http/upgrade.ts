import type { HandshakeError } from "../errors.ts";
import { HandshakeResponse } from "../response.ts";
import { printable, quote } from "../escape.ts";
import { readBody } from "./body.ts";
import type { HandshakeContext, HandshakeRequest } from "./request.ts";
import { handshakeError, type Redirect, type Target } from "./target.ts";

export { handshakeError } from "./target.ts";

/** The header fields of an answer: a `Headers` object, or what one can be created from. Names are in lower case. */
export type AnswerHeaders =
  & Pick<Headers, "get">
  & Iterable<[name: string, value: string]>;

/** The answer to a handshake request, from a pre-flight or from the connection itself. */
export interface Answer {
  readonly source: HandshakeRequest["source"];
  readonly status: number;
  readonly statusText: string;
  readonly headers: AnswerHeaders;
  readonly body: ReadableStream<Uint8Array> | null;
}

/** The requirements of a valid upgrade that depend on the request. */
export interface Expectation {
  /** The value of `Sec-WebSocket-Accept` for the key that was sent. */
  readonly accept: string;
  /**
   * Checks `Sec-WebSocket-Extensions`. Returns the rule that it violates, or
   * `null`. By default every extension is refused.
   */
  readonly extensionProblem?: (extensions: string) => string | null;
  /** Whether the answer must also satisfy the stricter checks of Deno's WebSocket. */
  readonly native?: boolean;
}

/**
 * Checks the answer to a handshake request.
 *
 * @returns The response if it is a valid upgrade, or a redirect to follow.
 * @throws {HandshakeError} If the server refused the handshake, with the
 * beginning of the body, or if the answer is not a valid upgrade, naming the rule
 * that it violates.
 */
export function judge(
  target: Target,
  answer: Answer,
  expected: Expectation,
  context: HandshakeContext,
): HandshakeResponse | Redirect | Promise<never> {
  const { status, headers } = answer;
  if (status === 101) {
    const response = respond(target, answer);
    const problem = upgradeProblem(target, headers, expected);
    if (problem !== null) throw invalidUpgrade(target, problem, { response });
    return response;
  }
  const location = context.follow ? redirectLocation(status, headers) : null;
  return location === null
    ? refuse(target, answer, context)
    : { location, response: respond(target, answer) };
}

/** Throws the error of an answer that is neither an upgrade nor a redirect to follow. */
async function refuse(
  target: Target,
  answer: Answer,
  context: HandshakeContext,
): Promise<never> {
  const { status, statusText, headers, body } = answer;
  const start = await readBody(body, headers, context);
  throw handshakeError(target, httpError(status, statusText), {
    response: respond(target, answer, start),
  });
}

function respond(
  target: Target,
  { status, statusText, headers, source }: Answer,
  body?: Uint8Array,
): HandshakeResponse {
  const url = target.url.href;
  return new HandshakeResponse({
    url,
    status,
    statusText,
    headers,
    source,
    body,
  });
}

/** Formats the status of a refusal for an error message, such as `HTTP error: 404 Not Found`. */
export function httpError(status: number, statusText: string): string {
  return `HTTP error: ${status} ${statusText}`.trimEnd();
}

/** Returns the rule of RFC 6455 section 4.1 that a 101 response violates, or `null`. */
function upgradeProblem(
  target: Target,
  headers: AnswerHeaders,
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
  // Deno's WebSocket compares the whole value; the RFC requires only the token.
  return connection?.toLowerCase() === "upgrade"
    ? null
    : `Deno's WebSocket wants its Connection header to be exactly "upgrade", ` +
      `and it is ${shown(connection)}; capture "direct" takes it`;
}

/** Returns the rule that the chosen subprotocol or the chosen extensions violate, or `null`. */
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

/** Whether a comma-separated header value contains a token. */
function lists(value: string | null, token: string): boolean {
  if (value === null) return false;
  return value.toLowerCase().split(",").some((part) => part.trim() === token);
}

function shown(value: string | null): string {
  return value === null ? "missing" : quote(value);
}

/** Creates the error for an answer that is not a valid upgrade. */
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

/** Creates the error for a request without an answer from the message of a network error. */
export function networkError(target: Target, message: string): HandshakeError {
  const reason = networkReason(message);
  return handshakeError(target, reason, { cause: new TypeError(reason) });
}

/** Returns the `Location` of a redirect, or `null` if the response is not a redirect. */
function redirectLocation(
  status: number,
  headers: AnswerHeaders,
): string | null {
  return [301, 302, 303, 307, 308].includes(status)
    ? headers.get("location")
    : null;
}

/**
 * Extracts the reason from the message of a network error. Deno's message also
 * contains the whole URL with its query, which may be secret.
 */
export function networkReason(message: string): string {
  const heart = message
    .replace(/^.*?client error \(\w+\): /s, "")
    .replace(/^NetworkError: (?:failed to connect to WebSocket: )?/, "")
    .replace(/\b(?:https?|wss?):\/\/\S+/g, "the server");
  return printable(heart);
}
