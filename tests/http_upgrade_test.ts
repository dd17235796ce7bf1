/** What an answer means (RFC 6455 section 4.1). That each capture keeps to it is in hostile/handshakes.ts. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { secretsOf } from "../src/http/secrets.ts";
import { parseTarget } from "../src/http/target.ts";
import { type Expectation, judge, type Verdict } from "../src/http/upgrade.ts";

const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/** Judges a 101 that is valid but for these headers; `null` leaves one out. */
function judged(
  headers: Record<string, string | null> = {},
  expected: Partial<Expectation> = {},
): Verdict {
  const all = new Map<string, string>(Object.entries({
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-accept": ACCEPT,
  }));
  for (const [name, value] of Object.entries(headers)) {
    if (value === null) all.delete(name);
    else all.set(name, value);
  }
  // A map, because a Headers object would trim the values.
  const fields = {
    get: (name: string) => all.get(name) ?? null,
    [Symbol.iterator]: () => all[Symbol.iterator](),
  };
  return judge({ status: 101, headers: fields }, {
    accept: ACCEPT,
    protocols: [],
    ...expected,
  });
}

const VALID: [string, Record<string, string>, Partial<Expectation>?][] = [
  ["one with nothing but what is needed", {}],
  ["Upgrade in other letters", { upgrade: "WebSocket" }],
  ["a list in Connection", { connection: "keep-alive,\tUPGRADE" }],
  ["spaces around the accept key", { "sec-websocket-accept": ` ${ACCEPT}\t` }],
  ["a subprotocol that was offered", { "sec-websocket-protocol": "b" }, {
    protocols: ["a", "b"],
  }],
  ["an extension that was offered", { "sec-websocket-extensions": "x" }, {
    extensionProblem: () => null,
  }],
  ["what Deno's WebSocket takes", { connection: "upgrade" }, { native: true }],
];

for (const [what, headers, expected] of VALID) {
  Deno.test(`judge() accepts ${what}`, () => {
    assertEquals(judged(headers, expected), { kind: "upgrade" });
  });
}

const INVALID: [
  string,
  Record<string, string | null>,
  RegExp,
  Partial<Expectation>?,
][] = [
  ["no Upgrade", { upgrade: null }, /^its Upgrade header is missing /],
  ["another Upgrade", { upgrade: "h2c" }, /^its Upgrade header is "h2c" /],
  ["an Upgrade with a no-break space", { upgrade: "websocket\xa0" }, /Upgrade/],
  ["no Connection", { connection: null }, /^its Connection header is missing /],
  ["another Connection", { connection: "close" }, /"close" .* list "upgrade"$/],
  [
    "a Connection that Deno's WebSocket does not take",
    { connection: "keep-alive, Upgrade" },
    /exactly "upgrade".*capture "direct" takes it$/,
    { native: true },
  ],
  ["no accept key", { "sec-websocket-accept": null }, /Accept .* missing /],
  [
    "an accept key in other letters",
    { "sec-websocket-accept": ACCEPT.toLowerCase() },
    /does not answer the key$/,
  ],
  [
    "an accept key with a no-break space",
    { "sec-websocket-accept": `${ACCEPT}\xa0` },
    /does not answer the key$/,
  ],
  [
    "a subprotocol where none was offered",
    { "sec-websocket-protocol": "chat" },
    /^it chose the subprotocol "chat", which was not offered$/,
  ],
  [
    "a subprotocol that was not offered",
    { "sec-websocket-protocol": "mqtt" },
    /^it chose the subprotocol "mqtt", which was not offered$/,
    { protocols: ["chat"] },
  ],
  [
    "a subprotocol with a no-break space",
    { "sec-websocket-protocol": "chat\xa0" },
    /which was not offered$/,
    { protocols: ["chat"] },
  ],
  [
    "an extension where none was offered",
    { "sec-websocket-extensions": "x" },
    /^it chose the extension "x", and none was offered$/,
  ],
  [
    "an extension that breaks a rule",
    { "sec-websocket-extensions": "x" },
    /^broken$/,
    { extensionProblem: () => "broken" },
  ],
];

