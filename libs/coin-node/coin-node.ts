/**
 * One coin node: what we know of its health and its best block, kept fresh by ZMQ and poll.
 * It does not know its siblings: see coin-nodes.ts.
 *
 * Note [Old answers]
 * A poll that was asked before a ZMQ message arrived may be answered with the block before. So every change of the tip
 * is counted, and an answer that names the tip counts only if nothing changed since it was asked.
 */
import type { Logger } from 'pino';
import { z } from 'zod';
import type { ChainParams } from '#libs/bitcoin/chains.ts';
import type { NodeConfig } from '#libs/contracts/pool-config.ts';
import { type BlockTemplate, blockTemplate } from './block-template.ts';
import { wrongChain } from './chain-check.ts';
import { RPC_CODE, RpcError } from './errors.ts';
import { type CallOptions, createJsonRpc, type JsonRpc } from './json-rpc.ts';
import type { NodeStanding, NodeTip } from './node-choice.ts';
import type { NodeMetrics } from './node-metrics.ts';
import { LONG_POLL_TIMEOUT_MS } from './long-poll.ts';
import { createTipPoll, type TipPoll } from './tip-poll.ts';
import { followHashblock } from './zmq-hashblock.ts';

export type TipSource = 'zmq' | 'longpoll' | 'poll';

/** Why a node is not mined on. */
export type NodeProblem =
  | 'unknown'
  | 'unreachable'
  | 'unauthorized'
  | 'timeout'
  | 'malformed'
  | 'starting'
  | 'syncing'
  | 'no_peers'
  | 'no_template'
  | 'wrong_chain';

export interface CoinNodeOptions {
  readonly config: NodeConfig;
  readonly chainId: string;
  readonly params: ChainParams;
  readonly pollMs: number;
  readonly log: Logger;
  readonly metrics: NodeMetrics;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** The node's best block is another one now; with its template if that is how we know. */
  readonly onTip: (template?: BlockTemplate) => void;
  /** Its health, or what is known of its tip, changed. */
  readonly onChange: () => void;
  /** The node answered and its best block is still `tip`. */
  readonly onConfirmed: () => void;
}

/** [ms] between two looks at the health of a node that answers its polls */
const CHECKUP_MS = 5_000;
const POLL_TIMEOUT_MS = 10_000;
const TEMPLATE_TIMEOUT_MS = 30_000;
/** A node whose tip moves during every look is looked at again with the next poll. */
const CHECKUP_TRIES = 3;
const FORMER_TIPS_MAX = 16;

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const blockchainInfo = z.object({
  chain: z.string().max(64),
  blocks: z.int().min(0),
  bestblockhash: hash,
  initialblockdownload: z.boolean().default(false),
  chainwork: hash,
});
const networkInfo = z.object({ connections: z.int().min(0) });

export class CoinNode implements NodeStanding, AsyncDisposable {
  readonly name: string;
  /** Known only to be of the wrong chain if `problem` says so. */
  foundChain = '';
  #problem: NodeProblem | undefined = 'unknown';
  #healthySinceMs = 0;
  #tip: NodeTip | undefined;
  #tipSource: TipSource = 'poll';
  #isZmqSilent = false;
  #tipChanges = 0;
  #formerTips: readonly string[] = [];
  #checkedMs = 0;
  #isGenesisChecked = false;
  /** False until a template was got since the node last failed to give one. */
  #givesTemplates = false;
  #longPollId: string | undefined;
  #checkup: Promise<void> | undefined;
  readonly #options: CoinNodeOptions;
  readonly #rpc: JsonRpc;
  /** Long polls have connections of their own: a held call is no measure and in nobody's way. */
  readonly #held: JsonRpc;
  readonly #poll: TipPoll;
  readonly #zmq: AsyncDisposable | undefined;

