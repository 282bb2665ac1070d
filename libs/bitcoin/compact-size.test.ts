import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import { concatBytes } from './bytes.ts';
import { encodeCompactSize, readCompactSize } from './compact-size.ts';
import { bytesFromHex, hexFromBytes } from './hex.ts';
import { Reader } from './reader.ts';

const UINT32_MAX = 0xffff_ffff;

suite('encodeCompactSize()', () => {
  test.each([
    [0, '00'],
    [252, 'fc'],
    [253, 'fdfd00'],
    [65_535, 'fdffff'],
    [65_536, 'fe00000100'],
    [UINT32_MAX, 'feffffffff'],
  ])('writes %i in its shortest form', (count, hex) => {
    expect(hexFromBytes(encodeCompactSize(count))).toBe(hex);
  });
  test.each([-1, 1.5, 2 ** 32, Number.NaN])('refuses %d', (count) => {
    expect(() => encodeCompactSize(count)).toThrow(RangeError);
  });
});

suite('readCompactSize()', () => {
  test.each([
    ['', 'truncated'],
    ['fd', 'truncated'],
    ['fdff', 'truncated'],
    ['fe000001', 'truncated'],
    ['fdfc00', 'non_canonical'],
    ['feffff0000', 'non_canonical'],
    ['ff0000000001000000', 'too_large'],
    ['fe00000100', 'too_large'],
  ])('refuses %s as %s', (hex, code) => {
    expect(() => readCompactSize(new Reader(bytesFromHex(hex)), 65_535)).toThrow(
      expect.objectContaining({ code }),
    );
  });

  test('reads what was written and nothing behind it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: UINT32_MAX }),
        fc.uint8Array({ maxLength: 9 }),
        (count, rest) => {
          const encoded = encodeCompactSize(count);
          const reader = new Reader(concatBytes(encoded, rest));
          expect(readCompactSize(reader, UINT32_MAX)).toBe(count);
          expect(reader.offset).toBe(encoded.length);
        },
      ),
    );
  });
});
