import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { targetFromNbits } from '#libs/bitcoin/target.ts';
import {
  difficultyFromTarget,
  difficultyOfHash,
  hashrateHps,
  targetFromDifficulty,
  workFromTarget,
} from './work.ts';

const SHA256D = 0xffffn << 208n;
const SCRYPT = 0xffffn << 224n;
const hex = (target: bigint) => target.toString(16).padStart(64, '0');
const difficulty = fc.double({ min: 1e-12, max: 1e18, noNaN: true });

describe('targetFromDifficulty()', () => {
  // PROTOCOL.md 1.5
  test.each([
    [1, SHA256D, `00000000ffff${'0'.repeat(52)}`],
    [1024, SHA256D, `00000000003fffc0${'0'.repeat(48)}`],
    [64, SCRYPT, `000003fffc${'0'.repeat(54)}`],
  ])('of %s', (value, diff1, expected) => {
    expect(hex(targetFromDifficulty(value, diff1))).toBe(expected);
  });

  test('of 0.001 begins as in PROTOCOL.md; the double’s exact value decides the rest', () => {
    expect(hex(targetFromDifficulty(0.001, SHA256D)).slice(0, 14)).toBe('000003e7fc17ff');
  });

  test('is exact: target x difficulty <= diff1 < (target + 1) x difficulty', () => {
    fc.assert(
      fc.property(difficulty, (value) => {
        const target = targetFromDifficulty(value, SHA256D);
        if (target === (1n << 256n) - 1n) return;
        // The double as a fraction, the slow way: times two until it is whole.
        let scale = 0n;
        let whole = value;
        for (; !Number.isInteger(whole); whole *= 2) scale += 1n;
        const exact = BigInt(whole);
        expect(target * exact <= SHA256D << scale).toBe(true);
        expect((target + 1n) * exact > SHA256D << scale).toBe(true);
      }),
    );
  });

  test('falls when the difficulty rises', () => {
    fc.assert(
      fc.property(difficulty, difficulty, (a, b) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        expect(targetFromDifficulty(high, SCRYPT) <= targetFromDifficulty(low, SCRYPT)).toBe(true);
      }),
    );
  });

  test('is bounded by 2^256 - 1, for subnormal difficulties too', () => {
    expect(targetFromDifficulty(1e-30, SHA256D)).toBe((1n << 256n) - 1n);
    expect(targetFromDifficulty(Number.MIN_VALUE, SHA256D)).toBe((1n << 256n) - 1n);
    expect(targetFromDifficulty(Number.MAX_VALUE, SHA256D)).toBe(0n);
  });

  test.each([0, -1, NaN, Infinity])('refuses %s', (value) => {
    expect(() => targetFromDifficulty(value, SHA256D)).toThrow(RangeError);
  });
});

describe('difficultyOfHash()', () => {
  // Bitcoin block 125552 and Litecoin's genesis: PROTOCOL.md 1.5.
  test.each([
    [
      '00000000000000001e8d6829a8a21adc5d38d0a473b144b6765798e61f98bd1d',
      SHA256D,
      35987218905.508736,
    ],
    [
      '0000050c34a64b415b6b15b37f2216634b5b1669cb9a2e38d76f7213b0671e00',
      SCRYPT,
      50.715611225556124,
    ],
  ])('of %s', (hash, diff1, expected) => {
    expect(difficultyOfHash(BigInt(`0x${hash}`), diff1)).toBe(expected);
  });

  test('of the best possible hash is Infinity', () => {
    expect(difficultyOfHash(0n, SHA256D)).toBe(Infinity);
  });

  test('falls when the hash rises', () => {
    const hash = fc.bigInt({ min: 0n, max: (1n << 256n) - 1n });
    const near = fc
      .tuple(hash, fc.bigInt({ min: 0n, max: 1000n }))
      .map(([a, step]) => [a, a + step] as const);
    fc.assert(
      fc.property(fc.oneof(near, fc.tuple(hash, hash)), ([a, b]) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        expect(difficultyOfHash(high, SHA256D)).toBeLessThanOrEqual(difficultyOfHash(low, SHA256D));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('difficultyFromTarget()', () => {
  test.each([
    [0x1d00ffff, 1],
    [0x1a44b9f2, 244112.48777433642],
    [0x207fffff, 4.6565423739069247e-10],
  ])('of nbits %s', (nbits, expected) => {
    expect(difficultyFromTarget(targetFromNbits(nbits), SHA256D)).toBe(expected);
  });

  test('and back is the same difficulty to 15 digits', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-9, max: 1e18, noNaN: true }), (value) => {
        const back = difficultyFromTarget(targetFromDifficulty(value, SHA256D), SHA256D);
        expect(Math.abs(back / value - 1)).toBeLessThan(1e-15);
      }),
    );
  });
});

describe('workFromTarget()', () => {
  test('is about 2^32 hashes for difficulty 1 of sha256d, 2^16 of scrypt', () => {
    expect(workFromTarget(SHA256D)).toBe(0x1_0001_0001n);
    expect(workFromTarget(SCRYPT)).toBe(0x1_0001n);
  });

  test('is 1 where every hash counts, and 2^256 where only zero does', () => {
    expect(workFromTarget((1n << 256n) - 1n)).toBe(1n);
    expect(workFromTarget(0n)).toBe(1n << 256n);
  });

  test('gives a rate', () => {
    expect(hashrateHps(5_000n, 2_000)).toBe(2_500);
    expect(hashrateHps(5_000n, 0)).toBe(0);
  });
});
