/**
 * A small WebSocket server for the demo and for replays. `Deno.serve` would not
 * do: its sockets cannot be cut, do not hold the sender back, and can send no
 * close code below 3000 except 1000.
 *
 * @module
 */

import {
  encodeClose,
  encodeFrame,
  encodeText,
  OPCODE,
} from "../websocket/frame.ts";
import { ProtocolError } from "../websocket/protocol_error.ts";
import { type ControlHandler, Receiver } from "../websocket/receiver.ts";
import type { MessageHandler } from "../websocket/runs.ts";
import { closeQuietly, readRequestLines, writeAll } from "../conn.ts";
import { encodeHead } from "../http/head.ts";
import { HeaderFields } from "../http/headers.ts";
import { acceptFor } from "../http/key.ts";
import { reasonPhrase } from "../http/status.ts";
import { after } from "../timers.ts";
import { EXIT, fileError } from "../cli/errors.ts";
import { concat } from "./lines.ts";

/** A text message is a string, a binary one is bytes. */
export type Message = string | Uint8Array;

/** A handshake request, or any other GET. */
export interface ServerRequest {
  /** The path, without the query. */
  readonly path: string;
  /** Whether it asks for a WebSocket. */
  readonly isUpgrade: boolean;
  /** The subprotocols that it offers, in order of preference. */
  readonly protocols: readonly string[];
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
  readonly protocol?: string;
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

/** How many bytes one read may bring. */
const READ_SIZE = 16 * 1024;

/**
 * Starts a server.
 *
 * @throws {CliError} If it cannot listen on the port.
 */
export function listen(
  port: number,
  answer: (request: ServerRequest) => Refusal | Acceptance,
): Server {
  try {
    return new Server(port, answer);
  } catch (error) {
    throw fileError(EXIT.usage, `Cannot listen on port ${port}`, error);
  }
}

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

  /**
   * @param port The port to listen on; 0 for any that is free.
   * @param answer Called with each request.
   */
  constructor(
    port: number,
    answer: (request: ServerRequest) => Refusal | Acceptance,
  ) {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port });
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
        headers: [["Upgrade", "websocket"], ["Sec-WebSocket-Version", "13"]],
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
      ["Date", new Date().toUTCString()],
      ...headers,
    ]);
    try {
      await writeAll(conn, head);
    } catch {
      return; // it hung up
    }
    return new Client(conn, rest, answer);
  }

  /** Closes every connection with 1001, and cuts those that do not answer. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const conn of this.#connecting) closeQuietly(conn);
    for (const client of this.#clients) {
      void client.close(1001, "the server ends", CUT_TIMEOUT);
    }
    await Promise.all(this.#running);
  }
}

/** One client of a server. */
export class Client {
  readonly #conn: Deno.TcpConn;
  readonly #acceptance: Acceptance;
  readonly #receiver: Receiver;
  readonly #gone = new AbortController();
  /** What came behind the request. */
  #rest: Uint8Array;
  /** The messages of the client that have not been handled. */
  #messages: Message[] = [];
  /** Resolves when everything has been written. */
  #writing = Promise.resolve();
  /** The newest ping that is still to be answered. */
  #ping: Uint8Array | null = null;
  #closeSent = false;
  /** Whether a close frame came. */
  #closeReceived = false;
  #stalled = false;
  /** Whether something could not be written. */
  #writeFailed = false;

  constructor(conn: Deno.TcpConn, rest: Uint8Array, acceptance: Acceptance) {
    this.#conn = conn;
    this.#rest = rest;
    this.#acceptance = acceptance;
    const handler: MessageHandler & ControlHandler = {
      onMessage: (message) => this.#messages.push(message),
      onPing: (payload) => this.#answerPing(payload),
      onPong() {},
      onClose: (code) => {
        this.#closeReceived = true;
        this.#sendClose(code === 1005 ? undefined : code, "");
      },
    };
    this.#receiver = new Receiver(handler, handler, { peer: "client" });
  }

