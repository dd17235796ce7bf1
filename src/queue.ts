/** The largest number of items in a block. V8 never moves an array of this size. */
const BLOCK = 16_384;

interface Block<T> {
  /** The items; a taken item is replaced by `undefined`. */
  readonly items: (T | undefined)[];
  next: Block<T> | null;
}

/** The block of a queue that has never had an item. It stays empty. */
const NONE: Block<never> = { items: [], next: null };

/**
 * A first-in first-out queue. Its items are in a linked list of blocks, so that
 * nothing is copied when the queue grows or items are taken from it (the rows
 * "Messages that wait" of `bench/`). When the
 * queue is empty, its block is reused from the start: a queue that is emptied as
 * fast as it is filled allocates nothing.
 */
export class Queue<T> {
  /** The number of items. */
  length = 0;
  #first: Block<T> = NONE;
  #last: Block<T> = NONE;
  /** The number of items that have been taken from the first block. */
  #spent = 0;
  /** The number of items that have been added to the last block. */
  #filled = BLOCK;

  /** Adds an item at the end. */
  push(item: T): void {
    if (this.#filled === BLOCK) this.#addBlock();
    this.#last.items[this.#filled++] = item;
    this.length++;
  }

  /** The first item; `undefined` if the queue is empty. */
  get first(): T | undefined {
    return this.#first.items[this.#spent];
  }

  /** Takes the first item. The queue must not be empty. */
  shift(): T {
    const { items } = this.#first;
    const item = items[this.#spent]!;
    items[this.#spent++] = undefined;
    if (--this.length === 0) this.#spent = this.#filled = 0;
    else if (this.#spent === BLOCK) this.#drop();
    return item;
  }

  /** Takes the first `count` items. The queue must have as many. */
  take(count: number): T[] {
    if (count === 0) return [];
    const parts: T[][] = [];
    this.length -= count;
    for (let left = count; left > 0;) {
      const { items } = this.#first;
      const end = Math.min(this.#spent + left, items.length);
      left -= end - this.#spent;
      parts.push(items.slice(this.#spent, end) as T[]);
      items.fill(undefined, this.#spent, end);
      this.#spent = end;
      if (end === BLOCK && this.#first !== this.#last) this.#drop();
    }
    if (this.length === 0) this.#spent = this.#filled = 0;
    return parts.length === 1 ? parts[0]! : ([] as T[]).concat(...parts);
  }

  #addBlock(): void {
    const isFirst = this.#first === NONE;
    // An array that grows is copied, but most queues need little of their first block.
    const items = isFirst ? [] : new Array<T | undefined>(BLOCK);
    const block = { items, next: null };
    if (isFirst) this.#first = block;
    else this.#last.next = block;
    this.#last = block;
    this.#filled = 0;
  }

  /** Drops the first block. There must be another. */
  #drop(): void {
    const { next } = this.#first;
    // Otherwise a block in V8's old generation keeps all later blocks alive.
    this.#first.next = null;
    this.#first = next!;
    this.#spent = 0;
  }
}
