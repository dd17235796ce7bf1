/**
 * Compares libraries that compress messages with context take-over, in
 * microseconds per message: `deno run -A bench/deflate.ts`, in a clone.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import zlib from "node:zlib";
import { Deflate, Inflate } from "npm:fflate@0.8.2";
import { createDeflate } from "../src/websocket/deflate.ts";
import { loadNodeZlib, loadPako } from "../src/websocket/zlib.ts";

const ROUNDS = 7;
const SYNC = zlib.constants.Z_SYNC_FLUSH;
const TAIL = [0, 0, 0xff, 0xff];

type Work = (bytes: Uint8Array<ArrayBuffer>) => unknown;

/** Creates JSON messages of about `size` bytes each, 4 MB in all. */
function messages(size: number): Uint8Array<ArrayBuffer>[] {
  const random = () => Math.random().toString(36).slice(2);
  const item = (i: number) => ({
    seq: i,
    time: new Date(1.7e12 + i * 137).toISOString(),
    symbol: ["BTCUSD", "ETHUSD", "SOLUSD", "XRPUSD"][i % 4],
    price: Math.round(Math.random() * 1e7) / 100,
    side: Math.random() < 0.5 ? "buy" : "sell",
    venue: `exchange-${i % 9}`,
    id: random() + random(),
    tags: ["spot", "taker"],
  });
  const per = Math.max(1, Math.round(size / 200));
  const count = Math.round(4_000_000 / (per * 200));
  return Array.from({ length: count }, (_, i) => {
    const items = Array.from({ length: per }, (_, j) => item(i * per + j));
    return new TextEncoder().encode(JSON.stringify(per > 1 ? items : items[0]));
  });
}

const parameters = {
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
};

/** The implementations that inflate. Their input ends with the four bytes of a flush. */
const INFLATE: Record<string, () => Work | Promise<Work>> = {
  "node:zlib, as wstap uses it": async () => {
    const zlib = await loadNodeZlib();
    const { inflater } = await createDeflate(parameters, "client", zlib);
    return (bytes) => inflater.push(bytes.subarray(0, -4), true, 2 ** 20);
  },
  "pako, as wstap uses it": async () => {
    const pako = await loadPako();
    const { inflater } = await createDeflate(parameters, "client", pako);
    return (bytes) => inflater.push(bytes.subarray(0, -4), true, 2 ** 20);
  },
  fflate: () => {
    const stream = new Inflate(() => {});
    return (bytes) => stream.push(bytes);
  },
  "node:zlib, a turn for each": () => turns(zlib.createInflateRaw()),
  "node:zlib, a turn for a hundred": () => turns(zlib.createInflateRaw(), 100),
  DecompressionStream: () => {
    const stream = new DecompressionStream("deflate-raw");
    const writer = stream.writable.getWriter();
    const reader = stream.readable.getReader();
    return (bytes) => {
      writer.write(bytes);
      return reader.read();
    };
  },
};

const DEFLATE: Record<string, () => Work | Promise<Work>> = {
  "node:zlib, as wstap uses it": async () => {
    const zlib = await loadNodeZlib();
    const { deflater } = await createDeflate(parameters, "client", zlib);
    return (bytes) => deflater.deflate(bytes);
  },
  "pako, as wstap uses it": async () => {
    const pako = await loadPako();
    const { deflater } = await createDeflate(parameters, "client", pako);
    return (bytes) => deflater.deflate(bytes);
  },
  fflate: () => {
    const stream = new Deflate({ level: 6 }, () => {});
    return (bytes) => {
      stream.push(bytes);
      stream.flush();
    };
  },
  "node:zlib, a turn for each": () => turns(zlib.createDeflateRaw()),
  "node:zlib, a turn for a hundred": () => turns(zlib.createDeflateRaw(), 100),
};

/** Uses a stream of `node:zlib`, waiting for the result of every n-th message only. */
function turns(stream: zlib.InflateRaw | zlib.DeflateRaw, n = 1): Work {
  let count = 0;
  stream.on("data", () => {});
  return (bytes) => {
    stream.write(bytes);
    if (++count % n > 0) return stream.flush(SYNC);
    return new Promise<void>((resolve) => stream.flush(SYNC, () => resolve()));
  };
}

/** Measures the microseconds per message, over the second half of the messages. */
async function measure(
  work: Work,
  inputs: Uint8Array<ArrayBuffer>[],
): Promise<number> {
  const half = inputs.length >> 1;
  let start = 0;
  for (const [i, bytes] of inputs.entries()) {
    if (i === half) start = performance.now();
    const result = work(bytes);
    if (result instanceof Promise) await result;
  }
  return (performance.now() - start) * 1000 / (inputs.length - half);
}

console.log(
  `Deno ${Deno.version.deno}, the fastest of ${ROUNDS} rounds, in µs`,
);
for (const size of [200, 16 * 1024]) {
  const plain = messages(size);
  const { deflater } = await createDeflate(parameters);
  const deflated = plain.map((it) =>
    new Uint8Array(Buffer.concat([deflater.deflate(it)!, Buffer.from(TAIL)]))
  );
  for (
    const [what, ways, inputs] of [
      ["inflate", INFLATE, deflated],
      ["deflate", DEFLATE, plain],
    ] as const
  ) {
    const found = new Map<string, number[]>();
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, make] of Object.entries(ways)) {
        const some = name === "fflate" ? inputs.slice(0, 4000) : inputs;
        const times = found.get(name) ?? [];
        found.set(name, [...times, await measure(await make(), some)]);
      }
    }
    for (const [name, times] of found) {
      const best = Math.min(...times).toFixed(1);
      console.log(`${what} ${size} bytes, ${name}: ${best}`);
    }
  }
}
Deno.exit();