  /** Aborts, with a {@linkcode ClientGone}, when the connection is over. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /**
   * Sends messages. It resolves when the system has taken them, so that a client
   * that reads slowly holds the sender back.
   *
   * @throws {ClientGone} If the connection is closing or over.
   */
  async send(messages: readonly Message[]): Promise<void> {
    if (this.#closeSent) throw new ClientGone();
    const frames = messages.map((message) =>
      typeof message === "string"
        ? encodeText(message, { mask: false })
        : encodeFrame(OPCODE.binary, message, { mask: false })
    );
    await this.#write(frames);
  }

  /**
   * Closes the connection and waits for its end; without an answer it is cut.
   *
   * @param code Any that may be sent; `undefined` sends a close frame without one.
   */
  async close(
    code: number | undefined,
    reason: string,
    timeout = CLOSE_TIMEOUT,
  ): Promise<void> {
    const cancel = after(timeout, () => closeQuietly(this.#conn));
    try {
      await this.#sendClose(code, reason);
      await this.#ended();
    } finally {
      cancel();
    }
  }

  /** Ends TCP without a close frame, behind what was sent, and waits for its end. */
  async cut(): Promise<void> {
    this.#closeSent = true; // nothing may follow
    const cancel = after(CUT_TIMEOUT, () => closeQuietly(this.#conn));
    try {
      await this.#writing;
      await this.#conn.closeWrite();
      await this.#ended();
    } catch {
      // It is over already.
    } finally {
      cancel();
    }
  }

  /** Answers nothing any more, and resolves when the client has gone. */
  async stall(): Promise<void> {
    this.#stalled = true;
    await this.#ended();
  }

  /** Serves the client until the connection is over. */
  async run(): Promise<void> {
    const serving = this.#acceptance.serve(this).catch((error) => {
      if (!(error instanceof ClientGone)) throw error;
    });
    let brokeProtocol = false;
    try {
      await this.#read();
    } catch (error) {
      if (error instanceof ProtocolError) {
        brokeProtocol = true;
        this.#sendClose(error.code, error.message);
      } else if (!(error instanceof ClientGone)) throw error;
    }
    // The close frame may still be on its way.
    const cancel = after(CUT_TIMEOUT, () => closeQuietly(this.#conn));
    await this.#writing;
    if (brokeProtocol) await drain(this.#conn);
    cancel();
    closeQuietly(this.#conn);
    this.#gone.abort(new ClientGone());
    await serving;
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(READ_SIZE);
    let bytes: Uint8Array = this.#rest;
    while (true) {
      if (!this.#stalled) this.#receiver.push(bytes);
      for (const message of this.#messages.splice(0)) {
        await this.#acceptance.receive?.(this, message);
      }
      if (this.#closeReceived) return;
      let length;
      try {
        length = await this.#conn.read(buffer);
      } catch {
        return; // it was lost, or closed here
      }
      if (length === null) return;
      bytes = buffer.subarray(0, length);
    }
  }

  #ended(): Promise<void> {
    if (this.gone.aborted) return Promise.resolve();
    return new Promise((resolve) =>
      this.gone.addEventListener("abort", () => resolve(), { once: true })
    );
  }

  #answerPing(payload: Uint8Array): void {
    // A pong to the newest one alone will do (RFC 6455 section 5.5.3).
    const isFirst = this.#ping === null;
    this.#ping = payload;
    if (!isFirst) return;
    this.#enqueue(async () => {
      const payload = this.#ping!;
      this.#ping = null;
      if (this.#closeSent) return;
      await writeAll(
        this.#conn,
        encodeFrame(OPCODE.pong, payload, { mask: false }),
      );
    });
  }

  #sendClose(code: number | undefined, reason: string): Promise<void> {
    if (this.#closeSent) return this.#writing;
    this.#closeSent = true;
    this.#enqueue(() =>
      writeAll(this.#conn, encodeClose(code, reason, { mask: false }))
    );
    return this.#writing;
  }

  async #write(frames: Uint8Array[]): Promise<void> {
    await this.#enqueue(() => writeAll(this.#conn, concat(frames)));
    if (this.#writeFailed) throw new ClientGone();
  }

  /** Writes behind everything else; gives a promise that never rejects. */
  #enqueue(write: () => Promise<void>): Promise<void> {
    this.#writing = this.#writing.then(write).catch(() => {
      this.#writeFailed = true;
      closeQuietly(this.#conn);
    });
    return this.#writing;
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
  const list = (name: string) =>
    (headers.get(name) ?? "").split(",").map((word) => word.trim())
      .filter((word) => word !== "");
  const lists = (name: string, word: string) =>
    list(name).some((it) => it.toLowerCase() === word);
  const key = headers.get("sec-websocket-key") ?? "";
  return {
    path: target.replace(/\?.*$/s, ""),
    isUpgrade: lists("upgrade", "websocket") &&
      lists("connection", "upgrade") &&
      headers.get("sec-websocket-version") === "13" &&
      /^[A-Za-z0-9+/]{22}==$/.test(key),
    protocols: list("sec-websocket-protocol"),
    key,
  };
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
  const content: [name: string, value: string][] = [
    ["Content-Type", "text/plain; charset=utf-8"],
    ["Content-Length", `${bytes.length}`],
  ];
  const head = encodeHead(`HTTP/1.1 ${status} ${phrase}`, [
    ["Date", new Date().toUTCString()],
    ["Connection", "close"],
    ...(bytes.length > 0 ? content : []),
    ...headers,
  ]);
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

/** Reads until the end: to close a connection with unread bytes in it could take back what was sent. */
async function drain(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(READ_SIZE);
  try {
    while (await conn.read(buffer) !== null);
  } catch {
    // It was lost, or is closed.
  }
}
