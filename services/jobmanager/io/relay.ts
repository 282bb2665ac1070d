/**
 * Blocks our node saw before the active jobmanager announced them: passed on, so that it agrees (DESIGN.md section 6).
 * Only the newest block matters; it is tried for 10 s, after which servers follow another jobmanager anyway.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Bus, Origin } from '#libs/bus/bus.ts';
import { BusError } from '#libs/bus/errors.ts';
import type { CoinNodes } from '#libs/coin-node/coin-nodes.ts';
import { NoNodeError } from '#libs/coin-node/errors.ts';
import { bytesFromHex } from '#libs/bitcoin/hex.ts';
import { blockRelay } from '#libs/contracts/block-relay.ts';
import type { Job } from '#libs/contracts/job.ts';
import { jobAnnounced } from '#libs/contracts/job-announced.ts';
import { jobSnapshot } from '#libs/contracts/job-snapshot.ts';
import { relayTarget, type Source } from '../core/active-source.ts';
import { readRelayedBlock } from '../core/relayed-block.ts';
import type { JobMetrics } from '../metrics.ts';

const RELAY_MAX_MS = 10_000;
const PAUSE_MS = 500;
/** [jobmanagers] of one chain that are remembered */
const SOURCES_MAX = 64;

export interface RelayOptions {
  readonly chain: string;
  readonly bus: Pick<Bus, 'subscribe' | 'call' | 'peers'>;
  readonly nodes: Pick<CoinNodes, 'getBlockRaw'>;
  /** Ourselves as others see us; undefined: not ready. */
  readonly self: () => Source | undefined;
  readonly ownBootId: string;
  readonly log: Logger;
  readonly metrics: JobMetrics;
  readonly nowMs: () => number;
}

type Outcome = 'accepted' | 'duplicate' | 'rejected' | 'unavailable';

export class Relay implements AsyncDisposable {
  readonly #options: RelayOptions;
  readonly #sources = new Map<string, Source>();
  readonly #subscription: Disposable;
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#subscription = options.bus.subscribe(
      jobAnnounced,
      options.chain,
      ({ chain, job, startedMs }, { peer }) => {
        if (chain === options.chain) this.#hear(peer, startedMs, job);
      },
      (peer) => void this.#askFor(peer),
    );
  }

  /** Our node has a new best block. @param hash display byte order */
  onTip(hash: string): void {
    this.#stop.abort();
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    const before = this.#running;
    this.#running = before.then(() => this.#relay(hash, signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    this.#stop.abort();
    await this.#running;
  }

  /** Other jobmanagers that are ready, and we if we are. */
  get #ready(): readonly Source[] {
    const { bus, self } = this.#options;
    const ready = new Set(bus.peers.filter(({ isReady }) => isReady).map(({ bootId }) => bootId));
    const others = [...this.#sources.values()].filter(({ bootId }) => ready.has(bootId));
    const own = self();
    return own === undefined ? others : [...others, own];
  }

  #hear({ role, id, bootId }: Origin['peer'], startedMs: number, job: Job): void {
    if (role !== 'jobmanager') return;
    this.#sources.delete(bootId);
    this.#sources.set(bootId, { id, bootId, startedMs, parent: job.parent });
    const [oldest] = this.#sources.keys();
    if (this.#sources.size > SOURCES_MAX && oldest !== undefined) this.#sources.delete(oldest);
  }

  /** We joined late or lost a message: what would it announce now? */
  async #askFor(peer: Origin['peer']): Promise<void> {
    if (peer.role !== 'jobmanager') return;
    const { bus, chain } = this.#options;
    try {
      const target = { kind: 'instance', role: peer.role, id: peer.id } as const;
      const { jobs, startedMs } = await bus.call(target, jobSnapshot, { chain });
      const job = jobs.at(-1);
      if (job?.chain === chain) this.#hear(peer, startedMs, job);
    } catch (error) {
      if (!(error instanceof BusError)) throw error; // It serves another chain, or is gone: its next job tells.
    }
  }

  async #relay(hash: string, signal: AbortSignal): Promise<void> {
    const { nowMs, log, metrics, chain } = this.#options;
    const endMs = nowMs() + RELAY_MAX_MS;
    try {
      while (!signal.aborted && nowMs() < endMs) {
        const target = relayTarget(this.#ready, this.#options.ownBootId, hash);
        if (target === undefined) return;
        const outcome = await this.#passTo(target, hash, signal);
        metrics.relays.inc({ chain, outcome });
        log.info({ chain, hash, to: target.id, outcome }, 'block passed to the active jobmanager');
        if (outcome !== 'unavailable') return;
        await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined);
      }
    } catch (error) {
      log.error({ chain, hash, err: error }, 'a block could not be passed on');
    }
  }

  async #passTo(target: Source, hash: string, signal: AbortSignal): Promise<Outcome> {
    const { nodes, bus, chain, ownBootId } = this.#options;
    try {
      const raw = await nodes.getBlockRaw(hash);
      if (raw === undefined) return 'unavailable';
      if (relayTarget(this.#ready, ownBootId, hash)?.bootId !== target.bootId) return 'duplicate';
      const block = bytesFromHex(raw);
      const request = { chain, hash, height: readRelayedBlock(block).height };
      const to = { kind: 'instance', role: 'jobmanager', id: target.id } as const;
      const reply = await bus.call(to, blockRelay, request, { attachments: [block], signal });
      return reply.outcome;
    } catch (error) {
      if (error instanceof BusError || error instanceof NoNodeError) return 'unavailable';
      throw error;
    }
  }
}
