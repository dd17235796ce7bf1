import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { type ReplayOptions, serveReplay } from "@wstap/wstap/replay";
import { rootUrl, workplace } from "./fixtures/command.ts";
import { connect, receive } from "./fixtures/replay.ts";
import { within } from "./fixtures/wait.ts";

const fixture = (name: string) =>
  new URL(`tests/fixtures/har/${name}`, rootUrl);

const TRADE = (id: number) => `{"type":"trade","id":${id},"text":"grüße 😀"}`;

/** What a client of a replay gets. */
async function replayed(recording: string | URL, options: ReplayOptions = {}) {
  await using feed = await serveReplay(recording, {
    speed: Infinity,
    ...options,
  });
  const connection = await connect(feed.url, { protocols: ["x", "events.v1"] });
  const { protocol } = connection;
  const got = await within(receive(connection), 60_000, "the end of the feed");
  return { protocol, messages: got.messages, code: got.code };
}

interface Fields {
  [name: string]: unknown;
}

/** A message of a HAR. */
const message = (fields: Fields = {}) => ({
  type: "receive",
  time: 1714979289.5,
  opcode: 1,
  data: "a",
  ...fields,
});

/** An entry of a HAR with a WebSocket connection. */
const entry = (messages: unknown, fields: Fields = {}) => ({
  startedDateTime: "2024-05-06T07:08:09.000Z",
  request: { method: "GET", url: "wss://feed.example/events?token=secret" },
  response: { status: 101, headers: [] },
  _resourceType: "websocket",
  _webSocketMessages: messages,
  ...fields,
});

const har = (...entries: unknown[]) =>
  JSON.stringify({ log: { version: "1.2", entries } });

/** A file with a text. */
async function file(text: string, name = "session.har") {
  const { folder, ...rest } = await workplace({ [name]: text });
  return { path: `${folder}/${name}`, ...rest };
}

// --- What browsers and proxies export ---

Deno.test("the HAR of a browser is played as it happened, one connection of several", async () => {
  for (const entry of [0, "/events"]) {
    assertEquals(await replayed(fixture("chromium.har"), { entry }), {
      protocol: "events.v1",
      messages: [
        '{"type":"welcome"}',
        '{"type":"subscribed","to":"trades"}',
        ...[TRADE(1), TRADE(2), TRADE(3)],
        new Uint8Array([0, 255, 10, 128]),
      ],
      code: 1000,
    });
  }
  const { messages, protocol } = await replayed(fixture("chromium.har"), {
    entry: 1,
  });
  assertEquals([messages, protocol], [["hello"], "x"]);
});

Deno.test("the HAR of a browser waits for the messages of the client", async () => {
  await using feed = await serveReplay(fixture("chromium.har"), {
    entry: 0,
    clientMessages: "exact",
  });
  const connection = await connect(feed.url);
  assertEquals(await connection.recv(), '{"type":"welcome"}');
  await connection.send('{"id":1,"subscribe":"trades"}');
  assertEquals(
    await connection.recv(),
    '{"type":"subscribed","to":"trades"}',
  );
  for (const id of [1, 2, 3]) assertEquals(await connection.recv(), TRADE(id));
  await assertRejects(() => connection.recv({ timeout: "100ms" }));
  await connection.send(new Uint8Array([1, 2, 254]));
  assertEquals(await connection.recv(), new Uint8Array([0, 255, 10, 128]));
  assertEquals((await connection.closed).code, 1000);
});

Deno.test("the HAR of mitmproxy is played", async () => {
  const text = "grüße 😀";
  assertEquals(await replayed(fixture("mitmproxy.har")), {
    protocol: "x",
    messages: [
      '{"type":"welcome"}',
      '{"type":"subscribed"}',
      ...[1, 2].map((id) => JSON.stringify({ id, text })),
      new Uint8Array([0, 255, 10, 128]),
    ],
    code: 1000,
  });
});

Deno.test("the HAR of HTTP Toolkit is played, and ends with 1000 as any HAR", async () => {
  assertEquals(await replayed(fixture("http_toolkit.har")), {
    protocol: "events.v1",
    messages: [
      '{"subscribed":"trades"}',
      new Uint8Array([0, 255, 10, 128]),
    ],
    code: 1000,
  });
});

Deno.test("times in a HAR are seconds, the first one from the start of the handshake", async () => {
  await using it = await file(har(entry([
    message({ time: 1714979289.4 }),
    message({ time: 1714979289.8 }),
  ])));
  await using feed = await serveReplay(it.path);
  const start = performance.now();
  const connection = await connect(feed.url);
  for (const at of [400, 800]) {
    await connection.recv();
    assertGreater(performance.now() - start, at - 50);
  }
  await connection.close();
});

