/**
 * A small WebSocket server for the demo and for replays. `Deno.serve` would not
 * do: its sockets cannot be cut, do not hold the sender back, and can send no
 * close code below 3000 except 1000.
 *
 * The rules of RFC 6455 are those of `websocket/protocol.ts`; here is the I/O of its
 * server side. A connection is over once: `Client.run()` reads until the closing
 * handshake, a violation, or the end of TCP; then nothing is sent any more, what was
 * handed out is written, and TCP is ended, each within a second.
 *
 * @module
 */

import { closeQuietly, readRequestLines, writeAll } from "../conn.ts";
import { encodeHead } from "../http/head.ts";
import { HeaderFields, listsToken, trimSpace } from "../http/headers.ts";
import { acceptFor } from "../http/key.ts";
import { reasonPhrase } from "../http/status.ts";
import { after } from "../timers.ts";
import { Protocol, type ProtocolHandler } from "../websocket/protocol.ts";
import { concat } from "./lines.ts";
import type { Message } from "./recording.ts";
import { explained } from "./system_error.ts";

/** A handshake request, or any other GET. */
export interface ServerRequest {
  /** The path, without the query. */
  readonly path: string;
  /** Whether it asks for a WebSocket. */
  readonly isUpgrade: boolean;
  /** The subprotocols that it offers, in order of preference. */
  readonly protocols: readonly string[];
  /** The `Origin`, which a browser sends: where the page comes from. */
  readonly origin: string | null;
}

/** An HTTP response that refuses the upgrade. */
export interface Refusal {
  readonly status: number;
  readonly headers?: readonly [name: string, value: string][];
  readonly body: string;
}

/** How an upgrade is answered, and what its client gets. */
export interface Acceptance {
  /** Added to those of the handshake. */
  readonly headers?: readonly [name: string, value: string][];
  /** The subprotocol that is chosen, if any. */
  readonly protocol?: string | undefined;
  /** Sends messages to the client. The connection stays open after it has returned. */
  serve(client: Client): Promise<void>;
  /** Called with each message of the client. Nothing more is read until it has returned. */
  receive?(client: Client, message: Message): Promise<void>;
}

/** Thrown when the client has closed or lost its connection. */
export class ClientGone extends Error {
  override readonly name = "ClientGone";
}

/** How long a client may take to answer a close, in milliseconds. */
const CLOSE_TIMEOUT = 5_000;

/** How long a client may take to end a connection that is cut, refused or shut down, in milliseconds. */
const CUT_TIMEOUT = 1_000;

/** How many bytes may wait to be written before only the newest ping is answered. */
const MAX_PONGS = 16 * 1024;

/** How many bytes one read may bring. */
const READ_SIZE = 16 * 1024;

/** A WebSocket server on 127.0.0.1. */
export class Server implements AsyncDisposable {
  /** `ws://127.0.0.1:port` */
  readonly url: string;
  readonly #listener: Deno.TcpListener;
  readonly #answer: (request: ServerRequest) => Refusal | Acceptance;
  readonly #clients = new Set<Client>();
  /** The connections that have not been answered yet. */
  readonly #connecting = new Set<Deno.Conn>();
  readonly #running = new Set<Promise<void>>();
  #isClosed = false;

  /**
   * @param port The port to listen on; 0 for any that is free.
   * @param answer Called with each request.
   * @throws {Error} If it cannot listen on the port, with the class of Deno's error.
   */
  constructor(
    port: number,
    answer: (request: ServerRequest) => Refusal | Acceptance,
  ) {
    this.#listener = listenOn(port);
    this.#answer = answer;
    this.url = `ws://127.0.0.1:${this.#listener.addr.port}`;
    void this.#listen();
  }

