import { moduleFlags, path } from "../fixtures/command.ts";
import type { Job, Measured } from "./_consumer.ts";

/** How long a consumer may take, in milliseconds. */
const PATIENCE = 180_000;

/**
 * Consumes a feed in another process.
 *
 * @param stalled Called once it has started; a consumer that stalls goes on when
 * this has resolved.
 */
export async function consume(
  job: Job,
  stalled: () => Promise<void> = async () => {},
): Promise<Measured> {
  await using client = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--quiet", "--no-lock", ...moduleFlags()],
      ...[path("tests/stress/_consumer.ts"), JSON.stringify(job)],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
    signal: AbortSignal.timeout(PATIENCE),
  }).spawn();
  const stdin = client.stdin.getWriter();
  await stalled();
  await stdin.write(new TextEncoder().encode("go\n"));
  await stdin.close();
  const { stdout } = await client.output();
  return JSON.parse(new TextDecoder().decode(stdout));
}
