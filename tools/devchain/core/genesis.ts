/**
 * Block 0: its coinbase is the premine that the synthetic transactions are made of. It needs no proof of work, and its
 * outputs may be spent at once: the two ways in which it differs from any other block.
 */
import { concatBytes } from '#libs/bitcoin/bytes.ts';
import { encodeCompactSize } from '#libs/bitcoin/compact-size.ts';
import { encodeHeader } from '#libs/bitcoin/header.ts';
import { encodeTransaction, parseTransaction } from '#libs/bitcoin/transaction.ts';
import type { Block } from './model.ts';
import { COIN, type DevchainParameters } from './parameters.ts';
import { parseBlock } from './parse-block.ts';

const PREMINE_OUTPUTS = 200;
const PREMINE_SAT = 100n * COIN;
/** [s] 2025-01-01: any block of today is later. */
const GENESIS_TIME = 1_735_689_600;

/** The parameters are in the coinbase, so that other rules are another chain. */
export function createGenesis(parameters: DevchainParameters, premineScript: Uint8Array): Block {
  const { chain, algorithm, nbits, halvingInterval } = parameters;
  const words = `${chain} ${algorithm} ${nbits.toString(16)} ${halvingInterval}`;
  const text = Buffer.from(`Seam devchain: not real coins. ${words}`, 'latin1');
  const coinbase = encodeTransaction({
    version: 2,
    inputs: [
      {
        prevTxid: new Uint8Array(32),
        prevIndex: 0xffff_ffff,
        scriptSig: concatBytes(Uint8Array.of(0, text.length), text),
        sequence: 0xffff_ffff,
        witness: [],
      },
    ],
    outputs: Array.from({ length: PREMINE_OUTPUTS }, () => ({
      valueSat: PREMINE_SAT,
      script: premineScript,
    })),
    lockTime: 0,
    hasWitness: false,
  });
  const header = encodeHeader({
    version: 4,
    prevhash: new Uint8Array(32),
    merkleRoot: parseTransaction(coinbase).txid,
    ntime: GENESIS_TIME,
    nbits,
    nonce: 0,
  });
  return parseBlock(concatBytes(header, encodeCompactSize(1), coinbase));
}
