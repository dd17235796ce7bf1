/**
 * The request for a tunnel through an HTTP proxy: `CONNECT` (RFC 9110 section
 * 9.3.6).
 *
 * @module
 */

import { basicAuth } from "../http/encoding.ts";
import { encodeHead } from "../http/head.ts";
import { formatHostPort, type HostPort } from "./address.ts";
import type { Route } from "./route.ts";

/** Returns the request for a tunnel to a server, with `Proxy-Authorization` if the proxy has credentials. */
export function connectRequest(
  { auth }: Pick<Route, "auth">,
  server: HostPort,
): Uint8Array {
  const host = formatHostPort(server);
  const headers: [string, string][] = [
    ["Host", host],
    ["User-Agent", navigator.userAgent],
  ];
  if (auth !== null) {
    headers.push([
      "Proxy-Authorization",
      basicAuth(auth.username, auth.password),
    ]);
  }
  return encodeHead(`CONNECT ${host} HTTP/1.1`, headers);
}
