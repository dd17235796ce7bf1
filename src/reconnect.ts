import { open } from "./connect.ts";
import {
  type CloseInfo,
  type ConnectionEnd,
  WebSocketConnection,
} from "./connection.ts";
import { after, sleep } from "./timers.ts";
import { type DurationLike, parseDuration } from "./duration.ts";
import { ConnectionClosedError, HandshakeError } from "./errors.ts";
import { checkHeaders, parseTarget, type Target } from "./http/target.ts";
import { type ConnectOptions, parseOptions, type Settings } from "./options.ts";
import type { HandshakeResponse } from "./response.ts";
import { checkCallback, checkCount, kindOf, oneOf } from "./checks.ts";
import { printable } from "./escape.ts";

/**
 * Options of {@linkcode connections}. All of them are optional.
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
 * @typeParam T The type of a message: `string`, or `string | Uint8Array` with
 * `binary: "bytes"`.
 */
export interface ReconnectOptions<
  T extends string | Uint8Array = string | Uint8Array,
> extends ConnectOptions {
  /**
   * The shortest delay before connecting again. If only `maxDelay` is given, and
   * is less than 1 second, it is also the default of `minDelay`.
   *
   * @default {"1s"}
   */
  minDelay?: DurationLike;
  /**
   * The longest delay before connecting again. If only `minDelay` is given, and
   * is more than 30 seconds, it is also the default of `maxDelay`.
   *
   * @default {"30s"}
   */
  maxDelay?: DurationLike;
  /**
   * The factor by which the delay grows each time (with jitter `"full"`, its upper
   * bound): a finite number from 1.
   *
   * @default {2}
   */
  multiplier?: number;
  /**
   * Whether delays are random, so that many clients do not connect again at the
   * same time. With `"none"`, delay number `n` is `minDelay` × `multiplier` to
   * the power of `n` − 1, and at most `maxDelay`. With `"full"`, delay number
   * `n` is evenly distributed between `minDelay` and the delay number `n` + 1 of
   * `"none"`.
   *
   * @default {"full"}
   */
  jitter?: "full" | "none";
  /**
   * How many attempts to connect may fail in a row before the last error is
   * thrown: a whole number from 1, or `Infinity`. The first attempts and those
   * after a lost connection count alike. With several URLs, an attempt is one
   * round over them.
   *
   * @default {Infinity}
   */
  maxAttempts?: number;
  /**
   * How long a connection must last for the next delay to be the shortest again.
   *
   * @default {"10s"}
   */
  resetAfter?: DurationLike;
  /**
   * The longest delay that a server can ask for with `Retry-After`. A longer one
   * is shortened to it. Defaults to `maxDelay`.
   */
  maxRetryAfter?: DurationLike;
  /**
   * Decides whether to connect again after an error. Return `true` to connect
   * again, `false` to end the loop, or `undefined` for the default decision,
   * which {@linkcode connections} describes. With `false` the loop throws the
   * error, unless the server closed the connection with a close frame.
   *
   * The error is a `HandshakeError`, the `TimeoutError` of a handshake, a
   * `ConnectionClosedError`, or a `BufferOverflowError` that the loop body has
   * caught. A `ConnectionClosedError` whose `clean` is `true` means that the
   * server closed the connection with a close frame.
   */
  retryIf?(error: Error): boolean | undefined;
  /** Called before each reconnect delay, and awaited. If it throws, the loop ends with that error. */
  onRetry?(retry: Retry): void | Promise<void>;
  /**
   * Called with each new connection, and awaited, before the loop body gets it:
   * to send a subscription, or to tell the server where to resume. If it throws
   * a `ConnectionClosedError`, the loop body still gets the connection and the
   * messages that it received. Any other error ends the loop.
   */
  onConnect?(
    connection: WebSocketConnection<T>,
    response: HandshakeResponse,
  ): void | Promise<void>;
}

/**
 * The reason and the delay of a reconnect, as {@linkcode connections} passes it
 * to `onRetry`.
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
   * The number of this delay, from 1. It starts again from 1 after a connection
   * that lasted for `resetAfter`.
   */
  attempt: number;
  /** The delay before the next attempt, in milliseconds. */
  delayMs: number;
  /**
   * The URL that failed, without credentials. It includes the query, which may
   * be secret.
   */
  url: string;
}

type Message = string | Uint8Array;
type Entry = [
  connection: WebSocketConnection<Message>,
  response: HandshakeResponse,
];

