import { sleep } from "../timers.ts";
import { HandshakeError } from "../errors.ts";
import {
  announce,
  conclude,
  type HandshakeContext,
  handshakeError,
  networkError,
  networkReason,
  type Redirect,
} from "../handshake.ts";
import { acceptFor, createKey } from "../http/key.ts";
import {
  describeRequest,
  requestHeaders,
  USER_AGENT,
} from "../http/request.ts";
import { correctPhrase } from "../http/status.ts";
import { type Fields, httpUrl, type Target } from "../http/target.ts";
import { HandshakeResponse } from "../response.ts";
import type { Opened } from "../socket.ts";
import { checkRoute, createClient } from "./client.ts";
import { dialProblem, refusalHint, tunnelProblem } from "./hints.ts";
import { openSocket } from "./socket.ts";

/**
 * How long to wait before trying a refused socket again, in milliseconds. A server
 * that allows one connection refuses the socket until it has noticed that the
 * connection of the pre-flight has ended.
 */
const RETRY_DELAY = 100;

/** The reason with which a pre-flight is aborted. A string, because an error would capture a stack trace. */
const DONE = "done";

/**
 * Captures the response with a pre-flight request, then opens Deno's WebSocket.
 * The server sees two connections.
 */
export async function openWithPreflight(
  target: Target,
  context: HandshakeContext,
): Promise<Opened | Redirect> {
  checkRoute(target, context);
  const response = await preflight(target, context);
  if (!(response instanceof HandshakeResponse)) return response;
  const socket = await openSocket(target, context);
  if (typeof socket !== "string") return { socket, response };

  await sleep(RETRY_DELAY, context.signal);
  const second = await openSocket(target, context);
  if (typeof second !== "string") return { socket: second, response };
  return await explain(target, context, second);
}

/**
 * Sends a pre-flight request to find out why Deno's WebSocket did not open, with
 * the header fields that the WebSocket sends. Deno's WebSocket does not reveal the
 * answer, and on `wss:` it reports the same message for every failure.
 *
 * @param failure The message of Deno's WebSocket.
 * @returns A redirect to follow, if that is the answer.
 * @throws {HandshakeError} In all other cases, with the reason.
 */
export async function explain(
  target: Target,
  context: HandshakeContext,
  failure: string,
): Promise<Redirect> {
  const words = target.url.protocol === "ws:" ? ` (${failure})` : "";
  let answer;
  try {
    answer = await preflight(target, context, { asSocket: true });
  } catch (error) {
    if (!(error instanceof HandshakeError) || !isBlockedPort(error.cause)) {
      throw error;
    }
    const why = words ||
      ", and the reason cannot be learnt: fetch refuses to dial this port";
    // The failure is a network error, unless it names the status of an answer.
    const isNetwork = words !== "" && !/status code/.test(failure);
    throw handshakeError(target, `the socket did not open${why}`, {
      ...(isNetwork && { cause: new TypeError(failure) }),
    });
  }
  if (!(answer instanceof HandshakeResponse)) return answer;
  throw handshakeError(
    target,
    `the server accepted the pre-flight and refused the socket${words}`,
  );
}

/**
 * Sends one handshake request with `fetch`, and ends its connection as soon as the
 * answer is there.
 *
 * @param options `asSocket` sends the header fields that Deno's WebSocket sends.
 * @returns The response, if it is a valid upgrade, or a redirect to follow.
 * @throws {HandshakeError} If there is another answer, or none.
 */
async function preflight(
  target: Target,
  context: HandshakeContext,
  { asSocket = false } = {},
): Promise<HandshakeResponse | Redirect> {
  const { signal } = context;
  const key = createKey();
  const release = new AbortController();
  const stop = () => release.abort(DONE);
  signal.addEventListener("abort", stop);
  using client = createClient(context);
  try {
    const headers = preflightHeaders(target, key, asSocket);
    await announce(
      context,
      () => describeRequest("preflight", target, headers),
    );
    const answering = fetch(httpUrl(target.url), {
      headers,
      redirect: "manual",
      client,
      signal: release.signal,
    });
    const accept = acceptFor(key); // computed while the server answers
    const answer = await answering.catch((error) => {
      signal.throwIfAborted();
      throw fetchError(target, context, error);
    });
    // Done before anything else, so that the server notices it before the socket
    // connects.
    if (answer.status === 101) stop();
    const { status, statusText, headers: fields, body } = answer;
    return await conclude(
      target,
      {
        source: "preflight",
        status,
        statusText: correctPhrase(status, statusText),
        headers: fields,
        body,
      },
      { accept, native: true },
      context,
      status === 101 ? "" : refusalHint(target, context, status, asSocket),
    );
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
  }
}

/** Returns the header fields, including those that `fetch` would add by itself, so that `onRequest` gets all of them. */
function preflightHeaders(
  target: Target,
  key: string,
  asSocket: boolean,
): Fields | [name: string, value: string][] {
  const fields = {
    "Accept": "*/*",
    "Accept-Language": "*",
    ...requestHeaders(target, key),
  };
  // Deno's WebSocket sends its own beside the caller's. An array can hold both.
  return asSocket && "User-Agent" in target.headers
    ? [["User-Agent", USER_AGENT], ...Object.entries(fields)]
    : fields;
}

/** Converts an error of `fetch` to a {@linkcode HandshakeError}. The error of a missing permission is returned unchanged. */
function fetchError(
  target: Target,
  context: HandshakeContext,
  error: unknown,
): Error {
  if (error instanceof Deno.errors.NotCapable) return error;
  if (isBlockedPort(error)) {
    return handshakeError(
      target,
      `fetch refuses to dial port ${target.url.port}, which the pre-flight needs; ` +
        `capture "none" and "direct" do not`,
      { cause: error, transient: false },
    );
  }
  const { message, cause } = error as Error;
  const text = cause instanceof Error ? cause.message : message;
  const reason = networkReason(text);
  const dial = dialProblem(target, context, text);
  if (dial !== null) {
    const { problem, by } = dial;
    return handshakeError(target, problem, {
      cause: new TypeError(reason),
      by,
    });
  }
  const problem = tunnelProblem(target, context, reason);
  if (problem === null) return networkError(target, text);
  return handshakeError(target, problem, {
    cause: new TypeError(reason),
    by: "proxy",
    // As after a 407 that can be read.
    ...(/^proxy auth/.test(reason) && { transient: false }),
  });
}

/** Whether `fetch` refused to connect to the port, as it does for some ports (WHATWG Fetch, "bad port"). */
function isBlockedPort(error: unknown): boolean {
  return error instanceof TypeError &&
    /Requests to port \d+ are blocked/.test(error.message);
}
