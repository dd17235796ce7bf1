/**
 * Runs one measurement in a process of its own. Its argument is a
 * {@linkcode Job} in JSON; it prints the measured numbers as a JSON array.
 *
 * @module
 */

import process from "node:process";
import {
  type ConnectOptions,
  connectWebSocket,
  type WebSocketConnection,
} from "../mod.ts";
import { Inbox } from "../src/inbox.ts";
import type { Order } from "./sender.ts";

/** One measurement. */
export interface Job {
  task:
    | "receive"
    | "feed"
    | "connect"
    | "echo"
    | "heap"
    | "kept"
    | "idle"
    | "many"
    | "queue";
  /** The implementation to measure: a key of the table of the task, such as `RECEIVE`. */
  how: string;
  /** The option `capture` of `connectWebSocket`, if `how` uses it. */
  capture?: "none" | "direct" | "preflight";
  /** The URL of the sender. */
  url: string;
  /** The number of messages, connections or round trips. */
  count: number;
  /** The size of a message in bytes. */
  size: number;
  /** The size of a character of a message in bytes: 1 (the default), 2 or 3. */
  width?: number;
  /** Whether the messages are compressed. */
  deflate?: boolean;
  /** Whether the messages are binary. */
  binary?: boolean;
  /** The option `decode` of `connectWebSocket`, if `how` uses it. */
  decode?: boolean;
  /** Whether to connect over TLS. */
  tls?: boolean;
}

/** The duration of one batch in milliseconds, for the measurements of whole windows. */
const WINDOW = 300;

type Capture = NonNullable<Job["capture"]>;

/** Orders messages from the sender, and resolves when the last one has arrived. */
type Receive = (order: Order) => Promise<void>;

async function open(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  return socket;
}

/** Creates a measurement that receives through this module. */
function wstap(
  receive: (
    connection: WebSocketConnection<string | Uint8Array>,
    count: number,
  ) => Promise<void>,
) {
  return async (
    { url, capture = "preflight", deflate = false, binary, decode = true }: Job,
  ): Promise<Receive> => {
    const options: ConnectOptions = {
      capture,
      compression: deflate,
      // Deno's WebSocket cannot wait, and a slow moment must not overflow the buffer.
      ...(capture !== "direct" && { maxBuffer: { bytes: 2 ** 30 } }),
      ...(!decode ? { decode } : binary ? { binary: "bytes" } : {}),
    };
    const [connection] = await connectWebSocket(url, options);
    return async (order) => {
      await connection.send(JSON.stringify(order));
      await receive(connection, order.count);
    };
  };
}

/** Creates a measurement that receives with Deno's WebSocket. `receive` must call `done` at the end. */
function native(
  receive: (socket: WebSocket, count: number, done: () => void) => void,
) {
  return async ({ url }: Job): Promise<Receive> => {
    const socket = await open(url);
    return (order) =>
      new Promise((resolve) => {
        receive(socket, order.count, resolve);
        socket.send(JSON.stringify(order));
      });
  };
}

/** Creates a measurement that reads from TCP itself. */
function raw(
  receive: (conn: Deno.Conn, buffer: Uint8Array, order: Order) => Promise<void>,
) {
  return async ({ url }: Job): Promise<Receive> => {
    const { hostname, port } = new URL(url);
    const conn = await Deno.connect({ hostname, port: Number(port) });
    const buffer = new Uint8Array(512 * 1024);
    const encoder = new TextEncoder();
    await conn.write(encoder.encode(
      "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n" +
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    ));
    await conn.read(buffer); // the response head; messages come only when ordered
    return async (order) => {
      const text = encoder.encode(JSON.stringify(order)); // the mask is 0
      await conn.write(
        new Uint8Array([0x81, 0x80 | text.length, 0, 0, 0, 0, ...text]),
      );
      await receive(conn, buffer, order);
    };
  };
}

