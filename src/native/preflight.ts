import { sleep } from "../duration.ts";
import { HandshakeError } from "../errors.ts";
import { judge, networkError } from "../handshake/judge.ts";
import {
  acceptFor,
  createKey,
  describeRequest,
  type HandshakeContext,
  requestHeaders,
} from "../handshake/request.ts";
import {
  type Fields,
  handshakeError,
  httpUrl,
  type Redirect,
  type Target,
} from "../handshake/target.ts";
import { HandshakeResponse } from "../response.ts";
import type { Opened } from "../socket.ts";
import { createClient } from "./client.ts";
import { openSocket } from "./socket.ts";

/**
 * How long a server may need to notice the end of the pre-flight's connection,
 * in milliseconds: one that allows a single connection refuses an immediate
 * second one.
 */
const RETRY_DELAY = 100;

/** The reason for ending a pre-flight. It is no error, which would take a stack trace. */
const DONE = "done";

/**
 * Captures the response with a `fetch` of its own, then opens Deno's WebSocket:
 * the server sees two connections.
 */
export async function openWithPreflight(
  target: Target,
  context: HandshakeContext,
): Promise<Opened | Redirect> {
  let response: HandshakeResponse | Redirect;
  let opening: ReturnType<typeof openSocket>;
  {
    using client = createClient(context);
    response = await preflight(target, context, client);
    if (!(response instanceof HandshakeResponse)) return response;
    opening = openSocket(target, context, client);
  } // while the server makes up its answer is the time to close a client
  const socket = await opening;
  if (typeof socket !== "string") return { socket, response };

  await sleep(RETRY_DELAY, context.signal);
  using client = createClient(context);
  const second = await openSocket(target, context, client);
  if (typeof second !== "string") return { socket: second, response };
  return await explain(target, context, second);
}

/**
 * Asks once more over `fetch`, to learn why Deno's WebSocket did not open: it
 * keeps the answer to itself, and on `wss:` every failure reads the same.
 *
 * @param failure The words of Deno's WebSocket.
 * @throws {HandshakeError} The reason, whatever it is.
 */
export async function explain(
  target: Target,
  context: HandshakeContext,
  failure: string,
): Promise<Redirect> {
  const words = target.url.protocol === "ws:" ? ` (${failure})` : "";
  using client = createClient(context);
  let answer;
  try {
    answer = await preflight(target, context, client);
  } catch (error) {
    if (!(error instanceof HandshakeError) || !isBlockedPort(error.cause)) {
      throw error;
    }
    const why = words ||
      ", and the reason cannot be learnt: fetch refuses to dial this port";
    // Those words are the network's, unless a server answered.
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
 * Sends one handshake request with `fetch` and lets go of its connection.
 *
 * @returns The verified 101 response, or a redirect that is to be followed.
 * @throws {HandshakeError} If the answer is anything else, or there is none.
 */
async function preflight(
  target: Target,
  context: HandshakeContext,
  client: Deno.HttpClient,
): Promise<HandshakeResponse | Redirect> {
  const key = createKey();
  const release = new AbortController();
  try {
    const headers = preflightHeaders(target, key);
    context.onRequest?.(describeRequest("preflight", target, headers));
    const answering = fetch(httpUrl(target.url), {
      headers,
      redirect: "manual",
      client,
      signal: AbortSignal.any([context.signal, release.signal]),
    });
    const accept = acceptFor(key); // while the server makes up its answer
    const answer = await answering.catch((error) => {
      context.signal.throwIfAborted();
      throw fetchError(target, error);
    });
    // Before anything else: the socket follows at once.
    if (answer.status === 101) release.abort(DONE);
    const { status, statusText, headers: fields, body } = answer;
    return await judge(
      target,
      { source: "preflight", status, statusText, headers: fields, body },
      { accept, native: true },
      context,
    );
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

/** The error for a `fetch` that got no answer. A missing permission stays what it is. */
function fetchError(target: Target, error: unknown): Error {
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
  return networkError(target, cause instanceof Error ? cause.message : message);
}

/** Whether `fetch` refused to dial a port, which it will do ever after. */
function isBlockedPort(error: unknown): boolean {
  return error instanceof TypeError &&
    /Requests to port \d+ are blocked/.test(error.message);
}
