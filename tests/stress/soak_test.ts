import { assert, assertEquals } from "@std/assert";
import {
  connectWebSocket,
  HandshakeError,
  parseDuration,
  type WebSocketConnection,
} from "@wstap/wstap";
import { CAPTURES } from "../fixtures/captures.ts";
import { type ChildServer, spawnServer } from "../fixtures/child.ts";
import { delay } from "../fixtures/wait.ts";
import { form, heap, memory, openFiles, report } from "./_form.ts";

/** How long: a duration such as "10m" in `WSTAP_SOAK`. */
const DURATION = Deno.env.get("WSTAP_SOAK") ?? form("20s", "1m");

/** How late a timer is, in milliseconds, at most and for one in two of a hundred. */
async function loopDelay(): Promise<number> {
  const delays: number[] = [];
  for (let i = 0; i < 100; i++) {
    const start = performance.now();
    await delay(5);
    delays.push(performance.now() - start - 5);
  }
  return Math.round(delays.sort((a, b) => a - b)[50]! * 10) / 10;
}

async function measure() {
  return {
    heap: await heap(),
    memory: memory(),
    files: openFiles(),
    delay: await loopDelay(),
  };
}

/** Every way in which a connection begins, is used and ends, once. */
async function round(server: ChildServer): Promise<void> {
  await Promise.all(CAPTURES.map(async (capture) => {
    const open = async (path: string, more = {}) =>
      (await connectWebSocket(server.url + path, { capture, ...more }))[0];

    const events = await open("/events?n=20&every=1");
    let seq = 0;
    for await (const message of events) {
      assertEquals(message, `{"seq":${seq++}}`);
    }
    assertEquals(seq, 20);

    const burst = await open("/burst?n=2000&size=500");
    let count = 0;
    for await (const batch of burst.batches("20ms")) count += batch.length;
    assertEquals(count, 2000);

    const echo = await open("/echo");
    for (let i = 0; i < 20; i++) {
      await echo.send(`${i}`);
      assertEquals(await echo.recv({ timeout: "20s" }), `${i}`);
    }
    await echo.recv({ timeout: 0.001 }).catch(() => {});
    await echo.close();

    const cut = await open("/terminate");
    await drain(cut);
    const abort = new AbortController();
    const aborted = await open("/events", { signal: abort.signal });
    await aborted.recv();
    abort.abort();
    await drain(aborted);
    await connectWebSocket(`${server.url}/refuse/503`, { capture })
      .catch((error) => assert(error instanceof HandshakeError));
  }));
}

async function drain(connection: WebSocketConnection): Promise<void> {
  try {
    for await (const _ of connection);
  } catch {
    // That it was lost is what is wanted.
  }
  await connection.closed;
}

Deno.test(`a soak of ${DURATION} leaves memory, files and the event loop as they were`, async () => {
  await using server = await spawnServer("ws");
  const end = performance.now() + parseDuration(DURATION);
  for (let i = 0; i < 10; i++) await round(server); // what is loaded once
  const start = await measure();
  let rounds = 0;
  while (performance.now() < end) {
    await round(server);
    server.events.length = 0; // what the server prints is not what is measured
    if (rounds++ % 20 === 0) await heap(); // or memory tells when V8 last tidied up
  }
  await delay(200); // the servers' ends of what was aborted
  const after = await measure();
  report("the soak", {
    rounds,
    "MiB of heap at the start": start.heap,
    "MiB of heap at the end": after.heap,
    "MiB of memory at the start": start.memory,
    "MiB of memory at the end": after.memory,
    "files at the start": start.files ?? "unknown",
    "files at the end": after.files ?? "unknown",
    "event loop late by ms at the start": start.delay,
    "ms at the end": after.delay,
  });
  assert(rounds > 0);
  assert(after.heap < start.heap + 3, `${after.heap} MiB of heap`);
  // Wide: pages that V8 has freed and still holds are in it, 150 MiB of them at
  // times. The heap above is exact.
  assert(after.memory < start.memory + 300, `${after.memory} MiB`);
  if (start.files === null || after.files === null) {
    console.log("skipped: open files are counted on Linux alone");
  } else {
    assert(after.files <= start.files + 5, `${after.files} files`);
  }
  assert(after.delay < start.delay + 50, `${after.delay} ms`);
});
