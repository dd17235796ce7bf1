/**
 * An internal door of a connection, for the command line: when each message was read
 * from the network. `recv()` gives messages without that, and a consumer that falls
 * behind would take the time of receiving for it.
 *
 * With the option `[ARRIVALS]: true` a connection keeps a ledger, `connection[ARRIVALS]`.
 * The ledger costs a comparison for each message, and its size depends on the number of
 * milliseconds in which the waiting messages came, not on their number.
 *
 * @module
 */

import { Queue } from "./queue.ts";

/** The name of the option and of the property. Neither is part of the interface. */
export const ARRIVALS: unique symbol = Symbol("wstap.arrivals");

/** Messages that arrived one after another in the same millisecond. */
export interface Arrival {
  /** When they were read, in milliseconds since the epoch. */
  readonly time: number;
  /** How many they are. */
  count: number;
}

/** Tells when the messages of a connection arrived, in their order. */
export class Arrivals {
  readonly #queue = new Queue<Arrival>();
  /** The newest entry. It may have been taken. */
  #last: Arrival = { time: 0, count: 0 };
  #now = Date.now();
  /** How many messages `skipTo()` has skipped. */
  #skipped = 0;
  #received = 0;
  #taken = 0;

  /** How many messages have arrived. */
  get received(): number {
    return this.#received;
  }

  /** How many of them have been taken or skipped. */
  get taken(): number {
    return this.#taken;
  }

  /** Notes that bytes were read. The messages in them arrive now. */
  read(): void {
    this.#now = Date.now();
  }

  /** Notes that a message arrived. */
  add(): void {
    this.#received++;
    const last = this.#last;
    if (last.time === this.#now && last.count > 0) last.count++;
    else {
      this.#last = { time: this.#now, count: 1 };
      this.#queue.push(this.#last);
    }
  }

  /** Skips the oldest messages, until `dropped` have been skipped in all. */
  skipTo(dropped: number): void {
    if (dropped === this.#skipped) return;
    this.take(dropped - this.#skipped);
    this.#skipped = dropped;
  }

  /** Takes the entries of the next `count` messages. */
  take(count: number): Arrival[] {
    const taken: Arrival[] = [];
    this.#taken += count;
    while (count > 0) {
      const first = this.#queue.first!;
      if (first.count > count) {
        first.count -= count;
        taken.push({ time: first.time, count });
        break;
      }
      this.#queue.shift();
      count -= first.count;
      taken.push({ time: first.time, count: first.count });
      first.count = 0; // so that nothing is added to it any more
    }
    return taken;
  }
}
