import { assert, assertEquals } from "@std/assert";
import { connectWebSocket } from "@wstap/wstap";
import { CAPTURES } from "../fixtures/captures.ts";
import { spawnServer } from "../fixtures/child.ts";
import { eventually, within } from "../fixtures/wait.ts";
import { form, memory, openFiles, report } from "./_form.ts";

const CONNECTIONS = 1000;

/** How many messages each of them gets. */
const EACH = form(100, 1000);

for (const capture of CAPTURES) {
  Deno.test(`${CONNECTIONS} connections in one process get ${EACH} messages each while a timer fires (${capture})`, async () => {
    await using server = await spawnServer("ws");
    const before = { memory: memory(), files: openFiles() };
    const connections = [];
    // As many at a time as a listener takes.
    for (let opened = 0; opened < CONNECTIONS; opened += 50) {
      connections.push(
        ...await Promise.all(Array.from({ length: 50 }, async () => {
          const [connection] = await connectWebSocket(`${server.url}/echo`, {
            capture,
          });
          return connection;
        })),
      );
    }
    const during = { memory: memory(), files: openFiles() };
    for (let round = 0; round < 3; round++) {
      await Promise.all(connections.map(async (connection, i) => {
        await connection.send(`${round} ${i}`);
        const echo = await within(connection.recv(), 60_000, `echo ${i}`);
        assertEquals(echo, `${round} ${i}`);
      }));
    }
    // None of them starves, and neither does anything else.
    let late = 0;
    let last = performance.now();
    const timer = setInterval(() => {
      late = Math.max(late, performance.now() - last - 10);
      last = performance.now();
    }, 10);
    const text = (seq: number) => `${seq} `.padEnd(200, "x");
    const received = Promise.all(connections.map(async (connection) => {
      // Ten are under way on each.
      for (let seq = 0; seq < EACH + 10; seq++) {
        if (seq < EACH) await connection.send(text(seq));
        if (seq < 10) continue;
        assertEquals(await connection.recv(), text(seq - 10));
      }
    }));
    await within(received, 120_000, "every message");
    clearInterval(timer);
    const closed = await Promise.all(connections.map((it) => it.close()));
    assert(closed.every(({ clean, code }) => clean && code === 1000));
    if (before.files !== null) {
      await eventually(
        () => openFiles()! <= before.files! + 5,
        "every file to be closed",
      );
    }
    report(`${CONNECTIONS} connections (${capture})`, {
      "MiB before": before.memory,
      "MiB during": during.memory,
      "files before": before.files ?? "unknown",
      "files during": during.files ?? "unknown",
      "ms that a timer was late at most": Math.round(late),
    });
    assert(late < 5000, `${late} ms`);
    assert(during.memory - before.memory < 400, `${during.memory} MiB`);
  });
}

const GIBIBYTES = form(0.5, 10);

for (const capture of CAPTURES) {
  Deno.test(`${GIBIBYTES} GiB pass through one connection (${capture})`, async () => {
    await using server = await spawnServer("raw");
    const size = 64 * 1024;
    const count = Math.round(GIBIBYTES * 2 ** 30 / size);
    const [connection] = await connectWebSocket(
      `${server.url}/?n=${count}&size=${size}`,
      { capture },
    );
    const start = performance.now();
    let most = 0;
    let seq = 0;
    for await (const message of connection) {
      if (message.length !== size || parseInt(message) !== seq) {
        throw new Error(`${message.slice(0, 20)} of ${message.length}`);
      }
      if (seq++ % 1000 === 0) most = Math.max(most, memory());
    }
    const seconds = (performance.now() - start) / 1000;
    assertEquals(seq, count);
    assertEquals(await connection.closed, {
      code: 1000,
      reason: "",
      clean: true,
    });
    report(`${GIBIBYTES} GiB (${capture})`, {
      "MiB/s": Math.round(GIBIBYTES * 1024 / seconds),
      "MiB at most": most,
    });
    assert(most < 600, `${most} MiB`);
  });
}
