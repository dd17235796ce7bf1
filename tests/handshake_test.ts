/**
 * What a handshake asks and what an answer means, without a network. Each rule of a
 * valid upgrade is in hostile/handshakes.ts.
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { HandshakeError, HandshakeResponse } from "@wstap/wstap";
import {
  type Answer,
  conclude,
  type HandshakeContext,
  networkReason,
} from "../src/handshake.ts";
import { acceptFor, createKey } from "../src/http/key.ts";
import { redirected } from "../src/http/redirect.ts";
import { requestHeaders } from "../src/http/request.ts";
import {
  displayUrl,
  httpUrl,
  parseTarget,
  type Target,
} from "../src/http/target.ts";

// --- The target ---

Deno.test("parseTarget() takes ws: and wss:, as a string or a URL, which it does not hold on to", () => {
  for (const url of ["ws://a.invalid/x?y=z", "WSS://a.invalid:8443/"]) {
    assertEquals(parseTarget(url).url.href, new URL(url).href);
    assertEquals(parseTarget(new URL(url)).url.href, new URL(url).href);
  }
  const url = new URL("ws://user:secret@a.invalid/");
  const target = parseTarget(url);
  assertEquals(url.password, "secret");
  url.pathname = "/other";
  assertEquals(target.url.href, "ws://a.invalid/");
});

const URLS: Record<string, unknown[]> = {
  [`expected the scheme "ws:" or "wss:", got "http:"`]: ["http://a.invalid/"],
  [`expected the scheme "ws:" or "wss:", got "https:"`]: ["https://a.invalid/"],
  [`expected the scheme "ws:" or "wss:", got "wsss:"`]: ["wsss://a.invalid/"],
  "Invalid URL: expected one such as": [
    ...["", "/feed", "a.invalid", "ws://", "ws://a b/", "ws://[x"],
  ],
  "Invalid URL: expected a string or a URL, got": [
    ...[undefined, null, 5, {}, ["ws://a.invalid/"]],
  ],
  "has a fragment": [
    ...["ws://a.invalid/#part", "ws://a.invalid/#"],
    new URL("ws://a.invalid/#"),
  ],
};

for (const [message, urls] of Object.entries(URLS)) {
  Deno.test(`parseTarget() refuses a URL: ${message}`, () => {
    for (const url of urls) {
      assertThrows(() => parseTarget(url as string), TypeError, message);
    }
  });
}

const CREDENTIALS: [string, string][] = [
  ["user:pass", "user:pass"],
  ["user", "user:"],
  [":pass", ":pass"],
  ["us%3Aer:p%40ss", "us:er:p@ss"],
  ["%C3%BC:%F0%9F%98%80", "ü:😀"],
  ["100%25:50%", "100%:50%"],
];

for (const [credentials, plain] of CREDENTIALS) {
  Deno.test(`parseTarget() makes Basic credentials of ${credentials}@`, () => {
    const target = parseTarget(`ws://${credentials}@a.invalid/?q`);
    const [scheme, value = ""] = target.headers["authorization"]!.split(" ");
    const bytes = Uint8Array.from(atob(value), (it) => it.charCodeAt(0));
    assertEquals([scheme, new TextDecoder().decode(bytes)], ["Basic", plain]);
    assertEquals(target.url.href, "ws://a.invalid/?q");
  });
}

Deno.test("parseTarget() prefers the Authorization that is given to the URL's credentials", () => {
  const { headers } = parseTarget("ws://user:pass@a.invalid/", [], {
    Authorization: "Bearer x",
  });
  assertEquals(headers, { authorization: "Bearer x" });
});

const RESERVED = [
  ...["Host", "Connection", "Upgrade", "Content-Length", "Transfer-Encoding"],
  ...["Sec-WebSocket-Key", "Sec-WebSocket-Anything", "sec-websocket-key"],
];

Deno.test(`parseTarget() refuses each header that the handshake writes, and names it`, () => {
  for (const name of RESERVED) {
    const forms: HeadersInit[] = [
      { [name]: "secret" },
      [[name, "secret"]],
      new Headers({ [name]: "secret" }),
    ];
    for (const headers of forms) {
      const error = assertThrows(
        () => parseTarget("ws://a.invalid/", [], headers),
        TypeError,
      );
      assertMatch(error.message, new RegExp(`"${name}" cannot be set`, "i"));
      assert(!error.message.includes("secret"));
    }
  }
});

const HEADERS: [string, unknown, string][] = [
  ["a name that is no token", { "X Y": "secret" }, `header name "X Y"`],
  ["an empty name", [["", "secret"]], "header name"],
  ["a line break in a value", { "X-Y": "secret\r\nsecret" }, `"X-Y"`],
  ["a value beyond U+00FF", { "X-Y": "secret€" }, `"X-Y"`],
  ["an incomplete pair", [["X-Y"]], "pairs of a name and a value"],
  ["a pair of three", [["X-Y", "secret", "secret"]], "pairs of a name"],
  ["a string", "secret", "expected an object"],
  ["null", null, "expected an object, got null"],
];

for (const [what, headers, message] of HEADERS) {
  Deno.test(`parseTarget() refuses headers with ${what}, without showing a value`, () => {
    const error = assertThrows(
      () => parseTarget("ws://a.invalid/", [], headers as HeadersInit),
      TypeError,
      message,
    );
    assert(!Deno.inspect(error).includes("secret"));
  });
}

Deno.test("parseTarget() takes headers in each form that HeadersInit has", () => {
  const expected = { "x-one": "1", "x-two": "2" };
  const fields = { "X-One": "1", "X-Two": "2" };
  for (const form of [fields, Object.entries(fields), new Headers(fields)]) {
    const { headers } = parseTarget("ws://a.invalid/", [], form as HeadersInit);
    assertEquals(headers, expected);
  }
});

Deno.test("parseTarget() takes one subprotocol or several, each a token and none twice", () => {
  const protocols = (it?: unknown) =>
    parseTarget("ws://a.invalid/", it as string[]).protocols;
  assertEquals(protocols(), []);
  assertEquals(protocols("chat.v1"), ["chat.v1"]);
  assertEquals(protocols(["b", "a"]), ["b", "a"]);
  for (const it of ["", "a b", "a,b", "a\r\n", "ü", [""], [5], 5, {}]) {
    assertThrows(() => protocols(it), TypeError, "expected a");
  }
  for (const it of [["a", "b", "a"], ["chat", "Chat"]]) {
    assertThrows(() => protocols(it), TypeError, "more than once");
  }
});

Deno.test("displayUrl() leaves out the query and credentials, httpUrl() changes the scheme alone", () => {
  const url = new URL("wss://user:pass@a.invalid:8443/x?token=y");
  assertEquals(displayUrl(url), "wss://a.invalid:8443/x");
  const secure = new URL("wss://a.invalid:8443/ws?ws://");
  assertEquals(httpUrl(secure), "https://a.invalid:8443/ws?ws://");
  assertEquals(httpUrl(new URL("ws://a.invalid/")), "http://a.invalid/");
});

// --- The request ---

Deno.test("createKey() gives 16 bytes in base64, each time others", () => {
  const keys = Array.from({ length: 100 }, createKey);
  assertEquals(new Set(keys).size, 100);
  for (const key of keys) assertEquals(atob(key).length, 16);
});

Deno.test("acceptFor() answers the key of RFC 6455 section 1.3", () => {
  assertEquals(acceptFor("dGhlIHNhbXBsZSBub25jZQ=="), ACCEPT);
});

Deno.test("requestHeaders() has what RFC 6455 section 4.1 asks for, and the caller's", () => {
  const target = parseTarget("ws://a.invalid/", ["b", "a"], { "X-One": "1" });
  assertEquals(requestHeaders(target, "key"), {
    "accept-encoding": "identity",
    "connection": "Upgrade",
    "sec-websocket-key": "key",
    "sec-websocket-protocol": "b, a",
    "sec-websocket-version": "13",
    "upgrade": "websocket",
    "user-agent": navigator.userAgent,
    "x-one": "1",
  });
  const own = requestHeaders(
    parseTarget("ws://a.invalid/", [], [
      ["Accept-Encoding", "gzip"],
      ["__proto__", "1"],
      ["X-Two", "1"],
      ["X-Two", "2"],
    ]),
    "key",
  );
  assertEquals(own["accept-encoding"], "gzip");
  assertEquals(Object.getOwnPropertyDescriptor(own, "__proto__")?.value, "1");
  assertEquals(own["x-two"], "1, 2");
  assertEquals("sec-websocket-protocol" in own, false);
});

// --- The answer ---

/** That of RFC 6455 section 1.3. */
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/** Judges an answer; one with 101 is valid but for these headers. */
async function judged(
  { status = 101, headers = {}, body = null, follow = false, native }: {
    status?: number;
    headers?: Record<string, string>;
    body?: Answer["body"];
    follow?: boolean;
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
    signal: new AbortController().signal,
    caller: undefined,
    onRequest: undefined,
  };
  return await conclude(
    parseTarget("ws://a.invalid/x?secret", ["a", "b"]),
    { status, statusText: "Reason", headers: all, source: "preflight", body },
    { accept: ACCEPT, native },
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

Deno.test("conclude() finds the Location of 301, 302, 303, 307 and 308 alone, if redirects are followed", async () => {
  const followed: number[] = [];
  for (let status = 300; status < 310; status++) {
    const headers = { location: "/x" };
    await assertRejects(() => judged({ status, headers }), HandshakeError);
    const result = await judged({ status, headers, follow: true })
      .catch(() => null);
    if (result === null || result instanceof HandshakeResponse) continue;
    assertEquals(result.location, "/x");
    followed.push(status);
  }
  assertEquals(followed, [301, 302, 303, 307, 308]);
  await assertRejects(
    () => judged({ status: 302, follow: true }),
    HandshakeError,
    "HTTP error: 302",
  );
});

// --- Redirects ---

/** Where a redirect leads. */
function lead(from: Target | string, location: string): Target {
  const target = typeof from === "string" ? parseTarget(from) : from;
  const next = redirected(target, location);
  assert(typeof next !== "string", next.toString());
  return next;
}

const LOCATIONS: [from: string, location: string, to: string][] = [
  ["ws://a.invalid/x/y?q", "/z?r", "ws://a.invalid/z?r"],
  ["ws://a.invalid/x/y?q", "z", "ws://a.invalid/x/z"],
  ["ws://a.invalid/x?q", "?r", "ws://a.invalid/x?r"],
  ["ws://a.invalid/x", "//b.invalid/y", "ws://b.invalid/y"],
  ["wss://a.invalid/x", "//b.invalid/y", "wss://b.invalid/y"],
  ["ws://a.invalid/x", "http://b.invalid/y", "ws://b.invalid/y"],
  ["ws://a.invalid/x", "https://b.invalid/y", "wss://b.invalid/y"],
  ["ws://a.invalid/x", "ws://b.invalid/y", "ws://b.invalid/y"],
  ["ws://a.invalid/x", "wss://b.invalid/y", "wss://b.invalid/y"],
  ["wss://a.invalid/x", "HTTPS://B.invalid:443", "wss://b.invalid/"],
  ["ws://a.invalid/x", "/y#part", "ws://a.invalid/y"],
  ["ws://a.invalid/x", "http://user:pass@b.invalid/", "ws://b.invalid/"],
];

for (const [from, location, to] of LOCATIONS) {
  Deno.test(`redirected() leads from ${from} by ${location} to ${to}`, () => {
    const target = lead(from, location);
    assertEquals(target.url.href, to);
    assertEquals(target.headers, {});
  });
}

const NOT_FOLLOWED: [from: string, message: string, locations: string[]][] = [
  [
    "ws://a.invalid/",
    "which is not a WebSocket URL",
    [
      ...["mailto:x@y", "ws:", "ftp://user:secret@b.invalid/?secret#secret"],
      ...["http://user:secret@[b/?secret", "ftp:\x1b[31m?secret"],
      ...["ftp:user:secret@h/", "user:secret@h", "ftp:///a:secret@h/"],
    ],
  ],
  [
    "wss://a.invalid/",
    "from wss: to ws:",
    ["http://a.invalid/y?secret", "ws://b.invalid/y"],
  ],
];

for (const [from, message, locations] of NOT_FOLLOWED) {
  Deno.test(`redirected() refuses a Location ${message}, and shows nothing secret of it`, () => {
    for (const location of locations) {
      const problem = redirected(parseTarget(from), location);
      assert(typeof problem === "string");
      assertStringIncludes(problem, message);
      assert(!problem.includes("secret"), problem);
      assert(!problem.includes("\x1b"), problem);
    }
  });
}

Deno.test("redirected() gives Authorization and cookies to the same origin only, and never back", () => {
  const target = parseTarget("ws://a.invalid/x", ["chat"], {
    "Authorization": "Bearer x",
    "Cookie": "session=x",
    "Proxy-Authorization": "Basic x",
    "X-One": "1",
  });
  const all = ["authorization", "cookie", "proxy-authorization", "x-one"];
  const names = (location: string) => {
    const next = lead(target, location);
    assertEquals(next.protocols, ["chat"]);
    return Object.keys(next.headers);
  };
  assertEquals(names("/y"), all);
  assertEquals(names("http://a.invalid:80/y"), all);
  const others = [
    ...["//b.invalid/", "//a.invalid:8080/", "//x.a.invalid/"],
    "https://a.invalid/",
  ];
  for (const location of others) assertEquals(names(location), ["x-one"]);
  assertEquals(Object.keys(target.headers), all);

  const start = parseTarget("ws://user:pass@a.invalid/");
  const away = lead(start, "//b.invalid/");
  const back = lead(away, "//a.invalid/");
  assertEquals(back.headers, {});
});

// --- Network errors ---

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
  ["bad \x1b[31m", "bad \\u001b[31m"],
];

for (const [text, expected] of REASONS) {
  Deno.test(`networkReason() finds "${expected.slice(0, 30)}"`, () => {
    assertEquals(networkReason(text), expected);
  });
}
