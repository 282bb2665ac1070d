/** The shares a session had accepted, as 8 bytes each: what its duplicate check looks at. Bounded: the oldest go first. */
import { Buffer } from 'node:buffer';

export const FINGERPRINT_BYTES = 8;
const INITIAL_CAPACITY = 8;

/**
 * The first 8 bytes (internal order, where no zeros of the proof of work are) of the identities of the last
 * `countMax` shares. Searched from one end to the other: at most 512 pairs of integers, less than the hashing.
 */
export class Fingerprints {
  readonly #countMax: number;
  #lows = new Int32Array(INITIAL_CAPACITY);
  #highs = new Int32Array(INITIAL_CAPACITY);
  #count = 0;
  /** Where the next one goes once it is full: the place of the oldest. */
  #next = 0;

  /** @param countMax 512 unless said otherwise */
  constructor(countMax = 512) {
    this.#countMax = countMax;
  }

  /** @param packed as {@link toBytes} gives it; of too many the last ones are kept, an incomplete end is ignored */
  static fromBytes(packed: Uint8Array, countMax = 512): Fingerprints {
    const fingerprints = new Fingerprints(countMax);
    for (let at = 0; at + FINGERPRINT_BYTES <= packed.length; at += FINGERPRINT_BYTES) {
      fingerprints.add(packed.subarray(at, at + FINGERPRINT_BYTES));
    }
    return fingerprints;
  }

  get count(): number {
    return this.#count;
  }

  /** @param identity at least 8 bytes */
  has(identity: Uint8Array): boolean {
    const low = int32Of(identity, 0);
    const high = int32Of(identity, 4);
    for (let index = 0; index < this.#count; index += 1) {
      if (this.#lows[index] === low && this.#highs[index] === high) return true;
    }
    return false;
  }

  /** @returns false if it was there already */
  add(identity: Uint8Array): boolean {
    if (this.has(identity)) return false;
    if (this.#count === this.#lows.length && this.#count < this.#countMax) this.#grow();
    this.#lows[this.#next] = int32Of(identity, 0);
    this.#highs[this.#next] = int32Of(identity, 4);
    this.#count = Math.min(this.#count + 1, this.#countMax);
    this.#next = (this.#next + 1) % this.#countMax;
    return true;
  }

  /** Forgets all: at the first share on a new block. */
  clear(): void {
    this.#lows = new Int32Array(INITIAL_CAPACITY);
    this.#highs = new Int32Array(INITIAL_CAPACITY);
    this.#count = 0;
    this.#next = 0;
  }

  /** Oldest first, 8 bytes each. */
  toBytes(): Uint8Array {
    const bytes = Buffer.alloc(this.#count * FINGERPRINT_BYTES);
    const first = this.#count < this.#countMax ? 0 : this.#next;
    for (let index = 0; index < this.#count; index += 1) {
      const from = (first + index) % this.#countMax;
      bytes.writeInt32LE(this.#lows[from] ?? 0, index * FINGERPRINT_BYTES);
      bytes.writeInt32LE(this.#highs[from] ?? 0, index * FINGERPRINT_BYTES + 4);
    }
    return bytes;
  }

  #grow(): void {
    const capacity = Math.min(this.#countMax, this.#lows.length * 2);
    const lows = new Int32Array(capacity);
    const highs = new Int32Array(capacity);
    lows.set(this.#lows);
    highs.set(this.#highs);
    this.#lows = lows;
    this.#highs = highs;
  }
}

function int32Of(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
  return low | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
}
