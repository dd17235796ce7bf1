import { open } from "./connect.ts";
import {
  type CloseInfo,
  type ConnectionEnd,
  WebSocketConnection,
} from "./connection.ts";
import { isProxyRefusal } from "./direct/proxy.ts";
import { after, type DurationLike, parseDuration, sleep } from "./duration.ts";
import { ConnectionClosedError, HandshakeError } from "./errors.ts";
import { checkHeaders, parseTarget, type Target } from "./handshake/target.ts";
import { type ConnectOptions, parseOptions, type Settings } from "./options.ts";
import type { HandshakeResponse } from "./response.ts";
import { checkCallback, checkCount, kindOf, oneOf, printable } from "./text.ts";

/**
 * Options of {@linkcode connections}. All of them can be left out.
 *
 * @example Usage
 * ```ts no-eval
 * import { connections, type ReconnectOptions } from "@wstap/wstap";
 *
 * const options = {
 *   minDelay: "500ms",
 *   maxDelay: "1m",
 *   maxAttempts: 3,
 *   retryIf: (error) => error.message.includes("HTTP error: 403") || undefined,
 * } satisfies ReconnectOptions;
 * for await (const [connection] of connections("wss://example.com/", options)) {
 *   for await (const message of connection) console.log(message);
 * }
 * ```
 *
 * @typeParam T What the messages are: `string`, and `Uint8Array` too where
 * `binary` is `"bytes"`.
 */
export interface ReconnectOptions<
  T extends string | Uint8Array = string | Uint8Array,
> extends ConnectOptions {
  /**
   * The shortest delay before connecting again. If only `maxDelay` is given, it
   * is at most that.
   *
   * @default {"1s"}
   */
  minDelay?: DurationLike;
  /**
   * The longest delay before connecting again. If only `minDelay` is given, it
   * is at least that.
   *
   * @default {"30s"}
   */
  maxDelay?: DurationLike;
  /**
   * The factor by which the delay grows each time: a number from 1.
   *
   * @default {2}
   */
  multiplier?: number;
  /**
   * Whether delays are randomized, so that many clients do not come back at
   * once. With `"none"`, delay number `n` is `minDelay` × `multiplier` to the
   * power of `n` − 1, but at most `maxDelay`. With `"full"` it is random, evenly
   * between `minDelay` and what delay number `n` + 1 would be with `"none"`.
   *
   * @default {"full"}
   */
  jitter?: "full" | "none";
  /**
   * How many attempts to connect may fail in a row, at the start or after a
   * loss, before it gives up: a whole number from 1. With several URLs an
   * attempt is one round over them.
   *
   * @default {Infinity}
   */
  maxAttempts?: number;
  /**
   * A connection that lived this long resets the delay to the shortest.
   *
   * @default {"10s"}
   */
  resetAfter?: DurationLike;
  /**
   * Caps the delay that a server asks for with `Retry-After`. Defaults to
   * `maxDelay`.
   */
  maxRetryAfter?: DurationLike;
  /**
   * Decides whether to connect again after an error: a `HandshakeError`, the
   * `TimeoutError` of a handshake, a `ConnectionClosedError`, whose `clean` is
   * true when the server closed the connection with a close frame, or a
   * `BufferOverflowError` that the body has caught. What it leaves `undefined` is
   * decided as it is without it.
   */
  retryIf?(error: Error): boolean | undefined;
  /** Called before each reconnect delay. */
  onRetry?(retry: Retry): void | Promise<void>;
  /**
   * Called with every connection before the loop gets it, to send a
   * subscription or to say where to resume. A `ConnectionClosedError` that it
   * throws is left to the loop, which gets the connection all the same, with
   * what it received; any other error ends the loop.
   */
  onConnect?(
    connection: WebSocketConnection<T>,
    response: HandshakeResponse,
  ): void | Promise<void>;
}

/**
 * Why and when {@linkcode connections} connects again.
 *
 * @example Usage
 * ```ts no-eval
 * import { connections, type Retry } from "@wstap/wstap";
 *
 * function onRetry({ error, attempt, delayMs }: Retry) {
 *   console.error(`${error.message}: attempt ${attempt} in ${delayMs} ms`);
 * }
 * const feed = connections("wss://example.com/", { onRetry, maxAttempts: 3 });
 * for await (const [connection] of feed) {
 *   for await (const message of connection) console.log(message);
 * }
 * ```
 */
