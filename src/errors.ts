import type { HandshakeResponse } from "./response.ts";

/**
 * The server refused the handshake, answered it wrongly, or did not answer.
 *
 * For any answer over HTTP but `101 Switching Protocols` the message holds
 * `HTTP error: ` with the status and its reason phrase, and {@linkcode response}
 * has the status, the headers and the start of the body. When nothing answered,
 * `cause` is the error of the network. No message holds credentials or the
 * query of the URL.
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
   * Whether the same request may succeed later: nothing answered, or the status
   * was 408, 425, 429 or 5xx. `connections()` tries again only then,
   * unless `retryIf` decides otherwise.
   */
  readonly transient: boolean;
  // Private, so that an error that is printed whole shows no query and no cookie.
  readonly #url: string;
  readonly #response: HandshakeResponse | undefined;

  /**
   * Creates the error.
   *
   * @param message What went wrong, in one sentence.
   * @param options The URL that was asked, the answer, and the cause.
   */
  constructor(
    message: string,
    options: {
      url: string;
      response?: HandshakeResponse;
      cause?: unknown;
      transient?: boolean;
    },
  ) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.#url = options.url;
    this.#response = options.response;
    const status = options.response?.status;
    this.transient = options.transient ??
      (status === undefined || status >= 500 ||
        [408, 425, 429].includes(status));
  }

  /** The URL that was asked, after redirects, without credentials. */
  get url(): string {
    return this.#url;
  }

  /** What the server answered; `undefined` when it gave no usable answer. */
  get response(): HandshakeResponse | undefined {
    return this.#response;
  }
}

/**
 * The connection is closed, or was lost.
 *
 * @example Telling a loss from a close
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
  /** The close code (RFC 6455 section 7.4); 1006 when the connection was lost. */
  readonly code: number;
  /** The close reason, as the peer sent it: untrusted text. */
  readonly reason: string;
  /** Whether a close frame ended the connection. */
  readonly clean: boolean;

  /**
   * Creates the error.
   *
   * @param message What happened, in one sentence.
   * @param options How the connection was closed, and the cause.
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
 * The peer sent faster than the messages were received, and `maxBuffer` was
 * full. Every call gets it once what was buffered has been received.
 *
 * @example Choosing what happens instead
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
  /** The limit that was passed: a number of messages and a number of bytes. */
  readonly limit: { messages: number; bytes: number };

  /**
   * Creates the error.
   *
   * @param limit The limit that was passed.
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
 * A binary message that is not UTF-8 arrived on a connection whose `binary` is
 * `"text"`. The next call goes on with the next message.
 *
 * @example Reading its bytes
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
