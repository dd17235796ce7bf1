import { sleep } from "../duration.ts";
import { HandshakeError, printable } from "../errors.ts";
import {
  acceptFor,
  createKey,
  describeRequest,
  type Fields,
  handshakeError,
  httpUrl,
  invalidUpgrade,
  networkReason,
  type Redirect,
  redirectLocation,
  refusal,
  requestHeaders,
  type Target,
  verifyUpgrade,
} from "../handshake.ts";
import { HandshakeResponse } from "../response.ts";
import { readBody } from "./body.ts";
import type { Attach } from "../line.ts";
import { createClient, type Scope } from "./scope.ts";
import { openDirect } from "./socket.ts";

/**
 * How long a server may need to notice the end of the pre-flight's connection:
 * one that allows a single connection refuses an immediate second one.
 */
const RETRY_DELAY = 100;

/** Why a pre-flight ends. It is no error, which would take a stack trace. */
const DONE = "done";

/**
 * Captures the response with a `fetch` of its own, then opens the socket: the
 * server sees two connections.
 */
export async function capturePreflight(
  target: Target,
  scope: Scope,
  attach: Attach,
): Promise<HandshakeResponse | Redirect> {
  let answer: HandshakeResponse | Redirect;
  let opening: Promise<string | null>;
  {
    using client = createClient(scope);
    answer = await preflight(target, scope, client);
    if (!(answer instanceof HandshakeResponse)) return answer;
    opening = openDirect(target, scope, client, attach);
  } // while the server makes up its answer is the time to close a client
  if (await opening === null) return answer;

  await sleep(RETRY_DELAY, scope.signal);
  using client = createClient(scope);
  const failure = await openDirect(target, scope, client, attach);
  if (failure === null) return answer;
  return await explain(target, scope, failure);
}

/**
 * Asks once more over `fetch`, to learn why the native socket did not open: it
 * keeps the answer to itself, and on `wss:` every failure reads the same.
 *
 * @param failure The native socket's own words.
 * @throws {HandshakeError} The reason, whatever it is.
 */
export async function explain(
  target: Target,
  scope: Scope,
  failure: string,
): Promise<Redirect> {
  const words = target.url.protocol === "ws:" ? ` (${failure})` : "";
  using client = createClient(scope);
  let answer;
  try {
    answer = await preflight(target, scope, client);
  } catch (error) {
    if (!(error instanceof HandshakeError) || !isBlockedPort(error.cause)) {
      throw error;
    }
    const why = words ||
      ", and the reason cannot be learnt: fetch refuses to dial this port";
    throw handshakeError(target, `the socket did not open${why}`);
  }
  if (!(answer instanceof HandshakeResponse)) return answer;
  throw handshakeError(
    target,
    `the server accepted the pre-flight and refused the socket${words}`,
  );
}

/**
 * Sends one handshake request with `fetch` and lets go of its connection.
 *
 * @returns The verified 101 response, or a redirect that is to be followed.
 * @throws {HandshakeError} If the answer is anything else, or there is none.
 */
async function preflight(
  target: Target,
  scope: Scope,
  client: Deno.HttpClient,
): Promise<HandshakeResponse | Redirect> {
  const key = createKey();
  const release = new AbortController();
  try {
    const headers = preflightHeaders(target, key);
    scope.onRequest?.(describeRequest("preflight", target, headers));
    const answering = fetch(httpUrl(target.url), {
      headers,
      redirect: "manual",
      client,
      signal: AbortSignal.any([scope.signal, release.signal]),
    });
    const expected = acceptFor(key); // while the server makes up its answer
    const answer = await answering.catch((error) => {
      scope.signal.throwIfAborted();
      throw networkError(target, error);
    });
    const response = (body?: Uint8Array) =>
      new HandshakeResponse({
        url: target.url.href,
        status: answer.status,
        statusText: answer.statusText,
        headers: answer.headers,
        source: "preflight",
        body,
      });
    if (answer.status === 101) {
      release.abort(DONE); // before anything else: the socket follows at once
      const accepted = response();
      verifyUpgrade(target, accepted, expected);
      refuseForNativeSocket(target, accepted);
      return accepted;
    }
    const location = scope.follow
      ? redirectLocation(answer.status, answer.headers)
      : null;
    if (location !== null) return { location, response: response() };
    const body = await readBody(answer.body, answer.headers, scope);
    throw refusal(target, response(body));
  } finally {
    release.abort(DONE);
  }
}

/** The header fields with what `fetch` would add by itself, so that they are known. */
function preflightHeaders(target: Target, key: string): Fields {
  return {
    "accept": "*/*",
    "accept-language": "*",
    ...requestHeaders(target, key),
  };
}

/** The native socket compares the whole header, where RFC 6455 asks for a token in it. */
function refuseForNativeSocket(
  target: Target,
  response: HandshakeResponse,
): void {
  const connection = response.headers.get("connection") ?? "";
  if (connection.toLowerCase() === "upgrade") return;
  throw invalidUpgrade(
    target,
    `Deno's WebSocket wants its Connection header to be exactly "upgrade", ` +
      `and it is "${printable(connection)}"; capture "tap" takes it`,
    response,
  );
}

/** The error for a `fetch` that got no answer. A missing permission stays what it is. */
function networkError(target: Target, error: unknown): Error {
  if (error instanceof Deno.errors.NotCapable) return error;
  if (isBlockedPort(error)) {
    return handshakeError(
      target,
      `fetch refuses to dial port ${target.url.port}, which the pre-flight needs; ` +
        `capture "none" and "tap" do not`,
      { cause: error },
    );
  }
  const { message, cause } = error as Error;
  const reason = networkReason(
    cause instanceof Error ? cause.message : message,
  );
  return handshakeError(target, reason, { cause: new TypeError(reason) });
}

/** Whether `fetch` refused to dial a port, which it will do ever after. */
export function isBlockedPort(error: unknown): boolean {
  return error instanceof TypeError &&
    /Requests to port \d+ are blocked/.test(error.message);
}
