/**
 * The chain in one file, appended and synced record by record. A record that was cut off by a crash or a full disk is
 * dropped when the file is opened, with everything after it.
 *
 *     "SEAMDEV1" | record*        record = u8 kind | u32 length | u32 crc32(kind, payload) | payload
 *
 * Numbers are little-endian. The first record holds the parameters.
 */
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { assert } from '#libs/assert.ts';
import type { ChainLog, LogRecord, Mark } from '../core/chain-state.ts';
import { DevchainConfigError } from '../errors.ts';

const MAGIC = Buffer.from('SEAMDEV1', 'latin1');
const HEAD_BYTES = 9;
/** [bytes] A block has 4 MB at most. */
const PAYLOAD_BYTES_MAX = 4_100_000;
const KINDS = ['parameters', 'block', 'invalid', 'reconsidered'] as const;
type Kind = (typeof KINDS)[number];

interface RawRecord {
  readonly kind: Kind;
  readonly payload: Buffer;
  /** [bytes] where the record begins */
  readonly offset: number;
}

export class ChainLogFile implements ChainLog, Disposable {
  readonly #fd: number;
  #end = 0;
  #droppedBytes = 0;

  /**
   * @param parameters whatever makes this chain another one than that of another file, as text
   * @throws {DevchainConfigError} if the file is of another chain, or not of devchain
   */
  constructor(path: string, parameters: string) {
    mkdirSync(dirname(path), { recursive: true });
    this.#fd = openSync(path, existsSync(path) ? 'r+' : 'w+', 0o600);
    try {
      this.#open(path, parameters);
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  /** [bytes] cut off when the file was opened */
  get droppedBytes(): number {
    return this.#droppedBytes;
  }
  /** [bytes] of the file */
  get bytes(): number {
    return this.#end;
  }

  appendBlock(raw: Uint8Array): number {
    return this.#append('block', raw);
  }

  appendMark(mark: Mark, hash: string): void {
    this.#append(mark, Buffer.from(hash, 'hex'));
  }

  read(location: number): Uint8Array {
    const record = this.#readRecord(location);
    assert(record?.kind === 'block', `there is a block at ${location}`);
    return record.payload;
  }

  /** Everything that was appended, in order. */
  *records(): Generator<LogRecord> {
    for (let offset = MAGIC.length; offset < this.#end; ) {
      const record = this.#readRecord(offset);
      if (record === undefined) return;
      const { kind, payload } = record;
      if (kind === 'block') yield { kind, raw: payload, location: offset };
      else if (kind !== 'parameters') yield { kind, hash: payload.toString('hex') };
      offset += HEAD_BYTES + payload.length;
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #open(path: string, parameters: string): void {
    const size = fstatSync(this.#fd).size;
    const magic = this.#readAt(0, MAGIC.length);
    if (size >= MAGIC.length && !MAGIC.equals(magic)) {
      throw new DevchainConfigError(`Cannot open ${path}: it is not a file of devchain`);
    }
    this.#end = MAGIC.length;
    const [first, end] = this.#scan();
    if (first === undefined) {
      this.#droppedBytes = Math.max(0, size - MAGIC.length); // Not even the parameters were written.
      ftruncateSync(this.#fd, 0);
      writeSync(this.#fd, MAGIC, 0, MAGIC.length, 0);
      this.#append('parameters', Buffer.from(parameters));
      return;
    }
    const found = first.payload.toString();
    if (first.kind !== 'parameters' || found !== parameters) {
      throw new DevchainConfigError(
        `Cannot open ${path}: it holds another chain (${found}, not ${parameters}); remove it to begin a new one`,
      );
    }
    this.#end = end;
    this.#droppedBytes = size - end;
    if (this.#droppedBytes > 0) ftruncateSync(this.#fd, end);
  }

  /** @returns the first record, and where the last whole one ends */
  #scan(): readonly [RawRecord | undefined, number] {
    let first: RawRecord | undefined;
    let end = MAGIC.length;
    for (let record = this.#readRecord(end); record !== undefined; record = this.#readRecord(end)) {
      first ??= record;
      end += HEAD_BYTES + record.payload.length;
    }
    return [first, end];
  }

  #append(kind: Kind, payload: Uint8Array): number {
    const record = Buffer.alloc(HEAD_BYTES + payload.length);
    record.writeUInt8(KINDS.indexOf(kind), 0);
    record.writeUInt32LE(payload.length, 1);
    record.writeUInt32LE(checksum(KINDS.indexOf(kind), payload), 5);
    record.set(payload, HEAD_BYTES);
    const offset = this.#end;
    for (let written = 0; written < record.length; ) {
      written += writeSync(this.#fd, record, written, record.length - written, offset + written);
    }
    fdatasyncSync(this.#fd);
    this.#end = offset + record.length;
    return offset;
  }

  /** @returns undefined if there is no whole record at this place */
  #readRecord(offset: number): RawRecord | undefined {
    const head = this.#readAt(offset, HEAD_BYTES);
    if (head.length < HEAD_BYTES) return undefined;
    const tag = head.readUInt8(0);
    const kind = KINDS[tag];
    const length = head.readUInt32LE(1);
    if (kind === undefined || length > PAYLOAD_BYTES_MAX) return undefined;
    const payload = this.#readAt(offset + HEAD_BYTES, length);
    if (payload.length < length || checksum(tag, payload) !== head.readUInt32LE(5))
      return undefined;
    return { kind, payload, offset };
  }

  /** As many bytes as there are. */
  #readAt(offset: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    let read = 0;
    while (read < length) {
      const count = readSync(this.#fd, bytes, read, length - read, offset + read);
      if (count === 0) break;
      read += count;
    }
    return bytes.subarray(0, read);
  }
}

function checksum(tag: number, payload: Uint8Array): number {
  return crc32(payload, crc32(Uint8Array.of(tag)));
}
