import {
  acceptFor,
  createKey,
  describeRequest,
  type Fields,
  handshakeError,
  invalidUpgrade,
  networkReason,
  type Redirect,
  redirectLocation,
  refusal,
  requestHeaders,
  type Target,
  verifyUpgrade,
} from "../handshake.ts";
import { HandshakeError } from "../errors.ts";
import { HandshakeResponse } from "../response.ts";
import { readBody } from "./body.ts";
import {
  encodeHead,
  HeadReader,
  MalformedResponse,
  type ResponseHead,
  writeAll,
} from "./http1.ts";
import type { Attach, Line } from "../line.ts";
import { after } from "../duration.ts";
import { FrameGuard } from "./frames.ts";
import type { Scope } from "./scope.ts";
import { openSocket } from "./socket.ts";

/** The header by which the tap knows its own socket. It goes no further. */
const PROOF = "x-wstap-proof";

/** How much one read may bring, in bytes: little until the feed fills it. */
const MIN_BUFFER = 16 * 1024;
const MAX_BUFFER = 512 * 1024;

/**
 * Captures the response of the connection itself: makes the handshake over a
 * connection of its own, and puts the native socket on top of it, by way of a
 * one-shot listener on loopback that copies bytes both ways.
 *
 * The native socket dials the listener while the server makes up its answer,
 * and gets its own once that has been verified.
 */
export async function captureTap(
  target: Target,
  scope: Scope,
  attach: Attach,
): Promise<HandshakeResponse | Redirect> {
  refuseProxy(target, scope);
  const listener = listen();
  const dialling = dial(target, scope);
  // What can be made ready is, while the server is being dialled.
  const request = prepare(target);
  const proof = crypto.randomUUID();
  const admission = admit(listener, proof);
  let server: Deno.Conn | undefined;
  let line: TapLine | undefined;
  let opening: Promise<string | null> | undefined;
  let failure: string | null = "it was never answered";
  const abort = () => server && close(server);
  scope.signal.addEventListener("abort", abort);
  try {
    server = await dialling;
    const reader = new HeadReader(server);
    const answering = shakeHands(target, request, scope, server, reader);
    answering.catch(() => {}); // seen when it is awaited, as is this:
    opening = openLoopback(
      listener,
      proof,
      scope.signal,
      (socket) => attach(socket, line),
    );
    opening.catch(() => {});
    const answer = await answering;
    if (!(answer instanceof HandshakeResponse)) return answer;

    const admitted = await Promise.race([admission, opening]);
    if (admitted !== null && typeof admitted === "object") {
      const protocol = answer.headers.get("sec-websocket-protocol") ?? "";
      line = new TapLine(server, admitted.conn, protocol);
      await writeAll(admitted.conn, upgradeFor(admitted.key));
      line.start(reader.takeRest());
    }
    failure = await opening;
    if (failure === null) return answer;
    throw handshakeError(
      target,
      `the socket did not open over the loopback tap: ${failure}`,
    );
  } catch (error) {
    // A refusal whose body the time ran out for is still a refusal.
    if (!(error instanceof HandshakeError)) scope.signal.throwIfAborted();
    throw error;
  } finally {
    scope.signal.removeEventListener("abort", abort);
    if (failure !== null) {
      close(listener);
      await dialling.then(close, () => {});
      const admitted = await admission;
      if (admitted) close(admitted.conn);
      await opening?.catch(() => {}); // it gets no answer any more, and ends
    }
  }
}

/** The connection of the native socket, and the key that it sent. */
interface Admitted {
  readonly conn: Deno.TcpConn;
  readonly key: string;
}

/** Listens on loopback; needs a permission that the other capture modes do not. */
function listen(): Deno.TcpListener {
  try {
    return Deno.listen({ hostname: "127.0.0.1", port: 0 });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    throw new Deno.errors.NotCapable(
      `Capture "tap" passes the connection through 127.0.0.1: ` +
        `run again with --allow-net=127.0.0.1 beside the host, or choose another capture`,
    );
  }
}

