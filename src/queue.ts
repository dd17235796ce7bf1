/** How many places a block has. */
const BLOCK = 8192;

interface Block<T> {
  readonly items: T[];
  next: Block<T> | null;
}

/**
 * A first-in first-out queue made of blocks, so that a long one is never
 * copied, neither when it grows nor when its front is taken.
 */
export class Queue<T> {
  /** How many items there are. */
  length = 0;
  #first: Block<T> = { items: [], next: null };
  #last = this.#first;
  /** How many places of the first block are spent. */
  #spent = 0;

  push(item: T): void {
    if (this.#last.items.length === BLOCK) {
      this.#last = this.#last.next = { items: [], next: null };
    }
    this.#last.items.push(item);
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
    items[this.#spent] = undefined!;
    this.length--;
    if (++this.#spent === BLOCK) this.#drop();
    return item;
  }

  /** Takes the first `count` items; there must be as many. */
  take(count: number): T[] {
    const parts: T[][] = [];
    for (let left = count; left > 0;) {
      const { items } = this.#first;
      const end = Math.min(this.#spent + left, items.length);
      left -= end - this.#spent;
      if (this.#spent === 0 && end === items.length) {
        parts.push(items); // as it is
        this.#drop();
      } else {
        parts.push(items.slice(this.#spent, end));
        items.fill(undefined!, this.#spent, end);
        this.#spent = end;
        if (end === BLOCK) this.#drop();
      }
    }
    this.length -= count;
    return parts.length === 1 ? parts[0]! : ([] as T[]).concat(...parts);
  }

  /** Lets go of the first block. */
  #drop(): void {
    const { next } = this.#first;
    this.#first.next = null; // or a block that V8 holds to be old would keep the young ones
    this.#first = next ?? (this.#last = { items: [], next: null });
    this.#spent = 0;
  }
}
