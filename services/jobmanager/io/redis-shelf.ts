/**
 * Jobs and bodies in Redis, so that any server understands a job and any jobmanager can assemble its block.
 *
 * Level-based: what should be there is known, what was written is remembered, and the rest is written whenever Redis
 * takes it. Redis away delays nothing; a new store gets everything again.
 *
 * Note [Bodies in Redis]
 * As in the pack files a transaction is written once per parent: a hash per parent holds transactions by a short name
 * (the first 8 bytes of their SHA-256), a body is the list of names. Whoever reads one proves it by its id.
 */
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { z } from 'zod';
import { concatBytes, plainBytes } from '#libs/bitcoin/bytes.ts';
import { sha256 } from '#libs/bitcoin/hash.ts';
import { hexFromBytes } from '#libs/bitcoin/hex.ts';
import { type Job, jobSchema } from '#libs/contracts/job.ts';
import { keys } from '#libs/contracts/keys.ts';
import { bodyFromItems, encodeRecords, itemsOf, readRecords } from '../core/body-records.ts';
import type { TemplateBody } from '../core/model.ts';
import type { JobMetrics } from '../metrics.ts';

const bodyRecord = z.object({
  format: z.literal(1),
  parent: z.string().regex(/^[0-9a-f]{64}$/),
  names: z.string().regex(/^([0-9a-f]{16})*$/),
  mweb: z.string().regex(/^([0-9a-f]{16})?$/),
});
type BodyRecord = z.infer<typeof bodyRecord>;

/** [s] Two blocks are nearly always found in this time. */
const JOB_TTL_SEC = 6 * 3_600;
/** [s] Ten blocks are nearly always found in this time; the files keep bodies for longer. */
const BODY_TTL_SEC = 3 * 3_600;
/** [s] A candidate's body, once a node has its block. */
const SETTLED_BODY_TTL_SEC = 24 * 3_600;
/** [fields] per command, so that none holds up Redis */
const FIELDS_PER_COMMAND = 256;
/** [ms] between tries while something is not written */
const RETRY_MS = 1_000;
/** [items] More than the jobs and bodies of a long Redis outage; beyond, the oldest are given up. */
const PENDING_MAX = 128;

interface BodyEntry {
  readonly body: TemplateBody;
  readonly parent: string;
}

export interface RedisShelfOptions {
  readonly redis: Redis;
  readonly chain: string;
  readonly log: Logger;
  readonly metrics: JobMetrics;
}

export class RedisShelf implements AsyncDisposable {
  readonly #options: RedisShelfOptions;
  /** Bodies before jobs: whoever finds a job finds its body. */
  readonly #pendingBodies = new Map<string, BodyEntry>();
  readonly #pendingJobs = new Map<string, Job>();
  readonly #names = new WeakMap<Uint8Array, string>();
  /** Names known to be in the hash of `#namesParent`. */
  #namesParent = '';
  #namesWritten = new Set<string>();
  #running: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** Counts the stores we have met: what was written to an older one has to be written again. */
  #store = 0;
  #isClosed = false;
  #isFailing = false;

  constructor(options: RedisShelfOptions) {
    this.#options = options;
  }

  putJob(job: Job): void {
    this.#pendingJobs.set(job.jobId, job);
    this.#wake();
  }

  putBody(body: TemplateBody, parent: string): void {
    this.#pendingBodies.set(body.bodyId, { body, parent });
    this.#wake();
  }

  /** The store is another one: nothing of what was written is sure to be there. */
  forgetWritten(): void {
    this.#namesParent = '';
    this.#store += 1;
  }

  /** @returns undefined if Redis does not have it whole, or does not answer */
  async getBody(bodyId: string): Promise<TemplateBody | undefined> {
    try {
      return await this.#readBody(bodyId);
    } catch (error) {
      this.#complain(error);
      return undefined;
    }
  }

  /** @returns undefined if Redis does not have it, or does not answer */
  async getJob(jobId: string): Promise<Job | undefined> {
    const { redis, chain } = this.#options;
    try {
      const text = await redis.get(keys.job(chain, jobId));
      const parsed = jobSchema.safeParse(JSON.parse(text ?? 'null'));
      return parsed.success ? parsed.data : undefined;
    } catch (error) {
      this.#complain(error);
      return undefined;
    }
  }

  /** Keeps a whole copy of a body until its block is settled. */
  async pin(body: TemplateBody): Promise<void> {
    const hasMweb = Uint8Array.of(body.mweb === undefined ? 0 : 1);
    const packed = Buffer.from(concatBytes(hasMweb, encodeRecords(itemsOf(body))));
    try {
      await this.#options.redis.set(this.#pinOf(body.bodyId), packed);
    } catch (error) {
      this.#complain(error);
    }
  }

  /** The block is settled: its body is kept for another day. */
  async unpin(bodyId: string): Promise<void> {
    try {
      await this.#options.redis.expire(this.#pinOf(bodyId), SETTLED_BODY_TTL_SEC);
    } catch (error) {
      this.#complain(error);
    }
  }

  /** Resolves when everything is written or the last try failed. */
  async flush(): Promise<void> {
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    await this.#running;
  }

