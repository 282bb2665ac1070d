/**
 * The nodes of one chain as one: failover between them, each new tip once, blocks to all of them.
 */
import type { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Logger } from 'pino';
import type { ChainParams } from '#libs/bitcoin/chains.ts';
import type { ResolvedChain } from '#libs/contracts/pool-config.ts';
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { assert } from '#libs/assert.ts';
import { backoffMs } from './backoff.ts';
import type { BlockTemplate } from './block-template.ts';
import { CoinNode, type TipSource, tipOf } from './coin-node.ts';
import { NoNodeError, RPC_CODE, RpcError, WrongChainError } from './errors.ts';
import { longPoll } from './long-poll.ts';
import { chooseNode } from './node-choice.ts';
import { createNodeMetrics, type NodeMetrics } from './node-metrics.ts';
import { outcomeOfAnswer, outcomeOfError, type Submitted } from './submit-outcome.ts';

export interface BlockHeaderAnswer {
  readonly hash: string;
  /** -1: known to the node, but not in its best chain. */
  readonly confirmations: number;
  readonly height: number;
  /** 64 hex digits: compare as text. */
  readonly chainwork: string;
  readonly time: number;
  readonly bits: string;
  readonly previousblockhash: string | undefined;
}

export interface SubmitOutcome extends Submitted {
  /** `host:port` of the node. */
  readonly node: string;
}

/** One node as status pages show it. */
export interface CoinNodeView {
  readonly node: string;
  readonly isHealthy: boolean;
  /** Why it is not healthy, else empty: `unreachable`, `unauthorized`, `syncing`, `no_peers`, `wrong_chain`, ... */
  readonly reason: string;
  readonly isCurrent: boolean;
  readonly height: number | undefined;
  readonly tip: string | undefined;
}

export interface CoinNodesOptions {
  readonly chain: ResolvedChain;
  readonly params: ChainParams;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
  /** In 0..1, for the jitter of retries. Default: the operating system's dice. */
  readonly random?: () => number;
  /** The best block changed. A hint, for speed: the template that follows is the truth. */
  readonly onTip: (hash: string, source: TipSource, node: string) => void;
  /**
   * A template nobody asked for: the first one of each new tip (fetched here right after `onTip`), and those the
   * long poll brings when the mempool changed. Not called for what `getBlockTemplate()` returns.
   */
  readonly onTemplate: (template: BlockTemplate, node: string) => void;
}

export interface CoinNodes extends AsyncDisposable {
  /** True while at least one node can be mined on. */
  readonly isHealthy: boolean;
  readonly nodes: readonly CoinNodeView[];
  /** The best block as last reported. */
  readonly tip: string | undefined;
  /** [ms] when a healthy node last said that our tip is its best block; undefined: never. */
  readonly lastConfirmedMs: number | undefined;
  /** [ms] since `lastConfirmedMs`; `Infinity` if never. What `staleWorkMs` is compared with. */
  lastTipAgeMs(): number;

  /**
   * Resolves when all nodes that answer within `timeoutMs` proved to be of the configured chain and network. A node
   * that does not answer is checked when it does and is not used if it is of another chain.
   * @throws {WrongChainError}
   */
  verifyChain(timeoutMs?: number): Promise<void>;
  /**
   * A template for the best tip, from the current node or, if that fails, the next healthy one. Simultaneous callers
   * share one call.
   * @throws {NoNodeError} if every healthy node failed
   */
  getBlockTemplate(): Promise<BlockTemplate>;
  /** Submits to every node at once, healthy or not. The promises never reject. */
  submitBlockToAll(blockHex: string): readonly Promise<SubmitOutcome>[];
  /**
   * Asks the current node whether a block would be valid but for its proof of work (BIP 23).
   * @returns null: valid; a text: the reason why not; undefined: no verdict (unsupported, no node, or the tip moved)
   */
  propose(blockHex: string): Promise<string | null | undefined>;
  /** @returns undefined if no node knows the block @throws {NoNodeError} */
  getBlockHeader(hash: string): Promise<BlockHeaderAnswer | undefined>;
  /** Hex of a serialized block. @returns undefined if no node has it @throws {NoNodeError} */
  getBlockRaw(hash: string): Promise<string | undefined>;
  /** @throws {NoNodeError} */
  getBestBlockHash(): Promise<string>;
}

