/**
 * Parses what names a proxy: the option `http.proxy`, the option `--proxy` and the
 * environment variables.
 *
 * @module
 */

import { decodePercent } from "../http/encoding.ts";
import { formatHostPort, hostOf, type HostPort } from "./address.ts";

/** A proxy to connect through. */
export interface Route extends HostPort {
  /** The protocol of the proxy. */
  readonly kind: "http" | "https" | "socks5";
  readonly auth:
    | { readonly username: string; readonly password: string }
    | null;
}

const PORTS = { http: 80, https: 443, socks5: 1080 } as const;

/**
 * Parses the option `http.proxy`. Its `basicAuth` takes precedence over the
 * credentials in its URL.
 *
 * @throws {TypeError} If its URL is not the URL of a proxy, or if its `transport`
 * is not the scheme of the URL. The message does not repeat the URL.
 */
export function parseProxy(proxy: Deno.Proxy): Route {
  const { transport, url, basicAuth } = proxy as Deno.Proxy & {
    url: string;
    basicAuth?: Deno.BasicAuth;
  };
  const route = parseProxyUrl(url, "http.proxy");
  if (transport !== undefined && transport !== route.kind) {
    throw new TypeError(
      `Invalid http.proxy: its transport is "${transport}", and its URL begins with "${route.kind}:"`,
    );
  }
  if (basicAuth === undefined) return route;
  const { username, password } = basicAuth;
  return { ...route, auth: { username, password } };
}

/**
 * Parses the value of an environment variable that names a proxy. Without a scheme
 * it means `http:`.
 *
 * @throws {TypeError} If it is not the URL of a proxy. The message does not repeat
 * it.
 */
export function parseProxyVariable(name: string, value: string): Route {
  const url = value.includes("://") ? value : `http://${value}`;
  return parseProxyUrl(url, `the variable ${name}`);
}

/**
 * Parses the URL of a proxy: `http:`, `https:` or `socks5:`.
 *
 * @param source What the URL was given as, for the error message.
 * @throws {TypeError} If it is not the URL of a proxy. The message does not repeat
 * it, because it may contain credentials.
 */
export function parseProxyUrl(text: string, source: string): Route {
  const url = /^[a-z0-9]+:\/\//i.test(text) ? URL.parse(text) : null;
  // With "socks5h" the proxy resolves names, as it always does here.
  const scheme = url?.protocol.slice(0, -1).replace(/^socks5h$/, "socks5");
  if (
    url === null || url.hostname === "" ||
    scheme === undefined || !Object.hasOwn(PORTS, scheme)
  ) {
    throw new TypeError(
      `Invalid proxy in ${source}: expected a URL such as "http://127.0.0.1:3128" ` +
        `or "socks5://127.0.0.1:1080"`,
    );
  }
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

/** Describes a proxy as Deno's HTTP client takes it in every version: without a `transport`, and with credentials beside the URL. */
export function denoProxy(route: Route): Deno.Proxy {
  const { kind, auth } = route;
  return {
    url: `${kind}://${formatHostPort(route)}`,
    ...(auth !== null && { basicAuth: auth }),
  };
}
