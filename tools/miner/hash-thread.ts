/** The main thread's side of hash-worker.ts: one thread hashes for any number of miners. */
import { Worker } from 'node:worker_threads';
import type { FromHasher, ToHasher } from './hash-messages.ts';
import type { Algorithm } from './hashing.ts';

export interface HashListener {
  onFound(generation: number, nonce: number): void;
  /** Every nonce was tried. */
  onExhausted(generation: number): void;
  onHashed(hashes: number): void;
}

/** One miner's place in the thread. */
export interface HashSlot extends Disposable {
  /** @param header 80 bytes, its nonce is where to begin; @param target 32 bytes, little-endian */
  mine(generation: number, header: Uint8Array, target: Uint8Array): void;
  idle(): void;
}

export class HashThread implements AsyncDisposable {
  readonly #worker = new Worker(new URL('./hash-worker.ts', import.meta.url));
  readonly #listeners = new Map<number, HashListener>();
  #nextSlot = 1;

  constructor() {
    this.#worker.on('message', (message: FromHasher) => this.#receive(message));
    this.#worker.unref();
  }

  /** @param hashrateHps [H/s] at most; Infinity: as fast as it goes */
  open(algorithm: Algorithm, hashrateHps: number, listener: HashListener): HashSlot {
    const slot = this.#nextSlot;
    this.#nextSlot += 1;
    this.#listeners.set(slot, listener);
    this.#tell({ kind: 'open', slot, algorithm, hashrateHps });
    return {
      mine: (generation, header, target) =>
        this.#tell({ kind: 'work', slot, generation, header, target }),
      idle: () => this.#tell({ kind: 'idle', slot }),
      [Symbol.dispose]: () => {
        this.#listeners.delete(slot);
        this.#tell({ kind: 'close', slot });
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }

  #receive(message: FromHasher): void {
    const listener = this.#listeners.get(message.slot);
    switch (message.kind) {
      case 'found':
        return listener?.onFound(message.generation, message.nonce);
      case 'exhausted':
        return listener?.onExhausted(message.generation);
      case 'hashed':
        return listener?.onHashed(message.hashes);
    }
  }

  #tell(message: ToHasher): void {
    this.#worker.postMessage(message);
  }
}
