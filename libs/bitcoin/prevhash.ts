/** The three spellings of a block hash: display (RPC), internal (header) and stratum. */
import { reversedBytes } from './bytes.ts';
import { WireError } from './errors.ts';
import { bytesFromHex, hexFromBytes } from './hex.ts';

function hash32(hex: string): Uint8Array {
  const bytes = bytesFromHex(hex);
  if (bytes.length !== 32)
    throw new WireError('bad_value', 0, `a hash has 32 bytes: this has ${bytes.length}`);
  return bytes;
}

/** Internal order, as in headers and transactions. @param display 64 hex digits @throws {WireError} */
export function internalFromDisplay(display: string): Uint8Array {
  return hash32(display).reverse();
}

/** Display order, as RPC and people write it. @param internal 32 bytes */
export function displayFromInternal(internal: Uint8Array): string {
  return hexFromBytes(reversedBytes(internal));
}

/** `mining.notify`: internal order with the bytes of each 4-byte word swapped. @throws {WireError} */
export function stratumFromDisplay(display: string): string {
  // The same as eight groups of eight digits in reverse order.
  return (hexFromBytes(hash32(display)).match(/.{8}/g) ?? []).reverse().join('');
}

/** The inverse of {@link stratumFromDisplay}: swapping twice changes nothing. @throws {WireError} */
export function displayFromStratum(stratum: string): string {
  return stratumFromDisplay(stratum);
}
