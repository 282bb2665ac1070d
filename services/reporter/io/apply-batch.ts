/**
 * Brings one folded batch into the books of its chain: one script call, one client command.
 *
 * Note [Apply]
 * First the script reads and checks everything: the watermark, which identities are known, every value that will
 * change. Any surprise (a key of another type, a number that is none) raises an error there, before the first write.
 * Then come only writes that cannot fail: their keys were read with a command of the same type, their values are
 * computed. Redis refuses a script for lack of memory or as a replica at its first write only, so that is whole too.
 * Which shares count is known only in the script, so it does the sums: exact, in limbs of 40 bits, of which a double
 * adds 8192 without loss. Sums of work stand in the books as hex.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { keys } from '#libs/contracts/keys.ts';
import type { SharesApply } from '#libs/contracts/shares-apply.ts';
import type { BatchFold, BlockFold, SlotFold } from '../core/model.ts';

/**
 * [s] How long the identities of a height are remembered after the last share for it: longer than journals are
 * retained (24 h), so that whatever a store that lost its end gets again is recognised.
 */
const BUCKET_TTL_SEC = 26 * 3_600;
/** [s] after the hour it covers that a series of minutes is kept */
const SERIES_TTL_SEC = 25 * 3_600;
/** [s] after its last share that a worker is remembered */
const WORKER_TTL_SEC = 30 * 86_400;
/** [s] after its last reject that a worker without any accepted share is remembered */
const STRANGER_TTL_SEC = 3_600;
/** [s] after its end that a round's sums are kept */
const ROUND_TTL_SEC = 30 * 86_400;
const HOUR_SEC = 3_600;
const MINUTES_PER_HOUR = 60;

const SCRIPT = readFileSync(join(import.meta.dirname, 'apply-batch.lua'), 'utf8');
const SCRIPT_SHA = createHash('sha1').update(SCRIPT).digest('hex');

/** A block that got a new state by this batch. */
const blockChange = z.object({
  hash: z.string(),
  state: z.enum(['submitted', 'accepted', 'rejected']),
  height: z.int().min(0),
  reason: z.string(),
});
type BlockChange = z.infer<typeof blockChange>;

export interface Applied {
  readonly applied: boolean;
  /** [records] the watermark afterwards, or where it stands if nothing was applied */
  readonly watermark: number;
  /** [shares] */
  readonly counted: number;
  /** [shares] of the batch that another journal, or this one, had brought before */
  readonly duplicates: number;
  readonly changes: readonly BlockChange[];
}

const scriptReply = z
  .tuple([z.int(), z.int(), z.int(), z.int()])
  .rest(z.string().transform((text) => blockChange.parse(JSON.parse(text))));

/** Called for every command sent to Redis, to count them. */
export type CommandCounter = () => void;

/**
 * @throws the client's error; whether the batch was applied is then unknown, and the shipper finds out
 * @throws {ReplyError} if the script refused: nothing was changed
 */
export async function applyBatch(
  redis: Redis,
  batch: Omit<SharesApply, 'lost'> & { readonly isLost: boolean },
  fold: BatchFold,
  nowMs: number,
  countCommand: CommandCounter,
): Promise<Applied> {
  const series = seriesOf(fold.slots);
  const scriptKeys = keysOf(batch.chain, fold, series);
  const head = JSON.stringify(headOf(batch, fold, series, nowMs));
  const parameters = [...scriptKeys, head, Buffer.from(fold.entries)];
  const reply = await runScript(redis, scriptKeys.length, parameters, countCommand);
  const [applied, watermark, counted, duplicates, ...changes] = scriptReply.parse(reply);
  return { applied: applied === 1, watermark, counted, duplicates, changes };
}

/** EVALSHA; EVAL only where the server does not know the script yet, which ran nothing. */
async function runScript(
  redis: Redis,
  keyCount: number,
  parameters: readonly (string | Buffer)[],
  countCommand: CommandCounter,
): Promise<unknown> {
  try {
    countCommand();
    return await redis.evalsha(SCRIPT_SHA, keyCount, ...parameters);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
    countCommand();
    return await redis.eval(SCRIPT, keyCount, ...parameters);
  }
}

