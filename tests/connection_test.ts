import {
  assertEquals,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  BinaryMessageError,
  BufferOverflowError,
  ConnectionClosedError,
  connections,
  connectWebSocket,
  type DurationLike,
  type WebSocketConnection,
} from "@wstap/wstap";
import {
  answerClose,
  CAPTURES,
  each,
  link,
  NATIVE,
  takeClose,
  upgrade,
} from "./fixtures/captures.ts";
import { frame, type Peer, rawServer } from "./fixtures/raw.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { delay, eventually, within } from "./fixtures/wait.ts";

const encode = (text: string) => new TextEncoder().encode(text);

/** Waits until so many messages are there to be received. */
function buffered(
  connection: WebSocketConnection<string | Uint8Array>,
  messages: number,
): Promise<void> {
  return eventually(
    () => connection.buffered.messages === messages,
    `${messages} messages in the buffer`,
  );
}

/** Sends each text as a message. */
async function sendAll(peer: Peer, ...texts: string[]): Promise<void> {
  for (const text of texts) await peer.send(text);
}

async function assertTimeout(fn: () => Promise<unknown>): Promise<void> {
  const error = await assertRejects(fn, DOMException);
  assertEquals(error.name, "TimeoutError");
}

// --- recv() ---

each("recv() gives messages in order of arrival", async (capture) => {
  await using it = await link(capture);
  await sendAll(it.peer, "a", "b", "c");
  assertEquals(await it.connection.recv(), "a");
  await it.peer.send("d");
  assertEquals(await it.connection.recv(), "b");
  assertEquals(await it.connection.recv(), "c");
  assertEquals(await it.connection.recv(), "d");
});

each("recv() waits for a message", async (capture) => {
  await using it = await link(capture);
  const received = it.connection.recv();
  await it.peer.send("a");
  assertEquals(await received, "a");
});

each(
  "recv() loses no message that comes with the handshake's answer",
  async (capture) => {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.upgrade();
      for (let i = 0; i < 100; i++) await peer.send(`${i}`);
      await peer.closeFrame(1000);
      await peer.waitForEnd();
    });
    const [connection] = await connectWebSocket(server.url, { capture });
    await delay(20);
    for (let i = 0; i < 100; i++) assertEquals(await connection.recv(), `${i}`);
    assertEquals(await connection.recv(), null);
  },
);

each("recv() calls made together are served in order", async (capture) => {
  await using it = await link(capture);
  const calls = ["a", "b", "c"].map(() => it.connection.recv());
  await sendAll(it.peer, "a", "b", "c");
  assertEquals(await Promise.all(calls), ["a", "b", "c"]);
});

each(
  "recv() and recvBatch() calls made together are served in order",
  async (capture) => {
    await using it = await link(capture);
    const calls = [
      it.connection.recv(),
      it.connection.recvBatch("1h", { max: 2 }),
      it.connection.recv({ timeout: "1h" }),
      it.connection.recvBatch("1h", { max: 1 }),
    ];
    await sendAll(it.peer, "a", "b", "c", "d", "e");
    assertEquals(await Promise.all(calls), ["a", ["b", "c"], "d", ["e"]]);
  },
);

each(
  "recv() that times out rejects with TimeoutError and consumes nothing",
  async (capture) => {
    await using it = await link(capture);
    await assertTimeout(() => it.connection.recv({ timeout: 0.02 }));
    await assertTimeout(() => it.connection.recv({ timeout: "20ms" }));
    await it.peer.send("a");
    assertEquals(await it.connection.recv({ timeout: "1h" }), "a");
  },
);

each("recv() with a timeout of 0 takes what is there", async (capture) => {
  await using it = await link(capture);
  await assertTimeout(() => it.connection.recv({ timeout: 0 }));
  await it.peer.send("a");
  await buffered(it.connection, 1);
  assertEquals(await it.connection.recv({ timeout: 0 }), "a");
});

each(
  "recv() that is aborted rejects with the reason and consumes nothing",
  async (capture) => {
    await using it = await link(capture);
    const reason = new Error("enough");
    const controller = new AbortController();
    const received = it.connection.recv({ signal: controller.signal });
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => received), reason);
    await it.peer.send("a");
    await buffered(it.connection, 1);
    assertStrictEquals(
      await assertRejects(() =>
        it.connection.recv({ signal: controller.signal })
      ),
      reason,
    );
    assertEquals(await it.connection.recv(), "a");
  },
);

each(
  "recv() gives null for ever after a clean close, behind what arrived before",
  async (capture) => {
    await using it = await link(capture);
    await sendAll(it.peer, "a", "b");
    await it.peer.closeFrame(1000, "done");
    await takeClose(it.peer);
    it.peer.end();
    assertEquals(await it.connection.closed, {
      code: 1000,
      reason: "done",
      clean: true,
    });
    assertEquals(await it.connection.recv(), "a");
    assertEquals(await it.connection.recv(), "b");
    for (let i = 0; i < 3; i++) assertEquals(await it.connection.recv(), null);
    assertEquals(await it.connection.recv({ timeout: 0 }), null);
  },
);

each(
  "recv() rejects with the same error for ever after a loss, behind what arrived before",
  async (capture) => {
    await using it = await link(capture);
    await sendAll(it.peer, "a", "b");
    await buffered(it.connection, 2);
    it.peer.end();
    assertEquals(await it.connection.closed, {
      code: 1006,
      reason: "",
      clean: false,
    });
    assertEquals(await it.connection.recv(), "a");
    assertEquals(await it.connection.recv(), "b");
    const error = await assertRejects(
      () => it.connection.recv(),
      ConnectionClosedError,
    );
    assertEquals(
      { code: error.code, reason: error.reason, clean: error.clean },
      { code: 1006, reason: "", clean: false },
    );
    for (let i = 0; i < 3; i++) {
      assertStrictEquals(
        await assertRejects(() => it.connection.recv()),
        error,
      );
    }
  },
);

