import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import type { FakeTime } from "@std/testing/time";
import { Gate } from "../src/gate.ts";
import { type CallGate, Inbox, type InboxOptions } from "../src/inbox.ts";
import { fakeClock } from "./fixtures/clock.ts";
import { countingSignal } from "./fixtures/signal.ts";
import { quickly } from "./fixtures/wait.ts";

type Message = string | Uint8Array;

/** Defines a test in whose time nothing passes by itself: what never comes fails at once. */
function test(name: string, fn: (time: FakeTime) => Promise<void>): void {
  Deno.test(name, async () => {
    using time = fakeClock();
    await fn(time);
  });
}

function createInbox(
  { limit, ...options }:
    & Partial<Omit<InboxOptions<Message>, "limit">>
    & { limit?: { messages?: number; bytes?: number } } = {},
  gate?: CallGate,
): Inbox<Message> {
  return new Inbox<Message>({
    limit: { messages: Infinity, bytes: Infinity, ...limit },
    overflow: "error",
    onOverflow: () => {
      throw new Error("an overflow that the test does not expect");
    },
    toError: (message) => new Error(`not UTF-8: ${message}`),
    ...options,
  }, gate);
}

function pushAll(inbox: Inbox<Message>, ...messages: Message[]): void {
  for (const message of messages) inbox.push(message);
}

/** An inbox that ends itself on an overflow, as a connection does. */
function createBounded(
  limit: { messages?: number; bytes?: number },
  gate?: CallGate,
) {
  const error = new Error("overflow");
  let overflows = 0;
  const inbox = createInbox({
    limit,
    onOverflow: () => {
      overflows++;
      inbox.end({ error }, () => error);
    },
  }, gate);
  return { inbox, error, overflows: () => overflows };
}

/** Whether a promise has settled, once every pending promise job has run. */
async function isSettled(
  time: FakeTime,
  promise: Promise<unknown>,
): Promise<boolean> {
  let settled = false;
  promise.then(() => settled = true, () => settled = true);
  await time.runMicrotasks();
  return settled;
}

async function assertTimeout(call: Promise<unknown>): Promise<void> {
  const error = await assertRejects(() => call, DOMException);
  assertEquals(error.name, "TimeoutError");
}

const LOST = new Error("lost");
const BATCH_LOST = new Error("websocket closed");

// --- Order ---

test("Inbox gives messages in the order in which they were pushed", async () => {
  const inbox = createInbox();
  pushAll(inbox, "a", "b", "c");
  assertEquals(await inbox.take(), "a");
  inbox.push("d");
  assertEquals(await inbox.take(), "b");
  assertEquals(await inbox.takeBatch(0, Infinity), ["c", "d"]);
});

test("Inbox serves calls in the order in which they were made, and keeps the rest", async () => {
  const inbox = createInbox();
  const calls = [
    inbox.take(),
    inbox.takeBatch(60_000, 2),
    inbox.take({ timeout: 60_000 }),
    inbox.takeBatch(60_000, 1),
    inbox.take(),
  ];
  pushAll(inbox, "a", "b", "c", "d", "e", "f", "g");
  assertEquals(inbox.buffered, { messages: 1, bytes: 1 });
  assertEquals(await Promise.all(calls), ["a", ["b", "c"], "d", ["e"], "f"]);
  assertEquals(await inbox.take(), "g");
});

// --- buffered ---

test("Inbox.buffered counts UTF-16 length for text and bytes for binary", async () => {
  const inbox = createInbox();
  pushAll(inbox, "héllo", "😀", new Uint8Array(10), "");
  assertEquals(inbox.buffered, { messages: 4, bytes: 17 });
  await inbox.take();
  assertEquals(inbox.buffered, { messages: 3, bytes: 12 });
  assertEquals(await inbox.takeBatch(0, 1), ["😀"]);
  assertEquals(inbox.buffered, { messages: 2, bytes: 10 });
  await inbox.takeBatch(0, Infinity);
  assertEquals(inbox.buffered, { messages: 0, bytes: 0 });
});

// --- take() ---

