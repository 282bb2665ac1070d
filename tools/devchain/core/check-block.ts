/**
 * The rules a block must keep by itself and in its place, before any coin is looked at. Each check gives Bitcoin Core's
 * own word for what is wrong (src/validation.cpp, CheckBlock and ContextualCheckBlock), in Core's order.
 *
 * Written apart from what the pool builds blocks with: merkle root, commitment and target are computed here anew, so
 * that one mistake cannot be on both sides.
 */
import { equalBytes } from '#libs/bitcoin/bytes.ts';
import { powHash, sha256d } from '#libs/bitcoin/hash.ts';
import type { ParsedTransaction } from '#libs/bitcoin/transaction.ts';
import { type Block, outpointKey } from './model.ts';
import {
  BLOCK_WEIGHT_MAX,
  type DevchainParameters,
  FUTURE_SEC_MAX,
  MONEY_MAX,
  SIGOPS_COST_MAX,
} from './parameters.ts';
import { legacySigops } from './sigops.ts';
import { txidOf } from './txid.ts';

/** Core's word for a broken rule; undefined: none is broken. */
export type Verdict = string | undefined;

/** Where a block stands. */
export interface Place {
  readonly height: number;
  /** [s] median of the last eleven blocks */
  readonly medianTimePast: number;
  /** [s] our clock */
  readonly nowSec: number;
}

const NULL_HASH = new Uint8Array(32);
const LOCKTIME_THRESHOLD = 500_000_000;
const SEQUENCE_FINAL = 0xffff_ffff;

/** Proof of work by the header's own target, as Core looks at it first. */
export function checkProofOfWork(block: Block, parameters: DevchainParameters): Verdict {
  const target = expandTarget(block.header.nbits);
  if (target === undefined) return 'high-hash';
  return littleEndian(powHash(parameters.algorithm, block.headerBytes)) > target
    ? 'high-hash'
    : undefined;
}

/** Everything that can be said of a block without its parent. */
export function checkBlock(block: Block): Verdict {
  const { transactions } = block;
  const { root, isMutated } = merkleRootOf(transactions.map(({ txid }) => txid));
  if (!equalBytes(root, block.header.merkleRoot)) return 'bad-txnmrklroot';
  if (isMutated) return 'bad-txns-duplicate';
  const [coinbase, ...others] = transactions;
  const bareBytes = transactions.reduce((sum, transaction) => sum + bareSize(transaction), 80);
  if (coinbase === undefined || bareBytes * 4 > BLOCK_WEIGHT_MAX) return 'bad-blk-length';
  if (!isCoinbase(coinbase)) return 'bad-cb-missing';
  if (others.some(isCoinbase)) return 'bad-cb-multiple';
  for (const transaction of transactions) {
    const verdict = checkTransaction(transaction);
    if (verdict !== undefined) return verdict;
  }
  const sigops = transactions.reduce((sum, transaction) => sum + legacySigops(transaction), 0);
  return sigops * 4 > SIGOPS_COST_MAX ? 'bad-blk-sigops' : undefined;
}

/** A transaction by itself. @see Core src/consensus/tx_check.cpp */
export function checkTransaction(transaction: ParsedTransaction): Verdict {
  const { inputs, outputs } = transaction;
  if (inputs.length === 0) return 'bad-txns-vin-empty';
  if (outputs.length === 0) return 'bad-txns-vout-empty';
  if (bareSize(transaction) * 4 > BLOCK_WEIGHT_MAX) return 'bad-txns-oversize';
  let totalSat = 0n;
  for (const { valueSat } of outputs) {
    if (valueSat >= 1n << 63n) return 'bad-txns-vout-negative';
    if (valueSat > MONEY_MAX) return 'bad-txns-vout-toolarge';
    totalSat += valueSat;
    if (totalSat > MONEY_MAX) return 'bad-txns-txouttotal-toolarge';
  }
  const outpoints = inputs.map(({ prevTxid, prevIndex }) =>
    outpointKey(txidOf(prevTxid), prevIndex),
  );
  if (new Set(outpoints).size !== outpoints.length) return 'bad-txns-inputs-duplicate';
  if (isCoinbase(transaction)) {
    const length = inputs[0]?.scriptSig.length ?? 0;
    return length < 2 || length > 100 ? 'bad-cb-length' : undefined;
  }
  const spendsNothing = inputs.some(
    ({ prevTxid, prevIndex }) => prevIndex === 0xffff_ffff && equalBytes(prevTxid, NULL_HASH),
  );
  return spendsNothing ? 'bad-txns-prevout-null' : undefined;
}

/** The header in its place. */
export function checkHeaderInPlace(
  { header }: Block,
  place: Place,
  parameters: DevchainParameters,
): Verdict {
  if (header.nbits !== parameters.nbits) return 'bad-diffbits';
  if (header.ntime <= place.medianTimePast) return 'time-too-old';
  if (header.ntime > place.nowSec + FUTURE_SEC_MAX) return 'time-too-new';
  // BIP 34, 66 and 65 are active from the start. The version is a signed number.
  if ((header.version | 0) < 4)
    return `bad-version(0x${header.version.toString(16).padStart(8, '0')})`;
  return undefined;
}

