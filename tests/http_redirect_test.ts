import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { redirected } from "../src/http/redirect.ts";
import { parseTarget, type Target } from "../src/http/target.ts";

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

Deno.test("redirected() repeats nothing of the request that may be a secret", () => {
  const target = parseTarget("ws://a.invalid/?token=s3cret", [], {
    "X-Key": "k3y-of-mine",
  });
  for (const location of ["mailto:s3cret", "x:k3y-of-mine"]) {
    assertEquals(
      redirected(target, location),
      "it redirects to (not shown: it repeats a part of the request), which is not a WebSocket URL",
    );
  }
});

Deno.test("redirected() gives Authorization and cookies to the same origin only, and never back", () => {
  const target = parseTarget("ws://a.invalid/x", ["chat"], {
    "Authorization": "Bearer x",
    "Cookie": "session=x",
    "Proxy-Authorization": "Basic x",
    "X-One": "1",
  });
  const all = ["Authorization", "Cookie", "Proxy-Authorization", "X-One"];
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
  for (const location of others) assertEquals(names(location), ["X-One"]);
  assertEquals(Object.keys(target.headers), all);

  const start = parseTarget("ws://user:pass@a.invalid/");
  const away = lead(start, "//b.invalid/");
  const back = lead(away, "//a.invalid/");
  assertEquals(back.headers, {});
});
