import {
  type Attempt,
  type CloseInfo,
  ConnectionClosedError,
  connections,
  type HandshakeRequest,
  type HandshakeResponse,
  type ReconnectOptions,
  type WebSocketConnection,
} from "../../../mod.ts";
import { sleep } from "../../internal.ts";
import { CliError, EXIT } from "../errors.ts";
import type { TapSettings } from "../flags/values.ts";
import type { Notes } from "../terminal/stderr.ts";
import { shownTarget, shownUrl, visible } from "../terminal/text.ts";

/** A connection of the command line: binary messages are bytes. */
export type Connection = WebSocketConnection<string | Uint8Array>;

/**
 * Connects; if `reconnect` is set, connects again whenever a connection ends. The
 * URLs after the first are fallbacks in either case.
 */
export function sessions(
  { urls, connect, reconnect }: Pick<
    TapSettings,
    "urls" | "connect" | "reconnect"
  >,
  notes: Notes,
  trace: Trace | null,
  signal: AbortSignal,
): AsyncGenerator<[Connection, HandshakeResponse], void> {
  return connections([...urls], {
    ...connect,
    ...headersOf(connect, notes),
    ...retries(reconnect),
    signal,
    ...(trace && { onRequest: (request) => trace.request(request) }),
    onRetry: ({ error, delayMs }) => {
      trace?.answered();
      const wait = (delayMs / 1000).toFixed(delayMs < 10_000 ? 1 : 0);
      notes.error(`${error.message}; connecting again in ${wait} s`);
    },
  });
}

/** How long to wait before a file is read again, in milliseconds. */
const FILE_DELAY = 200;

/**
 * The headers, read from files before each attempt. At a later attempt than the
 * first, one that cannot be used is waited for until the attempt is over: it is being
 * replaced.
 */
function headersOf(
  { headers }: TapSettings["connect"],
  notes: Notes,
): Pick<ReconnectOptions, "headers"> {
  if (typeof headers !== "function") {
    return headers === undefined ? {} : { headers };
  }
  const read = async (attempt: Attempt) => {
    for (let isTold = false;;) {
      try {
        return await headers(attempt);
      } catch (error) {
        const isUsage = error instanceof CliError && error.code === EXIT.usage;
        if (!isUsage || attempt.number === 1) throw error;
        if (!isTold) notes.error(`${visible(error.message)}; waiting for it`);
        isTold = true;
      }
      await sleep(FILE_DELAY, attempt.signal);
    }
  };
  return { headers: read };
}

/** The options that decide when to connect again. */
function retries(reconnect: TapSettings["reconnect"]): ReconnectOptions {
  if (reconnect === null) return { retryIf: () => false };
  const { stopsOn, ...delays } = reconnect;
  if (stopsOn === undefined) return delays;
  const retryIf = (error: Error) =>
    error instanceof ConnectionClosedError ? !stopsOn(error.code) : undefined;
  return { ...delays, retryIf };
}

/** Whether the code with which the server closed says that something went wrong. */
export function isErrorClose({ code, clean }: CloseInfo): boolean {
  return clean && ![1000, 1001, 1005].includes(code);
}

/** Describes how a connection ended. */
export function describeClose({ code, reason, clean }: CloseInfo): string {
  const why = reason === "" ? "" : ` "${visible(reason)}"`;
  return clean
    ? `the server closed with ${code}${why}`
    : `the connection was lost${why}`;
}

const NAMES = { preflight: "pre-flight", direct: "direct", socket: "socket" };

/** Shows each handshake request, and how long its answer took. */
export class Trace {
  readonly #notes: Notes;
  /** When each request was sent, in milliseconds of `performance.now()`. */
  #sent: { source: HandshakeRequest["source"]; at: number }[] = [];

  constructor(notes: Notes) {
    this.#notes = notes;
  }

  /** Shows a request that is about to be sent. */
  request(request: HandshakeRequest): void {
    const name = NAMES[request.source];
    this.#notes.say(`asking ${shownUrl(request.url)} (${name})`);
    this.#notes.write(requestHead(request));
    this.#sent.push({ source: request.source, at: performance.now() });
  }

  /** Shows the timings of the requests so far. Called when the last one has been answered. */
  answered(): void {
    const now = performance.now();
    const [first] = this.#sent;
    if (first === undefined) return;
    const parts = this.#sent.map(({ source, at }, index) => {
      const end = this.#sent[index + 1]?.at ?? now;
      return `${NAMES[source]} ${(end - at).toFixed(1)} ms`;
    });
    const total = (now - first.at).toFixed(1);
    this.#notes.say(`${parts.join(", ")}, ${total} ms in all`);
    this.#sent = [];
  }
}

/** Header fields whose values are shown. The others may hold secrets, as subprotocols do for some services. */
const PUBLIC =
  /^(accept(-.*)?|cache-control|connection|host|origin|pragma|sec-websocket-(?!protocol).*|upgrade|user-agent)$/i;

/** Formats the head of a request as `curl -v` does, with secrets masked. */
export function requestHead({ url, headers }: HandshakeRequest): string {
  const lines = [
    `GET ${shownTarget(new URL(url))} HTTP/1.1`,
    ...[...headers].map(([name, value]) =>
      `${name}: ${PUBLIC.test(name) ? value : masked(value)}`
    ),
    "",
  ];
  return lines.map((line) => `> ${visible(line)}`.trimEnd() + "\n").join("");
}

/** Masks all but the scheme, as in `Bearer ***`. */
function masked(value: string): string {
  const scheme = /^(Basic|Bearer|Digest|Negotiate)\s/i.exec(value)?.[1];
  return scheme === undefined ? "***" : `${scheme} ***`;
}
