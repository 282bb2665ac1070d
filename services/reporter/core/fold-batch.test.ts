import { assert, describe, test } from 'vitest';
import { candidate, numberedShare, rejects, settled, share } from '#libs/journal/record.fixture.ts';
import { ENTRY_BYTES, foldBatch, userOf } from './fold-batch.ts';

const NOW_MS = 1_700_000_100_000;

function entry(entries: Uint8Array, at: number) {
  const bytes = Buffer.from(entries.subarray(at * ENTRY_BYTES, (at + 1) * ENTRY_BYTES));
  const limb = (index: number) => BigInt(bytes.readUIntLE(16 + index * 5, 5)) << BigInt(index * 40);
  return {
    identity: bytes.subarray(0, 12).toString('hex'),
    bucket: bytes.readUInt16LE(12),
    slot: bytes.readUInt16LE(14),
    work: limb(0) + limb(1) + limb(2) + limb(3),
  };
}

describe('foldBatch()', () => {
  test('gives each share its bucket, its slot and its exact work', () => {
    const shares = [
      numberedShare(1, { height: 10, worker: 'a.x', timeMs: 60_000, work: (1n << 128n) - 1n }),
      numberedShare(2, { height: 11, worker: 'b', timeMs: 119_999, work: 1n }),
      numberedShare(3, { height: 10, worker: 'a.x', timeMs: 60_001, work: 1n << 40n }),
      numberedShare(4, {
        height: 10,
        worker: 'a.x',
        timeMs: 60_001,
        mode: 'solo',
        work: 2n ** 79n,
      }),
    ];
    const fold = foldBatch(shares, NOW_MS);
    assert.deepEqual(fold.heights, [10, 11]);
    assert.deepEqual(
      [0, 1, 2, 3].map((at) => entry(fold.entries, at)),
      shares.map(({ identity, work }, at) => ({
        identity: Buffer.from(identity.subarray(0, 12)).toString('hex'),
        bucket: [0, 1, 0, 0][at] ?? -1,
        slot: [0, 1, 0, 2][at] ?? -1,
        work,
      })),
    );
    assert.deepEqual(fold.slots, [
      { worker: 0, minute: 1, isSolo: false },
      { worker: 1, minute: 1, isSolo: false },
      { worker: 0, minute: 1, isSolo: true },
    ]);
  });

  test('keeps the last and the best share of a worker, whatever the order', () => {
    const shares = [
      share({ timeMs: 300, difficulty: 3, achievedDifficulty: 5 }),
      share({ timeMs: 100, difficulty: 1, achievedDifficulty: 50 }),
      share({ timeMs: 200, difficulty: 2, achievedDifficulty: 7 }),
    ];
    for (const order of [shares, shares.toReversed()]) {
      const [worker] = foldBatch(order, NOW_MS).workers;
      assert.equal(worker?.lastShareMs, 300);
      assert.equal(worker?.lastDifficulty, 3);
      assert.equal(worker?.bestDifficulty, 50);
      assert.equal(worker?.bestMs, 100);
    }
  });

  test('takes the future for now', () => {
    const { slots, workers } = foldBatch([share({ timeMs: NOW_MS + 9_999_999 })], NOW_MS);
    assert.equal(workers[0]?.lastShareMs, NOW_MS);
    assert.equal(slots[0]?.minute, Math.floor(NOW_MS / 60_000));
  });

  test('sums rejects by worker and reason, also of workers without a share', () => {
    const fold = foldBatch(
      [
        rejects({ count: 2 }),
        rejects({ count: 3 }),
        rejects({ worker: 'z', reason: 'stale_job', count: 1 }),
      ],
      NOW_MS,
    );
    assert.deepEqual(
      fold.workers.map(({ name, hasShares, rejects: sums }) => [name, hasShares, sums]),
      [
        [rejects().worker, false, [['low_difficulty', 5]]],
        ['z', false, [['stale_job', 1]]],
      ],
    );
  });

  test('says of a block what the batch says, acceptance above all', () => {
    const { hash } = candidate();
    const identity = Uint8Array.from(Buffer.from(hash, 'hex').reverse());
    const { blocks } = foldBatch(
      [
        share({ identity, solvesBlock: true, mode: 'solo' }),
        candidate({ submission: 'not JSON' }),
        settled({ outcome: 'duplicate', timeMs: 5, reason: '' }),
        settled({ outcome: 'rejected', timeMs: 6 }),
      ],
      NOW_MS,
    );
    const { worker, height, timeMs } = candidate();
    assert.deepEqual(blocks, [
      {
        hash,
        mode: 'solo',
        found: { worker, height, timeMs, jobId: '', nbits: 0, valueSat: 0 },
        settled: { state: 'accepted', timeMs: 5, reason: '' },
      },
    ]);
  });

  test('counts what it does not know', () => {
    const fold = foldBatch([{ kind: 'unknown', tag: 9 }], NOW_MS);
    assert.equal(fold.unknownCount, 1);
    assert.equal(fold.shareCount, 0);
  });
});

test('userOf() is the address of a worker', () => {
  assert.equal(userOf('bc1qaddress.rig.1'), 'bc1qaddress');
  assert.equal(userOf('bc1qaddress'), 'bc1qaddress');
});
