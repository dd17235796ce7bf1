import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { Gate } from "../src/gate.ts";
import { Inbox, type InboxOptions } from "../src/inbox.ts";
import { countingSignal } from "./fixtures/signal.ts";

type Message = string | Uint8Array;

/** Defines a test in whose time nothing passes by itself: what never comes fails at once. */
function test(name: string, fn: (time: FakeTime) => Promise<void>): void {
  Deno.test(name, async () => {
    using time = new FakeTime();
    await fn(time);
  });
}

function createInbox(
  { limit, ...options }:
    & Partial<Omit<InboxOptions, "limit">>
    & { limit?: { messages?: number; bytes?: number } } = {},
): Inbox<Message> {
  return new Inbox<Message>({
    limit: { messages: Infinity, bytes: Infinity, ...limit },
    overflow: "error",
    onOverflow: () => {
      throw new Error("an overflow that the test does not expect");
    },
    ...options,
  });
}

function pushAll(inbox: Inbox<Message>, ...messages: Message[]): void {
  for (const message of messages) inbox.push(message);
}

/** An inbox that ends itself on an overflow, as a connection does. */
function createBounded(limit: { messages?: number; bytes?: number }) {
  const error = new Error("overflow");
  let overflows = 0;
  const inbox = createInbox({
    limit,
    onOverflow: () => {
      overflows++;
      inbox.end({ error }, () => error);
    },
  });
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
const INVALID = new Error("not UTF-8");

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
  inbox.fail(INVALID, 3);
  inbox.push("b");
  assertEquals(inbox.buffered, { messages: 3, bytes: 5 });
  assertEquals(await inbox.take(), "a");
  assertStrictEquals(await assertRejects(() => inbox.take()), INVALID);
  assertEquals(inbox.buffered, { messages: 1, bytes: 1 });
  assertEquals(await inbox.take(), "b");
  const [first, second] = [inbox.take(), inbox.take()];
  inbox.fail(INVALID, 3);
  inbox.push("c");
  assertStrictEquals(await assertRejects(() => first), INVALID);
  assertEquals(await second, "c");
});

