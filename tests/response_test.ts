import { assertEquals } from "@std/assert";
import { HandshakeResponse, type HandshakeResponseInit } from "@wstap/wstap";

function createResponse(
  init: Partial<Omit<HandshakeResponseInit, "headers">> & {
    headers?: HeadersInit;
  } = {},
): HandshakeResponse {
  return new HandshakeResponse({
    url: "ws://example.invalid/",
    status: 101,
    statusText: "Switching Protocols",
    source: "preflight",
    ...init,
    headers: new Headers(init.headers),
  });
}

Deno.test("HandshakeResponse has what it was made of", () => {
  const response = createResponse({
    url: "wss://example.invalid/feed",
    status: 404,
    statusText: "Not Found",
    source: "direct",
    headers: { "X-One": "1" },
  });
  assertEquals(response.url, "wss://example.invalid/feed");
  assertEquals(response.status, 404);
  assertEquals(response.statusText, "Not Found");
  assertEquals(response.source, "direct");
  assertEquals(response.headers.get("x-one"), "1");
});

const CLASSES = {
  isInformational: [100, 101, 199],
  isSuccess: [200, 204, 299],
  isRedirection: [300, 302, 399],
  isClientError: [400, 404, 499],
  isServerError: [500, 503, 599],
} as const;

for (const [name, statuses] of Object.entries(CLASSES)) {
  Deno.test(`HandshakeResponse.${name} is true of ${statuses.join(", ")} and no other class`, () => {
    const key = name as keyof typeof CLASSES;
    for (const [other, its] of Object.entries(CLASSES)) {
      for (const status of its) {
        assertEquals(createResponse({ status })[key], other === name);
      }
    }
  });
}

const LENGTHS: [string | null, number | null][] = [
  [null, null],
  ["0", 0],
  ["42", 42],
  ["", null],
  ["-1", null],
  ["1.5", null],
  ["0x10", null],
  ["many", null],
  ["1, 1", null],
];

for (const [value, expected] of LENGTHS) {
  Deno.test(`HandshakeResponse.contentLength is ${expected} for ${value === null ? "no header" : `"${value}"`}`, () => {
    const headers = new Headers();
    if (value !== null) headers.set("content-length", value);
    assertEquals(createResponse({ headers }).contentLength, expected);
  });
}

const TEXTS: [
  name: string,
  contentType: string | null,
  bytes: number[],
  text: string,
][] = [
  ["UTF-8 by default", null, [0xc3, 0xbc], "ü"],
  ["UTF-8 where no charset is given", "text/plain", [0xc3, 0xbc], "ü"],
  ["the charset", "text/plain; charset=iso-8859-1", [0xfc], "ü"],
  ["a charset in quotes", `text/plain;charset="ISO-8859-1"`, [0xfc], "ü"],
  [
    "a charset among other parameters",
    "text/plain; format=flowed; Charset=shift_jis; x=y",
    [0x83, 0x65],
    "テ",
  ],
  ["UTF-8 for an unknown charset", "text/plain; charset=klingon", [0x61], "a"],
  [
    "no charset that another parameter's name ends in",
    "text/plain; xcharset=iso-8859-1",
    [0xc3, 0xbc],
    "ü",
  ],
  ["malformed bytes as U+FFFD", null, [0x61, 0xff, 0x62], "a\ufffdb"],
  [
    "a UTF-8 byte order mark, against the charset",
    "text/plain; charset=iso-8859-1",
    [0xef, 0xbb, 0xbf, 0xc3, 0xbc],
    "ü",
  ],
  ["a UTF-16LE byte order mark", null, [0xff, 0xfe, 0xfc, 0x00], "ü"],
  ["a UTF-16BE byte order mark", null, [0xfe, 0xff, 0x00, 0xfc], "ü"],
  ["an empty body", null, [], ""],
];

for (const [name, contentType, bytes, text] of TEXTS) {
  Deno.test(`HandshakeResponse.text() reads ${name}`, async () => {
    const response = createResponse({
      headers: contentType === null ? {} : { "content-type": contentType },
      body: new Uint8Array(bytes),
    });
    assertEquals(await response.text(), text);
    assertEquals(await response.text(), text);
    assertEquals(await response.bytes(), new Uint8Array(bytes));
  });
}

Deno.test("HandshakeResponse.text() and bytes() are empty where there is no body", async () => {
  assertEquals(await createResponse().text(), "");
  assertEquals(await createResponse().bytes(), new Uint8Array());
});

Deno.test("HandshakeResponse.bytes() gives a copy", async () => {
  const response = createResponse({ body: new Uint8Array([1, 2]) });
  (await response.bytes())[0] = 9;
  assertEquals(await response.bytes(), new Uint8Array([1, 2]));
});