each(
  "recv() that waits rejects when the connection is lost",
  async (capture) => {
    await using it = await link(capture);
    const received = it.connection.recv();
    it.peer.reset();
    const error = await assertRejects(() => received, ConnectionClosedError);
    assertEquals(error.code, 1006);
  },
);

const VIOLATIONS: Record<string, Uint8Array> = {
  "a reserved bit": frame(1, "x", { rsv: 4 }),
  "an unknown opcode": frame(3, "x"),
  "text that is not UTF-8": frame(1, new Uint8Array([0xff])),
  "a fragmented ping": frame(9, "x", { fin: false }),
  "a close code that must not be sent": frame(8, new Uint8Array([0x03, 0xee])),
};

for (const [what, bytes] of Object.entries(VIOLATIONS)) {
  each(
    `recv() rejects with ConnectionClosedError at ${what}, behind what arrived before`,
    async (capture) => {
      await using it = await link(capture);
      await it.peer.send("a");
      await it.peer.write(bytes);
      assertEquals(await it.connection.recv(), "a");
      const error = await assertRejects(
        () => it.connection.recv(),
        ConnectionClosedError,
      );
      assertEquals([error.code, error.clean], [1006, false]);
      assertEquals((await it.connection.closed).code, 1006);
    },
  );
}

each("recv() refuses bad options and consumes nothing", async (capture) => {
  await using it = await link(capture);
  await it.peer.send("a");
  await buffered(it.connection, 1);
  const { connection } = it;
  await assertRejects(() => connection.recv({ timeout: "10" }), TypeError);
  await assertRejects(() => connection.recv({ timeout: -1 }), RangeError);
  await assertRejects(
    () => connection.recv({ signal: {} as AbortSignal }),
    TypeError,
    "Invalid signal",
  );
  assertEquals(await connection.recv(), "a");
});

each(
  "recv() in a loop over a long burst lets timers and the socket go on",
  async (capture) => {
    await using it = await link(capture);
    const MESSAGES = 50_000;
    const message = frame(1, "x");
    const burst = new Uint8Array(MESSAGES * message.length);
    for (let i = 0; i < MESSAGES; i++) burst.set(message, i * message.length);
    await it.peer.write(burst);
    await buffered(it.connection, MESSAGES);
    let fired = false;
    const timer = setTimeout(() => fired = true, 0);
    for (let i = 0; i < MESSAGES && !fired; i++) await it.connection.recv();
    clearTimeout(timer);
    assertEquals(fired, true, "the timer never fired");
  },
);

// --- recvBatch() ---

each("recvBatch() collects for its whole window", async (capture) => {
  await using it = await link(capture);
  await it.peer.send("a");
  await buffered(it.connection, 1);
  const start = performance.now();
  const batch = it.connection.recvBatch("150ms");
  await it.peer.send("b");
  const collected = await batch;
  // A timer may be a fraction of a millisecond early.
  assertGreaterOrEqual(performance.now() - start, 148);
  if (collected.length < 2) collected.push((await it.connection.recv())!);
  assertEquals(collected, ["a", "b"]);
});

each("recvBatch() gives an empty array when nothing came", async (capture) => {
  await using it = await link(capture);
  assertEquals(await it.connection.recvBatch("20ms"), []);
});

each("recvBatch() of 0 takes what is buffered", async (capture) => {
  await using it = await link(capture);
  assertEquals(await it.connection.recvBatch(0), []);
  await sendAll(it.peer, "a", "b");
  await buffered(it.connection, 2);
  assertEquals(await it.connection.recvBatch("0"), ["a", "b"]);
});

each("recvBatch() ends early at max, and leaves the rest", async (capture) => {
  await using it = await link(capture);
  const batch = it.connection.recvBatch("1h", { max: 2 });
  await sendAll(it.peer, "a", "b", "c", "d", "e");
  assertEquals(await batch, ["a", "b"]);
  assertEquals(await it.connection.recvBatch("1h", { max: 2 }), ["c", "d"]);
  assertEquals(await it.connection.recv(), "e");
});

each(
  "recvBatch() keeps what it collected when the connection is closed",
  async (capture) => {
    await using it = await link(capture);
    const batch = it.connection.recvBatch("1h");
    await sendAll(it.peer, "a", "b");
    await it.peer.closeFrame(4001, "done");
    assertEquals(await batch, ["a", "b"]);
    for (let i = 0; i < 2; i++) {
      const error = await assertRejects(
        () => it.connection.recvBatch("1h"),
        ConnectionClosedError,
      );
      assertEquals(error.message, "websocket closed");
      assertEquals(
        { code: error.code, reason: error.reason, clean: error.clean },
        { code: 4001, reason: "done", clean: true },
      );
    }
    assertEquals(await it.connection.recv(), null);
  },
);

each(
  "recvBatch() rejects when the connection is closed with nothing collected",
  async (capture) => {
    await using it = await link(capture);
    const batch = it.connection.recvBatch("1h");
    await it.peer.closeFrame(1000);
    const error = await assertRejects(() => batch, ConnectionClosedError);
    assertEquals(error.message, "websocket closed");
    assertEquals([error.code, error.clean], [1000, true]);
  },
);

