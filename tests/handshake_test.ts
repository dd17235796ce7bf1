import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { HandshakeError, HandshakeResponse } from "@wstap/wstap";
import {
  type Answer,
  httpError,
  judge,
  networkReason,
} from "../src/handshake/judge.ts";
import {
  acceptFor,
  createKey,
  type HandshakeContext,
  requestHeaders,
} from "../src/handshake/request.ts";
import {
  displayUrl,
  httpUrl,
  parseTarget,
  redirected,
} from "../src/handshake/target.ts";

/** What a handshake that follows redirects, or does not, passes on. */
function createContext(follow = false): HandshakeContext {
  return {
    http: {},
    compression: false,
    follow,
    signal: new AbortController().signal,
    caller: undefined,
    onRequest: undefined,
  };
}

function createAnswer(
  status: number,
  statusText: string,
  headers: HeadersInit = {},
): Answer {
  return {
    status,
    statusText,
    headers: new Headers(headers),
    source: "preflight",
    body: null,
  };
}

function createResponse(
  status: number,
  statusText: string,
  headers: HeadersInit = {},
): HandshakeResponse {
  return new HandshakeResponse({
    url: "ws://example.invalid/",
    status,
    statusText,
    headers: new Headers(headers),
    source: "preflight",
  });
}

Deno.test("parseTarget() takes ws: and wss:, as a string or a URL", () => {
  for (const url of ["ws://a.invalid/x?y=z", "WSS://a.invalid:8443/"]) {
    assertEquals(parseTarget(url).url.href, new URL(url).href);
    assertEquals(parseTarget(new URL(url)).url.href, new URL(url).href);
  }
});

Deno.test("parseTarget() does not hold on to the caller's URL", () => {
  const url = new URL("ws://user:secret@a.invalid/");
  const target = parseTarget(url);
  assertEquals(url.password, "secret");
  url.pathname = "/other";
  assertEquals(target.url.href, "ws://a.invalid/");
});

for (const scheme of ["http:", "https:", "ftp:", "file:", "wsss:"]) {
  Deno.test(`parseTarget() refuses ${scheme} and says so`, () => {
    assertThrows(
      () => parseTarget(`${scheme}//a.invalid/`),
      TypeError,
      `expected the scheme "ws:" or "wss:", got "${scheme}"`,
    );
  });
}

for (const url of ["", "/feed", "a.invalid", "ws://", "ws://a b/", "ws://[x"]) {
  Deno.test(`parseTarget() refuses ${JSON.stringify(url)}, which is no URL`, () => {
    assertThrows(() => parseTarget(url), TypeError, "Invalid URL: expected");
  });
}

for (const url of [undefined, null, 5, {}, ["ws://a.invalid/"]]) {
  Deno.test(`parseTarget() refuses ${JSON.stringify(url)} as a URL`, () => {
    assertThrows(
      () => parseTarget(url as unknown as string),
      TypeError,
      "Invalid URL: expected a string or a URL",
    );
  });
}

for (const url of ["ws://a.invalid/#part", "ws://a.invalid/#"]) {
  Deno.test(`parseTarget() refuses the fragment of ${url}`, () => {
    assertThrows(() => parseTarget(url), TypeError, "has a fragment");
    assertThrows(() => parseTarget(new URL(url)), TypeError, "has a fragment");
  });
}

Deno.test("parseTarget() repeats neither credentials nor the query in a message", () => {
  for (
    const url of [
      "http://user:secret@a.invalid/?secret",
      "ws://user:secret@a.invalid/?secret#secret",
      "ws://user:secret@[a/?secret",
      "ws://user:secret@a.invalid:99999999/",
    ]
  ) {
    const error = assertThrows(() => parseTarget(url), TypeError);
    assertEquals(Deno.inspect(error).includes("secret"), false, error.message);
  }
});

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
    const value = target.headers["authorization"] ?? "";
    assertMatch(value, /^Basic /);
    const bytes = Uint8Array.from(
      atob(value.slice(6)),
      (it) => it.charCodeAt(0),
    );
    assertEquals(new TextDecoder().decode(bytes), plain);
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
  "Host",
  "Connection",
  "Upgrade",
  "Content-Length",
  "Transfer-Encoding",
  "Sec-WebSocket-Key",
  "Sec-WebSocket-Version",
  "Sec-WebSocket-Protocol",
  "Sec-WebSocket-Extensions",
  "Sec-WebSocket-Anything",
  "sec-websocket-key",
];

