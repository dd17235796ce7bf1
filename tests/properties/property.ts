/**
 * Properties that hold for whatever is generated. Each runs briefly in the
 * normal suite and for long in the stress tests.
 *
 * @module
 */

import { located } from "../fixtures/located.ts";
import fc from "npm:fast-check@4.10.2";

/** A statement about generated values, which are an array. */
export interface Property {
  name: string;
  /** How often it is tried in the normal suite. */
  runs: number;
  /**
   * Tries it; a failure names its seed, the counterexample and how to replay it.
   *
   * @param limit The longest time, in milliseconds. What fails slowly is not made
   * smaller for ever.
   */
  check(runs: number, limit?: number): Promise<void>;
}

/** The seed of everything that this process generates: that of the environment, which replays a failure, or a fresh one. */
export const SEED = Number(
  Deno.env.get("WSTAP_SEED") ?? Math.floor(Math.random() * 2 ** 31),
);

/**
 * Makes a property of a predicate that throws for a value that breaks it.
 *
 * `known` are values that broke it once: they are tried first, ever after.
 */
export function property<T>(
  name: string,
  runs: number,
  arbitrary: fc.Arbitrary<T>,
  predicate: (value: T) => Promise<void> | void,
  known: T[] = [],
): Property {
  return {
    name,
    runs,
    async check(numRuns, limit = 300_000) {
      let last: Promise<void> | undefined;
      const tried = fc.assert(
        fc.asyncProperty(arbitrary, (value) => {
          last = (async () => await predicate(value))();
          return last;
        }),
        {
          numRuns,
          examples: known.map((value): [T] => [value]),
          seed: SEED,
          interruptAfterTimeLimit: limit,
        },
      );
      // At the limit the last value is still being tried, and may fail: nothing of it
      // may outlive the test.
      await tried.finally(() => last?.catch(() => {}));
      await last;
    },
  };
}

/** Defines a test for each property, `factor` times as long as in the normal suite. */
export function testAll(
  properties: readonly Property[],
  factor = 1,
): void {
  for (const { name, runs, check } of properties) {
    Deno.test(name, located(() => check(runs * factor)));
  }
}

/** Defines a test for each property, all of which together take so many milliseconds. */
export function testFor(
  properties: readonly Property[],
  time: number,
): void {
  console.log(`The seed is ${SEED}: WSTAP_SEED=${SEED} repeats this run.`);
  for (const { name, check } of properties) {
    Deno.test(
      name,
      located(() => check(2 ** 31 - 1, time / properties.length)),
    );
  }
}