each(
  "recvBatch() keeps what it collected when the connection is lost",
  async (capture) => {
    await using it = await link(capture);
    await it.peer.send("a");
    await buffered(it.connection, 1);
    const batch = it.connection.recvBatch("1h");
    it.peer.end();
    assertEquals(await batch, ["a"]);
    for (let i = 0; i < 2; i++) {
      const error = await assertRejects(
        () => it.connection.recvBatch("1h"),
        ConnectionClosedError,
      );
      assertEquals(error.message, "websocket closed");
      assertEquals([error.code, error.clean], [1006, false]);
    }
    await assertRejects(() => it.connection.recv(), ConnectionClosedError);
  },
);

each(
  "recvBatch() that is aborted rejects, and what it collected stays",
  async (capture) => {
    await using it = await link(capture);
    await it.peer.send("a");
    await buffered(it.connection, 1);
    const controller = new AbortController();
    const reason = new Error("enough");
    const { signal } = controller;
    const batch = it.connection.recvBatch("1h", { signal });
    assertEquals(it.connection.buffered, { messages: 0, bytes: 0 });
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => batch), reason);
    assertStrictEquals(
      await assertRejects(() => it.connection.recvBatch(0, { signal })),
      reason,
    );
    await it.peer.send("b");
    await buffered(it.connection, 2);
    assertEquals(await it.connection.recvBatch(0), ["a", "b"]);
  },
);

each("recvBatch() takes every kind of duration", async (capture) => {
  await using it = await link(capture);
  const temporal = {
    ...Object.fromEntries(
      ["years", "months", "weeks", "days", "hours", "minutes", "seconds"]
        .map((unit) => [unit, 0]),
    ),
    milliseconds: 20,
    microseconds: 0,
    nanoseconds: 0,
    [Symbol.toStringTag]: "Temporal.Duration",
  } as unknown as Temporal.Duration;
  const durations: DurationLike[] = [0.02, "20ms", "0.02s", temporal];
  if ("Temporal" in globalThis) {
    durations.push(Temporal.Duration.from({ milliseconds: 20 }));
  }
  for (const duration of durations) {
    const start = performance.now();
    assertEquals(await it.connection.recvBatch(duration), []);
    assertGreaterOrEqual(performance.now() - start, 18);
  }
  await it.peer.send("a");
  assertEquals(await it.connection.recvBatch(3600, { max: 1 }), ["a"]);
});

each(
  "recvBatch() refuses a wrong duration or option, and consumes nothing",
  async (capture) => {
    await using it = await link(capture);
    await it.peer.send("a");
    await buffered(it.connection, 1);
    const { connection } = it;
    for (const duration of ["10", "", "3 apples", null, undefined, {}]) {
      await assertRejects(
        () => connection.recvBatch(duration as DurationLike),
        TypeError,
        "duration",
      );
    }
    for (const duration of [-1, NaN, Infinity, "-1s"]) {
      await assertRejects(() => connection.recvBatch(duration), RangeError);
    }
    for (const max of [0, -1, 1.5, NaN, "3"]) {
      await assertRejects(
        () => connection.recvBatch(0, { max: max as number }),
        RangeError,
        "expected a whole number from 1",
      );
    }
    await assertRejects(
      () => connection.recvBatch(0, { signal: {} as AbortSignal }),
      TypeError,
      "Invalid signal",
    );
    assertEquals(await connection.recvBatch(0), ["a"]);
  },
);

for (const maxBuffer of [{ messages: 4 }, { bytes: 4 }]) {
  const what = Object.keys(maxBuffer)[0];
  each(
    `recvBatch() ends early when what it holds reaches the limit of ${what}`,
    async (capture) => {
      await using it = await link(capture, { maxBuffer });
      const collected: unknown[] = [];
      for (let sent = 0; sent < 12; sent += 4) {
        const batch = it.connection.recvBatch("1h");
        await sendAll(it.peer, "a", "b", "c", "d");
        const first = await batch;
        // Over the native socket the limit itself, in a tap its high-water mark.
        assertEquals(first.length, NATIVE.includes(capture) ? 4 : 1);
        collected.push(...first);
        while (collected.length < sent + 4) {
          collected.push(await it.connection.recv());
        }
      }
      assertEquals(collected.join(""), "abcdabcdabcd");
      await it.connection.send("still open");
    },
  );
}

each(
  "recvBatch() whose window is over when its turn comes takes what is buffered",
  async (capture) => {
    await using it = await link(capture);
    const first = it.connection.recv();
    const over = it.connection.recvBatch("10ms");
    await delay(30);
    await it.peer.send("a");
    assertEquals(await first, "a");
    assertEquals(await within(over, 5000, "the batch"), []);
  },
);

each(
  "recvBatch() ends before an error in the queue; the next call gets it",
  async (capture) => {
    await using it = await link(capture);
    const batch = it.connection.recvBatch("1h");
    await it.peer.send("a");
    await it.peer.send(new Uint8Array([0xff]));
    await it.peer.send("b");
    assertEquals(await batch, ["a"]);
    await assertRejects(
      () => it.connection.recvBatch("1h"),
      BinaryMessageError,
    );
    assertEquals(await it.connection.recvBatch("1h", { max: 1 }), ["b"]);
  },
);

// --- Iteration ---

each(
  "for await gives the messages and ends at a clean close",
  async (capture) => {
    await using it = await link(capture);
    await sendAll(it.peer, "a", "b");
    await it.peer.closeFrame(1000);
    const received = [];
    for await (const message of it.connection) received.push(message);
    assertEquals(received, ["a", "b"]);
  },
);

each(
  "for await throws ConnectionClosedError at a loss, behind what arrived before",
  async (capture) => {
    await using it = await link(capture);
    await it.peer.send("a");
    await buffered(it.connection, 1);
    it.peer.end();
    const received: unknown[] = [];
    const error = await assertRejects(async () => {
      for await (const message of it.connection) received.push(message);
    }, ConnectionClosedError);
    assertEquals(error.code, 1006);
    assertEquals(received, ["a"]);
  },
);