test("Inbox.take() with a timeout rejects and consumes nothing", async (time) => {
  const inbox = createInbox();
  const taken = inbox.take({ timeout: 1000 });
  time.tick(999);
  assertEquals(await isSettled(time, taken), false);
  time.tick(1);
  await assertTimeout(taken);
  inbox.push("a");
  assertEquals(await inbox.take(), "a");
});

test("Inbox.take() with a timeout of 0 takes what is there, and overtakes no call", async () => {
  const inbox = createInbox();
  inbox.push("a");
  assertEquals(await inbox.take({ timeout: 0 }), "a");
  await assertTimeout(inbox.take({ timeout: 0 }));
  const earlier = inbox.take();
  await assertTimeout(inbox.take({ timeout: 0 }));
  inbox.push("b");
  assertEquals(await earlier, "b");
  inbox.end(null, () => BATCH_LOST);
  assertEquals(await inbox.take({ timeout: 0 }), null);
});

test("Inbox.take() that is aborted rejects with the reason and consumes nothing", async () => {
  const inbox = createInbox();
  const controller = new AbortController();
  const { signal } = controller;
  const reason = new Error("enough");
  const taken = inbox.take({ signal });
  const later = inbox.take();
  controller.abort(reason);
  assertStrictEquals(await assertRejects(() => taken), reason);
  inbox.push("a");
  assertEquals(await later, "a");
  inbox.push("b");
  const aborted = inbox.take({ signal });
  assertStrictEquals(await assertRejects(() => aborted), reason);
  assertEquals(await inbox.take(), "b");
});

test("Inbox ends each call at its own time, in any order of the times", async (time) => {
  const inbox = createInbox();
  const calls = [50, 10, 30, 20].map((timeout) => inbox.take({ timeout }));
  const settled = calls.map(() => false);
  calls.forEach((call, i) => call.catch(() => settled[i] = true));
  for (
    const [after, expected] of [
      [9, [false, false, false, false]],
      [1, [false, true, false, false]],
      [10, [false, true, false, true]],
      [10, [false, true, true, true]],
      [20, [true, true, true, true]],
    ] as const
  ) {
    await time.tickAsync(after);
    await time.runMicrotasks();
    assertEquals(settled, [...expected]);
  }
  const late = inbox.take({ timeout: 5 });
  await time.tickAsync(5);
  await assertTimeout(late);
});

Deno.test("Inbox leaves no timer and no listener behind a call that was served", async () => {
  const inbox = createInbox();
  const counting = countingSignal();
  const { signal } = counting;
  const calls = [
    inbox.take({ timeout: 60_000, signal }),
    inbox.takeBatch(60_000, 1, signal),
    inbox.take({ timeout: 60_000, signal }),
  ];
  pushAll(inbox, "a", "b");
  inbox.end(null, () => BATCH_LOST);
  assertEquals(await Promise.all(calls), ["a", ["b"], null]);
  assertEquals(counting.listeners, 0);
});

// --- takeBatch() ---

test("Inbox.takeBatch() collects for its whole window, [] when nothing came", async (time) => {
  const inbox = createInbox();
  inbox.push("a");
  const batch = inbox.takeBatch(1000, Infinity);
  time.tick(500);
  inbox.push("b");
  time.tick(499);
  inbox.push("c");
  assertEquals(await isSettled(time, batch), false);
  time.tick(1);
  inbox.push("d");
  assertEquals(await batch, ["a", "b", "c"]);
  assertEquals(await inbox.take(), "d");
  const empty = inbox.takeBatch(1000, Infinity);
  time.tick(1000);
  assertEquals(await empty, []);
  assertEquals(await inbox.takeBatch(0, Infinity), []);
});

test("Inbox.takeBatch() ends at max, and leaves the rest", async () => {
  const inbox = createInbox();
  pushAll(inbox, "a", "b", "c");
  assertEquals(await inbox.takeBatch(60_000, 2), ["a", "b"]);
  const batch = inbox.takeBatch(60_000, 2);
  pushAll(inbox, "d", "e");
  assertEquals(await batch, ["c", "d"]);
  assertEquals(await inbox.take(), "e");
});

