/** How many places a block has at the most. */
const BLOCK = 4096;

interface Block<T> {
  /** Grows as it is filled; `undefined` where an item has been taken. */
  readonly items: (T | undefined)[];
  next: Block<T> | null;
}

/**
 * A first-in first-out queue made of blocks, so that a long one is never
 * copied, neither when it grows nor when its front is taken. One that runs
 * empty goes on at the start of its block: a queue that is emptied as fast as
 * it fills makes no garbage.
 */
export class Queue<T> {
  /** How many items there are. */
  length = 0;
  #first: Block<T> = { items: [], next: null };
  #last = this.#first;
  /** How many places of the first block are spent. */
  #spent = 0;
  /** How many places of the last block are filled, the spent ones too. */
  #filled = 0;

  push(item: T): void {
    if (this.#filled === BLOCK) {
      this.#last = this.#last.next = { items: [], next: null };
      this.#filled = 0;
    }
    this.#last.items[this.#filled++] = item;
    this.length++;
  }

  /** The first item, `undefined` if there is none. */
  get first(): T | undefined {
    return this.#first.items[this.#spent];
  }

  /** Takes the first item; there must be one. */
  shift(): T {
    const { items } = this.#first;
    const item = items[this.#spent]!;
    items[this.#spent++] = undefined;
    if (--this.length === 0) this.#spent = this.#filled = 0;
    else if (this.#spent === BLOCK) this.#drop();
    return item;
  }

  /** Takes the first `count` items; there must be as many. */
  take(count: number): T[] {
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

  /** Lets go of the first block, behind which there is another. */
  #drop(): void {
    const { next } = this.#first;
    this.#first.next = null; // or a block that V8 holds to be old would keep the young ones
    this.#first = next!;
    this.#spent = 0;
  }
}
