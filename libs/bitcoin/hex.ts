/** Hex, strictly: an even number of digits, nothing else. */
import { plainBytes } from './bytes.ts';
import { WireError } from './errors.ts';

const NOT_HEX = /[^0-9a-fA-F]/;

/** Bytes of a hex string, upper or lower case. @throws {WireError} `bad_hex` with the offset in characters */
export function bytesFromHex(hex: string): Uint8Array {
  if (hex.length % 2 !== 0)
    throw new WireError('bad_hex', hex.length, `odd number of digits: ${hex.length}`);
  const bytes = Buffer.from(hex, 'hex'); // Stops at the first character that is not a digit.
  if (bytes.length * 2 !== hex.length)
    throw new WireError('bad_hex', hex.search(NOT_HEX), 'not a hex digit');
  return plainBytes(bytes);
}

/** Lower-case hex. */
export function hexFromBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** 8 lower-case digits, big-endian, as numbers are written in stratum. */
export function hexFromUint32(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}
