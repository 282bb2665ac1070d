import fc from 'fast-check';
import { assert, describe, test } from 'vitest';
import { waitFor } from '#test/harness/wait-for.ts';
import type { Bus } from '#libs/bus/bus.ts';
import { BusError } from '#libs/bus/errors.ts';
import type { ReplyOf, RequestOf, Rpc } from '#libs/contracts/define.ts';
import type { SharesApplied, SharesApply } from '#libs/contracts/shares-apply.ts';
import type { Journal } from './journal.ts';
import {
  metricValue,
  openIn,
  range,
  settingsIn,
  sharesIn,
  tempFolder,
  writeShares,
} from './journal.fixture.ts';
import { createShipper } from './shipper.ts';

/** What happens to one call: the batch is applied or not, the reply arrives or not. */
type Fate = 'fine' | 'reply_lost' | 'request_lost' | 'late' | 'twice';

/** The books as one number and a list, with the rule of shares.apply, behind a bus that loses and repeats. */
class ModelStore {
  watermark = 0;
  counted: number[] = [];
  lost: string[] = [];
  calls = 0;
  inFlight = 0;
  inFlightMax = 0;
  batchMax = 0;
  isAway = false;
  /** Calls whose requests arrive only after a later call. */
  readonly #late: (() => void)[] = [];
  readonly #fates: Iterator<Fate>;

  constructor(fates: Iterable<Fate> = []) {
    this.#fates = fates[Symbol.iterator]();
  }

  apply({ from, to, lost }: SharesApply, packed: Uint8Array | undefined): SharesApplied {
    if (from !== this.watermark) return { applied: false, watermark: this.watermark };
    if (lost) this.lost.push(`${from}-${to}`);
    else this.counted.push(...sharesIn(packed ?? new Uint8Array()));
    this.batchMax = Math.max(this.batchMax, to - from);
    this.watermark = to;
    return { applied: true, watermark: to };
  }

  /** The books of an older copy: everything behind `watermark` was forgotten. */
  restore(watermark: number): void {
    this.watermark = watermark;
    this.counted = this.counted.slice(0, watermark);
  }

  readonly bus: Pick<Bus, 'call'> = {
    call: async <R extends Rpc>(_target: unknown, rpc: R, request: RequestOf<R>, options = {}) => {
      this.calls += 1;
      this.inFlight += 1;
      this.inFlightMax = Math.max(this.inFlightMax, this.inFlight);
      try {
        await Promise.resolve();
        if (this.isAway) throw new BusError('no_responder', rpc.name, 'nobody');
        const batch = request as SharesApply; // The only RPC of this test.
        return this.#meet(
          batch,
          (options as { attachments?: Uint8Array[] }).attachments?.[0],
        ) as ReplyOf<R>;
      } finally {
        this.inFlight -= 1;
      }
    },
  };

  #meet(batch: SharesApply, packed: Uint8Array | undefined): SharesApplied {
    const fate = this.#fates.next().value ?? 'fine';
    const timeout = new BusError('timeout', 'shares.apply', 'no reply');
    if (fate === 'request_lost') throw timeout;
    if (fate === 'late') {
      this.#late.push(() => this.apply(batch, packed));
      throw timeout;
    }
    const reply = this.apply(batch, packed);
    for (const arrive of this.#late.splice(0)) arrive();
    if (fate === 'twice') return this.apply(batch, packed);
    if (fate === 'reply_lost') throw timeout;
    return reply;
  }
}

function shipperOf(journal: Journal, store: ModelStore, settings: ReturnType<typeof settingsIn>) {
  const watermark = () =>
    store.isAway ? Promise.reject(new Error('redis is away')) : Promise.resolve(store.watermark);
  const { nowMs, log, metrics } = settings;
  return createShipper({
    journal,
    bus: store.bus,
    watermark,
    nowMs,
    log,
    metrics,
    intervalMs: 1,
    checkMs: 20,
  });
}

