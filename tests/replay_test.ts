import {
  assert,
  assertEquals,
  assertGreater,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { connectWebSocket, HandshakeError } from "@wstap/wstap";
import {
  type RecordedEvent,
  type ReplayEvent,
  type ReplayOptions,
  serveReplay,
} from "@wstap/wstap/replay";
import { closeLine, messageLine, openLine } from "../src/replay/recording.ts";
import { moduleFlags, output, path, workplace } from "./fixtures/command.ts";
import {
  close,
  connect,
  iso,
  open,
  receive,
  recording,
  sent,
  text,
} from "./fixtures/replay.ts";
import { delay, eventually, quickly, within } from "./fixtures/wait.ts";

const HOUR = 3600 * 1000;

/** Texts that are due at once. */
const texts = (...data: string[]): RecordedEvent[] =>
  data.map((it) => text(0, it));

/** What a client of a replay gets. */
async function replayed(
  recording: Parameters<typeof serveReplay>[0],
  options: ReplayOptions = {},
) {
  await using feed = await serveReplay(recording, options);
  const connection = await connect(feed.url);
  return await within(receive(connection), 60_000, "the end of the feed");
}

/** The status with which a handshake is refused. */
async function refusal(url: string, headers?: HeadersInit): Promise<number> {
  const error = await assertRejects(
    () => connect(url, headers && { headers }),
    HandshakeError,
  );
  return error.response!.status;
}

// --- What is played ---

Deno.test("serveReplay() serves events to each client from their start", async () => {
  await using feed = await serveReplay([
    open(0),
    text(0, "a"),
    { time: iso(5), type: "binary", data: "AP8K" },
    text(5, ""),
    close(10, 4001, "é"),
  ]);
  assertMatch(feed.url, /^ws:\/\/127\.0\.0\.1:\d+\/$/);
  for (let clients = 1; clients <= 2; clients++) {
    const connection = await connect(feed.url + "any/path?query=x");
    assertEquals(await receive(connection), {
      messages: ["a", new Uint8Array([0, 255, 10]), ""],
      code: 4001,
      reason: "é",
      clean: true,
    });
    assertEquals(feed.clients, clients);
  }
});

Deno.test("serveReplay() takes any iterable once, and plays it to each client", async () => {
  function* events() {
    yield* texts("a", "b");
  }
  await using feed = await serveReplay(events());
  for (let i = 0; i < 2; i++) {
    const { messages } = await receive(await connect(feed.url));
    assertEquals(messages, ["a", "b"]);
  }
});

Deno.test("serveReplay() reads version 1 of recordings, by a path or a URL", async () => {
  const url = recording("v1.ndjson");
  const expected = {
    messages: ['{"id":1}', new Uint8Array([0, 255, 10]), "grüße 😀\n"],
    code: 1001,
    reason: "restart",
    clean: true,
  };
  assertEquals(await replayed(url), expected);
  const { fileURLToPath } = await import("node:url");
  assertEquals(await replayed(fileURLToPath(url)), expected);
});

Deno.test("serveReplay() reads version 2 of recordings, and does not play what was sent", async () => {
  assertEquals(await replayed(recording("v2.ndjson")), {
    messages: ['{"subscribed":"trades"}', new Uint8Array([0, 255, 10]), "bye"],
    code: 4000,
    reason: "done",
    clean: true,
  });
});

Deno.test("the capture does not change what a client gets", async () => {
  await using feed = await serveReplay([...texts("a", "b"), close(1, 4000)]);
  for (const capture of ["preflight", "none", "direct"] as const) {
    const [connection] = await connectWebSocket(feed.url, { capture });
    assertEquals(await receive(connection), {
      messages: ["a", "b"],
      code: 4000,
      reason: "",
      clean: true,
    });
  }
});

const ENDINGS: [name: string, last: RecordedEvent[], code: number][] = [
  ["a close", [close(1, 4000, "why")], 4000],
  ["a close with 1001", [close(1, 1001, "why")], 1001],
  ["a close without a code", [close(1, 1005)], 1005],
  ["a loss", [close(1, 1006, "", false)], 1006],
  ["a stop", [{ time: iso(1), type: "stop" }], 1000],
  ["nothing", [], 1000],
];
for (const [name, last, code] of ENDINGS) {
  Deno.test(`a recording that ends with ${name} ends with ${code}`, async () => {
    const got = await replayed([open(0), text(0, "a"), ...last]);
    const reason = code === 4000 || code === 1001 ? "why" : "";
    assertEquals(got, { messages: ["a"], code, reason, clean: code !== 1006 });
  });
}

Deno.test("the recorded delays are kept, and speed divides them", async () => {
  for (
    const [gap, speed] of [[400, 1], [400, 0.5], [HOUR, 100_000]] as const
  ) {
    await using feed = await serveReplay([text(0, "a"), text(gap, "b")], {
      speed,
    });
    // Whenever the first one is received, the second cannot come sooner than this.
    const start = performance.now();
    const connection = await connect(feed.url);
    await connection.recv();
    assertEquals(await connection.recv({ timeout: "1m" }), "b");
    assertGreater(performance.now() - start, gap / speed - 20);
    await connection.close();
  }
});

Deno.test("speed Infinity leaves out every delay", async () => {
  const got = await replayed(
    [open(0), text(HOUR, "a"), close(2 * HOUR, 4000)],
    {
      speed: Infinity,
    },
  );
  assertEquals([got.messages, got.code], [["a"], 4000]);
});

Deno.test("loop begins again at the end, and other clients and timers get their turn", async () => {
  await using feed = await serveReplay([...texts("", "b"), close(0, 4000)], {
    loop: true,
    speed: Infinity,
  });
  const [one, other] = [await connect(feed.url), await connect(feed.url)];
  for (let i = 0; i < 5000; i++) {
    for (const connection of [one, other]) {
      assertEquals(await connection.recv(), i % 2 === 0 ? "" : "b");
    }
  }
  await delay(1);
});

Deno.test("loop takes the time up to the end of the recording each time", async () => {
  await using feed = await serveReplay([
    open(0),
    text(50, "a"),
    close(100, 4000),
  ], {
    loop: true,
  });
  const start = performance.now();
  const connection = await connect(feed.url);
  for (let i = 0; i < 5; i++) assertEquals(await connection.recv(), "a");
  assertGreater(performance.now() - start, 4 * 100);
});

Deno.test("a subprotocol is chosen: the recorded one, or the first that is offered", async () => {
  await using feed = await serveReplay([open(0, "v2"), ...texts("a")]);
  for (
    const [protocols, chosen] of [
      [["v1", "v2"], "v2"],
      [["v1", "v3"], "v1"],
      [[], ""],
    ] as const
  ) {
    const connection = await connect(feed.url, { protocols: [...protocols] });
    assertEquals(connection.protocol, chosen);
  }
});

// --- Faults and refusals ---

const FIVE = texts("0", "1", "2", "3", "4");

const FAULTS: [
  fault: NonNullable<ReplayOptions["fault"]>,
  messages: number,
  code: number,
][] = [
  [{ after: 2, how: "close" }, 2, 1000],
  [{ after: 3, how: "close", code: 1013 }, 3, 1013],
  [{ after: 0, how: "close", code: 4999 }, 0, 4999],
  [{ after: 7, how: "close" }, 5, 4000],
  [{ after: 2, how: "drop" }, 2, 1006],
  [{ after: 0, how: "drop" }, 0, 1006],
];
for (const [fault, messages, code] of FAULTS) {
  Deno.test(`the fault ${JSON.stringify(fault)} ends with ${code}`, async () => {
    const got = await replayed([...FIVE, close(0, 4000)], { fault });
    assertEquals([got.messages.length, got.code], [messages, code]);
  });
}

Deno.test("a fault comes in a loop, too", async () => {
  const got = await replayed(FIVE, {
    loop: true,
    fault: { after: 7, how: "drop" },
  });
  assertEquals([got.messages.length, got.code], [7, 1006]);
});

Deno.test("a stalled connection does not delay the end of the replay", async () => {
  await quickly(900, async () => {
    const feed = await serveReplay(FIVE, { fault: { after: 0, how: "stall" } });
    const connection = await connect(feed.url);
    const start = performance.now();
    await feed.close();
    const took = performance.now() - start;
    assertEquals((await connection.closed).clean, false);
    return took;
  });
});

Deno.test("a stalled connection stays open, and answers neither pings nor a close", async () => {
  await using feed = await serveReplay(FIVE, {
    fault: { after: 2, how: "stall" },
  });
  const connection = await connect(feed.url);
  assertEquals([await connection.recv(), await connection.recv()], ["0", "1"]);
  await assertRejects(() => connection.ping({ timeout: "300ms" }));
  assertEquals((await connection.close()).clean, false);
});

Deno.test("refuse refuses the first handshakes, or all, with the headers", async () => {
  await using some = await serveReplay(FIVE, {
    refuse: { status: 503, count: 2 },
    headers: [["Retry-After", "7"], ["Set-Cookie", "a=1"], [
      "Set-Cookie",
      "b=2",
    ]],
  });
  for (let i = 0; i < 2; i++) {
    const error = await assertRejects(() => connect(some.url), HandshakeError);
    assertEquals(error.response?.status, 503);
    assertEquals(error.response?.headers.get("retry-after"), "7");
    assertMatch(await error.response!.text(), /Refused with 503/);
  }
  const [connection, response] = await connectWebSocket(some.url, {
    capture: "direct",
  });
  assertEquals(response.headers.getSetCookie(), ["a=1", "b=2"]);
  assertEquals((await receive(connection)).messages.length, 5);
  assertEquals(some.clients, 3);

  await using all = await serveReplay(FIVE, { refuse: { status: 401 } });
  for (let i = 0; i < 3; i++) assertEquals(await refusal(all.url), 401);
  assertEquals(all.clients, 3);
});

Deno.test("a header that the server writes itself is written once, as given", async () => {
  await using feed = await serveReplay(FIVE, {
    refuse: { status: 429 },
    headers: { "Content-Type": "application/json", "Date": "some day" },
  });
  const error = await assertRejects(() => connect(feed.url), HandshakeError);
  assertEquals(error.response?.headers.get("content-type"), "application/json");
  assertEquals(error.response?.headers.get("date"), "some day");
});

Deno.test("what is no handshake is answered with 426 or 400, and counts for nothing", async () => {
  await using feed = await serveReplay(FIVE, {
    refuse: { status: 503, count: 1 },
  });
  const url = feed.url.replace("ws:", "http:");
  const get = await fetch(url);
  assertEquals([get.status, get.headers.get("upgrade")], [426, "websocket"]);
  await get.body?.cancel();
  const post = await fetch(url, { method: "POST", body: "x".repeat(100_000) });
  assertEquals(post.status, 400);
  await post.body?.cancel();
  assertEquals(feed.clients, 0);
  assertEquals(await refusal(feed.url), 503);
});

// --- Origins ---

Deno.test("a page of another origin is refused with 403, and one of this machine is not", async () => {
  const events: ReplayEvent[] = [];
  await using feed = await serveReplay(FIVE, {
    onEvent: (event) => events.push(event),
  });
  const refused = [
    "https://evil.example",
    "http://127.0.0.1.evil.example:8080",
    "http://localhost.evil.example",
    "http://evil.example/localhost",
    "http://localhost@evil.example",
    "http://192.168.0.1",
    "http://0.0.0.0",
    "chrome-extension://abcdefgh",
    "null",
    "file://",
    "localhost",
    "",
  ];
  for (const origin of refused) {
    assertEquals(await refusal(feed.url, { origin }), 403, origin);
  }
  const allowed = [
    "http://localhost",
    "https://localhost:8443",
    "http://LOCALHOST:3000",
    "http://app.localhost:5173",
    "http://127.0.0.1:8080",
    "http://127.1.2.3",
    "http://[::1]:8080",
  ];
  for (const origin of allowed) {
    const connection = await connect(feed.url, { headers: { origin } });
    assertEquals(await connection.recv(), "0");
    await connection.close();
  }
  assertEquals(feed.clients, refused.length + allowed.length);
  assertEquals(events[0], {
    type: "refused",
    client: 1,
    message:
      'client 1 was refused with 403: pages of "https://evil.example" are not allowed',
  });
});

Deno.test("two Origin headers are refused, even if both are of this machine", async () => {
  await using feed = await serveReplay(FIVE);
  const headers = [["origin", "http://localhost"], [
    "origin",
    "http://localhost",
  ]];
  assertEquals(await refusal(feed.url, headers as HeadersInit), 403);
});

Deno.test("allowOrigin lets pages of other origins connect", async () => {
  const cases: [allowOrigin: string | string[], origin: string, ok: boolean][] =
    [
      ["https://app.example", "https://app.example", true],
      ["https://App.example:443/", "https://app.example", true],
      ["https://app.example", "http://app.example", false],
      ["https://app.example", "https://app.example:8443", false],
      [["https://a.example", "null"], "null", true],
      [["https://a.example", "https://b.example"], "https://b.example", true],
      [["https://a.example"], "http://localhost:1", true],
      ["*", "https://any.example", true],
      ["*", "null", true],
      ["chrome-extension://abcdef", "chrome-extension://abcdef", true],
      [[], "https://any.example", false],
    ];
  for (const [allowOrigin, origin, ok] of cases) {
    await using feed = await serveReplay(FIVE, { allowOrigin });
    if (!ok) assertEquals(await refusal(feed.url, { origin }), 403);
    else await (await connect(feed.url, { headers: { origin } })).close();
  }
});

// --- Messages of clients ---

const CONVERSATION = [
  open(0),
  text(0, "welcome"),
  sent(10, '{"op":"subscribe","to":["a","b"],"id":1}'),
  text(20, "subscribed"),
  text(30, "event"),
  { time: iso(40), type: "binary", data: "Cg==", from: "client" } as const,
  text(50, "done"),
  close(60, 4000),
];

Deno.test("the messages of a client are ignored by default", async () => {
  await using feed = await serveReplay(CONVERSATION);
  const connection = await connect(feed.url);
  await connection.send("anything");
  const { messages, code } = await receive(connection);
  assertEquals(messages, ["welcome", "subscribed", "event", "done"]);
  assertEquals(code, 4000);
});

for (const speed of [1, Infinity]) {
  Deno.test(`clientMessages "any" waits for a message of the client, at speed ${speed}`, async () => {
    await using feed = await serveReplay(CONVERSATION, {
      clientMessages: "any",
      speed,
    });
    const connection = await connect(feed.url);
    assertEquals(await connection.recv(), "welcome");
    await assertRejects(() => connection.recv({ timeout: "200ms" }));
    await connection.send("not what was recorded");
    assertEquals(await connection.recv(), "subscribed");
    assertEquals(await connection.recv(), "event");
    await assertRejects(() => connection.recv({ timeout: "200ms" }));
    await connection.send("");
    assertEquals(await connection.recv(), "done");
    assertEquals((await connection.closed).code, 4000);
  });
}

Deno.test("messages that come early count, and those behind the last are ignored", async () => {
  for (const clientMessages of ["any", "exact"] as const) {
    await using feed = await serveReplay(CONVERSATION, { clientMessages });
    const connection = await connect(feed.url);
    await connection.send('{"id":1,"to":["a","b"],"op":"subscribe"}');
    await connection.send(new Uint8Array([10]));
    await connection.send("and more");
    const { messages, code } = await receive(connection);
    assertEquals(messages, ["welcome", "subscribed", "event", "done"]);
    assertEquals(code, 4000);
  }
});

Deno.test("delays count from the message that was waited for", async () => {
  await using feed = await serveReplay(
    [open(0), sent(0, "go"), text(400, "a"), text(800, "b")],
    { clientMessages: "any" },
  );
  const connection = await connect(feed.url);
  await delay(600);
  const start = performance.now();
  await connection.send("go");
  for (const [message, at] of [["a", 400], ["b", 800]] as const) {
    assertEquals(await connection.recv(), message);
    assertGreater(performance.now() - start, at - 20);
  }
});

Deno.test("the end waits for a message that was sent after the last that came", async () => {
  await using feed = await serveReplay(
    [open(0), text(0, "a"), sent(0, "thanks"), close(0, 4000)],
    { clientMessages: "exact" },
  );
  const connection = await connect(feed.url);
  assertEquals(await connection.recv(), "a");
  await assertRejects(() => connection.recv({ timeout: "200ms" }));
  await connection.send("thanks");
  assertEquals((await connection.closed).code, 4000);
});

type Sent = string | Uint8Array<ArrayBuffer>;
const SAME: [recorded: string, got: Sent, same: boolean][] = [
  ["hello", "hello", true],
  ["hello", "hello ", false],
  ['{"a":1,"b":[2,{"c":null}]}', '{ "b": [2, {"c": null}], "a": 1.0 }', true],
  ['{"a":1}', '{"a":"1"}', false],
  ['{"a":1}', '{"a":1,"b":2}', false],
  ['{"a":1,"b":2}', '{"a":1}', false],
  ['{"a":1}', '{"b":1}', false],
  ["[1,2]", "[2,1]", false],
  ["[]", "{}", false],
  ["null", "{}", false],
  ['{"0":1}', "[1]", false],
  ['{"__proto__":{"a":1}}', '{"__proto__":{"a":2}}', false],
  ["1e2", "100", true],
  ['{"id":12345678901234567890}', '{ "id":12345678901234567890 }', true],
  ['{"id":12345678901234567890}', '{"id":12345678901234567891}', false],
  [
    '{"id":12345678901234567}',
    '{"id":{"digits":"12345678901234567"}}',
    false,
  ],
  ['{"id":1000000000000000}', '{"id":1e15}', true],
  ['["1234567890123456789",1]', '[ "1234567890123456789", 1]', true],
  ["[1.00000000000000000]", "[1]", true],
  ['"a"', "a", false],
  ["{", "{ ", false],
  ["hello", new TextEncoder().encode("hello"), false],
  ["[".repeat(100_000), "[".repeat(100_000) + " ", false],
  [
    "[".repeat(9000) + "]".repeat(9000),
    "[".repeat(9000) + " " + "]".repeat(9000),
    true,
  ],
];
Deno.test(`clientMessages "exact" compares texts as JSON or as texts, and reports what differs`, async () => {
  for (const [recorded, got, same] of SAME) {
    const events: ReplayEvent[] = [];
    await using feed = await serveReplay(
      [open(0), sent(0, recorded), text(0, "ok"), close(0, 4000)],
      { clientMessages: "exact", onEvent: (event) => events.push(event) },
    );
    const connection = await connect(feed.url);
    await connection.send(got);
    const { messages, code, reason } = await receive(connection);
    const name = `${recorded.slice(0, 40)} and ${String(got).slice(0, 40)}`;
    assertEquals(code, same ? 4000 : 1008, name);
    assertEquals(messages, same ? ["ok"] : [], name);
    const types = events.map(({ type }) => type);
    if (same) assertEquals(types, ["connected", "ended"]);
    else {
      assertEquals(reason, "message 1 is not the recorded one");
      assertEquals(types, ["connected", "deviation", "ended"]);
      assertEquals(events.map(({ message }) => message), [
        "client 1 connected",
        "client 1 deviated: its message 1 is not the recorded one",
        "client 1 got 0 messages; the connection is closed with 1008",
      ]);
    }
  }
});

Deno.test(`clientMessages "exact" takes a binary message for the same bytes only`, async () => {
  const events = [
    { time: iso(0), type: "binary", data: "AP8=", from: "client" },
    text(0, "ok"),
  ] as const;
  for (
    const [got, code] of [
      [new Uint8Array([0, 255]), 1000],
      [new Uint8Array([0, 254]), 1008],
      [new Uint8Array([0]), 1008],
      ["\0\xff", 1008],
    ] as const
  ) {
    await using feed = await serveReplay(events, { clientMessages: "exact" });
    const connection = await connect(feed.url);
    await connection.send(got);
    assertEquals((await receive(connection)).code, code);
  }
});

Deno.test("a deviation is found when it comes, and not when the feed gets there", async () => {
  await using feed = await serveReplay(
    [text(0, "a"), sent(HOUR, "b"), text(HOUR, "c")],
    { clientMessages: "exact" },
  );
  const connection = await connect(feed.url);
  assertEquals(await connection.recv(), "a");
  await connection.send("c");
  assertEquals((await connection.closed).code, 1008);
});

Deno.test("a conversation is repeated in a loop", async () => {
  await using feed = await serveReplay(
    [sent(0, "ping"), text(0, "pong")],
    { clientMessages: "exact", loop: true, speed: Infinity },
  );
  const connection = await connect(feed.url);
  for (let i = 0; i < 50; i++) {
    await connection.send("ping");
    assertEquals(await connection.recv(), "pong");
  }
  await connection.send("other");
  assertEquals((await connection.closed).code, 1008);
});

Deno.test("messages of a recording in a file are compared as it is read", async () => {
  for (const [last, code] of [[[10], 4000], [[11], 1008]] as const) {
    await using feed = await serveReplay(recording("v2.ndjson"), {
      clientMessages: "exact",
      speed: Infinity,
    });
    const connection = await connect(feed.url);
    await connection.send('{"subscribe":"trades"}');
    assertEquals(await connection.recv(), '{"subscribed":"trades"}');
    await connection.recv();
    await connection.send(new Uint8Array(last));
    assertEquals((await connection.closed).code, code);
  }
});

// --- Events, and the end ---

Deno.test("onEvent tells of each client in turn", async () => {
  const events: ReplayEvent[] = [];
  await using feed = await serveReplay([...FIVE, text(HOUR, "late")], {
    refuse: { status: 503, count: 1 },
    onEvent: (event) => events.push(event),
  });
  assertEquals(await refusal(feed.url), 503);
  const connection = await connect(feed.url);
  for (let i = 0; i < 5; i++) await connection.recv();
  await connection.close();
  await eventually(() => events.length === 3, "the end of the client");
  assertEquals(events, [
    { type: "refused", client: 1, message: "client 1 was refused with 503" },
    { type: "connected", client: 2, message: "client 2 connected" },
    { type: "ended", client: 2, message: "client 2 left after 5 messages" },
  ]);
});

Deno.test("what onEvent throws is an uncaught error, and the feed goes on", async () => {
  const caught: unknown[] = [];
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    caught.push(event.error.message);
  };
  addEventListener("error", onError);
  try {
    const { messages } = await replayed(FIVE, {
      onEvent({ type }) {
        throw new Error(type);
      },
    });
    assertEquals(messages.length, 5);
    assertEquals(caught, ["connected", "ended"]);
  } finally {
    removeEventListener("error", onError);
  }
});