test("Inbox.takeBatch() that is aborted leaves everything where it was, for the next call", async () => {
  const inbox = createInbox();
  const controller = new AbortController();
  inbox.push("a");
  const batch = inbox.takeBatch(60_000, Infinity, controller.signal);
  const next = inbox.take();
  const last = inbox.takeBatch(60_000, 2);
  pushAll(inbox, "b", "c", "d");
  controller.abort();
  await assertRejects(() => batch, DOMException);
  assertEquals(await next, "a");
  assertEquals(await last, ["b", "c"]);
  assertEquals(await inbox.takeBatch(0, Infinity), ["d"]);
});

test("Inbox.takeBatch() counts its window from the call, not from its turn", async (time) => {
  const inbox = createInbox();
  const first = inbox.takeBatch(1000, Infinity);
  const second = inbox.takeBatch(1500, Infinity);
  const over = inbox.takeBatch(500, Infinity);
  inbox.push("a");
  time.tick(1000);
  inbox.push("b");
  assertEquals(await first, ["a"]);
  time.tick(500);
  assertEquals(await second, ["b"]);
  assertEquals(await over, []);
});

test("Inbox.takeBatch() whose window is over takes what is there when its turn comes", async (time) => {
  const inbox = createInbox();
  const controller = new AbortController();
  const first = inbox.takeBatch(60_000, Infinity, controller.signal);
  const second = inbox.take();
  const over = inbox.takeBatch(500, Infinity);
  pushAll(inbox, "a", "b");
  time.tick(500);
  assertEquals(await isSettled(time, over), false);
  controller.abort();
  await assertRejects(() => first, DOMException);
  assertEquals(await second, "a");
  assertEquals(await over, ["b"]);

  const waiting = inbox.take();
  const late = inbox.takeBatch(500, Infinity);
  time.tick(500);
  inbox.push("c"); // goes to the first, and ends the second
  assertEquals(await waiting, "c");
  assertEquals(await isSettled(time, late), true);
  assertEquals(await late, []);
});

test("Inbox.takeBatch() ends early at the limit, by messages and by bytes", async () => {
  for (const limit of [{ messages: 3 }, { bytes: 6 }]) {
    const { inbox, overflows } = createBounded(limit);
    const batch = inbox.takeBatch(60_000, Infinity);
    pushAll(inbox, "aa", "bb", "cc");
    assertEquals(await batch, ["aa", "bb", "cc"]);
    pushAll(inbox, "aa", "bb", "cc"); // it is full already
    assertEquals((await inbox.takeBatch(60_000, Infinity)).length, 3);
    assertEquals(overflows(), 0);
  }
});

// --- The end ---

for (const outcome of [null, { error: LOST }]) {
  test(`Inbox ends with ${outcome && "an error"} for ever, after what was pushed`, async () => {
    const inbox = createInbox();
    assertEquals(inbox.outcome, null);
    inbox.push("a");
    inbox.end(outcome, () => BATCH_LOST);
    inbox.push("too late");
    inbox.end({ error: new Error("second") }, () => LOST); // only the first counts
    assertEquals([inbox.ended, inbox.outcome], [true, outcome]);
    assertEquals(await inbox.take(), "a");
    for (let i = 0; i < 3; i++) {
      const taken = inbox.take();
      if (outcome === null) assertEquals(await taken, null);
      else assertStrictEquals(await assertRejects(() => taken), LOST);
      const batch = inbox.takeBatch(60_000, Infinity);
      assertStrictEquals(await assertRejects(() => batch), BATCH_LOST);
    }
  });
}

test("Inbox ends every call that waits, in order, a batch with what it has collected", async () => {
  const inbox = createInbox();
  const calls = [
    inbox.takeBatch(60_000, Infinity),
    inbox.take(),
    inbox.takeBatch(60_000, Infinity),
    inbox.take({ timeout: 60_000 }),
  ].map((call) => call.catch((error) => error));
  inbox.push("a");
  inbox.end({ error: LOST }, () => BATCH_LOST);
  assertEquals(await Promise.all(calls), [["a"], LOST, BATCH_LOST, LOST]);
});

// --- fail() ---

