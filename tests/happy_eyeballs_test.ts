import { assertEquals, assertRejects } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  type ConnectAttempt,
  connectFirst,
  interleave,
} from "../src/direct/happy_eyeballs.ts";

/** Attempts that a test ends by hand, and what happened. */
class Attempts {
  readonly log: string[] = [];
  readonly #ends = new Map<string, PromiseWithResolvers<string>>();

  /** The attempts with these names, in order. */
  async *of(...names: string[]): AsyncGenerator<ConnectAttempt<string>> {
    for (const name of names) yield (signal) => this.#start(name, signal);
  }

  #start(name: string, signal: AbortSignal): Promise<string> {
    this.log.push(`start ${name}`);
    signal.addEventListener("abort", () => this.log.push(`abort ${name}`));
    const end = Promise.withResolvers<string>();
    this.#ends.set(name, end);
    return end.promise;
  }

  open(name: string): void {
    this.#ends.get(name)!.resolve(name);
  }

  fail(name: string): void {
    this.#ends.get(name)!.reject(new Error(name));
  }

  readonly close = (name: string): void => void this.log.push(`close ${name}`);
}

const never = new AbortController().signal;

/** Lets the promises settle that can. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

Deno.test("connectFirst() starts one attempt alone, and takes what it opens", async () => {
  using _time = new FakeTime();
  const attempts = new Attempts();
  const connecting = connectFirst(attempts.of("a", "b"), attempts.close, never);
  await settle();
  assertEquals(attempts.log, ["start a"]);
  attempts.open("a");
  assertEquals(await connecting, "a");
});

Deno.test("connectFirst() asks for no further attempt once one has succeeded, or the signal has aborted", async () => {
  using _time = new FakeTime();
  for (const end of ["open", "abort"]) {
    const attempts = new Attempts();
    const controller = new AbortController();
    let asked = 0;
    const counted = async function* () {
      for await (const attempt of attempts.of("a", "b")) {
        asked++;
        yield attempt;
      }
    };
    const { signal } = controller;
    const connecting = connectFirst(counted(), attempts.close, signal);
    await settle();
    if (end === "open") attempts.open("a");
    else controller.abort(new Error("enough"));
    await connecting.catch(() => {});
    await settle();
    assertEquals(asked, 1, end);
  }
});

Deno.test("connectFirst() starts the next attempt after 250 ms, and ends those that lose", async () => {
  using time = new FakeTime();
  const attempts = new Attempts();
  const { log } = attempts;
  const connecting = connectFirst(
    attempts.of("a", "b", "c"),
    attempts.close,
    never,
  );
  await settle();
  await time.tickAsync(249);
  await settle();
  assertEquals(log, ["start a"]);
  await time.tickAsync(1);
  await settle();
  assertEquals(log, ["start a", "start b"]);
  attempts.open("b");
  assertEquals(await connecting, "b");
  assertEquals(log, ["start a", "start b", "abort a", "abort b"]);
  attempts.open("a");
  await settle();
  assertEquals(log.at(-1), "close a");
  await time.tickAsync(1000);
  assertEquals(log.includes("start c"), false);
});

Deno.test("connectFirst() starts the next attempt at once when one has failed", async () => {
  using _time = new FakeTime();
  const attempts = new Attempts();
  const connecting = connectFirst(attempts.of("a", "b"), attempts.close, never);
  await settle();
  attempts.fail("a");
  await settle();
  assertEquals(attempts.log, ["start a", "start b"]);
  attempts.open("b");
  assertEquals(await connecting, "b");
});

Deno.test("connectFirst() waits for the first attempt, too, when the last one has failed", async () => {
  using time = new FakeTime();
  const attempts = new Attempts();
  const connecting = connectFirst(attempts.of("a", "b"), attempts.close, never);
  await settle();
  await time.tickAsync(250);
  await settle();
  attempts.fail("b");
  await settle();
  await time.tickAsync(60_000);
  attempts.open("a");
  assertEquals(await connecting, "a");
});

Deno.test("connectFirst() rejects with the first attempt's error if all fail", async () => {
  using time = new FakeTime();
  const attempts = new Attempts();
  const connecting = connectFirst(attempts.of("a", "b"), attempts.close, never);
  await settle();
  await time.tickAsync(250);
  await settle();
  attempts.fail("b");
  attempts.fail("a");
  await assertRejects(() => connecting, Error, "a");
});

Deno.test("connectFirst() rejects with the error of the iterator", async () => {
  using _time = new FakeTime();
  // deno-lint-ignore require-yield -- it fails before that
  async function* broken(): AsyncGenerator<ConnectAttempt<string>> {
    throw new Error("no names");
  }
  await assertRejects(
    () => connectFirst(broken(), () => {}, never),
    Error,
    "no names",
  );
});

Deno.test("connectFirst() ends all attempts when the signal aborts, and closes what opens later", async () => {
  using time = new FakeTime();
  const attempts = new Attempts();
  const controller = new AbortController();
  const connecting = connectFirst(
    attempts.of("a", "b", "c"),
    attempts.close,
    controller.signal,
  );
  await settle();
  await time.tickAsync(250);
  await settle();
  controller.abort(new Error("enough"));
  await assertRejects(() => connecting, Error, "enough");
  attempts.open("b");
  attempts.fail("a");
  await time.tickAsync(1000);
  assertEquals(attempts.log, [
    ...["start a", "start b", "abort a", "abort b", "close b"],
  ]);
  await assertRejects(
    () => connectFirst(attempts.of("d"), attempts.close, controller.signal),
    Error,
    "enough",
  );
  assertEquals(attempts.log.includes("start d"), false);
});

Deno.test("interleave() alternates IPv4 and IPv6, beginning with the first address", () => {
  assertEquals(interleave([]), []);
  assertEquals(interleave(["1.1.1.1"]), ["1.1.1.1"]);
  assertEquals(interleave(["::1", "::2", "::3", "1.1.1.1", "2.2.2.2"]), [
    ...["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"],
  ]);
  assertEquals(interleave(["1.1.1.1", "::1", "::2", "::3"]), [
    ...["1.1.1.1", "::1", "::2", "::3"],
  ]);
});