Deno.test("close() closes each connection with 1001, and can be called again", async () => {
  const feed = await serveReplay([text(0, "a"), text(HOUR, "b")]);
  const connection = await connect(feed.url);
  assertEquals(await connection.recv(), "a");
  const closing = feed.close();
  assertEquals((await connection.closed).code, 1001);
  await closing;
  await feed.close();
  await assertRejects(() => connect(feed.url), HandshakeError);
});

Deno.test("close() cuts clients that do not answer, read or finish their request", async () => {
  const feed = await serveReplay([text(0, "x".repeat(1_000_000))], {
    loop: true,
    speed: Infinity,
  });
  const port = Number(new URL(feed.url).port);
  const head = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n" +
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const conns: Deno.Conn[] = [];
  for (const bytes of [head, head + "\r\n"]) {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    conns.push(conn);
    await conn.write(new TextEncoder().encode(bytes));
  }
  await eventually(() => feed.clients === 1, "the handshake");
  await delay(50);
  await within(feed.close(), 60_000, "the end of the replay");
  for (const conn of conns) conn.close();
});

Deno.test("a signal ends the reading of a large recording", async () => {
  const line = JSON.stringify(text(0, "x".repeat(1000)));
  // The reading would fail at the last line, a megabyte later.
  await using it = await file(...Array(1000).fill(line), "oops");
  const abort = new AbortController();
  const serving = serveReplay(it.path, { signal: abort.signal });
  abort.abort(new Error("enough"));
  await assertRejects(() => serving, Error, "enough");
});

