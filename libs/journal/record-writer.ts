/** Writes the fields of one record, little-endian, into a buffer that grows. No socket. */

const FIRST_BYTES = 512;

export class RecordWriter {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #length = 0;

  /** [bytes] written so far */
  get length(): number {
    return this.#length;
  }

  /** What was written, as a view. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** An unsigned number of 1 to 6 bytes. @throws {RangeError} if it does not fit */
  uint(value: number, size: 1 | 2 | 4 | 6): void {
    const at = this.#advance(size);
    this.#bytes.writeUIntLE(value, at, size);
  }

  /** An unsigned 128-bit number. @throws {RangeError} if it does not fit */
  uint128(value: bigint): void {
    if (value < 0n || value >> 128n !== 0n)
      throw new RangeError(`Cannot write ${value} as 128 bits`);
    const at = this.#advance(16);
    this.#bytes.writeBigUInt64LE(value & 0xffff_ffff_ffff_ffffn, at);
    this.#bytes.writeBigUInt64LE(value >> 64n, at + 8);
  }

  /** A finite number that is not negative. @throws {RangeError} otherwise */
  double(value: number): void {
    if (!Number.isFinite(value) || value < 0)
      throw new RangeError(`Cannot write ${value} as a difficulty`);
    const at = this.#advance(8);
    this.#bytes.writeDoubleLE(value, at);
  }

  /** Exactly `size` bytes. @throws {RangeError} if there are more or fewer */
  raw(bytes: Uint8Array, size: number): void {
    if (bytes.length !== size)
      throw new RangeError(`Cannot write ${bytes.length} bytes as ${size}`);
    this.#bytes.set(bytes, this.#advance(size));
  }

  /** UTF-8 behind its length in `lengthSize` bytes. @throws {RangeError} above `bytesMax` */
  text(value: string, lengthSize: 1 | 2 | 4, bytesMax: number): void {
    const size = Buffer.byteLength(value, 'utf8');
    if (size > bytesMax)
      throw new RangeError(`Cannot write text of ${size} bytes: at most ${bytesMax}`);
    this.uint(size, lengthSize);
    const at = this.#advance(size);
    this.#bytes.write(value, at, size, 'utf8');
  }

  #advance(size: number): number {
    const at = this.#length;
    this.#length += size;
    if (this.#length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#length, this.#bytes.length * 2));
      this.#bytes.copy(grown, 0, 0, at);
      this.#bytes = grown;
    }
    return at;
  }
}
