/** What a miner submits: real shares, and shares that must be refused, with the code they must be refused by. */
import { type Algorithm, numberOf, powOf } from './hashing.ts';
import { type Attempt, headerOf } from './job.ts';
import type { BookedJob } from './job-book.ts';
import type { ProbeKind } from './report.ts';

export interface Submission {
  readonly kind: 'share' | ProbeKind;
  readonly booked: BookedJob;
  readonly attempt: Attempt;
  /** Of mining.submit. */
  readonly params: readonly unknown[];
  readonly solvesBlock: boolean;
}

/** Codes of PROTOCOL.md 1.6. */
export const EXPECTED_CODE: Readonly<Record<ProbeKind, number>> = {
  duplicate: 22,
  stale: 21,
  low_difficulty: 23,
  unknown_job: 21,
  bad_extranonce2: 20,
  bad_ntime: 20,
  bad_version: 20,
  unauthorized: 24,
};

/** What a probe may be made from. */
export interface ProbeParts {
  readonly algorithm: Algorithm;
  readonly username: string;
  readonly rollsVersion: boolean;
  readonly current: BookedJob;
  readonly old: BookedJob | undefined;
  /** Of all difficulties of the connection. */
  readonly easiestTarget: bigint;
  /** A share that was answered `true` on this connection; undefined: none for the current block yet. */
  readonly accepted: Submission | undefined;
  /** A fresh attempt at a job, its nonce random. */
  readonly attempt: (booked: BookedJob) => Attempt;
  readonly nowSec: number;
}

/** Attempts until a hash misses every target; on a chain where nearly every hash is a share there may be none. */
const TRIES_MAX = 64;
const AHEAD_SEC = 4 * 3_600;

/** The parameters of mining.submit. */
export function submitParams(
  username: string,
  jobId: string,
  attempt: Attempt,
  job: { version: number },
  rollsVersion: boolean,
): unknown[] {
  const params = [username, jobId, attempt.extranonce2, hex32(attempt.ntime), hex32(attempt.nonce)];
  return rollsVersion ? [...params, hex32(attempt.version ^ job.version)] : params;
}

/** A share of the kind, or undefined if it cannot be made now. None of them ever solves the block. */
export function makeProbe(kind: ProbeKind, parts: ProbeParts): Submission | undefined {
  const { accepted, old, current } = parts;
  if (kind === 'duplicate') return accepted === undefined ? undefined : { ...accepted, kind };
  const booked = kind === 'stale' ? old : current;
  const attempt = booked === undefined ? undefined : missingAttempt(booked, parts);
  if (booked === undefined || attempt === undefined) return undefined;
  return {
    kind,
    booked,
    attempt,
    params: probeParams(kind, parts, booked, attempt),
    solvesBlock: false,
  };
}

function probeParams(
  kind: ProbeKind,
  parts: ProbeParts,
  booked: BookedJob,
  attempt: Attempt,
): unknown[] {
  const { username, rollsVersion, nowSec } = parts;
  const { job } = booked;
  const params = submitParams(username, job.jobId, attempt, job, rollsVersion);
  switch (kind) {
    case 'unknown_job':
      return params.with(1, 'ffffffffffffffff');
    case 'bad_extranonce2':
      return params.with(2, `${attempt.extranonce2}00`);
    case 'bad_ntime':
      return params.with(3, hex32(Math.max(nowSec, job.ntime) + AHEAD_SEC));
    case 'bad_version':
      return [...params.slice(0, 5), '00000001']; // Bit 0 is in no mask.
    case 'unauthorized':
      return params.with(0, 'nobody.seam');
    case 'stale':
    case 'low_difficulty':
    case 'duplicate':
      return params;
  }
}

/** An attempt whose hash meets neither the network's target nor any share's. */
function missingAttempt(booked: BookedJob, parts: ProbeParts): Attempt | undefined {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const attempt = parts.attempt(booked);
    const pow = numberOf(powOf(parts.algorithm, headerOf(booked.job, attempt)));
    if (pow > parts.easiestTarget && pow > booked.networkTarget) return attempt;
  }
  return undefined;
}

function hex32(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}
