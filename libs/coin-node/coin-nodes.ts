/**
 * The nodes of one chain as one: failover between them, each new tip once, blocks to all of them.
 */
import type { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Logger } from 'pino';
import type { ChainParams } from '#libs/bitcoin/chains.ts';
import type { ResolvedChain } from '#libs/contracts/pool-config.ts';
import type { BlockTemplate } from './block-template.ts';

export type TipSource = 'zmq' | 'longpoll' | 'poll';

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

export interface SubmitOutcome {
  /** `host:port` of the node. */
  readonly node: string;
  /**
   * `inconclusive`: valid as far as the node looked, but not its best chain (or it has it already without having
   * looked); `unavailable`: no answer, the node may or may not have it.
   */
  readonly outcome: 'accepted' | 'duplicate' | 'rejected' | 'inconclusive' | 'unavailable';
  /** The node's word; empty if accepted. */
  readonly reason: string;
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
  onTip(hash: string, source: TipSource, node: string): void;
  /**
   * A template nobody asked for: the first one of each new tip (fetched here right after `onTip`), and those the
   * long poll brings when the mempool changed. Not called for what `getBlockTemplate()` returns.
   */
  onTemplate(template: BlockTemplate, node: string): void;
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

export declare function createCoinNodes(options: CoinNodesOptions): CoinNodes;
