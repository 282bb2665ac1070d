/** Packs little-endian fields into a buffer of a size worked out before. No bounds of its own: the size is right or it throws. */

export class ByteWriter {
  readonly #bytes: Buffer;
  #offset = 0;

  /** @param size [bytes] exactly what will be written */
  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafe(size);
  }

  u8(value: number): void {
    this.#offset = this.#bytes.writeUInt8(value, this.#offset);
  }

  u16(value: number): void {
    this.#offset = this.#bytes.writeUInt16LE(value, this.#offset);
  }

  u32(value: number): void {
    this.#offset = this.#bytes.writeUInt32LE(value, this.#offset);
  }

  /** A counter that never wraps: 2^48 at a million a second are nine years. */
  u48(value: number): void {
    this.#offset = this.#bytes.writeUIntLE(value, this.#offset, 6);
  }

  u64(value: bigint): void {
    this.#offset = this.#bytes.writeBigUInt64LE(value, this.#offset);
  }

  /** Length in one byte, then UTF-8. */
  text(value: string, bytes: number): void {
    this.u8(bytes);
    this.#offset += this.#bytes.write(value, this.#offset, bytes, 'utf8');
  }

  /** Length in one byte, then the bytes. */
  short(value: Uint8Array): void {
    this.u8(value.length);
    this.#put(value);
  }

  /** Length in four bytes, then the bytes. */
  long(value: Uint8Array): void {
    this.u32(value.length);
    this.#put(value);
  }

  /** The buffer, once it is full. @throws {RangeError} if the size was wrong: our bug */
  finish(): Buffer {
    if (this.#offset !== this.#bytes.length) {
      throw new RangeError(`Cannot finish: ${this.#offset} of ${this.#bytes.length} bytes written`);
    }
    return this.#bytes;
  }

  #put(value: Uint8Array): void {
    this.#bytes.set(value, this.#offset);
    this.#offset += value.length;
  }
}
