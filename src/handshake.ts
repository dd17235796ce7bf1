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
import { displayUrl, type Target } from "./http/target.ts";
import { type Expectation, judge } from "./http/upgrade.ts";
import { HandshakeResponse } from "./response.ts";
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
  /** Aborts when `handshakeTimeout` is over or the caller's signal aborts. */
  readonly signal: AbortSignal;
  /** The signal that the caller passed. */
  readonly caller: AbortSignal | undefined;
  /** Called before each request is sent. */
  readonly onRequest: ((request: HandshakeRequest) => void) | undefined;
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
  readonly location: string;
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
  expected: Omit<Expectation, "protocols">,
  context: HandshakeContext,
  hint = "",
): HandshakeResponse | Redirect | Promise<never> {
  const { protocols } = target;
  const verdict = judge(answer, { ...expected, protocols });
  switch (verdict.kind) {
    case "upgrade":
      return respond(target, answer);
    case "invalid":
      throw invalidUpgrade(target, verdict.problem, {
        response: respond(target, answer),
      });
    case "redirect":
      if (!context.follow) return refuse(target, answer, context, hint);
      return { location: verdict.location, response: respond(target, answer) };
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

/** The most bytes that are read of the body of a refusal. */
const MAX_BODY = 64 * 1024;
/** The longest time that reading the body of a refusal may take, in milliseconds. */
const MAX_BODY_TIME = 5_000;

/**
 * Reads the first 64 KiB of a body, or the part of them that arrives within 5
 * seconds or before the handshake has to end, and decompresses them if they are
 * compressed with gzip: again up to 64 KiB. The bytes are checked as well as the
 * header, because in some versions of Deno `fetch` has decompressed them already.
 *
 * @throws The reason of the caller's signal, if it aborts.
 */
export async function readBody(
  body: ReadableStream<Uint8Array> | null,
  headers: AnswerHeaders,
  context: Pick<HandshakeContext, "signal" | "caller">,
): Promise<Uint8Array> {
  const start = await readStart(body, context);
  const encoding = headers.get("content-encoding")?.trim().toLowerCase();
  const isGzip = encoding === "gzip" && start[0] === 0x1f && start[1] === 0x8b;
  if (!isGzip) return start;
  return await readStart(inflated(start), context);
}

/** The size of the pieces that are decompressed, in bytes. Each may become a thousand times as long. */
const PIECE = 256;

/** Decompresses gzip, no further than it is read by more than a few pieces. */
function inflated(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array> {
  let at = 0;
  const pieces = new ReadableStream<BufferSource>({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.subarray(at, at += PIECE));
    },
  }, { highWaterMark: 0 });
  return pieces.pipeThrough(new DecompressionStream("gzip"));
}

/** Reads the first 64 KiB of a body, or the part of them that arrives within 5 seconds. */
export async function readStart(
  body: ReadableStream<Uint8Array> | null,
  { signal, caller }: Pick<HandshakeContext, "signal" | "caller">,
): Promise<Uint8Array<ArrayBuffer>> {
  const start = new Uint8Array(MAX_BODY);
  if (body === null) return start.subarray(0, 0);
  let length = 0;
  const reader = body.getReader();
  const stop = () => void reader.cancel().catch(() => {});
  const timer = setTimeout(stop, MAX_BODY_TIME);
  signal.addEventListener("abort", stop);
  try {
    while (length < MAX_BODY) {
      const { value, done } = await reader.read();
      if (done) break;
      const part = value.subarray(0, MAX_BODY - length);
      start.set(part, length);
      length += part.length;
    }
  } catch {
    // The body ended early. What has been read is returned, since the status
    // matters more.
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    stop();
  }
  caller?.throwIfAborted();
  return start.slice(0, length);
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