/** The tap dials by itself, so a proxy would be passed by: better to say so. */
function refuseProxy(target: Target, { http }: Scope): void {
  const instead = `: choose capture "preflight" or "none"`;
  if (http.proxy !== undefined) {
    throw new TypeError(
      `Capture "tap" cannot go through the proxy of the "http" option${instead}`,
    );
  }
  const variable = proxyVariable(target.url);
  if (variable !== null) {
    throw new TypeError(
      `Capture "tap" cannot go through the proxy that ${variable} names${instead}, ` +
        `or list the host in NO_PROXY`,
    );
  }
}

/** The environment variable that names a proxy for a URL, as far as it may be read. */
function proxyVariable(url: URL): string | null {
  const readAll = mayRead();
  const read = (name: string) =>
    readAll || mayRead(name) ? Deno.env.get(name) : undefined;
  const scheme = url.protocol === "wss:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  const name = [scheme, scheme.toLowerCase(), "ALL_PROXY", "all_proxy"].find(
    read,
  );
  if (name === undefined) return null;
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const exempt = (read("NO_PROXY") || read("no_proxy") || "")
    .split(",").map((entry) => entry.trim().toLowerCase()).filter((entry) =>
      entry !== ""
    );
  const matches = (entry: string) => {
    const domain = entry.replace(/^\*?\./, "");
    return entry === "*" || host === domain || host.endsWith(`.${domain}`);
  };
  return exempt.some(matches) ? null : name;
}

/** Whether a variable may be read without a prompt, or all of them. */
function mayRead(variable?: string): boolean {
  const { state, partial } = Deno.permissions.querySync({
    name: "env",
    variable,
  });
  return state === "granted" && !partial;
}

/** Connects to the server, over TLS for `wss:`. */
async function dial(
  { url, ...target }: Target,
  scope: Scope,
): Promise<Deno.Conn> {
  const secure = url.protocol === "wss:";
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  const address = { hostname, port: Number(url.port) || (secure ? 443 : 80) };
  const { caCerts, cert, key } = scope.http;
  const tls = {
    hostname,
    alpnProtocols: ["http/1.1"],
    ...(caCerts && { caCerts }),
  };
  let conn: Deno.TcpConn | Deno.TlsConn | undefined;
  const abort = () => conn && close(conn);
  if (secure) scope.signal.addEventListener("abort", abort);
  try {
    if (cert !== undefined && key !== undefined && secure) {
      conn = await abortable(
        Deno.connectTls({ ...address, ...tls, cert, key }),
        scope.signal,
      );
    } else {
      const tcp = conn = await Deno.connect({
        ...address,
        signal: scope.signal,
      });
      tcp.setNoDelay(true);
      if (secure) conn = await Deno.startTls(tcp, tls);
    }
    if ("handshake" in conn) await conn.handshake();
    return conn;
  } catch (error) {
    if (conn) close(conn);
    scope.signal.throwIfAborted();
    if (error instanceof Deno.errors.NotCapable) throw error;
    const reason = networkReason((error as Error).message);
    throw handshakeError({ url, ...target }, reason, {
      cause: new TypeError(reason),
    });
  } finally {
    scope.signal.removeEventListener("abort", abort);
  }
}

/** Waits for a connection that cannot be cancelled; one that comes too late is closed. */
function abortable<T extends Deno.Conn>(
  dialled: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort);
    dialled.then((conn) => signal.aborted ? close(conn) : resolve(conn), reject)
      .finally(() => signal.removeEventListener("abort", abort));
  });
}

/** A handshake request before it is sent. */
interface Prepared {
  readonly key: string;
  readonly headers: Fields;
  readonly head: Uint8Array;
}

function prepare(target: Target): Prepared {
  const { url } = target;
  const key = createKey();
  const headers = requestHeaders(target, key);
  const head = encodeHead(`GET ${url.pathname}${url.search} HTTP/1.1`, [
    ["host", url.host],
    ...Object.entries(headers),
  ]);
  return { key, headers, head };
}