export interface Retry {
  /** The error that ended the last connection or the last attempt. */
  error: Error;
  /**
   * The number of this delay, from 1. It is reset when a connection has lived
   * for `resetAfter`.
   */
  attempt: number;
  /** The delay before the next attempt, in milliseconds. */
  delayMs: number;
  /**
   * The URL that failed, without credentials. It has its query, which may be
   * secret.
   */
  url: string;
}

type Message = string | Uint8Array;
type Entry = [
  connection: WebSocketConnection<Message>,
  response: HandshakeResponse,
];

/**
 * Connects, and connects again whenever the connection ends: a loop over it is a
 * feed that survives its server.
 *
 * The loop is in charge. While its body runs there is one connection, and the
 * next one opens only when the body has come round and that connection is over;
 * if it is still open, it is closed first. Leaving the loop, by `break` or by an
 * error of the body, closes the connection. Every message that a connection
 * received can be had from it, also when it is lost meanwhile: `for await` and
 * `batches()` then give what is left and end quietly, since this loop answers
 * the loss, while `recv()` and `recvBatch()` reject.
 *
 * It connects again after a lost connection; after a close by the server, but for
 * the codes 1008 and 4000 to 4999; when the server cannot be reached or does not
 * answer in time; and after an HTTP 408, 425, 429 or 5xx. Before that it waits,
 * longer every time, and not less than `Retry-After` asks for. Everything else is
 * final: one of those close codes ends the loop, anything else is thrown. When
 * the body closes a connection, or comes round with it open, it always connects
 * again, after the wait.
 *
 * With several URLs the first is preferred. One that answers 404 or 501 is an
 * endpoint that the server does not have: it is left out from then on, as long
 * as there is another. When nothing answers at one, the next is tried at once;
 * only after the last does it wait, and begin with the first again.
 * `connection.url` says which it is.
 *
 * @example A feed that survives its server
 * ```ts
 * import { connections } from "@wstap/wstap";
 *
 * async function follow(signal: AbortSignal) {
 *   const feed = connections("wss://feed.example/v2", { signal });
 *   for await (const [connection, response] of feed) {
 *     console.log("connected", response.headers.get("x-session"));
 *     for await (const batch of connection.batches("3s")) {
 *       console.log(`${batch.length} messages`);
 *     }
 *   }
 * }
 * ```
 *
 * @example Resuming where the last connection ended
 * ```ts
 * import { connections } from "@wstap/wstap";
 *
 * async function follow(url: string) {
 *   let last: string | undefined;
 *   const feed = connections(url, {
 *     onConnect: (connection) => connection.send(JSON.stringify({ after: last })),
 *     onRetry: ({ error, delayMs }) => console.warn(error.message, `again in ${delayMs} ms`),
 *   });
 *   for await (const [connection] of feed) {
 *     for await (const message of connection) last = JSON.parse(message).id;
 *   }
 * }
 * ```
 *
 * @example Falling back to an older endpoint
 * ```ts
 * import { connections } from "@wstap/wstap";
 *
 * async function follow(host: string) {
 *   const feed = connections([`wss://${host}/v2`, `wss://${host}/v1`]);
 *   for await (const [connection] of feed) {
 *     const old = connection.url.endsWith("/v1");
 *     for await (const message of connection) console.log(old, message);
 *   }
 * }
 * ```
 *
 * @param url A `ws:` or `wss:` URL, or several of them in order of preference.
 * @param options How to connect, and when to connect again. An abort of `signal`
 * ends the connection, the handshake or the wait, whichever it is; nothing else
 * can end a wait.
 * @returns One connection after the other, each with the response that answered
 * its handshake.
 * @throws {TypeError} If a URL or an option is invalid.
 * @throws {RangeError} If a number among the options is out of range.
 * @throws {HandshakeError} If the server refused the handshake for good or
 * answered it wrongly, or at the last of `maxAttempts`.
 * @throws {DOMException} Named `TimeoutError`, at the last of `maxAttempts`.
 * @throws {ConnectionClosedError} If `retryIf` would not have a lost connection
 * replaced; a `BufferOverflowError` likewise.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 * @throws The reason of `signal`, once it aborts.
 */
export function connections(
  url: string | URL | (string | URL)[],
  options?: ReconnectOptions<string> & { binary?: "text" },
): AsyncGenerator<
  [connection: WebSocketConnection<string>, response: HandshakeResponse],
  void,
  undefined
>;
/**
 * Connects, and connects again, with binary messages as `Uint8Array`s.
 *
 * @param url A `ws:` or `wss:` URL, or several of them in order of preference.
 * @param options How to connect, and when to connect again.
 * @returns One connection after the other, each with its response.
 */
