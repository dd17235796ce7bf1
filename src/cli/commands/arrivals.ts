import { type Arrival, ARRIVALS } from "../../internal.ts";
import { ConnectionClosedError } from "../../../mod.ts";
import type { TapSettings } from "../flags/values.ts";
import type { Connection } from "./connect.ts";

/**
 * While messages keep coming, those of so many seconds are taken together; the
 * first one after a silence is taken at once.
 */
const WINDOW = 0.002;

/**
 * The messages of a connection as they are to be written: those of one window,
 * or those that came together.
 *
 * @param left How many messages may come.
 * @throws {ConnectionClosedError} If the connection was lost.
 */
export async function* arrivals(
  connection: Connection,
  { batch, max }: Pick<TapSettings, "batch" | "max">,
  left: () => number,
): AsyncGenerator<(string | Uint8Array)[]> {
  if (batch !== null) {
    while (true) {
      const messages = await collect(
        connection,
        batch / 1000,
        Math.min(max, left()),
      );
      if (messages === null) break;
      if (messages.length > 0) yield messages;
    }
  } else {
    for (let first; (first = await connection.recv()) !== null;) {
      yield [first];
      for (let more; (more = await collect(connection, WINDOW, left()));) {
        if (more.length === 0) break;
        yield more;
      }
    }
    return;
  }
  await connection.recv(); // says whether it was closed or lost
}

/** One window, `null` when the connection is over. */
async function collect(
  connection: Connection,
  seconds: number,
  max: number,
): Promise<(string | Uint8Array)[] | null> {
  try {
    return await connection.recvBatch(seconds, { max });
  } catch (error) {
    if (error instanceof ConnectionClosedError) return null;
    throw error;
  }
}

/** Messages that were received together, and when each arrived. */
export interface Arrived {
  readonly messages: readonly (string | Uint8Array)[];
  readonly times: readonly Arrival[];
}

/** When the next `count` messages of a connection arrived; all now if it keeps no ledger. */
export function takeArrivals(connection: Connection, count: number): Arrival[] {
  const arrivals = connection[ARRIVALS];
  if (arrivals === null) return [{ time: Date.now(), count }];
  arrivals.skipTo(connection.dropped);
  return arrivals.take(count);
}

/** Divides messages, of which there are at least two. */
export function halves(
  messages: Arrived["messages"],
  times: Arrived["times"],
): Arrived[] {
  const middle = messages.length >> 1;
  return [
    { messages: messages.slice(0, middle), times: before(times, middle) },
    { messages: messages.slice(middle), times: from(times, middle) },
  ];
}

/** The times of the first `count` messages. */
export function before(times: readonly Arrival[], count: number): Arrival[] {
  const some: Arrival[] = [];
  for (const arrival of times) {
    if (count <= 0) break;
    some.push({ ...arrival, count: Math.min(arrival.count, count) });
    count -= arrival.count;
  }
  return some;
}

/** The times of the messages after the first `count`. */
export function from(times: readonly Arrival[], count: number): Arrival[] {
  const some: Arrival[] = [];
  for (const arrival of times) {
    const left = arrival.count - Math.max(0, Math.min(arrival.count, count));
    if (left > 0) some.push({ ...arrival, count: left });
    count -= arrival.count;
  }
  return some;
}
