/**
 * Turns templates into announced jobs: a new block at once (empty first), new transactions with the next refresh.
 *
 * Note [Superseded]
 * Building and storing a full job takes a while, in which the next block may come. Every new parent is counted, and
 * what was begun under an older count is dropped before it is announced.
 */
import type { Logger } from 'pino';
import type { Job } from '#libs/contracts/job.ts';
import { ageTemplate, judgeArrival, withLaterClock } from '../core/announce.ts';
import { buildEmptyJob, buildFullJob } from '../core/build-job.ts';
import { currentJob, findJob, type JobShelf, putOnShelf } from '../core/job-shelf.ts';
import type { JobSettings, Template, TemplateBody } from '../core/model.ts';
import { type KnownTransactions, readBody } from '../core/template-body.ts';
import type { JobMetrics } from '../metrics.ts';

/** [ms] A node that takes longer for a fresh template must not keep miners waiting for a notify. */
const FRESH_TIMEOUT_MS = 2_000;
/** [ms] between tries to refresh when there is nothing worth announcing */
const RETRY_MS = 1_000;

export type AnnounceCause = 'new_block' | 'refresh';

export interface AnnouncerOptions {
  readonly settings: JobSettings;
  readonly refreshMs: number;
  readonly staleWorkMs: number;
  readonly nowMs: () => number;
  readonly log: Logger;
  readonly metrics: JobMetrics;
  /** A template of the tip as of now. */
  readonly freshTemplate: () => Promise<Template>;
  /** [ms] since a node confirmed the tip */
  readonly tipAgeMs: () => number;
  /** Resolves when the body may be needed by another process. */
  readonly storeBody: (body: TemplateBody, height: number, parent: string) => Promise<void>;
  readonly announce: (job: Job, cause: AnnounceCause) => void;
  /** After a job with everything was announced. */
  readonly onFullJob: (job: Job, body: TemplateBody | undefined) => void;
}

interface Received {
  readonly template: Template;
  readonly atMs: number;
}

export class Announcer implements AsyncDisposable {
  readonly #options: AnnouncerOptions;
  #shelf: JobShelf = [];
  #latest: Received | undefined;
  #known: KnownTransactions = new Map();
  /** See Note [Superseded]. */
  #parents = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #running = new Set<Promise<void>>();
  #isClosed = false;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** Jobs announced here and still known. */
  get shelf(): JobShelf {
    return this.#shelf;
  }

  /** Takes a template that a node offers. */
  offer(template: Template): void {
    if (this.#isClosed) return;
    this.#latest = { template, atMs: this.#options.nowMs() };
    if (judgeArrival(template, currentJob(this.#shelf)) === 'keep') return;
    this.#parents += 1;
    const empty = buildEmptyJob(template, this.#options.settings);
    if (empty !== undefined) this.#announce(empty, this.#latest.atMs);
    this.#run(this.#announceFull(template, this.#latest.atMs));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await Promise.all(this.#running);
  }

  async #announceFull(template: Template, startedMs: number): Promise<void> {
    const { settings, storeBody, onFullJob, metrics } = this.#options;
    const parents = this.#parents;
    const { body, known } = readBody(template, this.#known);
    this.#known = known;
    metrics.transactions.set({ chain: settings.chain }, template.transactions.length);
    const job = this.#newJob(template, body?.bodyId ?? null);
    if (body !== undefined) await storeBody(body, job.height, job.parent);
    if (parents !== this.#parents || this.#isClosed) return;
    this.#announce(job, startedMs);
    onFullJob(job, body);
  }

  /** A job with an id that miners do not know yet: also when the node went back to a block it had left. */
  #newJob(template: Template, bodyId: string | null): Job {
    const { settings } = this.#options;
    for (let later = template; ; later = withLaterClock(later)) {
      const job = buildFullJob(later, bodyId, settings);
      if (findJob(this.#shelf, job.jobId) === undefined) return job;
    }
  }

  #announce(job: Job, startedMs: number): void {
    const { nowMs, announce, metrics, settings, log } = this.#options;
    const cause = job.parent === currentJob(this.#shelf)?.parent ? 'refresh' : 'new_block';
    this.#shelf = putOnShelf(this.#shelf, job, nowMs());
    announce(job, cause);
    const { chain } = settings;
    metrics.announced.inc({ chain, cause });
    metrics.announceSeconds.observe({ chain, cause }, (nowMs() - startedMs) / 1_000);
    metrics.height.set({ chain }, job.height);
    metrics.shelf.set({ chain }, this.#shelf.length);
    log.info(
      { chain, job: job.jobId, height: job.height, cause, hasBody: job.bodyId !== null },
      'job announced',
    );
    this.#refreshIn(this.#options.refreshMs);
  }

  #refreshIn(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => this.#run(this.#refresh()), delayMs);
  }

  async #refresh(): Promise<void> {
    this.#refreshIn(RETRY_MS); // Unless an announcement sets it anew.
    const startedMs = this.#options.nowMs();
    const parents = this.#parents;
    const fresh = await this.#freshTemplate();
    if (parents !== this.#parents || this.#isClosed) return;
    const template = fresh ?? this.#agedTemplate();
    if (template === undefined) return;
    if (fresh !== undefined) this.#latest = { template: fresh, atMs: startedMs };
    if (judgeArrival(template, currentJob(this.#shelf)) === 'new_block') this.offer(template);
    else await this.#announceFull(template, startedMs);
  }

  /** @returns undefined if no node gives one in time */
  async #freshTemplate(): Promise<Template | undefined> {
    const { freshTemplate, log, settings } = this.#options;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => resolve(undefined), FRESH_TIMEOUT_MS);
    try {
      return await Promise.race([freshTemplate(), promise]);
    } catch (error) {
      log.debug({ chain: settings.chain, err: error }, 'no node gives a template');
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  #agedTemplate(): Template | undefined {
    const { nowMs, tipAgeMs, staleWorkMs, metrics, settings } = this.#options;
    if (this.#latest === undefined) return undefined;
    const { template, atMs } = this.#latest;
    const aged = ageTemplate(template, nowMs() - atMs, tipAgeMs(), staleWorkMs);
    if (aged !== undefined) metrics.agedRefreshes.inc({ chain: settings.chain });
    return aged;
  }

  #run(work: Promise<void>): void {
    const { log, settings } = this.#options;
    const run = work
      .catch((error: unknown) => {
        log.error({ chain: settings.chain, err: error }, 'a template did not become a job');
      })
      .finally(() => this.#running.delete(run));
    this.#running.add(run);
  }
}
