/** Blocks of devchain's own making, for tests and for `devmine`. */
import { concatBytes, uint32Le, uint64Le } from '#libs/bitcoin/bytes.ts';
import { encodeCompactSize } from '#libs/bitcoin/compact-size.ts';
import { powHash } from '#libs/bitcoin/hash.ts';
import { encodeHeader } from '#libs/bitcoin/header.ts';
import { encodeHeight } from '#libs/bitcoin/height.ts';
import { bytesFromHex } from '#libs/bitcoin/hex.ts';
import { internalFromDisplay } from '#libs/bitcoin/prevhash.ts';
import { encodeTransaction, parseTransaction } from '#libs/bitcoin/transaction.ts';
import { expandTarget, merkleRootOf } from './check-block.ts';
import type { DevchainParameters } from './parameters.ts';
import type { Template } from './template.ts';

/** A block whose nonce is still to be found. */
export interface Candidate {
  /** 80 bytes; the nonce is written into it. */
  readonly header: Uint8Array;
  /** What follows the header. */
  readonly rest: Uint8Array;
}

/**
 * @param script who gets the coins
 * @param extra makes blocks of the same second differ
 */
export function createCandidate(
  template: Template,
  script: Uint8Array,
  extra: Uint8Array,
): Candidate {
  const coinbase = encodeTransaction({
    version: 2,
    inputs: [
      {
        prevTxid: new Uint8Array(32),
        prevIndex: 0xffff_ffff,
        scriptSig: concatBytes(encodeHeight(template.height), Uint8Array.of(extra.length), extra),
        sequence: 0xffff_fffe,
        witness: [new Uint8Array(32)],
      },
    ],
    outputs: [
      { valueSat: BigInt(template.coinbasevalue), script },
      { valueSat: 0n, script: bytesFromHex(template.default_witness_commitment) },
    ],
    lockTime: template.height - 1,
    hasWitness: true,
  });
  const txids = template.transactions.map(({ txid }) => internalFromDisplay(txid));
  const header = encodeHeader({
    version: template.version,
    prevhash: internalFromDisplay(template.previousblockhash),
    merkleRoot: merkleRootOf([parseTransaction(coinbase).txid, ...txids]).root,
    ntime: template.curtime,
    nbits: Number.parseInt(template.bits, 16),
    nonce: 0,
  });
  const transactions = template.transactions.map(({ data }) => bytesFromHex(data));
  const count = encodeCompactSize(transactions.length + 1);
  return { header, rest: concatBytes(count, coinbase, ...transactions) };
}

/** Tries `count` nonces from `from` on. @returns the whole block, or undefined if none was good enough */
export function search(
  candidate: Candidate,
  parameters: DevchainParameters,
  from: number,
  count: number,
): Uint8Array | undefined {
  const { header, rest } = candidate;
  const bound = bigEndian(uint256Le(expandTarget(parameters.nbits) ?? 0n));
  for (let nonce = from; nonce < from + count; nonce += 1) {
    header.set(uint32Le(nonce), 76);
    const hash = bigEndian(powHash(parameters.algorithm, header));
    if (Buffer.compare(hash, bound) <= 0) return concatBytes(header, rest);
  }
  return undefined;
}

function uint256Le(value: bigint): Uint8Array {
  const words = [0n, 64n, 128n, 192n].map((shift) => uint64Le(BigInt.asUintN(64, value >> shift)));
  return concatBytes(...words);
}

function bigEndian(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes).reverse();
}