each(
  "leaving a for await loop neither closes the connection nor loses a message",
  async (capture) => {
    await using it = await link(capture);
    await sendAll(it.peer, "a", "b", "c");
    for await (const message of it.connection) {
      assertEquals(message, "a");
      break;
    }
    await assertRejects(async () => {
      for await (const message of it.connection) {
        assertEquals(message, "b");
        throw new Error("from the loop");
      }
    }, "from the loop");
    assertEquals(await it.connection.recv(), "c");
    await it.connection.send("still open");
    assertEquals((await it.peer.readFrame())?.payload, encode("still open"));
  },
);

each(
  "for await throws BinaryMessageError, and a new loop goes on",
  async (capture) => {
    await using it = await link(capture);
    await it.peer.send(new Uint8Array([0xff]));
    await it.peer.send("a");
    await it.peer.closeFrame(1000);
    await assertRejects(async () => {
      for await (const _ of it.connection);
    }, BinaryMessageError);
    const received = [];
    for await (const message of it.connection) received.push(message);
    assertEquals(received, ["a"]);
  },
);

each(
  "batches() gives batches, none of them empty, and ends at a clean close",
  async (capture) => {
    await using it = await link(capture);
    const received: unknown[] = [];
    const loop = (async () => {
      for await (const batch of it.connection.batches("10ms", { max: 2 })) {
        assertGreaterOrEqual(batch.length, 1);
        assertGreaterOrEqual(2, batch.length);
        received.push(...batch);
      }
    })();
    await sendAll(it.peer, "a", "b", "c");
    await eventually(() => received.length === 3, "the messages");
    await delay(50); // some empty windows
    await it.peer.send("d");
    await it.peer.closeFrame(1000);
    await loop;
    assertEquals(received, ["a", "b", "c", "d"]);
  },
);

each(
  "batches() throws ConnectionClosedError at a loss, behind what arrived before",
  async (capture) => {
    await using it = await link(capture);
    await it.peer.send("a");
    await buffered(it.connection, 1);
    it.peer.end();
    const received: unknown[] = [];
    const error = await assertRejects(async () => {
      for await (const batch of it.connection.batches("1h")) {
        received.push(...batch);
      }
    }, ConnectionClosedError);
    assertEquals(error.code, 1006);
    assertEquals(received, ["a"]);
    assertStrictEquals(
      await assertRejects(() => it.connection.recv()),
      error,
    );
  },
);

each(
  "leaving a batches() loop neither closes the connection nor loses a message",
  async (capture) => {
    await using it = await link(capture);
    await sendAll(it.peer, "a", "b");
    for await (const batch of it.connection.batches("1h", { max: 1 })) {
      assertEquals(batch, ["a"]);
      break;
    }
    assertEquals(await it.connection.recv(), "b");
    await it.connection.send("still open");
  },
);

each(
  "batches() that is aborted throws the reason, and what it collected stays",
  async (capture) => {
    await using it = await link(capture);
    await it.peer.send("a");
    await buffered(it.connection, 1);
    const controller = new AbortController();
    const reason = new Error("enough");
    const { signal } = controller;
    const next = it.connection.batches("1h", { signal }).next();
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => next), reason);
    assertEquals(await it.connection.recv(), "a");
  },
);

each("batches() refuses a wrong duration or option", async (capture) => {
  await using it = await link(capture);
  const { connection } = it;
  assertThrows(() => connection.batches("10"), TypeError);
  assertThrows(() => connection.batches(-1), RangeError);
  assertThrows(() => connection.batches(1, { max: 0 }), RangeError);
});

each(
  "iteration ends quietly at a loss where an outer loop answers it; recv() rejects",
  async (capture) => {
    await using server = rawServer(upgrade);
    const feed = connections(server.url, { capture });
    const { value } = await feed.next();
    const [connection] = value!;
    const peer = server.peers.at(-1)!;
    await peer.send("a");
    await buffered(connection, 1);
    peer.end();
    await connection.closed;
    for await (const message of connection) assertEquals(message, "a");
    for await (const _ of connection.batches("1h"));
    for await (const _ of connection.readable);
    await assertRejects(() => connection.recv(), ConnectionClosedError);
    await assertRejects(
      () => connection.recvBatch("1h"),
      ConnectionClosedError,
      "websocket closed",
    );
    await feed.return();
  },
);

// --- Data ---

each(
  `binary "text" gives strings for UTF-8, and BinaryMessageError in its turn`,
  async (capture) => {
    await using it = await link(capture, { binary: "text" });
    await it.peer.send(encode("grüße 😀"));
    await it.peer.send(new Uint8Array([0xc3, 0x28]));
    await it.peer.send("text");
    await it.peer.send(new Uint8Array());
    assertEquals(await it.connection.recv(), "grüße 😀");
    const error = await assertRejects(
      () => it.connection.recv(),
      BinaryMessageError,
    );
    assertEquals(error.data, new Uint8Array([0xc3, 0x28]));
    assertEquals(await it.connection.recv(), "text");
    assertEquals(await it.connection.recv(), "");
  },
);

each(
  `binary "bytes" gives Uint8Arrays for binary messages and strings for text`,
  async (capture) => {
    await using it = await link(capture, { binary: "bytes" });
    await it.peer.send(encode("grüße"));
    await it.peer.send(new Uint8Array([0xff, 0]));
    await it.peer.send("text");
    await it.peer.send(new Uint8Array());
    assertEquals(await it.connection.recv(), encode("grüße"));
    assertEquals(await it.connection.recvBatch("1h", { max: 3 }), [
      new Uint8Array([0xff, 0]),
      "text",
      new Uint8Array(),
    ]);
  },
);

