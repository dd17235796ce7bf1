import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { Gate } from "../src/gate.ts";
import { Inbox, type InboxOptions } from "../src/inbox.ts";

type Message = string | Uint8Array;

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

/** An inbox that ends itself on an overflow, as a connection does. */
function createBounded(limit: { messages?: number; bytes?: number }) {
  const error = new Error("overflow");
  let overflows = 0;
  const inbox = createInbox({
    limit,
    onOverflow: () => {
      overflows++;
      inbox.end({ error }, error);
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

const LOST = new Error("lost");
const BATCH_LOST = new Error("websocket closed");

Deno.test("Inbox gives messages in the order in which they were pushed", async () => {
  const inbox = createInbox();
  for (const message of ["a", "b", "c"]) inbox.push(message);
  assertEquals(await inbox.take(), "a");
  inbox.push("d");
  assertEquals(await inbox.take(), "b");
  assertEquals(await inbox.take(), "c");
  assertEquals(await inbox.take(), "d");
});

Deno.test("Inbox hands a message to the call that waits for it", async () => {
  const inbox = createInbox();
  const taken = inbox.take();
  inbox.push("a");
  assertEquals(inbox.buffered, { messages: 0, bytes: 0 });
  assertEquals(await taken, "a");
});

Deno.test("Inbox serves calls in the order in which they were made", async () => {
  const inbox = createInbox();
  const calls = [
    inbox.take(),
    inbox.takeBatch(60_000, 2),
    inbox.take({ timeout: 60_000 }),
    inbox.takeBatch(60_000, 1),
    inbox.take(),
  ];
  for (const message of ["a", "b", "c", "d", "e", "f"]) inbox.push(message);
  assertEquals(await Promise.all(calls), ["a", ["b", "c"], "d", ["e"], "f"]);
});

Deno.test("Inbox keeps what no call asked for behind those that did", async () => {
  const inbox = createInbox();
  const first = inbox.take();
  inbox.push("a");
  inbox.push("b");
  const batch = inbox.takeBatch(0, Infinity);
  assertEquals(await first, "a");
  assertEquals(await batch, ["b"]);
});

Deno.test("Inbox.buffered counts UTF-16 length for text and bytes for binary", async () => {
  const inbox = createInbox();
  inbox.push("héllo");
  inbox.push("😀");
  inbox.push(new Uint8Array(10));
  inbox.push("");
  assertEquals(inbox.buffered, { messages: 4, bytes: 17 });
  await inbox.take();
  assertEquals(inbox.buffered, { messages: 3, bytes: 12 });
  assertEquals(await inbox.takeBatch(0, 1), ["😀"]);
  assertEquals(inbox.buffered, { messages: 2, bytes: 10 });
  await inbox.takeBatch(0, Infinity);
  assertEquals(inbox.buffered, { messages: 0, bytes: 0 });
});

Deno.test("Inbox.buffered leaves out what a batch is collecting", async () => {
  const inbox = createInbox();
  inbox.push("abc");
  const controller = new AbortController();
  const batch = inbox.takeBatch(60_000, Infinity, controller.signal);
  inbox.push("d");
  assertEquals(inbox.buffered, { messages: 0, bytes: 0 });
  controller.abort(new Error("enough"));
  assertEquals(inbox.buffered, { messages: 2, bytes: 4 });
  await assertRejects(() => batch, Error, "enough");
});

Deno.test("Inbox.take() with a timeout rejects and consumes nothing", async () => {
  using time = new FakeTime();
  const inbox = createInbox();
  const taken = inbox.take({ timeout: 1000 });
  time.tick(999);
  assertEquals(await isSettled(time, taken), false);
  time.tick(1);
  const error = await assertRejects(() => taken, DOMException);
  assertEquals(error.name, "TimeoutError");
  inbox.push("a");
  assertEquals(await inbox.take(), "a");
});

Deno.test("Inbox.take() with a timeout of 0 takes what is there", async () => {
  const inbox = createInbox();
  inbox.push("a");
  assertEquals(await inbox.take({ timeout: 0 }), "a");
  const error = await assertRejects(
    () => inbox.take({ timeout: 0 }),
    DOMException,
  );
  assertEquals(error.name, "TimeoutError");
  inbox.push("b");
  assertEquals(await inbox.take(), "b");
  inbox.end(null, BATCH_LOST);
  assertEquals(await inbox.take({ timeout: 0 }), null);
});

Deno.test("Inbox.take() with a timeout of 0 does not overtake a call that waits", async () => {
  const inbox = createInbox();
  const earlier = inbox.take();
  await assertRejects(() => inbox.take({ timeout: 0 }), DOMException);
  inbox.push("a");
  assertEquals(await earlier, "a");
});

Deno.test("Inbox.take() that is aborted rejects with the reason and consumes nothing", async () => {
  const inbox = createInbox();
  const controller = new AbortController();
  const reason = new Error("enough");
  const taken = inbox.take({ signal: controller.signal });
  const later = inbox.take();
  controller.abort(reason);
  assertStrictEquals(await assertRejects(() => taken), reason);
  inbox.push("a");
  assertEquals(await later, "a");
  inbox.push("b");
  assertStrictEquals(
    await assertRejects(() => inbox.take({ signal: controller.signal })),
    reason,
  );
  assertEquals(await inbox.take(), "b");
});

Deno.test("Inbox leaves no timer and no listener behind a call that was served", async () => {
  const inbox = createInbox();
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (
    ...args: Parameters<typeof removeEventListener>
  ) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  const calls = [
    inbox.take({ timeout: 60_000, signal }),
    inbox.takeBatch(60_000, 1, signal),
    inbox.take({ timeout: 60_000, signal }),
  ];
  inbox.push("a");
  inbox.push("b");
  inbox.end(null, BATCH_LOST);
  assertEquals(await Promise.all(calls), ["a", ["b"], null]);
  assertEquals(listeners, 0);
});

Deno.test("Inbox.takeBatch() collects for its whole window", async () => {
  using time = new FakeTime();
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
});

Deno.test("Inbox.takeBatch() gives an empty array when nothing came", async () => {
  const inbox = createInbox();
  assertEquals(await inbox.takeBatch(1, Infinity), []);
  assertEquals(await inbox.takeBatch(0, Infinity), []);
});

Deno.test("Inbox.takeBatch() of 0 takes what is there", async () => {
  const inbox = createInbox();
  inbox.push("a");
  inbox.push("b");
  assertEquals(await inbox.takeBatch(0, Infinity), ["a", "b"]);
});

Deno.test("Inbox.takeBatch() ends at max, and leaves the rest", async () => {
  const inbox = createInbox();
  for (const message of ["a", "b", "c"]) inbox.push(message);
  assertEquals(await inbox.takeBatch(60_000, 2), ["a", "b"]);
  const batch = inbox.takeBatch(60_000, 2);
  inbox.push("d");
  inbox.push("e");
  assertEquals(await batch, ["c", "d"]);
  assertEquals(await inbox.take(), "e");
});

Deno.test("Inbox.takeBatch() that is aborted leaves everything where it was", async () => {
  const inbox = createInbox();
  const controller = new AbortController();
  inbox.push("a");
  const batch = inbox.takeBatch(60_000, Infinity, controller.signal);
  inbox.push("b");
  controller.abort();
  await assertRejects(() => batch, DOMException);
  inbox.push("c");
  assertEquals(await inbox.takeBatch(0, Infinity), ["a", "b", "c"]);
});

Deno.test("Inbox.takeBatch() that is aborted passes what it held to the next call", async () => {
  const inbox = createInbox();
  const controller = new AbortController();
  const batch = inbox.takeBatch(60_000, Infinity, controller.signal);
  const next = inbox.take();
  const last = inbox.takeBatch(60_000, 2);
  for (const message of ["a", "b", "c"]) inbox.push(message);
  controller.abort();
  await assertRejects(() => batch, DOMException);
  assertEquals(await next, "a");
  assertEquals(await last, ["b", "c"]);
});

Deno.test("Inbox.takeBatch() counts its window from the call, not from its turn", async () => {
  using time = new FakeTime();
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

Deno.test("Inbox.takeBatch() whose window is over takes what is there when its turn comes", async () => {
  using time = new FakeTime();
  const inbox = createInbox();
  const controller = new AbortController();
  const first = inbox.takeBatch(60_000, Infinity, controller.signal);
  const over = inbox.takeBatch(500, Infinity);
  inbox.push("a");
  time.tick(500);
  assertEquals(await isSettled(time, over), false);
  controller.abort();
  await assertRejects(() => first, DOMException);
  assertEquals(await over, ["a"]);
});

Deno.test("Inbox.takeBatch() whose window is over ends when the call before it is served", async () => {
  using time = new FakeTime();
  const inbox = createInbox();
  const first = inbox.take();
  const over = inbox.takeBatch(500, Infinity);
  time.tick(500);
  inbox.push("a");
  assertEquals(await first, "a");
  assertEquals(await isSettled(time, over), true);
  assertEquals(await over, []);
});

Deno.test("Inbox.takeBatch() ends early at the limit, by messages and by bytes", async () => {
  for (const limit of [{ messages: 3 }, { bytes: 6 }]) {
    const { inbox, overflows } = createBounded(limit);
    const batch = inbox.takeBatch(60_000, Infinity);
    for (const message of ["aa", "bb", "cc"]) inbox.push(message);
    assertEquals(await batch, ["aa", "bb", "cc"]);
    assertEquals(overflows(), 0);
  }
});

Deno.test("Inbox.takeBatch() ends early at once when the inbox is full already", async () => {
  const { inbox } = createBounded({ messages: 2 });
  inbox.push("a");
  inbox.push("b");
  assertEquals(await inbox.takeBatch(60_000, Infinity), ["a", "b"]);
});

Deno.test("Inbox ends cleanly with null for ever, after what was pushed", async () => {
  const inbox = createInbox();
  inbox.push("a");
  inbox.end(null, BATCH_LOST);
  inbox.push("too late");
  assertEquals(await inbox.take(), "a");
  for (let i = 0; i < 3; i++) {
    assertEquals(await inbox.take(), null);
    assertStrictEquals(
      await assertRejects(() => inbox.takeBatch(60_000, Infinity)),
      BATCH_LOST,
    );
  }
});

Deno.test("Inbox ends with the same error for ever, after what was pushed", async () => {
  const inbox = createInbox();
  inbox.push("a");
  inbox.end({ error: LOST }, BATCH_LOST);
  assertEquals(await inbox.take(), "a");
  for (let i = 0; i < 3; i++) {
    assertStrictEquals(await assertRejects(() => inbox.take()), LOST);
    assertStrictEquals(
      await assertRejects(() => inbox.takeBatch(0, Infinity)),
      BATCH_LOST,
    );
  }
});

Deno.test("Inbox ends every call that waits, in order", async () => {
  const inbox = createInbox();
  const calls = [
    inbox.take(),
    inbox.takeBatch(60_000, Infinity),
    inbox.take({ timeout: 60_000 }),
  ].map((call) => call.catch((error) => error));
  inbox.end({ error: LOST }, BATCH_LOST);
  assertEquals(await Promise.all(calls), [LOST, BATCH_LOST, LOST]);
});

Deno.test("Inbox ends a batch with what it has collected", async () => {
  const inbox = createInbox();
  const batch = inbox.takeBatch(60_000, Infinity);
  const next = inbox.takeBatch(60_000, Infinity);
  inbox.push("a");
  inbox.end({ error: LOST }, BATCH_LOST);
  assertEquals(await batch, ["a"]);
  assertStrictEquals(await assertRejects(() => next), BATCH_LOST);
});

Deno.test("Inbox ends once: only the first end counts", async () => {
  const inbox = createInbox();
  inbox.end(null, BATCH_LOST);
  inbox.end({ error: LOST }, LOST);
  assertEquals(await inbox.take(), null);
  assertEquals(inbox.outcome, null);
});

Deno.test("Inbox.outcome is how the stream ended", () => {
  const inbox = createInbox();
  assertEquals(inbox.outcome, null);
  inbox.end({ error: LOST }, BATCH_LOST);
  assertEquals(inbox.outcome, { error: LOST });
});

Deno.test("Inbox.fail() puts an error in its place among the messages", async () => {
  const inbox = createInbox();
  const error = new Error("not UTF-8");
  inbox.push("a");
  inbox.fail(error, 3);
  inbox.push("b");
  assertEquals(inbox.buffered, { messages: 3, bytes: 5 });
  assertEquals(await inbox.take(), "a");
  assertStrictEquals(await assertRejects(() => inbox.take()), error);
  assertEquals(inbox.buffered, { messages: 1, bytes: 1 });
  assertEquals(await inbox.take(), "b");
});

Deno.test("Inbox.fail() rejects the call that waits, and no other", async () => {
  const inbox = createInbox();
  const error = new Error("not UTF-8");
  const [first, second] = [inbox.take(), inbox.take()];
  inbox.fail(error, 3);
  inbox.push("a");
  assertStrictEquals(await assertRejects(() => first), error);
  assertEquals(await second, "a");
});

Deno.test("Inbox.fail() ends the batch before it; the next call gets the error", async () => {
  const inbox = createInbox();
  const error = new Error("not UTF-8");
  const batch = inbox.takeBatch(60_000, Infinity);
  inbox.push("a");
  inbox.push("b");
  inbox.fail(error, 3);
  inbox.push("c");
  assertEquals(await batch, ["a", "b"]);
  assertStrictEquals(
    await assertRejects(() => inbox.takeBatch(60_000, Infinity)),
    error,
  );
  assertEquals(await inbox.takeBatch(0, Infinity), ["c"]);
});

Deno.test("Inbox.fail() ends each of several batches", async () => {
  const inbox = createInbox();
  const [first, second] = [new Error("first"), new Error("second")];
  inbox.push("a");
  inbox.fail(first, 1);
  inbox.fail(second, 1);
  inbox.push("b");
  inbox.push("c");
  assertEquals(await inbox.takeBatch(60_000, 5), ["a"]);
  assertStrictEquals(await assertRejects(() => inbox.takeBatch(0, 5)), first);
  assertStrictEquals(
    await assertRejects(() => inbox.takeBatch(60_000, 5)),
    second,
  );
  assertEquals(await inbox.takeBatch(60_000, 2), ["b", "c"]);
});

Deno.test("Inbox.fail() with nothing before it rejects the batch that waits", async () => {
  const inbox = createInbox();
  const error = new Error("not UTF-8");
  const batch = inbox.takeBatch(60_000, Infinity);
  inbox.fail(error, 3);
  assertStrictEquals(await assertRejects(() => batch), error);
});

Deno.test(`Inbox under "error" tells an overflow once, and keeps what was there`, async () => {
  for (const limit of [{ messages: 2 }, { bytes: 2 }]) {
    const { inbox, error, overflows } = createBounded(limit);
    for (const message of ["a", "b", "c", "d"]) inbox.push(message);
    assertEquals(overflows(), 1);
    assertEquals(inbox.buffered, { messages: 2, bytes: 2 });
    assertEquals(await inbox.takeBatch(0, Infinity), ["a", "b"]);
    assertStrictEquals(await assertRejects(() => inbox.take()), error);
    assertEquals(inbox.dropped, 0);
  }
});

Deno.test(`Inbox under "error" does not count a message that a call waits for`, async () => {
  const { inbox, overflows } = createBounded({ bytes: 1 });
  const taken = inbox.take();
  inbox.push("much longer than the limit");
  assertEquals(await taken, "much longer than the limit");
  const batch = inbox.takeBatch(60_000, Infinity);
  inbox.push("longer than the limit, too");
  assertEquals(await batch, ["longer than the limit, too"]);
  assertEquals(overflows(), 0);
  inbox.push("ab");
  assertEquals(overflows(), 1);
});

Deno.test(`Inbox under "error" counts an error's bytes, too`, () => {
  const { inbox, overflows } = createBounded({ bytes: 10 });
  inbox.fail(new Error("not UTF-8"), 10);
  assertEquals(overflows(), 0);
  inbox.push("a");
  assertEquals(overflows(), 1);
});

Deno.test(`Inbox under "drop-oldest" discards from the front, and counts`, async () => {
  const inbox = createInbox({
    limit: { messages: 2 },
    overflow: "drop-oldest",
  });
  for (const message of ["a", "b", "c", "d", "e"]) inbox.push(message);
  assertEquals(inbox.dropped, 3);
  assertEquals(await inbox.takeBatch(0, Infinity), ["d", "e"]);
  assertEquals(inbox.dropped, 3);
});

Deno.test(`Inbox under "drop-oldest" discards as much as the bytes ask for`, async () => {
  const inbox = createInbox({ limit: { bytes: 4 }, overflow: "drop-oldest" });
  for (const message of ["a", "b", "c", "ddd"]) inbox.push(message);
  assertEquals(inbox.dropped, 2);
  assertEquals(inbox.buffered, { messages: 2, bytes: 4 });
  inbox.push("longer than the limit");
  assertEquals(inbox.dropped, 5);
  assertEquals(inbox.buffered, { messages: 0, bytes: 0 });
  inbox.push("e");
  assertEquals(await inbox.take(), "e");
});

Deno.test(`Inbox under "drop-oldest" discards nothing while a call waits`, async () => {
  const inbox = createInbox({
    limit: { messages: 2 },
    overflow: "drop-oldest",
  });
  const batch = inbox.takeBatch(60_000, Infinity);
  inbox.push("a");
  inbox.push("b");
  inbox.push("c");
  assertEquals(await batch, ["a", "b"]);
  assertEquals(inbox.dropped, 0);
  assertEquals(await inbox.take(), "c");
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

Deno.test(`Inbox under "pause" asks once to pause past the limit, and loses nothing`, async () => {
  for (const limit of [{ messages: 4 }, { bytes: 4 }]) {
    const { inbox, told } = createPausable(limit);
    for (const message of ["a", "b", "c", "d"]) inbox.push(message);
    assertEquals(told, []);
    for (const message of ["e", "f", "g", "h"]) inbox.push(message);
    assertEquals(told, ["pause"]);
    for (const message of ["a", "b", "c", "d", "e", "f"]) {
      assertEquals(await inbox.take(), message);
      assertEquals(told, ["pause"]);
    }
    assertEquals(await inbox.take(), "g");
    assertEquals(told, ["pause", "resume"]);
    assertEquals(inbox.buffered.messages, 1);
    for (const message of ["i", "j", "k", "l"]) inbox.push(message);
    assertEquals(told, ["pause", "resume", "pause"]);
  }
});

Deno.test(`Inbox under "pause" goes on when a batch takes everything`, async () => {
  const { inbox, told } = createPausable({ messages: 1 });
  inbox.push("a");
  inbox.push("b");
  assertEquals(told, ["pause"]);
  assertEquals(await inbox.takeBatch(0, Infinity), ["a", "b"]);
  assertEquals(told, ["pause", "resume"]);
});

Deno.test(`Inbox under "pause" does not pause while a batch collects`, async () => {
  const { inbox, told } = createPausable({ messages: 3 });
  const batch = inbox.takeBatch(60_000, Infinity);
  for (const message of ["a", "b", "c"]) inbox.push(message);
  assertEquals(await batch, ["a", "b", "c"]);
  assertEquals(told, []);
});

Deno.test(`Inbox under "pause" goes on when it ends`, () => {
  const { inbox, told } = createPausable({ messages: 1 });
  inbox.push("a");
  inbox.push("b");
  inbox.end(null, BATCH_LOST);
  assertEquals(told, ["pause", "resume"]);
});

Deno.test("Inbox does not starve the event loop in a loop of calls that need no waiting", async () => {
  for (
    const call of [
      (inbox: Inbox<Message>) => inbox.take(),
      (inbox: Inbox<Message>) => inbox.take({ timeout: 60_000 }),
      (inbox: Inbox<Message>) => inbox.takeBatch(0, 1),
      (inbox: Inbox<Message>) => inbox.takeBatch(60_000, 1),
    ]
  ) {
    const inbox = createInbox();
    for (let i = 0; i < 100_000; i++) inbox.push(String(i));
    let stop = false;
    const timer = setTimeout(() => stop = true, 0);
    let taken = 0;
    while (!stop && taken < 100_000) {
      assertEquals([await call(inbox)].flat(), [String(taken++)]);
    }
    clearTimeout(timer);
    assertEquals(stop, true, "the timer never fired");
  }
});

Deno.test("Inbox does not starve the event loop once it has ended", async () => {
  const inbox = createInbox();
  inbox.end(null, BATCH_LOST);
  let stop = false;
  const timer = setTimeout(() => stop = true, 0);
  for (let i = 0; !stop && i < 1_000_000; i++) await inbox.take();
  clearTimeout(timer);
  assertEquals(stop, true, "the timer never fired");
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

for (
  const make of [
    (inbox: Inbox<string>) => inbox.takeBatch(0, Infinity),
    (inbox: Inbox<string>) => inbox.takeBatch(60_000, Infinity),
  ]
) {
  Deno.test(`Inbox keeps its limit while it holds back ${make}`, async () => {
    const { inbox, fill, open } = createHeld();
    await fill();
    const batch = make(inbox);
    for (let i = 0; i < 1000; i++) {
      inbox.push(`${i}`);
      assert(inbox.buffered.messages <= 5, `${inbox.buffered.messages}`);
    }
    assertEquals(inbox.buffered.messages, 5);
    open();
    assertEquals(await batch, ["995", "996", "997", "998", "999"]);
    assertEquals(inbox.dropped, 995);
  });
}

Deno.test("Inbox overflows while it holds a call back, and serves it in its turn", async () => {
  let overflows = 0;
  const { inbox, fill, open } = createHeld({
    overflow: "error",
    onOverflow: () => {
      overflows++;
      inbox.end({ error: LOST }, BATCH_LOST);
    },
  });
  await fill();
  const [first, batch] = [inbox.take(), inbox.takeBatch(0, 2)];
  for (let i = 0; i < 100; i++) inbox.push(`${i}`);
  assertEquals(overflows, 1);
  open();
  assertEquals(await first, "0");
  assertEquals(await batch, ["1", "2"]);
});

Deno.test("Inbox pauses its source while it holds a call back", async () => {
  let pauses = 0;
  const { inbox, fill, open } = createHeld({
    overflow: "pause",
    onPause: () => pauses++,
  });
  await fill();
  const batch = inbox.takeBatch(60_000, 7);
  for (let i = 0; i < 6; i++) inbox.push(`${i}`);
  assertEquals(pauses, 1);
  open();
  assertEquals((await batch).length, 6);
});

Deno.test("Inbox serves held calls in the order in which they were made", async () => {
  const { inbox, fill, open } = createHeld();
  await fill();
  const order: string[] = [];
  const calls = [
    inbox.take().then((it) => order.push(`1 ${it}`)),
    inbox.takeBatch(0, 2).then((it) => order.push(`2 ${it}`)),
    inbox.take({ timeout: 0 }).then((it) => order.push(`3 ${it}`)),
  ];
  for (const message of ["a", "b", "c", "d"]) inbox.push(message);
  assertEquals(order, []);
  open();
  await Promise.all(calls);
  assertEquals(order, ["1 a", "2 b,c", "3 d"]);
});

Deno.test("Inbox forgets a held call that is aborted, and keeps what it would have taken", async () => {
  const { inbox, fill, open } = createHeld();
  await fill();
  const controller = new AbortController();
  const aborted = inbox.take({ signal: controller.signal });
  const batch = inbox.takeBatch(60_000, 9, controller.signal);
  inbox.push("a");
  controller.abort(new Error("stop"));
  await assertRejects(() => aborted, Error, "stop");
  await assertRejects(() => batch, Error, "stop");
  open();
  assertEquals(await inbox.take(), "a");
});

Deno.test("Inbox never stops serving recvBatch(0) on a fast feed", async () => {
  const inbox = createInbox();
  let got = 0;
  for (let i = 0; i < 5000; i++) {
    const batch = inbox.takeBatch(0, Infinity);
    for (let j = 0; j < 256; j++) inbox.push("x");
    got += (await batch).length;
  }
  got += (await inbox.takeBatch(0, Infinity)).length;
  assertEquals(got, 5000 * 256);
});

Deno.test("Inbox lets the event loop run while calls poll behind a waiting call", async () => {
  const inbox = createInbox();
  const waiting = inbox.take();
  let stop = false;
  const timer = setTimeout(() => {
    stop = true;
    inbox.push("a");
  }, 0);
  for (let i = 0; !stop && i < 1_000_000; i++) {
    await inbox.take({ timeout: 0 }).catch(() => {});
  }
  clearTimeout(timer);
  assertEquals(stop, true, "the timer never fired");
  assertEquals(await waiting, "a");
});

Deno.test("Inbox aborts and times out calls while it gives way to the event loop", async () => {
  const inbox = createInbox();
  const controller = new AbortController();
  inbox.push("a");
  for (let i = 0; i < 3000; i++) {
    const aborted = inbox.take({ signal: AbortSignal.abort() });
    await assertRejects(() => aborted, DOMException);
    const taken = inbox.take({ signal: controller.signal });
    inbox.push("b");
    assertEquals(await taken, i === 0 ? "a" : "b");
  }
  assertEquals(await inbox.takeBatch(0, Infinity), ["b"]);
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

Deno.test("Inbox waits longer than 2^31-1 ms", async () => {
  using time = new FakeTime();
  const inbox = createInbox();
  const longest = 2 ** 31 - 1;
  const taken = inbox.take({ timeout: 2 * longest });
  const batch = inbox.takeBatch(2 * longest, Infinity);
  time.tick(longest);
  time.tick(longest - 1);
  assertEquals(await isSettled(time, taken), false);
  assertEquals(await isSettled(time, batch), false);
  time.tick(1);
  await assertRejects(() => taken, DOMException);
  assertEquals(await batch, []);
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

Deno.test("headStart() asks the source to wait while messages are being taken", async () => {
  using time = new FakeTime();
  const inbox = createInbox();
  inbox.push("a");
  assertEquals(inbox.headStart(), null); // nobody has taken anything
  await inbox.take();
  for (const message of ["b", "c"]) inbox.push(message);
  const wait = inbox.headStart();
  assert(wait !== null);
  await inbox.take();
  assertEquals(await isSettled(time, wait), false);
  await inbox.take();
  assertEquals(await isSettled(time, wait), true);
  assertEquals(inbox.headStart(), null); // nothing waits
});

Deno.test("headStart() ends after 5 ms, when a batch collects, and at the end", async () => {
  using time = new FakeTime();
  const inbox = createInbox();
  const begin = async () => {
    inbox.push("a");
    inbox.push("b");
    await inbox.take();
    const wait = inbox.headStart();
    assert(wait !== null);
    assertEquals(await isSettled(time, wait), false);
    return { wait };
  };
  const slow = await begin();
  time.tick(5);
  assertEquals(await isSettled(time, slow.wait), true);
  assertEquals(inbox.headStart(), null); // nothing was taken since

  const collecting = await begin();
  const batch = inbox.takeBatch(60_000, 10);
  assertEquals(await isSettled(time, collecting.wait), true);
  inbox.push("c");
  assertEquals(inbox.headStart(), null);
  time.tick(60_000);
  assertEquals(await batch, ["a", "b", "c"]);

  const ending = await begin();
  inbox.end(null, LOST);
  assertEquals(await isSettled(time, ending.wait), true);
});
