/** Transactions out of nothing but the premine, so that templates are not empty. */
import { parseTransaction } from '#libs/bitcoin/transaction.ts';
import type { ChainState } from './chain-state.ts';
import type { Mempool } from './mempool.ts';
import { COINBASE_MATURITY } from './parameters.ts';
import { signSpend, type WalletInput } from './wallet.ts';

/** The wallet splits its coins below, and merges them above. */
const COINS_WANTED = 400;
/** [sat] less is left alone */
const COIN_SAT_MIN = 1_000_000n;
const FEE_SAT_MIN = 1_000;
const FEE_SAT_SPAN = 20_000;
/** One in so many spends an output of the mempool, so that `depends` is exercised. */
const CHAINED_ONE_IN = 4;

/**
 * Adds up to `count` transactions of various shapes and fees.
 *
 * @param random in 0..1
 * @returns ids of those added; fewer than `count` if the wallet has no coin left or the mempool is full
 */
export function synthesize(
  chain: ChainState,
  mempool: Mempool,
  count: number,
  random: () => number,
): readonly string[] {
  const txids: string[] = [];
  for (let made = 0; made < count; made += 1) {
    const txid = addOne(chain, mempool, random);
    if (txid === undefined) break;
    txids.push(txid);
  }
  return txids;
}

function addOne(chain: ChainState, mempool: Mempool, random: () => number): string | undefined {
  const isMerge = chain.ownCoins.size > COINS_WANTED;
  const wantsChained = Math.floor(random() * CHAINED_ONE_IN) === 0;
  const chained = wantsChained ? chainedInput(mempool, random) : undefined;
  const inputs =
    chained === undefined ? confirmedInputs(chain, mempool, isMerge ? 3 : 1) : [chained];
  if (inputs.length === 0) return undefined;
  const feeSat = BigInt(FEE_SAT_MIN + Math.floor(random() * FEE_SAT_SPAN));
  const outputCount = isMerge ? 1 : 1 + Math.floor(random() * 3);
  const transaction = parseTransaction(signSpend(inputs, outputCount, feeSat));
  if (!mempool.add(transaction, false).isTaken) return undefined;
  return mempool.entries.at(-1)?.txid;
}

function confirmedInputs(
  chain: ChainState,
  mempool: Mempool,
  wanted: number,
): readonly WalletInput[] {
  const inputs: WalletInput[] = [];
  const next = chain.tip.height + 1;
  for (const outpoint of chain.ownCoins) {
    if (inputs.length === wanted) break;
    const coin = mempool.coin(outpoint);
    if (coin === undefined || coin.valueSat < COIN_SAT_MIN) continue;
    if (coin.isCoinbase && next - coin.height < COINBASE_MATURITY) continue;
    inputs.push({ ...splitOutpoint(outpoint), coin });
  }
  return inputs;
}

function chainedInput(mempool: Mempool, random: () => number): WalletInput | undefined {
  const { entries } = mempool;
  const parent = entries[Math.floor(random() * entries.length)];
  if (parent === undefined) return undefined;
  const coin = mempool.coin(`${parent.txid}:0`);
  if (coin === undefined || coin.valueSat < COIN_SAT_MIN) return undefined;
  return { txid: parent.txid, index: 0, coin };
}

function splitOutpoint(outpoint: string): { readonly txid: string; readonly index: number } {
  const [txid = '', index = '0'] = outpoint.split(':');
  return { txid, index: Number(index) };
}