test("Inbox.fail() ends the batch before it; the next call gets the error", async () => {
  const inbox = createInbox();
  const other = new Error("another");
  const fails = async (batch: Promise<unknown>, error: Error) =>
    assertStrictEquals(await assertRejects(() => batch), error);
  const batch = inbox.takeBatch(60_000, Infinity);
  pushAll(inbox, "a", "b");
  inbox.fail(INVALID, 3);
  inbox.fail(other, 3);
  pushAll(inbox, "c", "d");
  assertEquals(await batch, ["a", "b"]);
  await fails(inbox.takeBatch(60_000, 5), INVALID);
  await fails(inbox.takeBatch(0, 5), other);
  assertEquals(await inbox.takeBatch(60_000, 2), ["c", "d"]);
  const waiting = inbox.takeBatch(60_000, Infinity);
  inbox.fail(INVALID, 3);
  await fails(waiting, INVALID);
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

/** An inbox whose source can be stopped, and what it was told. */
function createPausable(limit: { messages?: number; bytes?: number }) {
  const told: string[] = [];
  const inbox = createInbox({
    limit,
    overflow: "pause",
    onPause: () => told.push("pause"),
    onResume: () => told.push("resume"),
  });
  return { inbox, told };
}

test(`Inbox under "pause" asks once to pause past the limit, goes on below a quarter, and loses nothing`, async () => {
  for (const limit of [{ messages: 4 }, { bytes: 4 }]) {
    const { inbox, told } = createPausable(limit);
    pushAll(inbox, "a", "b", "c", "d");
    assertEquals(told, []);
    pushAll(inbox, "e", "f", "g", "h");
    assertEquals(told, ["pause"]);
    for (const message of ["a", "b", "c", "d", "e", "f"]) {
      assertEquals(await inbox.take(), message);
      assertEquals(told, ["pause"]);
    }
    assertEquals(await inbox.take(), "g");
    assertEquals(told, ["pause", "resume"]);
    assertEquals(inbox.buffered.messages, 1);
    pushAll(inbox, "i", "j", "k", "l");
    assertEquals(told, ["pause", "resume", "pause"]);
  }
});

test(`Inbox under "pause" goes on when a batch takes everything, and when it ends`, async () => {
  const { inbox, told } = createPausable({ messages: 1 });
  pushAll(inbox, "a", "b");
  assertEquals(told, ["pause"]);
  assertEquals(await inbox.takeBatch(0, Infinity), ["a", "b"]);
  assertEquals(told, ["pause", "resume"]);
  pushAll(inbox, "c", "d");
  inbox.end(null, () => BATCH_LOST);
  assertEquals(told, ["pause", "resume", "pause", "resume"]);
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

/** An inbox whose gate is shut by `fill()`, and opens when the test says so. */
function createHeld(options: Partial<InboxOptions> = {}) {
  const turns: (() => void)[] = [];
  const inbox = new Inbox<string>({
    limit: { messages: 5, bytes: Infinity },
    overflow: "drop-oldest",
    ...options,
    gate: new Gate((callback) => turns.push(callback)),
  });
  return {
    inbox,
    /** Polls until the gate is shut; the poll that it holds is given up. */
    async fill() {
      for (let held = false; !held;) {
        const controller = new AbortController();
        const { signal } = controller;
        const poll = inbox.take({ timeout: 0, signal }).catch(() => {});
        held = turns.length > 0;
        if (held) controller.abort();
        await poll;
      }
    },
    open: () => turns.shift()!(),
  };
}

test("Inbox keeps its limit while it holds a call back, whatever happens at it", async () => {
  for (const window of [0, 60_000]) {
    const { inbox, fill, open } = createHeld();
    await fill();
    const batch = inbox.takeBatch(window, Infinity);
    for (let i = 0; i < 1000; i++) {
      inbox.push(`${i}`);
      assert(inbox.buffered.messages <= 5, `${inbox.buffered.messages}`);
    }
    open();
    assertEquals(await batch, ["995", "996", "997", "998", "999"]);
    assertEquals(inbox.dropped, 995);
  }

  let pauses = 0;
  const onPause = () => pauses++;
  const paused = createHeld({ overflow: "pause", onPause });
  await paused.fill();
  const batch = paused.inbox.takeBatch(60_000, 7);
  for (let i = 0; i < 6; i++) paused.inbox.push(`${i}`);
  assertEquals(pauses, 1);
  paused.open();
  assertEquals((await batch).length, 6);

  let overflows = 0;
  const onOverflow = () => {
    overflows++;
    inbox.end({ error: LOST }, () => BATCH_LOST);
  };
  const { inbox, fill, open } = createHeld({ overflow: "error", onOverflow });
  await fill();
  const calls = [inbox.take(), inbox.takeBatch(0, 2)];
  for (let i = 0; i < 100; i++) inbox.push(`${i}`);
  assertEquals(overflows, 1);
  open();
  assertEquals(await Promise.all(calls), ["0", ["1", "2"]]);
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

test("waitForConsumer() asks the source to wait while messages are being taken", async (time) => {
  const inbox = createInbox();
  inbox.push("a");
  assertEquals(inbox.waitForConsumer(), null); // nobody has taken anything
  await inbox.take();
  pushAll(inbox, "b", "c");
  const wait = inbox.waitForConsumer();
  assert(wait !== null);
  await inbox.take();
  assertEquals(await isSettled(time, wait), false);
  await inbox.take();
  assertEquals(await isSettled(time, wait), true);
  assertEquals(inbox.waitForConsumer(), null); // nothing waits
});

test("waitForConsumer() ends after 5 ms, when a batch collects, and at the end", async (time) => {
  const inbox = createInbox();
  const begin = async () => {
    inbox.push("a");
    inbox.push("b");
    await inbox.take();
    const wait = inbox.waitForConsumer();
    assert(wait !== null);
    assertEquals(await isSettled(time, wait), false);
    return { wait };
  };
  const slow = await begin();
  time.tick(5);
  assertEquals(await isSettled(time, slow.wait), true);
  assertEquals(inbox.waitForConsumer(), null); // nothing was taken since

  const collecting = await begin();
  const batch = inbox.takeBatch(60_000, 10);
  assertEquals(await isSettled(time, collecting.wait), true);
  inbox.push("c");
  assertEquals(inbox.waitForConsumer(), null);
  time.tick(60_000);
  assertEquals(await batch, ["a", "b", "c"]);

  const ending = await begin();
  inbox.end(null, () => LOST);
  assertEquals(await isSettled(time, ending.wait), true);
});