/** The minute series a batch touches, and which of them each slot goes to. */
interface SeriesPlan {
  /** One per hour. */
  readonly pool: readonly number[];
  /** One per worker and hour. */
  readonly worker: readonly { readonly worker: number; readonly hour: number }[];
  readonly bySlot: readonly { readonly poolSeries: number; readonly workerSeries: number }[];
}

function seriesOf(slots: readonly SlotFold[]): SeriesPlan {
  const pool = new Map<number, number>();
  const worker = new Map<string, { readonly index: number; worker: number; hour: number }>();
  const bySlot = slots.map((slot) => {
    const hour = Math.floor(slot.minute / MINUTES_PER_HOUR);
    const poolSeries = pool.get(hour) ?? pool.size;
    pool.set(hour, poolSeries);
    const key = `${slot.worker} ${hour}`;
    const known = worker.get(key) ?? { index: worker.size, worker: slot.worker, hour };
    worker.set(key, known);
    return { poolSeries, workerSeries: known.index };
  });
  return { pool: [...pool.keys()], worker: [...worker.values()], bySlot };
}

function keysOf(chain: string, fold: BatchFold, series: SeriesPlan): string[] {
  const nameOf = (index: number) => fold.workers[index]?.name ?? '';
  return [
    keys.journalWatermarks(chain),
    keys.totals(chain),
    keys.rejects(chain),
    keys.workerIndex(chain),
    keys.blockIndex(chain),
    ...fold.heights.map((height) => keys.identityBucket(chain, height)),
    ...series.pool.map((hour) => keys.series(chain, 'pool', hour)),
    ...fold.workers.map(({ name }) => keys.worker(chain, name)),
    ...series.worker.map(({ worker, hour }) =>
      keys.series(chain, `worker:${nameOf(worker)}`, hour),
    ),
    ...fold.blocks.map(({ hash }) => keys.block(chain, hash)),
  ];
}

/** ARGV[1] of the script. What the script stores as it is comes as a string, what it reckons with as a number. */
function headOf(
  batch: Omit<SharesApply, 'lost'> & { readonly isLost: boolean },
  fold: BatchFold,
  series: SeriesPlan,
  nowMs: number,
) {
  const { chain, journal, from, to, isLost } = batch;
  const seriesEnd = (hour: number) => (hour + 1) * HOUR_SEC + SERIES_TTL_SEC;
  return {
    ...{ journal, from, to, lost: isLost ? to - from : 0, now: String(nowMs) },
    roundPrefix: keys.round(chain, ''),
    bucketTtl: BUCKET_TTL_SEC,
    workerTtl: WORKER_TTL_SEC,
    strangerTtl: STRANGER_TTL_SEC,
    roundTtl: ROUND_TTL_SEC,
    workersBefore: `(${nowMs - WORKER_TTL_SEC * 1_000}`,
    buckets: fold.heights.length,
    poolSeries: series.pool.map(seriesEnd),
    workerSeries: series.worker.map(({ hour }) => seriesEnd(hour)),
    workers: fold.workers.map((worker) => ({
      ...{ name: worker.name, user: worker.user, hasShares: worker.hasShares },
      lastMs: String(worker.lastShareMs),
      lastDifficulty: String(worker.lastDifficulty),
      best: String(worker.bestDifficulty),
      bestMs: String(worker.bestMs),
      rejects: worker.rejects,
    })),
    slots: fold.slots.map(({ worker, minute, isSolo }, at) => ({
      ...{ worker, solo: isSolo, minute: String(minute % MINUTES_PER_HOUR) },
      ...series.bySlot[at],
    })),
    blocks: fold.blocks.map(blockOf),
  };
}

function blockOf({ hash, mode, found, settled }: BlockFold) {
  return {
    hash,
    mode,
    found: found === undefined ? undefined : asStrings(found),
    settled: settled === undefined ? undefined : asStrings(settled),
  };
}

function asStrings(facts: Readonly<Record<string, string | number>>): Record<string, string> {
  return Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, String(value)]));
}
