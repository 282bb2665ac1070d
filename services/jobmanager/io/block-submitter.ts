/**
 * Takes blocks to every node and tells when their fate is known. Idempotent by hash: whoever brings a block that is
 * on its way waits for the same answers, and a fate is remembered.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { CoinNodes } from '#libs/coin-node/coin-nodes.ts';
import {
  isUndecided,
  type NodeAnswer,
  settleAll,
  settleEarly,
  type Settlement,
  type Standing,
} from '../core/settle.ts';
import type { JobMetrics } from '../metrics.ts';

/** [blocks] on their way at the same time; each may be 4 MB */
const IN_FLIGHT_MAX = 64;
const REMEMBERED_MAX = 1_024;
/** [ms] Callers give up after 10 s: they get a word before. */
const PATIENCE_MS = 8_000;
/** A node that has the block but has not connected it yet is asked again. */
const STANDING_TRIES = 10;
const STANDING_PAUSE_MS = 200;

export interface BlockSubmitterOptions {
  readonly chain: string;
  readonly nodes: Pick<CoinNodes, 'submitBlockToAll' | 'getBlockHeader'>;
  readonly log: Logger;
  readonly metrics: JobMetrics;
}

export class BlockSubmitter {
  readonly #options: BlockSubmitterOptions;
  readonly #inFlight = new Map<string, Promise<Settlement>>();
  readonly #remembered = new Map<string, Settlement>();
  readonly #running = new Set<Promise<unknown>>();

  constructor(options: BlockSubmitterOptions) {
    this.#options = options;
  }

  /** The fate of a block, if it is known. */
  known(hash: string): Settlement | undefined {
    return this.#remembered.get(hash);
  }

  /**
   * Submits a block to all nodes at once, unless it is on its way. Resolves with the first acceptance while other
   * nodes are still busy; with `unavailable` if nobody has answered for 8 s (the submits go on).
   *
   * @param hash display byte order
   */
  async submit(hash: string, blockHex: string): Promise<Settlement> {
    const known = this.known(hash);
    if (known !== undefined) return known;
    if (!this.#inFlight.has(hash) && this.#inFlight.size >= IN_FLIGHT_MAX)
      return { outcome: 'unavailable', reason: 'too many blocks are on their way' };
    const fate = this.#inFlight.get(hash) ?? this.#begin(hash, blockHex);
    const patience = new AbortController();
    const waiting = sleep(PATIENCE_MS, undefined, { signal: patience.signal }).then(
      (): Settlement => ({ outcome: 'unavailable', reason: 'no node has answered yet' }),
      (): Settlement => ({ outcome: 'unavailable', reason: '' }), // Nobody waits any more.
    );
    try {
      return await Promise.race([fate, waiting]);
    } finally {
      patience.abort();
    }
  }

  /** Resolves when no node is busy with a block of ours. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #begin(hash: string, blockHex: string): Promise<Settlement> {
    const { nodes, log, chain } = this.#options;
    const answers = nodes.submitBlockToAll(blockHex);
    const { promise: early, resolve } = Promise.withResolvers<Settlement>();
    for (const answer of answers) {
      void answer.then((given) => {
        log.info({ chain, hash, ...given }, 'node answered to a block');
        const settled = settleEarly(given);
        if (settled !== undefined) resolve(settled);
      });
    }
    const all = this.#settle(hash, answers);
    const fate = Promise.race([early, all]).then((settled) => this.#remember(hash, settled));
    this.#inFlight.set(hash, fate);
    const end = Promise.all([all, fate]).finally(() => {
      this.#inFlight.delete(hash);
      this.#running.delete(end);
      this.#count();
    });
    this.#running.add(end);
    this.#count();
    return fate;
  }

  async #settle(hash: string, answers: readonly Promise<NodeAnswer>[]): Promise<Settlement> {
    const given = await Promise.all(answers);
    const standing = isUndecided(given) ? await this.#standingOf(hash) : 'unknown';
    return settleAll(given, standing);
  }

  /** Where a node has put a block it did not say yes to. */
  async #standingOf(hash: string): Promise<Standing> {
    let standing: Standing = 'unknown';
    for (let tries = 0; tries < STANDING_TRIES; tries += 1) {
      if (tries > 0) await sleep(STANDING_PAUSE_MS);
      const header = await this.#options.nodes.getBlockHeader(hash).catch(() => undefined); // No node: asked again.
      if (header !== undefined && header.confirmations >= 0) return 'best_chain';
      if (header !== undefined) standing = 'side_chain';
    }
    return standing;
  }

  #remember(hash: string, settled: Settlement): Settlement {
    if (settled.outcome === 'unavailable') return settled; // Another try may have another end.
    this.#remembered.set(hash, settled);
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size > REMEMBERED_MAX && oldest !== undefined)
      this.#remembered.delete(oldest);
    return settled;
  }

  #count(): void {
    const { metrics, chain } = this.#options;
    metrics.submitsInFlight.set({ chain }, this.#inFlight.size);
  }
}
