import { assertEquals } from "@std/assert";
import { nearest } from "../src/cli/flags/parse.ts";
import { requestHead } from "../src/cli/commands/connect.ts";
import { concat, lines } from "../src/replay/lines.ts";
import {
  createRender,
  isJson,
  oneLine,
  prettyJson,
} from "../src/cli/terminal/render.ts";
import {
  number,
  shownUrl,
  size,
  time,
  visible,
  visibleBytes,
} from "../src/cli/terminal/text.ts";

type Settings = Parameters<typeof createRender>[0];

const DATE = new Date("2024-05-06T07:08:09.010Z");
const bytes = (...values: number[]) => new Uint8Array(values);

/** What is written for these messages, and how many bytes they had. */
function render(
  settings: Partial<Settings>,
  messages: (string | Uint8Array)[],
  isTerminal = false,
  colors = false,
): [text: string, bytes: number] {
  const rendered = createRender(
    { format: "text", batch: null, binary: false, time: null, ...settings },
    { isTerminal, colors },
  )(messages, [{ time: DATE.getTime(), count: messages.length }]);
  return [
    [...concat(rendered.chunks)].map((byte) => String.fromCharCode(byte)).join(
      "",
    ),
    rendered.bytes,
  ];
}

Deno.test("text is written byte for byte, a message a line", () => {
  assertEquals(
    render({}, ["a\x1b[0m", bytes(0xff, 0, 10), "", "b"]),
    ["a\x1b[0m\n\xff\0\n\n\nb\n", 9],
  );
});

Deno.test("binary has nothing between messages", () => {
  assertEquals(
    render({ binary: true }, [bytes(1, 2), "ab", bytes(0xff)]),
    ["\x01\x02ab\xff", 5],
  );
});

Deno.test("a time stands before each line", () => {
  const settings = { time: (date: Date) => date.toISOString() };
  assertEquals(render(settings, ["a", bytes(0xff)]), [
    "2024-05-06T07:08:09.010Z a\n2024-05-06T07:08:09.010Z \xff\n",
    2,
  ]);
});

Deno.test("ndjson keeps newlines and bytes", () => {
  assertEquals(
    render({ format: "ndjson" }, ["a\nb", bytes(0xff, 0)])[0],
    [
      '{"time":"2024-05-06T07:08:09.010Z","type":"text","data":"a\\nb"}\n',
      '{"time":"2024-05-06T07:08:09.010Z","type":"binary","data":"/wA="}\n',
    ].join(""),
  );
});

Deno.test("json is one line each in a pipe, and loses no digit", () => {
  const messages = ['{\n  "id": 12345678901234567890\n}', "no json", "1.0"];
  assertEquals(
    render({ format: "json" }, messages)[0],
    '{ "id": 12345678901234567890 }\n"no json"\n1.0\n',
  );
});

Deno.test("a batch is an array of strings, of values, or of objects", () => {
  const messages = ['{"a":1}', "b\n", bytes(0xff)];
  assertEquals(
    render({ batch: 1 }, messages)[0],
    '["{\\"a\\":1}","b\\n",{"type":"binary","data":"/w=="}]\n',
  );
  assertEquals(
    render({ batch: 1, format: "json" }, messages)[0],
    '[{"a":1},"b\\n",{"type":"binary","data":"/w=="}]\n',
  );
  const objects = JSON.parse(
    render({ batch: 1, format: "ndjson" }, messages)[0],
  );
  assertEquals(objects.map((it: { type: string }) => it.type), [
    "text",
    "text",
    "binary",
  ]);
});

Deno.test("on a terminal no format lets a control character through", () => {
  // Of C0, of C1, and one that turns the direction of text.
  const nasty = "\x1b]0;x\x07\n\r\t\x7f\x9b2J\u202e";
  const messages = [nasty, JSON.stringify({ [nasty]: nasty }), bytes(0xff, 27)];
  for (const format of ["text", "json", "ndjson"] as const) {
    for (const batch of [null, 1]) {
      const [text] = render({ format, batch }, messages, true);
      const [unsafe] =
        /[^\n\x20-\x7e\xc2-\xf4\xa0-\xbf]/.exec(text.replaceAll("ÿ", "")) ?? [];
      assertEquals(unsafe, undefined, `${format} ${batch}`);
    }
  }
});

