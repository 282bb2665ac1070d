/** The block height in the coinbase. */
import { WireError } from './errors.ts';
import { Reader } from './reader.ts';

/**
 * Encodes a block height as the first item of the coinbase scriptSig.
 *
 * Heights 0 to 16 are one opcode (OP_0, OP_1..OP_16), as Bitcoin Core writes them; only regtest
 * sees those. Above, a push of the shortest little-endian ScriptNum.
 *
 * @param height [blocks] integer in 0..2^31-1
 * @returns 1 to 5 bytes
 * @throws {RangeError} if `height` is out of range
 * @see BIP 34: https://github.com/bitcoin/bips/blob/master/bip-0034.mediawiki
 */
export function encodeHeight(height: number): Uint8Array {
  if (!Number.isInteger(height) || height < 0 || height > 0x7fff_ffff) {
    throw new RangeError(
      `Cannot encode height as it must be in 0..2^31-1: current value is ${height}`,
    );
  }
  if (height <= 16) return Uint8Array.of(height === 0 ? 0x00 : 0x50 + height);
  const bytes: number[] = [];
  for (let rest = height; rest > 0; rest >>>= 8) bytes.push(rest & 0xff);
  if ((bytes.at(-1) ?? 0) >= 0x80) bytes.push(0); // The top bit is ScriptNum's sign.
  return Uint8Array.of(bytes.length, ...bytes);
}

/**
 * The height a coinbase scriptSig begins with. The exact inverse of {@link encodeHeight}.
 *
 * @returns [blocks]
 * @throws {WireError} `truncated`, `bad_value` (not a height) or `non_canonical` (not the shortest form)
 */
export function decodeHeight(scriptSig: Uint8Array): number {
  const reader = new Reader(scriptSig);
  const tag = reader.uintLe(1);
  if (tag === 0) return 0;
  if (tag > 0x50 && tag <= 0x60) return tag - 0x50;
  if (tag > 5) throw new WireError('bad_value', 0, `scriptSig begins with opcode ${tag}`);
  let height = 0;
  reader.take(tag).forEach((byte, index) => {
    height += byte * 2 ** (8 * index);
  });
  const isHeight = height <= 0x7fff_ffff;
  if (!isHeight) throw new WireError('bad_value', 1, `height ${height} is negative or too large`);
  const shortest = encodeHeight(height);
  if (shortest.some((byte, at) => byte !== scriptSig[at]))
    throw new WireError('non_canonical', 0, `height ${height} has another form`);
  return height;
}
