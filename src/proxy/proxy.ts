/**
 * Proxies: chooses the proxy for a URL, and opens a tunnel through it with
 * `CONNECT` (RFC 9110 section 9.3.6) or SOCKS5 (RFC 1928, RFC 1929).
 *
 * @module
 */

import { readBody } from "../http/body.ts";
import { handshakeError, httpError } from "../http/upgrade.ts";
import type { Target } from "../http/target.ts";
import { HandshakeResponse } from "../response.ts";
import { basicAuth, decodePercent } from "../http/encoding.ts";
import {
  type Conn,
  encodeHead,
  HeadReader,
  MalformedResponse,
  writeAll,
} from "../http/head.ts";

/** A proxy to connect through. */
export interface Route {
  /** The protocol of the proxy. With `"tcp"` there is none: the server is reached at another address. */
  readonly kind: "http" | "https" | "socks5" | "tcp";
  readonly hostname: string;
  readonly port: number;
  readonly auth:
    | { readonly username: string; readonly password: string }
    | null;
}

/** Reads an environment variable. Returns `undefined` if it is empty, or if reading it is not permitted. */
export type ReadVariable = (name: string) => string | undefined;

// The variables that name a proxy, in the order in which Deno reads them.
const FOR_WS = ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"];
const FOR_WSS = ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"];

/**
 * Returns the proxy for a URL: the one of the options, or otherwise the one of the
 * environment variables, which are read as Deno itself reads them.
 *
 * @throws {TypeError} If the proxy is invalid or not supported.
 */
export function routeFor(
  url: URL,
  proxy: Deno.Proxy | undefined,
  read: ReadVariable = readVariables(),
): Route | null {
  if (proxy !== undefined) return parseProxy(proxy);
  const name = (url.protocol === "wss:" ? FOR_WSS : FOR_WS).find(read);
  if (name === undefined) return null;
  // In a CGI program, HTTP_PROXY is set from the header "Proxy" of a request.
  if (/^http_/i.test(name) && read("REQUEST_METHOD")) return null;
  const exempt = read("NO_PROXY") ?? read("no_proxy") ?? "";
  if (isExempt(hostOf(url), exempt)) return null;
  return parseUrl(read(name)!, `the variable ${name}`);
}

/** Returns the host of a URL, without the brackets of an IPv6 address. */
export function hostOf(url: URL): string {
  const { hostname } = url;
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}

/** The permission to read all environment variables. Deno keeps it up to date, and a query takes a tenth of the time of connecting. */
let environment: Deno.PermissionStatus | undefined;

/** Returns a function that reads the environment variables that may be read without a prompt. */
function readVariables(): ReadVariable {
  const query = (variable?: string) =>
    Deno.permissions.querySync({ name: "env", variable });
  const isGranted = ({ state, partial }: Deno.PermissionStatus) =>
    state === "granted" && !partial;
  environment ??= query();
  const all = isGranted(environment); // if so, the variables need not be checked one by one
  return (name) =>
    all || isGranted(query(name)) ? Deno.env.get(name) || undefined : undefined;
}

function parseProxy(proxy: Deno.Proxy): Route {
  if (proxy === null || typeof proxy !== "object") {
    throw new TypeError("Invalid http.proxy: expected an object");
  }
  if (proxy.transport === "tcp") {
    const { hostname, port } = proxy;
    return { kind: "tcp", hostname, port, auth: null };
  }
  if (proxy.transport === "unix" || proxy.transport === "vsock") {
    throw new TypeError(
      `Invalid http.proxy: capture "direct" cannot use the transport "${proxy.transport}", ` +
        `choose capture "preflight" or "none"`,
    );
  }
  const route = parseUrl(proxy.url, "http.proxy");
  return proxy.basicAuth === undefined
    ? route
    : { ...route, auth: proxy.basicAuth };
}

const PORTS = { http: 80, https: 443, socks5: 1080 } as const;