each("a leading byte order mark in a message is kept", async (capture) => {
  await using it = await link(capture);
  await it.peer.send("\ufeffa");
  await it.peer.send(encode("\ufeffb"));
  assertEquals(await it.connection.recv(), "\ufeffa");
  assertEquals(await it.connection.recv(), "\ufeffb");
});

each(
  "a fragmented message is one message, whatever comes between its parts",
  async (capture) => {
    await using it = await link(capture);
    const smile = encode("😀");
    await it.peer.write(frame(1, smile.subarray(0, 2), { fin: false }));
    await it.peer.write(frame(9, "ping"));
    await it.peer.write(frame(0, "", { fin: false }));
    await it.peer.write(frame(0, smile.subarray(2)));
    await it.peer.write(frame(2, "bin", { fin: false }));
    await it.peer.write(frame(0, "ary"));
    assertEquals(await it.connection.recv(), "😀");
    assertEquals(await it.connection.recv(), "binary");
    assertEquals((await it.peer.readFrame())?.opcode, 10); // the pong
  },
);

each(
  "empty messages, control characters and a null are messages, too",
  async (capture) => {
    await using it = await link(capture);
    const messages = ["", "\0", "null", "\r\n", ""];
    await sendAll(it.peer, ...messages);
    const received = [];
    for (const _ of messages) received.push(await it.connection.recv());
    assertEquals(received, messages);
  },
);

each("a message of 16 MiB arrives whole", async (capture) => {
  await using it = await link(capture, { binary: "bytes" });
  const size = 16 * 1024 * 1024;
  const bytes = new Uint8Array(size).fill(0x61);
  bytes[size - 1] = 0x62;
  const [text, binary] = [it.connection.recv(), it.connection.recv()];
  await it.peer.write(frame(1, bytes));
  await it.peer.write(frame(2, bytes));
  assertEquals(await text === "a".repeat(size - 1) + "b", true);
  const received = await binary;
  assertInstanceOf(received, Uint8Array);
  assertEquals(received.length, size);
  assertEquals(received[size - 1], 0x62);
});

// --- send() ---

each(
  "send() sends strings as text, and bytes as binary messages",
  async (capture) => {
    await using it = await link(capture);
    const buffer = encode("-bytes-");
    const sent: [string | Uint8Array | ArrayBuffer, number, string][] = [
      ["grüße", 1, "grüße"],
      ["", 1, ""],
      [buffer.subarray(1, 6), 2, "bytes"],
      [encode("buffer").buffer, 2, "buffer"],
      [new Uint8Array(), 2, ""],
    ];
    for (const [data] of sent) await it.connection.send(data);
    for (const [, opcode, text] of sent) {
      const frame = await it.peer.readFrame();
      assertEquals(
        [frame?.opcode, new TextDecoder().decode(frame?.payload)],
        [opcode, text],
      );
    }
  },
);

each("send() refuses what is neither a string nor bytes", async (capture) => {
  await using it = await link(capture);
  for (const data of [null, undefined, 1, {}, new Blob(["x"]), []]) {
    await assertRejects(
      () => it.connection.send(data as string),
      TypeError,
      "expected a string, an ArrayBuffer, or a view of one",
    );
  }
});

each(
  "send() rejects while the connection is closing, and once it is closed",
  async (capture) => {
    await using it = await link(capture);
    const closed = it.connection.close(4001, "bye");
    const closing = await assertRejects(
      () => it.connection.send("x"),
      ConnectionClosedError,
    );
    assertEquals(closing.code, 4001);
    await answerClose(it.peer);
    await closed;
    const error = await assertRejects(
      () => it.connection.send("x"),
      ConnectionClosedError,
    );
    assertEquals([error.code, error.reason, error.clean], [4001, "bye", true]);
  },
);

each(
  "send() rejects after the peer's close, and after a loss",
  async (capture) => {
    for (const lost of [false, true]) {
      await using it = await link(capture);
      if (lost) it.peer.end();
      else await it.peer.closeFrame(4001, "bye");
      await it.connection.closed;
      const error = await assertRejects(
        () => it.connection.send("x"),
        ConnectionClosedError,
      );
      assertEquals(error.code, lost ? 1006 : 4001);
    }
  },
);

/** Sends to a peer that does not read, until a call waits; gives that call. */
async function fillUp(
  connection: WebSocketConnection<string | Uint8Array>,
): Promise<{ waiting: Promise<void>; sent: number }> {
  const chunk = new Uint8Array(512 * 1024);
  for (let sent = 1; sent <= 200; sent++) {
    const waiting = connection.send(chunk);
    waiting.catch(() => {});
    const done = await Promise.race([
      waiting.then(() => true),
      delay(100).then(() => false),
    ]);
    if (!done) return { waiting, sent: sent * chunk.length };
  }
  throw new Error("100 MiB were sent to a peer that does not read");
}

each(
  "send() waits while the peer does not read, and goes on when it does",
  async (capture) => {
    await using it = await link(capture);
    const { waiting, sent } = await fillUp(it.connection);
    let bytes = 0;
    while (bytes < sent) bytes += (await it.peer.readFrame())!.payload.length;
    await waiting;
    await it.connection.send("more");
    assertEquals((await it.peer.readFrame())?.payload, encode("more"));
  },
);

each(
  "send() that waits rejects when the connection is lost",
  async (capture) => {
    await using it = await link(capture);
    const { waiting } = await fillUp(it.connection);
    it.peer.reset();
    await assertRejects(() => waiting, ConnectionClosedError);
  },
);