export function connections(
  url: string | URL | (string | URL)[],
  options: ReconnectOptions & { binary: "bytes" },
): AsyncGenerator<
  [
    connection: WebSocketConnection<string | Uint8Array>,
    response: HandshakeResponse,
  ],
  void,
  undefined
>;
/**
 * Connects, and connects again, with options of which the compiler does not know
 * what `binary` is.
 *
 * @param url A `ws:` or `wss:` URL, or several of them in order of preference.
 * @param options How to connect, and when to connect again.
 * @returns One connection after the other, each with its response.
 */
export function connections(
  url: string | URL | (string | URL)[],
  options?: ReconnectOptions,
): AsyncGenerator<
  [
    connection: WebSocketConnection<string | Uint8Array>,
    response: HandshakeResponse,
  ],
  void,
  undefined
>;
export function connections(
  url: string | URL | (string | URL)[],
  options: ReconnectOptions = {},
): AsyncGenerator<Entry, void, undefined> {
  const settings = parseOptions(options);
  const policy = parsePolicy(options);
  return reconnect(parseTargets(url, options), settings, policy);
}

async function* reconnect(
  targets: Target[],
  settings: Settings,
  policy: Policy,
): AsyncGenerator<Entry, void, undefined> {
  const live = new Set(targets);
  const { signal } = settings;
  const never = new AbortController().signal;
  const isRetried = (error: Error) =>
    policy.retryIf?.(error) ?? isTransient(error);
  let attempt = 0;
  let failures = 0;

  while (true) {
    const tried = await connectToFirst(live, settings);
    let error: Error;
    if ("error" in tried) {
      error = tried.error;
      if (++failures >= policy.maxAttempts || !isRetried(error)) throw error;
    } else {
      failures = 0;
      const [connection] = tried.entry;
      const cancel = after(policy.resetAfter, () => attempt = 0);
      connection.closed.then(cancel);
      try {
        await greet(policy, tried.entry);
        yield tried.entry;
      } finally {
        await connection.close();
      }
      signal?.throwIfAborted();
      const end = await tried.ended;
      error = end.error as Error | null ??
        closedError(await connection.closed);
      if (!end.ours && !isRetried(error)) {
        if (error instanceof ConnectionClosedError && error.clean) return;
        throw error;
      }
    }

    attempt++;
    const delayMs = Math.max(
      backoff(attempt, policy),
      Math.min(retryAfter(error), policy.maxRetryAfter),
    );
    await policy.onRetry?.({ error, attempt, delayMs, url: tried.url });
    await sleep(delayMs, signal ?? never);
  }
}

/** When to connect again, each option with its value. */
interface Policy
  extends Pick<ReconnectOptions, "retryIf" | "onRetry" | "onConnect"> {
  /** Milliseconds, as `maxDelay`, `resetAfter` and `maxRetryAfter`. */
  minDelay: number;
  maxDelay: number;
  multiplier: number;
  jitter: "full" | "none";
  maxAttempts: number;
  resetAfter: number;
  maxRetryAfter: number;
}

function parsePolicy(options: ReconnectOptions): Policy {
  const { multiplier = 2, maxAttempts = Infinity } = options;
  const given = (value: DurationLike | undefined) =>
    value === undefined ? undefined : parseDuration(value);
  const min = given(options.minDelay);
  const max = given(options.maxDelay);
  if (min !== undefined && max !== undefined && min > max) {
    throw new RangeError(
      `Invalid minDelay: expected at most maxDelay, which is ${max} ms, got ${min} ms`,
    );
  }
  const minDelay = min ?? Math.min(1_000, max ?? Infinity);
  const maxDelay = max ?? Math.max(30_000, minDelay);
  if (typeof multiplier !== "number") {
    throw new TypeError(
      `Invalid multiplier: expected a number, got ${kindOf(multiplier)}`,
    );
  }
  if (!(multiplier >= 1 && multiplier < Infinity)) {
    throw new RangeError(
      `Invalid multiplier: expected a finite number from 1, got ${multiplier}`,
    );
  }
  return {
    minDelay,
    maxDelay,
    multiplier,
    jitter: oneOf("jitter", options.jitter, ["full", "none"]),
    maxAttempts: checkCount("maxAttempts", maxAttempts),
    resetAfter: parseDuration(options.resetAfter ?? "10s"),
    maxRetryAfter: given(options.maxRetryAfter) ?? maxDelay,
    retryIf: checkCallback("retryIf", options.retryIf),
    onRetry: checkCallback("onRetry", options.onRetry),
    onConnect: checkCallback("onConnect", options.onConnect),
  };
}

