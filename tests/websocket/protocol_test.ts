import { assert, assertEquals, assertThrows } from "@std/assert";
import { createDeflate } from "../../src/websocket/deflate.ts";
import type { Protocol } from "../../src/websocket/protocol.ts";
import { everyOrder } from "../fixtures/every_order.ts";
import { opcodeOf, payloadOf, Side } from "../fixtures/protocol_side.ts";
import { closePayload, frame } from "../fixtures/raw.ts";

const SIDES = ["client", "server"] as const;

const encoder = new TextEncoder();

/** A frame as the peer of a side sends it. */
function frameTo(
  side: "client" | "server",
  ...[opcode, payload, options]: Parameters<typeof frame>
): Uint8Array<ArrayBuffer> {
  return frame(opcode, payload, { mask: side === "server", ...options });
}

function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

/** Asserts that nothing can be sent. */
function assertRefuses(side: Side): void {
  const before = side.queue.length;
  assertEquals(side.protocol.send("x"), false);
  assertEquals(side.protocol.send(new Uint8Array(1)), false);
  assertEquals(side.protocol.ping(new Uint8Array()), false);
  assertEquals(side.protocol.close(1000), false);
  assertEquals(side.queue.length, before);
}

type Action = (protocol: Protocol) => void;

/** Lets both sides act, and delivers frame by frame, in every order. Returns how many there are. */
function inEveryOrder(
  clientActs: Action[],
  serverActs: Action[],
  check: (client: Side, server: Side) => void,
): number {
  return everyOrder((choose) => {
    const client = new Side("client");
    const server = new Side("server");
    const acts = [
      { left: [...clientActs], from: client },
      { left: [...serverActs], from: server },
    ];
    while (true) {
      const steps = [
        ...acts.filter(({ left }) => left.length > 0)
          .map(({ left, from }) => () => left.shift()!(from.protocol)),
        ...(client.isWriting ? [() => client.writeTo(server)] : []),
        ...(server.isWriting ? [() => server.writeTo(client)] : []),
      ];
      if (steps.length === 0) break;
      steps[choose(steps.length)]!();
    }
    check(client, server);
  });
}

/** The events of a kind. */
function only(kind: string, { seen }: Side): string[] {
  return seen.filter((it) => it.startsWith(kind));
}

Deno.test("messages and pings of both sides arrive in order, whatever the order of what happens", () => {
  const orders = inEveryOrder(
    [
      (it) => it.send("a"),
      (it) => it.ping(encoder.encode("1")),
      (it) => it.send(new Uint8Array([1, 2])),
    ],
    [(it) => it.send("b"), (it) => it.send("c")],
    (client, server) => {
      assertEquals(server.seen, ["text a", "binary 1,2"]);
      assertEquals(only("text", client), ["text b", "text c"]);
      assertEquals(only("pong", client), ["pong 49"]);
      assertEquals(client.protocol.state, "open");
    },
  );
  assert(orders > 100, `${orders}`);
});

Deno.test("a close by either side, or by both at once, ends both, whatever the order of what happens", () => {
  const ends = new Set<string>();
  const orders = inEveryOrder(
    [
      (it) => it.send("a"),
      (it) => it.close(4001, "client"),
    ],
    [
      (it) => it.send("b"),
      (it) => it.ping(encoder.encode("1")),
      (it) => it.close(4002, "server"),
    ],
    (client, server) => {
      const closes = [only("close", client), only("close", server)];
      assertEquals(closes.map((it) => it.length), [1, 1]);
      ends.add(closes.flat().join(", "));
      for (const side of [client, server]) {
        assertEquals(side.protocol.state, "closed");
        assertEquals(side.seen.at(-1), only("close", side)[0]);
        assertRefuses(side);
      }
      // What was sent is seen unless the receiver had closed before.
      assert(["", "text a"].includes(only("text", server).join()));
      assert(["", "text b"].includes(only("text", client).join()));
    },
  );
  assert(orders > 100, `${orders}`);
  assertEquals([...ends].sort(), [
    // Simultaneously, then the answer to the client, and to the server.
    "close 4001, close 4001 client",
    "close 4002 server, close 4001 client",
    "close 4002 server, close 4002",
  ]);
});

