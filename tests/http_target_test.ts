import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import {
  checkHeaders,
  displayUrl,
  httpUrl,
  parseTarget,
} from "../src/http/target.ts";

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
    const [scheme, value = ""] = target.headers["Authorization"]!.split(" ");
    const bytes = Uint8Array.from(atob(value), (it) => it.charCodeAt(0));
    assertEquals([scheme, new TextDecoder().decode(bytes)], ["Basic", plain]);
    assertEquals(target.url.href, "ws://a.invalid/?q");
  });
}

Deno.test("parseTarget() prefers the Authorization that is given to the URL's credentials", () => {
  const { headers } = parseTarget("ws://user:pass@a.invalid/", [], {
    Authorization: "Bearer x",
  });
  assertEquals(headers, { Authorization: "Bearer x" });
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
  ["a line break at the end of a value", { "X-Y": "secret\n" }, `"X-Y"`],
  ["a NUL in a value", { "X-Y": "secret\0" }, `"X-Y"`],
  ["an escape in a value", [["X-Y", "\x1bsecret"]], `"X-Y"`],
  ["a DEL in a value", { "X-Y": "secret\x7f" }, `"X-Y"`],
  ["a whole line as a name", { "X-Y: secret": "" }, `name "X-Y:…"`],
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
  const fields = { "X-One": "1", "X-Two": "2" };
  for (const form of [fields, Object.entries(fields), new Headers(fields)]) {
    const { headers } = parseTarget("ws://a.invalid/", [], form as HeadersInit);
    assertEquals(headers, fields);
  }
});

Deno.test("checkHeaders() spells names as the caller did, and those that it knows as browsers do", () => {
  assertEquals(
    checkHeaders({ "authorization": "x", "USER-AGENT": "y", "x-oNE": "1" }),
    { "Authorization": "x", "User-Agent": "y", "x-oNE": "1" },
  );
  // A Headers object does not know how a name was spelled.
  assertEquals(
    checkHeaders(new Headers({ "X-oNE-two": "1", "cookie": "a=1" })),
    { "Cookie": "a=1", "X-One-Two": "1" },
  );
  const once = checkHeaders([["x-oNE", "1"]]);
  assertEquals(checkHeaders(once), once);
});

Deno.test("checkHeaders() joins the values of one name in any letters: cookies with a semicolon, others with a comma", () => {
  assertEquals(
    checkHeaders([
      ["X-One", "1"],
      ["Cookie", "a=1"],
      ["x-one", " 2\t"],
      ["cookie", "b=2"],
      ["X-One", "\xfc\t3"],
    ]),
    { "X-One": "1, 2, \xfc\t3", "Cookie": "a=1; b=2" },
  );
  assertEquals(Object.entries(checkHeaders([["__proto__", "1"]])), [
    ["__proto__", "1"],
  ]);
});

Deno.test("parseTarget() repeats no subprotocol, which may be a token", () => {
  const cases: [string | string[], string][] = [
    [["a", "secret=="], "Invalid subprotocol number 2: expected a token"],
    [
      ["secret", "secret"],
      "Invalid subprotocol number 2: it is given more than once",
    ],
    ["secret,a", "Invalid subprotocol number 1: expected a token"],
  ];
  for (const [protocols, message] of cases) {
    const error = assertThrows(
      () => parseTarget("ws://a.invalid/", protocols),
      TypeError,
      message,
    );
    assertEquals(error.message.includes("secret"), false);
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
