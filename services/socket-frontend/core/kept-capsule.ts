/** The session capsule as the frontend keeps it: bytes it does not read, set or appended to. */

const NOTHING: Uint8Array<ArrayBufferLike> = new Uint8Array(0);

export class KeptCapsule {
  readonly #bytesMax: number;
  /** Grows by halves, so that appending a fingerprint a share does not copy the whole each time. */
  #room = NOTHING;
  #length = 0;

  /** @param bytesMax [bytes] longest capsule that is kept */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** [bytes] */
  get length(): number {
    return this.#length;
  }

  /** A view: valid until the next change. */
  get bytes(): Uint8Array {
    return this.#room.subarray(0, this.#length);
  }

  /** Replaces it by a copy of `bytes`. False: too long, nothing changed. */
  set(bytes: Uint8Array): boolean {
    if (bytes.length > this.#bytesMax) return false;
    if (bytes.length > this.#room.length || bytes.length < this.#room.length / 4) {
      this.#room = new Uint8Array(bytes.length);
    }
    this.#room.set(bytes);
    this.#length = bytes.length;
    return true;
  }

  /** Appends a copy of `bytes`. False: it would be too long, nothing changed. */
  append(bytes: Uint8Array): boolean {
    const length = this.#length + bytes.length;
    if (length > this.#bytesMax) return false;
    if (length > this.#room.length) this.#grow(length);
    this.#room.set(bytes, this.#length);
    this.#length = length;
    return true;
  }

  #grow(length: number): void {
    const room = new Uint8Array(Math.min(this.#bytesMax, Math.max(length + 32, length * 1.5)));
    room.set(this.bytes);
    this.#room = room;
  }
}