/** Begins to follow all nodes of the chain at once. Everything stops when disposed or when the signal is aborted. */
export function createCoinNodes(options: CoinNodesOptions): CoinNodes {
  return new Group(options);
}

/** [ms] a block may be large and the node busy with another one */
const SUBMIT_TIMEOUT_MS = 60_000;
const PROPOSE_TIMEOUT_MS = 30_000;
const VERIFY_TIMEOUT_MS = 5_000;

const headerAnswer = z.object({
  hash: z.string(),
  confirmations: z.int(),
  height: z.int().min(0),
  chainwork: z.string(),
  time: z.int(),
  bits: z.string(),
  previousblockhash: z.string().optional(),
});

class Group implements CoinNodes {
  readonly #options: CoinNodesOptions;
  readonly #metrics: NodeMetrics;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #random: () => number;
  readonly #nodes: readonly CoinNode[];
  #current: CoinNode | undefined;
  #switchedMs = 0;
  /** The tip last reported, and how many were reported. */
  #tip: string | undefined;
  #generation = 0;
  #deliveredGeneration = 0;
  #deliveredId: string | undefined;
  #lastConfirmedMs: number | undefined;
  #shared: { readonly generation: number; readonly template: Promise<BlockTemplate> } | undefined;
  #longPollStop: AbortController | undefined;
  readonly #loops = new Set<Promise<void>>();

