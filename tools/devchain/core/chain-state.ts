/**
 * The tree of blocks, its best chain by most work, and the unspent outputs of that chain. No clock, no socket: time is
 * a parameter, bytes of blocks are kept by a {@link ChainLog}.
 */
import { assert } from '#libs/assert.ts';
import type { BlockHeader } from '#libs/bitcoin/header.ts';
import {
  checkBlock,
  checkBlockInPlace,
  checkHeaderInPlace,
  checkProofOfWork,
  type Place,
  type Verdict,
  workOf,
} from './check-block.ts';
import { checkSpend, isWitnessKeyHash, type SpendPlace, type SpentCoin } from './check-spend.ts';
import { createGenesis } from './genesis.ts';
import { type Block, type BlockEntry, type Coin, type CoinView, outpointKey } from './model.ts';
import { type DevchainParameters, SIGOPS_COST_MAX, subsidyAt } from './parameters.ts';
import { parseBlock } from './parse-block.ts';
import { legacySigops } from './sigops.ts';
import { txidOf } from './txid.ts';

/** Keeps what happened, in order: doing it all again gives the same state. */
export interface ChainLog {
  /** A block that passed every rule it could be asked. @returns a name to read it by */
  appendBlock(raw: Uint8Array): number;
  /** A block that turned out invalid or was called so, or that is to be asked again. */
  appendMark(mark: Mark, hash: string): void;
  read(location: number): Uint8Array;
}

export type Mark = 'invalid' | 'reconsidered';
export type LogRecord =
  | { readonly kind: 'block'; readonly raw: Uint8Array; readonly location: number }
  | { readonly kind: Mark; readonly hash: string };

/** `accepted`: it is valid and the chain with it was tried; `duplicate`, `inconclusive`, ... are Core's words. */
export type Submission =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused'; readonly reason: string };

/** [blocks] whose times make the median time past */
const MEDIAN_SPAN = 11;
/** Invalid blocks cost their sender a proof of work, but on regtest that is little. */
const INVALID_MAX = 1_000;

interface Undo {
  readonly spent: readonly SpentCoin[];
  readonly made: readonly string[];
}

export class ChainState implements CoinView {
  readonly parameters: DevchainParameters;
  readonly genesis: Block;
  readonly #log: ChainLog;
  readonly #entries = new Map<string, BlockEntry>();
  /** The best chain, by height. */
  readonly #active: BlockEntry[] = [];
  readonly #coins = new Map<string, Coin>();
  readonly #undo = new Map<string, Undo>();
  /** Outputs that pay to the premine's script: what the wallet can spend. */
  readonly #ownCoins = new Set<string>();
  readonly #ownScript: Buffer;
  #invalid: string[] = [];
  #sequence = 0;
  /** While reading the log: nothing is written, and signatures that were verified once are not verified again. */
  #isReplaying = false;

  constructor(parameters: DevchainParameters, ownScript: Uint8Array, log: ChainLog) {
    assert(
      isWitnessKeyHash(ownScript),
      'the premine pays to P2WPKH, which is all devchain can spend',
    );
    this.parameters = parameters;
    this.#log = log;
    this.#ownScript = Buffer.from(ownScript);
    this.genesis = createGenesis(parameters, ownScript);
    const entry = this.#addEntry(this.genesis, undefined, undefined);
    entry.status = 'valid';
    this.#active.push(entry);
    this.#makeCoins(this.genesis, 0);
  }

  get tip(): BlockEntry {
    const tip = this.#active.at(-1);
    assert(tip !== undefined, 'there is always the genesis');
    return tip;
  }
  get ownCoins(): ReadonlySet<string> {
    return this.#ownCoins;
  }
  get blockCount(): number {
    return this.#entries.size;
  }

