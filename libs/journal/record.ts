/**
 * What stands in a journal: types only. `record-codec.ts` packs them; the packed form crosses processes in batches.
 */

/** A share answered `true`, or about to be. */
export interface ShareRecord {
  readonly kind: 'share';
  /** [ms] Unix time the line first arrived at the frontend. */
  readonly timeMs: number;
  readonly conn: string;
  /** `address` or `address.rig`, at most 191 bytes. */
  readonly worker: string;
  readonly jobId: string;
  /** [blocks] height the job was for. */
  readonly height: number;
  readonly mode: 'pool' | 'solo';
  readonly solvesBlock: boolean;
  /** Expected number of hashes the share is credited with: floor(2^256 / (target + 1)). Below 2^128. */
  readonly work: bigint;
  /** Difficulty it was credited with, for people. */
  readonly difficulty: number;
  /** Difficulty its hash really has, for people. */
  readonly achievedDifficulty: number;
  /** Double SHA-256 of the 80-byte header, internal order, 32 bytes: the identity of the share for every algorithm. */
  readonly identity: Uint8Array;
}

/** Rejects are aggregated: one record a flush, not one a reject. */
export interface RejectsRecord {
  readonly kind: 'rejects';
  readonly timeMs: number;
  readonly worker: string;
  /** `stale_job`, `duplicate`, `low_difficulty`, … */
  readonly reason: string;
  readonly count: number;
}

/** A share that may solve the block, written at the same moment as it is sent to the jobmanagers. */
export interface CandidateRecord {
  readonly kind: 'candidate';
  readonly timeMs: number;
  readonly worker: string;
  readonly hash: string;
  readonly height: number;
  /** JSON of the `block.submit` request: enough to submit again after a crash. */
  readonly submission: string;
}

/** What became of a candidate: it need not be offered again. */
export interface SettledRecord {
  readonly kind: 'settled';
  readonly timeMs: number;
  readonly hash: string;
  readonly outcome: 'accepted' | 'duplicate' | 'rejected';
  readonly reason: string;
}

/** A reader of version N meets records of N+1: unknown kinds are carried and skipped, never an error. */
export interface UnknownRecord {
  readonly kind: 'unknown';
  readonly tag: number;
}

export type JournalRecord = ShareRecord | RejectsRecord | CandidateRecord | SettledRecord;
