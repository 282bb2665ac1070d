/** Reads little-endian fields, never past the end. */
import { LinkError } from './errors.ts';

export class ByteReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #offset: number;

  constructor(bytes: Buffer, offset = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#offset = offset;
    this.#end = end;
  }

  get offset(): number {
    return this.#offset;
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#end;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#advance(1));
  }

  u16(): number {
    return this.#bytes.readUInt16LE(this.#advance(2));
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#advance(4));
  }

  u48(): number {
    return this.#bytes.readUIntLE(this.#advance(6), 6);
  }

  u64(): bigint {
    return this.#bytes.readBigUInt64LE(this.#advance(8));
  }

  /** A flag: 0 or 1. @throws {LinkError} `bad_value` */
  flag(): boolean {
    return this.choice(2) === 1;
  }

  /** One of `count` values, from 0. @throws {LinkError} `bad_value` */
  choice(count: number): number {
    const at = this.#offset;
    const value = this.u8();
    if (value >= count) throw new LinkError('bad_value', at, `must be < ${count}: it is ${value}`);
    return value;
  }

  /** Length in one byte, then UTF-8 (what is not UTF-8 becomes U+FFFD). */
  text(): string {
    const length = this.u8();
    const start = this.#advance(length);
    return this.#bytes.toString('utf8', start, start + length);
  }

  /** Length in one byte, then bytes, as a view. @throws {LinkError} `too_large` above `max` */
  short(max: number): Buffer {
    const at = this.#offset;
    return this.#take(this.u8(), max, at);
  }

  /** Length in four bytes, then bytes, as a view. @throws {LinkError} `too_large` above `max` */
  long(max: number): Buffer {
    const at = this.#offset;
    return this.#take(this.u32(), max, at);
  }

  /** A reader over the next `length` bytes, which this one leaves behind. */
  slice(length: number): ByteReader {
    const start = this.#advance(length);
    return new ByteReader(this.#bytes, start, start + length);
  }

  /** @throws {LinkError} `trailing` unless all was read */
  expectEnd(): void {
    const left = this.#end - this.#offset;
    if (left > 0) throw new LinkError('trailing', this.#offset, `${left} bytes too many`);
  }

  #take(length: number, max: number, at: number): Buffer {
    if (length > max)
      throw new LinkError('too_large', at, `must be <= ${max} bytes: it is ${length}`);
    const start = this.#advance(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** Moves on and returns where it was. */
  #advance(count: number): number {
    const start = this.#offset;
    const left = this.#end - start;
    if (count > left) throw new LinkError('truncated', start, `need ${count} bytes, have ${left}`);
    this.#offset = start + count;
    return start;
  }
}
