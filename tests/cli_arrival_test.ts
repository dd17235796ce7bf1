import { assert, assertEquals } from "@std/assert";
import { run, start } from "./fixtures/cli.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { delay, eventually } from "./fixtures/wait.ts";
import { Arrivals } from "../src/arrivals.ts";

const CAPTURES = ["preflight", "none", "direct"];

/**
 * How late a message may be said to have arrived, in milliseconds: a busy machine takes
 * its time, and one that was stamped when it was written is later than that.
 */
const LATE = 1500;

/** A feed of messages that hold the time at which they were sent, `interval` milliseconds apart. */
function clock(count: number, interval: number, size: number) {
  let isOver = false;
  const server = serve((request) =>
    accept(request, (socket) => {
      let sent = 0;
      const timer = setInterval(() => {
        if (socket.readyState !== WebSocket.OPEN) return clearInterval(timer);
        if (sent++ === count) {
          socket.close(1000);
          isOver = true;
        } else socket.send(`${Date.now()} `.padEnd(size, "x"));
      }, interval);
      socket.onclose = () => clearInterval(timer);
    })
  );
  return {
    url: server.url,
    /** Waits until all has been sent, and a while longer. */
    async sent() {
      await eventually(() => isOver, "all messages to be sent");
      await delay(500);
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** How late each message is said to have arrived, in milliseconds. */
function delays(lines: { time: string; data: string }[]): number[] {
  return lines.map(({ time, data }) => Date.parse(time) - parseInt(data));
}

for (const capture of CAPTURES) {
  Deno.test(`a reader that pauses does not make messages late, with --capture ${capture}`, async () => {
    // 3 s of messages that do not fit into a pipe.
    await using server = clock(50, 60, 10_000);
    await using running = start(
      ["-q", "--format", "ndjson", "--capture", capture, server.url],
      {},
      false,
    );
    await server.sent();
    const text = await new Response(running.process.stdout).text();
    await running.result();
    const lines = text.trim().split("\n").map((line) => JSON.parse(line));
    assertEquals(lines.length, 50);
    const late = delays(lines);
    assert(Math.max(...late) < LATE, `${late}`);
    assert(Math.min(...late) >= 0, `${late}`);
  });

  Deno.test(`the messages of one window have their own times, with --capture ${capture}`, async () => {
    await using server = clock(20, 120, 20);
    const { stdout } = await run(
      [
        ...["-q", "--batch", "1m", "--format", "ndjson"],
        ...["--capture", capture, server.url],
      ],
    );
    const batch = JSON.parse(stdout);
    assertEquals(batch.length, 20);
    const late = delays(batch);
    assert(Math.max(...late) < LATE, `${late}`);
    const times = new Set(batch.map(({ time }: { time: string }) => time));
    // On a busy machine some come in one read.
    assert(times.size > 4, `${times.size} times`);
  });
}

Deno.test("--timestamps shows when a message arrived, not when it was written", async () => {
  await using server = clock(40, 75, 10_000);
  await using running = start(
    ["-q", "-t", "--capture", "direct", server.url],
    {},
    false,
  );
  await server.sent();
  const text = await new Response(running.process.stdout).text();
  await running.result();
  const late = text.trim().split("\n").map((line) => {
    const [time, sent] = line.split(" ");
    return Date.parse(time!) - Number(sent);
  });
  assertEquals(late.length, 40);
  assert(Math.max(...late) < LATE, `${late}`);
});

Deno.test("the times fit the messages that are left when older ones are dropped", async () => {
  await using server = clock(60, 40, 10_000);
  await using running = start(
    [
      ...["-q", "--format", "ndjson", "--capture", "none"],
      ...["--max-buffer", "100K", "--overflow", "drop-oldest", server.url],
    ],
    {},
    false,
  );
  await server.sent();
  const text = await new Response(running.process.stdout).text();
  await running.result();
  const lines = text.trim().split("\n").map((line) => JSON.parse(line));
  assert(lines.length < 60, "some were dropped");
  const late = delays(lines);
  assert(Math.max(...late) < LATE, `${late}`);
  assert(Math.min(...late) >= 0, `${late}`);
});

Deno.test("Arrivals gives what it was told, however it is taken", () => {
  const arrivals = new Arrivals();
  const counts = () => arrivals.take(3).map(({ count }) => count);
  for (let i = 0; i < 7; i++) arrivals.add();
  assertEquals(counts(), [3]);
  arrivals.skipTo(1);
  assertEquals(counts(), [3]);
  // What is added after all has been taken is a new entry.
  for (let i = 0; i < 3; i++) arrivals.add();
  assertEquals(counts(), [3]);
  arrivals.skipTo(1);
  assertEquals(arrivals.take(0), []);
});
