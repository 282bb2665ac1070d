/** getblocktemplate: the next block as Bitcoin Core would describe it. */
import { sha256d } from '#libs/bitcoin/hash.ts';
import { expandTarget, merkleRootOf } from './check-block.ts';
import type { ChainState } from './chain-state.ts';
import type { Mempool, MempoolEntry } from './mempool.ts';
import { BLOCK_WEIGHT_MAX, SIGOPS_COST_MAX, subsidyAt } from './parameters.ts';
import { txidOf } from './txid.ts';

const VERSION = 0x2000_0000;
/** [weight units] and sigops left for header, count and coinbase, as Core does. */
const RESERVED_WEIGHT = 4_000;
const RESERVED_SIGOPS = 400;

export type Template = ReturnType<typeof createTemplate>;

/** Changes with every new tip and every change of the mempool. */
export function longPollIdOf(chain: ChainState, mempool: Mempool): string {
  return `${chain.tip.hash}${mempool.changes}`;
}

export function createTemplate(chain: ChainState, mempool: Mempool, nowSec: number) {
  const height = chain.tip.height + 1;
  const mintime = chain.medianTimePast(chain.tip) + 1;
  const chosen = choose(mempool.entries);
  const feesSat = chosen.reduce((sum, { feeSat }) => sum + feeSat, 0n);
  const indexOf = new Map(chosen.map(({ txid }, index) => [txid, index + 1]));
  return {
    capabilities: ['proposal'],
    version: VERSION,
    rules: ['csv', '!segwit', 'taproot'],
    vbavailable: {},
    vbrequired: 0,
    previousblockhash: chain.tip.hash,
    transactions: chosen.map((entry) => describe(entry, indexOf)),
    coinbaseaux: {},
    coinbasevalue: Number(subsidyAt(height, chain.parameters) + feesSat),
    longpollid: longPollIdOf(chain, mempool),
    target: targetHex(chain.parameters.nbits),
    mintime,
    mutable: ['time', 'transactions', 'prevblock'],
    noncerange: '00000000ffffffff',
    sigoplimit: SIGOPS_COST_MAX,
    sizelimit: BLOCK_WEIGHT_MAX,
    weightlimit: BLOCK_WEIGHT_MAX,
    curtime: Math.max(nowSec, mintime),
    bits: nbitsHex(chain.parameters.nbits),
    height,
    default_witness_commitment: commitmentScript(chosen),
  };
}

/** The script of the commitment output. @see BIP 141 */
export function commitmentScript(chosen: readonly MempoolEntry[]): string {
  const ids = [new Uint8Array(32), ...chosen.map(({ transaction }) => transaction.wtxid)];
  const { root } = merkleRootOf(ids);
  const commitment = sha256d(Buffer.concat([root, new Uint8Array(32)]));
  return `6a24aa21a9ed${Buffer.from(commitment).toString('hex')}`;
}

export function nbitsHex(nbits: number): string {
  return nbits.toString(16).padStart(8, '0');
}

export function targetHex(nbits: number): string {
  return (expandTarget(nbits) ?? 0n).toString(16).padStart(64, '0');
}

/** As many as fit, in mempool order, which has parents first. */
function choose(entries: readonly MempoolEntry[]): readonly MempoolEntry[] {
  const chosen: MempoolEntry[] = [];
  let weight = RESERVED_WEIGHT;
  let sigops = RESERVED_SIGOPS;
  for (const entry of entries) {
    weight += entry.weight;
    sigops += entry.sigops;
    if (weight > BLOCK_WEIGHT_MAX || sigops > SIGOPS_COST_MAX) break;
    chosen.push(entry);
  }
  return chosen;
}

function describe(entry: MempoolEntry, indexOf: ReadonlyMap<string, number>) {
  const { transaction, txid, feeSat, weight, sigops } = entry;
  const parents = transaction.inputs.map(({ prevTxid }) => indexOf.get(txidOf(prevTxid)));
  return {
    data: Buffer.from(transaction.raw).toString('hex'),
    txid,
    hash: txidOf(transaction.wtxid),
    depends: [...new Set(parents.filter((index) => index !== undefined))],
    fee: Number(feeSat),
    sigops,
    weight,
  };
}
