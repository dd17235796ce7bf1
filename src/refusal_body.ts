/**
 * Reads the beginning of the body of a refusal, which often says why.
 *
 * @module
 */

import type { AnswerHeaders } from "./http/headers.ts";

/** What ends the reading. */
export interface Signals {
  /** Aborts when `handshakeTimeout` is over or the caller's signal aborts. What came by then is returned. */
  readonly signal: AbortSignal;
  /** The signal that the caller passed. Its reason is thrown. */
  readonly caller: AbortSignal | undefined;
}

/** The most bytes that are read of the body of a refusal. */
const MAX_BODY = 64 * 1024;
/** The longest time that reading the body of a refusal may take, in milliseconds. */
const MAX_BODY_TIME = 5_000;

/**
 * Reads the first 64 KiB of a body, or the part of them that arrives within 5
 * seconds or before the handshake has to end, and decompresses them if they are
 * compressed with gzip: again up to 64 KiB. The bytes are checked as well as the
 * header, because in some versions of Deno `fetch` has decompressed them already.
 *
 * @throws The reason of the caller's signal, if it aborts.
 */
export async function readBody(
  body: ReadableStream<Uint8Array> | null,
  headers: AnswerHeaders,
  context: Signals,
): Promise<Uint8Array> {
  const start = await readStart(body, context);
  const encoding = headers.get("content-encoding")?.trim().toLowerCase();
  const isGzip = encoding === "gzip" && start[0] === 0x1f && start[1] === 0x8b;
  if (!isGzip) return start;
  return await readStart(inflated(start), context);
}

/** The size of the pieces that are decompressed, in bytes. Each may become a thousand times as long. */
const PIECE = 256;

/** Decompresses gzip, no further than it is read by more than a few pieces. */
function inflated(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array> {
  let at = 0;
  const pieces = new ReadableStream<BufferSource>({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.subarray(at, at += PIECE));
    },
  }, { highWaterMark: 0 });
  return pieces.pipeThrough(new DecompressionStream("gzip"));
}

/** Reads the first 64 KiB of a body, or the part of them that arrives within 5 seconds. */
export async function readStart(
  body: ReadableStream<Uint8Array> | null,
  { signal, caller }: Signals,
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
