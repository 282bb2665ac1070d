/** Whole blocks, as `submitblock` takes them. */
import { concatBytes } from './bytes.ts';
import { encodeCompactSize, readCompactSize } from './compact-size.ts';
import { WireError } from './errors.ts';
import { type BlockHeader, HEADER_BYTES, readHeader } from './header.ts';
import { Reader } from './reader.ts';
import {
  BLOCK_BYTES_MAX,
  encodeTransaction,
  isCoinbase,
  isMwebTransaction,
  type ParsedTransaction,
  parseTransaction,
  readTransaction,
} from './transaction.ts';
import { findWitnessCommitment, WITNESS_RESERVED } from './witness-commitment.ts';

/** [transactions] The smallest transaction takes 60 bytes. */
const TRANSACTIONS_MAX = Math.floor(BLOCK_BYTES_MAX / 60);

export interface BlockParts {
  /** 80 bytes */
  readonly header: Uint8Array;
  /** As in stratum: without witness. */
  readonly coinbase: Uint8Array;
  /** Bytes of every other transaction as the template gave them, in order. */
  readonly transactions: readonly Uint8Array[];
  /** The template's `mweb`, if it has one. */
  readonly mweb: Uint8Array | undefined;
}

export interface ParsedBlock {
  readonly header: BlockHeader;
  /** 80 bytes, as a view of the input. */
  readonly headerBytes: Uint8Array;
  /** Number of transactions the block says it has. */
  readonly count: number;
  /** The transactions in order, the coinbase first; up to the first one with an MWEB part. */
  readonly transactions: readonly ParsedTransaction[];
  /** HogEx and MWEB extension, not decoded; empty for a block without. See Note [MWEB is opaque]. */
  readonly opaque: Uint8Array;
}

/**
 * The coinbase as it stands in a block: with the reserved witness value if it commits to witnesses, else unchanged.
 *
 * @param coinbase without witness
 * @throws {WireError} if it is not a coinbase
 * @see BIP 141, "Commitment structure"
 */
export function coinbaseForBlock(coinbase: Uint8Array): Uint8Array {
  const parsed = parseTransaction(coinbase);
  const [input] = parsed.inputs;
  if (input === undefined || !isCoinbase(parsed))
    throw new WireError('bad_value', 0, 'this transaction is not a coinbase');
  if (findWitnessCommitment(parsed) === undefined) return coinbase;
  const witnessed = { ...input, witness: [WITNESS_RESERVED] };
  return encodeTransaction({ ...parsed, hasWitness: true, inputs: [witnessed] });
}

/** header || count || coinbase with witness || transactions || (01 || mweb). @throws {WireError} for a bad coinbase */
export function assembleBlock(parts: BlockParts): Uint8Array {
  const { header, coinbase, transactions, mweb } = parts;
  return concatBytes(
    header,
    encodeCompactSize(transactions.length + 1),
    coinbaseForBlock(coinbase),
    ...transactions,
    ...(mweb === undefined ? [] : [Uint8Array.of(1), mweb]),
  );
}

/**
 * Reads a block. Of a block with MWEB everything from the HogEx on is `opaque`.
 *
 * @throws {WireError} for anything but a whole block
 */
export function parseBlock(bytes: Uint8Array): ParsedBlock {
  const reader = new Reader(bytes);
  const header = readHeader(reader);
  const headerBytes = bytes.subarray(0, HEADER_BYTES);
  const count = readCompactSize(reader, TRANSACTIONS_MAX);
  const transactions: ParsedTransaction[] = [];
  while (transactions.length < count) {
    if (isMwebTransaction(bytes.subarray(reader.offset))) break;
    transactions.push(readTransaction(reader));
  }
  const opaque = transactions.length < count ? reader.takeRest() : new Uint8Array();
  reader.end();
  return { header, headerBytes, count, transactions, opaque };
}
