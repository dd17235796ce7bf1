/** Heads of HTTP/1.1 in memory: what comes of bytes, however they are cut. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeLatin1 } from "../src/http/encoding.ts";
import {
  encodeHead,
  HeadParser,
  MalformedResponse,
  MAX_HEAD,
  type ResponseHead,
  ResponseParser,
} from "../src/http/head.ts";
import { HeaderFields, listsToken, trimSpace } from "../src/http/headers.ts";

/** Pushes a text in pieces of a size; gives the head and what follows it. */
function parse(
  text: string,
  size = Infinity,
): { head: ResponseHead | null; rest: string } {
  const parser = new ResponseParser();
  let head: ResponseHead | null = null;
  for (let at = 0; at < text.length && head === null; at += size) {
    head = parser.push(encodeLatin1(text.slice(at, at + size)));
    if (head !== null) text = text.slice(at + size);
  }
  const rest = String.fromCharCode(...parser.takeRest());
  return { head, rest: head === null ? "" : rest + text };
}

const fields = (head: ResponseHead | null) => [...head?.headers ?? []];

const HEAD = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

Deno.test("ResponseParser gives the head and the bytes behind it, wherever they are cut", () => {
  const text = `${HEAD}\x81\x02hi`;
  for (let size = 1; size <= text.length; size++) {
    const { head, rest } = parse(text, size);
    assertEquals([head?.status, head?.version], [101, "1.1"]);
    assertEquals(fields(head), [["upgrade", "websocket"]]);
    assertEquals(rest, "\x81\x02hi");
  }
});

Deno.test("ResponseParser skips 1xx responses other than 101", () => {
  const text = "HTTP/1.1 100 Continue\r\n\r\n" +
    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + HEAD + "rest";
  for (const size of [1, 7, 30, Infinity]) {
    const { head, rest } = parse(text, size);
    assertEquals(fields(head), [["upgrade", "websocket"]]);
    assertEquals(rest, "rest");
  }
});

Deno.test("ResponseParser takes lines that end with a line feed alone, and a missing reason", () => {
  const { head, rest } = parse("HTTP/1.0 404\nX-One: 1\n\nbody");
  assertEquals([head?.version, head?.status], ["1.0", 404]);
  assertEquals(fields(head), [["x-one", "1"]]);
  assertEquals(rest, "body");
});

Deno.test("ResponseParser says what the end of the connection means", () => {
  const parser = new ResponseParser();
  assertEquals(parser.end() instanceof MalformedResponse, false);
  assertEquals(
    parser.end().message,
    "connection closed before message completed",
  );
  parser.push(encodeLatin1("HTTP/1.1 10"));
  assert(parser.end() instanceof MalformedResponse);
  assertEquals(parser.end().message, "its head breaks off");
});

Deno.test("heads may be 64 KiB in all, and not a byte more", () => {
  const hints = "HTTP/1.1 103 Early Hints\r\n\r\n";
  const rest = MAX_HEAD - hints.length - HEAD.length - "X: \r\n".length;
  const withFiller = (length: number) =>
    hints +
    HEAD.replace("\r\n\r\n", `\r\nX: ${"x".repeat(length)}\r\n\r\n`);
  for (const size of [1000, Infinity]) {
    assertEquals(parse(withFiller(rest), size).head?.status, 101);
    assertThrows(
      () => parse(withFiller(rest + 1), size),
      MalformedResponse,
      "its head is larger than 64 KiB",
    );
  }
  // One that never ends is given up at the limit, not at the end.
  const parser = new ResponseParser();
  parser.push(encodeLatin1("HTTP/1.1 200 OK\r\n"));
  let pushed = 0;
  assertThrows(() => {
    for (; pushed < 100; pushed++) {
      parser.push(encodeLatin1("x".repeat(1023) + "\n"));
    }
  }, MalformedResponse);
  assertEquals(pushed, 63);
});

Deno.test("HeadParser takes a head of the largest size byte by byte", () => {
  const parser = new HeadParser();
  for (let i = 0; i < MAX_HEAD - 4; i++) parser.push(new Uint8Array([120]));
  assertEquals(
    parser.push(encodeLatin1("\r\n\r\n"))?.[0]?.length,
    MAX_HEAD - 4,
  );
});

