import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import { bytesFromHex, hexFromBytes, hexFromUint32 } from './hex.ts';

suite('hex', () => {
  test.each(['0', 'abc', '0g', 'zz', ' 00', '00 ', '0x00', '00\u0130', '½½'])(
    'refuses "%s"',
    (hex) => {
      expect(() => bytesFromHex(hex)).toThrow(expect.objectContaining({ code: 'bad_hex' }));
    },
  );
  test('says where the bad digit is', () => {
    expect(() => bytesFromHex('0011zz')).toThrow(expect.objectContaining({ offset: 4 }));
  });
  test('reads upper case and writes lower case', () => {
    expect(hexFromBytes(bytesFromHex('ABcd'))).toBe('abcd');
  });
  test('writes numbers with 8 digits', () => {
    expect(hexFromUint32(0x1b)).toBe('0000001b');
    expect(hexFromUint32(-1)).toBe('ffffffff');
  });
  test('gives back what it was given', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(bytesFromHex(hexFromBytes(bytes))).toEqual(bytes);
      }),
    );
  });
});