for (const side of SIDES) {
  const other = side === "client" ? "server" : "client";
  const to = frameTo.bind(null, side);
  const closed = () => to(8, closePayload(1000)); // what is received is unmasked in place

  Deno.test(`a ${side} answers a close with its code and no reason, and no code with none`, () => {
    const it = new Side(side);
    it.receive(to(8, closePayload(4000, "bye")));
    assertEquals(it.seen, ["close 4000 bye"]);
    const [answer, ...rest] = it.takeAll();
    assertEquals([opcodeOf(answer!), ...payloadOf(answer!)], [
      8,
      ...closePayload(4000),
    ]);
    assertEquals(rest, []);
    const plain = new Side(side);
    plain.receive(to(8, ""));
    assertEquals(plain.seen, ["close 1005"]);
    assertEquals([...payloadOf(plain.takeAll()[0]!)], []);
  });

  Deno.test(`a ${side} has handed out its answer when it tells of a close, and of a violation`, () => {
    for (const bytes of [closed(), to(3, "")]) {
      const it = new Side(side);
      it.onEvent = () => {
        assertEquals(it.queue.map(opcodeOf), [8]);
        assertRefuses(it);
      };
      it.receive(bytes);
      assertEquals(it.seen.length, 1);
    }
  });

  Deno.test(`a ${side} sends no second close frame, and nothing behind the first`, () => {
    const it = new Side(side);
    assertEquals(it.protocol.close(1000, "bye"), true);
    assertEquals(it.protocol.state, "closing");
    assertRefuses(it);
    it.receive(to(9, "ping"));
    it.receive(to(8, closePayload(1000)));
    assertEquals(it.seen, ["close 1000"]);
    assertEquals(it.takeAll().map(opcodeOf), [8]);
    assertRefuses(it);
  });

  Deno.test(`a ${side} drops messages that arrive after its close, also the rest of one, and still minds the rules`, () => {
    const it = new Side(side);
    it.receive(to(1, "whole"));
    it.receive(to(1, "a", { fin: false }));
    it.receive(to(2, new Uint8Array(300)).subarray(0, 0));
    it.protocol.close(1000);
    it.receive(concat(
      to(0, new Uint8Array([0xff]), { fin: false }),
      to(10, "p"),
      to(0, "c"),
      to(2, new Uint8Array(70_000)),
      to(1, "x"),
    ));
    assertEquals(it.seen, ["text whole", `pong ${encoder.encode("p")}`]);
    it.receive(to(0, "x"));
    assertEquals(
      it.seen.at(-1),
      "fail 1002 a message is continued that never began",
    );
    assertEquals(it.protocol.state, "failed");
    assertEquals(it.takeAll().map(opcodeOf), [8]);
  });

  Deno.test(`a ${side} takes nothing after a close, a violation and terminate()`, () => {
    for (
      const end of [
        (it: Side) => it.receive(closed()),
        (it: Side) => it.receive(to(3, "")),
        (it: Side) => it.protocol.terminate(),
      ]
    ) {
      const it = new Side(side);
      it.receive(to(1, "a", { fin: false }));
      end(it);
      const { seen, queue } = it;
      const before = [...seen];
      const frames = queue.length;
      it.receive(concat(to(0, "b"), to(9, ""), closed()));
      assertEquals(seen, before);
      assertEquals(queue.length, frames);
      assertRefuses(it);
    }
  });

  Deno.test(`a ${side} whose handler terminates it calls nothing more, also in the midst of a run`, () => {
    const it = new Side(side);
    it.onEvent = () => it.protocol.terminate();
    it.receive(concat(to(1, "a"), to(1, "b"), to(9, ""), closed()));
    assertEquals(it.seen, ["text a"]);
    assertEquals(it.queue, []);
    assertEquals(it.protocol.state, "terminated");
  });

  Deno.test(`a ${side} whose handler closes it gets no further message of the same read`, () => {
    for (const opcode of [1, 2]) {
      const it = new Side(side);
      it.onEvent = () => it.protocol.close(1000);
      const many = Array.from({ length: 50 }, () => to(opcode, "a"));
      it.receive(concat(...many, closed()));
      assertEquals(it.seen, [
        opcode === 1 ? "text a" : "binary 97",
        "close 1000",
      ]);
      assertEquals(it.takeAll().map(opcodeOf), [8]);
    }
  });

  Deno.test(`a ${side} lets an error of its handler through`, () => {
    const it = new Side(side);
    it.onEvent = () => {
      throw new Error("of the handler");
    };
    assertThrows(() => it.receive(to(1, "a")), Error, "of the handler");
    assertEquals(it.queue, []);
  });

  Deno.test(`a ${side} answers a ping at once if nothing is being written`, () => {
    const it = new Side(side);
    it.receive(to(9, "1"));
    const [pong] = it.takeAll();
    assertEquals([opcodeOf(pong!), ...payloadOf(pong!)], [10, 49]);
    assertEquals(it.protocol.takePong(), null);
  });

  Deno.test(`a ${side} answers each of the pings that come while it writes, ahead of what waits`, () => {
    const it = new Side(side);
    const peer = new Side(other);
    it.protocol.send("a");
    it.protocol.send("b");
    for (let i = 0; i < 10; i++) it.receive(to(9, new Uint8Array([i])));
    while (it.isWriting) it.writeTo(peer);
    const pongs = Array.from({ length: 10 }, (_, i) => `pong ${i}`);
    assertEquals(peer.seen, ["text a", ...pongs, "text b"]);
  });

  Deno.test(`a ${side} answers 16 of the pings of a flood that comes while it writes, among them the newest`, () => {
    const it = new Side(side);
    const peer = new Side(other);
    it.protocol.send("a");
    const flood = concat(...Array.from({ length: 2000 }, () => to(9, "")));
    for (let i = 0; i < 50; i++) it.receive(flood.slice());
    it.receive(to(9, "last"));
    assertEquals(it.queue.length, 1);
    while (it.isWriting) it.writeTo(peer);
    assertEquals(peer.seen, [
      "text a",
      ...Array(15).fill("pong "),
      `pong ${encoder.encode("last")}`,
    ]);
  });

  Deno.test(`a ${side} answers a held ping ahead of its close frame, and none after the peer's`, () => {
    const it = new Side(side);
    it.protocol.send("a");
    it.receive(to(9, "1"));
    it.receive(to(9, "2"));
    it.protocol.close(1000);
    assertEquals(it.takeAll().map(opcodeOf), [1, 10, 10, 8]);
    const closing = new Side(side);
    closing.protocol.send("a");
    closing.receive(concat(to(9, "1"), closed()));
    assertEquals(closing.takeAll().map(opcodeOf), [1, 8]);
    assertEquals(closing.protocol.takePong(), null);
  });

  Deno.test(`a ${side} whose write failed sends nothing, and still receives what has arrived`, () => {
    for (
      const [bytes, event, state] of [
        [closed(), "close 1000", "closed"],
        [to(3, ""), "fail 1002 a frame has the reserved opcode 3", "failed"],
      ] as const
    ) {
      const it = new Side(side);
      it.protocol.send("a");
      it.receive(to(9, "held"));
      it.protocol.writeFailed();
      it.takeAll();
      assertEquals(it.protocol.state, "unwritable");
      assertEquals(it.protocol.takePong(), null);
      assertRefuses(it);
      it.receive(concat(to(9, ""), to(1, "late"), bytes));
      assertEquals(it.seen, ["text late", event]);
      assertEquals(it.protocol.state, state);
      assertEquals(it.queue, []);
    }
  });

  Deno.test(`a ${side} whose write failed after its close still drops messages`, () => {
    const it = new Side(side);
    it.protocol.close(1000);
    it.protocol.writeFailed();
    it.receive(concat(to(1, "x"), closed()));
    assertEquals(it.seen, ["close 1000"]);
  });

  Deno.test(`a failed write or a cut changes nothing about a ${side} that is over`, () => {
    for (const bytes of [closed(), to(3, "")]) {
      const it = new Side(side);
      it.receive(bytes);
      const { state } = it.protocol;
      it.protocol.writeFailed();
      it.protocol.terminate();
      assertEquals(it.protocol.state, state);
    }
  });

  Deno.test(`a ${side} may be told to stop after each message, and goes on where it was`, () => {
    const texts = Array.from({ length: 20 }, (_, i) => "x".repeat(2000 + i));
    let bytes = concat(...texts.map((text) => to(1, text)), closed());
    const it = new Side(side);
    it.onEvent = () => it.protocol.stop();
    for (let i = 1; i <= texts.length; i++) {
      bytes = bytes.subarray(bytes.length - it.protocol.receive(bytes));
      assertEquals(it.seen.length, i);
      assertEquals(it.protocol.stopped, true);
    }
    assertEquals(it.seen, texts.map((text) => `text ${text}`));
    it.receive(bytes);
    assertEquals(it.seen.at(-1), "close 1000");
  });

  Deno.test(`stop() outside of receive() does nothing (${side})`, () => {
    const it = new Side(side);
    it.protocol.stop();
    assertEquals(it.protocol.receive(to(1, "a")), 0);
    assertEquals(it.seen, ["text a"]);
  });

  for (
    const [maxMessage, words] of [[1, "1 byte"], [100, "100 bytes"], [
      1 << 20,
      "1 MiB",
    ]] as const
  ) {
    Deno.test(`a ${side} takes messages of ${words} if that is the limit, and says it to who sends more`, () => {
      const fits = new Uint8Array(maxMessage).fill(97);
      const half = maxMessage >> 1;
      for (
        const more of [
          [to(2, new Uint8Array(maxMessage + 1))],
          [to(1, fits, { fin: false }), to(0, "a")],
          [to(2, "", { length: 2 ** 40 })],
        ]
      ) {
        const it = new Side(side, { maxMessage });
        it.receive(to(2, fits));
        it.receive(to(1, fits.subarray(0, half), { fin: false }));
        it.receive(to(0, fits.subarray(half)));
        assertEquals(it.seen.length, 2);
        for (const bytes of more) it.receive(bytes);
        assertEquals(
          it.seen.at(-1),
          `fail 1009 a message is larger than ${words}`,
        );
        const [close] = it.takeAll();
        assertEquals(
          payloadOf(close!),
          closePayload(1009, `a message is larger than ${words}`),
        );
      }
    });
  }

  Deno.test(`a ${side} that does not decode gives every message as bytes, and says which were texts`, () => {
    const it = new Side(side, { decode: false });
    it.receive(concat(
      to(1, "a"),
      to(1, "é"),
      to(2, "b"),
      to(1, ""),
      to(1, "c".repeat(2000)),
      to(1, "d", { fin: false }),
      to(0, "e"),
    ));
    assertEquals(it.seen, [
      "text 97",
      "text 195,169",
      "binary 98",
      "text ",
      `text ${encoder.encode("c".repeat(2000))}`,
      "text 100,101",
    ]);
  });
}

