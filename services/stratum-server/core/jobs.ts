/**
 * The job book of one chain: which jobs are known, which jobmanager is followed, what is mined now. No bus, no socket.
 *
 * Note [Following]
 * Several jobmanagers publish. By its own view, without a lease, a server follows the oldest ready one. A greater height
 * of another is mined at once, but provisionally: unless the followed one reaches it within `AGREE_MS` it counts as
 * behind and the next oldest is followed until it has caught up. A jobmanager whose block was found invalid leaves the
 * ready ones, and with it goes its height. Everything is worked out anew from what each source said last, so a lost or
 * repeated message changes nothing for long.
 */
import type { Job } from '#libs/contracts/job.ts';

/** [ms] how long the followed source may lack a height another one has */
export const AGREE_MS = 10_000;
/** [ms] jobs stay known at least this long, and for two blocks */
export const JOB_LIFE_MS = 300_000;
const JOB_LIFE_BLOCKS = 2;
const JOBS_MAX = 2_048;
const SOURCES_MAX = 64;
const TIPS_MAX = 32;

/** A job with what this server remembers of it. */
export interface KnownJob {
  readonly job: Job;
  /** Who announced it; '' if it was looked up by its id. */
  readonly sourceId: string;
  /** Counts up in the order of arrival: which of two jobs is the later one. */
  readonly order: number;
  readonly seenMs: number;
}

/** A jobmanager as its messages and the registry show it. */
export interface Source {
  readonly id: string;
  readonly isReady: boolean;
  /** [ms] when it became ready: the smallest is followed. */
  readonly startedMs: number;
  /** The job it would have us mine; undefined: not heard yet. */
  readonly latest: KnownJob | undefined;
  /** True: it missed a height for too long; until it has caught up it is not followed. */
  readonly isBehind: boolean;
  /** Blocks its nodes called invalid: while it is followed nobody's height on top of one counts. */
  readonly refused: readonly string[];
}

/** From when on shares had to name this parent. */
export interface Tip {
  readonly parent: string;
  readonly height: number;
  readonly sinceMs: number;
}

/** All of it, replaced at each step. */
export interface JobBook {
  readonly chain: string;
  readonly jobs: ReadonlyMap<string, KnownJob>;
  readonly sources: ReadonlyMap<string, Source>;
  readonly current: KnownJob | undefined;
  /** The source followed, '' for none. */
  readonly activeId: string;
  /** [ms] since when a greater height than the active source's is mined; undefined: agreed */
  readonly provisionalSinceMs: number | undefined;
  /** Oldest first, the last one is the present. */
  readonly tips: readonly Tip[];
  /** [ms] when some jobmanager last had its template confirmed by a node; 0: never */
  readonly confirmedMs: number;
  readonly nextOrder: number;
}

export type BookEvent =
  /** The ready jobmanagers of the chain that we are connected to, complete. */
  | {
      readonly kind: 'sources_seen';
      readonly ready: readonly { readonly id: string; readonly startedMs: number }[];
    }
  | {
      readonly kind: 'job_announced';
      readonly sourceId: string;
      readonly startedMs: number;
      readonly job: Job;
      /** [ms] since a node last confirmed its tip: a jobmanager goes on for a while without any. */
      readonly tipAgeMs: number;
      readonly refused: readonly string[];
    }
  /** Everything a jobmanager has, oldest first. */
  | {
      readonly kind: 'snapshot_taken';
      readonly sourceId: string;
      readonly startedMs: number;
      readonly jobs: readonly Job[];
      readonly lastTemplateAgeMs: number;
      readonly refused: readonly string[];
    }
  /** A job found elsewhere by its id: known from now on, mined by nobody new. */
  | { readonly kind: 'job_found'; readonly job: Job }
  | { readonly kind: 'time_passed' };

/** What follows from an event. */
export type BookEffect =
  /** Everybody mines this from now on. `isClean`: the parent differs from the job before. */
  { readonly kind: 'mine'; readonly job: Job; readonly isClean: boolean };

/** A book with nothing in it. */
export function emptyBook(chain: string): JobBook {
  return {
    chain,
    jobs: new Map(),
    sources: new Map(),
    current: undefined,
    activeId: '',
    provisionalSinceMs: undefined,
    tips: [],
    confirmedMs: 0,
    nextOrder: 1,
  };
}

/** One event: (book, event) -> (book, effects). */
export function stepBook(
  book: JobBook,
  event: BookEvent,
  nowMs: number,
): [JobBook, readonly BookEffect[]] {
  const noted = noteEvent(book, event, nowMs);
  const followed = follow(noted, nowMs);
  const effects: BookEffect[] = [];
  if (followed.current !== undefined && followed.current.job.jobId !== book.current?.job.jobId) {
    const isClean = followed.current.job.parent !== book.current?.job.parent;
    effects.push({ kind: 'mine', job: followed.current.job, isClean });
  }
  return [prune(followed, nowMs), effects];
}

/** The job a share names, if it is still known. */
export function findJob(book: JobBook, jobId: string): KnownJob | undefined {
  return book.jobs.get(jobId);
}

