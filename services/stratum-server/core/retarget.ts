/** The difficulty of a connection: its rules, its wishes, and when it changes. A change is told with the next job only. */
import type { Job } from '#libs/contracts/job.ts';
import {
  retarget,
  startVardiff,
  suggest,
  type VardiffState,
  type VardiffRules,
} from '#libs/mining/vardiff.ts';
import type { Session } from './model.ts';

/** What a change of difficulty depends on besides the session. */
export interface RetargetContext {
  readonly nowMs: number;
  /** Of the chain, in share difficulty; undefined: not known yet. */
  readonly networkDifficulty: number | undefined;
}

/** What holds for the connection: the listener's, then the user agent's, then its own wishes. */
export function rulesOf(session: Session, { networkDifficulty }: RetargetContext): VardiffRules {
  const { listener, profile, options } = session;
  return {
    targetSec: listener.vardiffTargetSec,
    minDifficulty: Math.max(listener.minDifficulty, profile.minDifficulty ?? 0, options.min),
    maxDifficulty: options.max > 0 ? options.max : Infinity,
    networkDifficulty: networkDifficulty ?? Infinity,
    isFixed: options.fixed > 0,
  };
}

/** A wish for another difficulty, or new bounds for the one it has. Before the first job the options alone count. */
export function suggestDifficulty(
  session: Session,
  wanted: number | undefined,
  context: RetargetContext,
): Session {
  const { vardiff, options } = session;
  if (vardiff === undefined) return session;
  const asked = options.fixed > 0 ? options.fixed : (wanted ?? vardiff.difficulty);
  const rules = rulesOf(session, context);
  return { ...session, vardiff: suggest(vardiff, asked, rules, context.nowMs) };
}

/** The difficulty told last; undefined before the first job. */
export function toldDifficulty(session: Session): number | undefined {
  return session.difficulties.at(-1)?.difficulty;
}

/** The session as it goes into the next job: `vardiff.difficulty` is what it is to mine at. */
export function retargeted(
  session: Session,
  context: RetargetContext,
): Session & { readonly vardiff: VardiffState } {
  const rules = rulesOf(session, context);
  const vardiff =
    session.vardiff === undefined
      ? startVardiff(startOf(session), rules, context.nowMs)
      : retarget(session.vardiff, rules, context.nowMs);
  return { ...session, vardiff };
}

function startOf({ options, listener, profile }: Session): number {
  if (options.fixed > 0) return options.fixed;
  if (options.start > 0) return options.start;
  return Math.max(listener.startDifficulty, profile.minDifficulty ?? 0);
}

/** Which difficulties count for a share of `job`: what the job was sent with, and the lowest one told since. */
export interface JobDifficulty {
  readonly sentWith: number;
  /** undefined: none lower than `sentWith` was told since */
  readonly lowerSince: number | undefined;
}

/**
 * @param isEarlier whether the job was given out before the job of that id
 * @returns undefined if the session was never told a difficulty
 */
export function difficultyForJob(
  { difficulties }: Pick<Session, 'difficulties'>,
  job: Pick<Job, 'jobId'>,
  isEarlier: (otherId: string) => boolean,
): JobDifficulty | undefined {
  const last = difficulties.length - 1;
  let index = difficulties.findLastIndex((step) => step.mark === job.jobId);
  for (let at = last; index === -1 && at >= 0; at -= 1) {
    const mark = difficulties[at]?.mark ?? '';
    if (mark === '' || !isEarlier(mark)) index = at;
  }
  const inForce = difficulties[Math.max(0, index)];
  if (inForce === undefined) return undefined;
  const since = difficulties.slice(Math.max(0, index) + 1).map((step) => step.difficulty);
  const lowest = Math.min(inForce.difficulty, ...since);
  return {
    sentWith: inForce.difficulty,
    lowerSince: lowest < inForce.difficulty ? lowest : undefined,
  };
}