const RECEIVE: Record<string, (job: Job) => Promise<Receive>> = {
  recv: wstap(async (connection, count) => {
    for (let n = 0; n < count; n++) await connection.recv();
  }),
  batch: wstap(async (connection, count) => {
    for (let n = 0; n < count;) {
      const max = Math.min(1000, count - n);
      n += (await connection.recvBatch(10, { max })).length;
    }
  }),
  windows: wstap(async (connection, count) => {
    for (let n = 0; n < count;) {
      n += (await connection.recvBatch(WINDOW / 1000)).length;
    }
  }),
  iterate: wstap(async (connection, count) => {
    let n = 0;
    for await (const _ of connection) if (++n === count) break;
  }),

  count: native((socket, count, done) => {
    let n = 0;
    socket.onmessage = () => {
      if (++n === count) done();
    };
  }),
  array: native((socket, count, done) => {
    let taken: string[] = [];
    let n = 0;
    const take = () => {
      n += taken.length;
      taken = [];
      if (n < count) return;
      clearInterval(timer);
      done();
    };
    const timer = setInterval(take, WINDOW);
    socket.onmessage = (event) => void taken.push(event.data);
    socket.onclose = take;
  }),

  /** Reads the bytes from TCP and drops them, which shows how fast the sender is. */
  tcp: raw(async (conn, buffer, order) => {
    const head = order.size < 126 ? 2 : order.size < 65536 ? 4 : 10;
    let left = order.count * (head + order.size);
    while (left > 0) left -= (await conn.read(buffer))!;
  }),

  /** Reads the bytes and walks from header to header: the least that a client in TypeScript must do. */
  floor: raw(async (conn, buffer, { count }) => {
    let end = 0;
    // A message counts at its header, but what is left of the last one is read, too.
    for (let n = 0, skip = 0; n < count || skip > 0;) {
      end += (await conn.read(buffer.subarray(end)))!;
      let at = skip;
      while (at + 10 <= end || at + 2 <= end && buffer[at + 1]! < 126) {
        const short = buffer[at + 1]!;
        const length = short < 126
          ? 2 + short
          : short === 126
          ? 4 + (buffer[at + 2]! << 8 | buffer[at + 3]!)
          : 10 + (buffer[at + 6]! << 24 | buffer[at + 7]! << 16 |
            buffer[at + 8]! << 8 | buffer[at + 9]!);
        at += length;
        n++;
      }
      skip = Math.max(0, at - end);
      buffer.copyWithin(0, at, end);
      end = Math.max(0, end - at);
    }
  }),

  /** Needs `--unstable-net`. */
  stream: async ({ url }) => {
    // deno-lint-ignore no-explicit-any -- its types need the flag too
    const socket = new (globalThis as any).WebSocketStream(url);
    const { readable, writable } = await socket.opened;
    const reader = readable.getReader();
    const writer = writable.getWriter();
    return async (order) => {
      await writer.write(JSON.stringify(order));
      for (let n = 0; n < order.count; n++) await reader.read();
    };
  },
};

/** Measures messages per second. */
async function receive(job: Job): Promise<[number]> {
  const { count, size, width, binary } = job;
  const run = await RECEIVE[job.how]!(
    job.deflate ? { ...job, url: `${job.url}/deflate` } : job,
  );
  await run({ count: Math.ceil(count / 5), size, width, binary }); // to warm up
  const start = performance.now();
  // The sender closes after the last message, so that the last window ends at once.
  await run({
    count,
    size,
    width,
    binary,
    close: job.how === "windows" || job.how === "array",
  });
  return [count / (performance.now() - start) * 1000];
}

/** Measures messages per second, including the start of the process. */
async function feed(
  { url, capture = "none", count, size }: Job,
): Promise<[number]> {
  const address = new URL(`/feed?count=${count}&size=${size}`, url);
  const [connection] = await connectWebSocket(address, { capture });
  while (await connection.recv() !== null);
  return [count / (Date.now() - performance.timeOrigin) * 1000];
}

