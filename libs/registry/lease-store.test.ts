import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '#test/harness/redis.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { keys } from '#libs/contracts/keys.ts';
import { StaleLeaseError } from './errors.ts';
import { acquireLease } from './lease-store.ts';

let redis: TestRedis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => await redis[Symbol.asyncDispose]());

async function take(resource: string, ttlMs: number) {
  const lease = await acquireLease(redis.client, resource, ttlMs);
  if (lease === undefined) throw new Error(`${resource} is taken`);
  return lease;
}

describe('acquireLease()', () => {
  test('gives a resource to one of many that try at once', async () => {
    const tries = await Promise.all(
      Array.from({ length: 20 }, () => acquireLease(redis.client, 'one', 10_000)),
    );
    expect(tries.filter((lease) => lease !== undefined).length).toBe(1);
  });

  test('gives ever larger tokens, also when Redis forgot the last one', async () => {
    const first = await take('growing', 10_000);
    await first.release();
    const second = await take('growing', 10_000);
    await second.release();
    await redis.client.del(keys.leaseToken('growing'), keys.leaseGuard('growing'));
    const third = await take('growing', 10_000);
    expect(second.token).toBeGreaterThan(first.token);
    expect(third.token).toBeGreaterThan(second.token);
  });

  test('a holder that lost its lease cannot overwrite the next holder, even before that one wrote', async () => {
    const paused = await take('router', 20);
    const next = await waitFor(() => acquireLease(redis.client, 'router', 10_000), {
      what: 'the lease to end',
    });
    await expect(paused.putGuarded('config', 'old')).rejects.toBeInstanceOf(StaleLeaseError);
    await next.putGuarded('config', 'new');
    await expect(paused.putGuarded('config', 'old')).rejects.toBeInstanceOf(StaleLeaseError);
    expect(await redis.client.get(keys.guarded('router', 'config'))).toBe('new');
    expect(await paused.renew()).toBe(false);
    expect(await next.renew()).toBe(true);
  });

  test('a release gives back only our own', async () => {
    const old = await take('back', 20);
    const next = await waitFor(() => acquireLease(redis.client, 'back', 10_000), {
      what: 'the lease to end',
    });
    await old.release();
    expect(await next.renew()).toBe(true);
  });
});
