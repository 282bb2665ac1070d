import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  countShare,
  packVardiff,
  retarget,
  startVardiff,
  suggest,
  unpackVardiff,
  type VardiffRules,
  type VardiffState,
} from './vardiff.ts';

const RULES: VardiffRules = {
  targetSec: 10,
  minDifficulty: 1,
  maxDifficulty: Infinity,
  networkDifficulty: 1e14,
  isFixed: false,
};
const JOB_MS = 25_000;

/** Shares of a miner with steady luck: one each `difficulty / rate` seconds, and a job each 25 s. */
function mine(
  state: VardiffState,
  rules: VardiffRules,
  rate: number,
  fromMs: number,
  forMs: number,
): VardiffState {
  let vardiff = state;
  for (let jobMs = fromMs + JOB_MS; jobMs <= fromMs + forMs; jobMs += JOB_MS) {
    const shares = Math.floor((rate * JOB_MS) / 1000 / vardiff.difficulty);
    for (let share = 0; share < Math.min(shares, 10_000); share += 1)
      vardiff = countShare(
        vardiff,
        shares > 10_000 ? (vardiff.difficulty * shares) / 10_000 : vardiff.difficulty,
      );
    vardiff = retarget(vardiff, rules, jobMs);
  }
  return vardiff;
}

describe('retarget()', () => {
  test.each([
    ['far too low', 1, 10_000],
    ['too low', 50_000, 100_000],
    ['far too high', 1e9, 1_000],
    ['too high', 40_000, 1_000],
  ])('finds the pace of a miner whose start was %s', (_, start, rate) => {
    const settled = mine(startVardiff(start, RULES, 0), RULES, rate, 0, 3_600_000);
    const interval = settled.difficulty / rate;
    expect(interval).toBeGreaterThan(10 / 2.5);
    expect(interval).toBeLessThan(10 * 2.5);
  });

  test('may change at the first job after three shares, then not within 30 s', () => {
    let vardiff = startVardiff(10, RULES, 0);
    for (let share = 0; share < 3; share += 1) vardiff = countShare(vardiff, 10);
    const raised = retarget(vardiff, RULES, 1_000);
    expect(raised.difficulty).toBeGreaterThan(10);
    let again = raised;
    for (let share = 0; share < 100; share += 1) again = countShare(again, raised.difficulty);
    expect(retarget(again, RULES, 30_999)).toBe(again);
    expect(retarget(again, RULES, 31_000).difficulty).toBeGreaterThan(raised.difficulty);
  });

  test('waits for three shares before the first change', () => {
    const two = countShare(countShare(startVardiff(10, RULES, 0), 10), 10);
    expect(retarget(two, RULES, 1_000)).toBe(two);
  });

  test.each([0, 1, 2, 3, 4, 5, 6, 7])('does not answer to chance: %s shares in 30 s', (shares) => {
    let vardiff = { ...startVardiff(100, RULES, 0), isSettled: true };
    for (let share = 0; share < shares; share += 1)
      vardiff = countShare(vardiff, 100) as typeof vardiff;
    expect(retarget(vardiff, RULES, 30_000)).toBe(vardiff);
  });

  test('decays while a miner is idle, down to the floor', () => {
    let vardiff = startVardiff(1_000_000, RULES, 0);
    const difficulties = [vardiff.difficulty];
    for (let nowMs = JOB_MS; nowMs < 3_600_000; nowMs += JOB_MS) {
      vardiff = retarget(vardiff, RULES, nowMs);
      if (vardiff.difficulty !== difficulties.at(-1)) difficulties.push(vardiff.difficulty);
    }
    expect(difficulties).toEqual(difficulties.toSorted((a, b) => b - a));
    expect(vardiff.difficulty).toBe(RULES.minDifficulty);
  });

  test('leaves a fixed difficulty alone but keeps it within bounds', () => {
    const fixed = { ...RULES, isFixed: true };
    const busy = mine(startVardiff(64, fixed, 0), fixed, 1e6, 0, 600_000);
    expect(busy.difficulty).toBe(64);
    expect(retarget(busy, { ...fixed, minDifficulty: 128 }, 700_000).difficulty).toBe(128);
  });

  test('is clamped to the network difficulty, as it is now', () => {
    const vardiff = startVardiff(1_000, RULES, 0);
    expect(retarget(vardiff, { ...RULES, networkDifficulty: 500 }, 1).difficulty).toBe(500);
  });

  test('keeps the floor where the network is easier than that', () => {
    expect(startVardiff(8, { ...RULES, networkDifficulty: 4.6e-10 }, 0).difficulty).toBe(1);
  });

  test('an old habit does not hide a new one', () => {
    const steady = mine(startVardiff(1_000, RULES, 0), RULES, 100, 0, 6 * 3_600_000);
    expect(steady.difficulty).toBe(1_000);
    const faster = mine(steady, RULES, 1_000, 6 * 3_600_000, 300_000);
    expect(faster.difficulty).toBeGreaterThan(3_000);
  });
});

