import { delay } from "../fixtures/wait.ts";

/** Whether the stress tests run in their short form: `WSTAP_STRESS=short`. */
export const short = Deno.env.get("WSTAP_STRESS") === "short";

/** One value for the short form, one for the long one. */
export function form<T>(inShort: T, inLong: T): T {
  return short ? inShort : inLong;
}

/** Prints what was measured. */
export function report(what: string, values: Record<string, unknown>): void {
  const list = Object.entries(values).map(([name, it]) => `${name} ${it}`);
  console.log(`${what}: ${list.join(", ")}`);
}

/** The memory of this process, in MiB. */
export function memory(): number {
  return Math.round(Deno.memoryUsage().rss / 2 ** 20);
}

/** How many files this process has open, `null` where that cannot be told. */
export function openFiles(): number | null {
  if (Deno.build.os !== "linux") return null;
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

/**
 * What is in use once all that could be collected was: the heap of this process,
 * in MiB. What a heap takes up before that says only how busy it was.
 *
 * The task `test:stress` passes `--v8-flags=--expose-gc`, which this needs.
 */
export async function heap(): Promise<number> {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) throw new Error("run this by: deno task test:stress");
  gc();
  await delay(20); // finalizers
  gc();
  return Math.round(Deno.memoryUsage().heapUsed / 2 ** 20 * 10) / 10;
}