describe('the shipper', () => {
  test('ships everything once, in batches of at most 2000, one at a time', async () => {
    await using folder = await tempFolder();
    const settings = settingsIn(folder.path, { segmentBytesMax: 67_108_864 });
    await using journal = await openIn(settings);
    const store = new ModelStore();
    await using shipper = shipperOf(journal, store, settings);
    writeShares(journal, 0, 4_500, 500);
    await shipper.shipNow(AbortSignal.timeout(20_000));
    assert.deepEqual(store.counted, range(0, 4_500));
    assert.equal(store.batchMax, 2_000);
    assert.equal(store.inFlightMax, 1);
    assert.isTrue(shipper.isCaughtUp);
    assert.equal(journal.acknowledged, 4_500);
    writeShares(journal, 4_500, 4_510);
    await waitFor(() => store.counted.length === 4_510);
  });

  test('counts everything once whatever happens to requests and replies', async () => {
    const fate = fc.constantFrom<Fate>('fine', 'reply_lost', 'request_lost', 'late', 'twice');
    await fc.assert(
      fc.asyncProperty(fc.array(fate, { maxLength: 12 }), async (fates) => {
        await using folder = await tempFolder();
        const settings = settingsIn(folder.path);
        await using journal = await openIn(settings);
        const store = new ModelStore(fates);
        await using shipper = shipperOf(journal, store, settings);
        writeShares(journal, 0, 700, 50);
        await shipper.shipNow(AbortSignal.timeout(30_000));
        assert.deepEqual(store.counted, range(0, 700));
        assert.equal(store.inFlightMax, 1);
      }),
      { numRuns: 20 },
    );
  });

  test('ships again when the watermark went back, also while idle', async () => {
    await using folder = await tempFolder();
    const settings = settingsIn(folder.path);
    await using journal = await openIn(settings);
    const store = new ModelStore();
    await using shipper = shipperOf(journal, store, settings);
    writeShares(journal, 0, 500);
    await shipper.shipNow(AbortSignal.timeout(20_000));
    store.restore(120);
    await waitFor(() => store.counted.length === 500);
    assert.deepEqual(store.counted, range(0, 500));
    store.restore(0);
    shipper.recheck();
    await waitFor(() => store.counted.length === 500);
    assert.equal(await metricValue(settings, 'seam_journal_reshipped_records_total'), 880);
  });

  test('follows the watermark in the replies when it cannot read it itself', async () => {
    await using folder = await tempFolder();
    const settings = settingsIn(folder.path);
    await using journal = await openIn(settings);
    const store = new ModelStore(['fine', 'reply_lost', 'fine', 'late']);
    const watermark = () => Promise.reject(new Error('redis is away from here'));
    const { nowMs, log, metrics } = settings;
    await using shipper = createShipper({
      ...{ journal, bus: store.bus, watermark, nowMs, log, metrics },
      intervalMs: 1,
    });
    writeShares(journal, 0, 700);
    await shipper.shipNow(AbortSignal.timeout(20_000));
    assert.deepEqual(store.counted, range(0, 700));
    store.restore(120);
    writeShares(journal, 700, 701);
    await waitFor(() => store.counted.length === 701);
    assert.deepEqual(store.counted, range(0, 701));
  });

  test('ships what is no longer retained as lost, with its number', async () => {
    await using folder = await tempFolder();
    const settings = settingsIn(folder.path, { keepBytesMax: 0 });
    await using journal = await openIn(settings);
    writeShares(journal, 0, 1_000);
    journal.acknowledge(1_000);
    await journal.prune();
    const store = new ModelStore();
    await using shipper = shipperOf(journal, store, settings);
    await waitFor(() => store.watermark === 1_000 && shipper.isCaughtUp);
    const start = store.counted[0] ?? 0;
    assert.isAbove(start, 0);
    assert.deepEqual(store.lost, [`0-${start}`]);
    assert.deepEqual(store.counted, range(start, 1_000));
    assert.equal(await metricValue(settings, 'seam_journal_lost_records_total'), start);
  });

  test('waits while nobody answers and goes on when somebody does', async () => {
    await using folder = await tempFolder();
    const settings = settingsIn(folder.path);
    await using journal = await openIn(settings);
    const store = new ModelStore();
    store.isAway = true;
    await using shipper = shipperOf(journal, store, settings);
    writeShares(journal, 0, 100);
    await waitFor(() => store.calls >= 3);
    assert.isFalse(shipper.isCaughtUp);
    store.isAway = false;
    await waitFor(() => shipper.isCaughtUp);
    assert.deepEqual(store.counted, range(0, 100));
    assert.isAbove(await metricValue(settings, 'seam_journal_ship_errors_total'), 0);
  });

  test('numbers on from the store when the disk lost what it had shipped', async () => {
    await using folder = await tempFolder();
    const settings = settingsIn(folder.path);
    await using journal = await openIn(settings);
    const store = new ModelStore();
    writeShares(journal, 0, 10);
    store.watermark = 15; // Power was lost: shares 10..14 are in the books, not on this disk.
    await using shipper = shipperOf(journal, store, settings);
    await waitFor(() => journal.nextIndex === 15);
    writeShares(journal, 100, 103);
    await shipper.shipNow(AbortSignal.timeout(20_000));
    assert.deepEqual(store.counted, [100, 101, 102]);
    assert.equal(store.watermark, 18);
  });

  test('stops at once, with a batch in flight', async () => {
    await using folder = await tempFolder();
    const settings = settingsIn(folder.path);
    await using journal = await openIn(settings);
    writeShares(journal, 0, 10);
    let calls = 0;
    const bus: Pick<Bus, 'call'> = {
      call: (_target, rpc, _request, options = {}) =>
        new Promise((_resolve, reject) => {
          calls += 1;
          options.signal?.addEventListener('abort', () =>
            reject(new BusError('aborted', rpc.name, 'aborted')),
          );
        }),
    };
    const { nowMs, log, metrics } = settings;
    const shipper = createShipper({ journal, bus, watermark: async () => 0, nowMs, log, metrics });
    const drained = shipper.shipNow(AbortSignal.timeout(20_000));
    await waitFor(() => calls === 1);
    await shipper[Symbol.asyncDispose]();
    await drained;
    assert.equal(calls, 1);
  });
});