/** Sends the handshake request, and takes the answer to it. */
async function shakeHands(
  target: Target,
  request: Prepared,
  scope: Scope,
  server: Deno.Conn,
  reader: HeadReader,
): Promise<HandshakeResponse | Redirect> {
  scope.onRequest?.(describeRequest("tap", target, request.headers));
  let head: ResponseHead;
  try {
    await writeAll(server, request.head);
    head = await reader.readResponse();
  } catch (error) {
    scope.signal.throwIfAborted();
    if (error instanceof MalformedResponse) {
      throw invalidUpgrade(target, error.message, undefined, error);
    }
    const reason = networkReason((error as Error).message);
    throw handshakeError(target, reason, { cause: new TypeError(reason) });
  }

  const { status } = head;
  // Loaded only here: a handshake that succeeds needs none but the one phrase.
  const statusText = status === 101
    ? "Switching Protocols"
    : (await import("node:http")).STATUS_CODES[status] ?? "";
  const response = (body?: Uint8Array) =>
    new HandshakeResponse({
      url: target.url.href,
      status,
      statusText,
      headers: head.headers,
      source: "tap",
      body,
    });
  if (status === 101) {
    if (head.version !== "1.1") {
      throw invalidUpgrade(
        target,
        `it speaks HTTP/${head.version}, not HTTP/1.1`,
        response(),
      );
    }
    const accepted = response();
    verifyUpgrade(target, accepted, acceptFor(request.key));
    return accepted;
  }
  const location = scope.follow ? redirectLocation(status, head.headers) : null;
  if (location !== null) return { location, response: response() };
  const body = await readBody(reader.body(head), head.headers, scope);
  throw refusal(target, response(body));
}

/**
 * Opens the native socket to the listener, which both its URL and the proxy of
 * its client name: the environment can override either one.
 */
function openLoopback(
  { addr: { hostname, port } }: Deno.TcpListener,
  proof: string,
  signal: AbortSignal,
  attach: Attach,
): Promise<string | null> {
  using client = Deno.createHttpClient({
    http2: false,
    proxy: { transport: "tcp", hostname, port },
  });
  const loopback: Target = {
    url: new URL(`ws://${hostname}:${port}/`),
    protocols: [],
    headers: { [PROOF]: proof },
  };
  return openSocket(loopback, client, signal, attach);
}

/** The answer that opens the native socket. */
function upgradeFor(key: string): Uint8Array {
  return encodeHead("HTTP/1.1 101 Switching Protocols", [
    ["upgrade", "websocket"],
    ["connection", "Upgrade"],
    ["sec-websocket-accept", acceptFor(key)],
  ]);
}

/** How long a connection may keep the next one waiting, in milliseconds. */
const GRACE = 20;

/**
 * Accepts connections until one shows the proof, and drops every other.
 *
 * The next one is only accepted when this one has had its chance: an accept
 * that has to be cancelled costs more than the rest of this.
 *
 * @returns That connection and its key, or `null` if the listener was closed
 * before it came. The listener is closed in any case, and this never rejects.
 */
async function admit(
  listener: Deno.TcpListener,
  proof: string,
): Promise<Admitted | null> {
  const strangers = new Set<Deno.TcpConn>();
  const checks: Promise<void>[] = [];
  const admitted: Admitted[] = [];
  const check = async (conn: Deno.TcpConn) => {
    strangers.add(conn);
    try {
      const lines = await new HeadReader(conn).readLines();
      const value = (name: string) =>
        lines.find((line) => line.toLowerCase().startsWith(`${name}: `))
          ?.slice(name.length + 2);
      if (value(PROOF) !== proof) return close(conn);
      strangers.delete(conn);
      admitted.push({ conn, key: value("sec-websocket-key") ?? "" });
      close(listener);
    } catch {
      close(conn); // it broke off
    }
  };
  try {
    while (admitted.length === 0) {
      const conn = await accept(listener);
      if (conn === null) continue;
      const checked = check(conn);
      checks.push(checked);
      await atMost(GRACE, checked);
    }
  } catch {
    close(listener); // it is closed already, or it cannot accept any more
  }
  for (const conn of strangers) close(conn);
  await Promise.all(checks);
  return admitted[0] ?? null;
}

/** Waits for a promise, but no longer than `delay` milliseconds. */
async function atMost(delay: number, promise: Promise<void>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const cancel = after(delay, resolve);
  await Promise.race([promise, late]);
  cancel();
}

