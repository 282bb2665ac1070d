/**
 * The registry in Redis: our record renewed every 5 s under a TTL of 15 s, and a look every second whether there is
 * anything new to read. Announcements on the bus make changes known at once; the scan is the truth.
 *
 * Note [Store generation]
 * Redis may come back empty, with old data, as another server, or after records ended. Each is a new store: what we own
 * is written again, and for one TTL nobody is declared gone, since the others are busy writing theirs. Redis away: the
 * last view stays, whatever happens, and what could not be written is written when it is back.
 */
import type { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Bus } from '#libs/bus/bus.ts';
import { instanceChanged } from '#libs/contracts/instance-changed.ts';
import type { InstanceRecord, Role } from '#libs/contracts/instance-record.ts';
import type { Lease } from './lease.ts';
import { acquireLease } from './lease-store.ts';
import { Reassertions } from './reassertions.ts';
import { RecentSet } from './recent-set.ts';
import { type Reading, RecordStore, type StoreMark } from './record-store.ts';
import type { Registry, RegistryChange } from './registry.ts';
import { createRegistryMetrics } from './registry-metrics.ts';
import { newStoreSign, type StoreIdentity } from './store-identity.ts';
import {
  afterAnnouncement,
  afterScan,
  changesBetween,
  isNews,
  keyOf,
  type View,
  viewOf,
} from './view.ts';

export interface RedisRegistryOptions {
  readonly redis: Redis;
  readonly record: InstanceRecord;
  readonly bus: Pick<Bus, 'publish'>;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  readonly nowMs: () => number;
  /** A younger process took our name: whatever we do, nobody knows us any more. Told once. */
  readonly onSuperseded?: () => void;
  /** [ms] life of a record without renewal; at most 60 s */
  readonly ttlMs?: number;
  /** [ms] between renewals, and between complete reads of an unchanged mesh */
  readonly renewMs?: number;
  /** [ms] between looks */
  readonly scanMs?: number;
}

export interface RedisRegistry extends Registry {
  /** Takes what the bus told. */
  applyAnnouncement(change: RegistryChange): void;
  /** Reads the records soon instead of at the next turn. */
  lookSoon(): void;
}

const TTL_MS = 15_000;
const RENEW_MS = 5_000;
const SCAN_MS = 1_000;
const SOON_MS = 50;
/** A view older than this many looks is not fresh. */
const FRESH_SCANS = 3;
/** [boots] that said goodbye and may still stand in a scan on its way */
const DEPARTED_MAX = 1_000;

/** Writes our record and reads the first view. @throws {Error} if Redis does not answer */
export async function createRedisRegistry(options: RedisRegistryOptions): Promise<RedisRegistry> {
  const registry = new LiveRegistry(options);
  await registry.begin();
  return registry;
}

class LiveRegistry implements RedisRegistry {
  readonly #options: RedisRegistryOptions;
  readonly #ttlMs: number;
  readonly #renewMs: number;
  readonly #scanMs: number;
  readonly #store: RecordStore;
  readonly #metrics;
  readonly #reassertions: Reassertions;
  readonly #watchers = new Set<(change: RegistryChange) => void>();
  readonly #departed = new RecentSet(DEPARTED_MAX);
  readonly #stack = new DisposableStack();
  /** Announced since the scan on its way began. */
  #announced = new Set<string>();
  #self: InstanceRecord;
  #view: View;
  /** The revision of our record that Redis has; -1: none it is known to have. */
  #writtenRevision = -1;
  #identity: StoreIdentity = { generation: undefined, runId: '', answeredMs: 0 };
  #lastRead: { readonly mark: StoreMark; readonly readMs: number } | undefined;
  #looking: Promise<void> | undefined;
  #soon: NodeJS.Timeout | undefined;
  #isReadDue = false;
  /** [ms] until then nobody is declared gone. See Note [Store generation]. */
  #graceUntilMs = 0;
  #isSuperseded = false;
  #isClosed = false;