  coin(outpoint: string): Coin | undefined {
    return this.#coins.get(outpoint);
  }
  entry(hash: string): BlockEntry | undefined {
    return this.#entries.get(hash);
  }
  /** The block of the best chain at a height. */
  at(height: number): BlockEntry | undefined {
    return this.#active[height];
  }
  isActive(entry: BlockEntry): boolean {
    return this.#active[entry.height] === entry;
  }
  /** Whether this block or one it builds on is invalid. */
  isInvalid(entry: BlockEntry): boolean {
    for (let at: BlockEntry | undefined = entry; at !== undefined; at = at.parent) {
      if (at.status === 'invalid') return true;
      if (this.isActive(at)) return false;
    }
    return false;
  }
  /** @returns undefined for an entry whose bytes were not kept */
  block(entry: BlockEntry): Block | undefined {
    if (entry.parent === undefined) return this.genesis;
    if (entry.location === undefined) return undefined;
    return parseBlock(this.#log.read(entry.location));
  }

  /** [s] median of the times of the last eleven blocks up to `entry` */
  medianTimePast(entry: BlockEntry): number {
    const times: number[] = [];
    for (
      let at: BlockEntry | undefined = entry;
      at !== undefined && times.length < MEDIAN_SPAN;
      at = at.parent
    ) {
      times.push(at.header.ntime);
    }
    return times.toSorted((a, b) => a - b)[times.length >> 1] ?? 0;
  }

  /** Where and when a transaction of the next block would be. */
  nextPlace(verifiesScripts: boolean): SpendPlace {
    return this.#spendPlace(this.tip, verifiesScripts);
  }

  /** Takes a block as submitblock does. @param nowSec [s] */
  submit(block: Block, nowSec: number): Submission {
    const known = this.#entries.get(block.hash);
    if (known !== undefined) return refuse(wordForKnown(known));
    const parent = this.#entries.get(txidOf(block.header.prevhash));
    const verdict =
      checkProofOfWork(block, this.parameters) ??
      checkBlock(block) ??
      this.#checkInPlace(block, parent, nowSec);
    if (verdict !== undefined || parent === undefined)
      return refuse(verdict ?? 'prev-blk-not-found');
    if (parent === this.tip) {
      const { verdict: connecting } = this.#tryConnect(block, parent, true);
      if (connecting !== undefined) {
        this.#rememberInvalid(block, parent, connecting);
        return refuse(connecting);
      }
    }
    const entry = this.#addEntry(block, parent, this.#log.appendBlock(block.raw));
    return this.#judgeNew(entry);
  }

  /** What submitblock would say if the block had its proof of work. @returns null: valid (BIP 23) */
  propose(block: Block, nowSec: number): string | null {
    const known = this.#entries.get(block.hash);
    if (known !== undefined) return wordForKnown(known);
    if (txidOf(block.header.prevhash) !== this.tip.hash) return 'inconclusive-not-best-prevblk';
    const verdict = checkBlock(block) ?? this.#checkInPlace(block, this.tip, nowSec);
    return verdict ?? this.#tryConnect(block, this.tip, true).verdict ?? null;
  }

  /** Treats a block and all that build on it as invalid. @returns false: there is no such block */
  invalidate(hash: string): boolean {
    const entry = this.#entries.get(hash);
    if (entry === undefined || entry.parent === undefined) return false;
    this.#markInvalid(entry, 'invalidated by RPC');
    if (this.isActive(entry)) while (this.tip !== entry.parent) this.#disconnectTip();
    this.#activate();
    return true;
  }

  /** Takes `invalidate` back for this block, those it builds on and those that build on it. */
  reconsider(hash: string): boolean {
    const entry = this.#entries.get(hash);
    if (entry === undefined) return false;
    if (!this.#isReplaying) this.#log.appendMark('reconsidered', hash);
    for (const other of this.#entries.values()) {
      const isKin = isAncestor(entry, other) || isAncestor(other, entry);
      if (other.status === 'invalid' && isKin && other.location !== undefined)
        other.status = 'unchecked';
    }
    this.#activate();
    return true;
  }

  /** Does again what a log says was done: a block at its location, or a mark. */
  replay(record: LogRecord): void {
    this.#isReplaying = true;
    try {
      if (record.kind === 'block') this.#replayBlock(parseBlock(record.raw), record.location);
      else if (record.kind === 'invalid') this.invalidate(record.hash);
      else this.reconsider(record.hash);
    } finally {
      this.#isReplaying = false;
    }
  }

  #replayBlock(block: Block, location: number): void {
    const parent = this.#entries.get(txidOf(block.header.prevhash));
    assert(parent !== undefined, 'a block is never logged before its parent');
    this.#judgeNew(this.#addEntry(block, parent, location));
  }

  #checkInPlace(block: Block, parent: BlockEntry | undefined, nowSec: number): Verdict {
    if (parent === undefined) return 'prev-blk-not-found';
    if (this.isInvalid(parent)) return 'bad-prevblk';
    const place: Place = {
      height: parent.height + 1,
      medianTimePast: this.medianTimePast(parent),
      nowSec,
    };
    return checkHeaderInPlace(block, place, this.parameters) ?? checkBlockInPlace(block, place);
  }