/**
 * Whether a share for `job` that arrived at `arrivedMs` was too late. Where this server cannot know (the line arrived
 * before its time, or the job is of a height it has not reached) the miner has the benefit of the doubt: such a line
 * was meant for a server that is gone.
 */
export function isStale(book: JobBook, job: Job, arrivedMs: number): boolean {
  const first = book.tips[0];
  if (first === undefined) return false;
  if (arrivedMs < first.sinceMs) return job.height < first.height - 1;
  const then = book.tips.findLast((tip) => tip.sinceMs <= arrivedMs) ?? first;
  if (job.parent === then.parent) return false;
  const wasTip = ({ parent, sinceMs }: Tip) => parent === job.parent && sinceMs <= arrivedMs;
  return job.height <= then.height || book.tips.some(wasTip);
}

/**
 * Whether `job` was given out before the job `otherId`. Jobs this server heard announced are ordered by arrival, others by
 * height and time of their template. A job that is not known any more counts as earlier than all.
 */
export function isEarlier(book: JobBook, job: Job, otherId: string): boolean {
  const known = book.jobs.get(job.jobId);
  const other = book.jobs.get(otherId);
  if (other === undefined) return false;
  if (known !== undefined && known.sourceId !== '' && other.sourceId !== '') {
    return known.order < other.order;
  }
  if (job.height !== other.job.height) return job.height < other.job.height;
  return job.curtime < other.job.curtime;
}

/** Whether there is work worth giving out: a job, confirmed by some node not too long ago. */
export function hasWork(book: JobBook, nowMs: number, staleWorkMs: number): boolean {
  return book.current !== undefined && nowMs - book.confirmedMs <= staleWorkMs;
}

function noteEvent(book: JobBook, event: BookEvent, nowMs: number): JobBook {
  switch (event.kind) {
    case 'sources_seen':
      return noteSources(book, event.ready);
    case 'job_announced':
      return noteJobs(
        book,
        { ...event, jobs: [event.job], confirmedMs: nowMs - event.tipAgeMs },
        nowMs,
      );
    case 'snapshot_taken': {
      const confirmedMs = nowMs - event.lastTemplateAgeMs;
      return noteJobs(book, { ...event, confirmedMs }, nowMs);
    }
    case 'job_found':
      return withJob(book, event.job, '', nowMs)[0];
    case 'time_passed':
      return book;
  }
}

/** Sources that are gone keep what they said, so that a flapping registry loses nothing; they are not followed. */
function noteSources(
  book: JobBook,
  ready: readonly { readonly id: string; readonly startedMs: number }[],
): JobBook {
  const isReady = new Map(ready.map((source) => [source.id, source.startedMs]));
  const sources = new Map<string, Source>();
  for (const [id, source] of book.sources) {
    sources.set(id, { ...source, isReady: isReady.has(id) });
  }
  for (const { id, startedMs } of ready) {
    if (!sources.has(id)) sources.set(id, newSource(id, startedMs, true));
  }
  return { ...book, sources: boundSources(sources) };
}

function newSource(id: string, startedMs: number, isReady: boolean): Source {
  return { id, isReady, startedMs, latest: undefined, isBehind: false, refused: [] };
}

/** Drops sources nobody has seen for long: those not ready, the first known first. */
function boundSources(sources: Map<string, Source>): Map<string, Source> {
  for (const [id, source] of sources) {
    if (sources.size <= SOURCES_MAX) break;
    if (!source.isReady) sources.delete(id);
  }
  return sources;
}

interface Word {
  readonly sourceId: string;
  readonly startedMs: number;
  readonly jobs: readonly Job[];
  readonly refused: readonly string[];
  readonly confirmedMs: number;
}

/** A source's word: its last job is the one to mine, unless a later one of it is known already. */
function noteJobs(book: JobBook, word: Word, nowMs: number): JobBook {
  const { sourceId, startedMs, refused } = word;
  let next: JobBook = { ...book, confirmedMs: Math.max(book.confirmedMs, word.confirmedMs) };
  let last: KnownJob | undefined;
  for (const job of word.jobs) [next, last] = withJob(next, job, sourceId, nowMs);
  const before = book.sources.get(sourceId) ?? newSource(sourceId, startedMs, false);
  const isLater = last !== undefined && last.order > (before.latest?.order ?? 0);
  const latest = isLater && last !== undefined ? { ...last, sourceId } : before.latest;
  const sources = new Map(next.sources).set(sourceId, { ...before, startedMs, refused, latest });
  return { ...next, sources: boundSources(sources) };
}

function withJob(book: JobBook, job: Job, sourceId: string, nowMs: number): [JobBook, KnownJob] {
  const known = book.jobs.get(job.jobId);
  if (known !== undefined) return [book, known];
  const added: KnownJob = { job, sourceId, order: book.nextOrder, seenMs: nowMs };
  const jobs = new Map(book.jobs).set(job.jobId, added);
  return [{ ...book, jobs, nextOrder: book.nextOrder + 1 }, added];
}