  constructor(options: CoinNodeOptions) {
    const { config, chainId, metrics, log, pollMs, random, signal } = options;
    this.#options = options;
    this.#rpc = createJsonRpc({
      url: config.url,
      onCall: (method, outcome, seconds) => {
        metrics.rpcSeconds.observe({ chain: chainId, method }, seconds);
        if (outcome === 'ok' || outcome === 'aborted') return;
        metrics.rpcFailures.inc({ chain: chainId, node: this.name, code: outcome });
      },
    });
    this.#held = createJsonRpc({ url: config.url });
    this.name = this.#rpc.node;
    metrics.healthy.set({ chain: chainId, node: this.name }, 0);
    const poll = createTipPoll({
      intervalMs: pollMs,
      random,
      signal,
      poll: () => this.#pollOnce(),
    });
    this.#poll = poll;
    this.#zmq =
      config.zmqHashblock === undefined
        ? undefined
        : followHashblock({
            endpoint: config.zmqHashblock,
            log,
            onHash: (tip) => this.observe(bareTip(tip), 'zmq'),
            onGap: (reason) => {
              metrics.zmqGaps.inc({ chain: chainId, reason });
              poll.wake();
            },
          });
  }

  /** Whether the node tells of its blocks by ZMQ. */
  get hasZmq(): boolean {
    return this.#zmq !== undefined;
  }
  get isHealthy(): boolean {
    return this.#problem === undefined;
  }
  get problem(): NodeProblem | undefined {
    return this.#problem;
  }
  get healthySinceMs(): number {
    return this.#healthySinceMs;
  }
  get tip(): NodeTip | undefined {
    return this.#tip;
  }
  /** How we heard of the tip first. */
  get tipSource(): TipSource {
    return this.#tipSource;
  }
  get longPollId(): string | undefined {
    return this.#longPollId;
  }

  /** Calls any method; a failure that tells of the node's health is remembered. @throws {RpcError} */
  async call(
    method: string,
    params: readonly unknown[],
    options: CallOptions = {},
  ): Promise<unknown> {
    try {
      return await this.#rpc.call(method, params, { signal: this.#options.signal, ...options });
    } catch (error) {
      this.#note(error);
      throw error;
    }
  }

  /** A fresh template, checked. @throws {RpcError} */
  async template(): Promise<BlockTemplate> {
    const changes = this.#tipChanges;
    try {
      const params = [this.#templateRequest()];
      const answer = await this.call('getblocktemplate', params, {
        timeoutMs: TEMPLATE_TIMEOUT_MS,
      });
      const template = this.#takeTemplate(answer);
      // See Note [Old answers].
      if (changes === this.#tipChanges) this.observe(tipOf(template), 'poll');
      return template;
    } catch (error) {
      this.#givesTemplates = false;
      if (error instanceof RpcError && error.code === 'rpc' && this.isHealthy)
        this.#fail('no_template', error);
      throw error;
    }
  }

  /**
   * A template newer than the one with this id: the node holds the call until it has one (BIP 22). The tip it names
   * may be an old one by the time it arrives.
   * @throws {RpcError} `timeout` means that nothing happened
   */
  async heldTemplate(longPollId: string, signal: AbortSignal): Promise<BlockTemplate> {
    const params = [{ ...this.#templateRequest(), longpollid: longPollId }];
    const options = { timeoutMs: LONG_POLL_TIMEOUT_MS, signal };
    return this.#takeTemplate(await this.#held.call('getblocktemplate', params, options));
  }

  /** Takes a word about the node's best block. Nothing happens if it is the one we know. */
  observe(tip: NodeTip, source: TipSource, template?: BlockTemplate): void {
    if (tip.hash === this.#tip?.hash) return;
    this.#watchZmq(source);
    this.#replaceTip(tip, source);
    this.#options.onTip(template);
    void this.checkup(); // For the work of the new tip.
  }

  /** True for a block that was the tip not long ago. */
  hasSeen(hash: string): boolean {
    return this.#formerTips.includes(hash);
  }

  /** Asks for the tip now, not at the next interval. */
  wake(): void {
    this.#poll.wake();
  }

  /** Looks at everything health is made of. Never throws; simultaneous callers share one look. */
  checkup(): Promise<void> {
    this.#checkup ??= this.#checkupOnce().finally(() => {
      this.#checkup = undefined;
    });
    return this.#checkup;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#zmq?.[Symbol.asyncDispose]();
    await this.#rpc[Symbol.asyncDispose]();
    await this.#held[Symbol.asyncDispose]();
    await this.#poll.done;
    await this.#checkup;
  }

  /** Says it once when the poll finds what ZMQ should have told: a wrong endpoint costs up to a poll's interval. */
  #watchZmq(source: TipSource): void {
    if (source === 'zmq') this.#isZmqSilent = false;
    if (!this.hasZmq || source !== 'poll' || this.#isZmqSilent || this.#tip === undefined) return;
    this.#isZmqSilent = true;
    const { log, config } = this.#options;
    const endpoint = config.zmqHashblock;
    log.warn({ node: this.name, endpoint }, 'the poll found a block before ZMQ told of it');
  }

  #templateRequest() {
    return { rules: this.#options.params.rules, capabilities: ['proposal', 'longpoll'] };
  }

  #takeTemplate(answer: unknown): BlockTemplate {
    const template = this.#read(blockTemplate, 'getblocktemplate', answer);
    this.#givesTemplates = true;
    this.#longPollId = template.longpollid;
    return template;
  }

  async #pollOnce(): Promise<boolean> {
    const changes = this.#tipChanges;
    try {
      const answer = await this.call('getbestblockhash', [], { timeoutMs: POLL_TIMEOUT_MS });
      const best = this.#read(hash, 'getbestblockhash', answer);
      if (changes !== this.#tipChanges)
        this.#poll.wake(); // See Note [Old answers].
      else this.observe(bareTip(best), 'poll');
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      return false;
    }
    const isDue = this.#options.nowMs() - this.#checkedMs >= CHECKUP_MS;
    if (!this.isHealthy || isDue || this.#tip?.chainwork === undefined) await this.checkup();
    else this.#options.onConfirmed();
    return this.#problem !== 'unreachable';
  }

  async #checkupOnce(): Promise<void> {
    try {
      const problem = (await this.#learnTip()) ?? (await this.#findProblem());
      this.#checkedMs = this.#options.nowMs();
      this.#setProblem(problem);
      if (problem === undefined) this.#options.onConfirmed();
    } catch (error) {
      if (!(error instanceof RpcError)) throw error; // What the call means for health is noted already.
    }
  }

  /** Best block with its work, unless the tip moves all the time. */
  async #learnTip(): Promise<NodeProblem | undefined> {
    for (let tries = 0; tries < CHECKUP_TRIES; tries += 1) {
      const changes = this.#tipChanges;
      const answer = await this.call('getblockchaininfo', []);
      const found = this.#read(blockchainInfo, 'getblockchaininfo', answer);
      if (!(await this.#isRightChain(found.chain))) return 'wrong_chain';
      const needsSync = this.#options.params.network === 'main';
      if (found.initialblockdownload && needsSync) return 'syncing';
      if (changes !== this.#tipChanges) continue; // See Note [Old answers].
      this.#takeTip({
        hash: found.bestblockhash,
        height: found.blocks,
        chainwork: found.chainwork,
      });
      return undefined;
    }
    return undefined;
  }

  #takeTip(tip: NodeTip): void {
    const { metrics, chainId } = this.#options;
    metrics.height.set({ chain: chainId, node: this.name }, tip.height ?? 0);
    if (this.#tip?.hash === tip.hash) {
      this.#tip = tip;
      this.#options.onChange(); // Its work is known now, so somebody may be behind.
    } else {
      this.#replaceTip(tip, 'poll');
      this.#options.onTip();
    }
  }

  #replaceTip(tip: NodeTip, source: TipSource): void {
    if (this.#tip !== undefined) {
      this.#formerTips = [this.#tip.hash, ...this.#formerTips].slice(0, FORMER_TIPS_MAX);
    }
    this.#tip = tip;
    this.#tipSource = source;
    this.#tipChanges += 1;
  }

  async #isRightChain(reported: string): Promise<boolean> {
    if (this.#isGenesisChecked) return true;
    const genesis = this.#read(hash, 'getblockhash', await this.call('getblockhash', [0]));
    const found = wrongChain(this.#options.params, reported, genesis);
    this.foundChain = found ?? '';
    this.#isGenesisChecked = found === undefined;
    return found === undefined;
  }

  /**
   * Public networks say by themselves what they lack. Test networks are in initial download whenever nobody mined for
   * a day, so there only a template proves that the node can be mined on.
   */
  async #findProblem(): Promise<NodeProblem | undefined> {
    if (this.#options.params.network === 'main') {
      const answer = await this.call('getnetworkinfo', []);
      if (this.#read(networkInfo, 'getnetworkinfo', answer).connections === 0) return 'no_peers';
    }
    if (!this.#givesTemplates) await this.template();
    return undefined;
  }

  #read<T extends z.ZodType>(schema: T, method: string, answer: unknown): z.infer<T> {
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    const where = issue?.path.join('.') ?? '';
    const error = new RpcError(
      'malformed',
      { method, node: this.name },
      `${where}: ${issue?.message ?? ''}`,
    );
    this.#note(error);
    throw error;
  }

  /** What a failed call says about the node. */
  #note(error: unknown): void {
    if (!(error instanceof RpcError) || error.code === 'aborted') return;
    if (error.code !== 'rpc') {
      if (error.code === 'unreachable') this.#isGenesisChecked = false; // Who comes back may be another.
      this.#fail(error.code, error);
    } else if (error.rpcCode === RPC_CODE.inWarmup) this.#fail('starting', error);
    else if (error.rpcCode === RPC_CODE.inInitialDownload) this.#fail('syncing', error);
    else if (error.rpcCode === RPC_CODE.notConnected) this.#fail('no_peers', error);
  }

  #fail(problem: NodeProblem, error: RpcError): void {
    this.#givesTemplates = false;
    this.#setProblem(problem, error);
  }

  #setProblem(problem: NodeProblem | undefined, error?: RpcError): void {
    if (problem === this.#problem) return;
    const { log, metrics, chainId, nowMs, onChange } = this.#options;
    const before = this.#problem;
    this.#problem = problem;
    metrics.healthy.set({ chain: chainId, node: this.name }, problem === undefined ? 1 : 0);
    if (problem === undefined) {
      this.#healthySinceMs = nowMs();
      log.info({ node: this.name, before }, 'coin node is healthy');
    } else {
      const found = problem === 'wrong_chain' ? this.foundChain : undefined;
      log.warn(
        { node: this.name, problem, found, detail: error?.detail },
        'coin node is not healthy',
      );
    }
    onChange();
  }
}

/** What a template says of its parent. */
export function tipOf(template: BlockTemplate): NodeTip {
  return { hash: template.previousblockhash, height: template.height - 1, chainwork: undefined };
}

function bareTip(hash: string): NodeTip {
  return { hash, chainwork: undefined, height: undefined };
}
