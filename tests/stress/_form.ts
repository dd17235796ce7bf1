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