  #wake(): void {
    for (const pending of [this.#pendingBodies, this.#pendingJobs]) {
      const [oldest] = pending.keys();
      if (pending.size <= PENDING_MAX || oldest === undefined) continue;
      pending.delete(oldest);
      this.#options.metrics.redisGivenUp.inc({ chain: this.#options.chain });
    }
    this.#count();
    if (this.#isClosed || this.#running !== undefined) return;
    clearTimeout(this.#retry);
    this.#running = this.#writeAll().finally(() => {
      this.#running = undefined;
      this.#count();
      const isLeft = this.#pendingBodies.size + this.#pendingJobs.size > 0;
      if (isLeft && !this.#isClosed) this.#retry = setTimeout(() => this.#wake(), RETRY_MS).unref();
    });
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#pendingBodies.size + this.#pendingJobs.size > 0) await this.#writeNext();
      this.#isFailing = false;
    } catch (error) {
      this.#complain(error);
    }
  }

  async #writeNext(): Promise<void> {
    const store = this.#store;
    const [entry] = this.#pendingBodies.values();
    const [job] = this.#pendingJobs.values();
    if (entry !== undefined) await this.#writeBody(entry);
    else if (job !== undefined) await this.#writeJob(job);
    if (store !== this.#store) return;
    if (entry !== undefined) this.#pendingBodies.delete(entry.body.bodyId);
    else if (job !== undefined) this.#pendingJobs.delete(job.jobId);
  }

  async #writeJob(job: Job): Promise<void> {
    const { redis, chain } = this.#options;
    const key = keys.job(chain, job.jobId);
    await redis.set(key, JSON.stringify(job), 'EX', JOB_TTL_SEC);
  }

  async #writeBody({ body, parent }: BodyEntry): Promise<void> {
    const { redis, chain } = this.#options;
    if (parent !== this.#namesParent) this.#namesWritten = new Set();
    this.#namesParent = parent;
    const fresh = itemsOf(body).filter((item) => !this.#namesWritten.has(this.#nameOf(item)));
    for (let start = 0; start < fresh.length; start += FIELDS_PER_COMMAND)
      await this.#writeItems(parent, fresh.slice(start, start + FIELDS_PER_COMMAND));
    const record: BodyRecord = {
      format: 1,
      parent,
      names: body.transactions.map((item) => this.#nameOf(item)).join(''),
      mweb: body.mweb === undefined ? '' : this.#nameOf(body.mweb),
    };
    const key = keys.jobBody(chain, body.bodyId);
    await redis.set(key, JSON.stringify(record), 'EX', BODY_TTL_SEC);
    await redis.expire(this.#hashOf(parent), BODY_TTL_SEC);
  }

  async #writeItems(parent: string, items: readonly Uint8Array[]): Promise<void> {
    const fields = items.flatMap((item) => [this.#nameOf(item), Buffer.from(item)]);
    await this.#options.redis.hset(this.#hashOf(parent), ...fields);
    if (parent !== this.#namesParent) return; // Another store meanwhile.
    for (const item of items) this.#namesWritten.add(this.#nameOf(item));
  }

  async #readBody(bodyId: string): Promise<TemplateBody | undefined> {
    const pinned = await this.#options.redis.getBuffer(this.#pinOf(bodyId));
    if (pinned !== null)
      return bodyFromItems(bodyId, readRecords(pinned.subarray(1)), pinned[0] === 1);
    const record = await this.#readRecord(bodyId);
    if (record === undefined) return undefined;
    const { parent, names, mweb } = record;
    const items: Uint8Array[] = [];
    const wanted = `${names}${mweb}`.match(/.{16}/g) ?? [];
    for (let start = 0; start < wanted.length; start += FIELDS_PER_COMMAND) {
      const part = wanted.slice(start, start + FIELDS_PER_COMMAND);
      const found = await this.#options.redis.hmgetBuffer(this.#hashOf(parent), ...part);
      for (const item of found) if (item !== null) items.push(plainBytes(item));
    }
    return bodyFromItems(bodyId, items, mweb !== '');
  }

  async #readRecord(bodyId: string): Promise<BodyRecord | undefined> {
    const { redis, chain } = this.#options;
    const text = await redis.get(keys.jobBody(chain, bodyId));
    const parsed = bodyRecord.safeParse(JSON.parse(text ?? 'null'));
    return parsed.success ? parsed.data : undefined;
  }

  #hashOf(parent: string): string {
    return keys.jobBody(this.#options.chain, `parent:${parent}`);
  }

  #pinOf(bodyId: string): string {
    return keys.jobBody(this.#options.chain, `pinned:${bodyId}`);
  }

  #nameOf(item: Uint8Array): string {
    const known = this.#names.get(item);
    if (known !== undefined) return known;
    const name = hexFromBytes(sha256(item).subarray(0, 8));
    this.#names.set(item, name);
    return name;
  }

  #count(): void {
    const { metrics, chain } = this.#options;
    metrics.redisPending.set({ chain }, this.#pendingBodies.size + this.#pendingJobs.size);
  }

  /** Every failure is counted; the log hears of the first one of an outage. */
  #complain(error: unknown): void {
    const { metrics, chain, log } = this.#options;
    metrics.redisFailures.inc({ chain });
    if (!this.#isFailing) log.warn({ chain, err: error }, 'jobs do not reach redis: trying again');
    this.#isFailing = true;
  }
}