/**
 * Connects, and connects again each time the connection ends. Returns an async
 * generator that yields each connection together with the response of its
 * handshake.
 *
 * There is one connection at a time. The next one opens when the loop body has
 * finished and the connection is over; a connection that is still open is closed
 * first. Leaving the loop, with `break` or by an error, closes the connection.
 *
 * If a connection is lost, every message that it received can still be taken.
 * `for await`, `batches()` and `readable` yield the remaining messages and then
 * end without an error, because this loop handles the loss; `recv()` and
 * `recvBatch()` reject.
 *
 * The loop connects again:
 *
 * - after a lost connection;
 * - after the server closed the connection, except with code 1008 or a code from
 *   4000 to 4999;
 * - if the server could not be reached, did not answer in time, or accepted the
 *   pre-flight and refused the socket;
 * - after an HTTP status of 408, 425, 429 or 5xx;
 * - after the loop body closed the connection, or finished while it was open.
 *
 * Before connecting again there is a delay. It is random, in a range that grows each
 * time, and at least as long as `Retry-After` says, up to `maxRetryAfter`. In all
 * other cases the loop ends: without an error after one of those close codes,
 * otherwise with the error. `retryIf` changes these rules.
 *
 * Several URLs are tried in order. A URL that answers 404 or 501 is not tried
 * again, unless it is the only one left. If a URL does not answer, the next one
 * is tried at once. If none answers, there is a delay and the round starts again
 * with the first. `connection.url` is the URL that was connected to.
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
 * @param options Options for connecting and for connecting again. If `signal`
 * aborts, the connection, the handshake or the delay ends at once. Nothing else
 * ends a delay early.
 * @returns An async generator of the connections, each with the response of its
 * handshake.
 * @throws {TypeError} If a URL or an option is invalid.
 * @throws {RangeError} If a number or duration in the options is out of range.
 * @throws {HandshakeError} If the server refused the handshake with another
 * status than those above or gave an invalid answer, or if the last of
 * `maxAttempts` failed.
 * @throws {DOMException} Named `TimeoutError`, if the last of `maxAttempts` took
 * too long.
 * @throws {ConnectionClosedError} If a connection was lost and `retryIf` returned
 * `false`.
 * @throws {BufferOverflowError} If the buffer of a connection overflowed and
 * `retryIf` returned `false`.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 * @throws The reason of `signal`, if it aborts.
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
 * Connects, and connects again, with `binary: "bytes"`: binary messages are
 * received as `Uint8Array`s.
 *
 * @param url A `ws:` or `wss:` URL, or several of them in order of preference.
 * @param options Options for connecting and for connecting again.
 * @returns An async generator of the connections, each with the response of its
 * handshake.
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
 * Connects, and connects again, with options whose `binary` is not known at
 * compile time, so a message may be a string or a `Uint8Array`.
 *
 * @param url A `ws:` or `wss:` URL, or several of them in order of preference.
 * @param options Options for connecting and for connecting again.
 * @returns An async generator of the connections, each with the response of its
 * handshake.
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
        await callOnConnect(policy, tried.entry);
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

/** The parsed options of the loop, with defaults filled in. Durations are in milliseconds. */
interface Policy
  extends Pick<ReconnectOptions, "retryIf" | "onRetry" | "onConnect"> {
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
  const checked = checkHeaders(headers); // only once: headers may be an iterator
  return urls.map((url) => parseTarget(url, protocols, checked));
}

/**
 * Tries the URLs in order until one connects or refuses. A URL that does not
 * answer is followed by the next; one that answers 404 or 501 is removed from
 * `live`.
 *
 * @throws The reason of the signal, and every error that is neither a
 * `HandshakeError` nor a timeout: trying again would not help.
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
  return failed!; // set: a target is removed without it only if others are left
}

interface Connected {
  readonly entry: Entry;
  /** Resolves when the connection is over. */
  readonly ended: Promise<ConnectionEnd>;
  /** The URL that was connected to, before redirects. */
  readonly url: string;
}

interface Failed {
  readonly error: Error;
  readonly url: string;
}

function isTimeout(error: unknown): error is DOMException {
  return error instanceof DOMException && error.name === "TimeoutError";
}

/** Whether the server answered that it does not have the endpoint. */
function isMissing(error: Error): boolean {
  if (!(error instanceof HandshakeError)) return false;
  const status = error.response?.status;
  return (status === 404 || status === 501) && error.by === "server";
}

/** Whether the server did not answer, or could not be asked. */
function isUnreachable(error: Error): boolean {
  return isTimeout(error) || error instanceof HandshakeError && (
        error.by === "proxy" ||
        error.response === undefined && error.cause !== undefined
      );
}

/** The default decision of `retryIf`. */
function isTransient(error: Error): boolean {
  if (error instanceof ConnectionClosedError) {
    const { code } = error;
    return code !== 1008 && !(code >= 4000 && code <= 4999);
  }
  return !(error instanceof HandshakeError) || error.transient;
}

/** Computes the length of delay number `attempt`, in milliseconds. */
function backoff(
  attempt: number,
  { minDelay, maxDelay, multiplier, jitter }: Policy,
): number {
  if (minDelay === 0) return 0; // 0 * Infinity would be NaN
  const wait = (n: number) =>
    Math.min(maxDelay, minDelay * multiplier ** (n - 1));
  if (jitter === "none") return wait(attempt);
  return minDelay + Math.random() * (wait(attempt + 1) - minDelay);
}

/** Reads the delay of `Retry-After` (RFC 9110 section 10.2.3), in milliseconds; 0 if there is none. */
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

/** Calls `onConnect`, ignoring the error that the connection ended meanwhile. */
async function callOnConnect(
  policy: Policy,
  [connection, response]: Entry,
): Promise<void> {
  try {
    await policy.onConnect?.(connection, response);
  } catch (error) {
    if (!(error instanceof ConnectionClosedError)) throw error;
  }
}