for (const name of RESERVED) {
  Deno.test(`parseTarget() refuses the header ${name}, and names it`, () => {
    const given: HeadersInit[] = [
      { [name]: "secret" },
      [[name, "secret"]],
      new Headers({ [name]: "secret" }),
    ];
    for (const headers of given) {
      const error = assertThrows(
        () => parseTarget("ws://a.invalid/", [], headers),
        TypeError,
      );
      assertMatch(error.message, new RegExp(`"${name}" cannot be set`, "i"));
      assertEquals(error.message.includes("secret"), false);
    }
  });
}

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
    assertEquals(Deno.inspect(error).includes("secret"), false);
  });
}

Deno.test("parseTarget() takes headers in each form that HeadersInit has", () => {
  const forms: HeadersInit[] = [
    { "X-One": "1", "X-Two": "2" },
    [["X-One", "1"], ["X-Two", "2"]],
    new Headers({ "X-One": "1", "X-Two": "2" }),
  ];
  for (const form of forms) {
    assertEquals(parseTarget("ws://a.invalid/", [], form).headers, {
      "x-one": "1",
      "x-two": "2",
    });
  }
});

Deno.test("parseTarget() takes one subprotocol or several", () => {
  const protocols = (it?: string | string[]) =>
    parseTarget("ws://a.invalid/", it).protocols;
  assertEquals(protocols(), []);
  assertEquals(protocols("chat.v1"), ["chat.v1"]);
  assertEquals(protocols(["b", "a"]), ["b", "a"]);
});

for (const protocols of ["", "a b", "a,b", "a\r\n", "ü", [""], [5], 5, {}]) {
  Deno.test(`parseTarget() refuses ${JSON.stringify(protocols)} as subprotocols`, () => {
    assertThrows(
      () => parseTarget("ws://a.invalid/", protocols as string[]),
      TypeError,
      "expected a",
    );
  });
}

Deno.test("parseTarget() refuses a subprotocol that is given twice", () => {
  for (const protocols of [["a", "b", "a"], ["chat", "Chat"]]) {
    assertThrows(
      () => parseTarget("ws://a.invalid/", protocols),
      TypeError,
      "more than once",
    );
  }
});

Deno.test("displayUrl() leaves out the query and credentials, httpUrl() changes the scheme alone", () => {
  const url = new URL("wss://user:pass@a.invalid:8443/x?token=y");
  assertEquals(displayUrl(url), "wss://a.invalid:8443/x");
  assertEquals(
    httpUrl(new URL("wss://a.invalid:8443/ws?ws://")),
    "https://a.invalid:8443/ws?ws://",
  );
  assertEquals(httpUrl(new URL("ws://a.invalid/")), "http://a.invalid/");
});

// --- The request ---

Deno.test("createKey() gives 16 bytes in base64, each time others", () => {
  const keys = Array.from({ length: 100 }, createKey);
  assertEquals(new Set(keys).size, 100);
  for (const key of keys) assertEquals(atob(key).length, 16);
});

Deno.test("acceptFor() answers the key of RFC 6455 section 1.3", () => {
  assertEquals(acceptFor(KEY), ACCEPT);
});

Deno.test("requestHeaders() has what RFC 6455 section 4.1 asks for", () => {
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
  const plain = requestHeaders(
    parseTarget("ws://a.invalid/", [], [
      ["Accept-Encoding", "gzip"],
      ["__proto__", "1"],
      ["X-Two", "1"],
      ["X-Two", "2"],
    ]),
    "key",
  );
  assertEquals(plain["accept-encoding"], "gzip");
  assertEquals(Object.getOwnPropertyDescriptor(plain, "__proto__")?.value, "1");
  assertEquals(plain["x-two"], "1, 2");
  assertEquals("sec-websocket-protocol" in plain, false);
});

// --- The answer ---

/** Those of RFC 6455 section 1.3. */
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const VALID = {
  "Upgrade": "websocket",
  "Connection": "Upgrade",
  "Sec-WebSocket-Accept": ACCEPT,
};

const ACCEPTED: Record<string, Record<string, string>> = {
  "as it stands in RFC 6455": {},
  "in another case": { Upgrade: "WebSocket", Connection: "upgrade" },
  "with other connection options": { Connection: "keep-alive, Upgrade" },
  "with a subprotocol that was offered": { "Sec-WebSocket-Protocol": "b" },
};