  /** Makes a new entry's chain the active one if it has the most work. */
  #judgeNew(entry: BlockEntry): Submission {
    if (entry.chainwork <= this.tip.chainwork) return refuse('inconclusive');
    this.#activate(entry);
    if (this.isActive(entry)) return { kind: 'accepted' };
    return refuse(entry.reason ?? 'bad-prevblk');
  }

  #addEntry(
    block: Block,
    parent: BlockEntry | undefined,
    location: number | undefined,
  ): BlockEntry {
    const entry: BlockEntry = {
      hash: block.hash,
      header: detached(block.header),
      height: parent === undefined ? 0 : parent.height + 1,
      chainwork: (parent?.chainwork ?? 0n) + workOf(block.header.nbits),
      parent,
      transactionCount: block.transactions.length,
      bytes: block.raw.length,
      location,
      sequence: (this.#sequence += 1),
      status: 'unchecked',
      reason: undefined,
    };
    this.#entries.set(entry.hash, entry);
    return entry;
  }

  #rememberInvalid(block: Block, parent: BlockEntry, reason: string): void {
    const entry = this.#addEntry(block, parent, undefined);
    entry.status = 'invalid';
    entry.reason = reason;
    this.#invalid.push(block.hash);
    for (const old of this.#invalid.slice(0, -INVALID_MAX)) this.#entries.delete(old);
    this.#invalid = this.#invalid.slice(-INVALID_MAX);
  }

  #markInvalid(entry: BlockEntry, reason: string): void {
    entry.status = 'invalid';
    entry.reason = reason;
    if (!this.#isReplaying) this.#log.appendMark('invalid', entry.hash);
  }

  /** Makes the best valid chain the active one. @param candidate the best one as far as is known */
  #activate(candidate?: BlockEntry): void {
    let target = candidate ?? this.#best();
    while (target !== this.tip && !this.#moveTo(target)) target = this.#best();
  }

  /** @returns false: a block on the way is invalid, and the tip is somewhere on the way */
  #moveTo(target: BlockEntry): boolean {
    const path: BlockEntry[] = [];
    let fork = target;
    for (; !this.isActive(fork); fork = fork.parent ?? this.tip) path.push(fork);
    while (this.tip !== fork) this.#disconnectTip();
    return path.toReversed().every((entry) => this.#connect(entry));
  }

  /** Of those with the most work the active tip, else the first seen. */
  #best(): BlockEntry {
    let best = this.tip;
    for (const entry of this.#entries.values()) {
      const isBetter =
        entry.chainwork > best.chainwork ||
        (entry.chainwork === best.chainwork && best !== this.tip && entry.sequence < best.sequence);
      if (isBetter && !this.isInvalid(entry)) best = entry;
    }
    return best;
  }

  #connect(entry: BlockEntry): boolean {
    const block = this.block(entry);
    assert(block !== undefined && entry.parent === this.tip, 'blocks are connected in order');
    const verifiesScripts = !this.#isReplaying && entry.status !== 'valid';
    const { verdict, spent } = this.#tryConnect(block, this.tip, verifiesScripts);
    if (verdict !== undefined) {
      this.#markInvalid(entry, verdict);
      return false;
    }
    const made = this.#makeCoins(block, entry.height);
    for (const { outpoint } of spent) this.#removeCoin(outpoint);
    this.#undo.set(entry.hash, { spent, made });
    entry.status = 'valid';
    this.#active.push(entry);
    return true;
  }

  #disconnectTip(): void {
    const { tip } = this;
    const undo = this.#undo.get(tip.hash);
    assert(undo !== undefined, 'every connected block but the genesis can be undone');
    // Spent first: a coin made and spent within the block must not come back.
    for (const { outpoint, coin } of undo.spent) this.#addCoin(outpoint, coin);
    for (const outpoint of undo.made) this.#removeCoin(outpoint);
    this.#undo.delete(tip.hash);
    this.#active.pop();
  }

  /** The rules about coins, without changing anything. @see Core ConnectBlock */
  #tryConnect(
    block: Block,
    parent: BlockEntry,
    verifiesScripts: boolean,
  ): { readonly verdict: Verdict; readonly spent: readonly SpentCoin[] } {
    const place = this.#spendPlace(parent, verifiesScripts);
    const made = new Map<string, Coin>();
    const gone = new Set<string>();
    const view: CoinView = {
      coin: (outpoint) =>
        gone.has(outpoint) ? undefined : (made.get(outpoint) ?? this.coin(outpoint)),
    };
    const spent: SpentCoin[] = [];
    let feesSat = 0n;
    let sigopsCost = 0;
    for (const [index, transaction] of block.transactions.entries()) {
      const txid = txidOf(transaction.txid);
      if (transaction.outputs.some((_, at) => this.coin(outpointKey(txid, at)) !== undefined)) {
        return { verdict: 'bad-txns-BIP30', spent };
      }
      sigopsCost += legacySigops(transaction) * 4;
      if (index > 0) {
        const spend = checkSpend(transaction, view, place);
        if (!spend.isValid) return { verdict: spend.reason, spent };
        feesSat += spend.feeSat;
        sigopsCost += spend.spent.filter(({ coin }) => isWitnessKeyHash(coin.script)).length;
        for (const { outpoint } of spend.spent) gone.add(outpoint);
        spent.push(...spend.spent);
      }
      for (const [at, { valueSat, script }] of transaction.outputs.entries()) {
        const coin = {
          valueSat,
          script: Uint8Array.from(script),
          height: place.height,
          isCoinbase: index === 0,
        };
        made.set(outpointKey(txid, at), coin);
      }
    }
    if (sigopsCost > SIGOPS_COST_MAX) return { verdict: 'bad-blk-sigops', spent };
    const paidSat =
      block.transactions[0]?.outputs.reduce((sum, { valueSat }) => sum + valueSat, 0n) ?? 0n;
    const limitSat = subsidyAt(place.height, this.parameters) + feesSat;
    return { verdict: paidSat > limitSat ? 'bad-cb-amount' : undefined, spent };
  }

  #spendPlace(parent: BlockEntry, verifiesScripts: boolean): SpendPlace {
    return {
      height: parent.height + 1,
      medianTimePast: this.medianTimePast(parent),
      medianTimeBefore: (height) => {
        const before = this.#active[Math.max(0, height - 1)];
        return before === undefined ? 0 : this.medianTimePast(before);
      },
      verifiesScripts,
    };
  }

  #makeCoins(block: Block, height: number): readonly string[] {
    const made: string[] = [];
    for (const [index, { txid, outputs }] of block.transactions.entries()) {
      for (const [at, { valueSat, script }] of outputs.entries()) {
        if (script[0] === 0x6a) continue; // OP_RETURN: nobody can spend it.
        const outpoint = outpointKey(txidOf(txid), at);
        // A copy, so that a coin does not keep a whole block in memory.
        const isCoinbase = index === 0 && height > 0;
        this.#addCoin(outpoint, { valueSat, script: Uint8Array.from(script), height, isCoinbase });
        made.push(outpoint);
      }
    }
    return made;
  }

  #addCoin(outpoint: string, coin: Coin): void {
    this.#coins.set(outpoint, coin);
    if (this.#ownScript.equals(coin.script)) this.#ownCoins.add(outpoint);
  }

  #removeCoin(outpoint: string): void {
    this.#coins.delete(outpoint);
    this.#ownCoins.delete(outpoint);
  }
}

function refuse(reason: string): Submission {
  return { kind: 'refused', reason };
}

function wordForKnown(entry: BlockEntry): string {
  if (entry.status === 'valid') return 'duplicate';
  return entry.status === 'invalid' ? 'duplicate-invalid' : 'duplicate-inconclusive';
}

/** True if `ancestor` is on the way from `entry` to the genesis, or is it. */
function isAncestor(ancestor: BlockEntry, entry: BlockEntry): boolean {
  let at: BlockEntry | undefined = entry;
  while (at !== undefined && at.height > ancestor.height) at = at.parent;
  return at === ancestor;
}

/** A header that does not keep the bytes of its block in memory. */
function detached(header: BlockHeader): BlockHeader {
  return {
    ...header,
    prevhash: Uint8Array.from(header.prevhash),
    merkleRoot: Uint8Array.from(header.merkleRoot),
  };
}