/** What is no HTTP/1.1, the byte at which that is certain, and what it looks like. */
const OTHERS: [name: string, text: string, certain: number, like?: string][] = [
  ["an alert of TLS", "\x15\x03\x03\0\x02\x02\x0a", 1, "TLS"],
  ["a handshake of TLS", "\x16\x03\x01\0\x05", 1, "TLS"],
  ["SSH", "SSH-2.0-OpenSSH_9.9\r\n", 1, "SSH"],
  ["SMTP", "220 mail.example ESMTP\r\n", 1, "SMTP or FTP"],
  ["FTP", "220-Welcome\r\n", 1, "SMTP or FTP"],
  ["POP3", "+OK ready\r\n", 1, "a mail server"],
  ["IMAP", "* OK ready\r\n", 1, "a mail server"],
  ["Redis", "-ERR unknown command\r\n", 1, "Redis"],
  ["VNC", "RFB 003.008\n", 1, "VNC"],
  [
    "HTTP/2",
    "\0\0\x12\x04\0\0\0\0\0\0\x03",
    1,
    "HTTP/2, where HTTP/1.1 is needed",
  ],
  ["HTML", "<!doctype html>", 1, "HTML without a head"],
  ["an echo of the request", "GET /?secret HTTP/1.1\r\n", 1],
  ["small letters", "http/1.1 200 OK\r\n", 1],
  ["an empty line", "\r\nHTTP/1.1 200 OK\r\n", 1],
  ["HTTP/2.0", "HTTP/2.0 200 OK\r\n", 6],
  ["HTTP/1.2", "HTTP/1.2 200 OK\r\n", 8],
  ["a status below 100", "HTTP/1.1 099 X\r\n", 10],
  ["a status of two digits", "HTTP/1.1 20 OK\r\n", 12],
  ["a status of four digits", "HTTP/1.1 2000 OK\r\n", 13],
  ["no status", "HTTP/1.1 OK\r\n", 10],
];

for (const [name, text, certain, like] of OTHERS) {
  Deno.test(`ResponseParser gives up ${name} at the first byte that HTTP/1.1 cannot have`, () => {
    const parser = new ResponseParser();
    let at = 0;
    assertThrows(() => {
      while (at < text.length) parser.push(encodeLatin1(text[at++]!));
    }, MalformedResponse);
    assertEquals(at, certain);

    const error = assertThrows(
      () => new ResponseParser().push(encodeLatin1(text)),
      MalformedResponse,
      "it does not begin with an HTTP/1.1 status line",
    );
    assertEquals(error.protocol, like);
    assertEquals(error.message.includes("secret"), false);
  });
}

const MALFORMED = {
  "a line without a colon": "X-One 1",
  "no name": ": 1",
  "a space before the colon": "X-One : 1",
  "a name beyond ASCII": "X-\xc4: 1",
  "a NUL": "X-One: \0",
  "a carriage return": "X-One: 1\rX-Two: 2",
  "a carriage return at the end": "X-One: 1\r",
};

for (const [what, line] of Object.entries(MALFORMED)) {
  Deno.test(`ResponseParser refuses a head with ${what}`, () => {
    for (const extra of ["", "\r\nX-Last: 1"]) {
      assertThrows(
        () => parse(`HTTP/1.1 200 OK\r\n${line}${extra}\r\n\r\n`),
        MalformedResponse,
        "it has a malformed header",
      );
    }
  });
}

Deno.test("only spaces and tabs are trimmed around a value", () => {
  const { head } = parse(
    "HTTP/1.1 200 OK\r\nA: \t x \t\r\nB: \xa0x\xa0\r\nC:x\u0085\r\nD:\r\n\r\n",
  );
  assertEquals(fields(head), [
    ["a", "x"],
    ["b", "\xa0x\xa0"],
    ["c", "x\u0085"],
    ["d", ""],
  ]);
  assertEquals(trimSpace(" \t"), "");
  assertEquals(trimSpace("\n x"), "\n x");
});

Deno.test("HeaderFields joins the lines of a folded value, and takes none for the first", () => {
  const lines = ["A:", " 1", "\t 2 ", "  ", "B: 3\t", " ,4:5"];
  assertEquals([...new HeaderFields(lines)], [["a", "1 2"], ["b", "3 ,4:5"]]);
  assertThrows(() => new HeaderFields([" A: 1"]), TypeError);
  assertThrows(() => new HeaderFields(["A: 1", " \0"]), TypeError);
});

Deno.test("HeaderFields joins the values of a name as Headers does", () => {
  const lines = ["A: 1", "b: 2", "a:3", "__proto__: x"];
  const headers = new HeaderFields(lines);
  assertEquals(headers.get("a"), "1, 3");
  assertEquals(headers.get("__proto__"), "x");
  assertEquals(headers.get("c"), null);
  assertEquals(new Headers([...headers]).get("a"), "1, 3");
});

Deno.test("listsToken() finds a token among others, in any letters", () => {
  assert(listsToken("keep-alive, Upgrade", "upgrade"));
  assert(listsToken("\tUPGRADE ,x", "upgrade"));
  for (const value of [null, "", "upgraded", "up grade", "upgrade\xa0"]) {
    assertEquals(listsToken(value, "upgrade"), false);
  }
});

Deno.test("encodeHead() writes what HeadParser reads, in Latin-1", () => {
  const bytes = encodeHead("GET /x HTTP/1.1", [["Host", "h"], ["X", "\xfc"]]);
  const parser = new HeadParser();
  assertEquals(parser.push(new Uint8Array(bytes)), [
    "GET /x HTTP/1.1",
    "Host: h",
    "X: \xfc",
  ]);
  assertEquals(parser.takeRest().length, 0);
});
