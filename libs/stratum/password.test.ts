import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parsePassword } from './password.ts';

const NONE = {
  fixedDifficulty: undefined,
  startDifficulty: undefined,
  minDifficulty: undefined,
  maxDifficulty: undefined,
};

describe('parsePassword()', () => {
  test.each([
    ['x', {}],
    ['', {}],
    ['d=1024', { fixedDifficulty: 1024 }],
    ['x,d=512', { fixedDifficulty: 512 }],
    ['d=0.001', { fixedDifficulty: 0.001 }],
    ['sd=64;md=16 xd=1e6', { startDifficulty: 64, minDifficulty: 16, maxDifficulty: 1e6 }],
    ['D=64K', { fixedDifficulty: 64_000 }],
    ['d=1,d=2', { fixedDifficulty: 2 }],
    ['d=0', {}],
    ['d=-5', {}],
    ['d=1e999', {}],
    ['d=abc', {}],
    ['hd=5,password=d=7', {}],
    ['__proto__=5', {}],
  ])('reads "%s"', (text, expected) => {
    expect(parsePassword(text)).toEqual({ ...NONE, ...expected });
  });

  test('gives only numbers above 0, whatever is written', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'dsxm=0123456789.e+-,; kG'.split('')) }),
        (text) => {
          for (const value of Object.values(parsePassword(text)) as (number | undefined)[])
            expect(value === undefined || (value > 0 && Number.isFinite(value))).toBe(true);
        },
      ),
    );
  });
});