for (const [what, headers] of Object.entries(ACCEPTED)) {
  Deno.test(`judge() accepts an answer ${what}`, async () => {
    const response = await judge(
      parseTarget("ws://a.invalid/", ["a", "b"]),
      createAnswer(101, "Switching Protocols", { ...VALID, ...headers }),
      { accept: ACCEPT },
      createContext(),
    );
    assert(response instanceof HandshakeResponse);
    assertEquals(response.status, 101);
    assertEquals(response.source, "preflight");
  });
}

Deno.test("judge() refuses for Deno's WebSocket a Connection header that it would not take", async () => {
  const error = await assertRejects(
    () =>
      judge(
        parseTarget("ws://a.invalid/"),
        createAnswer(101, "Switching Protocols", {
          ...VALID,
          Connection: "keep-alive, Upgrade",
        }),
        { accept: ACCEPT, native: true },
        createContext(),
      ),
    HandshakeError,
    `and it is "keep-alive, Upgrade"; capture "direct" takes it`,
  );
  assertEquals(error.transient, false);
});

const INVALID: [string, Record<string, string | null>, string][] = [
  ["no Upgrade", { Upgrade: null }, "its Upgrade header is missing"],
  ["another Upgrade", { Upgrade: "h2c" }, `its Upgrade header is "h2c"`],
  ["no Connection", { Connection: null }, "its Connection header is missing"],
  [
    "another Connection",
    { Connection: "keep-alive" },
    `its Connection header is "keep-alive"`,
  ],
  [
    "a Connection that only resembles it",
    { Connection: "upgraded, no-upgrade" },
    "its Connection header is",
  ],
  [
    "no Sec-WebSocket-Accept",
    { "Sec-WebSocket-Accept": null },
    "its Sec-WebSocket-Accept header is missing",
  ],
  [
    "another Sec-WebSocket-Accept",
    { "Sec-WebSocket-Accept": "s3pplmbitxaq9kygzzhzrbk+xoo=" },
    "does not answer the key",
  ],
  [
    "a subprotocol nobody offered",
    { "Sec-WebSocket-Protocol": "c" },
    `it chose the subprotocol "c", which was not offered`,
  ],
  [
    "a subprotocol in another case",
    { "Sec-WebSocket-Protocol": "A" },
    `it chose the subprotocol "A", which was not offered`,
  ],
  [
    "two subprotocols",
    { "Sec-WebSocket-Protocol": "a, b" },
    "which was not offered",
  ],
  [
    "an extension",
    { "Sec-WebSocket-Extensions": "permessage-deflate" },
    `it chose the extension "permessage-deflate", and none was offered`,
  ],
];

for (const [what, headers, message] of INVALID) {
  Deno.test(`judge() refuses an answer with ${what}, and names the rule`, async () => {
    const answer = createAnswer(101, "Switching Protocols", VALID);
    for (const [name, value] of Object.entries(headers)) {
      if (value === null) answer.headers.delete(name);
      else answer.headers.set(name, value);
    }
    const error = await assertRejects(
      () =>
        judge(
          parseTarget("ws://a.invalid/x?secret", ["a", "b"]),
          answer,
          { accept: ACCEPT },
          createContext(),
        ),
      HandshakeError,
      message,
    );
    assertMatch(error.message, /^Cannot connect to ws:\/\/a\.invalid\/x: /);
    assertEquals(error.url, "ws://a.invalid/x?secret");
    assertEquals([...error.response!.headers], [...answer.headers]);
    assertEquals(error.transient, false);
  });
}

Deno.test("judge() refuses any other status, with its reason and the body", async () => {
  const error = await assertRejects(
    () =>
      judge(
        parseTarget("ws://a.invalid/x?secret"),
        {
          ...createAnswer(404, "Not Found", { "X-Trace": "1" }),
          body: new Blob(["there is no such feed"]).stream(),
        },
        { accept: ACCEPT },
        createContext(true),
      ),
    HandshakeError,
  );
  assertEquals(
    error.message,
    "Cannot connect to ws://a.invalid/x: HTTP error: 404 Not Found",
  );
  assertEquals(error.response?.headers.get("x-trace"), "1");
  assertEquals(await error.response?.text(), "there is no such feed");
});

Deno.test("httpError() leaves out the reason where there is none", () => {
  assertEquals(httpError(599, ""), "HTTP error: 599");
});

