import type { FastifyInstance } from 'fastify';
import { Redis } from 'ioredis';
import { afterAll, assert, beforeAll, beforeEach, describe, test } from 'vitest';
import { chainParams } from '#libs/bitcoin/chains.ts';
import { blocksPage, poolView, workerPage, workersPage } from '#libs/contracts/public-api.ts';
import type { JournalRecord } from '#libs/journal/record.ts';
import { candidate, numberedShare, rejects, settled, share } from '#libs/journal/record.fixture.ts';
import { startRedis, type TestRedis } from '#test/harness/redis.ts';
import { foldBatch } from '../core/fold-batch.ts';
import { applyBatch } from './apply-batch.ts';
import { createBooksReader } from './books-reader.ts';
import { createHttpApi } from './http-api.ts';

const CHAINS = [
  { id: 'devchain', isDevchain: true, params: chainParams('bitcoin', 'regtest') },
  { id: 'ltc', isDevchain: false, params: chainParams('litecoin', 'main') },
];
let server: TestRedis;
let app: FastifyInstance;
let nowMs = Date.now();
const errors: unknown[] = [];

function makeApp(redis: Redis) {
  return createHttpApi({
    poolName: 'A <b>pool</b>',
    chains: CHAINS,
    books: createBooksReader(redis, () => undefined),
    tip: (chain) => (chain === 'devchain' ? { height: 77, nbits: 0x207fffff } : undefined),
    miners: () => ({ connected: 42, isFresh: true }),
    isStoreUp: () => redis.status === 'ready',
    onResponse: () => undefined,
    onError: (error) => errors.push(error),
    nowMs: () => nowMs,
  });
}

beforeAll(async () => {
  server = await startRedis();
  app = await makeApp(server.client);
});
afterAll(async () => {
  await app.close();
  await server[Symbol.asyncDispose]();
  assert.deepEqual(errors, []);
});
beforeEach(async () => {
  nowMs += 10_000; // Nothing remembered from the test before.
  await server.client.flushall();
});

async function book(
  records: readonly JournalRecord[],
  chain = 'devchain',
  journal = '1',
): Promise<void> {
  const batch = {
    journal: journal.padStart(32, '0'),
    chain,
    from: 0,
    to: records.length,
    isLost: false,
  };
  const { applied } = await applyBatch(
    server.client,
    batch,
    foldBatch(records, nowMs),
    nowMs,
    () => undefined,
  );
  assert.isTrue(applied);
}

async function get(url: string) {
  const response = await app.inject({ method: 'GET', url });
  return { status: response.statusCode, body: response.json(), headers: response.headers };
}

describe('GET /api/v1/pool', () => {
  test('shows chains, miners, the round and the last blocks, and that devchain is not real', async () => {
    const recent = { timeMs: nowMs - 1_000, work: 3_000_000n };
    await book([
      numberedShare(1, { worker: 'a.1', ...recent }),
      numberedShare(2, { worker: 'b.1', ...recent }),
      rejects({ reason: 'stale_job', count: 3 }),
      candidate({ timeMs: nowMs - 500 }),
      settled({ outcome: 'accepted', timeMs: nowMs - 400, reason: '' }),
    ]);
    const { status, body } = await get('/api/v1/pool');
    assert.equal(status, 200);
    const view = poolView.parse(body);
    assert.deepEqual(body, view); // Nothing is lost in writing it.
    assert.isFalse(view.isReal);
    assert.match(view.note, /devchain.*not real coins/);
    assert.deepEqual(view.miners, { connected: 42, isFresh: true });
    const [dev, ltc] = view.chains;
    assert(dev && ltc);
    assert.deepInclude(dev, { chain: 'devchain', isDevchain: true, height: 77, workersActive: 2 });
    assert.equal(dev.hashrateHps['1m'], 200_000); // 6 000 000 hashes in 30 s.
    assert.deepInclude(dev.totals, { shares: 2, work: '6000000', rejected: { stale_job: 3 } });
    assert.deepInclude(dev.round, { number: 2, shares: 0 });
    assert.deepInclude(dev.blocks[0], { state: 'accepted', round: 1, height: 840_000 });
    assert.isTrue(ltc.isReal);
  });

  test('is read once a second, however many ask', async () => {
    await server.client.config('RESETSTAT');
    await Promise.all(Array.from({ length: 50 }, () => get('/api/v1/pool')));
    const stats = await server.client.info('commandstats');
    assert.equal(/cmdstat_zcount:calls=(\d+)/.exec(stats)?.[1], '2'); // One a chain.
  });
});

describe('GET /api/v1/workers', () => {
  test('shows one worker on each chain it mines', async () => {
    await book([
      share({ worker: 'addr.rig', timeMs: nowMs - 100, difficulty: 8, achievedDifficulty: 99 }),
      rejects({ worker: 'addr.rig', count: 2 }),
    ]);
    await book([share({ worker: 'addr.rig', timeMs: nowMs - 100, work: 5n })], 'ltc');
    const { status, body } = await get('/api/v1/workers/addr.rig');
    assert.equal(status, 200);
    const page = workerPage.parse(body);
    assert.deepEqual(body, page);
    assert.deepEqual(
      page.chains.map(({ chain }) => chain),
      ['devchain', 'ltc'],
    );
    assert.deepInclude(page.chains[0], {
      ...{ accepted: 1, difficulty: 8, rejected: { low_difficulty: 2 }, lastShareMs: nowMs - 100 },
      best: { difficulty: 99, timeMs: nowMs - 100 },
    });
    const one = workerPage.parse((await get('/api/v1/workers/addr.rig?chain=ltc')).body);
    assert.deepEqual(
      one.chains.map(({ work }) => work),
      ['5'],
    );
  });

  test('lists them by their last share, page by page', async () => {
    const records = Array.from({ length: 25 }, (_, at) =>
      numberedShare(at, { worker: `w${at}`, timeMs: nowMs - at * 10 }),
    );
    await book(records);
    const first = workersPage.parse((await get('/api/v1/workers?limit=10')).body);
    assert.deepEqual(
      first.workers.map(({ worker }) => worker),
      records.slice(0, 10).map(({ worker }) => worker),
    );
    assert.deepInclude(first, { total: 25, offset: 0, limit: 10, chain: 'devchain' });
    const last = workersPage.parse((await get('/api/v1/workers?limit=10&offset=20')).body);
    assert.deepEqual(
      last.workers.map(({ worker }) => worker),
      records.slice(20).map(({ worker }) => worker),
    );
    assert.deepEqual(workersPage.parse((await get('/api/v1/workers?chain=ltc')).body).workers, []);
  });
});