Deno.test("a signal closes the replay, and one that has aborted refuses it", async () => {
  const abort = new AbortController();
  const feed = await serveReplay([text(0, "a"), text(HOUR, "b")], {
    signal: abort.signal,
  });
  const connection = await connect(feed.url);
  await connection.recv();
  abort.abort(new Error("enough"));
  assertEquals((await connection.closed).code, 1001);
  await feed.close();
  const { signal } = abort;
  const error = await assertRejects(() => serveReplay(FIVE, { signal }), Error);
  assertEquals(error.message, "enough");
});

Deno.test("nothing of a replay keeps a process alive that has closed it, or loads it with the client", async () => {
  const code = `
    import { connectWebSocket } from "@wstap/wstap";
    import { serveReplay } from "@wstap/wstap/replay";
    await using feed = await serveReplay([
      { time: "2024-05-06T07:08:09.010Z", type: "text", data: "a" },
      { time: "2024-05-06T08:08:09.010Z", type: "text", data: "b" },
    ]);
    const [connection] = await connectWebSocket(feed.url);
    console.log(await connection.recv());
  `;
  await using place = await workplace({ "main.ts": code });
  const { code: status, stdout, stderr } = await output(Deno.execPath(), [
    ...["run", "--allow-net=127.0.0.1", "--quiet", ...moduleFlags()],
    `${place.folder}/main.ts`,
  ]);
  assertEquals([status, stdout], [0, "a\n"], stderr);
});