Deno.test("judge() finds the Location of 301, 302, 303, 307 and 308 alone, if redirects are followed", async () => {
  const target = parseTarget("ws://a.invalid/");
  const followed: number[] = [];
  for (let status = 300; status < 310; status++) {
    const answer = createAnswer(status, "", { location: "/x" });
    const expected = { accept: ACCEPT };
    await assertRejects(
      () => judge(target, answer, expected, createContext(false)),
      HandshakeError,
    );
    const result = await judge(target, answer, expected, createContext(true))
      .catch(() => null);
    if (result === null || result instanceof HandshakeResponse) continue;
    assertEquals(result.location, "/x");
    followed.push(status);
  }
  assertEquals(followed, [301, 302, 303, 307, 308]);
  await assertRejects(
    () =>
      judge(
        target,
        createAnswer(302, "Found"),
        { accept: ACCEPT },
        createContext(true),
      ),
    HandshakeError,
    "HTTP error: 302 Found",
  );
});

const response = createResponse(302, "Found");

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
  ["wss://a.invalid/x", "https://b.invalid/y", "wss://b.invalid/y"],
  ["wss://a.invalid/x", "HTTPS://B.invalid:443", "wss://b.invalid/"],
  ["ws://a.invalid/x", "/y#part", "ws://a.invalid/y"],
  ["ws://a.invalid/x", "http://user:pass@b.invalid/", "ws://b.invalid/"],
];

for (const [from, location, to] of LOCATIONS) {
  Deno.test(`redirected() leads from ${from} by ${location} to ${to}`, () => {
    const target = redirected(parseTarget(from), { location, response });
    assertEquals(target.url.href, to);
    assertEquals(target.headers, {});
  });
}

for (const location of ["ftp://b.invalid/", "http://[b", "mailto:x@y", "ws:"]) {
  Deno.test(`redirected() refuses ${location}, which is no WebSocket URL`, () => {
    const error = assertThrows(
      () => redirected(parseTarget("ws://a.invalid/"), { location, response }),
      HandshakeError,
      `which is not a WebSocket URL`,
    );
    assertEquals(error.response, response);
  });
}

Deno.test("redirected() never goes from wss: to ws:", () => {
  for (const location of ["http://a.invalid/y?secret", "ws://b.invalid/y"]) {
    const error = assertThrows(
      () => redirected(parseTarget("wss://a.invalid/"), { location, response }),
      HandshakeError,
      "from wss: to ws:",
    );
    assertEquals(error.message.includes("secret"), false);
    assertEquals(error.response, response);
  }
});

Deno.test("redirected() shows nothing secret of a Location, and no control character", () => {
  for (
    const location of [
      "ftp://user:secret@b.invalid/?secret#secret",
      "http://user:secret@[b/?secret",
      "ftp:\x1b[31m?secret",
    ]
  ) {
    const error = assertThrows(
      () => redirected(parseTarget("ws://a.invalid/"), { location, response }),
      HandshakeError,
    );
    assertEquals(error.message.includes("secret"), false, error.message);
    assertEquals(error.message.includes("\x1b"), false);
  }
});

const SECRETS = {
  "Authorization": "Bearer x",
  "Cookie": "session=x",
  "Proxy-Authorization": "Basic x",
};

Deno.test("redirected() gives Authorization and cookies to the same origin only", () => {
  const target = parseTarget("ws://a.invalid/x", ["chat"], {
    ...SECRETS,
    "X-One": "1",
  });
  const names = (
    location: string,
  ) => Object.keys(redirected(target, { location, response }).headers);
  const all = ["authorization", "cookie", "proxy-authorization", "x-one"];
  assertEquals(names("/y"), all);
  assertEquals(names("http://a.invalid:80/y"), all);
  for (
    const location of [
      "//b.invalid/",
      "//a.invalid:8080/",
      "//x.a.invalid/",
      "https://a.invalid/",
    ]
  ) assertEquals(names(location), ["x-one"]);
  assertEquals(
    redirected(target, { location: "//b.invalid/", response }).protocols,
    ["chat"],
  );
  assertEquals(target.headers["authorization"], "Bearer x");
});

Deno.test("redirected() does not give them back on the way back", () => {
  const start = parseTarget("ws://user:pass@a.invalid/");
  const away = redirected(start, { location: "//b.invalid/", response });
  const back = redirected(away, { location: "//a.invalid/", response });
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
