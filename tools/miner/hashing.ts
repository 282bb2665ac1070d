/**
 * The miner's own arithmetic, from the protocol's description and node:crypto alone: what it checks the pool with must
 * not be the pool's code.
 */
import { hash, scryptSync } from 'node:crypto';

export type Algorithm = 'sha256d' | 'scrypt';

/** Target of difficulty 1 by the convention of each algorithm's miners. */
const DIFF1: Readonly<Record<Algorithm, bigint>> = {
  sha256d: 0xffffn << 208n,
  scrypt: 0xffffn << 224n,
};

export function sha256d(bytes: Uint8Array): Buffer {
  return hash('sha256', hash('sha256', bytes, 'buffer'), 'buffer');
}

/** The proof of work of an 80-byte header: 32 bytes, a little-endian number. */
export function powOf(algorithm: Algorithm, header: Uint8Array): Buffer {
  if (algorithm === 'sha256d') return sha256d(header);
  return scryptSync(header, header, 32, { N: 1024, r: 1, p: 1 });
}

export function numberOf(littleEndian: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(littleEndian).reverse().toString('hex')}`);
}

/** 32 bytes, little-endian, as hashes are. */
export function bytesOf(target: bigint): Buffer {
  return Buffer.from(target.toString(16).padStart(64, '0'), 'hex').reverse();
}

/** floor(diff1 / difficulty), exact: the double is doubled until it is whole. */
export function targetOf(difficulty: number, algorithm: Algorithm): bigint {
  let numerator = DIFF1[algorithm];
  let whole = difficulty;
  while (!Number.isInteger(whole)) {
    whole *= 2;
    numerator *= 2n;
  }
  const target = numerator / BigInt(whole);
  const largest = (1n << 256n) - 1n;
  return target < largest ? target : largest;
}

/** The target of a compact `nbits`. */
export function networkTargetOf(nbits: number): bigint {
  const mantissa = BigInt(nbits & 0x7f_ffff);
  const exponent = (nbits >>> 24) - 3;
  return exponent >= 0 ? mantissa << BigInt(8 * exponent) : mantissa >> BigInt(-8 * exponent);
}
