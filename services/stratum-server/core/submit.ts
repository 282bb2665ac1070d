/** Deciding a share: parse, find job and difficulty, hash, judge. What must be looked up elsewhere is said, not awaited. */
import { Buffer } from 'node:buffer';
import type { ChainParams } from '#libs/bitcoin/chains.ts';
import type { Job } from '#libs/contracts/job.ts';
import { judgeShare, ntimeRangeOf } from '#libs/mining/share.ts';
import {
  hashShare,
  type PreparedJob,
  type ShareHash,
  type Solution,
} from '#libs/mining/share-hash.ts';
import { targetFromDifficulty } from '#libs/mining/work.ts';
import type { ShareRejectReason } from '#libs/stratum/codes.ts';
import { parseSubmitParams, type SubmitParams } from '#libs/stratum/submit-params.ts';
import { rolledVersion } from '#libs/stratum/version-rolling.ts';
import { findJob, isEarlier, isStale, type JobBook } from './jobs.ts';
import type { Session } from './model.ts';
import type { RecentShares } from './recent-shares.ts';
import { difficultyForJob } from './retarget.ts';

/** What a share is judged against. */
export interface SubmitContext {
  readonly chain: ChainParams;
  readonly book: JobBook;
  /** Whether shares are credited at all: false after too long without any node. */
  readonly hasWork: boolean;
  /** [ms] when the line first arrived at a frontend */
  readonly arrivedMs: number;
  /** The job made ready for this session's payee; the caller keeps them. */
  readonly prepare: (job: Job, ownerScript: string) => PreparedJob<Job>;
}

/** A share with everything that was found out about it. */
export interface HashedShare {
  readonly prepared: PreparedJob<Job>;
  readonly solution: Solution;
  readonly hash: ShareHash;
}

/** `share` of a rejected one is given when it solves the block: it goes the block path all the same. */
export type ShareDecision =
  | {
      readonly kind: 'accepted';
      readonly share: HashedShare;
      readonly solvesBlock: boolean;
      readonly creditedTarget: bigint;
    }
  | {
      readonly kind: 'rejected';
      readonly reason: ShareRejectReason;
      readonly share: HashedShare | undefined;
    }
  /** The book does not know it: ask elsewhere, then decide again. */
  | { readonly kind: 'job_unknown'; readonly jobId: string };

/** Nothing here changes the session: see settle-share.ts. */
export function decideShare(
  session: Session,
  recent: RecentShares,
  params: readonly unknown[],
  context: SubmitContext,
): ShareDecision {
  const parsed = parseSubmitParams(params, session.extranonce2Size);
  if (parsed.kind === 'invalid') return rejected(parsed.reason);
  const { submit } = parsed;
  const known = findJob(context.book, submit.jobId);
  if (known === undefined) return { kind: 'job_unknown', jobId: submit.jobId };
  const version = versionOf(session, known.job, submit, context.arrivedMs);
  const share = hashOf(
    session,
    known.job,
    submit,
    version ?? strayVersion(known.job, submit),
    context,
  );
  if (share === undefined) return rejected('unknown_job');
  if (version === undefined) return rejected('bad_version_bits', blockOf(share));
  return judge(session, recent, share, context);
}

/** The share's hashes; undefined if its extranonces do not fit the job. */
function hashOf(
  session: Session,
  job: Job,
  submit: SubmitParams,
  version: number,
  context: SubmitContext,
): HashedShare | undefined {
  const extranonces = extranoncesOf(session, job, submit);
  if (extranonces === undefined) return undefined;
  const prepared = context.prepare(job, session.ownerScript);
  const { ntime, nonce } = submit;
  const solution = { ...extranonces, ntime, nonce, version };
  return { prepared, solution, hash: hashShare(prepared, solution) };
}

function judge(
  session: Session,
  recent: RecentShares,
  share: HashedShare,
  context: SubmitContext,
): ShareDecision {
  const { book, chain, arrivedMs } = context;
  const { job, networkTarget } = share.prepared;
  const block = blockOf(share);
  const difficulty = difficultyForJob(session, job, (id) => isEarlier(book, job, id));
  if (difficulty === undefined) return rejected('unknown_job', block);
  const { sentWith, lowerSince } = difficulty;
  const verdict = judgeShare({
    powNumber: share.hash.powNumber,
    networkTarget,
    jobTarget: cachedTarget(sentWith, chain),
    easierTarget: lowerSince === undefined ? undefined : cachedTarget(lowerSince, chain),
    isStale: isStale(book, job, arrivedMs),
    isFirstSubmit: !recent.has(share.hash.identity),
    ntime: share.solution.ntime,
    ntimeRange: ntimeRangeOf(job, arrivedMs),
  });
  if (verdict.kind === 'rejected') return rejected(verdict.reason, block);
  if (!context.hasWork) return rejected('no_work', block);
  const { solvesBlock, creditedTarget } = verdict;
  return { kind: 'accepted', share, solvesBlock, creditedTarget };
}

/** The share if it solves the block: it goes the block path whatever the miner is answered. */
function blockOf(share: HashedShare): HashedShare | undefined {
  return share.hash.powNumber <= share.prepared.networkTarget ? share : undefined;
}

function rejected(reason: ShareRejectReason, share?: HashedShare): ShareDecision {
  return { kind: 'rejected', reason, share };
}

/** [ms] how long a submit may race a change of the mask */
const MASK_RACE_MS = 60_000;

/**
 * The header's version. A mask holds at once, but a submit may have crossed it: the masks before count for a while, newest
 * first. Undefined: bits outside of all of them.
 */
function versionOf(
  { masks }: Session,
  job: Job,
  { versionBits }: SubmitParams,
  arrivedMs: number,
): number | undefined {
  for (let index = masks.length - 1; index >= 0; index -= 1) {
    const endedMs = masks[index + 1]?.sinceMs;
    if (endedMs !== undefined && arrivedMs - endedMs > MASK_RACE_MS) break;
    const version = rolledVersion(job.version, masks[index]?.mask ?? 0, versionBits);
    if (version !== undefined) return version;
  }
  return rolledVersion(job.version, 0, versionBits);
}

/** What a miner that rolled bits it may not roll has hashed: no share of ours, but perhaps a block. */
function strayVersion(job: Job, { versionBits = 0 }: SubmitParams): number {
  return (job.version | versionBits) >>> 0;
}

/** Undefined: the job has place for more or less than this connection's extranonces. */
function extranoncesOf(
  { extranonce1: told }: Session,
  { coinbase }: Job,
  { extranonce2 }: SubmitParams,
): Pick<Solution, 'extranonce1' | 'extranonce2'> | undefined {
  const extranonce1 = Buffer.from(told, 'hex');
  const places = coinbase.extranonce1Size + coinbase.extranonce2Size;
  return extranonce1.length + extranonce2.length === places
    ? { extranonce1, extranonce2 }
    : undefined;
}

const TARGETS_MAX = 4_096;
const targets = new Map<bigint, Map<number, bigint>>();

/** Difficulties repeat: their targets are worked out once. A cache of a pure function, bounded. */
function cachedTarget(difficulty: number, { diff1Target }: ChainParams): bigint {
  let ofChain = targets.get(diff1Target);
  if (ofChain === undefined) targets.set(diff1Target, (ofChain = new Map<number, bigint>()));
  const known = ofChain.get(difficulty);
  if (known !== undefined) return known;
  if (ofChain.size >= TARGETS_MAX) ofChain.clear();
  const target = targetFromDifficulty(difficulty, diff1Target);
  ofChain.set(difficulty, target);
  return target;
}
