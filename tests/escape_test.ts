import { assertEquals } from "@std/assert";
import { decodeLatin1, encodeLatin1 } from "../src/http/encoding.ts";
import { printable, quote } from "../src/escape.ts";

const PRINTABLE: [text: string, expected: string][] = [
  ["plain text, ünïcödé 😀", "plain text, ünïcödé 😀"],
  ["\x1b[31mred\x7f\x9b", "\\u001b[31mred\\u007f\\u009b"],
  ["a\r\nb\0", "a\\u000d\\u000ab\\u0000"],
  // What turns the direction of text, and line separators.
  ["\u061c\u200e\u200f\u202a", "\\u061c\\u200e\\u200f\\u202a"],
  ["\u202e\u2066\u2069\u2028\u2029", "\\u202e\\u2066\\u2069\\u2028\\u2029"],
];

for (const [text, expected] of PRINTABLE) {
  Deno.test(`printable() gives ${expected}`, () => {
    assertEquals(printable(text), expected);
  });
}

Deno.test("quote() gives 100 characters at the most, all of them printable", () => {
  assertEquals(quote("a\n"), `"a\\u000a"`);
  assertEquals(quote("x".repeat(101)), `"${"x".repeat(100)}…"`);
});

Deno.test("decodeLatin1() gives each byte a character of its own, encodeLatin1() gives it back", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  const text = decodeLatin1(bytes);
  assertEquals([...text].map((it) => it.codePointAt(0)), [...bytes]);
  assertEquals(encodeLatin1(text), bytes);
  assertEquals(decodeLatin1(new Uint8Array()), "");
});
