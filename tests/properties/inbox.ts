/**
 * The inbox against a model of it, in random interleavings of all that can
 * happen to it.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { Inbox } from "../../src/inbox.ts";
import { fakeClock } from "../fixtures/clock.ts";
import { property } from "./property.ts";

type Step =
  | { do: "push"; size: number }
  | { do: "fail"; size: number }
  | { do: "take"; timeout: number | undefined }
  | { do: "batch"; duration: number; max: number }
  | { do: "abort"; call: number }
  | { do: "wait"; time: number }
  | { do: "shut" }
  | { do: "open" }
  | { do: "end"; clean: boolean };

/** What an inbox is made with, and what happens to it. */
interface Story {
  overflow: "error" | "drop-oldest" | "pause";
  limit: { messages: number; bytes: number };
  steps: Step[];
}

const time = fc.constantFrom(0, 1, 5, 10, 50);
const size = (min: number) => fc.integer({ min, max: 12 });

/** A kind of step, as often as its weight says. */
function often<T extends Step["do"]>(
  weight: number,
  kind: T,
  fields: Record<string, fc.Arbitrary<unknown>> = {},
) {
  const arbitrary = fc.record({ do: fc.constant(kind), ...fields });
  return { weight, arbitrary: arbitrary as fc.Arbitrary<unknown> };
}

const step = fc.oneof(
  often(8, "push", { size: size(3) }),
  often(1, "fail", { size: size(1) }),
  often(5, "take", { timeout: fc.option(time, { nil: undefined }) }),
  often(4, "batch", {
    duration: time,
    max: fc.constantFrom(1, 2, 3, Infinity),
  }),
  often(3, "abort", { call: fc.nat(20) }),
  often(3, "wait", { time }),
  often(2, "shut"),
  often(3, "open"),
  often(1, "end", { clean: fc.boolean() }),
) as fc.Arbitrary<Step>;

const story: fc.Arbitrary<Story> = fc.record({
  overflow: fc.constantFrom("error", "drop-oldest", "pause"),
  limit: fc.record({
    messages: fc.constantFrom(1, 2, 4, 8, Infinity),
    bytes: fc.constantFrom(4, 20, 60, Infinity),
  }),
  steps: fc.array(step, { maxLength: 60 }),
});

/** A message or a failure, as the results of calls show it. */
interface Item {
  text: string;
  size: number;
  failure: boolean;
}

interface Call {
  id: number;
  /** 0 for a single message, else the most of a batch. */
  max: number;
  /** When its time is up; `Infinity` for never. */
  due: number;
  /** A single call without time: it takes what is there when it goes on, or gives up. */
  atOnce: boolean;
  expired: boolean;
}

/** What the documents say of the queue, in the plainest way. */
class Model {
  queue: Item[] = [];
  calls: Call[] = [];
  /** Calls that are held back to let the event loop run: nobody waits yet. */
  held: Call[] = [];
  /** Whether a call has been held back since the gate was open last, be it settled by now or not. */
  holding = false;
  shut = false;
  results = new Map<number, string>();
  end: string | null = null;
  dropped = 0;
  now = 0;

  constructor(readonly story: Story) {}

  get bytes(): number {
    return this.queue.reduce((sum, { size }) => sum + size, 0);
  }

  get collecting(): boolean {
    return this.calls.length > 0 && this.calls[0]!.max > 0;
  }

  beyond(messages: number, bytes: number): boolean {
    const { limit } = this.story;
    return messages > limit.messages || bytes > limit.bytes;
  }

  push(item: Item): void {
    // A message shows that the event loop had its turn.
    if (this.holding) this.open();
    // An error ends the batch before it.
    if (item.failure && this.collecting && this.queue.length > 0) {
      this.calls[0]!.expired = true;
      this.serve();
      return this.push(item);
    }
    if (this.end !== null) return;
    if (this.calls.length === 0 && this.story.overflow === "error") {
      if (this.beyond(this.queue.length + 1, this.bytes + item.size)) {
        return this.finish("overflow");
      }
    }
    this.queue.push(item);
    if (this.calls.length === 0 && this.story.overflow === "drop-oldest") {
      while (this.beyond(this.queue.length, this.bytes)) {
        this.queue.shift();
        this.dropped++;
      }
    }
    this.serve();
  }

  finish(end: string): void {
    this.end ??= end;
    this.serve();
  }

  open(): void {
    this.shut = this.holding = false;
    for (const call of this.held.splice(0)) this.call(call);
  }

  call(call: Call): void {
    if (this.shut) {
      this.holding = true;
      this.held.push(call);
      return;
    }
    this.calls.push(call);
    this.serve();
    if (call.atOnce) this.expire(call); // wherever it stands
  }

  abort(id: number): void {
    this.remove(id, "aborted");
  }