// --- close() ---

each(
  "close() sends the code and the reason, and resolves with the peer's answer",
  async (capture) => {
    await using it = await link(capture);
    const closed = it.connection.close(4001, "reason ü");
    assertEquals(await takeClose(it.peer), { code: 4001, reason: "reason ü" });
    await it.peer.closeFrame(4001, "reason ü");
    const info = { code: 4001, reason: "reason ü", clean: true };
    assertEquals(await closed, info);
    assertEquals(await it.connection.closed, info);
  },
);

each("close() sends 1000 by default", async (capture) => {
  await using it = await link(capture);
  const closed = it.connection.close();
  assertEquals(await answerClose(it.peer), { code: 1000, reason: "" });
  assertEquals(await closed, { code: 1000, reason: "", clean: true });
});

each("close() again gives what the first call gives", async (capture) => {
  await using it = await link(capture);
  const calls = [it.connection.close(4001), it.connection.close(4002)];
  assertEquals((await answerClose(it.peer)).code, 4001);
  const info = { code: 4001, reason: "", clean: true };
  assertEquals(await Promise.all(calls), [info, info]);
  assertEquals(await it.connection.close(), info);
});

each(
  "close() after the peer's close, or a loss, gives how that was",
  async (capture) => {
    await using it = await link(capture);
    await it.peer.closeFrame(4001, "first");
    await it.connection.closed;
    const info = { code: 4001, reason: "first", clean: true };
    assertEquals(await it.connection.close(4002), info);

    await using other = await link(capture);
    other.peer.end();
    await other.connection.closed;
    assertEquals(await other.connection.close(), {
      code: 1006,
      reason: "",
      clean: false,
    });
  },
);

each(
  "close() refuses a code or a reason that may not be sent, and stays open",
  async (capture) => {
    await using it = await link(capture);
    for (
      const code of [0, 999, 1001, 1005, 1006, 2999, 5000, 3000.5, NaN, "1000"]
    ) {
      await assertRejects(
        () => it.connection.close(code as number),
        TypeError,
        "expected 1000, or one from 3000 to 4999",
      );
    }
    for (const reason of ["x".repeat(124), "ü".repeat(62)]) {
      await assertRejects(
        () => it.connection.close(1000, reason),
        TypeError,
        "at most 123 bytes of UTF-8",
      );
    }
    await it.connection.send("still open");
    const closed = it.connection.close(4999, "ü".repeat(61) + "x");
    assertEquals((await answerClose(it.peer)).reason, "ü".repeat(61) + "x");
    assertEquals((await closed).clean, true);
  },
);

each(
  "close() resolves after closeTimeout when the peer never answers",
  async (capture) => {
    await using it = await link(capture, { closeTimeout: "50ms" });
    await it.peer.send("a");
    await buffered(it.connection, 1);
    const info = { code: 1006, reason: "", clean: false };
    assertEquals(await it.connection.close(), info);
    assertEquals(await it.connection.closed, info);
    assertEquals(await it.connection.recv(), "a");
    assertEquals(await it.connection.recv(), null);
    assertEquals(await it.connection.recv(), null);
  },
);

each(
  "close() keeps what arrived before it, and discards what arrives after it",
  async (capture) => {
    await using it = await link(capture);
    await sendAll(it.peer, "a", "b");
    await buffered(it.connection, 2);
    const closed = it.connection.close();
    await takeClose(it.peer);
    await it.peer.send("late");
    await it.peer.closeFrame(1000);
    await closed;
    assertEquals(await it.connection.recvBatch("1h"), ["a", "b"]);
    assertEquals(await it.connection.recv(), null);
  },
);

each("close() ends the calls that wait", async (capture) => {
  await using it = await link(capture);
  const calls = [
    it.connection.recv(),
    it.connection.recvBatch("1h").catch((error) => error.message),
    it.connection.recv({ timeout: "1h" }),
  ];
  const closed = it.connection.close();
  assertEquals(await Promise.all(calls), [null, "websocket closed", null]);
  await answerClose(it.peer);
  await closed;
});

each("closed has the peer's close code and reason", async (capture) => {
  const closes: [number | undefined, string, number][] = [
    [1000, "", 1000],
    [1001, "going away", 1001],
    [1011, "x".repeat(123), 1011],
    [4999, "grüße 😀", 4999],
    [undefined, "", 1005],
  ];
  for (const [code, reason, expected] of closes) {
    await using it = await link(capture);
    await it.peer.closeFrame(code, reason);
    assertEquals(await it.connection.closed, {
      code: expected,
      reason,
      clean: true,
    });
    assertEquals(await it.connection.recv(), null);
  }
});

each("await using closes the connection with 1000", async (capture) => {
  await using it = await link(capture);
  const code = answerClose(it.peer).then(({ code }) => code);
  {
    await using _ = it.connection;
  }
  assertEquals(await code, 1000);
  assertEquals(await it.connection.closed, {
    code: 1000,
    reason: "",
    clean: true,
  });
});

// --- Buffer ---

each(
  "buffered counts messages, and bytes as UTF-16 length or byteLength",
  async (capture) => {
    await using it = await link(capture, { binary: "bytes" });
    assertEquals(it.connection.buffered, { messages: 0, bytes: 0 });
    await it.peer.send("grüße 😀");
    await it.peer.send(new Uint8Array(10));
    await buffered(it.connection, 2);
    assertEquals(it.connection.buffered, { messages: 2, bytes: 18 });
    await it.connection.recv();
    assertEquals(it.connection.buffered, { messages: 1, bytes: 10 });
  },
);

