/** Serves `shares.apply`: decode, fold, one script call, tell what became of blocks. Bounded work in flight. */
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { BlockChanged } from '#libs/contracts/block-changed.ts';
import type { SharesApplied, SharesApply } from '#libs/contracts/shares-apply.ts';
import { BATCH_RECORDS_MAX, decodeRecords } from '#libs/journal/record-codec.ts';
import { foldBatch } from '../core/fold-batch.ts';
import type { BatchFold } from '../core/model.ts';
import type { ReporterMetrics } from '../metrics.ts';
import { type Applied, applyBatch } from './apply-batch.ts';

/** [batches] at most in flight; more are refused, and their journals keep them */
const IN_FLIGHT_MAX = 64;

export interface ApplierOptions {
  readonly redis: Redis;
  readonly publish: (change: BlockChanged) => void;
  readonly log: Logger;
  readonly metrics: ReporterMetrics;
  readonly nowMs: () => number;
}

export interface Applier {
  /** @throws {Error} if nothing was applied, or nobody knows: the shipper asks for the watermark and tries again */
  apply(request: SharesApply, attachments: readonly Uint8Array[]): Promise<SharesApplied>;
  /** Resolves when nothing is in flight. */
  idle(): Promise<void>;
}

export function createApplier(options: ApplierOptions): Applier {
  const { metrics } = options;
  const busy = new Map<string, Promise<SharesApplied>>();
  const label = (request: SharesApply) => `${request.chain} ${request.journal}`;

  async function measured(request: SharesApply, packed: Uint8Array | undefined) {
    const ended = metrics.applySeconds.startTimer();
    try {
      return await applyOne(options, request, packed);
    } catch (error) {
      metrics.batches.inc({ chain: request.chain, outcome: 'failed' });
      throw error;
    } finally {
      ended();
      busy.delete(label(request));
      metrics.inFlight.set(busy.size);
    }
  }

  return {
    async apply(request, [packed]) {
      // A journal has one batch in flight; a second one here means that its first reply was given up.
      if (busy.has(label(request)))
        throw new Error('Cannot apply batch: one of this journal is in flight');
      if (busy.size >= IN_FLIGHT_MAX)
        throw new Error(`Cannot apply batch: ${busy.size} are in flight`);
      const applying = measured(request, packed);
      busy.set(label(request), applying);
      metrics.inFlight.set(busy.size);
      return await applying;
    },
    async idle() {
      await Promise.allSettled(busy.values());
    },
  };
}

async function applyOne(
  options: ApplierOptions,
  request: SharesApply,
  packed: Uint8Array | undefined,
): Promise<SharesApplied> {
  const { redis, nowMs, metrics } = options;
  const { chain, journal, from, to, lost: isLost } = request;
  const fold = foldRequest(request, packed, nowMs());
  const countCommand = () => metrics.redisCommands.inc({ purpose: 'apply' });
  const applied = await applyBatch(
    redis,
    { journal, chain, from, to, isLost },
    fold,
    nowMs(),
    countCommand,
  );
  report(options, request, fold, applied);
  return { applied: applied.applied, watermark: applied.watermark };
}

/** @throws {WireError} if the records are not what a journal writes; {RangeError} if they are not as many as said */
function foldRequest(
  { from, to, lost }: SharesApply,
  packed: Uint8Array | undefined,
  nowMs: number,
): BatchFold {
  const records = lost || packed === undefined ? [] : decodeRecords(packed, BATCH_RECORDS_MAX);
  const claimed = lost ? 0 : to - from;
  if (to < from || records.length !== claimed)
    throw new RangeError(
      `Cannot apply batch: ${records.length} records stand for ${from} to ${to}`,
    );
  return foldBatch(records, nowMs);
}

function report(
  { metrics, log, publish }: ApplierOptions,
  { chain, journal, from, to, lost }: SharesApply,
  fold: BatchFold,
  { applied, counted, duplicates, changes }: Applied,
): void {
  metrics.batches.inc({ chain, outcome: applied ? 'applied' : 'out_of_step' });
  if (!applied) return;
  metrics.shares.inc({ chain, kind: 'counted' }, counted);
  metrics.shares.inc({ chain, kind: 'duplicate' }, duplicates);
  metrics.unknown.inc({ chain }, fold.unknownCount);
  if (lost) {
    metrics.lost.inc({ chain }, to - from);
    log.error({ chain, journal, from, to, count: to - from }, 'journal records are lost');
  }
  for (const { hash, height, state, reason } of changes) {
    metrics.blocks.inc({ chain, state });
    log.info({ chain, hash, height, state, reason }, 'block changed');
    publish({ chain, hash, height, state, reason });
  }
}
