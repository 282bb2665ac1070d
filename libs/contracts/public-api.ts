/** What the public HTTP API answers, under `/api/v1`. reporter -> browsers, scripts and the command line. */
import { z } from 'zod';
import { chainId } from './define.ts';

const timeMs = z.int().min(0).describe('[ms] Unix time');
const count = z.int().min(0);
/** Work exceeds what a double holds, so it travels as decimal digits. */
const work = z.string().regex(/^\d+$/).describe('[hashes] expected number, decimal digits');

const hashrateView = z
  .object({ '1m': z.number().min(0), '5m': z.number().min(0), '1h': z.number().min(0) })
  .describe(
    '[hashes/s] mean over the last minute, 5 minutes and hour, as far as there were shares',
  );

const rejectsView = z.record(z.string(), count).describe('[shares] by reason');

const blockView = z.object({
  chain: chainId,
  hash: z.string().describe('Display byte order'),
  height: count.nullable().describe('Null: only its fate is known here'),
  state: z.enum(['submitted', 'accepted', 'rejected', 'mature', 'orphaned']),
  reason: z.string().describe('The node’s word, if it was refused'),
  mode: z.enum(['pool', 'solo']),
  worker: z.string().nullable(),
  foundMs: timeMs.nullable(),
  settledMs: timeMs.nullable(),
  valueSat: count.nullable().describe('[sat] what its coinbase pays out'),
  round: count.nullable().describe('Round it closed'),
  effort: z
    .number()
    .min(0)
    .nullable()
    .describe('Work of its round / expected work: below 1 is lucky'),
});
export type BlockView = z.infer<typeof blockView>;

export const chainView = z.object({
  chain: chainId,
  coin: z.string(),
  network: z.string(),
  algorithm: z.string(),
  isDevchain: z.boolean().describe('The embedded node: not real coins'),
  isReal: z.boolean().describe('Whether its coins are worth something'),
  hashrateHps: hashrateView,
  workersActive: count.describe('Workers with a share in the last 10 minutes'),
  height: count.nullable().describe('[blocks] being mined; null: no job seen yet'),
  networkDifficulty: z.number().min(0).nullable(),
  round: z.object({
    number: count,
    startMs: timeMs.nullable(),
    work,
    shares: count,
    bestDifficulty: z.number().min(0),
    progress: z.number().min(0).nullable().describe('Work / expected work of a block'),
  }),
  totals: z.object({
    work,
    shares: count,
    soloWork: work,
    soloShares: count,
    rejected: rejectsView,
    duplicates: count.describe('[shares] that came a second time, counted once'),
    lost: count.describe('[records] of journals that no longer exist'),
  }),
  best: z.object({ difficulty: z.number().min(0), worker: z.string(), timeMs }).nullable(),
  lastShare: z.object({ worker: z.string(), timeMs }).nullable(),
  blocks: z.array(blockView).max(10),
});
export type ChainView = z.infer<typeof chainView>;

export const poolView = z.object({
  pool: z.string(),
  isReal: z.boolean().describe('False if any chain’s coins are not real'),
  note: z.string().describe('What a reader must know first; empty if nothing'),
  timeMs,
  miners: z.object({
    connected: count,
    isFresh: z.boolean().describe('False while the registry cannot be read'),
  }),
  chains: z.array(chainView),
});
export type PoolView = z.infer<typeof poolView>;

export const workerView = z.object({
  worker: z.string(),
  chain: chainId,
  hashrateHps: hashrateView,
  work,
  accepted: count.describe('[shares]'),
  rejected: rejectsView,
  difficulty: z.number().min(0).nullable().describe('Difficulty of its last share'),
  best: z.object({ difficulty: z.number().min(0), timeMs }).nullable(),
  firstShareMs: timeMs.nullable(),
  lastShareMs: timeMs.nullable(),
});
export type WorkerView = z.infer<typeof workerView>;

export const workerPage = z.object({ worker: z.string(), chains: z.array(workerView).min(1) });

export const workersPage = z.object({
  chain: chainId,
  total: count,
  offset: count,
  limit: count,
  workers: z.array(workerView).describe('Latest share first'),
});
export type WorkersPage = z.infer<typeof workersPage>;

export const blocksPage = z.object({ blocks: z.array(blockView).describe('Latest first') });

export const apiError = z.object({
  error: z.object({
    code: z.enum(['bad_request', 'not_found', 'unavailable', 'internal']),
    message: z.string(),
  }),
});
