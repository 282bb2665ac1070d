import fc from 'fast-check';
import { assert, describe, test } from 'vitest';
import { hashratesOf, hoursOf, WINDOWS } from './hashrate.ts';

const MINUTE_MS = 60_000;
const NOW_MINUTE = 28_333_340;
const NOW_MS = NOW_MINUTE * MINUTE_MS + 30_000; // Half of the minute has passed.

describe('hashratesOf()', () => {
  test('is the work of the window over its time', () => {
    const series = new Map<number, bigint>(
      Array.from({ length: 120 }, (_, at) => [NOW_MINUTE - at, 6_000n] as const),
    );
    series.set(NOW_MINUTE, 3_000n);
    const rates = hashratesOf(series, 1, NOW_MS);
    assert.deepEqual(rates, { '1m': 100, '5m': 100, '1h': 100 });
  });

  test('measures who began within the window since then, but not below 30 s', () => {
    const series = new Map([[NOW_MINUTE, 6_000n]]);
    assert.equal(hashratesOf(series, NOW_MS - 60_000, NOW_MS)['1h'], 100);
    assert.equal(hashratesOf(series, NOW_MS - 1, NOW_MS)['1h'], 200);
  });

  test('is 0 without shares, and forgets what is older than the window', () => {
    assert.deepEqual(hashratesOf(new Map(), 0, NOW_MS), { '1m': 0, '5m': 0, '1h': 0 });
    const old = new Map([[NOW_MINUTE - 2, 1_000n]]);
    assert.equal(hashratesOf(old, 1, NOW_MS)['1m'], 0);
    assert.isAbove(hashratesOf(old, 1, NOW_MS)['5m'], 0);
  });
});

test('hoursOf() covers every minute of the window', () => {
  fc.assert(
    fc.property(fc.integer({ min: 10 ** 12, max: 2 ** 41 }), (nowMs) => {
      for (const minutes of Object.values(WINDOWS)) {
        const hours = hoursOf(nowMs, minutes);
        const current = Math.floor(nowMs / MINUTE_MS);
        for (const minute of [current, current - minutes])
          assert.include(hours, Math.floor(minute / 60));
        assert.isAtMost(hours.length, 2);
      }
    }),
  );
});
