/** Reads the books for the public API, in pipelines of a bounded number of commands. Changes nothing. */
import type { ChainableCommander, Redis } from 'ioredis';
import { keys } from '#libs/contracts/keys.ts';
import { hoursOf, WINDOWS } from '../core/hashrate.ts';
import type { MinuteSeries, RawHash } from '../core/model.ts';
import { type ChainBooks, minutesOf, type RawBlock, type WorkerBooks } from '../core/views.ts';

/** [ms] without a share after which a worker is no longer active */
const ACTIVE_MS = 600_000;
const BLOCKS_ON_POOL_PAGE = 10;

/** The books cannot be read now: the shares Redis is away. */
export class BooksUnavailableError extends Error {
  override readonly name = 'BooksUnavailableError';
}

interface WorkersRange {
  readonly total: number;
  readonly workers: readonly WorkerBooks[];
}

export interface BooksReader {
  /** @throws {BooksUnavailableError} as all of these */
  chain(chain: string, nowMs: number): Promise<ChainBooks>;
  worker(chain: string, name: string, nowMs: number): Promise<WorkerBooks>;
  /** Workers by their last share, latest first. */
  workers(chain: string, offset: number, limit: number, nowMs: number): Promise<WorkersRange>;
  /** Blocks found before `beforeMs`, latest first. */
  blocks(chain: string, beforeMs: number, limit: number): Promise<readonly RawBlock[]>;
}

/** @param countCommands told how many commands a pipeline had */
export function createBooksReader(
  redis: Redis,
  countCommands: (count: number) => void,
): BooksReader {
  async function run(fill: (pipeline: ChainableCommander) => void): Promise<readonly unknown[]> {
    const pipeline = redis.pipeline();
    fill(pipeline);
    countCommands(pipeline.length);
    const replies = await pipeline.exec().catch((error: unknown) => {
      throw new BooksUnavailableError('Cannot read the books: Redis does not answer', {
        cause: error,
      });
    });
    return (replies ?? []).map(([error, reply]) => {
      if (error !== null)
        throw new BooksUnavailableError(`Cannot read the books: ${error.message}`, {
          cause: error,
        });
      return reply;
    });
  }

  async function readBlocks(chain: string, hashes: readonly string[]): Promise<RawBlock[]> {
    if (hashes.length === 0) return [];
    const replies = await run((pipeline) => {
      for (const hash of hashes) pipeline.hgetall(keys.block(chain, hash));
    });
    return hashes.map((hash, at) => ({ hash, fields: asHash(replies[at]) }));
  }

  /** Several workers in one pipeline: their hash and the series of each hour. */
  async function readWorkers(chain: string, names: readonly string[], nowMs: number) {
    if (names.length === 0) return [];
    const hours = hoursOf(nowMs, WINDOWS['1h']);
    const replies = await run((pipeline) => {
      for (const name of names) {
        pipeline.hgetall(keys.worker(chain, name));
        for (const hour of hours) pipeline.hgetall(keys.series(chain, `worker:${name}`, hour));
      }
    });
    const width = 1 + hours.length;
    return names.map((name, at): WorkerBooks => {
      const [fields, ...series] = replies.slice(at * width, (at + 1) * width);
      return { name, fields: asHash(fields), series: seriesOf(hours, series) };
    });
  }

  return {
    async chain(chain, nowMs) {
      const hours = hoursOf(nowMs, WINDOWS['1h']);
      const [totals, rejects, workersActive, hashes, ...series] = await run((pipeline) => {
        pipeline.hgetall(keys.totals(chain));
        pipeline.hgetall(keys.rejects(chain));
        pipeline.zcount(keys.workerIndex(chain), nowMs - ACTIVE_MS, '+inf');
        pipeline.zrevrange(keys.blockIndex(chain), 0, BLOCKS_ON_POOL_PAGE - 1);
        for (const hour of hours) pipeline.hgetall(keys.series(chain, 'pool', hour));
      });
      const [round] = await run((pipeline) => {
        pipeline.hgetall(keys.round(chain, asHash(totals)['round'] ?? '1'));
      });
      return {
        totals: asHash(totals),
        rejects: asHash(rejects),
        round: asHash(round),
        series: seriesOf(hours, series),
        workersActive: Number(workersActive),
        blocks: await readBlocks(chain, asStrings(hashes)),
      };
    },

    async worker(chain, name, nowMs) {
      const [worker] = await readWorkers(chain, [name], nowMs);
      return worker ?? { name, fields: {}, series: new Map() };
    },

    async workers(chain, offset, limit, nowMs) {
      const [total, names] = await run((pipeline) => {
        pipeline.zcard(keys.workerIndex(chain));
        pipeline.zrevrange(keys.workerIndex(chain), offset, offset + limit - 1);
      });
      return { total: Number(total), workers: await readWorkers(chain, asStrings(names), nowMs) };
    },

    async blocks(chain, beforeMs, limit) {
      const [hashes] = await run((pipeline) => {
        pipeline.zrevrangebyscore(
          keys.blockIndex(chain),
          `(${beforeMs}`,
          '-inf',
          'LIMIT',
          0,
          limit,
        );
      });
      return readBlocks(chain, asStrings(hashes));
    },
  };
}

function asHash(reply: unknown): RawHash {
  const entries = typeof reply === 'object' && reply !== null ? Object.entries(reply) : [];
  return Object.fromEntries(entries.map(([field, value]) => [field, String(value)]));
}

function asStrings(reply: unknown): string[] {
  return Array.isArray(reply) ? reply.map(String) : [];
}

function seriesOf(hours: readonly number[], replies: readonly unknown[]): MinuteSeries {
  return new Map(hours.flatMap((hour, at) => minutesOf(hour, asHash(replies[at]))));
}
