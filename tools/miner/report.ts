/** What a miner saw, as numbers, and whether all of it was in order. */

/** Shares that must be refused, sent on purpose. */
export type ProbeKind =
  | 'duplicate'
  | 'stale'
  | 'low_difficulty'
  | 'unknown_job'
  | 'bad_extranonce2'
  | 'bad_ntime'
  | 'bad_version'
  | 'unauthorized';

export const PROBE_KINDS: readonly ProbeKind[] = [
  'duplicate',
  'stale',
  'low_difficulty',
  'unknown_job',
  'bad_extranonce2',
  'bad_ntime',
  'bad_version',
  'unauthorized',
];

/** Things that must never happen. */
export type FaultKind =
  | 'never_answered'
  | 'answered_twice'
  | 'out_of_order'
  | 'unknown_answer'
  | 'wrong_verdict'
  | 'malformed_line'
  | 'malformed_notify'
  | 'wrong_order'
  | 'job_id_reused'
  | 'difficulty_without_job'
  | 'version_in_mask'
  | 'no_new_work'
  | 'wrong_payee'
  | 'refused_worker';

export const FAULT_KINDS: readonly FaultKind[] = [
  'never_answered',
  'answered_twice',
  'out_of_order',
  'unknown_answer',
  'wrong_verdict',
  'malformed_line',
  'malformed_notify',
  'wrong_order',
  'job_id_reused',
  'difficulty_without_job',
  'version_in_mask',
  'no_new_work',
  'wrong_payee',
  'refused_worker',
];

export interface Report {
  miners: number;
  /** Now. */
  connected: number;
  durationMs: number;
  hashes: number;
  submitted: number;
  accepted: number;
  /** Sum of the difficulties of accepted shares, each as its job asked. */
  acceptedDifficulty: number;
  /** By error code; without the probes. */
  rejected: Record<string, number>;
  /** Rejects with 21 that were in order: the block had changed. */
  stale: number;
  /** Submitted shares whose hash meets the network's target. */
  blocks: number;
  blocksAccepted: number;
  /** Finds not submitted since too many answers were missing. */
  heldBack: number;
  connects: number;
  disconnects: number;
  /** Reconnects after which extranonce1 was the same. */
  resumed: number;
  notifies: number;
  cleanNotifies: number;
  difficultyChanges: number;
  probes: Record<ProbeKind, { sent: number; asExpected: number }>;
  faults: Record<FaultKind, number>;
  /** [ms] from a request to its answer */
  longestAnswerMs: number;
  /** [ms] between two notifies while authorised */
  longestSilenceMs: number;
  /** [ms] percentiles of answers to submits, to about 10 %. */
  answerMs: { p50: number; p99: number };
  /** The first faults in words. */
  problems: string[];
}

const PROBLEMS_MAX = 50;
/** Bucket n of answer times begins at 1.1^n x 0.1 ms. */
const BUCKET_BASE = 1.1;
const BUCKET_FIRST_MS = 0.1;

function zeroes<K extends string>(kinds: readonly K[]): Record<K, number> {
  return Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<K, number>;
}

function emptyProbes(): Report['probes'] {
  return Object.fromEntries(
    PROBE_KINDS.map((kind) => [kind, { sent: 0, asExpected: 0 }]),
  ) as Report['probes'];
}

/** Counts of one miner. */
export class Tally {
  readonly #startedMs = performance.now();
  readonly #buckets: number[] = [];
  readonly report: Report = {
    miners: 1,
    connected: 0,
    durationMs: 0,
    hashes: 0,
    submitted: 0,
    accepted: 0,
    acceptedDifficulty: 0,
    rejected: {},
    stale: 0,
    blocks: 0,
    blocksAccepted: 0,
    heldBack: 0,
    connects: 0,
    disconnects: 0,
    resumed: 0,
    notifies: 0,
    cleanNotifies: 0,
    difficultyChanges: 0,
    probes: emptyProbes(),
    faults: zeroes(FAULT_KINDS),
    longestAnswerMs: 0,
    longestSilenceMs: 0,
    answerMs: { p50: 0, p99: 0 },
    problems: [],
  };

