/** What must be written again into a new store: each part is tried until it worked. */
import type { Logger } from 'pino';

type Reassert = () => Promise<void> | void;

export class Reassertions {
  readonly #log: Logger;
  readonly #all = new Set<Reassert>();
  readonly #pending = new Set<Reassert>();
  #running: Promise<void> | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  add(reassert: Reassert): Disposable {
    const own = () => reassert(); // One entry a call, even for the same function.
    this.#all.add(own);
    return {
      [Symbol.dispose]: () => {
        this.#all.delete(own);
        this.#pending.delete(own);
      },
    };
  }

  /** Everything is due: the store is new. */
  dueAll(): void {
    for (const reassert of this.#all) this.#pending.add(reassert);
  }

  /** Does what is due, in the background, one run at a time. What fails stays due. */
  run(): void {
    if (this.#pending.size === 0 || this.#running !== undefined) return;
    this.#running = this.#runDue().finally(() => {
      this.#running = undefined;
    });
  }

  async #runDue(): Promise<void> {
    for (const reassert of [...this.#pending]) {
      this.#pending.delete(reassert); // Before, so that a newer store makes it due again.
      try {
        await reassert();
      } catch (error) {
        if (this.#all.has(reassert)) this.#pending.add(reassert);
        this.#log.warn({ err: error }, 'something we own was not written again yet');
      }
    }
  }
}