  async #listen(): Promise<void> {
    while (true) {
      let conn;
      try {
        conn = await this.#listener.accept();
      } catch (error) {
        // It is closed; anything else, such as too many open files, may pass.
        if (error instanceof Deno.errors.BadResource) return;
        if (error instanceof Deno.errors.Interrupted) return;
        await new Promise((resolve) => setTimeout(resolve, 100));
        continue;
      }
      if (this.#isClosed) return closeQuietly(conn);
      const running = this.#serve(conn);
      this.#running.add(running);
      void running.finally(() => this.#running.delete(running));
    }
  }

  async #serve(conn: Deno.TcpConn): Promise<void> {
    this.#connecting.add(conn);
    const client = await this.#accept(conn);
    this.#connecting.delete(conn);
    if (client === undefined) return closeQuietly(conn);
    this.#clients.add(client);
    try {
      await client.run();
    } finally {
      this.#clients.delete(client);
    }
  }

  /**
   * Answers the request of a connection.
   *
   * @returns The client, if the request was an upgrade and has been accepted.
   */
  async #accept(conn: Deno.TcpConn): Promise<Client | undefined> {
    let request;
    let rest;
    try {
      // A delay of the system's own would change the recorded ones.
      conn.setNoDelay(true);
      const [lines, behind] = await readRequestLines(conn);
      request = parseRequest(lines);
      rest = behind;
    } catch {
      return; // it hung up, or sent no head
    }
    if (request === null) {
      return await refuse(conn, {
        status: 400,
        body: "This is not a GET request of HTTP/1.1.\n",
      });
    }
    const answer = this.#answer(request);
    if ("status" in answer) return await refuse(conn, answer);
    if (!request.isUpgrade) {
      return await refuse(conn, {
        status: 426,
        headers: [
          ["Upgrade", "websocket"],
          ["Sec-WebSocket-Version", "13"],
          ...answer.headers ?? [],
        ],
        body: "This is a WebSocket endpoint.\n",
      });
    }
    const { headers = [], protocol } = answer;
    const head = encodeHead("HTTP/1.1 101 Switching Protocols", [
      ["Upgrade", "websocket"],
      ["Connection", "Upgrade"],
      ["Sec-WebSocket-Accept", acceptFor(request.key)],
      ...(protocol === undefined
        ? []
        : [["Sec-WebSocket-Protocol", protocol] as [string, string]]),
      ...withDefaults(headers, [["Date", new Date().toUTCString()]]),
    ]);
    const client = new Client(conn, rest, answer);
    client.write(head);
    return client;
  }

  /** Closes every connection with 1001, and cuts those that do not answer. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#listener.close();
    for (const conn of this.#connecting) closeQuietly(conn);
    for (const client of this.#clients) {
      void client.close(1001, "the server ends", CUT_TIMEOUT);
    }
    await Promise.all(this.#running);
  }
}

function listenOn(port: number): Deno.TcpListener {
  try {
    return Deno.listen({ hostname: "127.0.0.1", port });
  } catch (error) {
    throw explained(`Cannot listen on port ${port}`, error);
  }
}

/** One client of a server. */
export class Client implements ProtocolHandler {
  readonly #conn: Deno.TcpConn;
  readonly #acceptance: Acceptance;
  readonly #protocol: Protocol;
  readonly #gone = new AbortController();
  readonly #over = Promise.withResolvers<void>();
  /** What came behind the request. */
  #rest: Uint8Array;
  /** The messages of the client that have not been handled. */
  #messages: Message[] = [];
  /** The frames that have not been written. */
  #queue: Uint8Array[] = [];
  /** The bytes of the frames that have been handed out and not been written. */
  #queued = 0;
  /** The running `#drain()`, which never rejects; `null` if there is nothing to write. */
  #writing: Promise<void> | null = null;
  /** Resolves the calls of `send()` that wait for it: was everything written? */
  #waiting: ((isWritten: boolean) => void)[] = [];
  /** Whether the closing handshake is complete, or the client broke the protocol. */
  #isDone = false;
  /** Whether something could not be written. */
  #hasFailed = false;
  #isStalled = false;

  constructor(conn: Deno.TcpConn, rest: Uint8Array, acceptance: Acceptance) {
    this.#conn = conn;
    this.#rest = rest;
    this.#acceptance = acceptance;
    this.#protocol = new Protocol(this, { side: "server" });
  }

