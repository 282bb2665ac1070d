/** CRC-32C (Castagnoli), as the PROXY protocol uses it. Node's zlib has only the other CRC-32. */

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1)
    value = value & 1 ? (value >>> 1) ^ 0x82f6_3b78 : value >>> 1;
  return value >>> 0;
});

/**
 * @param bytes hashed in order
 * @param zeroFrom [bytes] offset of four bytes that count as zero: where the sum itself stands; -1 for none
 * @see RFC 3720, appendix B.4
 */
export function crc32c(bytes: Uint8Array, zeroFrom = -1): number {
  let sum = 0xffff_ffff;
  for (const [index, byte] of bytes.entries()) {
    const isSum = zeroFrom >= 0 && index >= zeroFrom && index < zeroFrom + 4;
    sum = (TABLE[(sum ^ (isSum ? 0 : byte)) & 0xff] ?? 0) ^ (sum >>> 8);
  }
  return (sum ^ 0xffff_ffff) >>> 0;
}
