/** The jobs a miner was sent: which difficulty each has, whether it is stale, and whether ids and order were kept. */
import { type Algorithm, networkTargetOf, targetOf } from './hashing.ts';
import { type MinerJob, parseNotify } from './job.ts';
import type { Tally } from './report.ts';

/** Jobs of one connection kept for stale and late shares. */
const JOBS_MAX = 256;
/** Ids remembered over connections, to find one that comes back with other content. */
const IDS_MAX = 10_000;

/** A job with what held when it came. */
export interface BookedJob {
  readonly job: MinerJob;
  readonly difficulty: number;
  readonly target: bigint;
  readonly networkTarget: bigint;
}

export class JobBook {
  readonly #algorithm: Algorithm;
  readonly #tally: Tally;
  /** Content by id, over all connections. */
  readonly #contents = new Map<string, string>();
  #jobs = new Map<string, BookedJob>();
  #current: BookedJob | undefined;
  /** A job for a block before the current one. */
  #old: BookedJob | undefined;
  #difficulty: number | undefined;
  #isDifficultyNew = false;
  #easiestTarget = 0n;

  constructor(algorithm: Algorithm, tally: Tally) {
    this.#algorithm = algorithm;
    this.#tally = tally;
  }

  get current(): BookedJob | undefined {
    return this.#current;
  }

  /** A job that must be stale by now. */
  get old(): BookedJob | undefined {
    return this.#old;
  }

  /** Of all difficulties of this connection: a hash above it meets none of them. */
  get easiestTarget(): bigint {
    return this.#easiestTarget;
  }

  /** Whether shares for `booked` are out of date as far as the miner was told. */
  isStale(booked: BookedJob): boolean {
    return this.#current !== undefined && this.#current.job.prevhash !== booked.job.prevhash;
  }

  /** A new connection begins: difficulty and jobs are told anew. */
  reset(): void {
    this.#jobs = new Map();
    this.#current = undefined;
    this.#old = undefined;
    this.#difficulty = undefined;
    this.#isDifficultyNew = false;
    this.#easiestTarget = 0n;
  }

  /** Holds from the next notify on. */
  setDifficulty(params: unknown): void {
    const [difficulty] = Array.isArray(params) ? (params as unknown[]) : [];
    if (typeof difficulty !== 'number' || !Number.isFinite(difficulty) || difficulty <= 0)
      return this.#tally.fault('malformed_line', `difficulty ${JSON.stringify(params)}`);
    if (difficulty !== this.#difficulty) this.#tally.report.difficultyChanges += 1;
    this.#isDifficultyNew = difficulty !== this.#difficulty && this.#difficulty !== undefined;
    this.#difficulty = difficulty;
  }

  /** A notify. Undefined if it was malformed or came too early. */
  add(params: unknown, versionMask: number): BookedJob | undefined {
    const job = parseNotify(params);
    if (typeof job === 'string') {
      this.#tally.fault('malformed_notify', job);
      return undefined;
    }
    if (this.#difficulty === undefined) {
      this.#tally.fault('wrong_order', 'notify before the first set_difficulty');
      return undefined;
    }
    this.#checkId(job);
    // All ways of rolling agree only on a version without bits of the mask.
    if ((job.version & versionMask) !== 0)
      this.#tally.fault(
        'version_in_mask',
        `job ${job.jobId} has version ${job.version.toString(16)}`,
      );
    return this.#book(job, this.#difficulty);
  }

  #book(job: MinerJob, difficulty: number): BookedJob {
    const target = targetOf(difficulty, this.#algorithm);
    const booked = { job, difficulty, target, networkTarget: networkTargetOf(job.nbits) };
    if (target > this.#easiestTarget) this.#easiestTarget = target;
    if (this.#current !== undefined && this.#current.job.prevhash !== job.prevhash)
      this.#old = this.#current;
    this.#current = booked;
    this.#jobs.set(job.jobId, booked);
    dropOldest(this.#jobs, JOBS_MAX);
    this.#count(job);
    return booked;
  }

  #checkId(job: MinerJob): void {
    const content = this.#contents.get(job.jobId);
    if (content !== undefined && content !== job.content)
      this.#tally.fault('job_id_reused', `${job.jobId} with other content`);
    this.#contents.set(job.jobId, job.content);
    dropOldest(this.#contents, IDS_MAX);
    // ESP-Miner and cpuminer ignore a job whose id they have, and with it the new difficulty.
    if (this.#isDifficultyNew && this.#jobs.has(job.jobId))
      this.#tally.fault('difficulty_without_job', `${job.jobId} again after a new difficulty`);
    this.#isDifficultyNew = false;
  }

  #count(job: MinerJob): void {
    this.#tally.report.notifies += 1;
    if (job.cleanJobs) this.#tally.report.cleanNotifies += 1;
  }
}

function dropOldest(map: Map<string, unknown>, max: number): void {
  const [oldest] = map.keys();
  if (map.size > max && oldest !== undefined) map.delete(oldest);
}
