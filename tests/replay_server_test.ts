/** The server of replays and of the demo, as a client that speaks TCP sees it. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Client, Server } from "../src/replay/server.ts";
import { encodeClose, encodeFrame, OPCODE } from "../src/websocket/frame.ts";
import { delay, eventually, within } from "./fixtures/wait.ts";

const PATIENCE = 60_000;

const HEAD = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n" +
  "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

interface Frame {
  opcode: number;
  payload: Uint8Array;
}

/** A client that has shaken hands. */
class RawClient implements Disposable {
  readonly conn: Deno.TcpConn;
  head = "";
  #bytes = new Uint8Array();

  private constructor(conn: Deno.TcpConn) {
    this.conn = conn;
  }

  /** Connects, and sends what is to follow the request together with it. */
  static async connect(url: string, behind = new Uint8Array()) {
    const port = Number(new URL(url).port);
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    const client = new RawClient(conn);
    await client.write(
      new Uint8Array([...new TextEncoder().encode(HEAD), ...behind]),
    );
    while (!client.head.includes("\r\n\r\n")) {
      client.head += String.fromCharCode((await client.#take(1))![0]!);
    }
    return client;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      at += await this.conn.write(bytes.subarray(at));
    }
  }

  /** The next frame, `null` at the end of TCP. */
  async frame(): Promise<Frame | null> {
    const start = await this.#take(2);
    if (start === null) return null;
    assertEquals(start[1]! & 0x80, 0, "a server masks nothing");
    let length = start[1]!;
    if (length === 126) {
      const [high, low] = (await this.#take(2))!;
      length = high! << 8 | low!;
    } else if (length === 127) {
      const bytes = (await this.#take(8))!;
      length = Number(new DataView(bytes.buffer).getBigUint64(0));
    }
    return { opcode: start[0]! & 15, payload: (await this.#take(length))! };
  }

  /** The code of the next frame, which is a close frame; 1005 without one. */
  async closeCode(): Promise<number> {
    const { opcode, payload } = (await this.frame())!;
    assertEquals(opcode, OPCODE.close);
    return payload.length === 0 ? 1005 : payload[0]! << 8 | payload[1]!;
  }

  async #take(length: number): Promise<Uint8Array<ArrayBuffer> | null> {
    while (this.#bytes.length < length) {
      const buffer = new Uint8Array(256 * 1024);
      const count = await within(this.conn.read(buffer), PATIENCE, "bytes");
      if (count === null) return null;
      const bytes = new Uint8Array(this.#bytes.length + count);
      bytes.set(this.#bytes);
      bytes.set(buffer.subarray(0, count), this.#bytes.length);
      this.#bytes = bytes;
    }
    const taken = this.#bytes.slice(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }

  [Symbol.dispose](): void {
    try {
      this.conn.close();
    } catch {
      // The test has closed it.
    }
  }
}

/** A server that sends back what it gets. */
function echo(serve: (client: Client) => Promise<void> = async () => {}) {
  return new Server(0, () => ({
    serve,
    receive: (client, message) => client.send([message]),
  }));
}

const text = (data: string) =>
  encodeFrame(OPCODE.text, new TextEncoder().encode(data));

const decode = ({ opcode, payload }: Frame) => {
  assertEquals(opcode, OPCODE.text);
  return new TextDecoder().decode(payload);
};

Deno.test("what comes together with the request is received", async () => {
  await using server = echo();
  using client = await RawClient.connect(server.url, text("early"));
  assertMatch(client.head, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
  assertMatch(
    client.head,
    /sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i,
  );
  assertEquals(decode((await client.frame())!), "early");
});

Deno.test("each ping of a client is answered while it reads", async () => {
  await using server = echo();
  using client = await RawClient.connect(server.url);
  const pings = Array.from({ length: 10 }, (_, i) => new Uint8Array([i]));
  await client.write(
    new Uint8Array(pings.flatMap((it) => [...encodeFrame(OPCODE.ping, it)])),
  );
  for (const payload of pings) {
    assertEquals(await client.frame(), { opcode: OPCODE.pong, payload });
  }
});

Deno.test("of a flood of pings by a client that reads nothing few are kept, the newest among them", async () => {
  await using server = echo();
  using client = await RawClient.connect(server.url);
  const ping = encodeFrame(OPCODE.ping, new Uint8Array(125).fill(7));
  const IN_ONE = 1000;
  const flood = new Uint8Array(IN_ONE * ping.length);
  for (let i = 0; i < IN_ONE; i++) flood.set(ping, i * ping.length);
  // 64 MiB of pings: much more than the pongs that the system takes.
  const WRITES = 500;
  for (let i = 0; i < WRITES; i++) await client.write(flood);
  await client.write(encodeFrame(OPCODE.ping, new Uint8Array([1, 2, 3])));
  let pongs = 0;
  for (let length = -1; length !== 3; pongs++) {
    const frame = await client.frame();
    assertEquals(frame?.opcode, OPCODE.pong);
    length = frame!.payload.length;
  }
  assert(pongs < WRITES * IN_ONE / 2, `${pongs}`);
});

Deno.test("a close is answered with its code, and TCP ended by the server first", async () => {
  const codes = [[1000, 1000], [4321, 4321], [undefined, 1005]] as const;
  for (const [code, answer] of codes) {
    await using server = echo();
    using client = await RawClient.connect(server.url);
    await client.write(encodeClose(code, "bye"));
    assertEquals(await client.closeCode(), answer);
    assertEquals(await client.frame(), null);
  }
});

const VIOLATIONS: [name: string, bytes: Uint8Array, code: number][] = [
  ["a frame without a mask", new Uint8Array([0x81, 1, 65]), 1002],
  ["a reserved bit", new Uint8Array([0xc1, 0x80, 0, 0, 0, 0]), 1002],
  ["text that is not UTF-8", encodeFrame(1, new Uint8Array([0xff])), 1007],
  [
    "a code that may not be sent",
    encodeFrame(8, new Uint8Array([3, 237])),
    1002,
  ],
];
for (const [name, bytes, code] of VIOLATIONS) {
  Deno.test(`${name} is answered with ${code}, and the other clients go on`, async () => {
    await using server = echo();
    using other = await RawClient.connect(server.url);
    using client = await RawClient.connect(server.url);
    await client.write(bytes);
    assertEquals(await client.closeCode(), code);
    assertEquals(await client.frame(), null);
    await other.write(text("hello"));
    assertEquals(decode((await other.frame())!), "hello");
  });
}

Deno.test("a client that leaves without a close frame ends what is being sent", async () => {
  let sent = 0;
  let gone = false;
  await using server = echo(async (client) => {
    try {
      while (true) {
        await client.send(["x".repeat(100_000)]);
        sent++;
      }
    } finally {
      gone = true;
    }
  });
  for (const how of ["closes", "half-closes"] as const) {
    gone = false;
    using client = await RawClient.connect(server.url);
    await client.frame();
    if (how === "closes") client.conn.close();
    else await client.conn.closeWrite();
    await eventually(() => gone, `a client that ${how}`, PATIENCE);
  }
  assert(sent > 0);
});

Deno.test("a client that does not read holds the sender back, and gets everything later", async () => {
  let sent = 0;
  const MESSAGES = 400;
  await using server = echo(async (client) => {
    for (; sent < MESSAGES; sent++) await client.send(["x".repeat(100_000)]);
    await client.close(1000, "");
  });
  using client = await RawClient.connect(server.url);
  let last = -1;
  await eventually(
    async () => {
      const before = last;
      await delay(100);
      last = sent;
      return last === before && last > 0;
    },
    "a sender that waits",
    PATIENCE,
  );
  assert(sent < MESSAGES, `${sent}`);
  for (let i = 0; i < MESSAGES; i++) {
    assertEquals((await client.frame())!.payload.length, 100_000);
  }
  assertEquals(await client.closeCode(), 1000);
});

Deno.test("connections that arrive while the server is disposed of are ended, too", async () => {
  const server = echo();
  const port = Number(new URL(server.url).port);
  const connecting = Array.from(
    { length: 20 },
    () => Deno.connect({ hostname: "127.0.0.1", port }),
  );
  const conns = await Promise.all(connecting);
  await within(server[Symbol.asyncDispose](), 60_000, "the end of the server");
  for (const conn of conns) {
    const end = conn.read(new Uint8Array(1)).catch(() => null);
    assertEquals(await within(end, PATIENCE, "the end of TCP"), null);
    conn.close();
  }
});

/**
 * Sends a message over a connection whose write ends, and a ping comes so many
 * promise jobs later. Returns how the sending ended.
 */
async function sendBesidePing(jobs: number): Promise<string> {
  const ping = encodeFrame(OPCODE.ping, new Uint8Array(), { mask: true });
  const writing = Promise.withResolvers<number>();
  const reading = Promise.withResolvers<number | null>();
  const over = Promise.withResolvers<null>();
  const started = Promise.withResolvers<number>();
  const reads = [reading.promise];
  // No async function: each takes promise jobs of its own.
  const conn: Pick<Deno.TcpConn, "read" | "write" | "close" | "closeWrite"> = {
    write(bytes) {
      started.resolve(bytes.length);
      return writing.promise;
    },
    read(buffer) {
      buffer.set(ping);
      return reads.shift() ?? over.promise;
    },
    close: () => over.resolve(null),
    closeWrite: () => Promise.resolve(),
  };
  const sent = Promise.withResolvers<string>();
  const client = new Client(conn as Deno.TcpConn, new Uint8Array(), {
    serve: (client) =>
      client.send(["hello"]).then(
        () => sent.resolve("sent"),
        (error) => sent.resolve(`failed: ${error.name}`),
      ),
  });
  const running = client.run();
  writing.resolve(await started.promise);
  for (let i = 0; i < jobs; i++) await null;
  reading.resolve(ping.length);
  const how = await sent.promise;
  over.resolve(null);
  await running;
  return how;
}

Deno.test("a ping that comes when a message has just been written does not end the feed", async () => {
  for (let jobs = 0; jobs < 10; jobs++) {
    assertEquals(await sendBesidePing(jobs), "sent", `after ${jobs} jobs`);
  }
});
