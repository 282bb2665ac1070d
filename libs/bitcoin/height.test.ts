import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import vectors from '#test/vectors/height.json' with { type: 'json' };
import { concatBytes } from './bytes.ts';
import { WireError } from './errors.ts';
import { decodeHeight, encodeHeight } from './height.ts';
import { bytesFromHex, hexFromBytes } from './hex.ts';

suite('encodeHeight()', () => {
  for (const { height, script } of vectors.valid) {
    test(`writes ${height} as ${script}`, () =>
      expect(hexFromBytes(encodeHeight(height))).toBe(script));
  }
  for (const { height, note } of vectors.unencodable) {
    test(`refuses ${height}: ${note}`, () =>
      expect(() => encodeHeight(height)).toThrow(RangeError));
  }
});

suite('decodeHeight()', () => {
  for (const { script, code, note } of vectors.undecodable) {
    test(`refuses "${script}": ${note}`, () =>
      expect(() => decodeHeight(bytesFromHex(script))).toThrow(expect.objectContaining({ code })));
  }
  test('reads what was written, whatever follows', () => {
    const heights = fc.oneof(
      fc.integer({ min: 0, max: 70_000 }),
      fc.integer({ min: 0, max: 0x7fff_ffff }),
    );
    fc.assert(
      fc.property(heights, fc.uint8Array({ maxLength: 8 }), (height, rest) => {
        expect(decodeHeight(concatBytes(encodeHeight(height), rest))).toBe(height);
      }),
    );
  });
  test('takes any bytes as a height it would write itself, or refuses them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 8 }), (bytes) => {
        try {
          const encoded = encodeHeight(decodeHeight(bytes));
          expect(hexFromBytes(bytes).startsWith(hexFromBytes(encoded))).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
