/** Whether the pool's verdicts are right, as far as a miner can know. */
import type { BookedJob } from './job-book.ts';
import type { Tally } from './report.ts';
import type { Answer } from './stratum-client.ts';
import { EXPECTED_CODE, type Submission } from './submission.ts';

/** [ms] a notify of the new block may come after a share was refused because of it: servers change in between */
export const STALE_GRACE_MS = 5_000;
const STALE_CODE = 21;

export type Settled = 'accepted' | 'rejected';

interface Suspect {
  readonly submission: Submission;
  readonly answer: Answer;
  readonly untilMs: number;
}

/** Judges answers to submits. A 21 is right only if the block changed, which the miner may hear a little later. */
export class Verdicts {
  readonly #tally: Tally;
  readonly #isStale: (booked: BookedJob) => boolean;
  readonly #graceMs: number;
  #suspects: Suspect[] = [];

  constructor(tally: Tally, isStale: (booked: BookedJob) => boolean, graceMs: number) {
    this.#tally = tally;
    this.#isStale = isStale;
    this.#graceMs = graceMs;
  }

  settle(submission: Submission, answer: Answer, nowMs: number): Settled {
    const isAccepted = answer.errorCode === 0 && answer.result === true;
    if (submission.kind !== 'share') this.#settleProbe(submission, answer, nowMs);
    else if (isAccepted) this.#accept(submission);
    else this.#reject(submission, answer, nowMs);
    return isAccepted ? 'accepted' : 'rejected';
  }

  /** A new block was heard of, or time passed: are the suspects cleared or guilty? */
  review(nowMs: number): void {
    this.#suspects = this.#suspects.filter((suspect) => {
      if (this.#isStale(suspect.submission.booked)) return this.#clear(suspect);
      if (nowMs < suspect.untilMs) return true;
      this.#blame(suspect.submission, suspect.answer);
      return false;
    });
  }

  /** The connection ended: nothing more will be heard about its jobs. */
  forget(): void {
    this.#suspects = [];
  }

  #accept(submission: Submission): void {
    const { report } = this.#tally;
    report.accepted += 1;
    report.acceptedDifficulty += submission.booked.difficulty;
    if (submission.solvesBlock) report.blocksAccepted += 1;
  }

  #reject(submission: Submission, answer: Answer, nowMs: number): void {
    this.#tally.rejected(answer.errorCode);
    if (answer.errorCode !== STALE_CODE) return this.#blame(submission, answer);
    const suspect = { submission, answer, untilMs: nowMs + this.#graceMs };
    if (this.#isStale(submission.booked)) this.#clear(suspect);
    else this.#suspects.push(suspect);
  }

  #settleProbe(submission: Submission, answer: Answer, nowMs: number): void {
    const kind = submission.kind as keyof typeof EXPECTED_CODE;
    if (answer.errorCode === EXPECTED_CODE[kind]) {
      this.#tally.report.probes[kind].asExpected += 1;
    } else if (answer.errorCode === STALE_CODE) {
      // The block changed under the probe, or the pool is wrong.
      this.#suspects.push({ submission, answer, untilMs: nowMs + this.#graceMs });
      this.review(nowMs);
    } else {
      this.#blame(submission, answer);
    }
  }

  #clear({ submission }: Suspect): false {
    if (submission.kind === 'share') this.#tally.report.stale += 1;
    else this.#tally.report.probes[submission.kind].asExpected += 1;
    return false;
  }

  #blame(submission: Submission, answer: Answer): void {
    const heard =
      answer.errorCode === 0
        ? JSON.stringify(answer.result)
        : `${answer.errorCode} ${answer.errorText}`;
    const { job, difficulty } = submission.booked;
    this.#tally.fault(
      'wrong_verdict',
      `${submission.kind} for ${job.jobId} at ${difficulty}: ${heard}`,
    );
  }
}