/** Connects, and resolves when the first message has arrived, with a function that closes the connection. */
type Connect = (
  url: string,
  capture: Capture,
) => Promise<() => Promise<unknown>>;

const CONNECT: Record<string, Connect> = {
  wstap: async (url, capture) => {
    const [connection] = await connectWebSocket(url, {
      capture,
    });
    await connection.recv();
    return () => connection.close();
  },
  /** The least that a pre-flight needs: `fetch` with its own HTTP client, then Deno's WebSocket. */
  fetch: async (url) => {
    const client = Deno.createHttpClient({ http2: false });
    const release = new AbortController();
    await fetch(url.replace(/^ws/, "http"), {
      headers: {
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": btoa("0123456789abcdef"),
      },
      client,
      signal: release.signal,
    });
    release.abort();
    client.close();
    return await CONNECT.native!(url, "none");
  },
  native: async (url) => {
    const socket = new WebSocket(url);
    await new Promise((resolve) => socket.onmessage = resolve);
    return () =>
      new Promise((resolve) => {
        socket.onclose = resolve;
        socket.close();
      });
  },
};

/** Measures the milliseconds from the call to the first message: the median. */
async function connect(job: Job): Promise<[number]> {
  const times = [];
  const url = new URL("/hello", job.url).href;
  for (let i = -job.count / 5; i < job.count; i++) { // a fifth to warm up
    const start = performance.now();
    const close = await CONNECT[job.how]!(url, job.capture ?? "none");
    if (i >= 0) times.push(performance.now() - start);
    await close();
  }
  return [quantile(times, 0.5)];
}

/** Sends a text, and resolves when the answer has arrived. */
type Echo = (text: string) => Promise<unknown>;

const ECHO: Record<string, (url: string, capture: Capture) => Promise<Echo>> = {
  wstap: async (url, capture) => {
    const [connection] = await connectWebSocket(url, {
      capture,
    });
    return async (text) => {
      await connection.send(text);
      await connection.recv();
    };
  },
  native: async (url) => {
    const socket = await open(url);
    return (text) =>
      new Promise((resolve) => {
        socket.onmessage = resolve;
        socket.send(text);
      });
  },
};

/** Measures the milliseconds of a round trip: the median and the 99th percentile. */
async function echo(job: Job): Promise<[number, number]> {
  const text = "x".repeat(job.size);
  const once = await ECHO[job.how]!(job.url, job.capture ?? "none");
  for (let i = 0; i < job.count / 5; i++) await once(text); // to warm up
  const times = [];
  for (let i = 0; i < job.count; i++) {
    const start = performance.now();
    await once(text);
    times.push(performance.now() - start);
  }
  return [quantile(times, 0.5), quantile(times, 0.99)];
}

/** Creates `count` messages and returns a function that keeps them alive and counts them. */
const HEAP: Record<string, (job: Job) => Promise<() => number>> = {
  wstap: async ({ url, capture = "direct", count, size }) => {
    const [connection] = await connectWebSocket(url, {
      capture,
      // With "direct", only a quarter of this is read.
      maxBuffer: { messages: 2 ** 24, bytes: 2 ** 30 },
    });
    await connection.send(JSON.stringify({ count, size }));
    while (connection.buffered.messages < count) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return () => connection.buffered.messages;
  },
  strings: ({ count, size }) => {
    const decoder = new TextDecoder();
    const bytes = new TextEncoder().encode("x".repeat(size));
    const strings = Array.from({ length: count }, () => decoder.decode(bytes));
    return Promise.resolve(() => strings.length);
  },
};

HEAP["strings and 4 KiB"] = HEAP.strings!;

