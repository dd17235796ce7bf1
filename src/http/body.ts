import type { HandshakeContext } from "./request.ts";

/** The most bytes that are read of the body of a refusal. */
const MAX_BODY = 64 * 1024;
/** The longest time that reading the body of a refusal may take, in milliseconds. */
const MAX_BODY_TIME = 5_000;

/**
 * Reads the first 64 KiB of a body, or the part of them that arrives within 5
 * seconds, and decompresses them if they are compressed with gzip. The bytes are
 * checked as well as the header, because in some versions of Deno `fetch` has
 * decompressed them already.
 */
export async function readBody(
  body: ReadableStream<Uint8Array> | null,
  headers: Pick<Headers, "get">,
  context: Pick<HandshakeContext, "signal" | "caller">,
): Promise<Uint8Array> {
  const start = await readStart(body, context);
  const encoding = headers.get("content-encoding")?.trim().toLowerCase();
  const isGzip = encoding === "gzip" && start[0] === 0x1f && start[1] === 0x8b;
  if (!isGzip) return start;
  const stream = new Blob([start]).stream()
    .pipeThrough(new DecompressionStream("gzip"));
  return await readStart(stream, context);
}

/** Reads the first 64 KiB of a body, or the part of them that arrives within 5 seconds. */
export async function readStart(
  body: ReadableStream<Uint8Array> | null,
  { signal, caller }: Pick<HandshakeContext, "signal" | "caller">,
): Promise<Uint8Array<ArrayBuffer>> {
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
    // The body ended early. What has been read is returned, since the status
    // matters more.
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    stop();
  }
  caller?.throwIfAborted();
  return start.slice(0, length);
}
