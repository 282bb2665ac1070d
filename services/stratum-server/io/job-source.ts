/** Keeps the job book of one chain: hears jobmanagers, asks for what was missed, looks up jobs by their id. */
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Bus, BusPeer, Origin } from '#libs/bus/bus.ts';
import { type Job, jobSchema } from '#libs/contracts/job.ts';
import { type JobAnnounced, jobAnnounced } from '#libs/contracts/job-announced.ts';
import { jobLookup } from '#libs/contracts/job-lookup.ts';
import { jobSnapshot } from '#libs/contracts/job-snapshot.ts';
import { keys } from '#libs/contracts/keys.ts';
import type { Registry, RegistryChange } from '#libs/registry/registry.ts';
import {
  type BookEvent,
  emptyBook,
  findJob,
  hasWork,
  type JobBook,
  type KnownJob,
  stepBook,
} from '../core/jobs.ts';
import type { Metrics } from '../metrics.ts';
import { jobmanagersOf, reachableJobmanagers } from './jobmanagers.ts';
import { within } from './wait.ts';

/** [ms] without any word of a jobmanager before it is asked */
const SILENCE_MS = 28_000;
/** [ms] between asking a silent jobmanager again */
const ASK_AGAIN_MS = 5_000;
const TICK_MS = 500;
/** [ms] an id nobody knows is not asked for again */
const UNKNOWN_TTL_MS = 5_000;
const UNKNOWN_MAX = 4_096;
const LOOKUPS_MAX = 64;
const LOOKUP_REDIS_MS = 500;

export interface JobSource extends Disposable {
  readonly chain: string;
  readonly book: JobBook;
  /** Whether there is work confirmed recently enough to be credited. */
  readonly hasWork: boolean;
  /** Begins to listen: from now on the handlers are called. */
  start(): void;
  /**
   * Asks jobmanagers, then Redis, for a job of a well-formed id that the book lacks. A job found is in the book before the
   * promise settles. Bounded: beyond `LOOKUPS_MAX` at a time, and for ids asked for in vain lately, it is not known.
   */
  lookUp(jobId: string): Promise<KnownJob | undefined>;
}

export interface JobSourceParts {
  readonly chain: string;
  readonly staleWorkMs: number;
  readonly bus: Bus;
  readonly registry: Registry;
  readonly stateRedis: Redis;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  /** A job to give to miners; `before` is what they had. */
  readonly onMine: (job: Job, isClean: boolean, before: Job | undefined) => void;
  /** Work began or ended. */
  readonly onWorkChanged: (hasWork: boolean) => void;
}

