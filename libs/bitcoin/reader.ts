/** A cursor over bytes from outside: every read is checked against what is left. Gives plain views, also of a Buffer. */
import { plainBytes } from './bytes.ts';
import { WireError } from './errors.ts';

export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = plainBytes(bytes);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** [bytes] read so far */
  get offset(): number {
    return this.#offset;
  }

  /** [bytes] left to read */
  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  /** The next `count` bytes, as a view (not a copy). @throws {WireError} `truncated` */
  take(count: number): Uint8Array {
    const start = this.#advance(count);
    return this.#bytes.subarray(start, start + count);
  }

  /** Everything that is left, as a view. */
  takeRest(): Uint8Array {
    return this.take(this.remaining);
  }

  /** The byte `ahead` of the cursor without moving it; undefined past the end. */
  peek(ahead = 0): number | undefined {
    return this.#bytes[this.#offset + ahead];
  }

  /** An unsigned little-endian number. @throws {WireError} `truncated` */
  uintLe(size: 1 | 2 | 4): number {
    const start = this.#advance(size);
    if (size === 1) return this.#view.getUint8(start);
    return size === 2 ? this.#view.getUint16(start, true) : this.#view.getUint32(start, true);
  }

  /** A signed 32-bit little-endian number. @throws {WireError} `truncated` */
  int32Le(): number {
    return this.#view.getInt32(this.#advance(4), true);
  }

  /** An unsigned 64-bit little-endian number. @throws {WireError} `truncated` */
  uint64Le(): bigint {
    return this.#view.getBigUint64(this.#advance(8), true);
  }

  /** The bytes from `start` up to the cursor, as a view. */
  since(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.#offset);
  }

  /** Nothing may follow. @throws {WireError} `trailing` */
  end(): void {
    if (this.remaining > 0)
      throw new WireError('trailing', this.#offset, `${this.remaining} bytes follow the end`);
  }

  #advance(count: number): number {
    const start = this.#offset;
    if (count > this.remaining || count < 0)
      throw new WireError('truncated', start, `need ${count} bytes, have ${this.remaining}`);
    this.#offset = start + count;
    return start;
  }
}
