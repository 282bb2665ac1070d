/** Blocks and transactions as Bitcoin Core's RPC shows them. */
import { hexFromBytes } from '#libs/bitcoin/hex.ts';
import type { ParsedTransaction, TransactionInput } from '#libs/bitcoin/transaction.ts';
import { bareSize, expandTarget, isCoinbase, weightOf } from './core/check-block.ts';
import type { ChainState } from './core/chain-state.ts';
import type { Block, BlockEntry } from './core/model.ts';
import { nbitsHex, targetHex } from './core/template.ts';
import { txidOf } from './core/txid.ts';

/** Bitcoin's difficulty 1, on Litecoin too: it is what Core computes. */
const DIFF1_TARGET = 0xffffn << 208n;

export function difficultyOf(nbits: number): number {
  return Number(DIFF1_TARGET) / Number(expandTarget(nbits) ?? 1n);
}

/** Confirmations in the best chain; -1 outside of it. */
export function confirmationsOf(chain: ChainState, entry: BlockEntry): number {
  return chain.isActive(entry) ? chain.tip.height - entry.height + 1 : -1;
}

export function describeHeader(chain: ChainState, entry: BlockEntry) {
  const { header, hash, height, parent } = entry;
  const next = chain.isActive(entry) ? chain.at(height + 1)?.hash : undefined;
  return {
    hash,
    confirmations: confirmationsOf(chain, entry),
    height,
    version: header.version | 0,
    versionHex: header.version.toString(16).padStart(8, '0'),
    merkleroot: txidOf(header.merkleRoot),
    time: header.ntime,
    mediantime: chain.medianTimePast(entry),
    nonce: header.nonce,
    bits: nbitsHex(header.nbits),
    target: targetHex(header.nbits),
    difficulty: difficultyOf(header.nbits),
    chainwork: chainworkHex(entry),
    nTx: entry.transactionCount,
    ...(parent === undefined ? {} : { previousblockhash: parent.hash }),
    ...(next === undefined ? {} : { nextblockhash: next }),
  };
}

export function chainworkHex(entry: BlockEntry): string {
  return entry.chainwork.toString(16).padStart(64, '0');
}

/** @param verbosity 1: ids of transactions; 2 and more: the transactions */
export function describeBlock(
  chain: ChainState,
  entry: BlockEntry,
  block: Block,
  verbosity: number,
) {
  const witnessBytes = block.transactions.reduce(
    (sum, transaction) => sum + transaction.raw.length - bareSize(transaction),
    0,
  );
  const strippedsize = block.raw.length - witnessBytes;
  return {
    ...describeHeader(chain, entry),
    size: block.raw.length,
    strippedsize,
    weight: strippedsize * 3 + block.raw.length,
    tx: block.transactions.map((transaction) =>
      verbosity === 1 ? txidOf(transaction.txid) : describeTransaction(transaction),
    ),
  };
}

export function describeTransaction(transaction: ParsedTransaction) {
  const { txid, wtxid, version, raw, lockTime, inputs, outputs } = transaction;
  const weight = weightOf(transaction);
  const isFirst = isCoinbase(transaction);
  return {
    txid: txidOf(txid),
    hash: txidOf(wtxid),
    version: version | 0,
    size: raw.length,
    vsize: Math.ceil(weight / 4),
    weight,
    locktime: lockTime,
    vin: inputs.map((input) => describeInput(input, isFirst)),
    vout: outputs.map(({ valueSat, script }, n) => ({
      value: Number(valueSat) / 1e8,
      n,
      scriptPubKey: { hex: hexFromBytes(script) },
    })),
    hex: hexFromBytes(raw),
  };
}

function describeInput(input: TransactionInput, isFirst: boolean) {
  const { prevTxid, prevIndex, scriptSig, sequence, witness } = input;
  const origin = isFirst
    ? { coinbase: hexFromBytes(scriptSig) }
    : { txid: txidOf(prevTxid), vout: prevIndex, scriptSig: { hex: hexFromBytes(scriptSig) } };
  const txinwitness = witness.length > 0 ? { txinwitness: witness.map(hexFromBytes) } : {};
  return { ...origin, ...txinwitness, sequence };
}
