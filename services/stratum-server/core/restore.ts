/** From a session to its capsule and back, and what a restored connection still lacks. */
import type { Job } from '#libs/contracts/job.ts';
import { packVardiff, unpackVardiff } from '#libs/mining/vardiff.ts';
import { profileOf } from '#libs/stratum/user-agent.ts';
import type { CapsuleContent } from './capsule.ts';
import { findJob, isEarlier, type JobBook } from './jobs.ts';
import type { Session } from './model.ts';
import type { RecentShares } from './recent-shares.ts';
import { newSession, type Opening } from './session.ts';
import { workerOf } from './worker.ts';

export function capsuleOf(session: Session, recent: RecentShares): CapsuleContent {
  return {
    sessionId: session.sessionId,
    extranonce1: session.extranonce1,
    extranonce2Size: session.extranonce2Size,
    workers: session.workers.map((worker) => worker.username),
    ownerScript: session.ownerScript,
    difficulties: session.difficulties,
    masks: session.masks,
    minerMask: session.minerMask,
    vardiff: session.vardiff === undefined ? [] : packVardiff(session.vardiff),
    userAgent: session.userAgent,
    isSubscribed: session.isSubscribed,
    takesExtranonce: session.takesExtranonce,
    rollsVersion: session.rollsVersion,
    options: session.options,
    fingerprintHeight: recent.height,
    fingerprints: recent.packed,
  };
}

/** The session a capsule stands for. `opening` says where it is now; who it is, the capsule says. */
export function sessionOf(content: CapsuleContent, opening: Omit<Opening, 'sessionId'>): Session {
  return {
    ...newSession({ ...opening, sessionId: content.sessionId }),
    extranonce1: content.extranonce1,
    extranonce2Size: content.extranonce2Size,
    userAgent: content.userAgent,
    profile: profileOf(content.userAgent),
    isSubscribed: content.isSubscribed,
    takesExtranonce: content.takesExtranonce,
    rollsVersion: content.rollsVersion,
    masks: content.masks,
    minerMask: content.minerMask,
    workers: content.workers.map(workerOf),
    ownerScript: content.ownerScript,
    options: content.options,
    difficulties: content.difficulties,
    vardiff: unpackVardiff(content.vardiff),
    isWorking: content.difficulties.length > 0,
  };
}

/**
 * What a connection lacks whose last written notify was for the job `lastMark` ('' for none known): nothing, the present
 * job as a refresh (unless it has a later one already), or the present job with `clean_jobs`, since what it works on is of another parent.
 */
export function missingWork(
  book: JobBook,
  current: Job,
  lastMark: string,
): 'nothing' | 'refresh' | 'clean' {
  if (lastMark === current.jobId) return 'nothing';
  const last = findJob(book, lastMark);
  if (last?.job.parent !== current.parent) return 'clean';
  return isEarlier(book, current, lastMark) ? 'nothing' : 'refresh';
}
