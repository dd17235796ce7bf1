/**
 * Options of the constructor of {@linkcode HandshakeResponse}. It is public so
 * that tests can create a response.
 *
 * @example Usage
 * ```ts
 * import { HandshakeResponse } from "@wstap/wstap";
 *
 * const response = new HandshakeResponse({
 *   url: "wss://example.com/",
 *   status: 404,
 *   statusText: "Not Found",
 *   headers: new Headers({ "content-type": "text/plain" }),
 *   source: "preflight",
 *   body: new TextEncoder().encode("There is no such feed."),
 * });
 * console.log(response.isClientError, await response.text());
 * ```
 */
export interface HandshakeResponseInit {
  /** The URL that answered, as `ws:` or `wss:`, without credentials. */
  url: string;
  /** The status code. */
  status: number;
  /** The standard reason phrase of the status, or `""` if there is none. */
  statusText: string;
  /** The header fields. */
  headers: HeadersInit;
  /** Where the response comes from. */
  source: "preflight" | "direct" | "socket";
  /** The body, or the beginning of it. Empty by default. */
  body?: Uint8Array | undefined;
}

/**
 * The HTTP response of a handshake.
 *
 * Its body has already been read into memory, so a response does not have to be
 * consumed, cancelled or closed.
 *
 * @example Reading the status and a header
 * ```ts no-eval
 * import { connectWebSocket } from "@wstap/wstap";
 *
 * const [connection, response] = await connectWebSocket("wss://example.com/");
 * console.log(response.status, response.statusText); // 101 Switching Protocols
 * console.log(response.headers.get("x-session"));
 * await connection.close();
 * ```
 */
export class HandshakeResponse {
  /** The URL that answered, as `ws:` or `wss:`, after redirects and without credentials. */
  readonly url: string;
  /** The status code. It is 101 if the handshake succeeded. */
  readonly status: number;
  /** The standard reason phrase of the status, or `""` if there is none. */
  readonly statusText: string;
  /**
   * Where the response comes from: the pre-flight request (`"preflight"`), the
   * connection itself (`"direct"`), or Deno's WebSocket (`"socket"`), which
   * reports only the status 101, the subprotocol and the extensions.
   */
  readonly source: "preflight" | "direct" | "socket";
  /** The header fields, copied into an immutable object when they are first asked for. */
  readonly #given: HeadersInit;
  #headers: Headers | undefined;
  readonly #body: Uint8Array;

  /**
   * Creates a response.
   *
   * @param init The properties of the response.
   */
  constructor(init: HandshakeResponseInit) {
    this.url = init.url;
    this.status = init.status;
    this.statusText = init.statusText;
    this.#given = init.headers;
    this.source = init.source;
    this.#body = init.body ?? EMPTY;
  }

  /**
   * The header fields. They are immutable. Their values come from the server, so
   * they are untrusted text.
   */
  get headers(): Headers {
    return this.#headers ??= immutable(this.#given);
  }

  /** Whether the status is 1xx. True for a handshake that succeeded, whose status is 101. */
  get isInformational(): boolean {
    return this.#isOfClass(1);
  }

  /** Whether the status is 2xx. False for a handshake that succeeded, whose status is 101. */
  get isSuccess(): boolean {
    return this.#isOfClass(2);
  }

  /** Whether the status is 3xx. */
  get isRedirection(): boolean {
    return this.#isOfClass(3);
  }

  /** Whether the status is 4xx. */
  get isClientError(): boolean {
    return this.#isOfClass(4);
  }

  /** Whether the status is 5xx. */
  get isServerError(): boolean {
    return this.#isOfClass(5);
  }

  /** The value of `Content-Length` in bytes, or `null` if the header is absent or not a number. */
  get contentLength(): number | null {
    const value = this.headers.get("content-length");
    return value !== null && /^\d+$/.test(value) ? Number(value) : null;
  }

  /**
   * Returns the body as text. Can be called more than once.
   *
   * The encoding is that of the byte order mark if there is one, otherwise the
   * `charset` of `Content-Type`, otherwise UTF-8. Malformed bytes become U+FFFD.
   *
   * @example Printing why the server refused
   * ```ts no-eval
   * import { connectWebSocket, HandshakeError } from "@wstap/wstap";
   *
   * try {
   *   await connectWebSocket("wss://example.com/");
   * } catch (error) {
   *   if (error instanceof HandshakeError) console.log(await error.response?.text());
   * }
   * ```
   *
   * @returns The text of the first 64 KiB of the body. Empty for status 101.
   */
  text(): Promise<string> {
    return Promise.resolve(this.#decoder().decode(this.#body));
  }

  /**
   * Returns the body as bytes. Can be called more than once.
   *
   * @returns A copy of the first 64 KiB of the body. Empty for status 101.
   */
  bytes(): Promise<Uint8Array> {
    return Promise.resolve(this.#body.slice());
  }

  #isOfClass(hundreds: number): boolean {
    return Math.floor(this.status / 100) === hundreds;
  }

  #decoder(): TextDecoder {
    const [first, second, third] = this.#body;
    if (first === 0xef && second === 0xbb && third === 0xbf) {
      return new TextDecoder();
    }
    if (first === 0xfe && second === 0xff) return new TextDecoder("utf-16be");
    if (first === 0xff && second === 0xfe) return new TextDecoder("utf-16le");
    const charset = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(
      this.headers.get("content-type") ?? "",
    );
    try {
      return new TextDecoder(charset?.[1] ?? "utf-8");
    } catch {
      return new TextDecoder(); // the charset is unknown
    }
  }
}

const EMPTY = new Uint8Array();

/** Copies headers into an object that throws on changes, as the headers of a `fetch` response do. */
function immutable(headers: HeadersInit): Headers {
  const copy = new Headers(headers);
  for (const method of ["append", "delete", "set"] as const) {
    Object.defineProperty(copy, method, { value: refuseChange });
  }
  return copy;
}

function refuseChange(): never {
  throw new TypeError("The headers of a handshake response are immutable");
}
