/** Little-endian fields of the hand-over's formats. Reads never go past the end, and nothing is believed about lengths. */

export type HandoverFault = 'truncated' | 'trailing' | 'bad_value' | 'too_large' | 'version';

/** Bytes that are no hand-over message of a version we know. */
export class HandoverError extends Error {
  readonly code: HandoverFault;

  constructor(code: HandoverFault, message: string) {
    super(`Cannot read a hand-over message: ${message}`);
    this.name = 'HandoverError';
    this.code = code;
  }
}

export class FieldReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#bytes.length;
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

  /** Length in four bytes, then the bytes, as a view. */
  bytes(): Uint8Array {
    const length = this.u32();
    const start = this.#advance(length);
    return this.#bytes.subarray(start, start + length);
  }

  text(): string {
    return Buffer.from(this.bytes()).toString('utf8');
  }

  /** @throws {HandoverError} `trailing` unless all was read */
  expectEnd(): void {
    if (!this.isAtEnd)
      throw new HandoverError('trailing', `${this.#bytes.length - this.#offset} bytes too many`);
  }

  #advance(count: number): number {
    const start = this.#offset;
    if (count > this.#bytes.length - start)
      throw new HandoverError(
        'truncated',
        `need ${count} bytes, have ${this.#bytes.length - start}`,
      );
    this.#offset += count;
    return start;
  }
}

/** Collects fields. */
export class FieldWriter {
  readonly #parts: Buffer[] = [];

  u8(value: number): this {
    return this.#number(value, 1);
  }

  u16(value: number): this {
    return this.#number(value, 2);
  }

  u32(value: number): this {
    return this.#number(value, 4);
  }

  u48(value: number): this {
    return this.#number(value, 6);
  }

  /** Length in four bytes, then a copy of the bytes. */
  bytes(value: Uint8Array): this {
    this.u32(value.length);
    this.#parts.push(Buffer.from(value));
    return this;
  }

  text(value: string): this {
    return this.bytes(Buffer.from(value, 'utf8'));
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts);
  }

  #number(value: number, size: number): this {
    const part = Buffer.allocUnsafe(size);
    part.writeUIntLE(value, 0, size);
    this.#parts.push(part);
    return this;
  }
}
