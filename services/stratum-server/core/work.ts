/**
 * Giving work: what a connection is told so that it mines a job, and in which order. No socket.
 *
 * Note [Order of work]
 * Miners take a difficulty and an extranonce with the next notify, and a version mask at once. So it is always: answers,
 * set_version_mask if it changed, set_difficulty if it changed, notify. What was told last is in the capsule with
 * the mark of the job it holds from, in the same message as the lines.
 */
import type { Job } from '#libs/contracts/job.ts';
import { packVardiff } from '#libs/mining/vardiff.ts';
import { setDifficulty, setVersionMask } from '#libs/stratum/notification.ts';
import { difficultyRecord, maskRecord, vardiffRecord } from './capsule.ts';
import type { Effect, Next, Session } from './model.ts';
import { type RetargetContext, retargeted, toldDifficulty } from './retarget.ts';

const DIFFICULTIES_MAX = 16;
const MASKS_MAX = 8;

/** Everything that goes before the notify of `job`: for a cast, which brings the notify itself. */
export function prepareForJob(session: Session, job: Job, context: RetargetContext): Next {
  const [masked, maskEffects] = updateMask(session, job, context.nowMs);
  const next = retargeted(masked, context);
  const told = toldDifficulty(next);
  const { difficulty } = next.vardiff;
  if (difficulty === told) return [next, maskEffects];
  const step = { difficulty, mark: told === undefined ? '' : job.jobId };
  const difficulties = [...next.difficulties, step].slice(-DIFFICULTIES_MAX);
  return [
    { ...next, difficulties },
    [
      ...maskEffects,
      { kind: 'write', bytes: setDifficulty(difficulty) },
      { kind: 'remember', record: difficultyRecord(step) },
      { kind: 'remember', record: vardiffRecord(packVardiff(next.vardiff)) },
    ],
  ];
}

/** The job to one connection: its first, or one it missed. `isClean`: what it had before had another parent. */
export function giveJob(
  session: Session,
  job: Job,
  isClean: boolean,
  context: RetargetContext,
): Next {
  const [prepared, effects] = prepareForJob(session, job, context);
  const isFirst = !session.isWorking && effects.every((effect) => effect.kind !== 'write');
  const again = isFirst ? repeatDifficulty(prepared) : [];
  return [
    { ...prepared, isWorking: true },
    [...effects, ...again, { kind: 'notify', job, isClean }],
  ];
}

/** After a second subscribe or a resume the miner has forgotten what it was told. */
function repeatDifficulty(session: Session): Effect[] {
  const told = toldDifficulty(session);
  return told === undefined ? [] : [{ kind: 'write', bytes: setDifficulty(told) }];
}

/**
 * The source of jobs changed, and `job`, though given out now, was known before the job a difficulty holds from: it is
 * said again, so that shares for it are judged by what was told last.
 */
export function confirmDifficulty(session: Session, job: Job, isEarlier: boolean): Next {
  const last = session.difficulties.at(-1);
  if (!isEarlier || last === undefined || last.mark === '' || last.mark === job.jobId)
    return [session, []];
  const step = { difficulty: last.difficulty, mark: job.jobId };
  const difficulties = [...session.difficulties, step].slice(-DIFFICULTIES_MAX);
  return [{ ...session, difficulties }, [{ kind: 'remember', record: difficultyRecord(step) }]];
}

/** BIP 310: the mask is told only to those that configured version rolling, and holds at once. */
function updateMask(session: Session, job: Job, nowMs: number): Next {
  const last = session.masks.at(-1);
  const mask = (job.versionMask & session.minerMask) >>> 0;
  if (!session.rollsVersion || last === undefined || last.mask === mask) return [session, []];
  const step = { mask, sinceMs: nowMs };
  const masks = [...session.masks, step].slice(-MASKS_MAX);
  return [
    { ...session, masks },
    [
      { kind: 'write', bytes: setVersionMask(mask) },
      { kind: 'remember', record: maskRecord(step) },
    ],
  ];
}