test("Inbox.fail() puts an error in its place among the messages, for one call", async () => {
  const inbox = createInbox();
  inbox.push("a");
  inbox.fail("bad");
  inbox.push("b");
  assertEquals(inbox.buffered, { messages: 3, bytes: 5 });
  assertEquals(await inbox.take(), "a");
  await assertRejects(() => inbox.take(), Error, "not UTF-8: bad");
  assertEquals(inbox.buffered, { messages: 1, bytes: 1 });
  assertEquals(await inbox.take(), "b");
  const [first, second] = [inbox.take(), inbox.take()];
  inbox.fail("bad");
  inbox.push("c");
  await assertRejects(() => first, Error, "not UTF-8: bad");
  assertEquals(await second, "c");
});

test("Inbox.fail() ends the batch before it; the next call gets the error", async () => {
  const inbox = createInbox();
  const fails = (batch: Promise<unknown>, message: string) =>
    assertRejects(() => batch, Error, `not UTF-8: ${message}`);
  const batch = inbox.takeBatch(60_000, Infinity);
  pushAll(inbox, "a", "b");
  inbox.fail("bad");
  inbox.fail("odd");
  pushAll(inbox, "c", "d");
  assertEquals(await batch, ["a", "b"]);
  await fails(inbox.takeBatch(60_000, 5), "bad");
  await fails(inbox.takeBatch(0, 5), "odd");
  assertEquals(await inbox.takeBatch(60_000, 2), ["c", "d"]);
  const waiting = inbox.takeBatch(60_000, Infinity);
  inbox.fail("bad");
  await fails(waiting, "bad");
});

// --- Limits; the property has who waits at one ---

test(`Inbox under "error" tells an overflow once, and keeps what was there`, async () => {
  for (const limit of [{ messages: 2 }, { bytes: 2 }]) {
    const { inbox, error, overflows } = createBounded(limit);
    pushAll(inbox, "a", "b", "c", "d");
    assertEquals(overflows(), 1);
    assertEquals(inbox.buffered, { messages: 2, bytes: 2 });
    assertEquals(await inbox.takeBatch(0, Infinity), ["a", "b"]);
    assertStrictEquals(await assertRejects(() => inbox.take()), error);
    assertEquals(inbox.dropped, 0);
  }
});

test(`Inbox under "drop-oldest" discards from the front by messages and by bytes, and counts`, async () => {
  const overflow = "drop-oldest";
  const few = createInbox({ limit: { messages: 2 }, overflow });
  pushAll(few, "a", "b", "c", "d", "e");
  assertEquals(few.dropped, 3);
  assertEquals(await few.takeBatch(0, Infinity), ["d", "e"]);
  assertEquals(few.dropped, 3);

  const small = createInbox({ limit: { bytes: 4 }, overflow });
  pushAll(small, "a", "b", "c", "ddd");
  assertEquals(small.dropped, 2);
  assertEquals(small.buffered, { messages: 2, bytes: 4 });
  small.push("longer than the limit");
  assertEquals(small.dropped, 5);
  assertEquals(small.buffered, { messages: 0, bytes: 0 });
  small.push("e");
  assertEquals(await small.take(), "e");
});

test("Inbox.fail() makes its error when it is taken, and not before", async () => {
  let made = 0;
  const inbox = createInbox({ toError: () => new Error(`${++made}`) });
  for (let i = 0; i < 100; i++) inbox.fail("bad");
  assertEquals(made, 0);
  await assertRejects(() => inbox.take(), Error, "1");
  assertEquals(made, 1);
});

test("Inbox.fail() that ends a batch keeps the limit, by messages and by bytes", async () => {
  for (const limit of [{ messages: 2 }, { bytes: 8 }]) {
    const { inbox, overflows } = createBounded(limit);
    const batch = inbox.takeBatch(60_000, Infinity);
    inbox.push("a");
    inbox.fail("a failure beyond the bytes");
    assertEquals(await batch, ["a"]);
    const { messages, bytes } = inbox.buffered;
    assertEquals(overflows(), "bytes" in limit ? 1 : 0);
    assert(messages <= 2 && ("messages" in limit || bytes <= 8));
  }

  const dropping = createInbox({
    limit: { bytes: 8 },
    overflow: "drop-oldest",
  });
  const batch = dropping.takeBatch(60_000, Infinity);
  dropping.push("a");
  dropping.fail("a failure beyond the bytes");
  assertEquals(await batch, ["a"]);
  assertEquals(dropping.buffered, { messages: 0, bytes: 0 });
  assertEquals(dropping.dropped, 1);
});

