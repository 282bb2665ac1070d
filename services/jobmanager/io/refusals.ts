/** Blocks of others that our nodes called invalid: told with every announcement, so that nobody mines on them. */

/** [blocks] by the contract of `job.announced` */
const REFUSED_MAX = 16;

export class Refusals {
  #hashes: readonly string[] = [];

  get hashes(): readonly string[] {
    return this.#hashes;
  }

  add(hash: string): void {
    this.#hashes = [...this.#hashes.filter((each) => each !== hash), hash].slice(-REFUSED_MAX);
  }
}
