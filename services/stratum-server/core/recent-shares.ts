/**
 * The fingerprints of a connection's accepted shares: what the capsule says of them, ready to be asked. Belongs to one
 * connection and changes in place, since a set copied with each share would cost more than the share.
 */
import { FINGERPRINT_BYTES, Fingerprints } from '#libs/mining/fingerprints.ts';
import { fingerprintsRecord, heightRecord } from './capsule.ts';

export class RecentShares {
  #height: number;
  readonly #fingerprints: Fingerprints;

  /** @param packed as the capsule has them */
  constructor(height = 0, packed: Uint8Array = new Uint8Array()) {
    this.#height = height;
    this.#fingerprints = Fingerprints.fromBytes(packed);
  }

  /** [blocks] the fingerprints are of this height's shares and later ones' */
  get height(): number {
    return this.#height;
  }

  /** 8 bytes each, oldest first. */
  get packed(): Uint8Array {
    return this.#fingerprints.toBytes();
  }

  /** @param identity double hash of the header, internal order */
  has(identity: Uint8Array): boolean {
    return this.#fingerprints.has(identity);
  }

  /**
   * Remembers an accepted share; the first one of a greater height drops those before.
   *
   * @returns the records that tell the capsule the same
   */
  add(identity: Uint8Array, height: number): readonly Uint8Array[] {
    const record = fingerprintsRecord(identity.subarray(0, FINGERPRINT_BYTES));
    const isNewHeight = height > this.#height;
    if (isNewHeight) {
      this.#height = height;
      this.#fingerprints.clear();
    }
    this.#fingerprints.add(identity);
    return isNewHeight ? [heightRecord(height), record] : [record];
  }
}
