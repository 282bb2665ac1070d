/** Hashes of headers and transactions. Results are in internal byte order. */
import { hash, scryptSync } from 'node:crypto';
import { plainBytes } from './bytes.ts';

export type PowAlgorithm = 'sha256d' | 'scrypt';

const LITECOIN_SCRYPT = { N: 1024, r: 1, p: 1 } as const;

export function sha256(bytes: Uint8Array): Uint8Array {
  return plainBytes(hash('sha256', bytes, 'buffer'));
}

/** Double SHA-256: ids of transactions and blocks on every chain, proof of work on Bitcoin. 32 bytes. */
export function sha256d(bytes: Uint8Array): Uint8Array {
  return plainBytes(hash('sha256', hash('sha256', bytes, 'buffer'), 'buffer'));
}

/** The hash that is compared with the target. @param header 80 bytes @returns 32 bytes, little-endian number */
export function powHash(algorithm: PowAlgorithm, header: Uint8Array): Uint8Array {
  switch (algorithm) {
    case 'sha256d':
      return sha256d(header);
    case 'scrypt':
      return plainBytes(scryptSync(header, header, 32, LITECOIN_SCRYPT)); // The header is password and salt.
  }
}
