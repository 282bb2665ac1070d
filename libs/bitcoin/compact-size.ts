/** CompactSize: Bitcoin's variable-length count. */
import { WireError } from './errors.ts';
import type { Reader } from './reader.ts';

/**
 * Reads a CompactSize count: 1, 3 or 5 bytes, little-endian, shortest form only.
 *
 * @param max [items] largest count the caller accepts; no loop is sized by unchecked bytes
 * @throws {WireError} `truncated`, `non_canonical` or `too_large`
 * @see https://developer.bitcoin.org/reference/transactions.html#compactsize-unsigned-integers
 */
export function readCompactSize(reader: Reader, max: number): number {
  const start = reader.offset;
  const tag = reader.uintLe(1);
  if (tag === 0xff) throw new WireError('too_large', start, 'count needs 64 bits');
  const count = tag === 0xfd ? reader.uintLe(2) : tag === 0xfe ? reader.uintLe(4) : tag;
  const floor = tag === 0xfd ? 0xfd : tag === 0xfe ? 0x1_0000 : 0;
  if (count < floor) throw new WireError('non_canonical', start, `${count} has a shorter form`);
  if (count > max)
    throw new WireError('too_large', start, `count must be <= ${max}: it is ${count}`);
  return count;
}

/**
 * The shortest form of a count.
 *
 * @param count [items] integer in 0..2^32-1
 * @throws {RangeError} if `count` is out of range
 */
export function encodeCompactSize(count: number): Uint8Array {
  if (!Number.isInteger(count) || count < 0 || count > 0xffff_ffff)
    throw new RangeError(`Cannot encode count as it must be in 0..2^32-1: it is ${count}`);
  if (count < 0xfd) return Uint8Array.of(count);
  const bytes = new Uint8Array(count <= 0xffff ? 3 : 5);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, count <= 0xffff ? 0xfd : 0xfe);
  if (count <= 0xffff) view.setUint16(1, count, true);
  else view.setUint32(1, count, true);
  return bytes;
}