describe('GET /api/v1/blocks', () => {
  test('lists blocks of all chains, latest first, page by page', async () => {
    const blocks = Array.from({ length: 6 }, (_, at) =>
      candidate({ hash: String(at).repeat(64), height: at, timeMs: nowMs - at * 1_000 }),
    );
    await book(blocks.filter((_, at) => at % 2 === 0));
    await book(
      blocks.filter((_, at) => at % 2 === 1),
      'ltc',
    );
    const first = blocksPage.parse((await get('/api/v1/blocks?limit=4')).body).blocks;
    assert.deepEqual(
      first.map(({ height }) => height),
      [0, 1, 2, 3],
    );
    const before = first.at(-1)?.foundMs ?? 0;
    const rest = blocksPage.parse((await get(`/api/v1/blocks?beforeMs=${before}`)).body).blocks;
    assert.deepEqual(
      rest.map(({ height }) => height),
      [4, 5],
    );
    const ltc = blocksPage.parse((await get('/api/v1/blocks?chain=ltc')).body).blocks;
    assert.deepEqual(
      ltc.map(({ height }) => height),
      [1, 3, 5],
    );
    assert.isTrue(ltc.every(({ state }) => state === 'submitted'));
  });
});

describe('bad input', () => {
  const cases = [
    ['/api/v1/workers?limit=0', 400],
    ['/api/v1/workers?limit=101', 400],
    ['/api/v1/workers?limit=ten', 400],
    ['/api/v1/workers?offset=-1', 400],
    ['/api/v1/workers?offset=100001', 400],
    ['/api/v1/workers?chain=doge', 404],
    ['/api/v1/blocks?chain=doge', 404],
    ['/api/v1/blocks?beforeMs=-5', 400],
    ['/api/v1/blocks?limit=1e9', 400],
    ['/api/v1/workers/nobody', 404],
    [`/api/v1/workers/${'x'.repeat(192)}`, 400],
    ['/api/v1/workers/a%00b', 400],
    ['/api/v1/workers/%E0%A4%A', 400],
    [`/api/v1/workers/${'%41'.repeat(300)}`, 400],
    ['/api/v2/pool', 404],
    ['/api/v1/../../etc/passwd', 404],
  ] as const;
  for (const [url, status] of cases) {
    test(`${url.slice(0, 60)} is answered ${status} with a reason`, async () => {
      const response = await get(url);
      assert.equal(response.status, status);
      assert.isNotEmpty(response.body.error.message);
      assert.equal(response.body.error.code, status === 400 ? 'bad_request' : 'not_found');
    });
  }

  test('nothing can be written', async () => {
    for (const method of ['POST', 'PUT', 'DELETE'] as const) {
      const response = await app.inject({ method, url: '/api/v1/pool', payload: '{}' });
      assert.equal(response.statusCode, 404);
    }
  });
});

test('without Redis data is answered 503 with a reason, the rest as ever', async () => {
  const away = new Redis({
    ...{ host: '127.0.0.1', port: 1, maxRetriesPerRequest: 0, enableOfflineQueue: false },
    ...{ lazyConnect: true, retryStrategy: () => null },
  });
  away.on('error', () => undefined);
  const lonely = await makeApp(away);
  for (const url of ['/api/v1/pool', '/api/v1/workers', '/api/v1/workers/a', '/api/v1/blocks']) {
    const response = await lonely.inject(url);
    assert.equal(response.statusCode, 503, url);
    assert.equal(response.json().error.code, 'unavailable');
    assert.equal(response.headers['retry-after'], '2');
  }
  const health = await lonely.inject('/healthz');
  assert.deepEqual([health.statusCode, health.json()], [200, { ok: true, redis: 'away' }]);
  assert.equal((await lonely.inject('/')).statusCode, 200);
  await lonely.close();
  away.disconnect();
});

describe('the page', () => {
  test('is served whole, says what is not real, and escapes the name of the pool', async () => {
    const page = await app.inject('/');
    assert.match(String(page.headers['content-type']), /^text\/html/);
    assert.match(String(page.headers['content-security-policy']), /default-src 'self'/);
    assert.include(page.body, 'these are not real coins');
    assert.include(page.body, 'A &lt;b&gt;pool&lt;/b&gt;');
    assert.notInclude(page.body, '<b>pool');
    for (const path of ['/seam.css', '/seam.js'])
      assert.equal((await app.inject(path)).statusCode, 200);
  });
});

test('the API describes itself', async () => {
  const { body } = await get('/api/v1/openapi.json');
  assert.match(body.openapi, /^3\./);
  assert.sameMembers(Object.keys(body.paths), [
    ...['/api/v1/pool', '/api/v1/workers', '/api/v1/workers/{name}', '/api/v1/blocks'],
  ]);
});