/** The transactions in their place. */
export function checkBlockInPlace({ transactions, raw }: Block, place: Place): Verdict {
  if (!transactions.every((transaction) => isFinal(transaction, place))) return 'bad-txns-nonfinal';
  const [coinbase, ...others] = transactions;
  const scriptSig = coinbase?.inputs[0]?.scriptSig ?? new Uint8Array();
  const push = heightPush(place.height);
  if (!equalBytes(scriptSig.subarray(0, push.length), push)) return 'bad-cb-height';
  const verdict = checkWitnesses(coinbase, others);
  if (verdict !== undefined) return verdict;
  const bareBytes = transactions.reduce((sum, transaction) => sum + bareSize(transaction), 0);
  const headBytes = raw.length - transactions.reduce((sum, each) => sum + each.raw.length, 0);
  const weight = (headBytes + bareBytes) * 3 + raw.length;
  return weight > BLOCK_WEIGHT_MAX ? 'bad-blk-weight' : undefined;
}

/** BIP 141, "Commitment structure". */
function checkWitnesses(
  coinbase: ParsedTransaction | undefined,
  others: readonly ParsedTransaction[],
): Verdict {
  const commitment = coinbase?.outputs.findLast(
    ({ script }) =>
      script.length >= 38 && Buffer.from(script.subarray(0, 6)).toString('hex') === '6a24aa21a9ed',
  );
  const stack = coinbase?.inputs[0]?.witness ?? [];
  if (commitment === undefined) {
    const hasWitness = stack.length > 0 || others.some((transaction) => transaction.hasWitness);
    return hasWitness ? 'unexpected-witness' : undefined;
  }
  const [reserved] = stack;
  if (stack.length !== 1 || reserved?.length !== 32) return 'bad-witness-nonce-size';
  const { root } = merkleRootOf([NULL_HASH, ...others.map(({ wtxid }) => wtxid)]);
  const wanted = sha256d(Buffer.concat([root, reserved]));
  return equalBytes(commitment.script.subarray(6, 38), wanted)
    ? undefined
    : 'bad-witness-merkle-match';
}

/** BIP 113: lock times are compared with the median time past. */
export function isFinal(transaction: ParsedTransaction, place: Place): boolean {
  const { lockTime, inputs } = transaction;
  const limit = lockTime < LOCKTIME_THRESHOLD ? place.height : place.medianTimePast;
  return (
    lockTime === 0 ||
    lockTime < limit ||
    inputs.every(({ sequence }) => sequence === SEQUENCE_FINAL)
  );
}

export function isCoinbase({ inputs }: ParsedTransaction): boolean {
  const [input] = inputs;
  return (
    inputs.length === 1 && input?.prevIndex === 0xffff_ffff && equalBytes(input.prevTxid, NULL_HASH)
  );
}

/** [bytes] of a transaction without marker, flag and witnesses */
export function bareSize(transaction: ParsedTransaction): number {
  const { raw, hasWitness, inputs } = transaction;
  if (!hasWitness) return raw.length;
  const witnessBytes = inputs.reduce(
    (sum, { witness }) =>
      sum +
      countSize(witness.length) +
      witness.reduce((stack, item) => stack + countSize(item.length) + item.length, 0),
    0,
  );
  return raw.length - 2 - witnessBytes;
}

/** [weight units] BIP 141 */
export function weightOf(transaction: ParsedTransaction): number {
  return bareSize(transaction) * 3 + transaction.raw.length;
}

function countSize(count: number): number {
  return count < 0xfd ? 1 : count <= 0xffff ? 3 : 5;
}

/** BIP 34, as Core's `CScript() << nHeight` writes it. */
function heightPush(height: number): Uint8Array {
  if (height === 0) return Uint8Array.of(0);
  if (height <= 16) return Uint8Array.of(0x50 + height);
  let hex = height.toString(16);
  if (hex.length % 2 !== 0) hex = `0${hex}`;
  const bytes = Buffer.from(hex, 'hex').reverse();
  const isSigned = (bytes.at(-1) ?? 0) >= 0x80;
  const number = isSigned ? Buffer.concat([bytes, Buffer.of(0)]) : bytes;
  return Buffer.concat([Buffer.of(number.length), number]);
}

/**
 * Root of a merkle tree and whether two equal neighbours make it ambiguous (CVE-2012-2459).
 * @param ids in internal byte order
 */
export function merkleRootOf(ids: readonly Uint8Array[]): { root: Uint8Array; isMutated: boolean } {
  let level = [...ids];
  let isMutated = false;
  while (level.length > 1) {
    const above: Uint8Array[] = [];
    for (let at = 0; at < level.length; at += 2) {
      const left = level[at] ?? NULL_HASH;
      const right = level[at + 1];
      if (right !== undefined && equalBytes(left, right)) isMutated = true;
      above.push(sha256d(Buffer.concat([left, right ?? left])));
    }
    level = above;
  }
  return { root: level[0] ?? NULL_HASH, isMutated };
}

/** The target of compact bits; undefined if it is negative, zero or beyond 256 bits. */
export function expandTarget(nbits: number): bigint | undefined {
  const exponent = nbits >>> 24;
  const mantissa = BigInt(nbits & 0x7f_ffff);
  if ((nbits & 0x80_0000) !== 0) return undefined;
  const target =
    exponent <= 3 ? mantissa >> BigInt(8 * (3 - exponent)) : mantissa << BigInt(8 * (exponent - 3));
  return target === 0n || target >= 1n << 256n ? undefined : target;
}

/** Expected number of hashes: 2^256 / (target + 1). */
export function workOf(nbits: number): bigint {
  const target = expandTarget(nbits);
  return target === undefined ? 0n : (1n << 256n) / (target + 1n);
}

function littleEndian(hash: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(hash).reverse().toString('hex')}`);
}
