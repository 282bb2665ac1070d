/** Everything this process has for one chain. */
import type { Job } from '#libs/contracts/job.ts';
import type { ChainSettings } from '../config.ts';
import type { BlockPath } from './blocks.ts';
import type { Connection } from './connection.ts';
import type { JobSource } from './job-source.ts';
import type { Journals } from './journals.ts';
import type { PreparedJobs } from './prepared-jobs.ts';
import type { Rejects } from './rejects.ts';

export interface ChainRuntime {
  readonly id: string;
  readonly settings: ChainSettings;
  readonly source: JobSource;
  readonly journals: Journals;
  readonly blocks: BlockPath;
  readonly prepared: PreparedJobs;
  readonly rejects: Rejects;
  readonly connections: Set<Connection>;
  /** Its number in casts: unique within this server. */
  readonly group: number;
}

/** The job everybody mines; undefined: none yet. */
export function currentJob(chain: ChainRuntime): Job | undefined {
  return chain.source.book.current?.job;
}

/** In share difficulty; undefined: not known yet. */
export function networkDifficulty(chain: ChainRuntime): number | undefined {
  const job = currentJob(chain);
  return job && chain.prepared.networkDifficulty(job);
}