function parseTargets(
  url: string | URL | (string | URL)[],
  { protocols, headers }: ConnectOptions,
): Target[] {
  const urls = [url].flat();
  if (urls.length === 0) {
    throw new TypeError("Invalid URLs: expected at least one");
  }
  const checked = checkHeaders(headers); // once: an iterator can be read only once
  return urls.map((url) => parseTarget(url, protocols, checked));
}

/**
 * Tries one URL after the other until one connects or gives an answer that says
 * nothing about the next. Those that do not exist are taken out for good.
 *
 * @throws Whatever trying again cannot mend, whoever decides about it.
 */
async function connectToFirst(
  live: Set<Target>,
  settings: Settings,
): Promise<Connected | Failed> {
  let failed: Failed | undefined;
  for (const target of [...live]) {
    try {
      const { socket, response } = await open(target, settings);
      const { promise: ended, resolve: onEnd } = Promise.withResolvers<
        ConnectionEnd
      >();
      const connection = new WebSocketConnection<Message>({
        socket,
        url: response.url,
        settings,
        onEnd,
      });
      return { entry: [connection, response], ended, url: target.url.href };
    } catch (error) {
      settings.signal?.throwIfAborted();
      if (!(error instanceof HandshakeError) && !isTimeout(error)) throw error;
      if (isMissing(error) && live.size > 1) {
        live.delete(target);
        continue;
      }
      failed = { error, url: target.url.href };
      if (!isUnreachable(error)) break;
    }
  }
  return failed!; // the last that is live always gets here
}

interface Connected {
  readonly entry: Entry;
  /** Resolves when the connection is over. */
  readonly ended: Promise<ConnectionEnd>;
  /** The URL that was asked, before redirects. */
  readonly url: string;
}

interface Failed {
  readonly error: Error;
  readonly url: string;
}

function isTimeout(error: unknown): error is DOMException {
  return error instanceof DOMException && error.name === "TimeoutError";
}

/** Whether the server does not have the endpoint. */
function isMissing(error: Error): boolean {
  const status = error instanceof HandshakeError && error.response?.status;
  return (status === 404 || status === 501) && !isProxyRefusal(error);
}

/** Whether the server has not answered at all. */
function isUnreachable(error: Error): boolean {
  return isTimeout(error) || isProxyRefusal(error) ||
    error instanceof HandshakeError && error.response === undefined &&
      error.cause !== undefined;
}

/** Whether trying again may mend an error. */
function isTransient(error: Error): boolean {
  if (error instanceof ConnectionClosedError) {
    const { code } = error;
    return code !== 1008 && !(code >= 4000 && code <= 4999);
  }
  return !(error instanceof HandshakeError) || error.transient;
}

/** The length of delay number `attempt`, in milliseconds. */
function backoff(
  attempt: number,
  { minDelay, maxDelay, multiplier, jitter }: Policy,
): number {
  if (minDelay === 0) return 0; // 0 times an infinite power is not a number
  const wait = (n: number) =>
    Math.min(maxDelay, minDelay * multiplier ** (n - 1));
  if (jitter === "none") return wait(attempt);
  return minDelay + Math.random() * (wait(attempt + 1) - minDelay);
}

/** What `Retry-After` asks for (RFC 9110 section 10.2.3), in milliseconds; 0 if nothing. */
function retryAfter(error: Error): number {
  const value = error instanceof HandshakeError &&
    error.response?.headers.get("retry-after");
  if (!value) return 0;
  const delay = /^\d+$/.test(value)
    ? Number(value) * 1_000
    : Date.parse(value) - Date.now();
  return delay > 0 ? delay : 0;
}

function closedError(info: CloseInfo): ConnectionClosedError {
  const reason = info.reason && `: ${printable(info.reason)}`;
  return new ConnectionClosedError(
    `The connection was closed with code ${info.code}${reason}`,
    info,
  );
}

/** Calls `onConnect`. If the connection ends meanwhile, the loop still gets what it received. */
async function greet(
  policy: Policy,
  [connection, response]: Entry,
): Promise<void> {
  try {
    await policy.onConnect?.(connection, response);
  } catch (error) {
    if (!(error instanceof ConnectionClosedError)) throw error;
  }
}