// --- A source that can wait ---

test(`Inbox under "pause" lets its source wait past a quarter of the limit until a quarter of that is left`, async (time) => {
  for (const limit of [{ messages: 16 }, { bytes: 16 }]) {
    const inbox = createInbox({ limit, overflow: "pause" });
    pushAll(inbox, "a", "b", "c", "d");
    assertEquals(inbox.wait(false, false), null);
    assertEquals(inbox.isFull(false), false);
    pushAll(inbox, "e", "f", "g", "h"); // nothing is lost if it does not ask
    assertEquals(inbox.isFull(false), true);
    const wait = inbox.wait(false, false);
    assert(wait !== null);
    for (const message of ["a", "b", "c", "d", "e", "f"]) {
      assertEquals(await inbox.take(), message);
      assertEquals(await isSettled(time, wait), false);
    }
    assertEquals(await inbox.take(), "g");
    assertEquals(await isSettled(time, wait), true);
    assertEquals(inbox.wait(false, false), null);
    assertEquals(inbox.buffered.messages, 1);
  }
});

test(`Inbox under "pause" lets its source go on up to the limit itself if that is asked`, async (time) => {
  const inbox = createInbox({ limit: { messages: 8 }, overflow: "pause" });
  pushAll(inbox, "a", "b", "c");
  const wait = inbox.wait(false, false);
  assert(wait !== null);
  inbox.wake();
  assertEquals(await isSettled(time, wait), true);
  pushAll(inbox, "d", "e", "f", "g", "h");
  assertEquals(inbox.isFull(true), false);
  assertEquals(inbox.wait(false, true), null);
  inbox.push("i");
  assertEquals(inbox.isFull(true), true);
  assert(inbox.wait(false, true) !== null);
});

test(`Inbox under "pause" lets its source go on when a batch collects, and at the end`, async (time) => {
  const inbox = createInbox({ limit: { messages: 16 }, overflow: "pause" });
  const messages = ["a", "b", "c", "d", "e"];
  pushAll(inbox, ...messages);
  const wait = inbox.wait(false, false);
  assertEquals(await inbox.takeBatch(60_000, Infinity), messages);
  assertEquals(await isSettled(time, wait!), true);

  const batch = inbox.takeBatch(60_000, Infinity);
  pushAll(inbox, "a", "b", "c");
  assertEquals(inbox.wait(true, false), null);
  inbox.push("d"); // the mark
  assertEquals(await batch, ["a", "b", "c", "d"]);

  pushAll(inbox, ...messages);
  const last = inbox.wait(false, false);
  assert(last !== null);
  inbox.end(null, () => BATCH_LOST);
  assertEquals(await isSettled(time, last), true);
  assertEquals(inbox.wait(false, false), null);
});

// --- Iterations ---

test("Inbox.endIteration() ends the calls of an iteration alone, and loses nothing", async () => {
  const inbox = createInbox();
  const [mine, other] = [{}, {}];
  const calls = [
    inbox.next(() => false, mine),
    inbox.next(() => false, other),
    inbox.take(),
    inbox.takeBatch(60_000, 2, undefined, mine),
  ];
  inbox.endIteration(mine);
  assertEquals(await calls[0], { done: true, value: undefined });
  assertEquals(await calls[3], []);
  pushAll(inbox, "a", "b", "c");
  assertEquals(await calls[1], { done: false, value: "a" });
  assertEquals(await calls[2], "b");
  assertEquals(await inbox.take(), "c");

  const batch = inbox.takeBatch(60_000, Infinity, undefined, mine);
  pushAll(inbox, "d", "e");
  inbox.endIteration(mine);
  assertEquals(await batch, []);
  assertEquals(await inbox.takeBatch(0, Infinity), ["d", "e"]);
});

// --- The event loop ---

/** Calls again and again until a timer fires; fails if none does. */
async function untilTimer(call: (i: number) => Promise<unknown>) {
  let fired = false;
  const timer = setTimeout(() => fired = true, 0);
  for (let i = 0; !fired && i < 1_000_000; i++) await call(i);
  clearTimeout(timer);
  assert(fired, "the timer never fired");
}

