/** The jobs that are known: what a share may name. Pure: adding gives a new shelf. */
import type { Job } from '#libs/contracts/job.ts';
import type { ShelvedJob } from './model.ts';

/** [ms] A job is known this long at least. */
const JOB_LIFE_MS = 300_000;
/** [blocks] ... and as long as its block is one of the last two. */
const JOB_LIFE_BLOCKS = 2;
/** [jobs] A second bound, for blocks that do not come: 512 refreshes take 3.5 hours. */
const JOBS_MAX = 512;

/** Oldest first; the last one is the one to mine. */
export type JobShelf = readonly ShelvedJob[];

/** The shelf with `job` as the one to mine, without those whose time is over. */
export function putOnShelf(shelf: JobShelf, job: Job, nowMs: number): JobShelf {
  const isAlive = (each: ShelvedJob) =>
    nowMs - each.announcedMs < JOB_LIFE_MS || each.job.height > job.height - JOB_LIFE_BLOCKS;
  const others = shelf.filter((each) => each.job.jobId !== job.jobId && isAlive(each));
  return [...others, { job, announcedMs: nowMs }].slice(-JOBS_MAX);
}

export function currentJob(shelf: JobShelf): Job | undefined {
  return shelf.at(-1)?.job;
}

export function findJob(shelf: JobShelf, jobId: string): Job | undefined {
  return shelf.find(({ job }) => job.jobId === jobId)?.job;
}

/** Jobs still worth a share: those on the parent we mine on, at most `max`, oldest first. */
export function liveJobs(shelf: JobShelf, max: number): readonly Job[] {
  const parent = currentJob(shelf)?.parent;
  return shelf
    .map(({ job }) => job)
    .filter((job) => job.parent === parent)
    .slice(-max);
}

/** False: a share for this job is stale. */
export function isCurrentHeight(shelf: JobShelf, job: Job): boolean {
  const current = currentJob(shelf);
  return current === undefined || job.height >= current.height;
}