/** Measures the bytes of heap per buffered message. Needs `--expose-gc`. */
async function heap(job: Job): Promise<[number]> {
  const before = heapUsed();
  const held = await HEAP[job.how]!(job);
  const bytes = heapUsed() - before;
  if (held() !== job.count) throw new Error("Some messages are missing");
  const more = job.how === "strings and 4 KiB" ? 4096 : 0;
  return [bytes / job.count + more];
}

/** Measures the bytes of heap per kept message, if one of a thousand is kept. Needs `--expose-gc`. */
async function kept(
  { url, capture = "direct", count, size }: Job,
): Promise<[number]> {
  const [connection] = await connectWebSocket(url, { capture });
  const messages: unknown[] = [];
  const run = async (count: number) => {
    await connection.send(JSON.stringify({ count, size }));
    for (let n = 0; n < count; n++) {
      const message = await connection.recv();
      if (n % 1000 === 0) messages.push(message);
    }
  };
  await run(count / 5); // to warm up
  messages.length = 0;
  const before = heapUsed();
  await run(count);
  return [(heapUsed() - before) / messages.length];
}

/** Measures the bytes of memory per idle connection. Needs `--expose-gc`. */
async function idle(
  { url, how, capture = "direct", count }: Job,
): Promise<[number]> {
  const connections: unknown[] = [];
  const connect = async () => {
    connections.push(
      how === "native"
        ? await open(url)
        : (await connectWebSocket(url, { capture }))[0],
    );
  };
  for (let n = 0; n < 100; n++) await connect(); // to warm up
  heapUsed();
  const before = Deno.memoryUsage().rss;
  for (let n = 0; n < count; n++) await connect();
  heapUsed();
  return [(Deno.memoryUsage().rss - before) / count];
}

/** How long the connections of `many` receive, in seconds, after as long to warm up. */
const MANY_SECONDS = 5;

/** Measures the milliseconds of processor time per second with `count` connections that receive 1,000 messages per second each. */
async function many(job: Job): Promise<[number]> {
  const { url, count, size, capture = "direct" } = job;
  const rate = 1000;
  let used = process.cpuUsage();
  const one = async () => {
    const [connection] = await connectWebSocket(url, { capture });
    await connection.send(
      JSON.stringify({ count: 2 * MANY_SECONDS * rate, size, rate }),
    );
    for (let n = 0; n < MANY_SECONDS * rate; n++) await connection.recv();
    used = process.cpuUsage(); // the last connection to get here is the one that counts
    for (let n = 0; n < MANY_SECONDS * rate; n++) await connection.recv();
  };
  await Promise.all(Array.from({ length: count }, one));
  const { user, system } = process.cpuUsage(used);
  return [(user + system) / 1000 / MANY_SECONDS];
}

/** Returns the bytes of heap in use after a garbage collection. Needs `--expose-gc`. */
function heapUsed(): number {
  (globalThis as unknown as { gc: () => void }).gc();
  return Deno.memoryUsage().heapUsed;
}

/** Measures the nanoseconds of one `push()` and one `take()` while `size` messages are queued. */
async function queue({ count, size }: Job): Promise<[number]> {
  const limit = { messages: Infinity, bytes: Infinity };
  const inbox = new Inbox<string>({ limit, overflow: "error" });
  const text = "x".repeat(100);
  for (let i = 0; i < size; i++) inbox.push(text);
  const run = async (count: number) => {
    for (let i = 0; i < count; i++) {
      inbox.push(text);
      await inbox.take();
    }
  };
  await run(count / 5); // to warm up
  const start = performance.now();
  await run(count);
  return [(performance.now() - start) / count * 1e6];
}

function quantile(values: number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(q * (sorted.length - 1))]!;
}

if (import.meta.main) {
  const job: Job = JSON.parse(Deno.args[0]!);
  const tasks = {
    receive,
    feed,
    connect,
    echo,
    heap,
    kept,
    idle,
    many,
    queue,
  };
  console.log(JSON.stringify(await tasks[job.task](job)));
  Deno.exit();
}