for (const maxBuffer of [{ messages: 3 }, { bytes: 3 }]) {
  const what = Object.keys(maxBuffer)[0];
  each(
    `overflow "error" closes with 4009 past the limit of ${what}, and keeps what was buffered`,
    async (capture) => {
      await using it = await link(capture, { maxBuffer });
      await sendAll(it.peer, "a", "b", "c", "d", "e");
      assertEquals((await takeClose(it.peer)).code, 4009);
      await it.peer.send("f");
      await it.peer.closeFrame(4009);
      assertEquals((await it.connection.closed).code, 4009);
      assertEquals(it.connection.dropped, 0);
      assertEquals(await it.connection.recv(), "a");
      assertEquals(await it.connection.recvBatch("1h"), ["b", "c"]);
      const error = await assertRejects(
        () => it.connection.recv(),
        BufferOverflowError,
      );
      assertEquals(error.limit, {
        messages: 1_048_576,
        bytes: 2 ** 26,
        ...maxBuffer,
      });
      for (let i = 0; i < 2; i++) {
        assertStrictEquals(
          await assertRejects(() => it.connection.recv()),
          error,
        );
        assertStrictEquals(
          await assertRejects(() => it.connection.recvBatch("1h")),
          error,
        );
      }
      assertStrictEquals(
        await assertRejects(async () => {
          for await (const _ of it.connection.batches("1h"));
        }),
        error,
      );
    },
    NATIVE,
  );

  each(
    `overflow "drop-oldest" discards the oldest past the limit of ${what}`,
    async (capture) => {
      await using it = await link(capture, {
        maxBuffer,
        overflow: "drop-oldest",
      });
      await sendAll(it.peer, "a", "b", "c", "d", "e");
      await eventually(() => it.connection.dropped === 2, "two dropped");
      assertEquals(await it.connection.recvBatch(0), ["c", "d", "e"]);
      await it.peer.send("f");
      assertEquals(await it.connection.recv(), "f");
      assertEquals(it.connection.dropped, 2);
    },
    NATIVE,
  );
}

each(
  "a tap holds the peer back instead: nothing overflows and nothing is dropped",
  async (capture) => {
    for (const overflow of ["error", "drop-oldest"] as const) {
      const maxBuffer = { messages: 4 };
      await using it = await link(capture, { maxBuffer, overflow });
      await sendAll(it.peer, "a", "b", "c", "d", "e", "f", "g", "h");
      await delay(20);
      let received = "";
      while (received.length < 8) received += await it.connection.recv();
      assertEquals(received, "abcdefgh");
      assertEquals(it.connection.dropped, 0);
      await it.connection.send("still open");
    }
  },
  CAPTURES.filter((it) => !NATIVE.includes(it)),
);

each(
  "a message handed straight to a waiting call does not count as buffered",
  async (capture) => {
    await using it = await link(capture, { maxBuffer: { bytes: 1 } });
    const received = it.connection.recv();
    await it.peer.send("longer than the limit");
    assertEquals(await received, "longer than the limit");
    const batch = it.connection.recvBatch("1h");
    await it.peer.send("longer than the limit, too");
    assertEquals(await batch, ["longer than the limit, too"]);
    await it.connection.send("still open");
  },
);

// --- idleTimeout ---

each(
  "idleTimeout ends a connection on which nothing arrives",
  async (capture) => {
    await using it = await link(capture, { idleTimeout: "100ms" });
    const start = performance.now();
    const error = await assertRejects(
      () => it.connection.recv(),
      ConnectionClosedError,
    );
    assertGreaterOrEqual(performance.now() - start, 50);
    assertEquals([error.code, error.reason, error.clean], [
      1006,
      "idle timeout",
      false,
    ]);
    assertEquals(await it.connection.closed, {
      code: 1006,
      reason: "idle timeout",
      clean: false,
    });
    await assertRejects(
      () => it.connection.recvBatch("1h"),
      ConnectionClosedError,
      "websocket closed",
    );
  },
);

each("idleTimeout leaves readable what arrived before", async (capture) => {
  await using it = await link(capture, { idleTimeout: "100ms" });
  await sendAll(it.peer, "a", "b");
  await it.connection.closed;
  assertEquals(await it.connection.recv(), "a");
  assertEquals(await it.connection.recvBatch("1h"), ["b"]);
  await assertRejects(() => it.connection.recv(), ConnectionClosedError);
});

each("idleTimeout is put off by each message", async (capture) => {
  await using it = await link(capture, { idleTimeout: "800ms" });
  for (let i = 0; i < 4; i++) {
    await delay(250);
    await it.peer.send(`${i}`);
    assertEquals(await it.connection.recv(), `${i}`);
  }
});

each("idleTimeout is not put off by what is sent", async (capture) => {
  await using it = await link(capture, { idleTimeout: "100ms" });
  let closed = false;
  it.connection.closed.then(() => closed = true);
  await eventually(async () => {
    if (!closed) await it.connection.send("x").catch(() => {});
    return closed;
  }, "the idle timeout");
  assertEquals((await it.connection.closed).reason, "idle timeout");
});

each(
  "idleTimeout is not put off by pings, which the native socket does not show",
  async (capture) => {
    await using it = await link(capture, { idleTimeout: "100ms" });
    let closed = false;
    it.connection.closed.then(() => closed = true);
    await eventually(async () => {
      if (!closed) await it.peer.write(frame(9, "")).catch(() => {});
      return closed;
    }, "the idle timeout");
    assertEquals((await it.connection.closed).reason, "idle timeout");
  },
  NATIVE,
);

each("idleTimeout ends with the connection", async (capture) => {
  await using it = await link(capture, { idleTimeout: "1h" });
  await it.peer.closeFrame(1000);
  assertEquals((await it.connection.closed).code, 1000);
});