export function createJobSource(parts: JobSourceParts): JobSource {
  const { chain, bus, registry, log, metrics, nowMs } = parts;
  let book = emptyBook(chain);
  let isWorking = false;
  /** Boot ids whose connection broke and that were not heard of since. */
  const lost = new Set<string>();
  const askedMs = new Map<string, number>();
  const unknownUntilMs = new Map<string, number>();
  const lookups = new Map<string, Promise<KnownJob | undefined>>();

  function take(event: BookEvent): void {
    const [next, effects] = stepBook(book, event, nowMs());
    if (next.activeId !== book.activeId) {
      log.info({ chain, from: book.activeId, to: next.activeId }, 'following another jobmanager');
      metrics.sourceChanges.inc({ chain });
    }
    const before = book.current?.job;
    book = next;
    noteWork();
    for (const { job, isClean } of effects) parts.onMine(job, isClean, before);
  }

  function noteWork(): void {
    const works = hasWork(book, nowMs(), parts.staleWorkMs);
    if (works === isWorking) return;
    isWorking = works;
    parts.onWorkChanged(works);
  }

  function seeSources(): void {
    const boots = new Set(bus.peers.map((peer) => peer.bootId));
    const ready = jobmanagersOf(registry, chain)
      .filter((record) => record.state === 'ready' && boots.has(record.bootId))
      .filter((record) => !lost.has(record.bootId))
      .map((record) => ({ id: record.id, startedMs: record.readyMs }));
    take({ kind: 'sources_seen', ready });
    for (const { id } of ready) {
      if (book.sources.get(id)?.latest === undefined) ask(id);
    }
  }

  function hear(message: JobAnnounced, { peer }: Origin): void {
    if (message.job.chain !== chain) return;
    if (lost.delete(peer.bootId)) seeSources();
    const { job, startedMs, tipAgeMs = 0 } = message;
    const refused = refusedIn(message);
    take({ kind: 'job_announced', sourceId: peer.id, startedMs, job, tipAgeMs, refused });
  }

  /** Asks one jobmanager for all it has, at most once in `ASK_AGAIN_MS`. */
  function ask(id: string, isUrgent = false): void {
    const now = nowMs();
    if (!isUrgent && now - (askedMs.get(id) ?? 0) < ASK_AGAIN_MS) return;
    askedMs.set(id, now);
    void takeSnapshot(id);
  }

  async function takeSnapshot(id: string): Promise<void> {
    try {
      const target = { kind: 'instance', role: 'jobmanager', id } as const;
      const snapshot = await bus.call(target, jobSnapshot, { chain });
      take({ kind: 'snapshot_taken', sourceId: id, ...snapshot, refused: refusedIn(snapshot) });
    } catch (error) {
      log.debug({ chain, jobmanager: id, err: error }, 'no snapshot');
      askedMs.delete(id); // The next tick asks again.
    }
  }

  function tick(): void {
    seeSources();
    const ready = [...book.sources.values()].filter((source) => source.isReady);
    const isSilent = nowMs() - book.confirmedMs > SILENCE_MS;
    for (const { id, latest } of ready) if (isSilent || latest === undefined) ask(id);
    for (const [id] of askedMs) if (!book.sources.has(id)) askedMs.delete(id);
    for (const [id, untilMs] of unknownUntilMs) if (untilMs < nowMs()) unknownUntilMs.delete(id);
  }

  async function lookUp(jobId: string): Promise<KnownJob | undefined> {
    const known = findJob(book, jobId);
    if (known !== undefined) return known;
    const running = lookups.get(jobId);
    if (running !== undefined) return running;
    if ((unknownUntilMs.get(jobId) ?? 0) > nowMs() || lookups.size >= LOOKUPS_MAX) {
      metrics.lookups.inc({ chain, outcome: 'not_asked' });
      return undefined;
    }
    const lookup = findElsewhere(jobId).finally(() => lookups.delete(jobId));
    lookups.set(jobId, lookup);
    return lookup;
  }

  async function findElsewhere(jobId: string): Promise<KnownJob | undefined> {
    const job = (await askJobmanagers(jobId)) ?? (await askRedis(jobId));
    if (job !== undefined) take({ kind: 'job_found', job });
    else noteUnknown(jobId);
    metrics.lookups.inc({ chain, outcome: job === undefined ? 'unknown' : 'found' });
    return findJob(book, jobId);
  }

  function noteUnknown(jobId: string): void {
    unknownUntilMs.set(jobId, nowMs() + UNKNOWN_TTL_MS);
    const [oldest] = unknownUntilMs.keys();
    if (unknownUntilMs.size > UNKNOWN_MAX && oldest !== undefined) unknownUntilMs.delete(oldest);
  }

  /** The first jobmanager that knows it answers for all. */
  async function askJobmanagers(jobId: string): Promise<Job | undefined> {
    const asked = reachableJobmanagers(bus, registry, chain).map(async ({ role, id }) => {
      const { job } = await bus.call({ kind: 'instance', role, id }, jobLookup, { chain, jobId });
      if (job === null || job.jobId !== jobId || job.chain !== chain) {
        throw new RangeError(`Cannot find job ${jobId}: ${id} does not know it`);
      }
      return job;
    });
    return Promise.any(asked).catch(() => undefined);
  }

  async function askRedis(jobId: string): Promise<Job | undefined> {
    try {
      const text = await within(parts.stateRedis.get(keys.job(chain, jobId)), LOOKUP_REDIS_MS);
      const parsed = text === null ? undefined : jobSchema.safeParse(JSON.parse(text));
      if (!parsed?.success || parsed.data.jobId !== jobId) return undefined;
      return parsed.data.chain === chain ? parsed.data : undefined;
    } catch (error) {
      log.debug({ chain, jobId, err: error }, 'no job from Redis');
      return undefined;
    }
  }

  const stack = new DisposableStack();
  function start(): void {
    stack.use(bus.subscribe(jobAnnounced, chain, hear, onGap));
    stack.use(bus.onPeerLost(onPeerLost));
    stack.use(registry.watch(onRegistryChange));
    stack.adopt(setInterval(tick, TICK_MS), clearInterval);
    seeSources();
  }

  function onGap({ id }: Origin['peer']): void {
    if (jobmanagersOf(registry, chain).some((record) => record.id === id)) ask(id, true);
  }

  function onPeerLost({ bootId }: BusPeer): void {
    lost.add(bootId);
    seeSources();
  }

  function onRegistryChange({ event, record }: RegistryChange): void {
    if (record.role !== 'jobmanager' || record.caps['chain'] !== chain) return;
    if (event === 'left') lost.delete(record.bootId);
    seeSources();
  }

  return {
    chain,
    get book() {
      return book;
    },
    get hasWork() {
      return isWorking;
    },
    start,
    lookUp,
    [Symbol.dispose]: () => stack.dispose(),
  };
}

/** Blocks the sender's nodes called invalid; an optional field that older jobmanagers lack. */
function refusedIn(message: {
  readonly refused?: readonly string[] | undefined;
}): readonly string[] {
  return message.refused ?? [];
}
