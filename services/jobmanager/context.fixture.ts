/** A jobmanager in this process: on a memory bus and a real Redis, against whatever nodes the test names. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry as MetricRegistry } from '@prometheus-io/client';
import { pino } from 'pino';
import type { MemoryBus, MemoryMesh } from '#libs/bus/memory-bus.ts';
import { type JobAnnounced, jobAnnounced } from '#libs/contracts/job-announced.ts';
import type { ChainConfig, ResolvedChain } from '#libs/contracts/pool-config.ts';
import { chainConfig, poolConfig } from '#libs/contracts/pool-config.ts';
import { connectRedis } from '#libs/runtime/redis.ts';
import type { Service, ServiceContext } from '#libs/runtime/service.ts';
import { start } from './service.ts';

export interface TestJobmanager extends AsyncDisposable {
  readonly id: string;
  readonly bootId: string;
  readonly service: Service;
  readonly bus: MemoryBus;
  /** What it said last to the runtime. */
  readonly readiness: () => { readonly isReady: boolean; readonly reason: string };
  /** The value of a metric with these labels, 0 if it was never touched. */
  value(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  newStore(): void;
}

export interface JobmanagerOptions {
  readonly id: string;
  readonly mesh: MemoryMesh;
  readonly redisUrl: string;
  readonly runDir: string;
  readonly chain: Partial<ChainConfig> & Pick<ChainConfig, 'chain'>;
  readonly isDevchain?: boolean;
  readonly wanted?: string;
}

let boots = 0;

export async function startJobmanager(options: JobmanagerOptions): Promise<TestJobmanager> {
  const { id, mesh, redisUrl, runDir, wanted } = options;
  boots += 1;
  const bootId = boots.toString(16).padStart(16, '0');
  const chain: ResolvedChain = {
    ...chainConfig.parse(options.chain),
    id: options.chain.id ?? options.chain.chain,
    isDevchain: options.isDevchain ?? false,
  };
  const bus = mesh.join({ role: 'jobmanager', id, bootId, isReady: false });
  const metrics = new MetricRegistry();
  const stopping = new AbortController();
  const log = pino({ level: process.env['SEAM_TEST_LOG'] ?? 'silent' });
  const redis = connectRedis(redisUrl, log);
  let readiness = { isReady: false, reason: '' };
  const generations = new Set<() => Promise<void> | void>();
  const context = {
    identity: {
      role: 'jobmanager',
      id,
      group: '',
      version: 'test',
      bootId,
      zone: '',
      startedMs: Date.now(),
    },
    environment: { chain: wanted, runDir },
    config: { ...poolConfig.parse({}), chains: [chain], listeners: [], runDir },
    bus,
    registry: {
      ready: () => [],
      update: () => Promise.resolve(),
      onNewStoreGeneration(listener: () => Promise<void> | void) {
        generations.add(listener);
        return { [Symbol.dispose]: () => void generations.delete(listener) };
      },
    },
    redis: { discovery: redis, state: redis, shares: redis },
    log,
    metrics,
    signal: stopping.signal,
    nowMs: () => Date.now(),
    setReady(isReady: boolean, reason = '') {
      readiness = { isReady, reason };
      mesh.setReady(bootId, isReady);
    },
    fatal(error: unknown) {
      throw error;
    },
  } as unknown as ServiceContext; // Of registry and environment only what a jobmanager asks for.
  const service = await start(context).catch((error: unknown) => {
    redis.disconnect();
    throw error;
  });
  return {
    id,
    bootId,
    service,
    bus,
    readiness: () => readiness,
    async value(name, labels = {}) {
      const found = await metrics.getSingleMetric(name)?.get();
      const matches = (each: { labels: object }) =>
        Object.entries(labels).every(([key, value]) => Reflect.get(each.labels, key) === value);
      return found?.values.filter(matches).reduce((sum, each) => sum + each.value, 0) ?? 0;
    },
    newStore() {
      for (const listener of generations) void listener();
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await service[Symbol.asyncDispose]();
      await bus[Symbol.asyncDispose]();
      redis.disconnect();
    },
  };
}

/** What a stratum-server hears: every announcement, by the id of who made it. */
export function hearAnnouncements(mesh: MemoryMesh, chain: string) {
  boots += 1;
  const bus = mesh.join({
    role: 'stratum-server',
    id: 'listener',
    bootId: boots.toString(16).padStart(16, '0'),
  });
  const heard: { readonly from: string; readonly message: JobAnnounced }[] = [];
  bus.subscribe(jobAnnounced, chain, (message, { peer }) => heard.push({ from: peer.id, message }));
  return {
    bus,
    heard,
    last: (from: string) => heard.findLast((each) => each.from === from)?.message,
  };
}

export async function temporaryRunDir(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'seam-jobmanager-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
