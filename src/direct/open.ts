import { closeQuietly, type Conn, ResponseReader, writeAll } from "../conn.ts";
import {
  announce,
  type Answer,
  conclude,
  type HandshakeContext,
  invalidUpgrade,
  networkError,
  type Redirect,
} from "../handshake.ts";
import {
  encodeHead,
  MalformedResponse,
  type ResponseHead,
} from "../http/head.ts";
import { acceptFor, createKey } from "../http/key.ts";
import { describeRequest, requestHeaders } from "../http/request.ts";
import { reasonPhrase } from "../http/status.ts";
import type { Target } from "../http/target.ts";
import { HandshakeResponse } from "../response.ts";
import type { Opened } from "../socket.ts";
import {
  createDeflate,
  type DeflateParameters,
  OFFER,
  parseAgreement,
} from "../websocket/deflate.ts";
import { dial } from "./dial.ts";
import { loadTextCheck } from "../websocket/utf8.ts";
import { DirectSocket } from "./socket.ts";

/** Opens wstap's own WebSocket: connects, makes the handshake, and returns a socket over the same connection. */
export async function openDirect(
  target: Target,
  context: HandshakeContext,
): Promise<Opened | Redirect> {
  const { signal } = context;
  const dialling = dial(target, context);
  // The request is prepared while the connection is being opened.
  const key = createKey();
  const headers = {
    ...requestHeaders(target, key),
    ...(context.compression && { "Sec-WebSocket-Extensions": OFFER }),
  };
  const conn = await dialling;
  let opened = false;
  const cancel = () => closeQuietly(conn);
  signal.addEventListener("abort", cancel);
  try {
    await announce(
      context,
      () => describeRequest("direct", target, headers),
    );
    const reader = new ResponseReader(conn);
    const answering = exchange(target, conn, reader, headers, signal);
    const accept = acceptFor(key); // computed while the server answers
    const answer = await answering;
    let parameters: DeflateParameters | undefined;
    const extensionProblem = (extensions: string) => {
      const agreement = parseAgreement(extensions);
      if (typeof agreement === "string") return agreement;
      parameters = agreement;
      return null;
    };
    const response = await conclude(
      target,
      answer,
      { accept, ...(context.compression && { extensionProblem }) },
      context,
    );
    if (!(response instanceof HandshakeResponse)) return response;
    const deflate = parameters && await createDeflate(parameters);
    if (!context.decode) await loadTextCheck();
    signal.throwIfAborted();
    opened = true;
    const { headers: fields } = answer;
    const socket = new DirectSocket(conn, reader.takeRest(), {
      protocol: fields.get("sec-websocket-protocol") ?? "",
      extensions: fields.get("sec-websocket-extensions") ?? "",
      deflate,
      decode: context.decode,
      maxMessage: context.maxMessage,
    });
    return { socket, response };
  } finally {
    signal.removeEventListener("abort", cancel);
    if (!opened) closeQuietly(conn);
  }
}

/** Sends the request and reads the head of its answer. */
async function exchange(
  target: Target,
  conn: Conn,
  reader: ResponseReader,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Answer> {
  const { url } = target;
  let head: ResponseHead;
  try {
    await writeAll(
      conn,
      encodeHead(
        `GET ${url.pathname}${url.search} HTTP/1.1`,
        Object.entries({ Host: url.host, ...headers }),
      ),
    );
    conn.setNoDelay?.(true); // it matters from the second write on
    head = await reader.readHead();
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof MalformedResponse) {
      const hint = url.protocol === "ws:" && error.protocol === "TLS"
        ? "; the URL may need wss: in place of ws:"
        : "";
      throw invalidUpgrade(target, error.message + hint, { cause: error });
    }
    throw networkError(target, (error as Error).message);
  }
  const { status, version } = head;
  return {
    source: "direct",
    status,
    statusText: await reasonPhrase(status),
    headers: head.headers,
    version,
    body: status === 101 ? null : reader.body(head),
  };
}
