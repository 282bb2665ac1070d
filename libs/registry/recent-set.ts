/** A set that remembers the last so many. */

export class RecentSet {
  readonly #items = new Set<string>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Forgets the oldest at the bound. */
  add(item: string): void {
    this.#items.delete(item);
    this.#items.add(item);
    const [oldest] = this.#items;
    if (this.#items.size > this.#capacity && oldest !== undefined) this.#items.delete(oldest);
  }

  has(item: string): boolean {
    return this.#items.has(item);
  }
}