  constructor(options: CoinNodesOptions) {
    this.#options = options;
    this.#metrics = createNodeMetrics(options.metrics);
    this.#signal = AbortSignal.any([options.signal, this.#stop.signal]);
    this.#random = options.random ?? (() => randomInt(2 ** 32) / 2 ** 32);
    this.#nodes = options.chain.nodes.map((config) => this.#createNode(config));
    assert(this.#nodes.length > 0, `Cannot follow chain ${options.chain.id}: it has no node`);
  }

  get isHealthy(): boolean {
    return this.#current !== undefined;
  }
  get tip(): string | undefined {
    return this.#tip;
  }
  get lastConfirmedMs(): number | undefined {
    return this.#lastConfirmedMs;
  }
  get nodes(): readonly CoinNodeView[] {
    return this.#nodes.map((node) => ({
      node: node.name,
      isHealthy: node.isHealthy,
      reason: node.problem ?? '',
      isCurrent: node === this.#current,
      height: node.tip?.height,
      tip: node.tip?.hash,
    }));
  }

  lastTipAgeMs(): number {
    if (this.#lastConfirmedMs === undefined) return Number.POSITIVE_INFINITY;
    return this.#options.nowMs() - this.#lastConfirmedMs;
  }

  async verifyChain(timeoutMs = VERIFY_TIMEOUT_MS): Promise<void> {
    const timeout = sleep(timeoutMs, undefined, { signal: this.#signal, ref: false }).catch(
      () => undefined,
    );
    await Promise.race([timeout, Promise.all(this.#nodes.map((node) => node.checkup()))]);
    const wrong = this.#nodes.find((node) => node.problem === 'wrong_chain');
    const { chain, network } = this.#options.params;
    if (wrong !== undefined)
      throw new WrongChainError(wrong.name, `${chain} ${network}`, wrong.foundChain);
  }

  getBlockTemplate(): Promise<BlockTemplate> {
    const generation = this.#generation;
    if (this.#shared?.generation === generation) return this.#shared.template;
    const template = this.#findTemplate();
    const shared = { generation, template };
    this.#shared = shared;
    const forget = () => {
      if (this.#shared === shared) this.#shared = undefined;
    };
    void template.then(forget, forget);
    return template;
  }

  submitBlockToAll(blockHex: string): readonly Promise<SubmitOutcome>[] {
    return this.#nodes.map(async (node) => {
      const submitted = await this.#submitTo(node, blockHex);
      this.#metrics.submits.inc({ chain: this.#options.chain.id, outcome: submitted.outcome });
      if (submitted.outcome === 'accepted') node.wake();
      return { node: node.name, ...submitted };
    });
  }

  async propose(blockHex: string): Promise<string | null | undefined> {
    const node = this.#current;
    if (node === undefined) return undefined;
    const request = { mode: 'proposal', data: blockHex, rules: this.#options.params.rules };
    try {
      const answer = await node.call('getblocktemplate', [request], {
        timeoutMs: PROPOSE_TIMEOUT_MS,
      });
      if (answer === null) return null;
      // The tip moved meanwhile: this says nothing about the block.
      if (typeof answer !== 'string' || answer === 'inconclusive-not-best-prevblk')
        return undefined;
      return answer.slice(0, 256);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const isUnreadable = error.code === 'rpc' && error.rpcCode === RPC_CODE.deserialization;
      return isUnreadable ? error.detail : undefined;
    }
  }

  async getBlockHeader(hash: string): Promise<BlockHeaderAnswer | undefined> {
    const answer = await this.#lookUp('getblockheader', [hash, true]);
    if (answer === undefined) return undefined;
    const { previousblockhash, ...header } = headerAnswer.parse(answer);
    return { ...header, previousblockhash };
  }

  async getBlockRaw(hash: string): Promise<string | undefined> {
    const answer = await this.#lookUp('getblock', [hash, 0]);
    return typeof answer === 'string' ? answer : undefined;
  }

  async getBestBlockHash(): Promise<string> {
    return z.string().parse(await this.#lookUp('getbestblockhash', []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#nodes.map((node) => node[Symbol.asyncDispose]()));
    await Promise.all(this.#loops);
  }

  #createNode(config: ResolvedChain['nodes'][number]): CoinNode {
    const { chain, params, log, nowMs } = this.#options;
    const node: CoinNode = new CoinNode({
      config,
      chainId: chain.id,
      params,
      pollMs: chain.pollMs,
      log,
      metrics: this.#metrics,
      nowMs,
      random: this.#random,
      signal: this.#signal,
      onTip: (template) => this.#settle(template),
      onChange: () => this.#settle(),
      onConfirmed: () => this.#confirm(node),
    });
    return node;
  }

  /** Something changed: chooses the node to use, and reports its tip if that is not what was last reported. */
  #settle(template?: BlockTemplate): void {
    if (this.#signal.aborted) return;
    const nowMs = this.#options.nowMs();
    const name = chooseNode(this.#nodes, this.#current?.name, this.#switchedMs, nowMs);
    const chosen = this.#nodes.find((node) => node.name === name);
    if (chosen !== this.#current) this.#switchTo(chosen, nowMs);
    const tip = chosen?.tip?.hash;
    if (chosen === undefined || tip === undefined || tip === this.#tip) return;
    this.#tip = tip;
    this.#generation += 1;
    this.#lastConfirmedMs = nowMs;
    this.#metrics.tips.inc({ chain: this.#options.chain.id, source: chosen.tipSource });
    this.#options.onTip(tip, chosen.tipSource, chosen.name);
    if (template !== undefined) this.#deliver(template, chosen);
    else this.#run(this.#fetchFirstTemplate(this.#generation));
  }

  #switchTo(node: CoinNode | undefined, nowMs: number): void {
    const { log, chain } = this.#options;
    log.info({ chain: chain.id, from: this.#current?.name, to: node?.name }, 'coin node changed');
    this.#current = node;
    this.#switchedMs = nowMs;
    for (const each of this.#nodes) {
      this.#metrics.current.set({ chain: chain.id, node: each.name }, each === node ? 1 : 0);
    }
    this.#longPollStop?.abort();
    this.#longPollStop = undefined;
    // ZMQ is faster, and a held call costs the node a thread: see Note [Held calls] in long-poll.ts.
    if (node !== undefined && !node.hasZmq) this.#startLongPoll(node);
  }

  #startLongPoll(node: CoinNode): void {
    const stop = new AbortController();
    this.#longPollStop = stop;
    const signal = AbortSignal.any([this.#signal, stop.signal]);
    const loop = longPoll({
      longPollId: node.longPollId,
      signal,
      random: this.#random,
      request: (id) => node.heldTemplate(id, signal),
      onTemplate: (template) => this.#takeHeldTemplate(node, template),
      onFailure: () => node.wake(), // Whether the node lives is for the poll to find out.
    });
    this.#run(loop);
  }

  /** What the long poll brought: a new tip with its template, or new transactions on the tip we have. */
  #takeHeldTemplate(node: CoinNode, template: BlockTemplate): void {
    const tip = tipOf(template);
    if (tip.hash === node.tip?.hash) {
      if (tip.hash === this.#tip) this.#deliver(template, node);
    } else if (node.hasSeen(tip.hash)) {
      node.wake(); // An old answer, or a reorganisation back: the poll knows.
    } else {
      node.observe(tip, 'longpoll', template);
    }
  }

  #confirm(node: CoinNode): void {
    if (node.tip?.hash === this.#tip && node.isHealthy)
      this.#lastConfirmedMs = this.#options.nowMs();
    // Time alone may give a node of higher rank its place back.
    this.#settle();
  }

  /** Tries until there is a template of the new tip or the tip is old. */
  async #fetchFirstTemplate(generation: number): Promise<void> {
    for (let failures = 0; !this.#signal.aborted; failures += 1) {
      const waitMs = backoffMs(failures, this.#random(), { baseMs: 100, maxMs: 2_000 });
      if (waitMs > 0)
        await sleep(waitMs, undefined, { signal: this.#signal }).catch(() => undefined);
      if (generation !== this.#generation || this.#deliveredGeneration === generation) return;
      const found = await this.getBlockTemplate().catch((error: unknown) => {
        if (error instanceof NoNodeError) return undefined;
        throw error;
      });
      if (generation !== this.#generation || this.#deliveredGeneration === generation) return;
      if (found !== undefined && this.#current !== undefined)
        return this.#deliver(found, this.#current);
    }
  }

  #deliver(template: BlockTemplate, node: CoinNode): void {
    const isOld =
      this.#deliveredGeneration === this.#generation && this.#deliveredId === template.longpollid;
    if (isOld && template.longpollid !== undefined) return; // Long poll and fetch brought the same.
    this.#deliveredGeneration = this.#generation;
    this.#deliveredId = template.longpollid;
    this.#options.onTemplate(template, node.name);
  }

  /** From the current node, else from another one with the same tip. */
  async #findTemplate(): Promise<BlockTemplate> {
    let cause: unknown;
    for (const node of this.#byPreference()) {
      try {
        const template = await node.template();
        if (template.previousblockhash === this.#tip) return template;
        cause = new RpcError(
          'malformed',
          { method: 'getblocktemplate', node: node.name },
          'a template of another tip',
        );
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
        cause = error;
      }
    }
    throw this.#noNode(cause);
  }

  #byPreference(): readonly CoinNode[] {
    const healthy = this.#nodes.filter((node) => node.isHealthy && node !== this.#current);
    return this.#current === undefined ? healthy : [this.#current, ...healthy];
  }

  async #submitTo(node: CoinNode, blockHex: string): Promise<Submitted> {
    if (node.problem === 'wrong_chain') return { outcome: 'unavailable', reason: 'wrong_chain' };
    try {
      return outcomeOfAnswer(
        await node.call('submitblock', [blockHex], { timeoutMs: SUBMIT_TIMEOUT_MS }),
      );
    } catch (error) {
      return outcomeOfError(error);
    }
  }

  /** The answer of the first healthy node that knows. @returns undefined if none knows it */
  async #lookUp(method: string, params: readonly unknown[]): Promise<unknown> {
    let cause: unknown;
    let hasAnswered = false;
    for (const node of this.#byPreference()) {
      try {
        return await node.call(method, params);
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
        if (error.rpcCode === RPC_CODE.invalidAddressOrKey) hasAnswered = true;
        else cause = error;
      }
    }
    if (hasAnswered) return undefined;
    throw this.#noNode(cause);
  }

  #noNode(cause: unknown): NoNodeError {
    const { id } = this.#options.chain;
    const problems = this.#nodes
      .map((node) => `${node.name} ${node.problem ?? 'failed'}`)
      .join(', ');
    return new NoNodeError(id, problems, cause === undefined ? undefined : { cause });
  }

  #run(loop: Promise<void>): void {
    this.#loops.add(loop);
    void loop.finally(() => this.#loops.delete(loop));
  }
}
