import { assertEquals } from "@std/assert";
import { HandshakeResponse, type HandshakeResponseInit } from "@wstap/wstap";

function createResponse(
  headers: HeadersInit = {},
  init: Partial<HandshakeResponseInit> = {},
): HandshakeResponse {
  return new HandshakeResponse({
    url: "ws://example.invalid/",
    status: 101,
    statusText: "Switching Protocols",
    source: "preflight",
    ...init,
    headers: new Headers(headers),
  });
}

const CLASSES = {
  isInformational: [100, 101, 199],
  isSuccess: [200, 204, 299],
  isRedirection: [300, 302, 399],
  isClientError: [400, 404, 499],
  isServerError: [500, 503, 599],
} as const;

for (const [name, statuses] of Object.entries(CLASSES)) {
  Deno.test(`HandshakeResponse.${name} is true of ${statuses.join(", ")} and no other class`, () => {
    for (const status of Object.values(CLASSES).flat()) {
      const response = createResponse({}, { status });
      const expected = (statuses as readonly number[]).includes(status);
      assertEquals(response[name as keyof typeof CLASSES], expected);
    }
  });
}

Deno.test("HandshakeResponse.contentLength is the header's number, null for anything else", () => {
  const length = (value: string) =>
    createResponse({ "content-length": value }).contentLength;
  assertEquals(createResponse().contentLength, null);
  assertEquals(["0", "42"].map(length), [0, 42]);
  for (const value of ["", "-1", "1.5", "0x10", "many", "1, 1"]) {
    assertEquals(length(value), null, value);
  }
});

type Text = [what: string, type: string | null, bytes: number[], text: string];

const TEXTS: Text[] = [
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

for (const [what, type, bytes, text] of TEXTS) {
  Deno.test(`HandshakeResponse.text() reads ${what}, again and again`, async () => {
    const headers = type === null ? undefined : { "content-type": type };
    const body = new Uint8Array(bytes);
    const response = createResponse(headers, { body });
    for (let i = 0; i < 2; i++) {
      assertEquals(await response.text(), text);
      const copy = await response.bytes();
      assertEquals(copy, body);
      copy.fill(9);
    }
  });
}