  wait(time: number): void {
    const until = this.now + time;
    while (true) {
      const next = [...this.calls, ...this.held]
        .filter((call) => !call.expired && call.due <= until)
        // A call that is held back gets the end, as soon as the loop has had its turn.
        .filter(() => this.end === null)
        .sort((a, b) => a.due - b.due || a.id - b.id)[0];
      if (next === undefined) break;
      this.now = Math.max(this.now, next.due);
      this.expire(next);
    }
    this.now = until;
  }

  expire(call: Call): void {
    if (!this.calls.includes(call) && !this.held.includes(call)) return;
    call.expired = true;
    if (call.max === 0) this.remove(call.id, "timeout");
    else this.serve();
  }

  remove(id: number, result: string): void {
    for (const list of [this.calls, this.held]) {
      const at = list.findIndex((call) => call.id === id);
      if (at === -1) continue;
      list.splice(at, 1);
      this.results.set(id, result);
      this.serve();
    }
  }

  serve(): void {
    while (this.calls.length > 0) {
      const result = this.resultFor(this.calls[0]!);
      if (result === null) return;
      this.results.set(this.calls.shift()!.id, result);
    }
  }

  resultFor(call: Call): string | null {
    if (call.max === 0) {
      const item = this.queue.shift();
      if (item !== undefined) return item.text;
      return this.end === null ? null : `end: ${this.end}`;
    }
    const failure = this.queue.findIndex((item) => item.failure);
    const ready = failure === -1 ? this.queue.length : failure;
    const { limit } = this.story;
    const part = this.story.overflow === "pause" ? 4 : 1;
    const full = this.queue.length >= limit.messages / part ||
      this.bytes >= limit.bytes / part;
    if (
      ready < call.max && failure === -1 && !full && !call.expired &&
      this.end === null
    ) return null;
    if (ready > 0) {
      const taken = this.queue.splice(0, Math.min(ready, call.max));
      return taken.map((item) => item.text).join();
    }
    if (failure === 0) return this.queue.shift()!.text;
    return this.end === null ? "" : `batch end: ${this.end}`;
  }
}

/** A gate that is shut and opened by the story. */
class TestGate {
  shut = false;
  #held: (() => void)[] = [];

  pass(): boolean {
    return !this.shut;
  }

  hold(goOn: () => void): void {
    this.#held.push(goOn);
  }

  reset(): void {}

  open(): void {
    this.shut = false;
    for (const goOn of this.#held.splice(0)) goOn();
  }
}

/** An inbox with the same story told to it. */
class Real {
  readonly results = new Map<number, string>();
  readonly controllers: AbortController[] = [];
  readonly inbox: Inbox<string>;
  /** Whether the source waits. */
  paused = false;
  readonly gate = new TestGate();
  readonly #owner = {};

  constructor({ overflow, limit }: Story) {
    this.inbox = new Inbox<string>({
      limit,
      overflow,
      onOverflow: () => this.finish("overflow"),
      toError: (message) => new Error(message.trimEnd()),
    }, this.gate);
  }

  /** The source asks whether it may go on, unless it waits. */
  ask(): void {
    if (this.paused) return;
    const wait = this.inbox.wait(false, false);
    if (wait === null) return;
    this.paused = true;
    wait.then(() => this.paused = false);
  }

  finish(end: string): void {
    const outcome = end === "clean" ? null : { error: `end: ${end}` };
    this.inbox.end(outcome, () => `batch end: ${end}`);
  }