  /** Aborts, with a {@linkcode ClientGone}, when nothing can be sent any more. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /**
   * Sends messages. It resolves when the system has taken them, so that a client
   * that reads slowly holds the sender back.
   *
   * @throws {ClientGone} If the connection is closing or over, or the messages could
   * not be written.
   */
  async send(messages: readonly Message[]): Promise<void> {
    for (const message of messages) {
      if (!this.#protocol.send(message)) throw new ClientGone();
    }
    const isWritten = this.#writing === null
      ? !this.#hasFailed
      : await new Promise<boolean>((resolve) => this.#waiting.push(resolve));
    if (!isWritten) throw new ClientGone();
  }

  /**
   * Closes the connection and waits for its end; without an answer it is cut. One
   * that has stalled is cut at once.
   *
   * @param code Any that may be sent; `undefined` sends a close frame without one.
   */
  async close(
    code: number | undefined,
    reason: string,
    timeout = CLOSE_TIMEOUT,
  ): Promise<void> {
    this.#protocol.close(code, reason);
    this.#leave();
    if (this.#isStalled) closeQuietly(this.#conn);
    await this.#endWithin(timeout);
  }

  /** Ends TCP without a close frame, behind what was sent, and waits for its end. */
  async cut(): Promise<void> {
    this.#protocol.terminate();
    this.#leave();
    void this.#endWriting();
    await this.#endWithin(CUT_TIMEOUT);
  }

  /** Sends and answers nothing any more, and resolves when the client has gone. */
  async stall(): Promise<void> {
    this.#isStalled = true;
    this.#protocol.terminate();
    this.#leave();
    await this.#over.promise;
  }

  /** Serves the client until the connection is over. */
  async run(): Promise<void> {
    const serving = this.#acceptance.serve(this).catch((error) => {
      if (!(error instanceof ClientGone)) throw error;
    });
    await this.#read();
    this.#protocol.terminate();
    this.#leave();
    await this.#release();
    this.#over.resolve();
    await serving;
  }

  /** Reads until the closing handshake is complete, the client breaks the protocol, or TCP ends. */
  async #read(): Promise<void> {
    const buffer = new Uint8Array(READ_SIZE);
    let bytes: Uint8Array | null = this.#rest;
    while (bytes !== null) {
      // All of it is taken: nothing is compressed, and nothing stops it.
      this.#protocol.receive(bytes);
      for (const message of this.#messages.splice(0)) {
        await this.#receive(message);
      }
      if (this.#isDone) return;
      bytes = await readInto(this.#conn, buffer);
    }
  }

  async #receive(message: Message): Promise<void> {
    try {
      await this.#acceptance.receive?.(this, message);
    } catch (error) {
      // The reading goes on, to find the end.
      if (!(error instanceof ClientGone)) throw error;
    }
  }

  /** Ends TCP once everything has been written. What still comes is read, since closing a connection with unread bytes in it could take back what was sent. */
  async #release(): Promise<void> {
    const cancel = after(CUT_TIMEOUT, () => closeQuietly(this.#conn));
    await this.#endWriting();
    await drain(this.#conn);
    cancel();
    closeQuietly(this.#conn);
  }

  /** Says to whoever sends that nothing can be sent any more. */
  #leave(): void {
    this.#gone.abort(new ClientGone());
    this.#stopWaiting(false);
  }

  #stopWaiting(isWritten: boolean): void {
    for (const resolve of this.#waiting.splice(0)) resolve(isWritten);
  }

  /** Waits for the end, and cuts the connection if it takes longer. */
  async #endWithin(timeout: number): Promise<void> {
    const cancel = after(timeout, () => closeQuietly(this.#conn));
    await this.#over.promise;
    cancel();
  }

  /** Ends the writing side of TCP behind everything that was handed out. */
  async #endWriting(): Promise<void> {
    await this.#written();
    try {
      await this.#conn.closeWrite();
    } catch {
      // It is over already.
    }
  }

  /** Waits until everything has been written. In Deno 2.5, closing a connection does not end a write that waits for the client, hence the limit. */
  #written(): Promise<void> {
    const writing = this.#writing;
    if (writing === null) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = after(CUT_TIMEOUT, resolve);
      void writing.then(() => {
        cancel();
        resolve();
      });
    });
  }

  onMessage(message: Message): void {
    this.#messages.push(message);
  }

  onPong(): void {}

  onClose(): void {
    this.#isDone = true;
    this.#leave();
  }

