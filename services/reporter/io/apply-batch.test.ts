import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { afterAll, assert, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { keys } from '#libs/contracts/keys.ts';
import { readWatermark, registerJournal } from '#libs/journal/journal-store.ts';
import type { JournalRecord } from '#libs/journal/record.ts';
import { candidate, numberedShare, rejects, settled, share } from '#libs/journal/record.fixture.ts';
import { startRedis, type TestRedis } from '#test/harness/redis.ts';
import { foldBatch } from '../core/fold-batch.ts';
import { type Applied, applyBatch } from './apply-batch.ts';

const CHAIN = 'btc';
const NOW_MS = 1_700_000_400_000;
let server: TestRedis;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = server.client;
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(async () => void (await redis.flushall()));

function newJournal(): string {
  return randomBytes(16).toString('hex');
}

function apply(journal: string, from: number, records: readonly JournalRecord[]): Promise<Applied> {
  const to = from + records.length;
  const fold = foldBatch(records, NOW_MS);
  const batch = { journal, chain: CHAIN, from, to, isLost: false };
  return applyBatch(redis, batch, fold, NOW_MS, () => undefined);
}

/** Everything that stands in Redis, in an order of its own, without the times that are left. */
async function everything(): Promise<Record<string, readonly string[]>> {
  const all = (await redis.keys('*')).toSorted();
  const contents = await Promise.all(all.map(contentOf));
  return Object.fromEntries(all.map((key, at) => [key, contents[at] ?? []]));
}

async function contentOf(key: string): Promise<readonly string[]> {
  switch (await redis.type(key)) {
    case 'hash':
      return Object.entries(await redis.hgetall(key))
        .map((pair) => pair.join('='))
        .toSorted();
    case 'set':
      return (await redis.smembersBuffer(key)).map((member) => member.toString('hex')).toSorted();
    case 'zset':
      return redis.zrange(key, 0, '-1', 'WITHSCORES');
    case 'list':
      return redis.lrange(key, 0, '-1');
    default:
      throw new Error(`unknown type of ${key}`);
  }
}

async function sum(key: string, field: string): Promise<bigint> {
  return BigInt(`0x${(await redis.hget(key, field)) ?? '0'}`);
}

describe('applyBatch()', () => {
  test('counts a batch once, though it comes five times', async () => {
    const journal = newJournal();
    const batch = [numberedShare(1, { work: 5n }), numberedShare(2, { work: 7n }), rejects()];
    const first = await apply(journal, 0, batch);
    assert.deepEqual(first, {
      applied: true,
      watermark: 3,
      counted: 2,
      duplicates: 0,
      changes: [],
    });
    const once = await everything();
    for (let again = 0; again < 4; again += 1)
      assert.deepEqual(await apply(journal, 0, batch), {
        ...{ applied: false, watermark: 3, counted: 0, duplicates: 0, changes: [] },
      });
    assert.deepEqual(await everything(), once);
    assert.equal(await sum(keys.totals(CHAIN), 'work'), 12n);
    assert.equal(await readWatermark(redis, CHAIN, journal), 3);
  });

  test('changes nothing by overlapping, early and late batches, and says where it stands', async () => {
    const journal = newJournal();
    const all = Array.from({ length: 30 }, (_, at) => numberedShare(at, { work: 1n }));
    await apply(journal, 0, all.slice(0, 10));
    const before = await everything();
    for (const [from, to] of [
      [5, 15],
      [0, 20],
      [11, 12],
      [20, 30],
      [9, 11],
    ])
      assert.include(await apply(journal, from ?? 0, all.slice(from, to)), {
        applied: false,
        watermark: 10,
      });
    assert.deepEqual(await everything(), before);
    assert.include(await apply(journal, 10, all.slice(10)), { applied: true, watermark: 30 });
    assert.equal(await sum(keys.totals(CHAIN), 'work'), 30n);
  });

  test('counts a share that reached two journals, or one twice, only once', async () => {
    const same = numberedShare(7, { work: 100n });
    await apply(newJournal(), 0, [same, numberedShare(8, { work: 1n }), same]);
    const second = await apply(newJournal(), 0, [numberedShare(9, { work: 10n }), same]);
    assert.include(second, { counted: 1, duplicates: 1 });
    assert.equal(await sum(keys.totals(CHAIN), 'work'), 111n);
    assert.equal(await redis.hget(keys.totals(CHAIN), 'duplicates'), '2');
    assert.equal(await redis.hget(keys.worker(CHAIN, same.worker), 'shares'), '3');
  });

  test('tells shares of blocks apart, whose hashes end in the same zeros', async () => {
    const blockHash = (first: number) => {
      const identity = new Uint8Array(32);
      identity[0] = first;
      return share({ identity, work: 1n });
    };
    await apply(newJournal(), 0, [blockHash(1), blockHash(2)]);
    assert.equal(await sum(keys.totals(CHAIN), 'work'), 2n);
  });

  test('changes nothing if anything in the books is not what it should be', async () => {
    const journal = newJournal();
    const batch = [numberedShare(1), rejects(), candidate(), settled({ outcome: 'accepted' })];
    const hour = Math.floor(share().timeMs / 3_600_000);
    const broken: [string, string?][] = [
      [keys.journalWatermarks(CHAIN)],
      [keys.totals(CHAIN)],
      [keys.rejects(CHAIN)],
      [keys.workerIndex(CHAIN)],
      [keys.blockIndex(CHAIN)],
      [keys.identityBucket(CHAIN, share().height)],
      [keys.series(CHAIN, 'pool', hour)],
      [keys.series(CHAIN, `worker:${share().worker}`, hour)],
      [keys.worker(CHAIN, share().worker)],
      [keys.block(CHAIN, candidate().hash)],
      [keys.round(CHAIN, '1')],
      [keys.round(CHAIN, '2')],
      [`${keys.round(CHAIN, '1')}:users`],
      [keys.totals(CHAIN), 'work'],
      [keys.totals(CHAIN), 'shares'],
      [keys.worker(CHAIN, share().worker), 'work'],
      [keys.journalWatermarks(CHAIN), journal],
    ];
    for (const [key, field] of broken) {
      await redis.flushall();
      if (field === undefined) await redis.lpush(key, 'a list');
      else await redis.hset(key, field, 'no number');
      const before = await everything();
      await expect(apply(journal, 0, batch), `${key} ${field ?? ''}`).rejects.toThrow();
      assert.deepEqual(await everything(), before, `${key} ${field ?? ''}`);
    }
    await redis.flushall();
    assert.isTrue((await apply(journal, 0, batch)).applied);
  });

  test('changes nothing when Redis has no memory left', async () => {
    const journal = newJournal();
    await apply(journal, 0, [numberedShare(0)]);
    const before = await everything();
    await redis.config('SET', 'maxmemory-policy', 'noeviction');
    await redis.config('SET', 'maxmemory', '1mb');
    await expect(apply(journal, 1, [numberedShare(1)])).rejects.toThrow(/OOM/);
    await redis.config('SET', 'maxmemory', '0');
    assert.deepEqual(await everything(), before);
    assert.isTrue((await apply(journal, 1, [numberedShare(1)])).applied);
  });

  test('comes to the same books when an older copy of the store is shipped to again', async () => {
    const [journal, other] = [newJournal(), newJournal()];
    const records = Array.from({ length: 60 }, (_, at) => numberedShare(at, { work: BigInt(at) }));
    await apply(journal, 0, records.slice(0, 20));
    const copy = await copyOf(redis);
    await apply(other, 0, records.slice(40));
    await apply(journal, 20, records.slice(20, 40));
    const whole = await everything();
    await copy.restore();
    assert.equal(await readWatermark(redis, CHAIN, journal), 20);
    assert.equal(await readWatermark(redis, CHAIN, other), 0);
    await apply(other, 0, records.slice(40));
    assert.include(await apply(journal, 40, []), { applied: false, watermark: 20 });
    await apply(journal, 20, records.slice(20, 40));
    assert.deepEqual(await everything(), whole);
  });

  test('books a gap that is lost', async () => {
    const journal = newJournal();
    const batch = { journal, chain: CHAIN, from: 0, to: 5_000, isLost: true };
    const applied = await applyBatch(redis, batch, foldBatch([], NOW_MS), NOW_MS, () => undefined);
    assert.include(applied, { applied: true, watermark: 5_000 });
    assert.equal(await redis.hget(keys.totals(CHAIN), 'lost'), '5000');
    const again = await applyBatch(redis, batch, foldBatch([], NOW_MS), NOW_MS, () => undefined);
    assert.isFalse(again.applied);
    assert.equal(await redis.hget(keys.totals(CHAIN), 'lost'), '5000');
  });

  test('takes one client command a batch, however large, once the script is known', async () => {
    const shares = Array.from({ length: 2_000 }, (_, at) =>
      numberedShare(at, {
        worker: `address${at % 700}.rig${at}`,
        height: at % 9,
        timeMs: at * 5_000_000 + 1,
      }),
    );
    await redis.script('FLUSH');
    let commands = 0;
    const count = () => void (commands += 1);
    const fold = foldBatch(shares, NOW_MS * 2);
    const batch = { journal: newJournal(), chain: CHAIN, from: 0, to: 2_000, isLost: false };
    const applied = await applyBatch(redis, batch, fold, NOW_MS, count);
    assert.equal(applied.counted, 2_000);
    assert.equal(commands, 2); // EVALSHA, NOSCRIPT, EVAL.
    await applyBatch(redis, { ...batch, from: 2_000, to: 4_000 }, fold, NOW_MS, count);
    assert.equal(commands, 3);
    assert.equal(await redis.zcard(keys.workerIndex(CHAIN)), 0); // All long ago.
  });

  test('lets identities, series and strangers end by themselves', async () => {
    await apply(newJournal(), 0, [share(), rejects({ worker: 'stranger' })]);
    const hour = Math.floor(share().timeMs / 3_600_000);
    assert.equal(await redis.ttl(keys.identityBucket(CHAIN, share().height)), 26 * 3_600);
    assert.equal(await redis.ttl(keys.worker(CHAIN, share().worker)), 30 * 86_400);
    assert.equal(await redis.ttl(keys.worker(CHAIN, 'stranger')), 3_600);
    // Written with the times of 2023, so its day has passed.
    assert.equal(await redis.exists(keys.series(CHAIN, 'pool', hour)), 0);
    assert.deepEqual(await redis.zrange(keys.workerIndex(CHAIN), 0, '-1'), [share().worker]);
  });
});

describe('sums', () => {
  test('are those of exact integers, whatever the work and the batches', async () => {
    const work = fc.oneof(
      fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
      fc.constantFrom((1n << 128n) - 1n, (1n << 40n) - 1n, 1n << 40n, (1n << 80n) - 1n, 0n, 1n),
    );
    const record = fc.record({
      number: fc.nat(60),
      worker: fc.constantFrom('a.1', 'a.2', 'b'),
      height: fc.constantFrom(5, 6),
      mode: fc.constantFrom('pool' as const, 'solo' as const),
      work,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(record, { maxLength: 40 }), { maxLength: 6 }),
        async (batches) => {
          await redis.flushall();
          const journals = [newJournal(), newJournal()];
          const at = [0, 0];
          const seen = new Set<string>();
          const model = {
            pool: 0n,
            solo: 0n,
            workers: new Map<string, bigint>(),
            users: new Map<string, bigint>(),
          };
          for (const [index, batch] of batches.entries()) {
            const which = index % 2;
            const records = batch.map(({ number, ...rest }) => numberedShare(number, rest));
            await apply(journals[which] ?? '', at[which] ?? 0, records);
            at[which] = (at[which] ?? 0) + records.length;
            for (const { identity, height, worker, mode, work: value } of records) {
              const key = `${height} ${Buffer.from(identity).toString('hex')}`;
              if (seen.has(key)) continue;
              seen.add(key);
              model[mode] += value;
              model.workers.set(worker, (model.workers.get(worker) ?? 0n) + value);
              const user = worker.slice(0, 1);
              if (mode === 'pool') model.users.set(user, (model.users.get(user) ?? 0n) + value);
            }
          }
          assert.equal(await sum(keys.totals(CHAIN), 'work'), model.pool);
          assert.equal(await sum(keys.totals(CHAIN), 'soloWork'), model.solo);
          assert.equal(await sum(keys.round(CHAIN, '1'), 'work'), model.pool);
          for (const [worker, value] of model.workers)
            assert.equal(await sum(keys.worker(CHAIN, worker), 'work'), value);
          for (const [user, value] of model.users)
            assert.equal(await sum(`${keys.round(CHAIN, '1')}:users`, user), value);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('are kept by minute, for the pool and each worker', async () => {
    const nowMs = Date.now();
    const hour = Math.floor(nowMs / 3_600_000);
    const minute = (number: number) => hour * 3_600_000 + number * 60_000;
    const records = [
      numberedShare(1, { timeMs: minute(0), work: 1n << 100n }),
      numberedShare(2, { timeMs: minute(0) + 59_999, work: 5n }),
      numberedShare(3, { timeMs: minute(-1), work: 7n, worker: 'other' }),
    ];
    const fold = foldBatch(records, nowMs);
    const batch = { journal: newJournal(), chain: CHAIN, from: 0, to: 3, isLost: false };
    await applyBatch(redis, batch, fold, nowMs, () => undefined);
    const pool = keys.series(CHAIN, 'pool', hour);
    assert.deepEqual(await redis.hgetall(pool), { 0: ((1n << 100n) + 5n).toString(16) });
    assert.deepEqual(await redis.hgetall(keys.series(CHAIN, 'worker:other', hour - 1)), {
      59: '7',
    });
    assert.isAtLeast(await redis.ttl(pool), 25 * 3_600);
    assert.isAtMost(await redis.ttl(pool), 26 * 3_600);
  });

  test('of rejects are kept by reason, for the pool and each worker', async () => {
    const journal = newJournal();
    await apply(journal, 0, [rejects({ count: 2 }), rejects({ worker: 'w', count: 5 })]);
    await apply(journal, 2, [
      rejects({ count: 1 }),
      rejects({ worker: 'w', reason: 'stale_job', count: 9 }),
    ]);
    assert.deepEqual(await redis.hgetall(keys.rejects(CHAIN)), {
      low_difficulty: '8',
      stale_job: '9',
    });
    const worker = await redis.hgetall(keys.worker(CHAIN, 'w'));
    assert.deepEqual(worker, { 'rejected:low_difficulty': '5', 'rejected:stale_job': '9' });
  });
});

describe('the last and the best share', () => {
  test('are never replaced by older or worse ones', async () => {
    const [a, b] = [newJournal(), newJournal()];
    await apply(a, 0, [numberedShare(1, { timeMs: 500, achievedDifficulty: 3, difficulty: 2 })]);
    await apply(b, 0, [numberedShare(2, { timeMs: 400, achievedDifficulty: 1e21, difficulty: 1 })]);
    await apply(a, 1, [numberedShare(3, { timeMs: 450, achievedDifficulty: 9, difficulty: 1 })]);
    const worker = await redis.hgetall(keys.worker(CHAIN, share().worker));
    assert.deepInclude(worker, {
      lastMs: '500',
      lastDifficulty: '2',
      best: '1e+21',
      bestMs: '400',
    });
    const totals = await redis.hgetall(keys.totals(CHAIN));
    assert.deepInclude(totals, {
      lastMs: '500',
      best: '1e+21',
      bestMs: '400',
      bestWorker: share().worker,
    });
    assert.equal(await redis.hget(keys.round(CHAIN, '1'), 'best'), '1e+21');
  });
});

describe('blocks and rounds', () => {
  const { hash } = candidate();
  const identity = Uint8Array.from(Buffer.from(hash, 'hex').reverse());

  test('a candidate is submitted, then accepted, and closes the round with its sums', async () => {
    const journal = newJournal();
    const solving = share({ identity, solvesBlock: true, work: 40n });
    const first = await apply(journal, 0, [solving, candidate()]);
    assert.deepEqual(first.changes, [{ hash, state: 'submitted', height: 840_000, reason: '' }]);
    const second = await apply(journal, 2, [
      numberedShare(1, { work: 2n }),
      settled({ outcome: 'accepted', reason: '' }),
    ]);
    assert.deepEqual(second.changes, [{ hash, state: 'accepted', height: 840_000, reason: '' }]);
    await apply(journal, 4, [numberedShare(2, { work: 3n })]);

    const block = await redis.hgetall(keys.block(CHAIN, hash));
    assert.deepInclude(block, {
      state: 'accepted',
      mode: 'pool',
      round: '1',
      worker: candidate().worker,
    });
    assert.equal(BigInt(`0x${block['roundWork'] ?? ''}`), 42n);
    assert.equal(await redis.hget(keys.totals(CHAIN), 'round'), '2');
    assert.equal(await sum(keys.round(CHAIN, '1'), 'work'), 42n);
    assert.equal(await sum(keys.round(CHAIN, '2'), 'work'), 3n);
    assert.equal(await redis.hget(keys.round(CHAIN, '1'), 'block'), hash);
    assert.deepEqual(await redis.zrange(keys.blockIndex(CHAIN), 0, '-1', 'WITHSCORES'), [
      ...[hash, String(candidate().timeMs)],
    ]);
  });

  test('a block is recorded once, and closes one round, from however many journals', async () => {
    for (let journal = 0; journal < 3; journal += 1)
      await apply(newJournal(), 0, [candidate(), settled({ outcome: 'duplicate' })]);
    assert.equal(await redis.zcard(keys.blockIndex(CHAIN)), 1);
    assert.equal(await redis.hget(keys.totals(CHAIN), 'round'), '2');
  });

  test('an acceptance stands against later refusals, a refusal gives way to an acceptance', async () => {
    const journal = newJournal();
    await apply(journal, 0, [candidate(), settled({ outcome: 'rejected', reason: 'high-hash' })]);
    assert.deepInclude(await redis.hgetall(keys.block(CHAIN, hash)), {
      state: 'rejected',
      reason: 'high-hash',
    });
    assert.equal(await redis.hget(keys.totals(CHAIN), 'round'), '1');
    await apply(journal, 2, [settled({ outcome: 'accepted', reason: '' })]);
    const late = await apply(journal, 3, [settled({ outcome: 'rejected' }), candidate()]);
    assert.deepEqual(late.changes, []);
    assert.equal(await redis.hget(keys.block(CHAIN, hash), 'state'), 'accepted');
    assert.equal(await redis.hget(keys.totals(CHAIN), 'round'), '2');
  });

  test('a block of a solo miner closes no round, and solo work is in none', async () => {
    const solving = share({ identity, solvesBlock: true, mode: 'solo', work: 40n });
    await apply(newJournal(), 0, [solving, candidate(), settled({ outcome: 'accepted' })]);
    assert.deepInclude(await redis.hgetall(keys.block(CHAIN, hash)), {
      state: 'accepted',
      mode: 'solo',
    });
    assert.equal(await redis.hget(keys.totals(CHAIN), 'round'), '1');
    assert.equal(await sum(keys.totals(CHAIN), 'soloWork'), 40n);
    assert.equal(await sum(keys.round(CHAIN, '1'), 'work'), 0n);
  });

  test('several blocks in one batch close several rounds', async () => {
    const hashes = ['1', '2', '3'].map((digit) => digit.repeat(64));
    const records = hashes.flatMap((each) => [
      candidate({ hash: each }),
      settled({ hash: each, outcome: 'accepted' }),
    ]);
    const { changes } = await apply(newJournal(), 0, [numberedShare(1, { work: 9n }), ...records]);
    assert.deepEqual(
      changes.map(({ state }) => state),
      ['accepted', 'accepted', 'accepted'],
    );
    assert.equal(await redis.hget(keys.totals(CHAIN), 'round'), '4');
    const works = await Promise.all(
      hashes.map((each) => sum(keys.block(CHAIN, each), 'roundWork')),
    );
    assert.deepEqual(works, [9n, 0n, 0n]);
  });
});

test('registerJournal() keeps the first registration', async () => {
  const journalId = newJournal();
  await registerJournal(redis, { chain: CHAIN, journalId, openedMs: 1, instance: 'one' });
  await registerJournal(redis, { chain: CHAIN, journalId, openedMs: 2, instance: 'two' });
  const stored = await redis.hget(keys.journals(CHAIN), journalId);
  assert.deepEqual(JSON.parse(stored ?? ''), { openedMs: 1, instance: 'one' });
});

/** A copy of all keys, to be put back: the store as it was. */
async function copyOf(client: Redis) {
  const all = await client.keys('*');
  const dumps = await Promise.all(all.map((key) => client.dumpBuffer(key)));
  return {
    async restore() {
      await client.flushall();
      for (const [at, key] of all.entries()) {
        const dump = dumps[at];
        if (dump != null) await client.restore(key, 0, dump);
      }
    },
  };
}
