/** Jobs made ready once for all who mine them: for hashing shares, and as the bytes of mining.notify. Bounded caches. */
import { Buffer } from 'node:buffer';
import type { ChainParams } from '#libs/bitcoin/chains.ts';
import { targetFromNbits } from '#libs/bitcoin/target.ts';
import type { Job } from '#libs/contracts/job.ts';
import { notifyParams } from '#libs/mining/notify.ts';
import { type PreparedJob, prepareJob } from '#libs/mining/share-hash.ts';
import { difficultyFromTarget } from '#libs/mining/work.ts';
import { notify } from '#libs/stratum/notification.ts';

/** Some 10 KB each. */
const PREPARED_MAX = 1_024;
const NOTIFIES_MAX = 4_096;
const DIFFICULTIES_MAX = 64;

export interface PreparedJobs {
  /** @param ownerScript hex, '' in pool mode */
  prepare(job: Job, ownerScript: string): PreparedJob<Job>;
  notify(job: Job, ownerScript: string, isClean: boolean): Buffer;
  /** Of the job's block, in share difficulty. */
  networkDifficulty(job: Job): number;
}

export function createPreparedJobs({ algorithm, diff1Target }: ChainParams): PreparedJobs {
  const prepared = new Map<string, PreparedJob<Job>>();
  const notifies = new Map<string, Buffer>();
  const difficulties = new Map<string, number>();
  return {
    prepare: (job, ownerScript) =>
      cached(prepared, PREPARED_MAX, `${job.jobId}${ownerScript}`, () =>
        prepareJob(job, algorithm, scriptOf(ownerScript)),
      ),
    notify: (job, ownerScript, isClean) =>
      cached(notifies, NOTIFIES_MAX, `${job.jobId}${isClean ? '!' : '.'}${ownerScript}`, () =>
        notify(notifyParams(job, scriptOf(ownerScript), isClean)),
      ),
    networkDifficulty: (job) =>
      cached(difficulties, DIFFICULTIES_MAX, String(job.nbits), () =>
        difficultyFromTarget(targetFromNbits(job.nbits), diff1Target),
      ),
  };
}

function scriptOf(hex: string): Uint8Array | undefined {
  return hex === '' ? undefined : Uint8Array.from(Buffer.from(hex, 'hex'));
}

/** At the bound the one made first goes. */
function cached<T>(cache: Map<string, T>, max: number, key: string, make: () => T): T {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const made = make();
  const [oldest] = cache.keys();
  if (cache.size >= max && oldest !== undefined) cache.delete(oldest);
  cache.set(key, made);
  return made;
}