Deno.test("a start of the handshake by another clock counts for nothing", async () => {
  for (
    const startedDateTime of [
      "1970-01-01T00:00:00Z",
      "2034-01-01T00:00:00Z",
      "soon",
      undefined,
      7,
    ]
  ) {
    await using it = await file(har(entry([message()], { startedDateTime })));
    const start = performance.now();
    const { messages } = await replayed(it.path, { speed: 1 });
    assertEquals(messages, ["a"]);
    assertLess(performance.now() - start, 50_000); // it would be years
  }
});

Deno.test("messages stay in the order of the file, and a clock that goes back takes no time", async () => {
  await using it = await file(har(entry([
    message({ data: "a", time: 1714979289 }),
    message({ data: "b", time: 1714970000 }),
    message({ data: "c", time: 1714970000.1 }),
  ])));
  const { messages } = await replayed(it.path, { speed: 1 });
  assertEquals(messages, ["a", "b", "c"]);
});

Deno.test("pings, pongs, closes and errors in a HAR are no messages, and a text needs no opcode", async () => {
  await using it = await file(har(entry([
    message({ opcode: 9, data: "" }),
    message({ opcode: 10, data: "", type: "send" }),
    message({ opcode: undefined, data: "text" }),
    message({ type: "error", opcode: -1, data: "WebSocket error" }),
    message({ opcode: 8, data: "A+g=" }),
    message({ opcode: 2, data: "" }),
  ])));
  assertEquals((await replayed(it.path)).messages, ["text", new Uint8Array()]);
});

Deno.test("a connection without messages is closed", async () => {
  await using it = await file(har(entry([])));
  const { messages, code } = await replayed(it.path);
  assertEquals([messages, code], [[], 1000]);
});

// --- Which file is which ---

Deno.test("what a file is is decided by its content, not by its name", async () => {
  const compact = har(entry([message()]));
  const value = JSON.parse(compact);
  const texts = [
    compact,
    compact + "\n",
    JSON.stringify(value, null, 2),
    JSON.stringify(value, null, "\t").replaceAll("\n", "\r\n"),
    "\ufeff" + compact,
    "\n  " + compact,
    JSON.stringify({ comment: "by hand", ...value }),
    JSON.stringify({ comment: "by hand", ...value }, null, 2),
    JSON.stringify({ comment: "x".repeat(30_000), ...value }, null, 2),
    // Longer than what is read of it, with what a line of a recording has.
    har(
      { ...entry([message()]), _note: { type: "text", time: "x" } },
      { _note: "x".repeat(100_000) },
    ),
  ];
  for (const text of texts) {
    await using it = await file(text, "feed.ndjson");
    assertEquals((await replayed(it.path)).messages, ["a"], text.slice(0, 99));
  }
  const time = "2024-05-06T07:08:09.000Z";
  const data = `{"log":{"entries":[]}}${"x".repeat(100_000)}`;
  const lines = [
    JSON.stringify({ time, type: "text", data }),
    JSON.stringify({ data, type: "text", time }),
    "\ufeff" + JSON.stringify({ time, type: "text", data }),
    JSON.stringify({ log: { entries: [] }, type: "text", time, data }),
  ];
  for (const line of lines) {
    await using it = await file(line + "\n", "feed.har");
    assertEquals((await replayed(it.path)).messages, [data]);
  }
});

// --- Which connection ---

Deno.test("several connections and no entry are refused with their list, queries masked", async () => {
  const all = [
    entry([message()]),
    { request: { url: "https://feed.example/" } }, // no WebSocket
    entry([message(), message()], {
      request: { url: "wss://user:secret@other.example/a/b?key=secret&b" },
    }),
    entry([], { request: {} }),
  ];
  await using it = await file(har(...all));
  const list = "0 wss://feed.example/events?token=*** (1 message), " +
    "1 wss://other.example/a/b?key=***&b (2 messages), 2 the URL (0 messages)";
  const error = await assertRejects(() => serveReplay(it.path), TypeError);
  assertEquals(
    error.message,
    `Cannot replay without an entry, which chooses one WebSocket connection: the HAR ${it.path} has ${list}`,
  );
  const tooLarge = await assertRejects(
    () => serveReplay(it.path, { entry: 3 }),
    RangeError,
  );
  assertMatch(tooLarge.message, /^Invalid entry: expected an index below 3/);
  assert(tooLarge.message.endsWith(list));
  const none = await assertRejects(
    () => serveReplay(it.path, { entry: "secret-part" }),
    TypeError,
  );
  assertMatch(none.message, /^Invalid entry: no URL contains it: /);
  assert(!none.message.includes("secret-part"));
  const several = await assertRejects(
    () => serveReplay(it.path, { entry: "wss://" }),
    TypeError,
  );
  assertMatch(several.message, /^Invalid entry: it is in the URLs of several/);
  assert(several.message.includes("1 wss://other.example"));
  assert(!several.message.includes("2 the URL"));
  assertEquals((await replayed(it.path, { entry: "other" })).messages, [
    "a",
    "a",
  ]);
});

