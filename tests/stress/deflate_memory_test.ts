import { assert } from "@std/assert";
import { createDeflate } from "../../src/websocket/deflate.ts";
import { loadNodeZlib, loadPako } from "../../src/websocket/zlib.ts";

const PARAMETERS = {
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
};

/** Collects garbage, and returns the bytes of all buffers. */
async function measure(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    (globalThis as unknown as { gc(): void }).gc();
    await new Promise((resolve) => setTimeout(resolve));
  }
  return Deno.memoryUsage().external;
}

for (
  const [name, load] of Object.entries({
    "node:zlib": loadNodeZlib,
    pako: loadPako,
  })
) {
  Deno.test(`no connection keeps the last message that it sent, nor a large buffer (${name})`, async () => {
    const zlib = await load();
    const count = 40;
    const many = await Promise.all(
      Array.from(
        { length: count },
        () => createDeflate(PARAMETERS, "client", zlib),
      ),
    );
    const before = await measure();
    for (const { deflater } of many) {
      const message = new Uint8Array(600_000);
      crypto.getRandomValues(message.subarray(0, 65_536));
      for (let i = 0; i < message.length; i++) message[i]! ^= i >> 9;
      deflater.deflate(message);
    }
    const each = (await measure() - before) / count;
    assert(each < 50_000, `${each} bytes`);
    for (const { deflater, inflater } of many) {
      deflater.close();
      inflater.close();
    }
  });
}
