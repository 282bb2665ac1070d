/** The 80-byte block header, the same on every chain we know. */
import { assert } from '#libs/assert.ts';
import { sha256d } from './hash.ts';
import { displayFromInternal } from './prevhash.ts';
import { Reader } from './reader.ts';

export const HEADER_BYTES = 80;

export interface BlockHeader {
  /** Unsigned view of the signed 32-bit version. */
  readonly version: number;
  /** 32 bytes, internal order. */
  readonly prevhash: Uint8Array;
  /** 32 bytes, internal order. */
  readonly merkleRoot: Uint8Array;
  /** [s] Unix time */
  readonly ntime: number;
  readonly nbits: number;
  readonly nonce: number;
}

/** version | prevhash | merkle root | ntime | nbits | nonce; numbers little-endian. */
export function encodeHeader(header: BlockHeader): Uint8Array {
  const { version, prevhash, merkleRoot, ntime, nbits, nonce } = header;
  assert(prevhash.length === 32 && merkleRoot.length === 32, 'hashes of a header have 32 bytes');
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, version >>> 0, true);
  bytes.set(prevhash, 4);
  bytes.set(merkleRoot, 36);
  view.setUint32(68, ntime, true);
  view.setUint32(72, nbits, true);
  view.setUint32(76, nonce, true);
  return bytes;
}

/** Reads a header; its hashes are views of the input. @throws {WireError} `truncated` */
export function readHeader(reader: Reader): BlockHeader {
  return {
    version: reader.uintLe(4),
    prevhash: reader.take(32),
    merkleRoot: reader.take(32),
    ntime: reader.uintLe(4),
    nbits: reader.uintLe(4),
    nonce: reader.uintLe(4),
  };
}

/** Exactly 80 bytes. @throws {WireError} `truncated` or `trailing` */
export function decodeHeader(bytes: Uint8Array): BlockHeader {
  const reader = new Reader(bytes);
  const header = readHeader(reader);
  reader.end();
  return header;
}

/** The block's hash in display order: double SHA-256 whatever the proof of work is. @param header 80 bytes */
export function blockHashOf(header: Uint8Array): string {
  return displayFromInternal(sha256d(header));
}