Deno.test("Inbox does not starve the event loop in a loop of calls that need no waiting", async () => {
  const calls: ((inbox: Inbox<Message>) => Promise<unknown>)[] = [
    (inbox) => inbox.take(),
    (inbox) => inbox.take({ timeout: 60_000 }),
    (inbox) => inbox.takeBatch(0, 1),
    (inbox) => inbox.takeBatch(60_000, 1),
  ];
  for (const call of calls) {
    const inbox = createInbox();
    await untilTimer(async (i) => {
      inbox.push(String(i));
      assertEquals([await call(inbox)].flat(), [String(i)]);
    });
    inbox.end(null, () => BATCH_LOST); // and its timer
  }
  const ended = createInbox();
  ended.end(null, () => BATCH_LOST);
  await untilTimer(() => ended.take());
  const empty = createInbox();
  const waiting = empty.take();
  await untilTimer(() => empty.take({ timeout: 0 }).catch(() => {}));
  empty.push("a");
  assertEquals(await waiting, "a");
});

/** A gate that the test shuts. */
class TestGate implements CallGate {
  shut = true;
  #held: (() => void)[] = [];
  pass = () => !this.shut;
  hold = (goOn: () => void) => void this.#held.push(goOn);
  reset = () => {};
  open = () => {
    this.shut = false;
    for (const goOn of this.#held.splice(0)) goOn();
  };
}

test("Inbox lets the calls that its gate holds back go on at the next message, in order", async () => {
  const gate = new TestGate();
  const inbox = createInbox({}, gate);
  pushAll(inbox, "a", "b");
  gate.shut = true;
  const calls = [inbox.take(), inbox.takeBatch(0, 1), inbox.take()];
  inbox.push("c");
  assertEquals(await Promise.all(calls), ["a", ["b"], "c"]);
});

test("Inbox keeps its limit while it holds a call back, and serves it in the next turn", async () => {
  const gate = new TestGate();
  const { inbox, overflows } = createBounded({ messages: 3 }, gate);
  const calls = [
    inbox.take(),
    inbox.takeBatch(0, 2),
    inbox.take({ timeout: 60_000 }),
  ];
  const ended = inbox.next(() => false, calls);
  inbox.endIteration(calls);
  assertEquals(await ended, { done: true, value: undefined });
  gate.open();
  pushAll(inbox, "a", "b", "c", "d", "e", "f");
  assertEquals(overflows(), 1);
  assertEquals(await Promise.all(calls), ["a", [], "b"]);
});

test("Inbox.take() that its gate holds back after the end leaves no timer", async (time) => {
  const gate = new TestGate();
  const inbox = createInbox({}, gate);
  inbox.end(null, () => new Error("closed"));
  gate.shut = true;
  const taking = inbox.take({ timeout: 3_600_000 });
  gate.open();
  assertEquals(await taking, null);
  assertEquals(time.next(), false);
});

test("Inbox holds its source back no more once it has ended", async () => {
  const inbox = createInbox({ overflow: "pause", limit: { messages: 4 } });
  pushAll(inbox, "a", "b", "c");
  assertEquals(inbox.isFull(false), true);
  inbox.end(null, () => new Error("closed"));
  assertEquals(inbox.isFull(false), false);
  assertEquals(inbox.wait(true, false), null);
  assertEquals(await inbox.take(), "a");
  assertEquals(inbox.wait(true, false), null);
});

Deno.test("Gate decides by time: a call is held after 10 ms without a turn, not after a number of calls", async () => {
  await quickly(100, async () => {
    const turns: (() => void)[] = [];
    const gate = new Gate((callback) => turns.push(callback));
    const start = performance.now();
    while (gate.pass());
    const took = performance.now() - start;
    assert(took >= 10, `${took} ms`);
    let opened = false;
    gate.hold(() => opened = true);
    assertEquals(gate.pass(), false);
    turns.shift()!();
    assert(opened && gate.pass());
    await Promise.resolve();
    return took;
  });
});

Deno.test("Gate.read() asks for a turn after many small reads, and after 10 ms of others", async () => {
  const turns: (() => void)[] = [];
  const gate = new Gate((callback) => turns.push(callback));
  let reads = 1;
  let turn;
  while ((turn = gate.read(0)) === null) reads++;
  assertEquals(reads, 512);
  turns.shift()!();
  await turn;
  assertEquals(gate.read(performance.now() - 6), null);
  assert(gate.read(performance.now() - 6) !== null);
  assertEquals(gate.read(performance.now() - 6), null);
});

Deno.test("Inbox ends a window in time while no timer can fire", async () => {
  const inbox = createInbox();
  const batch = inbox.takeBatch(10, Infinity);
  const end = performance.now() + 20;
  let pushed = 0;
  while (performance.now() < end) inbox.push(`${pushed++}`);
  const late = 1000;
  for (let i = 0; i < late; i++) inbox.push(`${pushed++}`);

  const messages = await batch;
  assert(messages.length > 0 && messages.length <= pushed - late + 256);
  const rest = await inbox.takeBatch(0, Infinity);
  assertEquals(rest[0], `${messages.length}`);
  assertEquals(messages.length + rest.length, pushed);
});

Deno.test("Inbox costs the same for each message however long the queue is", async () => {
  // Half a million messages never leave the queue. Were a step to cost as much
  // as the queue is long, this would take hours.
  const inbox = createInbox();
  const LONG = 500_000;
  for (let i = 0; i < LONG; i++) inbox.push(String(i));
  for (let i = LONG; i < 2 * LONG; i++) {
    inbox.push(String(i));
    const taken = await inbox.take();
    if (taken !== String(i - LONG)) assertEquals(taken, String(i - LONG));
  }
  for (let i = 0; i < 1000; i++) {
    const [taken] = await inbox.takeBatch(0, 1);
    assertEquals(taken, String(LONG + i));
  }
  assertEquals(inbox.buffered.messages, LONG - 1000);
});

Deno.test("Inbox serves and aborts a long line of calls at the same cost for each", async () => {
  const inbox = createInbox();
  const controllers: AbortController[] = [];
  const calls: Promise<unknown>[] = [];
  const CALLS = 20_000;
  for (let i = 0; i < CALLS; i++) {
    const controller = new AbortController();
    controllers.push(controller);
    calls.push(
      inbox.take({ signal: controller.signal }).catch(() => "aborted"),
    );
  }
  for (let i = CALLS - 2; i >= 0; i -= 2) controllers[i]!.abort();
  for (let i = 0; i < CALLS / 2; i++) inbox.push(String(i));
  const taken = await Promise.all(calls);
  for (let i = 0; i < CALLS; i++) {
    assertEquals(taken[i], i % 2 === 0 ? "aborted" : String((i - 1) / 2));
  }
});

test("Inbox.wait() lets the source wait after a large read while messages are being taken", async (time) => {
  const inbox = createInbox();
  inbox.push("a");
  assertEquals(inbox.wait(true, false), null); // nobody has taken anything
  await inbox.take();
  pushAll(inbox, "b", "c");
  const wait = inbox.wait(true, false);
  assert(wait !== null);
  await inbox.take();
  assertEquals(await isSettled(time, wait), false);
  await inbox.take();
  assertEquals(await isSettled(time, wait), true);
  assertEquals(inbox.wait(true, false), null); // nothing waits
});

test("Inbox.wait() after a large read ends after 5 ms, when a batch collects, and at the end", async (time) => {
  const inbox = createInbox();
  const begin = async () => {
    inbox.push("a");
    inbox.push("b");
    await inbox.take();
    const wait = inbox.wait(true, false);
    assert(wait !== null);
    assertEquals(await isSettled(time, wait), false);
    return { wait };
  };
  const slow = await begin();
  time.tick(5);
  assertEquals(await isSettled(time, slow.wait), true);
  assertEquals(inbox.wait(true, false), null); // nothing was taken since

  const collecting = await begin();
  const batch = inbox.takeBatch(60_000, 10);
  assertEquals(await isSettled(time, collecting.wait), true);
  inbox.push("c");
  assertEquals(inbox.wait(true, false), null);
  time.tick(60_000);
  assertEquals(await batch, ["a", "b", "c"]);

  const ending = await begin();
  inbox.end(null, () => LOST);
  assertEquals(await isSettled(time, ending.wait), true);
});
