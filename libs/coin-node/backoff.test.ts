import fc from 'fast-check';
import { assert, suite, test } from 'vitest';
import { backoffMs } from './backoff.ts';

suite('backoffMs()', () => {
  test('doubles up to its limit, half of it left to chance', () => {
    assert.equal(backoffMs(0, 1), 0);
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6, 99].map((failures) => backoffMs(failures, 1)),
      [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000],
    );
    assert.equal(backoffMs(3, 0), 500);
  });

  test('is bounded whatever comes', () => {
    fc.assert(
      fc.property(fc.integer(), fc.double({ noNaN: true }), (failures, random) => {
        const waitMs = backoffMs(failures, random);
        assert.isTrue(waitMs >= 0 && waitMs <= 5_000);
        assert.equal(waitMs === 0, failures < 1);
      }),
    );
  });
});
