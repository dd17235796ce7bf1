/**
 * What is done with the answer to a handshake request, whatever captured it: the
 * body of a refusal is read, and the response or the error is made.
 *
 * @module
 */

import { HandshakeError } from "./errors.ts";
import { printable } from "./escape.ts";
import type { AnswerHeaders } from "./http/headers.ts";
import type { HandshakeRequest, HttpOptions } from "./http/request.ts";
import { NO_ANSWER } from "./http/head.ts";
import { MAX_REDIRECTS, redirected } from "./http/redirect.ts";
import { secretsOf } from "./http/secrets.ts";
import { displayUrl, type Target } from "./http/target.ts";
import { type Expectation, judge } from "./http/upgrade.ts";
import { HandshakeResponse } from "./response.ts";
import { readBody } from "./refusal_body.ts";
import { unlessAborted } from "./unless_aborted.ts";
import { explainTlsError } from "./tls_errors.ts";

/** The options of a handshake, shared by the requests to its target and its redirects. */
export interface HandshakeContext {
  readonly http: HttpOptions;
  /** Whether to offer permessage-deflate, which only capture `"direct"` supports. */
  readonly compression: boolean;
  /** Whether texts are decoded. */
  readonly decode: boolean;
  /** The largest size of a message in bytes, for capture `"direct"`. */
  readonly maxMessage: number;
  /** Whether to follow redirects. */
  readonly follow: boolean;
  /** How many redirects have been followed so far. */
  readonly hops: number;
  /** Aborts when `handshakeTimeout` is over or the caller's signal aborts. */
  readonly signal: AbortSignal;
  /** The signal that the caller passed. */
  readonly caller: AbortSignal | undefined;
  /** Called before each request is sent. */
  readonly onRequest:
    | ((request: HandshakeRequest) => void | Promise<void>)
    | undefined;
}

/**
 * Calls `onRequest` before a request is sent, and waits for it.
 *
 * @param describe Returns the request. Called only if there is someone to tell.
 * @throws What it throws, or the signal's reason.
 */
export async function announce(
  { onRequest, signal }: Pick<HandshakeContext, "onRequest" | "signal">,
  describe: () => HandshakeRequest,
): Promise<void> {
  signal.throwIfAborted();
  if (onRequest === undefined) return;
  await unlessAborted(signal, () => onRequest(describe()));
  signal.throwIfAborted(); // what it did may have aborted it
}

/** The answer to a handshake request, from a pre-flight or from the connection itself. */
export interface Answer {
  readonly source: HandshakeRequest["source"];
  readonly status: number;
  readonly statusText: string;
  readonly headers: AnswerHeaders;
  readonly body: ReadableStream<Uint8Array> | null;
  /** The version of HTTP, such as `"1.1"`, if it is known. */
  readonly version?: string;
}

/** An answer that redirects the client. */
export interface Redirect {
  /** Where it leads. */
  readonly target: Target;
  readonly response: HandshakeResponse;
}

/**
 * Concludes a handshake from its answer.
 *
 * @param hint Continues the message of a refusal, after the status.
 * @returns The response if it is a valid upgrade, or a redirect to follow.
 * @throws {HandshakeError} If the server refused the handshake, with the
 * beginning of the body, or if the answer is not a valid upgrade, naming the rule
 * that it violates.
 */
export function conclude(
  target: Target,
  answer: Answer,
  expected: Omit<Expectation, "protocols" | "secrets">,
  context: HandshakeContext,
  hint = "",
): HandshakeResponse | Redirect | Promise<never> {
  const { protocols } = target;
  const secrets = () => secretsOf(target);
  const verdict = judge(answer, { ...expected, protocols, secrets });
  switch (verdict.kind) {
    case "upgrade":
      return respond(target, answer);
    case "invalid":
      throw invalidUpgrade(target, verdict.problem, {
        response: respond(target, answer),
      });
    case "redirect": {
      if (!context.follow) return refuse(target, answer, context, hint);
      const next = context.hops < MAX_REDIRECTS
        ? redirected(target, verdict.location)
        : `it redirects more than ${MAX_REDIRECTS} times`;
      return typeof next === "string"
        ? refuse(target, answer, context, `: ${next}`)
        : { target: next, response: respond(target, answer) };
    }
    case "refusal":
      return refuse(target, answer, context, hint);
  }
}

/** Throws the error of an answer that is neither an upgrade nor a redirect to follow. */
async function refuse(
  target: Target,
  answer: Answer,
  context: HandshakeContext,
  hint: string,
): Promise<never> {
  const { status, statusText, headers, body } = answer;
  const start = await readBody(body, headers, context);
  throw handshakeError(target, httpError(status, statusText) + hint, {
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

/** Creates a {@linkcode HandshakeError} whose message begins with `Cannot connect to` and the URL. */
export function handshakeError(
  target: Target,
  problem: string,
  options: {
    response?: HandshakeResponse;
    cause?: unknown;
    transient?: boolean;
    by?: HandshakeError["by"];
  } = {},
): HandshakeError {
  return new HandshakeError(
    `Cannot connect to ${displayUrl(target.url)}: ${problem}`,
    { url: target.url.href, ...options },
  );
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

/**
 * Creates the error for a request without an answer from the message of a network
 * error, which becomes its cause. Explains errors of TLS.
 */
export function networkError(target: Target, message: string): HandshakeError {
  const reason = networkReason(message);
  return handshakeError(target, explainReason(target, reason), {
    cause: new TypeError(reason),
  });
}

function explainReason({ url }: Target, reason: string): string {
  if (url.protocol === "wss:") return explainTlsError(reason) ?? reason;
  const problem = WITHOUT_TLS.get(reason);
  return problem === undefined
    ? reason
    : `${problem} (${reason}): if it speaks TLS at this port, the URL needs wss: in place of ws:`;
}

/** What Deno reports where a request without TLS gets no answer in HTTP, as from a server that speaks TLS. */
const WITHOUT_TLS = new Map([
  ["invalid HTTP version parsed", "the server does not answer in HTTP/1.1"],
  [NO_ANSWER, "the server closed the connection without an answer"],
]);

/**
 * Extracts the reason from the message of a network error. Deno's message also
 * contains the whole URL with its query, which may be secret.
 */
export function networkReason(message: string): string {
  const heart = message
    .replace(/^.*?client error \(\w+\): /s, "")
    .replace(/^NetworkError: (?:failed to connect to WebSocket: )?/, "")
    .replace(/: https:\/\/docs\.rs\/\S+$/, "")
    .replace(/\b(?:https?|wss?):\/\/\S+/g, "the server");
  return printable(heart);
}
