import type { Scope } from "./scope.ts";

/** How much of a refusal's body is read, in bytes and in milliseconds. */
const MAX_BODY = 64 * 1024;
const MAX_BODY_TIME = 5_000;

/** The first 64 KiB of a body, or what comes of them in 5 seconds. */
export async function readStart(
  body: ReadableStream<Uint8Array> | null,
  { signal, caller }: Scope,
): Promise<Uint8Array> {
  const start = new Uint8Array(MAX_BODY);
  if (body === null) return start.subarray(0, 0);
  let length = 0;
  const reader = body.getReader();
  const stop = () => void reader.cancel().catch(() => {});
  const timer = setTimeout(stop, MAX_BODY_TIME);
  signal.addEventListener("abort", stop);
  try {
    while (length < MAX_BODY) {
      const { value, done } = await reader.read();
      if (done) break;
      const part = value.subarray(0, MAX_BODY - length);
      start.set(part, length);
      length += part.length;
    }
  } catch {
    // A body that breaks off is no worse than none: the status is what counts.
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    stop();
  }
  caller?.throwIfAborted();
  return start.slice(0, length);
}
