import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { judgeShare, ntimeRangeOf, type ShareCheck } from './share.ts';

const GOOD: ShareCheck = {
  powNumber: 900n,
  networkTarget: 10n,
  jobTarget: 1_000n,
  isStale: false,
  isFirstSubmit: true,
  ntime: 50,
  ntimeRange: { min: 10, max: 100 },
};
const judge = (changes: Partial<ShareCheck>) => judgeShare({ ...GOOD, ...changes });

describe('judgeShare()', () => {
  test.each([
    ['a good share', {}, { kind: 'accepted', solvesBlock: false, creditedTarget: 1_000n }],
    ['one that just meets its target', { powNumber: 1_000n }, { kind: 'accepted' }],
    ['one above its target', { powNumber: 1_001n }, { kind: 'rejected', reason: 'low_difficulty' }],
    ['a stale one', { isStale: true }, { kind: 'rejected', reason: 'stale_job' }],
    ['an old ntime', { ntime: 9 }, { kind: 'rejected', reason: 'ntime_too_old' }],
    ['a new ntime', { ntime: 101 }, { kind: 'rejected', reason: 'ntime_too_new' }],
    ['a repeated one', { isFirstSubmit: false }, { kind: 'rejected', reason: 'duplicate' }],
    [
      'stale before anything else',
      { isStale: true, ntime: 0, isFirstSubmit: false },
      { reason: 'stale_job' },
    ],
    [
      'duplicate before difficulty',
      { isFirstSubmit: false, powNumber: 2_000n },
      { reason: 'duplicate' },
    ],
    ['a block', { powNumber: 10n }, { kind: 'accepted', solvesBlock: true }],
    ['a late block', { powNumber: 10n, isStale: true }, { kind: 'accepted', solvesBlock: true }],
    [
      'a repeated block',
      { powNumber: 1n, isFirstSubmit: false },
      { reason: 'duplicate', solvesBlock: true },
    ],
    [
      'one of an easier difficulty that came since (ESP-Miner#212)',
      { powNumber: 1_500n, easierTarget: 2_000n },
      { kind: 'accepted', creditedTarget: 2_000n },
    ],
    [
      'one that meets its job’s difficulty though an easier one came since',
      { powNumber: 900n, easierTarget: 2_000n },
      { kind: 'accepted', creditedTarget: 1_000n },
    ],
    [
      'one for a job with the easier difficulty after it was raised',
      { powNumber: 900n, easierTarget: 500n },
      { kind: 'accepted', creditedTarget: 1_000n },
    ],
    [
      'a block that is easier than a share, on a test chain',
      { powNumber: 5_000n, networkTarget: 6_000n },
      { kind: 'accepted', solvesBlock: true, creditedTarget: 6_000n },
    ],
  ] as const)('%s', (_, changes, expected) => {
    expect(judge(changes)).toMatchObject(expected);
  });

  test('tells of every block, and credits nothing a share does not meet', () => {
    const number = fc.bigInt({ min: 0n, max: 100n });
    const check = fc.record({
      powNumber: number,
      networkTarget: number,
      jobTarget: number,
      easierTarget: fc.option(number, { nil: undefined }),
      isStale: fc.boolean(),
      isFirstSubmit: fc.boolean(),
      ntime: fc.integer({ min: 0, max: 110 }),
      ntimeRange: fc.constant(GOOD.ntimeRange),
    });
    fc.assert(
      fc.property(check, (given) => {
        const verdict = judgeShare(given);
        expect(verdict.solvesBlock).toBe(given.powNumber <= given.networkTarget);
        if (verdict.kind === 'accepted')
          expect(given.powNumber <= verdict.creditedTarget).toBe(true);
      }),
    );
  });
});

describe('ntimeRangeOf()', () => {
  test('begins at the lowest time a block may carry and ends two hours ahead', () => {
    expect(ntimeRangeOf({ mintime: 100, curtime: 500 }, 600_999)).toEqual({ min: 100, max: 7_800 });
  });

  test('follows the job where our clock is behind, and stays 32 bits', () => {
    expect(ntimeRangeOf({ mintime: 100, curtime: 500 }, 0).max).toBe(7_700);
    expect(ntimeRangeOf({ mintime: 0, curtime: 0xffff_ffff }, 0).max).toBe(0xffff_ffff);
  });
});
