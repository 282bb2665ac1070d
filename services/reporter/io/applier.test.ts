import { Registry } from '@prometheus-io/client';
import { afterAll, assert, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createMemoryMesh } from '#libs/bus/memory-bus.ts';
import type { BlockChanged } from '#libs/contracts/block-changed.ts';
import { keys } from '#libs/contracts/keys.ts';
import { type SharesApply, sharesApply } from '#libs/contracts/shares-apply.ts';
import {
  metricValue,
  openIn,
  settingsIn,
  tempFolder,
  writeShares,
} from '#libs/journal/journal.fixture.ts';
import type { Journal } from '#libs/journal/journal.ts';
import { readWatermark } from '#libs/journal/journal-store.ts';
import {
  candidate,
  numberedShare,
  quietLog,
  settled,
  share,
} from '#libs/journal/record.fixture.ts';
import { encodeRecord } from '#libs/journal/record-codec.ts';
import { createShipper } from '#libs/journal/shipper.ts';
import { connectRedis } from '#libs/runtime/redis.ts';
import { startRedis, type TestRedis } from '#test/harness/redis.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { createMetrics } from '../metrics.ts';
import { createApplier } from './applier.ts';

const JOURNAL = 'ab'.repeat(16);
let server: TestRedis;

beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(async () => void (await server.client.flushall()));

function applierOn(redis = server.client) {
  const published: BlockChanged[] = [];
  const registry = new Registry();
  const applier = createApplier({
    ...{ redis, log: quietLog, metrics: createMetrics(registry), nowMs: () => Date.now() },
    publish: (change) => void published.push(change),
  });
  return { applier, published, registry };
}

function request(change: Partial<SharesApply> = {}): SharesApply {
  return { journal: JOURNAL, chain: 'btc', from: 0, to: 1, lost: false, ...change };
}

describe('shares.apply', () => {
  test('applies records, tells the watermark, and publishes what became of blocks', async () => {
    const { applier, published } = applierOn();
    const records = [numberedShare(1), candidate(), settled({ outcome: 'accepted', reason: '' })];
    const packed = Buffer.concat(records.map(encodeRecord));
    const applied = await applier.apply(request({ to: 3 }), [packed]);
    assert.deepEqual(applied, { applied: true, watermark: 3 });
    const again = await applier.apply(request({ to: 3 }), [packed]);
    assert.deepEqual(again, { applied: false, watermark: 3 });
    const { hash, height } = candidate();
    assert.deepEqual(published, [{ chain: 'btc', hash, height, state: 'accepted', reason: '' }]);
  });

  test('refuses records that are broken or not as many as said, and changes nothing', async () => {
    const { applier } = applierOn();
    const good = encodeRecord(share());
    const broken = Buffer.from(good);
    broken[20] = (broken[20] ?? 0) ^ 1;
    for (const [change, packed] of [
      [{}, broken],
      [{}, good.subarray(0, -1)],
      [{ to: 2 }, good],
      [{ to: 0 }, good],
      [{ from: 5, to: 4 }, new Uint8Array()],
      [{ to: 1 }, undefined],
    ] as const)
      await expect(
        applier.apply(request(change), packed === undefined ? [] : [packed]),
      ).rejects.toThrow();
    assert.deepEqual(await server.client.keys('*'), []);
  });

  test('books a lost gap with its number', async () => {
    const { applier, registry } = applierOn();
    const applied = await applier.apply(request({ to: 9_000, lost: true }), []);
    assert.deepEqual(applied, { applied: true, watermark: 9_000 });
    const metric = await registry.getSingleMetric('seam_books_lost_records_total')?.get();
    assert.equal(metric?.values[0]?.value, 9_000);
  });

  test('works on one batch of a journal at a time', async () => {
    const { applier } = applierOn();
    const packed = encodeRecord(share());
    const first = applier.apply(request(), [packed]);
    await expect(applier.apply(request(), [packed])).rejects.toThrow(/in flight/);
    assert.isTrue((await first).applied);
    await applier.idle();
    assert.deepEqual(await applier.apply(request(), [packed]), { applied: false, watermark: 1 });
  });
});

describe('from journals to the books', () => {
  test('every share counts once: two journals, two reporters, Redis killed and emptied meanwhile', async () => {
    await using folder = await tempFolder();
    await using mesh = new AsyncDisposableStack();
    const memory = createMemoryMesh();
    const join = (role: 'reporter' | 'stratum-server', id: string) =>
      mesh.use(memory.join({ role, id, bootId: id.padStart(16, '0') }));
    for (const id of ['1', '2']) {
      const redis = connectRedis(server.url, quietLog);
      mesh.defer(() => redis.disconnect());
      const { applier } = applierOn(redis);
      join('reporter', id).serve(sharesApply, (batch, origin) =>
        applier.apply(batch, origin.attachments),
      );
    }
    const bus = join('stratum-server', '3');
    const settings = settingsIn(folder.path);
    const journals = [mesh.use(await openIn(settings)), mesh.use(await openIn(settings))];
    for (const journal of journals) mesh.use(shipperOf(journal));

    function shipperOf(journal: Journal) {
      const { nowMs, log, metrics } = settings;
      const watermark = () => readWatermark(server.client, 'btc', journal.id);
      return createShipper({
        ...{ journal, bus, watermark, nowMs, log, metrics, intervalMs: 5 },
        checkMs: 50,
      });
    }
    const [first, second] = journals;
    assert(first && second);
    const counted = () => server.client.hget(keys.totals('btc'), 'shares');

    writeShares(first, 0, 600, 50);
    writeShares(second, 500, 900, 50); // 100 of them reached both.
    await waitFor(async () => (await counted()) === '900');
    await server.kill();
    writeShares(first, 900, 1_200, 50);
    await server.start(); // From its append-only file.
    await waitFor(async () => (await counted()) === '1200');
    await server.kill();
    writeShares(second, 1_200, 1_300, 50);
    await server.start({ empty: true }); // Rebuilt from the journals.
    await waitFor(async () => (await counted()) === '1300');
    assert.equal(await server.client.hget(keys.totals('btc'), 'lost'), null);
    assert.equal(await metricValue(settings, 'seam_journal_lost_records_total'), 0);
    const work = BigInt(`0x${(await server.client.hget(keys.totals('btc'), 'work')) ?? ''}`);
    assert.equal(work, 1_300n * share().work);
  });
});