Deno.test("the list of connections has an end", async () => {
  await using it = await file(
    har(...Array.from({ length: 1000 }, () => entry([]))),
  );
  const { message } = await assertRejects(
    () => serveReplay(it.path),
    TypeError,
  );
  assertMatch(message, /, 19 wss:\S+ \(0 messages\), and 980 more$/);
  assertLess(message.length, 3000);
});

// --- Files that are broken ---

const BROKEN: [text: string, problem: string][] = [
  ['{"log":', "it is cut off, or is not JSON"],
  ['{"log":{"entries":[', "it is cut off, or is not JSON"],
  ['{"log":null}', "it is JSON, but has no log.entries as a HAR has"],
  ['{"log":{"entries":{}}}', "it is JSON, but has no log.entries as a HAR has"],
  [
    '{"log":{"__proto__":{"entries":[]}}}',
    "it is JSON, but has no log.entries as a HAR has",
  ],
  [har(), "it is a HAR without a WebSocket connection"],
  [har(null, 1, "x", [], {}), "it is a HAR without a WebSocket connection"],
  [har(entry({})), "the _webSocketMessages of log.entries[0] are no array"],
  [
    har(entry([null])),
    'message 0 of its connection 0 has none of the types "send" and "receive"',
  ],
  [
    har(entry([message({ type: "sent" })])),
    'message 0 of its connection 0 has none of the types "send" and "receive"',
  ],
  [
    har(entry([message(), message({ opcode: 0 })])),
    "message 1 of its connection 0 is a fragment, and a replay needs whole messages",
  ],
  [
    har(entry([message({ opcode: 3 })])),
    "message 0 of its connection 0 has an unknown opcode",
  ],
  [
    har(entry([message({ opcode: "1" })])),
    "message 0 of its connection 0 has an unknown opcode",
  ],
  [
    har(entry([message({ time: "now" })])),
    "message 0 of its connection 0 has no time in seconds",
  ],
  [
    har(entry([message({ time: undefined })])),
    "message 0 of its connection 0 has no time in seconds",
  ],
  [
    har(entry([message({ data: undefined })])),
    "message 0 of its connection 0 has no data that is a string",
  ],
  [
    har(entry([message({ data: { a: 1 } })])),
    "message 0 of its connection 0 has no data that is a string",
  ],
  [
    har(entry([message({ opcode: 2, data: "ÿ" })])),
    "message 0 of its connection 0 has the opcode of a binary message, and no data in base64",
  ],
];
for (const [text, problem] of BROKEN) {
  Deno.test(`a HAR is refused: ${problem}: ${text.slice(0, 40)}`, async () => {
    await using it = await file(text);
    const error = await assertRejects(() => serveReplay(it.path), TypeError);
    assertEquals(error.message, `Cannot replay ${it.path}: ${problem}`);
  });
}

Deno.test("a HAR that is not UTF-8 is refused", async () => {
  await using it = await file("");
  await Deno.writeFile(
    it.path,
    new Uint8Array([...new TextEncoder().encode('{"log":"'), 0xff, 0x22, 0x7d]),
  );
  const error = await assertRejects(() => serveReplay(it.path), TypeError);
  assertEquals(error.message, `Cannot replay ${it.path}: it is not UTF-8`);
});

Deno.test("a HAR of more than 256 MiB is refused before it is read", async () => {
  await using it = await file('{"log":');
  await Deno.truncate(it.path, 256 * 1024 * 1024 + 1);
  const start = performance.now();
  const error = await assertRejects(() => serveReplay(it.path), RangeError);
  assertEquals(
    error.message,
    `Cannot replay ${it.path}: a HAR may have 256 MiB, and this one has 257 MiB`,
  );
  assertLess(performance.now() - start, 20_000);
});

Deno.test("an entry of a file of lines is refused", async () => {
  const line = { time: "2024-05-06T07:08:09Z", type: "text", data: "a" };
  await using it = await file(JSON.stringify(line) + "\n");
  const error = await assertRejects(
    () => serveReplay(it.path, { entry: 0 }),
    TypeError,
  );
  assertEquals(
    error.message,
    `Invalid entry: it chooses a connection of a HAR, and ${it.path} is none`,
  );
});