/** Bytes that violate the protocol, as the peer of a side sends them. */
function violations(
  side: "client" | "server",
): [what: string, bytes: Uint8Array, code: number, rule: string][] {
  const to = frameTo.bind(null, side);
  const mask = side === "server" ? 0x80 : 0;
  const key = side === "server" ? [1, 2, 3, 4] : [];
  const head = (...bytes: number[]) => new Uint8Array([...bytes, ...key]);
  return [
    side === "client"
      ? [
        "a masked frame",
        frame(1, "x", { mask: true }),
        1002,
        "the server masked a frame",
      ]
      : [
        "a frame without a mask",
        frame(1, "x"),
        1002,
        "the client sent a frame without a mask",
      ],
    ...[1, 2, 4, 7].map((rsv): [string, Uint8Array, number, string] => [
      `the reserved bits ${rsv}`,
      to(1, "x", { rsv }),
      1002,
      "a frame has a reserved bit set",
    ]),
    ...[3, 7, 11, 15].map((opcode): [string, Uint8Array, number, string] => [
      `the opcode ${opcode}`,
      to(opcode, "x"),
      1002,
      `a frame has the reserved opcode ${opcode}`,
    ]),
    ...[8, 9, 10].flatMap((opcode): [string, Uint8Array, number, string][] => [
      [
        `a fragmented control frame with the opcode ${opcode}`,
        to(opcode, "", { fin: false }),
        1002,
        "a control frame is fragmented",
      ],
      [
        `a control frame of 126 bytes with the opcode ${opcode}`,
        to(opcode, "x".repeat(126)),
        1002,
        "a control frame is longer than 125 bytes",
      ],
    ]),
    [
      "a continuation without a start",
      to(0, "x"),
      1002,
      "a message is continued that never began",
    ],
    [
      "a message within another",
      concat(to(1, "a", { fin: false }), to(2, "b")),
      1002,
      "a message began inside another one",
    ],
    [
      "a length of 16 bits that 7 would do for",
      head(0x82, mask | 126, 0, 125),
      1002,
      "a frame has a longer length field than it needs",
    ],
    [
      "a length of 64 bits that 16 would do for",
      head(0x82, mask | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff),
      1002,
      "a frame has a longer length field than it needs",
    ],
    [
      "a length of 2^63",
      head(0x82, mask | 127, 0x80, 0, 0, 0, 0, 0, 0, 0),
      1002,
      "the length of a frame is 2^63 or more",
    ],
    [
      "a length of 2^62",
      head(0x82, mask | 127, 0x40, 0, 0, 0, 0, 0, 0, 0),
      1009,
      "a message is larger than 64 MiB",
    ],
    [
      "a frame of 64 MiB and a byte",
      head(0x82, mask | 127, 0, 0, 0, 0, 4, 0, 0, 1),
      1009,
      "a message is larger than 64 MiB",
    ],
    [
      "half a close code",
      to(8, new Uint8Array([3])),
      1002,
      "a close frame has half a code",
    ],
    ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535].map(
      (code): [string, Uint8Array, number, string] => [
        `the close code ${code}`,
        to(8, closePayload(code)),
        1002,
        `a close frame has the code ${code}, which must not be sent`,
      ],
    ),
    [
      "a close reason that is not UTF-8",
      to(8, new Uint8Array([3, 232, 0xff])),
      1007,
      "the reason of a close frame is not UTF-8",
    ],
    [
      "text that is not UTF-8",
      to(1, new Uint8Array([0xff])),
      1007,
      "a text is not UTF-8",
    ],
    [
      "text that ends within a character",
      to(1, new Uint8Array([0xe2, 0x82])),
      1007,
      "a text is not UTF-8",
    ],
    [
      "fragments that end within a character",
      concat(
        to(1, new Uint8Array([0xe2]), { fin: false }),
        to(0, new Uint8Array([0x82])),
      ),
      1007,
      "a text is not UTF-8",
    ],
    [
      "a surrogate in a fragment",
      to(1, new Uint8Array([0xed, 0xa0]), { fin: false }),
      1007,
      "a text is not UTF-8",
    ],
  ];
}

