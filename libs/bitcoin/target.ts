/** Targets: the 256-bit bound a hash must not exceed, and its compact form. */

const TARGET_MAX = (1n << 256n) - 1n;

/**
 * Expands the compact form: `mantissa << 8 * (exponent - 3)`.
 *
 * @param nbits compact target as a number, such as 0x1d00ffff
 * @throws {RangeError} if the target is negative, zero or above 2^256 - 1: no block can carry such a one
 * @see Bitcoin Core arith_uint256::SetCompact
 */
export function targetFromNbits(nbits: number): bigint {
  const fail = (what: string) =>
    new RangeError(`Cannot expand nbits 0x${(nbits >>> 0).toString(16).padStart(8, '0')}: ${what}`);
  if (!Number.isInteger(nbits) || nbits < 0 || nbits > 0xffff_ffff)
    throw fail('it is not an unsigned 32-bit number');
  const exponent = nbits >>> 24;
  const mantissa = BigInt(nbits & 0x007f_ffff);
  const shift = BigInt(8 * (exponent - 3));
  const target = shift >= 0n ? mantissa << shift : mantissa >> -shift;
  if (target === 0n) throw fail('the target is zero');
  if ((nbits & 0x0080_0000) !== 0) throw fail('the target is negative');
  if (target > TARGET_MAX) throw fail('the target is above 2^256 - 1');
  return target;
}

/**
 * The compact form of a target, rounded down to its 23-bit mantissa.
 *
 * @throws {RangeError} if `target` is not in 1..2^256-1
 * @see Bitcoin Core arith_uint256::GetCompact
 */
export function nbitsFromTarget(target: bigint): number {
  if (target < 1n || target > TARGET_MAX)
    throw new RangeError(`Cannot compact target as it must be in 1..2^256-1: it is ${target}`);
  let size = Math.ceil(target.toString(16).length / 2);
  let mantissa = Number(
    size <= 3 ? target << BigInt(8 * (3 - size)) : target >> BigInt(8 * (size - 3)),
  );
  if ((mantissa & 0x0080_0000) !== 0) {
    mantissa >>>= 8; // Bit 23 is the sign.
    size += 1;
  }
  return ((size << 24) | mantissa) >>> 0;
}

/** The number a hash stands for. @param hash 32 bytes, internal order: little-endian */
export function integerFromHash(hash: Uint8Array): bigint {
  const view = new DataView(hash.buffer, hash.byteOffset, 32);
  return (
    (view.getBigUint64(24, true) << 192n) |
    (view.getBigUint64(16, true) << 128n) |
    (view.getBigUint64(8, true) << 64n) |
    view.getBigUint64(0, true)
  );
}

/** Whether a hash is good enough: hash <= target as integers. @param hash 32 bytes, internal order */
export function meetsTarget(hash: Uint8Array, target: bigint): boolean {
  return integerFromHash(hash) <= target;
}
