import { checkTarget, open, timeoutError } from "./connect.ts";
import {
  type CloseInfo,
  type ConnectionEnd,
  WebSocketConnection,
} from "./connection.ts";
import { checkCallback } from "./checks.ts";
import type { DurationLike } from "./duration.ts";
import { ConnectionClosedError, HandshakeError } from "./errors.ts";
import { printable } from "./escape.ts";
import {
  checkHeaders,
  checkProtocols,
  parseTarget,
  type Target,
} from "./http/target.ts";
import { type ConnectOptions, parseOptions, type Settings } from "./options.ts";
import type { HandshakeResponse } from "./response.ts";
import {
  delayAfter,
  isMissing,
  isTimeout,
  isUnreachable,
  isWorthRetrying,
  parsePolicy,
  type Policy,
} from "./retry.ts";
import { unlessAborted } from "./unless_aborted.ts";
import { StoppableGenerator, whicheverAborts } from "./stoppable.ts";
import { after, sleep } from "./timers.ts";

/**
 * What a function for the URL, the headers or the subprotocols of
 * {@linkcode connections} may look at.
 *
 * @example Resuming where the feed broke off
 * ```ts no-eval
 * import { type Attempt, connections } from "@wstap/wstap";
 *
 * function url({ last }: Attempt) {
 *   const url = new URL("wss://example.com/feed");
 *   const since = last?.lastMessageAt;
 *   if (since) url.searchParams.set("since", new Date(since).toISOString());
 *   return url;
 * }
 * for await (const [connection] of connections(url)) {
 *   for await (const message of connection) console.log(message);
 * }
 * ```
 */
export interface Attempt {
  /**
   * How many attempts the loop has made so far, this one included: 1 for the
   * first. As for `maxAttempts`, a round over several URLs is one attempt.
   */
  number: number;
  /**
   * What came last: what ended the last connection or the last attempt, or why the
   * URL before failed, in a round over several URLs. `null` if nothing was tried
   * yet.
   */
  last: {
    /** The error, as `onRetry` gets it. */
    error: Error;
    /**
     * The URL that failed, without credentials. It includes the query, which may
     * be secret. It is empty if the function for the URL took too long.
     */
    url: string;
    /**
     * When the last message of the whole loop arrived, in milliseconds since the
     * epoch; `null` if none has arrived yet.
     */
    lastMessageAt: number | null;
  } | null;
  /**
   * Aborts when the loop ends, and when `handshakeTimeout` is over, in which the
   * time of the function counts. Pass it on, as in `fetch(url, { signal })`.
   */
  signal: AbortSignal;
}

/**
 * A value, or a function that is called before each attempt and returns it. If the
 * function throws, the loop ends with that error.
 *
 * @example A token that is good once
 * ```ts
 * import type { PerAttempt } from "@wstap/wstap";
 *
 * const headers: PerAttempt<HeadersInit> = async ({ signal }) => {
 *   const response = await fetch("https://example.com/token", { signal });
 *   return { Authorization: `Bearer ${await response.text()}` };
 * };
 * console.log(typeof headers);
 * ```
 */
export type PerAttempt<T> = T | ((attempt: Attempt) => T | Promise<T>);

/**
 * A URL for {@linkcode connections}: a `ws:` or `wss:` URL, or a function that is
 * called each time before the URL is tried.
 *
 * @example Usage
 * ```ts
 * import type { UrlSource } from "@wstap/wstap";
 *
 * const url: UrlSource = ({ number }) => `wss://node${number % 3}.example.com/`;
 * console.log(typeof url);
 * ```
 */
export type UrlSource = PerAttempt<string | URL>;

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
 * @typeParam T The type of a message: `string`, `string | Uint8Array` with
 * `binary: "bytes"`, or `Uint8Array` with `decode: false`.
 */
export interface ReconnectOptions<
  T extends string | Uint8Array = string | Uint8Array,