for (const [what, headers, problem, expected] of INVALID) {
  Deno.test(`judge() names the rule that is broken by ${what}`, () => {
    const verdict = judged(headers, expected);
    assert(verdict.kind === "invalid");
    assertMatch(verdict.problem, problem);
  });
}

Deno.test("judge() refuses an upgrade that does not speak HTTP/1.1", () => {
  const headers = new Headers({
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Accept": ACCEPT,
  });
  const expected = { accept: ACCEPT, protocols: [] };
  assertEquals(judge({ status: 101, headers, version: "1.0" }, expected), {
    kind: "invalid",
    problem: "it speaks HTTP/1.0, not HTTP/1.1",
  });
  assertEquals(
    judge({ status: 101, headers, version: "1.1" }, expected).kind,
    "upgrade",
  );
});

Deno.test("judge() repeats no subprotocol that has a part of an offered one", () => {
  const token = "bearer.c2VjcmV0LXRva2Vu";
  const derived = [
    ...[`chat, ${token}`, token.toUpperCase(), token.slice(0, 12)],
    ...["x-c2VjcmV0", `${token}==`, "token=LXRva2Vu"],
  ];
  for (const protocol of derived) {
    const verdict = judged({ "sec-websocket-protocol": protocol }, {
      protocols: ["chat", token],
    });
    assert(verdict.kind === "invalid");
    assertEquals(
      verdict.problem,
      "it chose a subprotocol that resembles an offered one, which was not offered",
    );
  }
});

Deno.test("judge() repeats nothing of the request that may be a secret", () => {
  const secrets = () => ["token=c2VjcmV0&x=1", "Bearer c2VjcmV0"];
  const hidden = "(not shown: it repeats a part of the request)";
  const copies = ["/?token=c2VjcmV0&x=1", "BEARER c2VjcmV0", "c2vjcm"];
  for (const copy of copies) {
    for (
      const name of ["upgrade", "connection", "sec-websocket-accept"]
        .concat("sec-websocket-protocol", "sec-websocket-extensions")
    ) {
      const verdict = judged({ [name]: copy }, { secrets });
      assert(verdict.kind === "invalid");
      const { problem } = verdict;
      assert(!/c2vj/i.test(problem), problem);
      assert(problem.includes(hidden) || /-Extensions.*request$/.test(problem));
    }
  }
  const native = judged({ connection: "upgrade, Bearer c2VjcmV0" }, {
    native: true,
    secrets,
  });
  assert(native.kind === "invalid" && native.problem.includes(hidden));
  // What merely has a few letters in common is shown.
  const other = judged({ upgrade: "token" }, { secrets });
  assert(other.kind === "invalid" && other.problem.includes('"token"'));
});

Deno.test("secretsOf() gives the query as it is and decoded, the headers and the subprotocols", () => {
  const target = parseTarget("ws://feed.invalid/x?t=a%20b", ["chat"], {
    "X-Key": "k3y1",
    "X-Short": "k3y",
  });
  assertEquals(secretsOf(target), ["t=a%20b", "t=a b", "k3y1", "chat"]);
  assertEquals(secretsOf(parseTarget("ws://feed.invalid/")), []);
});

Deno.test("judge() takes 301, 302, 303, 307 and 308 with a Location for a redirect, and all else for a refusal", () => {
  const redirects: number[] = [];
  for (
    const status of [
      200,
      204,
      ...Array(100).keys().map((i) => 300 + i),
      401,
      503,
    ]
  ) {
    const expected = { accept: ACCEPT, protocols: [] };
    const verdict = judge(
      { status, headers: new Headers({ location: "/x" }) },
      expected,
    );
    if (verdict.kind === "redirect") {
      assertEquals(verdict.location, "/x");
      redirects.push(status);
    } else assertEquals(verdict, { kind: "refusal" });
    assertEquals(judge({ status, headers: new Headers() }, expected), {
      kind: "refusal",
    });
  }
  assertEquals(redirects, [301, 302, 303, 307, 308]);
});
