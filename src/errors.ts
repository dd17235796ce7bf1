import type { HandshakeResponse } from "./response.ts";

/**
 * Thrown if the server refused the handshake, gave an invalid answer, or did not
 * answer.
 *
 * If the server answered with another status than `101 Switching Protocols`, the
 * message contains `HTTP error: ` with the status and its reason phrase, and
 * `response` has the status, the headers and the beginning of the
 * body. If the server did not answer, `cause` is the network error. No message
 * contains the credentials or the query of the URL.
 *
 * @example Falling back to an older endpoint
 * ```ts no-eval
 * import { connectWebSocket, HandshakeError } from "@wstap/wstap";
 *
 * async function connect(base: string) {
 *   try {
 *     return await connectWebSocket(`${base}/v2`);
 *   } catch (error) {
 *     if (error instanceof HandshakeError && error.response?.status === 404) {
 *       return await connectWebSocket(`${base}/v1`);
 *     }
 *     throw error;
 *   }
 * }
 * ```
 */
export class HandshakeError extends Error {
  /** The name of the class. */
  override readonly name = "HandshakeError";
  /**
   * Whether the same request may succeed later, as it may if the server did not
   * answer, or answered with status 408, 425, 429 or 5xx. `connections()` tries
   * again only if it is `true`, unless `retryIf` decides otherwise.
   */
  readonly transient: boolean;
  readonly #by: "server" | "proxy";
  // Private, so that printing the error shows no query and no cookie.
  readonly #url: string;
  readonly #response: HandshakeResponse | undefined;

  /**
   * Creates the error.
   *
   * @param message The error message.
   * @param options The URL of the request, the response if there was one, the
   * cause, whether another attempt may succeed, and who refused.
   */
  constructor(
    message: string,
    options: {
      url: string;
      response?: HandshakeResponse;
      cause?: unknown;
      transient?: boolean;
      by?: "server" | "proxy";
    },
  ) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.#url = options.url;
    this.#response = options.response;
    this.#by = options.by ?? "server";
    const status = options.response?.status;
    this.transient = options.transient ??
      (status === undefined || status >= 500 ||
        [408, 425, 429].includes(status));
  }

  /** The URL of the request, after redirects and without credentials. It includes the query. */
  get url(): string {
    return this.#url;
  }

  /**
   * Who refused: `"proxy"` if a proxy did not open a tunnel, so that the server was
   * not asked and `response` is the proxy's; `"server"` in all other cases.
   */
  get by(): "server" | "proxy" {
    return this.#by;
  }

  /** The response of the server, or `undefined` if there is none. */
  get response(): HandshakeResponse | undefined {
    return this.#response;
  }
}

/**
 * Thrown if the connection was lost, or if a call cannot be served because the
 * connection is closing or closed.
 *
 * @example Handling a lost connection
 * ```ts no-eval
 * import { ConnectionClosedError, connectWebSocket } from "@wstap/wstap";
 *
 * const [connection] = await connectWebSocket("wss://example.com/");
 * try {
 *   console.log(await connection.recv());
 * } catch (error) {
 *   if (!(error instanceof ConnectionClosedError)) throw error;
 *   console.log(error.code, error.reason, error.clean); // 1006, "", false
 * }
 * ```
 */
export class ConnectionClosedError extends Error {
  /** The name of the class. */
  override readonly name = "ConnectionClosedError";
  /** The close code (RFC 6455 section 7.4); 1006 if the connection was lost. */
  readonly code: number;
  /**
   * The close reason that the peer sent, which is untrusted text, or
   * `"idle timeout"`, `"message timeout"` or `"ping timeout"` if that ended the
   * connection.
   */
  readonly reason: string;
  /** Whether the closing handshake was completed. */
  readonly clean: boolean;

  /**
   * Creates the error.
   *
   * @param message The error message.
   * @param options The close code and reason, and the cause.
   */
  constructor(
    message: string,
    options: { code: number; reason: string; clean: boolean; cause?: unknown },
  ) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = options.code;
    this.reason = options.reason;
    this.clean = options.clean;
  }
}

/**
 * Thrown if messages arrived faster than they were received, and the buffer
 * reached `maxBuffer`. The buffered messages can still be received; every call
 * after them rejects with this error.
 *
 * @example Discarding the oldest messages instead
 * ```ts no-eval
 * import { connectWebSocket } from "@wstap/wstap";
 *
 * const [connection] = await connectWebSocket("wss://example.com/", {
 *   maxBuffer: { messages: 10_000 },
 *   overflow: "drop-oldest",
 * });
 * ```
 */
export class BufferOverflowError extends Error {
  /** The name of the class. */
  override readonly name = "BufferOverflowError";
  /** The value of `maxBuffer`: a number of messages and a number of bytes. */
  readonly limit: { messages: number; bytes: number };

  /**
   * Creates the error.
   *
   * @param limit The value of `maxBuffer`.
   */
  constructor(limit: { messages: number; bytes: number }) {
    const parts = Object.entries(limit)
      .filter(([, most]) => most !== Infinity)
      .map(([unit, most]) => `${most} ${unit}`);
    super(
      `The peer outran the buffer of ${parts.join(" and ")}: ` +
        `receive faster, raise maxBuffer, or choose capture "direct" or overflow "drop-oldest"`,
    );
    this.limit = { ...limit };
  }
}

/**
 * Thrown instead of a binary message that is not UTF-8, on a connection whose
 * `binary` is `"text"`. The next call receives the next message.
 *
 * @example Reading the bytes
 * ```ts
 * import { BinaryMessageError } from "@wstap/wstap";
 *
 * const error = new BinaryMessageError(new Uint8Array([0xff]));
 * console.log(error.data.byteLength); // 1
 * ```
 */
export class BinaryMessageError extends Error {
  /** The name of the class. */
  override readonly name = "BinaryMessageError";
  /** The payload of the message. */
  readonly data: Uint8Array;

  /**
   * Creates the error.
   *
   * @param data The payload of the message.
   * @param options The cause.
   */
  constructor(data: Uint8Array, options?: ErrorOptions) {
    super(
      `Received a binary message of ${data.byteLength} bytes that is not UTF-8: ` +
        `its bytes are in "data", and binary "bytes" gives binary messages as they are`,
      options,
    );
    this.data = data;
  }
}
