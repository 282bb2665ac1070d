/**
 * Ships one journal to the books: batches to any ready reporter, on from the watermark the store holds.
 *
 * Note [Shipping]
 * The store applies a batch only where its watermark stands, so a batch may be lost, late, doubled or sent through two
 * reporters without harm. Every reply carries the watermark, and that is where the next batch begins: forward when the
 * reply to an applied batch was lost, back when the store lost something (Redis restarted with old data). The
 * watermark is also read directly on each new connection and every few seconds, so that an idle journal finds out.
 * One batch is in flight and one in memory, however long the reporters are away.
 */
import type { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Logger } from 'pino';
import type { Bus } from '#libs/bus/bus.ts';
import { BusError } from '#libs/bus/errors.ts';
import { type SharesApplied, sharesApply } from '#libs/contracts/shares-apply.ts';
import type { Journal, JournalSlice } from './journal.ts';
import { createJournalMetrics } from './metrics.ts';
import { BATCH_RECORDS_MAX } from './record-codec.ts';

const INTERVAL_MS = 1_000;
const CHECK_MS = 5_000;
const BACKOFF_MS_MAX = 10_000;
/** [replies] in a row without progress after which the loop waits */
const STALLS_MAX = 3;

export interface ShipperOptions {
  readonly journal: Journal;
  readonly bus: Pick<Bus, 'call'>;
  /** Reads the store's watermark of this journal: see journal-store.ts. */
  readonly watermark: () => Promise<number>;
  readonly nowMs: () => number;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  /** [ms] between batches when caught up; default 1 000 */
  readonly intervalMs?: number;
  /** [ms] between direct reads of the watermark; default 5 000. Make it longer for idle adopted journals. */
  readonly checkMs?: number;
}

export interface Shipper extends AsyncDisposable {
  /** True while everything flushed is acknowledged. */
  readonly isCaughtUp: boolean;
  /** Reads the watermark again before the next batch: call it on every new connection to the shares Redis. */
  recheck(): void;
  /** Resolves when everything flushed until now is acknowledged, without waiting for the next second. */
  shipNow(signal: AbortSignal): Promise<void>;
}

/** Starts shipping; disposing ends it and gives up the batch in flight, which is harmless. */
export function createShipper(options: ShipperOptions): Shipper {
  return new LoopShipper(options);
}

class LoopShipper implements Shipper {
  readonly #options: ShipperOptions;
  readonly #metrics;
  readonly #intervalMs: number;
  readonly #checkMs: number;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #wake: () => void = () => undefined;
  #position: number;
  /** [records] highest index ever acknowledged, to count what is shipped again */
  #highest = 0;
  #checkDueMs = 0;
  #failures = 0;
  #waiters: { readonly index: number; readonly resolve: () => void }[] = [];

  constructor(options: ShipperOptions) {
    this.#options = options;
    this.#metrics = createJournalMetrics(options.metrics);
    this.#intervalMs = options.intervalMs ?? INTERVAL_MS;
    this.#checkMs = options.checkMs ?? CHECK_MS;
    this.#position = options.journal.acknowledged;
    this.#ended = this.#run();
  }

  get isCaughtUp(): boolean {
    return this.#position >= this.#options.journal.flushedIndex;
  }

  recheck(): void {
    this.#checkDueMs = 0;
    this.#wake();
  }

  async shipNow(signal: AbortSignal): Promise<void> {
    const index = this.#options.journal.flushedIndex;
    if (this.#position >= index || signal.aborted || this.#stop.signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter = { index, resolve };
    this.#waiters.push(waiter);
    const giveUp = () => resolve();
    signal.addEventListener('abort', giveUp, { once: true });
    this.#wake();
    await promise;
    this.#waiters = this.#waiters.filter((other) => other !== waiter);
    signal.removeEventListener('abort', giveUp);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#wake();
    await this.#ended;
    for (const { resolve } of this.#waiters) resolve();
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#shipAll();
        this.#failures = 0;
      } catch (error) {
        this.#noteFailure(error);
      }
      await this.#pause();
    }
  }

  /** Sends batches until nothing is left, the store makes no progress, or something throws. */
  async #shipAll(): Promise<void> {
    await this.#checkIfDue();
    for (let stalls = 0; !this.isCaughtUp && stalls < STALLS_MAX; ) {
      if (this.#stop.signal.aborted) return;
      const before = this.#position;
      await this.#shipOne();
      stalls = this.#position === before ? stalls + 1 : 0;
    }
  }

  async #checkIfDue(): Promise<void> {
    const { nowMs, watermark, log, journal } = this.#options;
    if (nowMs() < this.#checkDueMs) return;
    try {
      this.#moveTo(await watermark());
      this.#checkDueMs = nowMs() + this.#checkMs;
    } catch (error) {
      // Reporters may reach the store although we do not: their replies tell the watermark too.
      this.#count('watermark');
      log.warn({ journal: journal.id, err: error }, 'watermark cannot be read');
    }
  }

  async #shipOne(): Promise<void> {
    const from = this.#position;
    const slice = await this.#options.journal.read(from, BATCH_RECORDS_MAX);
    const { applied, watermark } = await this.#send(slice);
    if (applied && slice.lost) this.#alarmLost(slice);
    if (applied) this.#countShipped(slice);
    this.#moveTo(watermark);
  }

  #send(slice: JournalSlice): Promise<SharesApplied> {
    const { journal, bus } = this.#options;
    const { from, to, lost } = slice;
    return bus.call(
      { kind: 'any', role: 'reporter' },
      sharesApply,
      { journal: journal.id, chain: journal.chain, from, to, lost },
      { attachments: slice.lost ? [] : [slice.packed], signal: this.#stop.signal },
    );
  }

  /** The store says where it stands: on from there, forward or back. */
  #moveTo(watermark: number): void {
    const { journal, log } = this.#options;
    if (watermark < this.#position)
      log.warn({ journal: journal.id, from: this.#position, to: watermark }, 'watermark went back');
    if (watermark > journal.flushedIndex) journal.skipTo(watermark);
    this.#position = watermark;
    journal.acknowledge(watermark);
    for (const { index, resolve } of this.#waiters) if (index <= watermark) resolve();
  }

  #countShipped({ from, to, lost }: JournalSlice): void {
    const { chain } = this.#options.journal;
    const again = Math.max(0, Math.min(to, this.#highest) - from);
    if (!lost) this.#metrics.shipped.inc({ chain }, to - from);
    if (again > 0) this.#metrics.reshipped.inc({ chain }, again);
    this.#highest = Math.max(this.#highest, to);
  }

  #alarmLost({ from, to }: JournalSlice): void {
    const { journal, log } = this.#options;
    this.#metrics.lost.inc({ chain: journal.chain }, to - from);
    log.error({ journal: journal.id, from, to, count: to - from }, 'journal records are lost');
  }

  /** The store may or may not have the batch: its watermark is read before the next one. */
  #noteFailure(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    const { journal, log } = this.#options;
    this.#failures += 1;
    this.#checkDueMs = 0;
    this.#count(error instanceof BusError ? error.code : 'other');
    log.warn({ journal: journal.id, failures: this.#failures, err: error }, 'batch not shipped');
  }

  #count(code: string): void {
    this.#metrics.shipErrors.inc({ chain: this.#options.journal.chain, code });
  }

  async #pause(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const backoffMs = this.#intervalMs * 2 ** Math.min(this.#failures, 10);
    const timer = setTimeout(
      resolve,
      Math.min(backoffMs, Math.max(BACKOFF_MS_MAX, this.#intervalMs)),
    );
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
  }
}
