/** Valid transactions that are in no block yet, parents before children. */
import type { ParsedTransaction } from '#libs/bitcoin/transaction.ts';
import { checkTransaction, isCoinbase, isFinal, weightOf } from './check-block.ts';
import { checkSpend } from './check-spend.ts';
import type { ChainState } from './chain-state.ts';
import { type Coin, type CoinView, MEMPOOL_HEIGHT, outpointKey } from './model.ts';
import { legacySigops } from './sigops.ts';
import { txidOf } from './txid.ts';

export const MEMPOOL_MAX = 5_000;

export interface MempoolEntry {
  readonly transaction: ParsedTransaction;
  /** Display byte order. */
  readonly txid: string;
  readonly feeSat: bigint;
  readonly weight: number;
  /** Cost as `sigoplimit` counts it. */
  readonly sigops: number;
}

export type Admission =
  | { readonly isTaken: true }
  | { readonly isTaken: false; readonly reason: string };

export class Mempool implements CoinView {
  readonly #chain: ChainState;
  readonly #entries = new Map<string, MempoolEntry>();
  readonly #made = new Map<string, Coin>();
  readonly #spent = new Set<string>();
  #changes = 0;

  constructor(chain: ChainState) {
    this.#chain = chain;
  }

  /** In an order in which they may stand in a block. */
  get entries(): readonly MempoolEntry[] {
    return [...this.#entries.values()];
  }
  get size(): number {
    return this.#entries.size;
  }
  /** Grows with every change. */
  get changes(): number {
    return this.#changes;
  }

  /** The coin if it is unspent in the chain with the mempool on top. */
  coin(outpoint: string): Coin | undefined {
    if (this.#spent.has(outpoint)) return undefined;
    return this.#made.get(outpoint) ?? this.#chain.coin(outpoint);
  }
  entry(txid: string): MempoolEntry | undefined {
    return this.#entries.get(txid);
  }

  /** Takes a transaction that could be in the next block; Core's word if it could not. */
  add(transaction: ParsedTransaction, verifiesScripts = true): Admission {
    const txid = txidOf(transaction.txid);
    if (this.#entries.has(txid)) return { isTaken: false, reason: 'txn-already-in-mempool' };
    if (this.#entries.size >= MEMPOOL_MAX) return { isTaken: false, reason: 'mempool full' };
    if (isCoinbase(transaction)) return { isTaken: false, reason: 'coinbase' };
    const place = this.#chain.nextPlace(verifiesScripts);
    const verdict = checkTransaction(transaction);
    if (verdict !== undefined) return { isTaken: false, reason: verdict };
    if (!isFinal(transaction, { ...place, nowSec: 0 }))
      return { isTaken: false, reason: 'non-final' };
    const spend = checkSpend(transaction, this, place);
    if (!spend.isValid) return { isTaken: false, reason: spend.reason };
    const sigops = legacySigops(transaction) * 4 + spend.spent.length;
    const { feeSat } = spend;
    this.#take({ transaction, txid, feeSat, weight: weightOf(transaction), sigops }, spend.spent);
    return { isTaken: true };
  }

  /**
   * After the best chain changed: keeps what is still valid.
   * @param returned transactions of blocks that left the best chain, in order
   */
  rebuild(returned: readonly ParsedTransaction[]): void {
    const candidates = [...returned, ...this.entries.map(({ transaction }) => transaction)];
    this.#entries.clear();
    this.#made.clear();
    this.#spent.clear();
    this.#changes += 1;
    for (const transaction of candidates) this.add(transaction, false);
  }

  #take(entry: MempoolEntry, spent: readonly { readonly outpoint: string }[]): void {
    this.#entries.set(entry.txid, entry);
    this.#changes += 1;
    for (const { outpoint } of spent) this.#spent.add(outpoint);
    for (const [index, { valueSat, script }] of entry.transaction.outputs.entries()) {
      const coin = { valueSat, script, height: MEMPOOL_HEIGHT, isCoinbase: false };
      this.#made.set(outpointKey(entry.txid, index), coin);
    }
  }
}