for (const side of SIDES) {
  for (const [what, bytes, code, rule] of violations(side)) {
    Deno.test(`a ${side} fails with ${code} at ${what}, in one piece and byte by byte`, () => {
      for (const decode of [true, false]) {
        for (const size of [bytes.length, 1]) {
          for (const before of [1, 3]) {
            const it = new Side(side, { decode });
            const text = frameTo(side, 1, "before");
            const all = concat(...Array(before).fill(text), bytes);
            const start = all.length - bytes.length;
            it.receive(all.slice(0, start));
            for (let at = start; at < all.length; at += size) {
              it.receive(all.slice(at, at + size));
            }
            it.receive(frameTo(side, 1, "after"));
            assertEquals(it.seen.length, before + 1);
            assertEquals(it.seen.at(-1), `fail ${code} ${rule}`);
            assertEquals(it.protocol.state, "failed");
            const [close, ...rest] = it.takeAll();
            assertEquals(payloadOf(close!), closePayload(code, rule));
            assertEquals(rest, []);
            assertRefuses(it);
          }
        }
      }
    });
  }
}

/** Two sides that compress. */
async function deflating(): Promise<{ client: Side; server: Side }> {
  const parameters = {
    serverNoContextTakeover: false,
    clientNoContextTakeover: false,
    serverMaxWindowBits: 15,
    clientMaxWindowBits: 15,
  };
  return {
    client: new Side("client", { deflate: await createDeflate(parameters) }),
    server: new Side("server", {
      deflate: await createDeflate(parameters, "server"),
    }),
  };
}

