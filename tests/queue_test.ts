import { assertEquals } from "@std/assert";
import { Queue } from "../src/queue.ts";

/** More than three blocks. */
const MANY = 50_000;

function queueOf(count: number): Queue<number> {
  const queue = new Queue<number>();
  for (let i = 0; i < count; i++) queue.push(i);
  return queue;
}

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => from + i);

Deno.test("Queue gives items in the order in which they came", () => {
  const queue = queueOf(MANY);
  assertEquals(queue.length, MANY);
  for (let i = 0; i < MANY; i++) {
    assertEquals(queue.first, i);
    assertEquals(queue.shift(), i);
  }
  assertEquals(queue.length, 0);
  assertEquals(queue.first, undefined);
});

Deno.test("Queue takes any number of items, across its blocks", () => {
  for (const first of [0, 1, 16_383, 16_384, 16_385, MANY - 1]) {
    for (const second of [1, 100, 16_384, MANY - first]) {
      if (first + second > MANY) continue;
      const queue = queueOf(MANY);
      assertEquals(queue.take(first), numbers(0, first));
      assertEquals(queue.take(second), numbers(first, first + second));
      assertEquals(queue.length, MANY - first - second);
      queue.push(MANY);
      assertEquals(
        queue.take(queue.length),
        numbers(first + second, MANY + 1),
      );
    }
  }
});

Deno.test("Queue goes on after it was emptied", () => {
  const queue = new Queue<number>();
  for (let i = 0; i < MANY; i++) {
    queue.push(i);
    queue.push(i + 0.5);
    assertEquals(i % 3 === 0 ? queue.take(1) : [queue.shift()], [i]);
    assertEquals(i % 2 === 0 ? queue.take(1) : [queue.shift()], [i + 0.5]);
    assertEquals(queue.length, 0);
  }
  assertEquals(queue.take(0), []);
});

Deno.test("Queue leaves alone what it has given away", () => {
  const queue = queueOf(10);
  const taken = queue.take(10);
  queue.push(10);
  assertEquals(taken, numbers(0, 10));
  assertEquals(queue.take(1), [10]);
});

Deno.test("Queue shares nothing with another one before its first item", () => {
  const [one, other] = [new Queue<number>(), new Queue<number>()];
  assertEquals(one.take(0), []);
  assertEquals(one.first, undefined);
  one.push(1);
  assertEquals([one.length, other.length], [1, 0]);
  assertEquals(other.first, undefined);
  other.push(2);
  assertEquals([one.shift(), other.shift()], [1, 2]);
});
