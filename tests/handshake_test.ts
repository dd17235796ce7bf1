/**
 * What becomes of an answer to a handshake request. What an answer means is in
 * http_upgrade_test.ts.
 */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { HandshakeError, HandshakeResponse } from "@wstap/wstap";
import {
  type Answer,
  conclude,
  type HandshakeContext,
  networkReason,
} from "../src/handshake.ts";
import { parseTarget } from "../src/http/target.ts";

/** That of RFC 6455 section 1.3. */
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/** Judges an answer; one with 101 is valid but for these headers. */
async function judged(
  { status = 101, headers = {}, body = null, follow = false, hops = 0, native }:
    {
      status?: number;
      headers?: Record<string, string>;
      body?: Answer["body"];
      follow?: boolean;
      hops?: number;
      native?: boolean;
    },
): Promise<Awaited<ReturnType<typeof conclude>>> {
  const valid = status === 101 && {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Accept": ACCEPT,
  };
  const all = new Headers({ ...valid, ...headers });
  const context: HandshakeContext = {
    http: {},
    compression: false,
    decode: true,
    maxMessage: 2 ** 26,
    follow,
    hops,
    signal: new AbortController().signal,
    caller: undefined,
    onRequest: undefined,
  };
  return await conclude(
    parseTarget("ws://a.invalid/x?secret", ["a", "b"]),
    { status, statusText: "Reason", headers: all, source: "preflight", body },
    { accept: ACCEPT, ...(native !== undefined && { native }) },
    context,
  );
}

Deno.test("conclude() accepts a valid upgrade, and refuses one that breaks a rule for good, with its response", async () => {
  const headers = { Connection: "keep-alive, Upgrade" };
  const response = await judged({ headers });
  assert(response instanceof HandshakeResponse);
  assertEquals([response.status, response.source], [101, "preflight"]);
  const error = await assertRejects(
    () => judged({ headers, native: true }),
    HandshakeError,
    "Cannot connect to ws://a.invalid/x: the server's answer is not a valid upgrade: ",
  );
  assertStringIncludes(
    error.message,
    `"keep-alive, Upgrade"; capture "direct"`,
  );
  assertEquals(error.url, "ws://a.invalid/x?secret");
  assertEquals(error.response?.status, 101);
  assertEquals(error.transient, false);
});

Deno.test("conclude() refuses any other status, with its reason and the body", async () => {
  const body = new Blob(["there is no such feed"]).stream();
  const headers = { "X-Trace": "1" };
  const error = await assertRejects(
    () => judged({ status: 404, headers, body, follow: true }),
    HandshakeError,
  );
  assertEquals(
    error.message,
    "Cannot connect to ws://a.invalid/x: HTTP error: 404 Reason",
  );
  assertEquals(error.response?.headers.get("x-trace"), "1");
  assertEquals(await error.response?.text(), "there is no such feed");
});

Deno.test("conclude() takes a redirect for a refusal, unless redirects are followed", async () => {
  const redirect = { status: 302, headers: { location: "/x" } };
  await assertRejects(
    () => judged(redirect),
    HandshakeError,
    "HTTP error: 302 Reason",
  );
  const result = await judged({ ...redirect, follow: true });
  assert(!(result instanceof HandshakeResponse));
  assertEquals(result.target.url.href, "ws://a.invalid/x");
  assertEquals(result.response.status, 302);
});

Deno.test("conclude() refuses a redirect that may not be followed, with its status, why, and the body", async () => {
  const refused = async (location: string, hops: number) => {
    const body = new Blob(["moved"]).stream();
    const error = await assertRejects(
      () =>
        judged({
          status: 302,
          headers: { location },
          body,
          follow: true,
          hops,
        }),
      HandshakeError,
    );
    assertEquals(await error.response?.text(), "moved");
    assertEquals(error.transient, false);
    return error.message;
  };
  const start = "Cannot connect to ws://a.invalid/x: HTTP error: 302 Reason: ";
  assertEquals(
    await refused("/y", 10),
    `${start}it redirects more than 10 times`,
  );
  assertEquals(
    await refused("file:///y", 9),
    `${start}it redirects to "file:///y", which is not a WebSocket URL`,
  );
});

const REASONS: [string, string][] = [
  [
    "error sending request for url (http://u:p@a.invalid/?secret): " +
    "client error (Connect): tcp connect error: Connection refused (os error 111)",
    "tcp connect error: Connection refused (os error 111)",
  ],
  [
    "NetworkError: failed to connect to WebSocket: Invalid status code: 401",
    "Invalid status code: 401",
  ],
  [
    "invalid URL http://a.invalid/?secret, it seems",
    "invalid URL the server it seems",
  ],
  [
    "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/x",
    "peer closed connection without sending TLS close_notify",
  ],
  ["bad \x1b[31m", "bad \\u001b[31m"],
];

for (const [text, expected] of REASONS) {
  Deno.test(`networkReason() finds "${expected.slice(0, 30)}"`, () => {
    assertEquals(networkReason(text), expected);
  });
}