/** Accepts a connection; gives `null` for one that has broken off already. */
function accept(listener: Deno.TcpListener): Promise<Deno.TcpConn | null> {
  return listener.accept().catch((error) => {
    if (
      error instanceof Deno.errors.ConnectionAborted ||
      error instanceof Deno.errors.ConnectionReset
    ) return null;
    throw error;
  });
}

/** Copies bytes between the server and the native socket until either ends. */
class TapLine implements Line {
  readonly protocol: string;
  readonly ended: Promise<void>;
  onTraffic = () => {};
  readonly #server: Deno.Conn;
  readonly #local: Deno.Conn;
  readonly #settleEnded: () => void;
  readonly #guard = new FrameGuard();
  readonly #socketClosed = Promise.withResolvers<void>();
  #isCut = false;
  /** Shut while the consumer is behind. */
  #gate: PromiseWithResolvers<void> | null = null;

  constructor(server: Deno.Conn, local: Deno.TcpConn, protocol: string) {
    local.setNoDelay(true);
    this.#server = server;
    this.#local = local;
    this.protocol = protocol;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#settleEnded = resolve;
  }

  get failure(): string {
    return this.#guard.problem;
  }

  get closeReceived(): boolean {
    return this.#guard.closed;
  }

  /** @param rest What the server sent behind its response head. */
  start(rest: Uint8Array): void {
    Promise.all([this.#copyDown(rest), this.#copyUp()]).then(() => {
      this.cut();
      this.#settleEnded();
    });
  }

  pause(): void {
    this.#gate ??= Promise.withResolvers();
  }

  resume(): void {
    this.#gate?.resolve();
    this.#gate = null;
  }

  socketClosed(): void {
    this.#socketClosed.resolve();
  }

  cut(): void {
    if (this.#isCut) return;
    this.#isCut = true;
    this.resume();
    this.#socketClosed.resolve();
    close(this.#server);
    close(this.#local);
  }

  /** From the server to the native socket, reading ahead of what is being written. */
  async #copyDown(rest: Uint8Array): Promise<void> {
    let buffer = new Uint8Array(MIN_BUFFER);
    let spare = new Uint8Array(MIN_BUFFER);
    try {
      let written = this.#passDown(rest);
      while (this.failure === "") {
        written.catch(() => {}); // seen when it is awaited
        if (this.#gate !== null) await this.#gate.promise;
        const length = await this.#server.read(buffer);
        await written;
        if (length === null) break;
        this.onTraffic();
        written = this.#passDown(buffer.subarray(0, length));
        [buffer, spare] = [grown(spare, length), buffer];
      }
      await written;
    } catch {
      // The connection was lost, or cut: the native socket reports what it means.
    }
    await endWriting(this.#local);
  }

  /** Hands the native socket what it may have of the bytes. */
  #passDown(bytes: Uint8Array): Promise<void> {
    return writeAll(
      this.#local,
      bytes.subarray(0, this.#guard.admit(bytes)),
    );
  }

  /** From the native socket to the server; the end of the socket ends it all. */
  async #copyUp(): Promise<void> {
    let buffer = new Uint8Array(MIN_BUFFER);
    try {
      for (let length; (length = await this.#local.read(buffer)) !== null;) {
        // Where nothing can be sent any more, what was received still counts: the
        // native socket finds its end behind that.
        await writeAll(this.#server, buffer.subarray(0, length))
          .catch(() => this.#socketClosed.promise);
        buffer = grown(buffer, length);
      }
    } catch {
      // The native socket is gone without a word.
    }
    await endWriting(this.#server);
    this.cut();
  }
}

/** A buffer to read into: `buffer`, or a larger one where `length` bytes would fill it. */
function grown(
  buffer: Uint8Array<ArrayBuffer>,
  length: number,
): Uint8Array<ArrayBuffer> {
  const size = Math.min(length * 4, MAX_BUFFER);
  return buffer.length <= length && buffer.length < size
    ? new Uint8Array(size)
    : buffer;
}

/** Tells the other side that nothing more comes, where it can still be told. */
async function endWriting(conn: Deno.Conn): Promise<void> {
  try {
    await conn.closeWrite();
  } catch {
    // It is closed already.
  }
}

/** Closes what may be closed already. */
function close(resource: { close(): void }): void {
  try {
    resource.close();
  } catch {
    // It is.
  }
}
