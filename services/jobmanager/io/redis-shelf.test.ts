import { Registry } from '@prometheus-io/client';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, suite, test } from 'vitest';
import { startRedis, type TestRedis } from '#test/harness/redis.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { keys } from '#libs/contracts/keys.ts';
import { connectRedis } from '#libs/runtime/redis.ts';
import { make, payments, withMweb } from '../core/jobs.fixture.ts';
import type { TemplateBody } from '../core/model.ts';
import { readBody } from '../core/template-body.ts';
import { createJobMetrics } from '../metrics.ts';
import { RedisShelf } from './redis-shelf.ts';

const log = pino({ level: 'silent' });
const PARENT = payments.previousblockhash;

let redis: TestRedis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis[Symbol.asyncDispose]());

function shelfOn(chain: string) {
  const client = connectRedis(redis.url, log);
  const registry = new Registry();
  const shelf = new RedisShelf({ redis: client, chain, log, metrics: createJobMetrics(registry) });
  const connected = waitFor(() => client.status === 'ready', { what: 'redis to be connected' });
  return {
    client,
    shelf,
    connected,
    value: async (name: string) =>
      (await registry.getSingleMetric(name)?.get())?.values[0]?.value ?? 0,
    async [Symbol.asyncDispose]() {
      await shelf[Symbol.asyncDispose]();
      client.disconnect();
    },
  };
}

function bodyOf(template: typeof payments): TemplateBody {
  const { body } = readBody(template, new Map());
  if (body === undefined) throw new Error('no body');
  return body;
}

suite('RedisShelf', () => {
  test('gives jobs and bodies to another jobmanager, with a TTL on every key', async () => {
    await using one = shelfOn('a');
    await using other = shelfOn('a');
    await Promise.all([one.connected, other.connected]);
    const { job } = make(payments);
    const [plain, mweb] = [bodyOf(payments), bodyOf(withMweb)];
    one.shelf.putBody(plain, PARENT);
    one.shelf.putBody(mweb, withMweb.previousblockhash);
    one.shelf.putJob(job);
    await one.shelf.flush();
    expect(await other.shelf.getJob(job.jobId)).toEqual(job);
    for (const body of [plain, mweb]) {
      expect(await other.shelf.getBody(body.bodyId)).toEqual(body);
    }
    for (const key of await redis.client.keys('*{a}*'))
      expect(await redis.client.ttl(key)).toBeGreaterThan(300);
    expect(await other.shelf.getJob('00'.repeat(8))).toBeUndefined();
    expect(await other.shelf.getBody('00'.repeat(16))).toBeUndefined();
  });

  test('writes a transaction once per parent', async () => {
    await using t = shelfOn('b');
    await t.connected;
    const first = readBody(payments, new Map());
    const next = readBody(
      { ...payments, transactions: payments.transactions.slice(1) },
      first.known,
    );
    if (first.body === undefined || next.body === undefined) throw new Error('no body');
    t.shelf.putBody(first.body, PARENT);
    t.shelf.putBody(next.body, PARENT);
    await t.shelf.flush();
    expect(await redis.client.hlen(keys.jobBody('b', `parent:${PARENT}`))).toBe(10);
    expect((await t.shelf.getBody(next.body.bodyId))?.transactions.length).toBe(9);
  });

  test('never gives a body that is not whole', async () => {
    await using t = shelfOn('c');
    await t.connected;
    const body = bodyOf(payments);
    t.shelf.putBody(body, PARENT);
    await t.shelf.flush();
    const hash = keys.jobBody('c', `parent:${PARENT}`);
    const [field = ''] = await redis.client.hkeys(hash);
    await redis.client.hset(hash, field, 'something else');
    expect(await t.shelf.getBody(body.bodyId)).toBeUndefined();
    await redis.client.hdel(hash, field);
    expect(await t.shelf.getBody(body.bodyId)).toBeUndefined();
    await redis.client.set(keys.jobBody('c', body.bodyId), 'not JSON');
    expect(await t.shelf.getBody(body.bodyId)).toBeUndefined();
    await redis.client.set(keys.job('c', '00'.repeat(8)), '{"jobId":1}');
    expect(await t.shelf.getJob('00'.repeat(8))).toBeUndefined();
  });

  test('keeps a pinned body without limit, a settled one for a day', async () => {
    await using t = shelfOn('d');
    await t.connected;
    const body = bodyOf(withMweb);
    await t.shelf.pin(body);
    const [key = ''] = await redis.client.keys('*{d}*');
    expect(await redis.client.ttl(key)).toBe(-1);
    expect((await t.shelf.getBody(body.bodyId))?.mweb?.length).toBe(body.mweb?.length);
    await t.shelf.unpin(body.bodyId);
    expect(await redis.client.ttl(key)).toBeGreaterThan(86_000);
  });

  test('writes what Redis missed when it is back, and everything again to a new store', async () => {
    await using t = shelfOn('e');
    await t.connected;
    const body = bodyOf(payments);
    const { job } = make(payments);
    await redis.kill();
    t.shelf.putBody(body, PARENT);
    t.shelf.putJob(job);
    await t.shelf.flush();
    expect(await t.value('seam_jobmanager_redis_pending_writes')).toBe(2);
    expect(await t.shelf.getJob(job.jobId)).toBeUndefined(); // An answer, no error.
    await redis.start();
    await waitFor(() => t.shelf.getJob(job.jobId), { what: 'the job to be in redis' });
    expect(await t.shelf.getBody(body.bodyId)).toBeDefined();
    expect(await t.value('seam_jobmanager_redis_pending_writes')).toBe(0);
    expect(await t.value('seam_jobmanager_redis_failures_total')).toBeGreaterThan(0);

    await redis.kill();
    await redis.start({ empty: true });
    t.shelf.forgetWritten();
    t.shelf.putBody(body, PARENT);
    await waitFor(() => t.shelf.getBody(body.bodyId), { what: 'the body to be in the new store' });
  });

  test('writes again what was being written when the store became another one', async () => {
    await using t = shelfOn('g');
    await t.connected;
    const { job } = make(payments);
    const set = t.client.set.bind(t.client) as (...args: readonly unknown[]) => Promise<'OK'>;
    let isFirst = true;
    t.client.set = async (...args: readonly unknown[]) => {
      const done = await set(...args);
      if (isFirst) {
        isFirst = false;
        await redis.client.flushall();
        t.shelf.forgetWritten();
        t.shelf.putJob(job);
      }
      return done;
    };
    t.shelf.putJob(job);
    await t.shelf.flush();
    expect(await t.shelf.getJob(job.jobId)).toEqual(job);
  });

  test('is bounded while Redis is away: the oldest are given up', async () => {
    await using t = shelfOn('f');
    await t.connected;
    await redis.kill();
    const { job } = make(payments);
    for (let index = 0; index < 200; index += 1)
      t.shelf.putJob({ ...job, jobId: index.toString(16).padStart(16, '0') });
    await t.shelf.flush();
    expect(await t.value('seam_jobmanager_redis_pending_writes')).toBe(128);
    expect(await t.value('seam_jobmanager_redis_given_up_total')).toBe(72);
    await redis.start();
    await waitFor(() => t.shelf.getJob('c7'.padStart(16, '0')), { what: 'the newest job' });
    expect(await t.shelf.getJob('00'.padStart(16, '0'))).toBeUndefined();
  });
});