  onFail(): void {
    this.#isDone = true;
    this.#leave();
  }

  /** Pings are answered one by one, as long as the client reads the pongs. */
  get isWriting(): boolean {
    return this.#queued > MAX_PONGS;
  }

  /** Queues a frame, and starts to write the queue if that is not being done. */
  write(frame: Uint8Array): void {
    this.#queue.push(frame);
    this.#queued += frame.length;
    this.#writing ??= this.#drain();
  }

  /** Writes the queue until it is empty. */
  async #drain(): Promise<void> {
    // So that the frames of one `send()` are written together.
    await null;
    try {
      while (this.#queue.length > 0) {
        const bytes = concat(this.#queue.splice(0));
        this.#queued = bytes.length;
        await writeAll(this.#conn, bytes);
        this.#queued -= bytes.length;
        const pong = this.#protocol.takePong();
        if (pong !== null) this.#queue.unshift(pong);
      }
      this.#stopWaiting(true);
    } catch {
      this.#hasFailed = true;
      this.#protocol.writeFailed();
      this.#queue = [];
      this.#queued = 0;
      this.#leave();
    } finally {
      this.#writing = null;
    }
  }
}

/** Reads some bytes into a buffer; `null` at the end, or if the connection was lost or is closed. */
async function readInto(
  conn: Deno.Conn,
  buffer: Uint8Array,
): Promise<Uint8Array | null> {
  try {
    const length = await conn.read(buffer);
    return length === null ? null : buffer.subarray(0, length);
  } catch {
    return null;
  }
}

/** Reads a request head; `null` if it is none of a GET. */
function parseRequest(
  [requestLine = "", ...lines]: string[],
): ServerRequest & { readonly key: string } | null {
  const [, target] = /^GET (\/\S*) HTTP\/1\.1$/.exec(requestLine) ?? [];
  if (target === undefined) return null;
  let headers: HeaderFields;
  try {
    headers = new HeaderFields(lines);
  } catch {
    return null;
  }
  const key = headers.get("sec-websocket-key") ?? "";
  return {
    path: target.replace(/\?.*$/s, ""),
    isUpgrade: listsToken(headers.get("upgrade"), "websocket") &&
      listsToken(headers.get("connection"), "upgrade") &&
      headers.get("sec-websocket-version") === "13" &&
      /^[A-Za-z0-9+/]{22}==$/.test(key),
    protocols: (headers.get("sec-websocket-protocol") ?? "").split(",")
      .map(trimSpace).filter((protocol) => protocol !== ""),
    origin: headers.get("origin"),
    key,
  };
}

type Header = [name: string, value: string];

/** Adds header fields, unless there are others of the name. */
function withDefaults(
  headers: readonly Header[],
  defaults: readonly Header[],
): Header[] {
  const names = new Set(headers.map(([name]) => name.toLowerCase()));
  const missing = defaults.filter(([name]) => !names.has(name.toLowerCase()));
  return [...missing, ...headers];
}

/** Answers without an upgrade, and ends the connection. */
async function refuse(
  conn: Deno.TcpConn,
  { status, headers = [], body }: Refusal,
): Promise<undefined> {
  const phrase = await reasonPhrase(status);
  const bytes = new TextEncoder().encode(
    status === 204 || status === 304 ? "" : body,
  );
  const own: [name: string, value: string][] = [
    ["Date", new Date().toUTCString()],
    ["Connection", "close"],
  ];
  if (bytes.length > 0) {
    own.push(
      ["Content-Type", "text/plain; charset=utf-8"],
      ["Content-Length", `${bytes.length}`],
    );
  }
  const head = encodeHead(
    `HTTP/1.1 ${status} ${phrase}`,
    withDefaults(headers, own),
  );
  const cancel = after(CUT_TIMEOUT, () => closeQuietly(conn));
  try {
    await writeAll(conn, concat([head, bytes]));
    await conn.closeWrite();
  } catch {
    // It hung up.
  }
  await drain(conn);
  cancel();
}

/** Reads until the end, which whoever calls it bounds. */
async function drain(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(READ_SIZE);
  while (await readInto(conn, buffer) !== null);
}
