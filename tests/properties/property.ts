/**
 * Properties that hold for whatever is generated. Each runs briefly in the
 * normal suite and for long in the stress tests.
 *
 * @module
 */

import fc from "npm:fast-check@4.10.2";

/** A statement about generated values, which are an array. */
export interface Property {
  name: string;
  /** How often it is tried in the normal suite. */
  runs: number;
  /** Tries it; a failure names its seed, the counterexample and how to replay it. */
  check(runs: number): Promise<void>;
}

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
    check: (numRuns) =>
      fc.assert(
        fc.asyncProperty(arbitrary, async (value) => {
          await predicate(value);
        }),
        {
          numRuns,
          examples: known.map((value): [T] => [value]),
          // A seed of the environment's replays a failure; each run has a fresh one.
          ...seed(),
          // What fails slowly is not made smaller for ever.
          interruptAfterTimeLimit: 300_000,
        },
      ),
  };
}

function seed(): { seed?: number } {
  const text = Deno.env.get("WSTAP_SEED");
  return text === undefined ? {} : { seed: Number(text) };
}

/** Defines a test for each property, `factor` times as long as in the normal suite. */
export function testAll(
  properties: readonly Property[],
  factor = 1,
): void {
  for (const { name, runs, check } of properties) {
    Deno.test(name, () => check(runs * factor));
  }
}
