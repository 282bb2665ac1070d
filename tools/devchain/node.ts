/**
 * A devchain without its sockets: chain, mempool and log as one, and who waits for news of them. Time and dice come
 * from outside.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { WireError } from '#libs/bitcoin/errors.ts';
import type { ParsedTransaction } from '#libs/bitcoin/transaction.ts';
import { ChainState, type ChainLog, type LogRecord } from './core/chain-state.ts';
import { createCandidate, search } from './core/mine.ts';
import type { Block, BlockEntry } from './core/model.ts';
import { type Admission, Mempool } from './core/mempool.ts';
import type { DevchainParameters } from './core/parameters.ts';
import { parseBlock } from './core/parse-block.ts';
import { synthesize } from './core/synthesize.ts';
import { createTemplate, longPollIdOf, type Template } from './core/template.ts';
import { WALLET_SCRIPT } from './core/wallet.ts';

export interface NodeOptions {
  readonly parameters: DevchainParameters;
  readonly log: ChainLog & { records(): Iterable<LogRecord> };
  readonly nowMs: () => number;
  /** In 0..1 */
  readonly random: () => number;
}

/** Nonces tried before others get a turn: some 10 ms. */
const SLICE = { sha256d: 10_000, scrypt: 50 } as const;

export class DevchainNode {
  readonly chain: ChainState;
  readonly mempool: Mempool;
  readonly #options: NodeOptions;
  readonly #tipListeners = new Set<(hash: string) => void>();
  #minedCount = 0;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.chain = new ChainState(options.parameters, WALLET_SCRIPT, options.log);
    for (const record of options.log.records()) this.chain.replay(record);
    this.mempool = new Mempool(this.chain);
  }

  get nowSec(): number {
    return Math.floor(this.#options.nowMs() / 1_000);
  }
  get longPollId(): string {
    return longPollIdOf(this.chain, this.mempool);
  }

  /** Calls back with each new best block; of a reorganisation only with the last one. */
  onTip(listener: (hash: string) => void): Disposable {
    this.#tipListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#tipListeners.delete(listener) };
  }

  template(): Template {
    return createTemplate(this.chain, this.mempool, this.nowSec);
  }

  /** @returns null: accepted; else Core's word @throws {WireError} if these are not the bytes of a block */
  submit(raw: Uint8Array): string | null {
    const block = parseBlock(raw);
    const submission = this.#change(() => this.chain.submit(block, this.nowSec));
    return submission.kind === 'accepted' ? null : submission.reason;
  }

  propose(block: Block): string | null {
    return this.chain.propose(block, this.nowSec);
  }

  invalidate(hash: string): boolean {
    return this.#change(() => this.chain.invalidate(hash));
  }

  reconsider(hash: string): boolean {
    return this.#change(() => this.chain.reconsider(hash));
  }

  addTransaction(transaction: ParsedTransaction): Admission {
    return this.mempool.add(transaction);
  }

  /** Adds up to `count` valid transactions. @returns their ids */
  synthesize(count: number): readonly string[] {
    return synthesize(this.chain, this.mempool, count, this.#options.random);
  }

  /**
   * Mines `count` blocks with what is in the mempool.
   *
   * @param script who gets the coins; default: devchain's wallet
   * @returns their hashes; fewer if aborted
   */
  async mine(
    count: number,
    signal: AbortSignal,
    script = WALLET_SCRIPT,
  ): Promise<readonly string[]> {
    const hashes: string[] = [];
    while (hashes.length < count && !signal.aborted) {
      const raw = await this.#mineOne(script, signal);
      if (raw === undefined) continue; // Somebody else was faster, or nobody waits any more.
      if (this.submit(raw) === null) hashes.push(this.chain.tip.hash);
    }
    return hashes;
  }

  async #mineOne(script: Uint8Array, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const { parameters } = this.chain;
    const { tip } = this.chain;
    const slice = SLICE[parameters.algorithm];
    const extra = Buffer.alloc(8);
    extra.writeUInt32LE((this.#minedCount += 1), 0);
    extra.writeUInt32LE(Math.floor(this.#options.random() * 2 ** 32), 4);
    const candidate = createCandidate(this.template(), script, extra);
    for (let nonce = 0; nonce < 2 ** 32; nonce += slice) {
      const raw = search(candidate, parameters, nonce, slice);
      if (raw !== undefined) return raw;
      await nextTurn();
      if (this.chain.tip !== tip || signal.aborted) return undefined;
    }
    return undefined;
  }

  #change<T>(act: () => T): T {
    const before = this.chain.tip;
    const result = act();
    const after = this.chain.tip;
    if (after !== before) {
      this.mempool.rebuild(this.#returnedBy(before));
      for (const listener of [...this.#tipListeners]) listener(after.hash);
    }
    return result;
  }

  /** Transactions of blocks that are no longer in the best chain, oldest first. */
  #returnedBy(before: BlockEntry): readonly ParsedTransaction[] {
    const returned: ParsedTransaction[] = [];
    for (
      let at: BlockEntry | undefined = before;
      at !== undefined && !this.chain.isActive(at);
      at = at.parent
    ) {
      returned.unshift(...(this.chain.block(at)?.transactions.slice(1) ?? []));
    }
    return returned;
  }
}

export function isWireError(error: unknown): error is WireError {
  return error instanceof WireError;
}