  call(id: number, max: number, duration: number | undefined): void {
    const controller = new AbortController();
    this.controllers.push(controller);
    const { signal } = controller;
    const result: Promise<string | string[] | null> = max > 0
      ? this.inbox.takeBatch(duration!, max, signal)
      : duration === undefined && id % 4 === 0
      ? this.inbox.take() // which has a way of its own
      : duration === undefined && id % 4 === 2
      ? this.inbox.next(() => false, this.#owner).then(({ value }) =>
        value ?? null
      )
      : this.inbox.take({ timeout: duration, signal });
    result.then(
      (value) =>
        this.results.set(id, value === null ? "end: clean" : `${value}`),
      (error) =>
        this.results.set(
          id,
          error?.name === "TimeoutError"
            ? "timeout"
            : `${error?.message ?? error}`,
        ),
    );
  }
}

/** Tells a story to both, and compares what they make of each step. */
async function tell(story: Story): Promise<void> {
  using clock = fakeClock();
  const model = new Model(story);
  const real = new Real(story);
  let calls = 0;
  let pushed = 0;
  const last = [{ do: "open" }, { do: "end", clean: true }] as const;
  for (const step of [...story.steps, ...last]) {
    switch (step.do) {
      case "push": {
        const text = `${pushed++}`.padEnd(step.size, ".");
        model.push({ text, size: text.length, failure: false });
        real.inbox.push(text);
        break;
      }
      case "fail": {
        const text = `failure ${pushed++}`;
        const size = text.length + step.size;
        model.push({ text, size, failure: true });
        real.inbox.fail(text.padEnd(size));
        break;
      }
      case "take":
      case "batch": {
        const id = calls++;
        const max = step.do === "batch" ? step.max : 0;
        const duration = step.do === "batch" ? step.duration : step.timeout;
        // The clock is told before: a batch of no time is over at once.
        model.call({
          id,
          max,
          due: duration ? model.now + duration : Infinity,
          atOnce: max === 0 && duration === 0,
          expired: max > 0 && duration === 0,
        });
        real.call(id, max, duration);
        break;
      }
      case "abort":
        // A call without a signal cannot be aborted: take() without options.
        if (step.call < calls && abortable(story, step.call)) {
          model.abort(step.call);
          real.controllers[step.call]!.abort("aborted");
        }
        break;
      case "wait":
        model.wait(step.time);
        await clock.tickAsync(step.time);
        break;
      case "shut":
        model.shut = real.gate.shut = true;
        break;
      case "open":
        model.open();
        real.gate.open();
        break;
      case "end":
        model.finish(step.clean ? "clean" : "lost");
        real.finish(step.clean ? "clean" : "lost");
    }
    await clock.runMicrotasks();
    if (story.overflow === "pause") real.ask();
    await clock.runMicrotasks();
    compare(model, real);
  }
}

/** Whether a call was made with a signal. */
function abortable(story: Story, call: number): boolean {
  const made = story.steps.filter((it) =>
    it.do === "take" || it.do === "batch"
  );
  const step = made[call]!;
  return step.do === "batch" || step.timeout !== undefined || call % 2 === 1;
}

function compare(model: Model, real: Real): void {
  assertEquals(
    [...real.results].sort(([a], [b]) => a - b),
    [...model.results].sort(([a], [b]) => a - b),
  );
  assertEquals(
    real.inbox.buffered,
    model.collecting
      ? { messages: 0, bytes: 0 }
      : { messages: model.queue.length, bytes: model.bytes },
  );
  assertEquals(real.inbox.dropped, model.dropped);
  if (model.story.overflow !== "pause") {
    const { messages, bytes } = real.inbox.buffered;
    const { limit } = model.story;
    assert(messages <= limit.messages, `${messages} messages wait`);
    assert(bytes <= limit.bytes, `${bytes} bytes wait`);
  }
  if (model.story.overflow !== "pause") return assert(!real.paused);
  // It may stay paused only while there is more than a quarter of the mark.
  const mark = {
    messages: model.story.limit.messages / 4,
    bytes: model.story.limit.bytes / 4,
  };
  const low = model.queue.length <= mark.messages / 4 &&
    model.bytes <= mark.bytes / 4;
  if (low || model.collecting || model.end !== null) {
    assert(!real.paused, "the source stands still");
  } else if (model.calls.length === 0) {
    const over = model.queue.length > mark.messages ||
      model.bytes > mark.bytes;
    assert(real.paused || !over, "the source runs on past the limit");
  }
}

export const inbox = [
  property(
    "Inbox loses, repeats and reorders nothing, whatever happens to it",
    200,
    story,
    tell,
    [{
      // A call that is held back, and times out before a message opens the gate.
      overflow: "error",
      limit: { messages: 1, bytes: 4 },
      steps: [
        { do: "shut" },
        { do: "take", timeout: 1 },
        { do: "wait", time: 50 },
        { do: "push", size: 3 },
        { do: "take", timeout: undefined },
      ],
    }],
  ),
  property(
    "Inbox gives way to the event loop, and keeps the order, in any number of settled calls",
    10,
    fc.array(fc.tuple(fc.integer({ min: 1, max: 3000 }), fc.boolean()), {
      minLength: 1,
      maxLength: 6,
    }),
    async (blocks) => {
      const inbox = new Inbox<string>({
        limit: { messages: Infinity, bytes: Infinity },
        overflow: "error",
      });
      let pushed = 0;
      let taken = 0;
      for (const [count, waitFirst] of blocks) {
        const calls: Promise<string | string[] | null>[] = [];
        const call = () => {
          calls.push(
            calls.length % 7 === 6
              ? inbox.takeBatch(0, 1)
              : inbox.take(calls.length % 2 ? { timeout: 60_000 } : {}),
          );
        };
        if (waitFirst) call();
        for (let i = 0; i < count; i++) inbox.push(`${pushed++}`);
        while (calls.length < count) call();
        for (const result of await Promise.all(calls)) {
          assertEquals(`${result}`, `${taken++}`);
        }
      }
      assertEquals(taken, pushed);
      inbox.end(null, () => new Error("over")); // and its timer
    },
  ),
];