describe('suggest()', () => {
  test('takes what the miner wants, within bounds', () => {
    const vardiff = startVardiff(1_000, RULES, 0);
    expect(suggest(vardiff, 64, RULES, 5).difficulty).toBe(64);
    expect(suggest(vardiff, 0.001, RULES, 5).difficulty).toBe(1);
    expect(suggest(vardiff, 1_000, RULES, 5)).toBe(vardiff);
  });
});

describe('packVardiff()', () => {
  test('comes back as it was', () => {
    const vardiff = countShare(startVardiff(12.5, RULES, 77), 12.5);
    expect(unpackVardiff(packVardiff(vardiff))).toEqual(vardiff);
    expect(unpackVardiff([...packVardiff(vardiff), 99])).toEqual(vardiff);
  });

  test.each([[[]], [[0, 0, 0, 0, 0]], [[NaN, 0, 0, 0, 0]], [[1, 2, -3, 4, 0]], [[1, 2, 3]]])(
    'refuses %s',
    (numbers) => {
      expect(unpackVardiff(numbers)).toBeUndefined();
    },
  );
});

test('whatever happens, the difficulty stays in bounds and changes only by a retarget', () => {
  const positive = fc.double({ min: 1e-6, max: 1e15, noNaN: true });
  const rules = fc.record({
    targetSec: fc.double({ min: 1, max: 120, noNaN: true }),
    minDifficulty: positive,
    maxDifficulty: fc.oneof(positive, fc.constant(Infinity)),
    networkDifficulty: positive,
    isFixed: fc.boolean(),
  });
  const event = fc.oneof(
    fc.record({
      kind: fc.constant('share' as const),
      factor: fc.double({ min: 0.1, max: 1, noNaN: true }),
    }),
    fc.record({
      kind: fc.constant('job' as const),
      afterMs: fc.integer({ min: 0, max: 1_000_000 }),
    }),
    fc.record({ kind: fc.constant('suggest' as const), difficulty: positive }),
  );
  fc.assert(
    fc.property(rules, positive, fc.array(event, { maxLength: 100 }), (given, start, events) => {
      let nowMs = 1_000;
      let vardiff = startVardiff(start, given, nowMs);
      const check = () => {
        const upper = Math.max(
          given.minDifficulty,
          Math.min(given.maxDifficulty, given.networkDifficulty),
        );
        expect(vardiff.difficulty).toBeGreaterThanOrEqual(given.minDifficulty);
        expect(vardiff.difficulty).toBeLessThanOrEqual(upper);
        expect(vardiff.weight).toBeGreaterThanOrEqual(0);
      };
      check();
      for (const happened of events) {
        if (happened.kind === 'share') {
          const before = vardiff.difficulty;
          vardiff = countShare(vardiff, before * happened.factor);
          expect(vardiff.difficulty).toBe(before);
        } else if (happened.kind === 'suggest') {
          vardiff = suggest(vardiff, happened.difficulty, given, nowMs);
        } else {
          nowMs += happened.afterMs;
          vardiff = retarget(vardiff, given, nowMs);
        }
        check();
      }
    }),
    { numRuns: 500 },
  );
});
