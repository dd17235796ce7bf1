/**
 * Real loss, reordering and delay, by `tc netem` in a network namespace of the
 * test's own. It takes root and a kernel that has them.
 */

import { assertEquals } from "@std/assert";
import { moduleFlags, path } from "../fixtures/command.ts";

const NAMESPACE = `wstap-test-${Deno.pid}`;

/** Runs a program; gives what it printed, or throws what it complained of. */
async function run(program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args })
    .output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(decoder.decode(stderr).trim());
  return decoder.decode(stdout);
}

/** Why this machine cannot, `null` if it can: then the namespace is there. */
async function prepare(): Promise<string | null> {
  if (Deno.build.os !== "linux") return "this is not Linux";
  try {
    await run("ip", "netns", "add", NAMESPACE);
    const inside = ["netns", "exec", NAMESPACE];
    await run("ip", ...inside, "ip", "link", "set", "lo", "up");
    await run(
      ...["ip", ...inside, "tc", "qdisc", "add", "dev", "lo", "root"] as const,
      ...["netem", "delay", "5ms", "3ms", "loss", "3%", "reorder", "10%"],
    );
    return null;
  } catch (error) {
    await run("ip", "netns", "del", NAMESPACE).catch(() => {});
    return (error as Error).message;
  }
}

Deno.test("every message arrives over a network that loses and reorders packets", async () => {
  const reason = await prepare();
  if (reason !== null) return console.log(`skipped: no netem here: ${reason}`);
  try {
    const out = await run(
      ...["ip", "netns", "exec", NAMESPACE, Deno.execPath()] as const,
      ...["run", "-A", "--quiet", "--no-lock", ...moduleFlags()],
      path("tests/stress/_lossy.ts"),
    );
    assertEquals(out.trim(), "ok");
  } finally {
    await run("ip", "netns", "del", NAMESPACE);
  }
});