Deno.test("visible() shows what would act", () => {
  assertEquals(
    visible("é\n\x1b[31m\x9b\u202eb"),
    "é\\n\\u001b[31m\\u009b\\u202eb",
  );
  assertEquals(visibleBytes(bytes(65, 0, 255)), "A\\x00\\xff");
});

Deno.test("prettyJson() indents and colours", () => {
  assertEquals(
    prettyJson('{"a":[1,true,{}],"b":"c: {d}","e":[]}', false),
    `{
  "a": [
    1,
    true,
    {}
  ],
  "b": "c: {d}",
  "e": []
}`,
  );
  const colored = prettyJson('{"a":"b"}', true);
  assertEquals(
    colored,
    '{\n  \x1b[34;1m"a"\x1b[0m: \x1b[32m"b"\x1b[0m\n}',
  );
});

Deno.test("oneLine() joins what isJson() takes", () => {
  const json = ' {\r\n"a":\n "b\\n" }\n';
  assertEquals(isJson(json), true);
  assertEquals(oneLine(json), '{ "a": "b\\n" }');
});

Deno.test("requestHead() masks what may be secret", () => {
  const head = requestHead({
    source: "direct",
    url: "wss://feed.example/a?token=x&b=y",
    headers: new Headers([
      ["Host", "feed.example"],
      ["Sec-WebSocket-Protocol", "v2, v1"],
      ["Authorization", "Bearer t0p"],
      ["Cookie", "s=t0p"],
      ["X-Key", "t0p"],
      ["User-Agent", "me"],
    ]),
  });
  assertEquals(head.includes("t0p"), false);
  for (
    const line of [
      "> GET /a?token=***&b=*** HTTP/1.1",
      "> host: feed.example",
      "> sec-websocket-protocol: ***",
      "> authorization: Bearer ***",
      "> cookie: ***",
      "> user-agent: me",
    ]
  ) assertEquals(head.split("\n").includes(line), true, line);
  assertEquals(shownUrl("wss://me:pw@h/p?q=1#f"), "wss://h/p?q=***");
  assertEquals(shownUrl("wss://h/?a=1&b=2=3"), "wss://h/?a=***&b=***");
  // What has no name is a value: a token, which base64 may end in "=".
  assertEquals(shownUrl("wss://h/?s3cret&a=1"), "wss://h/?***&a=***");
  for (const token of ["s3cret=", "s3cret==", `${"s3cret".repeat(9)}=x`]) {
    assertEquals(shownUrl(`wss://h/?${token}`), "wss://h/?***");
  }
});

Deno.test("lines() splits however the bytes come", async () => {
  const text = "a\r\nbc\n\nd\re\n\r\nlast";
  const expected = ["a", "bc", "", "d\re", "", "last"];
  for (let size = 1; size <= text.length; size++) {
    const chunks = async function* () {
      const buffer = new Uint8Array(size); // used again, as a reader does
      for (let i = 0; i < text.length; i += size) {
        const part = new TextEncoder().encode(text.slice(i, i + size));
        buffer.set(part);
        yield buffer.subarray(0, part.length);
      }
    };
    const got: string[] = [];
    for await (const found of lines(chunks())) {
      got.push(...found.map((line) => new TextDecoder().decode(line)));
    }
    assertEquals(got, expected, `chunks of ${size}`);
  }
});

Deno.test("nearest() finds a slip, and nothing in noise", () => {
  const names = ["count", "capture", "ca-cert", "cert"];
  assertEquals(nearest("cuont", names), "count");
  assertEquals(nearest("capt", names), "capture");
  assertEquals(nearest("xyzzy", names), undefined);
});

Deno.test("numbers, sizes and times are short", () => {
  assertEquals([number(0.25), number(1234567)], ["0.3", "1,234,567"]);
  assertEquals([size(0), size(999), size(1500)], ["0 B", "999 B", "1.5 kB"]);
  assertEquals(size(123_456_789), "123 MB");
  assertEquals([time(1500), time(65_000), time(7_384_000)], [
    "1.5 s",
    "1:05",
    "2:03:04",
  ]);
});