> extends Omit<ConnectOptions, "headers" | "protocols"> {
  /**
   * Header fields to send with every handshake request, as in `ConnectOptions`,
   * or a function that is called before each attempt and returns them. None by
   * default.
   */
  headers?: PerAttempt<HeadersInit>;
  /**
   * Subprotocols to offer, in order of preference, or a function that is called
   * before each attempt and returns them. None by default.
   */
  protocols?: PerAttempt<string | string[]>;
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
   * `ConnectionClosedError`, or what the loop body has caught of a connection: a
   * `BufferOverflowError`, or the error of a heartbeat's function. A
   * `ConnectionClosedError` whose `clean` is `true` means that the server closed
   * the connection with a close frame.
   */
  retryIf?(error: Error): boolean | undefined;
  /**
   * Called before each reconnect delay, and awaited. If it throws, the loop ends
   * with that error. None by default.
   */
  onRetry?(retry: Retry): void | Promise<void>;
  /**
   * Called with each new connection, and awaited, before the loop body gets it:
   * to send a subscription, or to tell the server where to resume. If it throws
   * a `ConnectionClosedError`, the loop body still gets the connection and the
   * messages that it received. Any other error ends the loop. None by default.
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
   * be secret. It is empty if the function for the URL took too long.
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
 * `return()` ends the generator at once, whatever it waits for.
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
 * Several URLs are tried in order. If a URL does not answer, or answers 404 or
 * 501, the next one is tried at once. If none is left, there is a delay and the
 * round starts again with the first. A URL that answered 404 or 501 is not tried
 * again, unless all of them did or a function returned it. `connection.url` is the
 * URL that was connected to.
 *
 * Each URL, the headers and the subprotocols may be functions, which are called
 * before each attempt: for a token that expires, a ticket that is good once, or a
 * cursor to resume from. A URL's function is called each time before it is tried,
 * the others once in each round. Their time counts into `handshakeTimeout`. What
 * they throw ends the loop, unless `handshakeTimeout` was over before that: then
 * the attempt has failed.
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
 * @example A new token for each attempt, and a feed that resumes
 * ```ts
 * import { connections } from "@wstap/wstap";
 *
 * async function follow(host: string) {
 *   let cursor = 0;
 *   const feed = connections(() => `wss://${host}/events?after=${cursor}`, {
 *     headers: async ({ signal }) => {
 *       const response = await fetch(`https://${host}/token`, { signal });
 *       return { Authorization: `Bearer ${await response.text()}` };
 *     },
 *     onRetry: ({ error, delayMs }) => console.warn(error.message, `again in ${delayMs} ms`),
 *   });
 *   for await (const [connection] of feed) {
 *     for await (const message of connection) cursor = JSON.parse(message).id;
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
 * @param url A `ws:` or `wss:` URL or a function that returns one, or several of
 * them in order of preference.
 * @param options Options for connecting and for connecting again. If `signal`
 * aborts, whatever the loop waits for ends at once.
 * @returns An async generator of the connections, each with the response of its
 * handshake.
 * @throws {TypeError} If a URL or an option is invalid, or what a function returns.
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
  url: UrlSource | UrlSource[],
  options?: ReconnectOptions<string> & {
    binary?: "text";
    decode?: true;
  },
): AsyncGenerator<
  [connection: WebSocketConnection<string>, response: HandshakeResponse],
  void,
  undefined
>;
/**
 * Connects, and connects again, with `binary: "bytes"`: binary messages are
 * received as `Uint8Array`s.
 *
 * @param url A `ws:` or `wss:` URL or a function that returns one, or several of
 * them in order of preference.
 * @param options Options for connecting and for connecting again.
 * @returns An async generator of the connections, each with the response of its
 * handshake.
 */
export function connections(
  url: UrlSource | UrlSource[],
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
 * Connects, and connects again, with `decode: false`: every message is received
 * as a `Uint8Array`.
 *
 * @param url A `ws:` or `wss:` URL or a function that returns one, or several of
 * them in order of preference.
 * @param options Options for connecting and for connecting again.
 * @returns An async generator of the connections, each with the response of its
 * handshake.
 */
export function connections(
  url: UrlSource | UrlSource[],
  options: ReconnectOptions<Uint8Array> & { decode: false },
): AsyncGenerator<
  [connection: WebSocketConnection<Uint8Array>, response: HandshakeResponse],
  void,
  undefined
>;
/**
 * Connects, and connects again, with options whose `binary` and `decode` are not
 * known at compile time, so a message may be a string or a `Uint8Array`.
 *
 * @param url A `ws:` or `wss:` URL or a function that returns one, or several of
 * them in order of preference.
 * @param options Options for connecting and for connecting again.
 * @returns An async generator of the connections, each with the response of its
 * handshake.
 */
export function connections(
  url: UrlSource | UrlSource[],
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
  url: UrlSource | UrlSource[],
  options: ReconnectOptions = {},
): AsyncGenerator<Entry, void, undefined> {
  const settings = parseOptions(options);
  const plan = {
    ...parseSources(url, options, settings),
    policy: parsePolicy(options),
    onRetry: checkCallback("onRetry", options.onRetry),
    onConnect: checkCallback("onConnect", options.onConnect),
  };
  return new StoppableGenerator((stop) => new Loop(settings, plan, stop).run());
}

/** The checked arguments of the loop, beside the settings of a connection. */
interface Plan extends Sources {
  readonly policy: Policy;
  readonly onRetry: ReconnectOptions["onRetry"];
  readonly onConnect: ReconnectOptions["onConnect"];
}

/** What an attempt to connect is made of: values, which have been checked, or functions. */
interface Sources {
  readonly urls: readonly Source[];
  readonly headers: PerAttempt<HeadersInit>;
  readonly protocols: PerAttempt<string | string[]>;
}

/** A URL as text, which may contain credentials, or a function for it. */
interface Source {
  readonly url: PerAttempt<string | URL>;
}

/** Checks the URLs, headers and subprotocols that are not functions, and copies them. */
function parseSources(
  url: UrlSource | UrlSource[],
  { headers, protocols = [] }: ReconnectOptions,
  settings: Settings,
): Sources {
  const urls = [url].flat();
  if (urls.length === 0) {
    throw new TypeError("Invalid URLs: expected at least one");
  }
  return {
    urls: urls.map((url) => {
      if (typeof url === "function") return { url };
      checkTarget(parseTarget(url), settings);
      return { url: String(url) }; // a URL object may be modified
    }),
    headers: typeof headers === "function" ? headers : checkHeaders(headers),
    protocols: typeof protocols === "function"
      ? protocols
      : checkProtocols(protocols),
  };
}

/** One round over the URLs. */
interface Round {
  readonly number: number;
  /** The headers of this round, once they are known. */
  headers?: HeadersInit;
  /** The subprotocols of this round, once they are known. */
  protocols?: string[];
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
  /** Whether to try the next URL at once. */
  readonly next: boolean;
}

/** The loop behind {@linkcode connections}. */
class Loop {
  readonly #settings: Settings;
  readonly #plan: Plan;
  /** Aborts when the loop must end: with the caller's signal, or because it has ended. */
  #signal: AbortSignal;
  /** The URLs that are tried. */
  readonly #live: Set<Source>;
  /** Whether a function may look at the time of the last message. */
  readonly #hasFunctions: boolean;
  #number = 0;
  #last: Attempt["last"] = null;
  #lastMessageAt: number | null = null;

  constructor(settings: Settings, plan: Plan, stop: AbortSignal) {
    this.#settings = settings;
    this.#plan = plan;
    this.#signal = stop;
    this.#live = new Set(plan.urls);
    const { urls, headers, protocols } = plan;
    this.#hasFunctions = [...urls.map(({ url }) => url), headers, protocols]
      .some((it) => typeof it === "function");
  }

  async *run(): AsyncGenerator<Entry, void, undefined> {
    const { policy, onRetry } = this.#plan;
    if (this.#settings.signal !== undefined) {
      this.#signal = whicheverAborts(this.#settings.signal, this.#signal);
    }
    const signal = this.#signal;
    let delays = 0;
    let failures = 0;

    while (true) {
      const tried = await this.#attempt();
      let error: Error;
      if ("error" in tried) {
        error = tried.error;
        if (
          ++failures >= policy.maxAttempts || !isWorthRetrying(error, policy)
        ) throw error;
      } else {
        failures = 0;
        const [connection] = tried.entry;
        const cancel = after(policy.resetAfter, () => delays = 0);
        connection.closed.then(cancel);
        try {
          await this.#callOnConnect(tried.entry);
          yield tried.entry;
        } finally {
          await connection.close();
        }
        signal.throwIfAborted();
        const end = await tried.ended;
        if (end.lastMessageAt !== null) {
          this.#lastMessageAt = Math.round(end.lastMessageAt);
        }
        error = end.error as Error | null ??
          closedError(await connection.closed);
        if (!end.ours && !isWorthRetrying(error, policy)) {
          if (error instanceof ConnectionClosedError && error.clean) return;
          throw error;
        }
      }

      const { url } = tried;
      this.#noteLast({ error, url });
      const delayMs = delayAfter(error, ++delays, policy);
      await unlessAborted(
        signal,
        () => onRetry?.({ error, attempt: delays, delayMs, url }),
      );
      await sleep(delayMs, signal);
    }
  }

  /**
   * Tries the URLs in order until one connects or refuses. One that does not
   * answer, or answers that it does not exist, is followed by the next.
   */
  async #attempt(): Promise<Connected | Failed> {
    const round: Round = { number: ++this.#number };
    const missing: Source[] = [];
    let notFound: Failed | undefined;
    let result: Connected | Failed | undefined;
    for (const source of [...this.#live]) {
      const tried = await this.#try(source, round);
      if (!("error" in tried)) {
        result = tried;
        break;
      }
      this.#noteLast(tried);
      if (isMissing(tried.error)) {
        missing.push(source);
        notFound = tried;
      } else {
        result = tried;
        if (!tried.next) break;
      }
    }
    if (result === undefined) return notFound!;
    for (const source of missing) {
      // A function may return another URL next time.
      if (typeof source.url !== "function") this.#live.delete(source);
    }
    return result;
  }

  /**
   * Tries one URL.
   *
   * @throws The reason of the signal, what a function throws, and every error
   * that is neither a `HandshakeError` nor a timeout: trying again would not help.
   */
  async #try(source: Source, round: Round): Promise<Connected | Failed> {
    const signal = this.#signal;
    const { handshakeTimeout } = this.#settings;
    signal.throwIfAborted();
    const late = new AbortController();
    const start = performance.now();
    const attempt: Attempt = {
      number: round.number,
      last: this.#last && { ...this.#last },
      signal: AbortSignal.any([signal, late.signal]),
    };
    // It holds the signal of the attempt, which Deno 2.5 would collect as garbage
    // although it has listeners.
    const cancel = after(handshakeTimeout, () => {
      if (!attempt.signal.aborted) late.abort(timeoutError(handshakeTimeout));
    });
    let url = "";
    try {
      let target: Target;
      try {
        const input = await valueOf(source.url, attempt);
        url = parseTarget(input).url.href;
        round.headers ??= checkHeaders(
          await valueOf(this.#plan.headers, attempt),
        );
        round.protocols ??= checkProtocols(
          await valueOf(this.#plan.protocols, attempt),
        );
        target = parseTarget(input, round.protocols, round.headers);
      } catch (error) {
        signal.throwIfAborted();
        if (!attempt.signal.aborted) throw error;
        return { error: attempt.signal.reason, url, next: url === "" };
      }
      try {
        return await this.#open(target, performance.now() - start);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof HandshakeError) && !isTimeout(error)) {
          throw error;
        }
        return { error, url, next: isUnreachable(error) };
      }
    } finally {
      cancel();
    }
  }

  /** Connects. `spent` is the part of `handshakeTimeout` that is over, in milliseconds. */
  async #open(target: Target, spent: number): Promise<Connected> {
    const { socket, response } = await open(
      target,
      { ...this.#settings, signal: this.#signal },
      spent,
    );
    const { promise: ended, resolve: onEnd } = Promise.withResolvers<
      ConnectionEnd
    >();
    const connection = new WebSocketConnection<Message>({
      socket,
      url: response.url,
      settings: this.#settings,
      onEnd,
      notesMessages: this.#hasFunctions,
    });
    return { entry: [connection, response], ended, url: target.url.href };
  }

  #noteLast({ error, url }: Pick<Failed, "error" | "url">): void {
    this.#last = { error, url, lastMessageAt: this.#lastMessageAt };
  }

  /** Calls `onConnect`, ignoring the error that the connection ended meanwhile. */
  async #callOnConnect([connection, response]: Entry): Promise<void> {
    const { onConnect } = this.#plan;
    if (onConnect === undefined) return;
    try {
      await unlessAborted(
        this.#signal,
        () => onConnect(connection, response),
      );
    } catch (error) {
      this.#signal.throwIfAborted();
      if (!(error instanceof ConnectionClosedError)) throw error;
    }
  }
}

/** Returns a value, or what a function returns for this attempt, unless the attempt's signal aborts first. */
function valueOf<T extends string | object>(
  value: PerAttempt<T>,
  attempt: Attempt,
): T | Promise<T> {
  return typeof value === "function"
    ? unlessAborted(attempt.signal, () => value(attempt))
    : value;
}

function closedError(info: CloseInfo): ConnectionClosedError {
  const reason = info.reason && `: ${printable(info.reason)}`;
  return new ConnectionClosedError(
    `The connection was closed with code ${info.code}${reason}`,
    info,
  );
}
