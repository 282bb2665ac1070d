import { Registry as MetricRegistry } from '@prometheus-io/client';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import type { InstanceRecord } from '#libs/contracts/instance-record.ts';
import { keys } from '#libs/contracts/keys.ts';
import { connectRedis } from '#libs/runtime/redis.ts';
import { startRedis, type TestRedis } from '#test/harness/redis.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { createRedisRegistry, type RedisRegistry } from './redis-registry.ts';
import type { RegistryChange } from './registry.ts';

const log = pino({ level: 'silent' });
const FAST = { ttlMs: 1_500, renewMs: 200, scanMs: 50 } as const;
let open: AsyncDisposableStack | undefined;

afterEach(async () => await open?.disposeAsync());

function record(id: string, bootId = '0000000000000001', startedMs = 1): InstanceRecord {
  return {
    role: 'reporter',
    id,
    group: 'reporter',
    version: '1',
    bootId,
    startedMs,
    readyMs: 0,
    state: 'starting',
    zone: 'z',
    host: 'h',
    pid: 1,
    endpoints: {
      pub: 'tcp://127.0.0.1:1',
      rpc: 'tcp://127.0.0.1:2',
      link: '',
      http: 'http://127.0.0.1:3',
    },
    serverKeyId: 'k',
    caps: {},
    load: {},
  };
}

async function world(): Promise<{
  redis: TestRedis;
  join: (record: InstanceRecord) => Promise<RedisRegistry>;
}> {
  const stack = new AsyncDisposableStack();
  open = stack;
  const redis = stack.use(await startRedis());
  const join = async (own: InstanceRecord) => {
    const client = connectRedis(redis.url, log);
    stack.defer(() => client.disconnect());
    await waitFor(() => client.ping(), { what: 'a connection' });
    const options = {
      redis: client,
      record: own,
      bus: { publish: () => undefined },
      log,
      metrics: new MetricRegistry(),
      nowMs: () => Date.now(),
    };
    return stack.use(await createRedisRegistry({ ...options, ...FAST }));
  };
  return { redis, join };
}

const ids = (registry: RedisRegistry) => registry.view.map(({ id }) => id).toSorted();

describe('createRedisRegistry()', () => {
  test('records are hashes with a TTL that others see', async () => {
    const { redis, join } = await world();
    const a = await join(record('a'));
    const b = await join(record('b', '0000000000000002'));
    await waitFor(() => ids(a).length === 2, { what: 'a to see b' });
    await b.update({
      state: 'ready',
      readyMs: 5,
      caps: { chain: 'ltc' },
      link: 'tcp://127.0.0.1:9',
    });
    const seen = await waitFor(() => a.ready('reporter').find(({ id }) => id === 'b'), {
      what: 'b to be ready',
    });
    expect(seen.caps).toEqual({ chain: 'ltc' });
    expect(seen.endpoints.link).toBe('tcp://127.0.0.1:9');
    expect(
      JSON.parse((await redis.client.hget(keys.instance('reporter', 'b'), 'state')) ?? ''),
    ).toBe('ready');
    const ttlMs = await redis.client.pttl(keys.instance('reporter', 'b'));
    expect(ttlMs).toBeGreaterThan(0);
    expect(ttlMs).toBeLessThanOrEqual(FAST.ttlMs);
  });

  test('who leaves is gone at once, and who stops renewing after its TTL', async () => {
    const { redis, join } = await world();
    const changes: RegistryChange[] = [];
    const a = await join(record('a'));
    a.watch((change) => changes.push(change));
    const b = await join(record('b', '0000000000000002'));
    await waitFor(() => ids(a).includes('b'), { what: 'b' });
    await b[Symbol.asyncDispose]();
    await waitFor(() => !ids(a).includes('b'), { what: 'b to be gone' });
    await redis.client.hset(
      keys.instance('reporter', 'c'),
      Object.fromEntries(
        Object.entries(record('c')).map(([key, value]) => [key, JSON.stringify(value)]),
      ),
    );
    await redis.client.pexpire(keys.instance('reporter', 'c'), 300);
    await redis.client.sadd(keys.instanceIndex, keys.instance('reporter', 'c'));
    await waitFor(() => ids(a).includes('c'), { what: 'c' });
    await waitFor(() => !ids(a).includes('c'), { what: 'c to end by its TTL' });
    expect(changes.map(({ event, record: { id } }) => `${event} ${id}`)).toEqual([
      'joined a',
      'joined b',
      'left b',
      'joined c',
      'left c',
    ]);
    expect(await redis.client.smembers(keys.instanceIndex)).toEqual([
      keys.instance('reporter', 'a'),
    ]);
  });

  test('Redis away: the last view stays; back and empty: everybody is written again and nobody was declared gone', async () => {
    const { redis, join } = await world();
    const a = await join(record('a'));
    const b = await join(record('b', '0000000000000002'));
    await waitFor(() => ids(a).length === 2, { what: 'both' });
    const left: string[] = [];
    a.watch(({ event, record: { id } }) => event === 'left' && left.push(id));
    let generations = 0;
    a.onNewStoreGeneration(() => void (generations += 1));
    await redis.kill();
    await waitFor(() => !a.isViewFresh, { what: 'the view to be stale' });
    expect(ids(a)).toEqual(['a', 'b']);
    await redis.start({ empty: true });
    await waitFor(async () => (await redis.client.smembers(keys.instanceIndex)).length === 2, {
      what: 'both records to be back',
    });
    await waitFor(() => a.isViewFresh && b.isViewFresh, { what: 'fresh views' });
    expect(generations).toBeGreaterThan(0);
    expect(left).toEqual([]);
    expect(ids(a)).toEqual(['a', 'b']);
  });

  test('a process that slept through its replacement does not overwrite the one that has its name now', async () => {
    const { redis, join } = await world();
    const old = await join(record('a', '0000000000000001', 100));
    await join(record('a', '0000000000000002', 200));
    await old.update({ state: 'ready' });
    expect(
      JSON.parse((await redis.client.hget(keys.instance('reporter', 'a'), 'bootId')) ?? ''),
    ).toBe('0000000000000002');
    await old[Symbol.asyncDispose]();
    expect(await redis.client.exists(keys.instance('reporter', 'a'))).toBe(1);
  });
});
