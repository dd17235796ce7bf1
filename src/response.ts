/**
 * Options of the constructor of {@linkcode HandshakeResponse}, for tests of code
 * that takes one.
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
  /** The standard reason phrase of the status, `""` when there is none. */
  statusText: string;
  /** The header fields. */
  headers: Headers;
  /** Which connection the response was read from. */
  source: "preflight" | "direct" | "socket";
  /** The body, or its start. None by default. */
  body?: Uint8Array;
}

/**
 * The HTTP response that answered a handshake.
 *
 * It holds no resource: its body is in memory already, so there is nothing to
 * cancel or to close.
 *
 * @example Reading the head
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
  /** The status code; 101 when the handshake succeeded. */
  readonly status: number;
  /** The standard reason phrase of the status, `""` when there is none. */
  readonly statusText: string;
  /**
   * Which connection the response was read from: that of the `"preflight"`,
   * the connection itself (`"direct"`), or none (`"socket"`: it says what the
   * native socket knows, which is the status, the subprotocol and the
   * extensions).
   */
  readonly source: "preflight" | "direct" | "socket";
  /** The header fields as they were given; many callers never ask for them. */
  readonly #given: Headers;
  #headers: Headers | undefined;
  readonly #body: Uint8Array;

  /**
   * Creates a response.
   *
   * @param init What the response is made of.
   */
  constructor(init: HandshakeResponseInit) {
    this.url = init.url;
    this.status = init.status;
    this.statusText = init.statusText;
    this.#given = init.headers;
    this.source = init.source;
    this.#body = init.body ?? new Uint8Array();
  }

  /** The header fields, immutable. Their values come from the server: untrusted text. */
  get headers(): Headers {
    return this.#headers ??= immutable(this.#given);
  }

  /** Whether the status is 1xx, as that of an accepted handshake is. */
  get isInformational(): boolean {
    return this.#isOfClass(1);
  }

  /** Whether the status is 2xx. A handshake that succeeded has 101, not 2xx. */
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

  /** The value of `Content-Length` in bytes, `null` when the header is absent or not a number. */
  get contentLength(): number | null {
    const value = this.headers.get("content-length");
    return value !== null && /^\d+$/.test(value) ? Number(value) : null;
  }

  /**
   * Gives the body as text. A byte order mark decides the encoding, else the
   * `charset` of `Content-Type`, else it is UTF-8; malformed bytes are
   * replaced by U+FFFD. It can be called again.
   *
   * @example Why the server refused
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
   * @returns The text: of a refusal the first 64 KiB, of a 101 none.
   */
  text(): Promise<string> {
    return Promise.resolve(this.#decoder().decode(this.#body));
  }

  /**
   * Gives the body as bytes. It can be called again.
   *
   * @returns A copy of the bytes: of a refusal the first 64 KiB, of a 101 none.
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
      return new TextDecoder(); // a charset that nobody knows
    }
  }
}

/** Copies headers into an object that refuses changes, as the headers of a `fetch` do. */
function immutable(headers: Headers): Headers {
  const copy = new Headers(headers);
  for (const method of ["append", "delete", "set"] as const) {
    Object.defineProperty(copy, method, { value: refuseChange });
  }
  return copy;
}

function refuseChange(): never {
  throw new TypeError("The headers of a handshake response are immutable");
}
