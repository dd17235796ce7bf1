/**
 * The environment variables that name a proxy, read as Deno's own network reads
 * them.
 *
 * @module
 */

import { hostOf } from "./address.ts";
import { isExempt, isExemptForDeno } from "./no_proxy.ts";
import { parseProxy, parseProxyVariable, type Route } from "./route.ts";

/** Reads an environment variable. Returns `undefined` if it is not set, or if reading it is not permitted. */
export type ReadVariable = (name: string) => string | undefined;

// The variables that name a proxy, in the order in which Deno reads them.
const FOR_WS = ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"];
const FOR_WSS = ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"];

/**
 * Returns the proxy for a URL: the one of the options, whatever `NO_PROXY` says, or
 * otherwise the one of the environment variables. An empty variable counts as not
 * set, except that an empty `NO_PROXY` hides `no_proxy`.
 *
 * @throws {TypeError} If the proxy is invalid.
 */
export function routeFor(
  url: URL,
  proxy: Deno.Proxy | undefined,
  read: ReadVariable = variables(),
): Route | null {
  if (proxy !== undefined) return parseProxy(proxy);
  const name = (url.protocol === "wss:" ? FOR_WSS : FOR_WS).find(read);
  if (name === undefined) return null;
  // In a CGI program, HTTP_PROXY is set from the header "Proxy" of a request.
  if (/^http_/i.test(name) && read("REQUEST_METHOD") !== undefined) return null;
  if (isExempt(hostOf(url), noProxy(read).list)) return null;
  return parseProxyVariable(name, read(name)!);
}

/**
 * Throws if Deno's own HTTP client would bypass an explicit proxy or address,
 * because `NO_PROXY` contains the host of the URL. For the captures that use that client:
 * call it with the URL of every hop, just before the client for it is created,
 * because the client reads the variable then. It sees nothing where the environment
 * may not be read; Deno's client reads it all the same.
 *
 * @param option The option that would be bypassed.
 * @throws {TypeError} If it would be bypassed. The message names the variable and
 * capture `"direct"`, which bypasses nothing.
 */
export function refuseBypass(
  url: URL,
  option: "http.proxy" | "http.address",
  read: ReadVariable = variables(),
): void {
  const { name, list } = noProxy(read);
  if (!isExemptForDeno(hostOf(url), list)) return;
  throw new TypeError(
    `Cannot use ${option} for ${url.host}: the variable ${name} contains it, ` +
      `and Deno's HTTP client would connect to it directly; ` +
      `unset the variable, or choose capture "direct"`,
  );
}

/** Returns the list of hosts that are not to be connected to through a proxy, and the variable that it is from. */
function noProxy(read: ReadVariable): { name: string; list: string } {
  const upper = read("NO_PROXY");
  return upper !== undefined
    ? { name: "NO_PROXY", list: upper }
    : { name: "no_proxy", list: read("no_proxy") ?? "" };
}

/**
 * The permission to read all environment variables. It is asked for once, since Deno
 * keeps it up to date, and a query takes a tenth of the time of connecting (the rows
 * "From the call to the first message" of `bench/`).
 */
let environment: Deno.PermissionStatus | undefined;

/** Returns a function that reads the environment variables that may be read without a prompt. */
function variables(): ReadVariable {
  const query = (variable?: string) =>
    Deno.permissions.querySync({
      name: "env",
      ...(variable !== undefined && { variable }),
    });
  const isGranted = ({ state, partial }: Deno.PermissionStatus) =>
    state === "granted" && !partial;
  environment ??= query();
  const all = isGranted(environment); // if so, the variables need not be checked one by one
  return (name) =>
    all || isGranted(query(name)) ? Deno.env.get(name) : undefined;
}
