/**
 * The registry in Redis: our record renewed every 5 s under a TTL of 15 s, and everybody's read every second in one
 * command. Announcements on the bus make changes known at once; the scan is the truth. Redis away: the last view stays.
 */
import { randomBytes } from 'node:crypto';
import type { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { Bus } from '#libs/bus/bus.ts';
import { counterIn, gaugeIn } from '#libs/bus/metric.ts';
import { instanceChanged } from '#libs/contracts/instance-changed.ts';
import type { InstanceRecord, Role } from '#libs/contracts/instance-record.ts';
import { keys } from '#libs/contracts/keys.ts';
import type { Lease } from './lease.ts';
import { acquireLease } from './lease-store.ts';
import { decodeRecord, encodeRecord } from './record-codec.ts';
import type { Registry, RegistryChange } from './registry.ts';
import { READ_VIEW, REMOVE_RECORD, runScript, WRITE_RECORD } from './scripts.ts';
import { afterAnnouncement, afterScan, changesBetween, keyOf, type View, viewOf } from './view.ts';

export interface RedisRegistryOptions {
  readonly redis: Redis;
  readonly record: InstanceRecord;
  readonly bus: Pick<Bus, 'publish'>;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  readonly nowMs: () => number;
  /** [ms] life of a record without renewal; at most 60 s */
  readonly ttlMs?: number;
  readonly renewMs?: number;
  readonly scanMs?: number;
}

export interface RedisRegistry extends Registry {
  /** Takes what the bus told. */
  applyAnnouncement(change: RegistryChange): void;
  /** Reads the records soon instead of at the next turn. */
  lookSoon(): void;
}

/** What read-view.lua returns. */
const viewReply = z.tuple([z.string()]).rest(z.array(z.string()));

const TTL_MS = 15_000;
const RENEW_MS = 5_000;
const SCAN_MS = 1_000;
const SOON_MS = 50;
/** A view older than this many scans is not fresh. */
const FRESH_SCANS = 3;

/** Writes our record and reads the first view. @throws {Error} if Redis does not answer */
export async function createRedisRegistry(options: RedisRegistryOptions): Promise<RedisRegistry> {
  const registry = new LiveRegistry(options);
  await registry.begin();
  return registry;
}

class LiveRegistry implements RedisRegistry {
  readonly #options: RedisRegistryOptions;
  readonly #ttlMs: number;
  readonly #scanMs: number;
  readonly #watchers = new Set<(change: RegistryChange) => void>();
  readonly #generationListeners = new Set<() => Promise<void> | void>();
  readonly #timers: NodeJS.Timeout[] = [];
  #self: InstanceRecord;
  #view: View;
  #generation: string | undefined;
  #runId: string | undefined;
  #lastScanMs = 0;
  #scanning: Promise<void> | undefined;
  #soon: NodeJS.Timeout | undefined;
  /** [ms] until then nobody is declared gone: the store is new and knows not everybody yet. */
  #graceUntilMs = 0;
  #isClosed = false;
  readonly #metrics;

  constructor(options: RedisRegistryOptions) {
    this.#options = options;
    this.#ttlMs = options.ttlMs ?? TTL_MS;
    this.#scanMs = options.scanMs ?? SCAN_MS;
    this.#self = options.record;
    this.#view = viewOf([options.record]);
    const { metrics } = options;
    this.#metrics = {
      instances: gaugeIn(metrics, 'seam_registry_instances', 'Instances in the last view', []),
      fresh: gaugeIn(metrics, 'seam_registry_view_fresh', '1 while Redis answers', []),
      failures: counterIn(
        metrics,
        'seam_registry_failures_total',
        'Renewals and scans that failed',
        ['kind'],
      ),
      generations: counterIn(
        metrics,
        'seam_registry_store_generations_total',
        'New stores seen',
        [],
      ),
      unreadable: counterIn(
        metrics,
        'seam_registry_unreadable_total',
        'Records that could not be read',
        [],
      ),
    };
  }

  async begin(): Promise<void> {
    await this.#write();
    await this.#scan();
    await this.#readRunId();
    this.#announce('joined');
    const onReady = () => void this.#afterReconnect();
    this.#options.redis.on('ready', onReady);
    const renew = setInterval(() => void this.#renew(), this.#options.renewMs ?? RENEW_MS);
    const scan = setInterval(() => void this.#look(), this.#scanMs);
    this.#timers.push(renew, scan);
  }

  get self(): InstanceRecord {
    return this.#self;
  }

  get view(): readonly InstanceRecord[] {
    return [...this.#view.values()];
  }

  get isViewFresh(): boolean {
    return this.#options.nowMs() - this.#lastScanMs < this.#scanMs * FRESH_SCANS;
  }

  async update(change: Parameters<Registry['update']>[0]): Promise<void> {
    const { link, caps, load, ...rest } = change;
    const before = this.#self;
    this.#self = {
      ...before,
      ...rest,
      caps: caps === undefined ? before.caps : { ...before.caps, ...caps },
      load: load === undefined ? before.load : { ...before.load, ...load },
      endpoints: link === undefined ? before.endpoints : { ...before.endpoints, link },
    };
    this.#setView(afterAnnouncement(this.#view, { event: 'changed', record: this.#self }));
    this.#announce('changed');
    await this.#write();
  }

  watch(listener: (change: RegistryChange) => void): Disposable {
    this.#watchers.add(listener);
    for (const record of this.view) listener({ event: 'joined', record });
    return { [Symbol.dispose]: () => void this.#watchers.delete(listener) };
  }

  ready(role: Role): readonly InstanceRecord[] {
    return this.view.filter((record) => record.role === role && record.state === 'ready');
  }

  async acquireLease(resource: string, ttlMs: number): Promise<Lease | undefined> {
    return await acquireLease(this.#options.redis, resource, ttlMs);
  }

  onNewStoreGeneration(listener: () => Promise<void> | void): Disposable {
    this.#generationListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#generationListeners.delete(listener) };
  }

  applyAnnouncement(change: RegistryChange): void {
    if (this.#isClosed || keyOf(change.record) === keyOf(this.#self)) return;
    this.#setView(afterAnnouncement(this.#view, change));
  }

  lookSoon(): void {
    if (this.#isClosed || this.#soon !== undefined) return;
    this.#soon = setTimeout(() => {
      this.#soon = undefined;
      void this.#look();
    }, SOON_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#soon);
    for (const timer of this.#timers) clearInterval(timer);
    this.#announce('left');
    try {
      const key = keys.instance(this.#self.role, this.#self.id);
      await runScript(
        this.#options.redis,
        REMOVE_RECORD,
        [key, keys.instanceIndex],
        [JSON.stringify(this.#self.bootId)],
      );
    } catch (error) {
      this.#options.log.debug({ err: error }, 'record not removed: it ends by its TTL');
    }
  }

  async #write(): Promise<void> {
    const { bootId, startedMs, role, id } = this.#self;
    const args = [JSON.stringify(bootId), startedMs, this.#ttlMs, ...encodeRecord(this.#self)];
    const written = await runScript(
      this.#options.redis,
      WRITE_RECORD,
      [keys.instance(role, id), keys.instanceIndex],
      args,
    );
    if (written !== 1)
      this.#options.log.warn(
        { instance: id },
        'a younger process has our name: our record is not written',
      );
  }

  async #renew(): Promise<void> {
    try {
      await this.#write();
    } catch (error) {
      this.#metrics.failures.inc({ kind: 'renew' });
      this.#options.log.debug({ err: error }, 'record not renewed');
    }
  }

  async #look(): Promise<void> {
    // One scan at a time: a slow Redis does not pile them up.
    this.#scanning ??= this.#tryScan().finally(() => {
      this.#scanning = undefined;
    });
    await this.#scanning;
  }

  async #tryScan(): Promise<void> {
    try {
      await this.#scan();
    } catch (error) {
      this.#metrics.failures.inc({ kind: 'scan' });
      this.#options.log.debug({ err: error }, 'registry not read');
    }
    this.#metrics.fresh.set(this.isViewFresh ? 1 : 0);
  }

  async #scan(): Promise<void> {
    const { redis, nowMs } = this.#options;
    const reply = await runScript(
      redis,
      READ_VIEW,
      [keys.instanceIndex, keys.storeGeneration],
      [randomBytes(8).toString('hex')],
    );
    if (this.#isClosed) return;
    const [generation, ...flat] = viewReply.parse(reply);
    this.#lastScanMs = nowMs();
    await this.#noteGeneration(generation);
    const records = flat
      .map((fields) => decodeRecord(fields))
      .filter((record) => record !== undefined);
    if (records.length < flat.length) this.#metrics.unreadable.inc(flat.length - records.length);
    const others = records.filter((record) => keyOf(record) !== keyOf(this.#self));
    this.#setView(afterScan(this.#view, [...others, this.#self], nowMs() < this.#graceUntilMs));
  }

  async #noteGeneration(generation: string): Promise<void> {
    const before = this.#generation;
    this.#generation = generation;
    if (before !== undefined && before !== generation) await this.#onNewStore('generation');
  }

  /** After a reconnect: the same process behind it, or another one (restarted, failed over)? */
  async #afterReconnect(): Promise<void> {
    try {
      const before = this.#runId;
      await this.#readRunId();
      if (before !== undefined && before !== this.#runId) await this.#onNewStore('run_id');
      await this.#look();
    } catch (error) {
      this.#options.log.debug({ err: error }, 'redis came and went');
    }
  }

  async #readRunId(): Promise<void> {
    const info = await this.#options.redis.info('server');
    this.#runId = /^run_id:(\w+)/m.exec(info)?.[1];
  }

  async #onNewStore(sign: string): Promise<void> {
    const { log, nowMs } = this.#options;
    log.warn({ sign }, 'new store generation: what we own is written again');
    this.#metrics.generations.inc();
    this.#graceUntilMs = nowMs() + this.#ttlMs;
    await this.#renew();
    for (const listener of this.#generationListeners) {
      try {
        await listener();
      } catch (error) {
        log.warn({ err: error }, 'something we own was not written again');
      }
    }
  }

  #setView(after: View): void {
    const changes = changesBetween(this.#view, after);
    this.#view = after;
    this.#metrics.instances.set(after.size);
    for (const change of changes) for (const watcher of this.#watchers) watcher(change);
  }

  #announce(event: RegistryChange['event']): void {
    this.#options.bus.publish(instanceChanged, '', { event, record: this.#self });
  }
}