// --- signal ---

each(
  "signal closes the connection: buffered messages first, then its reason",
  async (capture) => {
    const controller = new AbortController();
    await using it = await link(capture, { signal: controller.signal });
    await sendAll(it.peer, "a", "b");
    await buffered(it.connection, 2);
    const reason = new Error("enough");
    controller.abort(reason);
    assertEquals(await it.connection.closed, {
      code: 1006,
      reason: "",
      clean: false,
    });
    assertEquals(await it.connection.recv(), "a");
    assertEquals(await it.connection.recvBatch("1h"), ["b"]);
    for (let i = 0; i < 2; i++) {
      assertStrictEquals(
        await assertRejects(() => it.connection.recv()),
        reason,
      );
      assertStrictEquals(
        await assertRejects(() => it.connection.recvBatch("1h")),
        reason,
      );
    }
    await assertRejects(() => it.connection.send("x"), ConnectionClosedError);
  },
);

each("signal ends the calls that wait with its reason", async (capture) => {
  const controller = new AbortController();
  await using it = await link(capture, { signal: controller.signal });
  const reason = new Error("enough");
  const calls = [it.connection.recv(), it.connection.recvBatch("1h")]
    .map((call) => call.catch((error) => error));
  controller.abort(reason);
  assertEquals(await Promise.all(calls), [reason, reason]);
});

each("signal says nothing once the connection is closed", async (capture) => {
  const controller = new AbortController();
  await using it = await link(capture, { signal: controller.signal });
  await it.peer.closeFrame(1000);
  await it.connection.closed;
  controller.abort();
  assertEquals(await it.connection.recv(), null);
  assertEquals((await it.connection.closed).clean, true);
});

each(
  "signal keeps no listener of a connection that is over",
  async (capture) => {
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (
      ...args: Parameters<typeof addEventListener>
    ) => {
      listeners++;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (
      ...args: Parameters<typeof removeEventListener>
    ) => {
      listeners--;
      removeEventListener.apply(signal, args);
    };
    await using it = await link(capture, { signal });
    assertEquals(listeners, 1);
    await it.peer.closeFrame(1000);
    await it.connection.closed;
    assertEquals(listeners, 0);
  },
);

// --- Streams ---

each(
  "readable gives the messages and closes at a clean close",
  async (capture) => {
    await using it = await link(capture);
    await sendAll(it.peer, "a", "b");
    await it.peer.closeFrame(1000);
    assertEquals(await Array.fromAsync(it.connection.readable), ["a", "b"]);
  },
);

each(
  "readable errors at a loss, behind what arrived before",
  async (capture) => {
    await using it = await link(capture);
    await it.peer.send("a");
    await buffered(it.connection, 1);
    it.peer.end();
    const reader = it.connection.readable.getReader();
    assertEquals(await reader.read(), { done: false, value: "a" });
    await assertRejects(() => reader.read(), ConnectionClosedError);
  },
);

each("readable takes nothing until it is read", async (capture) => {
  await using it = await link(capture);
  assertStrictEquals(it.connection.readable, it.connection.readable);
  await sendAll(it.peer, "a", "b", "c");
  await buffered(it.connection, 3);
  const reader = it.connection.readable.getReader();
  assertEquals(await reader.read(), { done: false, value: "a" });
  await delay(10);
  assertEquals(it.connection.buffered.messages, 2);
  reader.releaseLock();
  assertEquals(await it.connection.recv(), "b");
});

each("readable.cancel() closes with 1000", async (capture) => {
  await using it = await link(capture);
  const cancelled = it.connection.readable.cancel();
  assertEquals((await answerClose(it.peer)).code, 1000);
  await cancelled;
  assertEquals((await it.connection.closed).clean, true);
});

each(
  "writable sends its chunks, and closes with 1000 when it is closed",
  async (capture) => {
    await using it = await link(capture);
    assertStrictEquals(it.connection.writable, it.connection.writable);
    const writer = it.connection.writable.getWriter();
    await writer.write("a");
    await writer.write(encode("b"));
    assertEquals((await it.peer.readFrame())?.payload, encode("a"));
    assertEquals((await it.peer.readFrame())?.payload, encode("b"));
    const closed = writer.close();
    assertEquals((await answerClose(it.peer)).code, 1000);
    await closed;
    assertEquals((await it.connection.closed).clean, true);
  },
);

each("writable.abort() closes with 1000", async (capture) => {
  await using it = await link(capture);
  const aborted = it.connection.writable.abort();
  assertEquals((await answerClose(it.peer)).code, 1000);
  await aborted;
});

each("writable errors when the connection is closed", async (capture) => {
  await using it = await link(capture);
  const writer = it.connection.writable.getWriter();
  await it.peer.closeFrame(1000);
  await it.connection.closed;
  await assertRejects(() => writer.write("x"), ConnectionClosedError);
  await assertRejects(() => writer.closed, ConnectionClosedError);
});

each("readable and writable pipe", async (capture) => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      socket.onmessage = ({ data }) => socket.send(`${data}!`);
    })
  );
  const [connection] = await connectWebSocket(server.url, { capture });
  const upper = new TransformStream<string | Uint8Array, string>({
    transform: (message, controller) =>
      controller.enqueue(String(message).toUpperCase()),
  });
  const reader = connection.readable.pipeThrough(upper).getReader();
  const writer = connection.writable.getWriter();
  for (const text of ["a", "b"]) {
    await writer.write(text);
    assertEquals((await reader.read()).value, `${text.toUpperCase()}!`);
  }
  await writer.close();
  assertEquals((await reader.read()).done, true);
});
