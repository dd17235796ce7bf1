/** Bodies of HTTP/1.1 in memory, however they are cut. */

import { assert, assertEquals } from "@std/assert";
import { BodyDecoder } from "../src/http/body.ts";
import { decodeLatin1, encodeLatin1 } from "../src/http/encoding.ts";
import { HeaderFields } from "../src/http/headers.ts";

/** Decodes a body that comes in pieces of a size. */
function decode(
  text: string,
  headers: string[],
  { status = 503, size = Infinity } = {},
): { content: string; done: boolean } {
  const decoder = new BodyDecoder({
    status,
    headers: new HeaderFields(headers),
  });
  let content = "";
  for (let at = 0; at < text.length; at += size) {
    for (const part of decoder.push(encodeLatin1(text.slice(at, at + size)))) {
      content += decodeLatin1(part);
    }
  }
  return { content, done: decoder.done };
}

const CHUNKED = "Transfer-Encoding: chunked";

const BODIES: [
  name: string,
  text: string,
  headers: string[],
  content: string,
  done: boolean,
][] = [
  ["of a length", "hello, more", ["Content-Length: 5"], "hello", true],
  ["shorter than its length", "hel", ["Content-Length: 5"], "hel", false],
  ["up to the end", "hello", [], "hello", false],
  [
    "of a length that is no number",
    "hello",
    ["Content-Length: x"],
    "hello",
    false,
  ],
  [
    "of two lengths",
    "hello",
    ["Content-Length: 5", "Content-Length: 4"],
    "hello",
    false,
  ],
  [
    "in chunks",
    "5\r\nhello\r\n6; x=y\r\n world\r\n0\r\n\r\n",
    [CHUNKED],
    "hello world",
    true,
  ],
  [
    "in chunks, with trailers",
    "1\r\nx\r\n0\r\nT: 1\r\n\r\n",
    [CHUNKED],
    "x",
    true,
  ],
  [
    "in chunks that end with a line feed alone",
    "A\n0123456789\n0\n\n",
    [CHUNKED],
    "0123456789",
    true,
  ],
  [
    "in chunks, whatever its length",
    "1\r\nx\r\n0\r\n\r\n",
    [CHUNKED, "Content-Length: 0"],
    "x",
    true,
  ],
  [
    "in chunks, after another coding",
    "1\r\nx\r\n",
    ["Transfer-Encoding: gzip, chunked"],
    "x",
    false,
  ],
  [
    "in another coding",
    "1\r\nx\r\n",
    ["Transfer-Encoding: gzip", "Content-Length: 1"],
    "1\r\nx\r\n",
    false,
  ],
  ["whose chunk breaks off", "5\r\nhel", [CHUNKED], "hel", false],
  ["with a wrong chunk", "3\r\nhel\r\nlo\r\n", [CHUNKED], "hel", true],
  [
    "with a chunk of too many digits",
    `${"f".repeat(13)}\r\nhello`,
    [CHUNKED],
    "",
    true,
  ],
  ["with a line that never ends", "1;" + "x".repeat(5000), [CHUNKED], "", true],
];

for (const [name, text, headers, content, done] of BODIES) {
  Deno.test(`BodyDecoder decodes a body ${name}, wherever it is cut`, () => {
    for (const size of [1, 2, 3, 7, Infinity]) {
      assertEquals(decode(text, headers, { size }), { content, done });
    }
  });
}

Deno.test("BodyDecoder finds no body behind 101, 204 and 304, nor where the length is 0", () => {
  for (const status of [101, 204, 304]) {
    const headers = ["Content-Length: 5"];
    assertEquals(decode("hello", headers, { status }), {
      content: "",
      done: true,
    });
  }
  assertEquals(decode("hello", ["Content-Length: 0"]).content, "");
});

Deno.test("BodyDecoder gives views, and takes nothing behind the end", () => {
  const decoder = new BodyDecoder({
    status: 200,
    headers: new HeaderFields(["Content-Length: 2"]),
  });
  const bytes = encodeLatin1("abc");
  const [part, ...others] = decoder.push(bytes);
  assertEquals(others, []);
  assertEquals(part?.buffer, bytes.buffer);
  assert(decoder.done);
  assertEquals(decoder.push(bytes), []);
});