Deno.test("mod.ts loads nothing of the replay", async () => {
  const { stdout } = await output(Deno.execPath(), [
    ...["info", "--json", ...moduleFlags()],
    new URL("../mod.ts", import.meta.url).href,
  ]);
  assert(stdout.includes("/src/connect.ts"));
  assert(!/\/src\/(replay|cli)\//.test(stdout));
});

// --- What is refused ---

type Class = new (...args: never[]) => Error;
const INVALID: [options: unknown, error: Class, message: RegExp][] = [
  [null, TypeError, /^Invalid options: expected an object, got null$/],
  [[], TypeError, /^Invalid options: expected an object, got an array$/],
  [{ port: null }, TypeError, /^Invalid port: expected a number, got null$/],
  [{ port: "1" }, TypeError, /^Invalid port: expected a number, got string$/],
  [{ port: 65536 }, RangeError, /^Invalid port: .* from 0 to 65535, got 65536/],
  [{ port: 1.5 }, RangeError, /^Invalid port/],
  [{ speed: null }, TypeError, /^Invalid speed: expected a number, got null$/],
  [{ speed: "2" }, TypeError, /^Invalid speed/],
  [
    { speed: 0 },
    RangeError,
    /^Invalid speed: expected a number above 0, got 0/,
  ],
  [{ speed: NaN }, RangeError, /^Invalid speed/],
  [{ speed: -1 }, RangeError, /^Invalid speed/],
  [{ loop: 1 }, TypeError, /^Invalid loop/],
  [{ headers: { "a b": "c" } }, TypeError, /^Invalid header name/],
  [{ headers: { upgrade: "c" } }, TypeError, /^The header "upgrade"/],
  [{ headers: "a: b" }, TypeError, /^Invalid headers/],
  [{ refuse: 503 }, TypeError, /^Invalid refuse: expected an object/],
  [{ refuse: {} }, TypeError, /^Invalid refuse.status/],
  [{ refuse: { status: 101 } }, RangeError, /^Invalid refuse.status/],
  [{ refuse: { status: 503, count: 0 } }, RangeError, /^Invalid refuse.count/],
  [{ fault: "drop" }, TypeError, /^Invalid fault: expected an object/],
  [{ fault: { how: "drop" } }, TypeError, /^Invalid fault.after/],
  [{ fault: { after: -1, how: "drop" } }, RangeError, /^Invalid fault.after/],
  [{ fault: { after: 1 } }, TypeError, /^Invalid fault.how/],
  [{ fault: { after: 1, how: "cut" } }, TypeError, /^Invalid fault.how/],
  [
    { fault: { after: 1, how: "drop", code: 1000 } },
    TypeError,
    /^Invalid fault.code: it needs the fault "close", and the fault is "drop"$/,
  ],
  [
    { fault: { after: 1, how: "close", code: 1005 } },
    RangeError,
    /^Invalid fault.code/,
  ],
  [{ clientMessages: "all" }, TypeError, /^Invalid clientMessages: .* "exact"/],
  [{ entry: -1 }, RangeError, /^Invalid entry/],
  [{ entry: "" }, TypeError, /^Invalid entry/],
  [{ entry: 0 }, TypeError, /^Invalid entry: it chooses a connection of a HAR/],
  [{ allowOrigin: 1 }, TypeError, /^Invalid allowOrigin/],
  [{ allowOrigin: ["a.example"] }, TypeError, /^Invalid allowOrigin/],
  [{ allowOrigin: "https://a.example/x" }, TypeError, /^Invalid allowOrigin/],
  [{ signal: {} }, TypeError, /^Invalid signal/],
  [{ onEvent: "log" }, TypeError, /^Invalid onEvent/],
];
for (const [options, type, message] of INVALID) {
  Deno.test(`serveReplay() refuses ${JSON.stringify(options)}`, async () => {
    const error = await assertRejects(
      () => serveReplay(FIVE, options as ReplayOptions),
      type as typeof Error,
    );
    assertMatch(error.message, message);
  });
}

const WRONG: [recording: unknown, message: RegExp][] = [
  [undefined, /^Invalid recording: expected a path, a URL or an iterable/],
  [1, /^Invalid recording: .* got number$/],
  [{}, /^Invalid recording: .* got object$/],
  ["", /^Invalid recording: expected a path, got an empty one$/],
  [
    "https://feed.example/?token=secret",
    /^Invalid recording: expected a path, got a URL$/,
  ],
  [
    "file:///feed.ndjson",
    /^Invalid recording: expected a path or a URL object, got a "file:" URL as a string$/,
  ],
  [
    new URL("https://feed.example/?token=secret"),
    /^Invalid recording: expected a "file:" URL, got one of "https:"$/,
  ],
  [[], /^Invalid recording: expected at least one event$/],
  [[text(0, "a"), null], /^Invalid recording: event 1 is not an object/],
  [[{ type: "text", data: "a" }], /event 0 has no time such as "[^"]*"$/],
  [[{ ...text(0, "a"), data: 1 }], /event 0 has no data that is a string$/],
  [
    [{ time: iso(0), type: "binary", data: "?" }],
    /event 0 has no data in base64$/,
  ],
  [[{ ...text(0, "a"), from: "server" }], /event 0 has a from that is not/],
  [[{ time: iso(0), type: "frame" }], /event 0 has none of the types/],
  [[{ ...open(0), protocol: 1 }], /event 0 has a protocol that is not/],
  [[close(0, 1006)], /event 0 has no code, reason and clean that belong/],
];
for (const [events, message] of WRONG) {
  Deno.test(`serveReplay() refuses the recording ${JSON.stringify(events)}`, async () => {
    const error = await assertRejects(
      () => serveReplay(events as RecordedEvent[]),
      TypeError,
    );
    assertMatch(error.message, message);
    assert(!error.message.includes("secret"));
  });
}

Deno.test("an error of the system keeps its class, and says what it was about", async () => {
  const missing = new URL("missing.ndjson", import.meta.url);
  const { message } = await assertRejects(
    () => serveReplay(missing),
    Deno.errors.NotFound,
  );
  assertMatch(message, /^Cannot read .*missing\.ndjson: /);
  await using feed = await serveReplay(FIVE);
  const port = Number(new URL(feed.url).port);
  const taken = await assertRejects(
    () => serveReplay(FIVE, { port }),
    Deno.errors.AddrInUse,
  );
  assertMatch(taken.message, /^Cannot listen on port \d+: [^()]*$/);
  await assertRejects(
    () => serveReplay(new URL(".", import.meta.url)),
    TypeError,
    "expected a file",
  );
});

Deno.test("loop needs a message to repeat", async () => {
  await assertRejects(
    () => serveReplay([open(0), sent(0, "a")], { loop: true }),
    TypeError,
    "Cannot repeat the recording: it has no messages of the server",
  );
});

// --- docs/recordings.md ---

const PAGE = await Deno.readTextFile(path("docs/recordings.md"));

Deno.test("docs/recordings.md shows a recording", async () => {
  const [, example] = /^```json\n([^]*?)^```$/m.exec(PAGE)!;
  await using place = await workplace({ "feed.ndjson": example! });
  const file = `${place.folder}/feed.ndjson`;
  assertEquals(await replayed(file, { speed: Infinity }), {
    messages: ['{"id":1}', new Uint8Array([0, 255, 10])],
    code: 1001,
    reason: "restart",
    clean: true,
  });
});

Deno.test("the tests that docs/recordings.md shows pass", async () => {
  const examples = [...PAGE.matchAll(/^```ts\n([^]*?)^```$/gm)];
  assertEquals(examples.length, 2);
  const lines = texts('{"id":1}', '{"id":2}', '{"id":3}')
    .map((line) => JSON.stringify(line) + "\n").join("");
  const files = examples.map(([, code]) => code!);
  await using place = await workplace({
    "feed.ndjson": lines,
    "first_test.ts": files[0]!,
    "second_test.ts": files[1]!,
  });
  const { code, stdout, stderr } = await output(Deno.execPath(), [
    ...["test", "--no-check", "--allow-net=127.0.0.1", "--allow-read=."],
    // Without them, Deno looks for tests where its configuration is.
    ...moduleFlags(),
    ...["first_test.ts", "second_test.ts"],
  ], { cwd: place.folder });
  assertEquals(code, 0, stdout + stderr);
  assertMatch(stdout, /3 passed/);
});

// --- Files ---

/** A file with these lines. */
async function file(...lines: (RecordedEvent | string)[]) {
  const text = lines.map((line) =>
    (typeof line === "string" ? line : JSON.stringify(line)) + "\n"
  );
  const { folder, ...rest } = await workplace({ "feed.ndjson": text.join("") });
  return { path: `${folder}/feed.ndjson`, ...rest };
}

/** The line with which a connection begins in a file. */
const header = (at: number, fields: Record<string, unknown> = {}) =>
  JSON.stringify({
    time: iso(at),
    type: "open",
    version: 2,
    url: "wss://feed.example/",
    status: 101,
    protocol: "",
    headers: ["upgrade"],
    ...fields,
  });

Deno.test("a line that is not UTF-8 is named, and one that ends in CRLF is read", async () => {
  await using it = await file();
  const bytes = [text(0, "a"), text(0, "é"), text(0, "c")].map((line) =>
    new TextEncoder().encode(JSON.stringify(line) + "\r\n")
  );
  const write = () =>
    Deno.writeFile(it.path, new Uint8Array(bytes.flatMap((it) => [...it])));
  await write();
  assertEquals((await replayed(it.path)).messages, ["a", "é", "c"]);
  bytes[1]!.fill(0xff, -10, -6);
  await write();
  const error = await assertRejects(() => serveReplay(it.path), TypeError);
  assertEquals(error.message, `Cannot replay ${it.path}: line 2 is not UTF-8`);
});

Deno.test("a file needs no lines about connections", async () => {
  await using it = await file(text(0, "a"), text(5, "b"));
  assertEquals((await replayed(it.path)).messages, ["a", "b"]);
});

Deno.test("several connections in one file are one feed, without the time between them", async () => {
  const DAY = 24 * HOUR;
  await using it = await file(
    ...[header(0), text(1, "a"), close(2, 1006, "", false)],
    // An earlier time: the clock was set.
    ...[header(-DAY), text(1 - DAY, "b"), text(-9 * DAY, "c")],
    ...[header(DAY, { version: 1 }), text(DAY, "d"), close(DAY + 1, 4002)],
    // Messages alone behind it.
    text(3 * DAY, "e"),
  );
  const { messages, code } = await replayed(it.path);
  assertEquals([messages, code], [["a", "b", "c", "d", "e"], 4002]);
});

Deno.test("a clock that was set back takes no time, and does not shorten what follows", async () => {
  await using feed = await serveReplay([
    ...[text(0, "a"), text(-5000, "b"), text(-4600, "c")],
  ]);
  const start = performance.now();
  const connection = await connect(feed.url);
  await connection.recv();
  await connection.recv();
  assertEquals(await connection.recv(), "c");
  assertGreater(performance.now() - start, 350);
  await connection.close();
});

Deno.test("what is appended meanwhile is not played, and a file that breaks cuts the connection", async () => {
  await using it = await file(text(0, "a"), text(0, "b"));
  const events: string[] = [];
  await using feed = await serveReplay(it.path, {
    onEvent: ({ message }) => events.push(message),
  });
  await Deno.writeTextFile(it.path, JSON.stringify(text(0, "c")) + "\n", {
    append: true,
  });
  const first = await receive(await connect(feed.url));
  assertEquals(first.messages, ["a", "b"]);

  const broken = JSON.stringify(text(0, "a")) + "\noops\n";
  await Deno.writeTextFile(it.path, broken);
  const second = await receive(await connect(feed.url));
  assertEquals([second.messages, second.code], [[], 1006]);
  await eventually(() => events.length === 4, "the end of the second client");
  assertEquals(
    events[3],
    `client 2 was cut off after 0 messages: Cannot replay ${it.path}: line 2 is cut off, or is not JSON`,
  );
});

Deno.test("a file that is removed cuts the connection, and says so", async () => {
  await using it = await file(text(0, "a"));
  const events: string[] = [];
  await using feed = await serveReplay(it.path, {
    onEvent: ({ message }) => events.push(message),
  });
  await Deno.remove(it.path);
  assertEquals((await receive(await connect(feed.url))).code, 1006);
  await eventually(() => events.length === 2, "the end of the client");
  assertMatch(
    events[1]!,
    /^client 1 was cut off after 0 messages: Cannot read/,
  );
});

Deno.test("what wstap writes is what a replay reads", async () => {
  const messages = [
    "é\n😀",
    "",
    new Uint8Array([0, 255, 10]),
    new Uint8Array(),
  ];
  const lines = [
    openLine({
      url: "wss://me:secret@feed.example/events?token=secret",
      status: 101,
      headers: new Headers({ "Set-Cookie": "secret" }),
    }, "v2"),
    messageLine(iso(0), "sent", "client"),
    ...messages.map((it) => messageLine(iso(1), it)),
    closeLine({ code: 4000, reason: "é", clean: true }),
  ];
  assert(!lines.join("").includes("secret"));
  await using it = await file(...lines.map((line) => line.trimEnd()));
  assertEquals(await replayed(it.path, { speed: Infinity }), {
    messages,
    code: 4000,
    reason: "é",
    clean: true,
  });
  assertEquals(JSON.parse(lines[1]!), sent(0, "sent"));
});

Deno.test("a file that breaks while messages are compared cuts the connection", async () => {
  await using it = await file(sent(0, "x"), text(0, "a"));
  const events: string[] = [];
  await using feed = await serveReplay(it.path, {
    clientMessages: "exact",
    onEvent: ({ message }) => events.push(message),
  });
  const connection = await connect(feed.url);
  // In one step: it may be opened at any moment.
  await Deno.writeTextFile(`${it.path}.new`, "oops\n");
  await Deno.rename(`${it.path}.new`, it.path);
  await connection.send("x");
  assertEquals((await receive(connection)).code, 1006);
  await eventually(() => events.length === 2, "the end of the client");
  assertMatch(events[1]!, /^client 1 was cut off after 0 messages: .* line 1/);
});

const NO_RECORDING: [lines: (RecordedEvent | string)[], problem: string][] = [
  [[], "it is empty"],
  [["hello"], "line 1 is cut off, or is not JSON"],
  [[header(0), text(0, "a"), '{"time":'], "line 3 is cut off, or is not JSON"],
  [[text(0, "a"), "", text(0, "b")], "line 2 is empty"],
  [
    [text(0, "a"), `[${JSON.stringify(text(0, "b"))}]`],
    "line 2 is an array, as --batch writes it: record without --batch",
  ],
  [["1"], "line 1 is not an object with time and type, but number"],
  [
    ['{"id":1}'],
    'line 1 has no time such as "2024-05-06T07:08:09.010Z": record without --time-format',
  ],
  [
    ['{"time":"12:00","type":"text","data":""}'],
    'line 1 has no time such as "2024-05-06T07:08:09.010Z": record without --time-format',
  ],
  [
    [{ time: iso(0), type: "binary", data: "/w=A" }],
    "line 1 has no data in base64",
  ],
  [
    [`{"time":"${iso(0)}","type":"frame"}`],
    'line 1 has none of the types "open", "text", "binary", "close" and "stop"',
  ],
  [
    [header(0, { version: 3 })],
    "line 1 has the version 3 of the format: this wstap knows 1 and 2",
  ],
  [
    [header(0, { version: undefined })],
    "line 1 has the version undefined of the format: this wstap knows 1 and 2",
  ],
  [[header(0, { url: undefined })], "line 1 has no url or no protocol"],
  [
    [text(0, "a"), JSON.stringify({ ...text(0, "b"), from: "server" })],
    'line 2 has a from that is not "client"',
  ],
  [
    [text(0, "a"), close(0, 1006)],
    "line 2 has no code, reason and clean that belong together",
  ],
  [
    [close(0, 1000, "é".repeat(62))],
    "line 1 has a reason of more than 123 bytes, which no close frame can hold",
  ],
];
for (const [lines, problem] of NO_RECORDING) {
  Deno.test(`a file is refused: ${problem}: ${JSON.stringify(lines).slice(0, 60)}`, async () => {
    await using it = await file(...lines);
    const error = await assertRejects(() => serveReplay(it.path), TypeError);
    assertEquals(error.message, `Cannot replay ${it.path}: ${problem}`);
  });
}
