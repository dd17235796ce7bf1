/** The cookies that redirects set, and where they are sent. */

import { assertEquals } from "@std/assert";
import { CookieJar } from "../src/http/cookies.ts";
import { parseTarget } from "../src/http/target.ts";

/** The cookies of a request after an answer from a URL that sets these. */
function sent(
  from: string,
  set: string[],
  to: string,
  own?: string,
): string | undefined {
  const jar = new CookieJar();
  jar.store(
    new URL(from),
    new Headers(set.map((value) => ["Set-Cookie", value])),
  );
  const headers = { "X-One": "1", ...(own !== undefined && { cookie: own }) };
  const target = parseTarget(to, [], headers);
  const next = jar.applyTo(target);
  assertEquals(next.headers["X-One"], "1");
  assertEquals(target.headers["Cookie"], own);
  return next.headers["Cookie"];
}

const A = "wss://a.invalid/x/feed";

const CASES: [
  name: string,
  from: string,
  set: string[],
  to: string,
  cookies: string | undefined,
][] = [
  ["the same URL", A, ["node=1"], A, "node=1"],
  ["two cookies", A, ["node=1; Path=/", "b=2=3"], A, "b=2=3; node=1"],
  ["a path of its own", A, ["n=1; Path=/y"], "wss://a.invalid/y/z", "n=1"],
  ["another path", A, ["n=1; Path=/y"], "wss://a.invalid/yz", undefined],
  ["its default path", A, ["n=1"], "wss://a.invalid/x/other", "n=1"],
  ["outside of its default path", A, ["n=1"], "wss://a.invalid/y", undefined],
  ["the root", "wss://a.invalid/feed", ["n=1"], "wss://a.invalid/y", "n=1"],
  ["a path that is none", A, ["n=1; Path=y"], A, "n=1"],
  ["another host", A, ["n=1; Path=/"], "wss://b.invalid/", undefined],
  ["another port", A, ["n=1; Path=/"], "wss://a.invalid:8443/", undefined],
  [
    "a subdomain, whatever Domain says",
    A,
    ["n=1; Path=/; Domain=a.invalid"],
    "wss://x.a.invalid/",
    undefined,
  ],
  ["its own domain", A, ["n=1; Domain=.A.invalid"], A, "n=1"],
  [
    "a parent domain",
    "wss://x.a.invalid/",
    ["n=1; domain=a.invalid"],
    "wss://x.a.invalid/",
    "n=1",
  ],
  ["a foreign domain", A, ["n=1; Domain=b.invalid"], A, undefined],
  ["another scheme", "ws://a.invalid/", ["n=1"], "wss://a.invalid/", undefined],
  ["Secure over wss:", A, ["n=1; Secure; HttpOnly; SameSite=Lax"], A, "n=1"],
  [
    "Secure over ws:",
    "ws://a.invalid/",
    ["n=1; secure"],
    "ws://a.invalid/",
    undefined,
  ],
  ["Max-Age=0", A, ["n=1; Max-Age=0"], A, undefined],
  ["a negative Max-Age", A, ["n=1; max-age=-1"], A, undefined],
  [
    "Max-Age before Expires",
    A,
    ["n=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=9"],
    A,
    "n=1",
  ],
  [
    "Expires in the past",
    A,
    ["n=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
    A,
    undefined,
  ],
  [
    "Expires in the future",
    A,
    ["n=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT"],
    A,
    "n=1",
  ],
  ["a value that is set again", A, ["n=1", "n=2"], A, "n=2"],
  ["a value that is deleted again", A, ["n=1", "n=; Max-Age=0"], A, undefined],
  ["spaces around", A, [" n = 1 2 ; Path = / "], A, "n=1 2"],
  ["no name", A, ["=1", "1", ""], A, undefined],
  ["4096 characters", A, [`n=${"x".repeat(4094)}`], A, `n=${"x".repeat(4094)}`],
  ["more characters", A, [`n=${"x".repeat(4095)}`], A, undefined],
];

for (const [name, from, set, to, cookies] of CASES) {
  Deno.test(`CookieJar sends a cookie ${cookies === undefined ? "not " : ""}to: ${name}`, () => {
    assertEquals(sent(from, set, to), cookies);
  });
}

Deno.test("CookieJar replaces and deletes the caller's cookies of the same name, and keeps the others", () => {
  assertEquals(sent(A, ["n=2"], A, "a=1; n=1;b=3"), "a=1; b=3; n=2");
  assertEquals(sent(A, ["n=; Max-Age=0"], A, "a=1; n=1"), "a=1");
  assertEquals(sent(A, ["n=; Max-Age=0"], A, "n=1"), undefined);
  assertEquals(sent(A, [], A, "n=1"), "n=1");
});

Deno.test("CookieJar keeps the 50 newest cookies", () => {
  const set = Array.from({ length: 51 }, (_, i) => `n${i}=1`);
  const names = sent(A, set, A)!.split("; ");
  assertEquals([names.length, names[0], names.at(-1)], [50, "n1=1", "n50=1"]);
});
