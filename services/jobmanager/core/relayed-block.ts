/** A block another node has seen: only as much of it is read as is needed to name it. */
import { readCompactSize } from '#libs/bitcoin/compact-size.ts';
import { WireError } from '#libs/bitcoin/errors.ts';
import { blockHashOf, HEADER_BYTES, readHeader } from '#libs/bitcoin/header.ts';
import { decodeHeight } from '#libs/bitcoin/height.ts';
import { Reader } from '#libs/bitcoin/reader.ts';
import { isCoinbase, readTransaction } from '#libs/bitcoin/transaction.ts';

/** [bytes] A block of 4 MB and its MWEB part. */
export const RELAYED_BYTES_MAX = 8_000_000;

export interface RelayedBlock {
  /** Display byte order. */
  readonly hash: string;
  /** [blocks] as its coinbase says */
  readonly height: number;
}

/** Names a serialized block; whether it is valid is for a node to say. @throws {WireError} */
export function readRelayedBlock(bytes: Uint8Array): RelayedBlock {
  if (bytes.length > RELAYED_BYTES_MAX)
    throw new WireError('too_large', 0, `a block has at most ${RELAYED_BYTES_MAX} bytes`);
  const reader = new Reader(bytes);
  readHeader(reader);
  readCompactSize(reader, bytes.length);
  const coinbase = readTransaction(reader);
  const [input] = coinbase.inputs;
  if (input === undefined || !isCoinbase(coinbase))
    throw new WireError('bad_value', HEADER_BYTES, 'a block begins with its coinbase');
  return {
    hash: blockHashOf(bytes.subarray(0, HEADER_BYTES)),
    height: decodeHeight(input.scriptSig),
  };
}