  constructor(options: RedisRegistryOptions) {
    this.#options = options;
    this.#ttlMs = options.ttlMs ?? TTL_MS;
    this.#renewMs = options.renewMs ?? RENEW_MS;
    this.#scanMs = options.scanMs ?? SCAN_MS;
    this.#store = new RecordStore(options.redis, this.#ttlMs);
    this.#metrics = createRegistryMetrics(options.metrics);
    this.#reassertions = new Reassertions(options.log);
    this.#self = { ...options.record, revision: 1 };
    this.#view = viewOf([this.#self]);
  }

  async begin(): Promise<void> {
    await this.#write(true);
    const reading = await this.#store.readAll();
    this.#identity = this.#identityOf(reading);
    this.#take(reading);
    this.#announce('joined');
    const onReady = () => this.#onReconnect();
    this.#options.redis.on('ready', onReady);
    this.#stack.defer(() => void this.#options.redis.off('ready', onReady));
    this.#every(this.#renewMs, () => this.#tryWrite('renew', false));
    this.#every(this.#scanMs, () => this.#look());
  }

  get self(): InstanceRecord {
    return this.#self;
  }

  get view(): readonly InstanceRecord[] {
    return [...this.#view.values()];
  }

  get isViewFresh(): boolean {
    return this.#options.nowMs() - this.#identity.answeredMs < this.#scanMs * FRESH_SCANS;
  }

  async update(change: Parameters<Registry['update']>[0]): Promise<void> {
    if (this.#isClosed) return;
    const before = this.#self;
    this.#self = changed(before, change);
    this.#setView(afterAnnouncement(this.#view, { event: 'changed', record: this.#self }));
    this.#announce('changed');
    await this.#tryWrite('update', isNews(before, this.#self));
  }

  watch(listener: (change: RegistryChange) => void): Disposable {
    const own = (change: RegistryChange) => listener(change);
    this.#watchers.add(own);
    for (const record of this.view) own({ event: 'joined', record });
    return { [Symbol.dispose]: () => void this.#watchers.delete(own) };
  }

  ready(role: Role): readonly InstanceRecord[] {
    return this.view.filter((record) => record.role === role && record.state === 'ready');
  }

  async acquireLease(resource: string, ttlMs: number): Promise<Lease | undefined> {
    return await acquireLease(this.#options.redis, resource, ttlMs);
  }

  onNewStoreGeneration(listener: () => Promise<void> | void): Disposable {
    return this.#reassertions.add(listener);
  }

  applyAnnouncement(change: RegistryChange): void {
    const key = keyOf(change.record);
    if (this.#isClosed) return;
    const { bootId } = change.record;
    if (key === keyOf(this.#self)) return;
    if (change.event === 'left') this.#departed.add(bootId);
    else if (this.#departed.has(bootId)) return;
    this.#announced.add(key);
    this.#setView(afterAnnouncement(this.#view, change));
  }

  lookSoon(): void {
    this.#isReadDue = true;
    if (this.#isClosed || this.#soon !== undefined) return;
    this.#soon = setTimeout(() => {
      this.#soon = undefined;
      void this.#look();
    }, SOON_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#soon);
    this.#stack.dispose();
    this.#announce('left');
    try {
      await this.#store.remove(this.#self);
    } catch (error) {
      this.#options.log.debug({ err: error }, 'record not removed: it ends by its TTL');
    }
  }

  #every(periodMs: number, work: () => Promise<void>): void {
    const timer = setInterval(() => void work(), periodMs);
    this.#stack.defer(() => clearInterval(timer));
  }

  #onReconnect(): void {
    this.#isReadDue = true;
    this.#writtenRevision = -1; // Whether this Redis has it is not known.
    void this.#look();
  }

  async #tryWrite(kind: 'renew' | 'update', isRead: boolean): Promise<void> {
    try {
      await this.#write(isRead);
    } catch (error) {
      this.#metrics.failures.inc({ kind });
      this.#options.log.debug({ err: error }, 'record not written: tried again');
    }
  }

  async #write(isRead: boolean): Promise<void> {
    if (this.#isClosed) return;
    const record = this.#self;
    const isNewToRedis = this.#writtenRevision === -1;
    if (await this.#store.write(record, isRead || isNewToRedis)) {
      this.#writtenRevision = Math.max(this.#writtenRevision, record.revision ?? 0);
    } else this.#noteSuperseded();
  }

  #noteSuperseded(): void {
    if (this.#isSuperseded) return;
    this.#isSuperseded = true;
    this.#options.log.error('a younger process has our name: nobody knows us any more');
    this.#options.onSuperseded?.();
  }

  /** One look at a time: a slow Redis does not pile them up. */
  async #look(): Promise<void> {
    if (this.#isClosed) return;
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  async #lookOnce(): Promise<void> {
    const reading = await this.#tryRead();
    this.#metrics.fresh.set(this.isViewFresh ? 1 : 0);
    if (this.#isClosed || reading === 'failed') return;
    if (reading !== 'unchanged') this.#take(reading);
    if (this.#writtenRevision < (this.#self.revision ?? 0)) await this.#tryWrite('update', true);
    this.#reassertions.run();
  }

  async #tryRead(): Promise<Reading | 'unchanged' | 'failed'> {
    this.#announced = new Set();
    try {
      if (!this.#mustRead()) {
        const mark = await this.#store.peek();
        if (this.#isAsRead(mark)) {
          this.#identity = { ...this.#identity, answeredMs: this.#options.nowMs() };
          return 'unchanged';
        }
      }
      this.#isReadDue = false;
      const reading = await this.#store.readAll();
      this.#noteStore(this.#identityOf(reading));
      return reading;
    } catch (error) {
      this.#isReadDue = true;
      this.#metrics.failures.inc({ kind: 'scan' });
      this.#options.log.debug({ err: error }, 'registry not read');
      return 'failed';
    }
  }

  /** What ended by its TTL changes no version, and silence may have been more: both need a complete read. */
  #mustRead(): boolean {
    const nowMs = this.#options.nowMs();
    const isSilent = nowMs - this.#identity.answeredMs > this.#renewMs;
    const isOld = nowMs - (this.#lastRead?.readMs ?? 0) >= this.#renewMs;
    return this.#isReadDue || isSilent || isOld;
  }

  #isAsRead({ generation, version }: StoreMark): boolean {
    const read = this.#lastRead?.mark;
    return read?.generation === generation && read?.version === version;
  }

  #identityOf({ mark, runId }: Reading): StoreIdentity {
    return { generation: mark.generation, runId, answeredMs: this.#options.nowMs() };
  }

  #noteStore(seen: StoreIdentity): void {
    const sign = newStoreSign(this.#identity, seen, this.#renewMs);
    this.#identity = seen;
    if (sign === undefined) return;
    this.#options.log.warn({ sign }, 'new store generation: what we own is written again');
    this.#metrics.generations.inc({ sign });
    this.#graceUntilMs = seen.answeredMs + this.#ttlMs;
    this.#writtenRevision = -1;
    this.#reassertions.dueAll();
  }

  #take({ mark, records, leftOut }: Reading): void {
    const { nowMs } = this.#options;
    this.#lastRead = { mark, readMs: nowMs() };
    this.#metrics.leftOut.set(leftOut);
    const [named, others] = partition(records, (one) => keyOf(one) === keyOf(this.#self));
    // Somebody else has our name. Who is younger, the store says.
    if (named.some(({ bootId }) => bootId !== this.#self.bootId)) this.#writtenRevision = -1;
    const after = afterScan(this.#view, [...others, this.#self], {
      keepsMissing: nowMs() < this.#graceUntilMs,
      announced: this.#announced,
      hasLeft: (bootId) => this.#departed.has(bootId),
    });
    this.#setView(after);
  }

  #setView(after: View): void {
    const changes = changesBetween(this.#view, after);
    this.#view = after;
    this.#metrics.instances.set(after.size);
    for (const change of changes) for (const watcher of [...this.#watchers]) watcher(change);
  }

  #announce(event: RegistryChange['event']): void {
    this.#options.bus.publish(instanceChanged, '', { event, record: this.#self });
  }
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): readonly [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}

function changed(
  before: InstanceRecord,
  { link, caps, load, ...rest }: Parameters<Registry['update']>[0],
): InstanceRecord {
  return {
    ...before,
    ...rest,
    caps: { ...before.caps, ...caps },
    load: { ...before.load, ...load },
    endpoints: link === undefined ? before.endpoints : { ...before.endpoints, link },
    revision: (before.revision ?? 0) + 1,
  };
}