Deno.test("two sides that compress understand each other, byte by byte", async () => {
  const { client, server } = await deflating();
  const text = '{"symbol":"BTC","price":1}'.repeat(20);
  for (let i = 0; i < 3; i++) {
    client.protocol.send(`${text}${i}`);
    server.protocol.send(encoder.encode(text));
    assert(client.queue[0]!.length < 100);
    client.writeTo(server);
    server.writeTo(client);
  }
  client.protocol.close(1000);
  client.writeTo(server);
  server.writeTo(client);
  const binary = `binary ${encoder.encode(text)}`;
  assertEquals(client.seen, [binary, binary, binary, "close 1000"]);
  assertEquals(
    server.seen,
    [0, 1, 2].map((i) => `text ${text}${i}`).concat("close 1000"),
  );
});

/** Compression that counts what it does. */
function counting() {
  const count = { pushed: 0, deflated: 0, closed: 0 };
  const inflater = {
    taken: 0,
    isDone: true,
    cost: 1,
    push(part: Uint8Array) {
      count.pushed++;
      this.taken = part.length;
      return new Uint8Array(1);
    },
    close: () => count.closed++,
  };
  const deflater = {
    deflate: () => {
      count.deflated++;
      return null;
    },
    close: () => count.closed++,
  };
  return { count, deflate: { inflater, deflater } };
}

for (
  const [what, end] of [
    ["its own close", (it) => it.protocol.close(1000)],
    ["a close of the peer", (it) => it.receive(frame(8, ""))],
    ["a violation", (it) => it.receive(frame(3, ""))],
    ["terminate()", (it) => it.protocol.terminate()],
  ] as [string, (it: Side) => void][]
) {
  Deno.test(`nothing is inflated or deflated after ${what}, and the memory is released`, () => {
    const { count, deflate } = counting();
    const it = new Side("client", { deflate });
    const compressed = frame(2, "x", { rsv: 4 });
    it.receive(compressed);
    it.protocol.send("x".repeat(100));
    end(it);
    it.receive(compressed);
    it.protocol.send("x".repeat(100));
    it.protocol.terminate();
    assertEquals(count, { pushed: 1, deflated: 1, closed: 2 });
  });
}
