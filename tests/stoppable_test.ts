import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { StoppableGenerator } from "../src/stoppable.ts";

const DONE = { done: true, value: undefined } as const;

/** Yields 1, then waits until it is stopped, and tells when it has cleaned up. */
function oneThenWait(cleanup: () => void | Promise<void> = () => {}) {
  return new StoppableGenerator(async function* (signal) {
    try {
      yield 1;
      await new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason))
      );
    } finally {
      await cleanup();
    }
  });
}

Deno.test("StoppableGenerator yields what its steps yield, and ends with them", async () => {
  const steps = new StoppableGenerator(async function* () {
    yield 1;
    yield 2;
  });
  assertEquals(await Array.fromAsync(steps), [1, 2]);
  assertEquals(await steps.next(), DONE);
});

Deno.test("StoppableGenerator aborts the signal of its steps when they end, by themselves or by an error", async () => {
  const signals: AbortSignal[] = [];
  const own = new Error("its own");
  const fine = new StoppableGenerator(async function* (signal) {
    signals.push(signal);
    yield 1;
  });
  await fine.next();
  assertEquals(signals[0]!.aborted, false);
  assertEquals(await fine.next(), DONE);
  const broken = new StoppableGenerator(async function* (signal) {
    signals.push(signal);
    yield 1;
    throw own;
  });
  await broken.next();
  assertStrictEquals(await assertRejects(() => broken.next()), own);
  assertEquals(await broken.next(), DONE);
  assertEquals(signals.map(({ aborted }) => aborted), [true, true]);
});

Deno.test("return() settles the calls that wait at once, and resolves after the clean-up", async () => {
  const cleanup = Promise.withResolvers<void>();
  const steps = oneThenWait(() => cleanup.promise);
  await steps.next();
  const pending = [steps.next(), steps.next()];
  let returned = false;
  const returning = steps.return().then((result) => {
    returned = true;
    return result;
  });
  assertEquals(await Promise.all(pending), [DONE, DONE]);
  assertEquals(returned, false);
  cleanup.resolve();
  assertEquals(await returning, DONE);
  assertEquals(await steps.next(), DONE);
  assertEquals(await steps.return(), DONE);
});

Deno.test("return() before the first step starts nothing", async () => {
  let cleaned = false;
  const steps = oneThenWait(() => void (cleaned = true));
  assertEquals(await steps.return(), DONE);
  assertEquals(await steps.next(), DONE);
  assertEquals(cleaned, false);
});

Deno.test("throw() ends the generator as return() does, and rejects with the error", async () => {
  let cleaned = false;
  const steps = oneThenWait(() => void (cleaned = true));
  await steps.next();
  const pending = steps.next();
  const own = new Error("its own");
  assertStrictEquals(await assertRejects(() => steps.throw(own)), own);
  assertEquals(await pending, DONE);
  assertEquals(cleaned, true);
  assertEquals(await steps.next(), DONE);
});

Deno.test("disposing of the generator ends it", async () => {
  let cleaned = false;
  {
    await using steps = oneThenWait(() => void (cleaned = true));
    await steps.next();
  }
  assertEquals(cleaned, true);
});

Deno.test("leaving a for await loop cleans up before the next statement", async () => {
  let cleaned = false;
  for await (const value of oneThenWait(() => void (cleaned = true))) {
    assertEquals(value, 1);
    break;
  }
  assertEquals(cleaned, true);
});