  fault(kind: FaultKind, detail: string): void {
    this.report.faults[kind] += 1;
    if (this.report.problems.length < PROBLEMS_MAX) this.report.problems.push(`${kind}: ${detail}`);
  }

  rejected(code: number): void {
    this.report.rejected[code] = (this.report.rejected[code] ?? 0) + 1;
  }

  answered(elapsedMs: number, isSubmit: boolean): void {
    this.report.longestAnswerMs = Math.max(this.report.longestAnswerMs, elapsedMs);
    if (!isSubmit) return;
    const bucket = Math.max(
      0,
      Math.ceil(Math.log(elapsedMs / BUCKET_FIRST_MS) / Math.log(BUCKET_BASE)),
    );
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
  }

  get buckets(): readonly number[] {
    return this.#buckets;
  }

  /** The report as of now. */
  snapshot(): Report {
    const { report } = this;
    report.durationMs = Math.round(performance.now() - this.#startedMs);
    report.answerMs = percentilesOf(this.#buckets);
    return structuredClone(report);
  }
}

/** All miners of a fleet as one. */
export function combine(tallies: readonly Tally[]): Report {
  const reports = tallies.map((tally) => tally.snapshot());
  const sum = (pick: (report: Report) => number) =>
    reports.reduce((total, report) => total + pick(report), 0);
  const max = (pick: (report: Report) => number) =>
    reports.reduce((top, report) => Math.max(top, pick(report)), 0);
  const rejected: Record<string, number> = {};
  const probes = emptyProbes();
  const faults = zeroes(FAULT_KINDS);
  for (const report of reports) {
    for (const [code, count] of Object.entries(report.rejected))
      rejected[code] = (rejected[code] ?? 0) + count;
    for (const kind of FAULT_KINDS) faults[kind] += report.faults[kind];
    for (const kind of PROBE_KINDS) {
      probes[kind].sent += report.probes[kind].sent;
      probes[kind].asExpected += report.probes[kind].asExpected;
    }
  }
  return {
    miners: reports.length,
    connected: sum((report) => report.connected),
    durationMs: max((report) => report.durationMs),
    hashes: sum((report) => report.hashes),
    submitted: sum((report) => report.submitted),
    accepted: sum((report) => report.accepted),
    acceptedDifficulty: sum((report) => report.acceptedDifficulty),
    rejected,
    stale: sum((report) => report.stale),
    blocks: sum((report) => report.blocks),
    blocksAccepted: sum((report) => report.blocksAccepted),
    heldBack: sum((report) => report.heldBack),
    connects: sum((report) => report.connects),
    disconnects: sum((report) => report.disconnects),
    resumed: sum((report) => report.resumed),
    notifies: sum((report) => report.notifies),
    cleanNotifies: sum((report) => report.cleanNotifies),
    difficultyChanges: sum((report) => report.difficultyChanges),
    probes,
    faults,
    longestAnswerMs: max((report) => report.longestAnswerMs),
    longestSilenceMs: max((report) => report.longestSilenceMs),
    answerMs: percentilesOf(
      tallies.reduce<readonly number[]>((all, tally) => added(all, tally.buckets), []),
    ),
    problems: reports.flatMap((report) => report.problems).slice(0, PROBLEMS_MAX),
  };
}

/** No fault at all, and every probe was refused as it had to be. */
export function isInOrder(report: Report): boolean {
  return Object.values(report.faults).every((count) => count === 0);
}

function added(a: readonly number[], b: readonly number[]): number[] {
  return Array.from(
    { length: Math.max(a.length, b.length) },
    (_, index) => (a[index] ?? 0) + (b[index] ?? 0),
  );
}

export function percentilesOf(buckets: readonly number[]): { p50: number; p99: number } {
  const total = buckets.reduce((all, count) => all + (count ?? 0), 0);
  const at = (share: number): number => {
    let seen = 0;
    const index = Array.from(buckets).findIndex((count) => (seen += count ?? 0) >= total * share);
    return total === 0 ? 0 : Number((BUCKET_FIRST_MS * BUCKET_BASE ** index).toPrecision(2));
  };
  return { p50: at(0.5), p99: at(0.99) };
}