/** Works out anew whom to follow and what to mine. See Note [Following]. */
function follow(book: JobBook, nowMs: number): JobBook {
  const active = oldestReady(book);
  if (active === undefined) return { ...book, activeId: '', provisionalSinceMs: undefined };
  const ahead = aheadOf(book, active);
  if (ahead === undefined) return agree(book, active, nowMs);
  const sinceMs = book.provisionalSinceMs ?? nowMs;
  const isOverdue = active.latest !== undefined && nowMs - sinceMs >= AGREE_MS;
  if (!isOverdue)
    return mine({ ...book, activeId: active.id, provisionalSinceMs: sinceMs }, ahead, nowMs);
  const isHeld = book.sources.get(ahead.sourceId)?.isReady === true;
  if (!isHeld) return agree(book, active, nowMs); // Nobody alive has seen that height.
  if (active.isBehind) return mine({ ...book, activeId: active.id }, ahead, nowMs);
  return follow({ ...leftBehind(book, active), provisionalSinceMs: undefined }, nowMs);
}

function agree(book: JobBook, active: Source, nowMs: number): JobBook {
  const agreed = { ...caughtUp(book, active), activeId: active.id, provisionalSinceMs: undefined };
  return active.latest === undefined ? agreed : mine(agreed, active.latest, nowMs);
}

/** The source to follow: of those ready and not behind the one that is ready for longest, else of those behind. */
function oldestReady(book: JobBook): Source | undefined {
  const ready = [...book.sources.values()]
    .filter((source) => source.isReady)
    .toSorted((a, b) => a.startedMs - b.startedMs || (a.id < b.id ? -1 : 1));
  return ready.find((source) => !source.isBehind) ?? ready[0];
}

/** A job of another source, or what is mined of one that is gone, with a greater height than the active one has. */
function aheadOf(book: JobBook, active: Source): KnownJob | undefined {
  const floor = active.latest?.job.height ?? -1;
  let best: KnownJob | undefined;
  for (const known of [orphanedWork(book), ...latestOfReady(book)]) {
    if (known === undefined || known.sourceId === active.id) continue;
    if (known.job.height <= floor || active.refused.includes(known.job.parent)) continue;
    if (best === undefined || isBetter(book, known, best)) best = known;
  }
  return best;
}

/** What is mined, if whoever announced it is gone; a living source is taken by its last word. */
function orphanedWork({ current, sources }: JobBook): KnownJob | undefined {
  return current !== undefined && sources.get(current.sourceId)?.isReady !== true
    ? current
    : undefined;
}

function latestOfReady({ sources }: JobBook): readonly (KnownJob | undefined)[] {
  return [...sources.values()].filter((source) => source.isReady).map((source) => source.latest);
}

function isBetter(book: JobBook, a: KnownJob, b: KnownJob): boolean {
  if (a.job.height !== b.job.height) return a.job.height > b.job.height;
  const source = book.current?.sourceId;
  if ((a.sourceId === source) !== (b.sourceId === source)) return a.sourceId === source;
  return a.order > b.order;
}

function leftBehind(book: JobBook, active: Source): JobBook {
  return { ...book, sources: new Map(book.sources).set(active.id, { ...active, isBehind: true }) };
}

/** Whoever has reached the followed height may be followed again. */
function caughtUp(book: JobBook, active: Source): JobBook {
  const height = active.latest?.job.height ?? 0;
  const isBack = (source: Source) =>
    source.isBehind && source.latest !== undefined && source.latest.job.height >= height;
  if (![...book.sources.values()].some(isBack)) return book;
  const sources = new Map(book.sources);
  for (const source of book.sources.values()) {
    if (isBack(source)) sources.set(source.id, { ...source, isBehind: false });
  }
  return { ...book, sources };
}

/** Mines `next`, unless that would go back to an older job of the same parent. */
function mine(book: JobBook, next: KnownJob, nowMs: number): JobBook {
  const { current } = book;
  if (
    current !== undefined &&
    current.job.parent === next.job.parent &&
    next.order <= current.order
  ) {
    return book;
  }
  const isSameTip = book.tips.at(-1)?.parent === next.job.parent;
  const tip = { parent: next.job.parent, height: next.job.height, sinceMs: nowMs };
  const tips = isSameTip ? book.tips : [...book.tips, tip].slice(-TIPS_MAX);
  return { ...book, current: next, tips };
}

/** Forgets jobs older than two blocks and five minutes, and beyond the bound the oldest. */
function prune(book: JobBook, nowMs: number): JobBook {
  const height = book.current?.job.height ?? 0;
  const isOver = (known: KnownJob) =>
    nowMs - known.seenMs > JOB_LIFE_MS && known.job.height <= height - JOB_LIFE_BLOCKS;
  const surplus = book.jobs.size - JOBS_MAX;
  if (surplus <= 0 && ![...book.jobs.values()].some(isOver)) return book;
  const oldestFirst = [...book.jobs.values()].filter((known) => !isOver(known));
  const kept = oldestFirst.slice(Math.max(0, oldestFirst.length - JOBS_MAX));
  return { ...book, jobs: new Map(kept.map((known) => [known.job.jobId, known])) };
}
