import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import headers from '#test/vectors/headers.json' with { type: 'json' };
import vectors from '#test/vectors/nbits.json' with { type: 'json' };
import { reversedBytes } from './bytes.ts';
import { bytesFromHex } from './hex.ts';
import { integerFromHash, meetsTarget, nbitsFromTarget, targetFromNbits } from './target.ts';

const TARGET_MAX = (1n << 256n) - 1n;

suite('targetFromNbits()', () => {
  for (const { nbits, target, note } of vectors.valid) {
    test(`expands ${nbits}: ${note}`, () =>
      expect(targetFromNbits(Number(nbits))).toBe(BigInt(target)));
  }
  for (const { nbits, note } of vectors.invalid) {
    test(`refuses ${nbits}: ${note}`, () =>
      expect(() => targetFromNbits(Number(nbits))).toThrow(RangeError));
  }
  test.each([-1, 2 ** 32, 1.5, Number.NaN])('refuses %d, which is no 32-bit number', (nbits) =>
    expect(() => targetFromNbits(nbits)).toThrow(RangeError),
  );
});

suite('nbitsFromTarget()', () => {
  for (const { target, compact, note } of vectors.valid) {
    test(`compacts ${target}: ${note}`, () =>
      expect(nbitsFromTarget(BigInt(target))).toBe(Number(compact)));
  }
  test.each([0n, -1n, 1n << 256n])('refuses %d', (target) =>
    expect(() => nbitsFromTarget(target)).toThrow(RangeError),
  );
  test('rounds down, by less than one part in 2^15, and is stable', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: TARGET_MAX }), (target) => {
        const nbits = nbitsFromTarget(target);
        const back = targetFromNbits(nbits);
        expect(back <= target).toBe(true);
        expect((target - back) << 15n <= target).toBe(true);
        expect(nbitsFromTarget(back)).toBe(nbits);
      }),
    );
  });
});

suite('meetsTarget()', () => {
  for (const { note, powHash, nbits } of headers.headers) {
    test(`holds for ${note}, and not for a target one below its hash`, () => {
      const hash = reversedBytes(bytesFromHex(powHash));
      expect(integerFromHash(hash)).toBe(BigInt(`0x${powHash}`));
      expect(meetsTarget(hash, targetFromNbits(Number(`0x${nbits}`)))).toBe(true);
      expect(meetsTarget(hash, BigInt(`0x${powHash}`))).toBe(true);
      expect(meetsTarget(hash, BigInt(`0x${powHash}`) - 1n)).toBe(false);
    });
  }
  test('reads a hash inside a larger buffer', () => {
    const outer = new Uint8Array(40).fill(0xff);
    outer.fill(0, 4, 36)[4] = 7;
    expect(integerFromHash(outer.subarray(4, 36))).toBe(7n);
  });
});