function parseUrl(text: string, source: string): Route {
  // The message does not repeat the text, which may contain credentials.
  const fail = () =>
    new TypeError(
      `Invalid proxy in ${source}: expected a URL such as "http://127.0.0.1:3128" ` +
        `or "socks5://127.0.0.1:1080"`,
    );
  const url = URL.parse(
    /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`,
  );
  const scheme = url?.protocol.replace(/h?:$/, "");
  if (url === null || scheme === undefined || !Object.hasOwn(PORTS, scheme)) {
    throw fail();
  }
  if (url.hostname === "") throw fail();
  const kind = scheme as keyof typeof PORTS;
  const { username, password } = url;
  return {
    kind,
    hostname: hostOf(url),
    port: url.port === "" ? PORTS[kind] : Number(url.port),
    auth: username === "" ? null : {
      username: decodePercent(username),
      password: decodePercent(password),
    },
  };
}

/**
 * Whether `NO_PROXY` contains a host. Its entries are names, with or without a
 * leading dot, which include their subdomains; addresses; ranges of addresses such
 * as `10.0.0.0/8`; and `*` for every host.
 */
export function isExempt(host: string, list: string): boolean {
  const name = host.toLowerCase();
  const address = parseAddress(name);
  return list.split(",").some((text) => {
    const entry = text.trim().toLowerCase();
    if (entry === "") return false;
    if (entry === "*") return true;
    const [base = "", bits] = entry.split("/");
    const range = parseAddress(base.replace(/^\[|\]$/g, ""));
    if (range !== null) {
      if (address === null || address.length !== range.length) return false;
      const length = bits === undefined ? range.length * 8 : Number(bits);
      return /^\d*$/.test(bits ?? "") && length <= range.length * 8 &&
        sharesPrefix(address, range, length);
    }
    if (address !== null) return false;
    const domain = entry.replace(/^\*?\./, "");
    return name === domain || name.endsWith(`.${domain}`);
  });
}

/** Parses an IPv4 or IPv6 address into its bytes. Returns `null` for a host name. */
function parseAddress(text: string): number[] | null {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(text)) {
    const bytes = text.split(".").map(Number);
    return bytes.every((byte) => byte <= 255) ? bytes : null;
  }
  if (!text.includes(":")) return null;
  // The URL parser converts every IPv6 address to one notation, without dots.
  const canonical = URL.parse(`http://[${text}]/`)?.hostname.slice(1, -1);
  if (canonical === undefined) return null;
  const [head = "", tail] = canonical.split("::");
  const groups = (part: string) => part === "" ? [] : part.split(":");
  const before = groups(head);
  const after = groups(tail ?? "");
  const zeros = Array(8 - before.length - after.length).fill("0");
  return [...before, ...zeros, ...after].flatMap((group) => {
    const value = parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

function sharesPrefix(a: number[], b: number[], bits: number): boolean {
  return a.every((byte, i) => {
    const left = Math.min(Math.max(bits - i * 8, 0), 8);
    const mask = 0xff << (8 - left) & 0xff;
    return (byte & mask) === (b[i]! & mask);
  });
}

/**
 * Opens a tunnel to the server through the proxy at the other end of a connection.
 *
 * @throws {HandshakeError} If the proxy refuses. The message names the proxy.
 */
export async function openTunnel(
  target: Target,
  conn: Conn,
  route: Route,
  server: { hostname: string; port: number },
  signal: AbortSignal,
): Promise<void> {
  if (route.kind === "tcp") return;
  const proxy = `the proxy ${address(route)}`;
  const refuse = (
    problem: string,
    { response, transient }: RefusalDetails = {},
  ) => {
    signal.throwIfAborted();
    const error = handshakeError(target, `${proxy} ${problem}`, {
      ...(response && { response }),
      ...(transient !== undefined && { transient }),
    });
    refusals.add(error);
    return error;
  };
  try {
    if (route.kind === "socks5") await socks5(conn, route, server);
    else await connect(target, conn, route, server, signal);
  } catch (error) {
    if (error instanceof Refusal) throw refuse(error.message, error.details);
    if (error instanceof MalformedResponse) {
      throw refuse(`did not answer in HTTP: ${error.message}`);
    }
    signal.throwIfAborted();
    throw error;
  }
}

/** The errors that were created for the refusal of a proxy. */
const refusals = new WeakSet<Error>();

/** Whether an error is the refusal of a proxy, so that the server was not asked. */
export function isProxyRefusal(error: Error): boolean {
  return refusals.has(error);
}

/** The details of a refusal, as options of a `HandshakeError`. */
interface RefusalDetails {
  readonly response?: HandshakeResponse;
  readonly transient?: boolean;
}

/** Thrown if a proxy refuses. The message continues a sentence that begins with the proxy. */
class Refusal extends Error {
  constructor(message: string, readonly details: RefusalDetails = {}) {
    super(message);
  }
}

function address(
  { hostname, port }: { hostname: string; port: number },
): string {
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}

async function connect(
  target: Target,
  conn: Conn,
  { auth }: Route,
  server: { hostname: string; port: number },
  signal: AbortSignal,
): Promise<void> {
  const host = address(server);
  const headers: [string, string][] = [
    ["host", host],
    ["user-agent", navigator.userAgent],
  ];
  if (auth !== null) {
    headers.push([
      "proxy-authorization",
      basicAuth(auth.username, auth.password),
    ]);
  }
  await writeAll(conn, encodeHead(`CONNECT ${host} HTTP/1.1`, headers));
  const reader = new HeadReader(conn);
  const head = await reader.readResponse().catch((error) => {
    if (error instanceof MalformedResponse) throw error;
    throw new Refusal("hung up without an answer");
  });
  const { status } = head;
  if (status >= 200 && status < 300) {
    if (reader.takeRest().length === 0) return;
    throw new Refusal("sent more than its answer");
  }
  const statusText = (await import("node:http")).STATUS_CODES[status] ?? "";
  const body = await readBody(reader.body(head), head.headers, {
    signal,
    caller: undefined,
  });
  const response = new HandshakeResponse({
    url: target.url.href,
    status,
    statusText,
    headers: head.headers,
    source: "direct",
    body,
  });
  throw new Refusal(`answered ${httpError(status, statusText)}`, { response });
}

/** The meanings of the replies of a SOCKS5 proxy (RFC 1928 section 6). */
const SOCKS_REPLIES = [
  "",
  "general SOCKS server failure",
  "connection not allowed by ruleset",
  "network unreachable",
  "host unreachable",
  "connection refused",
  "TTL expired",
  "command not supported",
  "address type not supported",
];

/** The replies after which another attempt may succeed. */
const SOCKS_TRANSIENT = [1, 3, 4, 5, 6];

const PERMANENT = { transient: false };

async function socks5(
  conn: Conn,
  { auth }: Route,
  { hostname, port }: { hostname: string; port: number },
): Promise<void> {
  const methods = auth === null ? [0] : [0, 2];
  await writeAll(conn, new Uint8Array([5, methods.length, ...methods]));
  const [version, method] = await readBytes(conn, 2);
  if (version !== 5) throw new Refusal("does not speak SOCKS5");
  if (method === 2 && auth !== null) {
    await writeAll(
      conn,
      new Uint8Array([1, ...field(auth.username), ...field(auth.password)]),
    );
    const [, status] = await readBytes(conn, 2);
    if (status !== 0) {
      throw new Refusal("refused the username and password", PERMANENT);
    }
  } else if (method !== 0) {
    throw new Refusal(
      auth === null
        ? "wants a username and password"
        : "takes none of the ways to authenticate",
      PERMANENT,
    );
  }
  const bytes = parseAddress(hostname);
  const type = bytes === null ? 3 : bytes.length === 4 ? 1 : 4;
  await writeAll(
    conn,
    new Uint8Array([
      ...[5, 1, 0, type],
      ...(bytes ?? field(hostname)),
      ...[port >> 8, port & 0xff],
    ]),
  );
  const [, reply = 0, , bound] = await readBytes(conn, 4);
  if (reply !== 0) {
    throw new Refusal(
      `answered SOCKS error ${reply}: ${SOCKS_REPLIES[reply] ?? "unassigned"}`,
      { transient: SOCKS_TRANSIENT.includes(reply) },
    );
  }
  const length = bound === 1
    ? 4
    : bound === 4
    ? 16
    : (await readBytes(conn, 1))[0]!;
  await readBytes(conn, length + 2);
}

/** Encodes a text with its length before it, as SOCKS5 does. */
function field(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > 255) {
    throw new Refusal(
      "cannot be given a name or password of over 255 bytes",
      PERMANENT,
    );
  }
  return new Uint8Array([bytes.length, ...bytes]);
}

/** Reads exactly `length` bytes, because the bytes after them are the server's. */
async function readBytes(conn: Conn, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const count = await conn.read(bytes.subarray(at)).catch(() => null);
    if (count === null) throw new Refusal("hung up without an answer");
    at += count;
  }
  return bytes;
}
