import { Registry as MetricRegistry } from '@prometheus-io/client';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import type { InstanceRecord } from '#libs/contracts/instance-record.ts';
import { keys } from '#libs/contracts/keys.ts';
import { connectRedis } from '#libs/runtime/redis.ts';
import { startRedis, type TestRedis } from '#test/harness/redis.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { recordWith } from './record.fixture.ts';
import {
  createRedisRegistry,
  type RedisRegistry,
  type RedisRegistryOptions,
} from './redis-registry.ts';
import type { RegistryChange } from './registry.ts';

const log = pino({ level: 'silent' });
const FAST = { ttlMs: 1_500, renewMs: 200, scanMs: 50 } as const;
let open: AsyncDisposableStack | undefined;

afterEach(async () => await open?.disposeAsync());

function record(id: string, bootId = '0000000000000001', startedMs = 1): InstanceRecord {
  return recordWith({ id, bootId, startedMs });
}

async function world(): Promise<{
  redis: TestRedis;
  join: (record: InstanceRecord, more?: Partial<RedisRegistryOptions>) => Promise<RedisRegistry>;
}> {
  const stack = new AsyncDisposableStack();
  open = stack;
  const redis = stack.use(await startRedis());
  const join = async (own: InstanceRecord, more: Partial<RedisRegistryOptions> = {}) => {
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
    return stack.use(await createRedisRegistry({ ...options, ...FAST, ...more }));
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

  test('Redis frozen until every record has ended: nobody is declared gone, and all are back', async () => {
    const { redis, join } = await world();
    const a = await join(record('a'));
    const b = await join(record('b', '0000000000000002'));
    await waitFor(() => ids(a).length === 2 && ids(b).length === 2, { what: 'both' });
    const left: string[] = [];
    for (const one of [a, b])
      one.watch(({ event, record: { id } }) => event === 'left' && left.push(id));
    const frozenMs = Date.now();
    await redis.kill('SIGSTOP');
    await waitFor(() => Date.now() - frozenMs > FAST.ttlMs * 2, { what: 'the TTL to pass' });
    await redis.kill('SIGCONT');
    await waitFor(() => a.isViewFresh && b.isViewFresh, { what: 'fresh views' });
    await waitFor(
      async () => (await redis.client.exists(...['a', 'b'].map((id) => keyOf(id)))) === 2,
      { what: 'both records to be back' },
    );
    await b[Symbol.asyncDispose]();
    await waitFor(() => !ids(a).includes('b'), { what: 'a later leave to be seen' });
    expect(left).toEqual(['b']);
  });

  test('cut off until every record has ended: whoever is back first declares nobody gone', async () => {
    const { redis, join } = await world();
    const [near, far] = [connectRedis(redis.url, log), connectRedis(redis.url, log)];
    for (const client of [near, far]) await waitFor(() => client.ping(), { what: 'a connection' });
    const a = await join(record('a'), { redis: near });
    await join(record('b', '0000000000000002'), { redis: far });
    await waitFor(() => ids(a).length === 2, { what: 'both' });
    const left: string[] = [];
    a.watch(({ event, record: { id } }) => event === 'left' && left.push(id));
    near.disconnect();
    far.disconnect();
    await waitFor(async () => (await redis.client.exists(keyOf('a'), keyOf('b'))) === 0, {
      what: 'the records to end',
    });
    await near.connect();
    await waitFor(() => a.isViewFresh, { what: 'a fresh view' });
    expect(ids(a)).toEqual(['a', 'b']);
    await far.connect();
    await waitFor(() => redis.client.exists(keyOf('b')), { what: 'the other record' });
    expect(left).toEqual([]);
    near.disconnect();
    far.disconnect();
  });

  test('an update with Redis away is announced, does not reject, and is written when Redis is back', async () => {
    const { redis, join } = await world();
    const announced: RegistryChange[] = [];
    const bus = {
      publish: (_topic: unknown, _key: string, change: unknown) =>
        void announced.push(change as RegistryChange),
    };
    const a = await join(record('a'), { bus, ttlMs: 60_000, renewMs: 60_000 });
    await redis.kill();
    await a.update({ state: 'ready' });
    expect(a.self.state).toBe('ready');
    expect(announced.map((change) => change.record.state)).toEqual(['starting', 'ready']);
    await redis.start();
    await waitFor(async () => (await redis.client.hget(keyOf('a'), 'state')) === '"ready"', {
      what: 'the state to be written',
    });
  });

  test('what must be written again is tried until it worked', async () => {
    const { redis, join } = await world();
    const a = await join(record('a'));
    let tries = 0;
    a.onNewStoreGeneration(() => {
      tries += 1;
      if (tries < 3) throw new Error('not yet');
    });
    await redis.client.flushall();
    await waitFor(() => tries === 3, { what: 'the third try' });
    await waitFor(() => redis.client.exists(keyOf('a')), { what: 'the record' });
    expect(tries).toBe(3);
  });

  test('an announced state is not undone by what Redis still has', async () => {
    const { join } = await world();
    const a = await join(record('a'));
    const b = await join(record('b', '0000000000000002'));
    await waitFor(() => ids(a).includes('b'), { what: 'b' });
    const states: string[] = [];
    a.watch(({ event, record: { id, state } }) => id === 'b' && states.push(`${event} ${state}`));
    a.applyAnnouncement({
      event: 'changed',
      record: { ...b.self, state: 'draining', revision: (b.self.revision ?? 0) + 1 },
    });
    a.lookSoon();
    await join(record('c', '0000000000000003'));
    await waitFor(() => ids(a).includes('c'), { what: 'a later scan' });
    expect(states).toEqual(['joined starting', 'changed draining']);
    a.applyAnnouncement({ event: 'left', record: b.self });
    a.lookSoon();
    await join(record('d', '0000000000000004'));
    await waitFor(() => ids(a).includes('d'), { what: 'a later scan' });
    expect(states.at(-1)).toBe('left draining');
    expect(ids(a)).toEqual(['a', 'c', 'd']);
  });

  test('looks at an unchanged mesh read no records', async () => {
    const { redis, join } = await world();
    const slow = { ttlMs: 60_000, renewMs: 60_000 };
    const a = await join(record('a'), slow);
    await join(record('b', '0000000000000002'), slow);
    await waitFor(() => ids(a).length === 2, { what: 'both' });
    const calls = async (command: string) => {
      const stats = await redis.client.info('commandstats');
      return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
    };
    await a.update({ load: { sessions: 1 } }); // Load is no reason to read either.
    const looks = await calls('mget');
    await waitFor(async () => (await calls('mget')) > looks + 4, { what: 'some looks' });
    const reads = await calls('hgetall');
    const later = await calls('mget');
    await waitFor(async () => (await calls('mget')) > later + 4, { what: 'more looks' });
    expect(await calls('hgetall')).toBe(reads);
  });

  test('a process whose name a younger one took is told once', async () => {
    const { join } = await world();
    let told = 0;
    await join(record('a', '0000000000000001', 100), { onSuperseded: () => void (told += 1) });
    const young = await join(record('a', '0000000000000002', 200));
    await waitFor(() => told > 0, { what: 'the older one to be told' });
    await young.update({ state: 'ready' });
    await young[Symbol.asyncDispose]();
    expect(told).toBe(1);
  });

  test('counts records it cannot read, and goes on', async () => {
    const { redis, join } = await world();
    const metrics = new MetricRegistry();
    await redis.client.hset(keyOf('z'), { bootId: 'not JSON' });
    await redis.client.sadd(keys.instanceIndex, keyOf('z'));
    const a = await join(record('a'), { metrics });
    expect(ids(a)).toEqual(['a']);
    expect(await metrics.metrics()).toContain('seam_registry_left_out_records 1');
  });
});

const keyOf = (id: string) => keys.instance('reporter', id);
