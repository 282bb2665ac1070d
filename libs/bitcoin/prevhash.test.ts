import { expect, suite, test } from 'vitest';
import vectors from '#test/vectors/prevhash.json' with { type: 'json' };
import { WireError } from './errors.ts';
import { bytesFromHex, hexFromBytes } from './hex.ts';
import {
  displayFromInternal,
  displayFromStratum,
  internalFromDisplay,
  stratumFromDisplay,
} from './prevhash.ts';

suite('block hashes', () => {
  for (const { display, internal, stratum } of vectors.valid) {
    test(`spells ${display} in all three ways`, () => {
      expect(hexFromBytes(internalFromDisplay(display))).toBe(internal);
      expect(displayFromInternal(bytesFromHex(internal))).toBe(display);
      expect(stratumFromDisplay(display)).toBe(stratum);
      expect(displayFromStratum(stratum)).toBe(display);
    });
  }
  for (const { display, note } of vectors.invalid) {
    test(`refuses a hash: ${note}`, () => {
      expect(() => internalFromDisplay(display)).toThrow(WireError);
      expect(() => stratumFromDisplay(display)).toThrow(WireError);
    });
  }
  test('does not turn its input around', () => {
    const internal = Uint8Array.of(...Array.from({ length: 32 }, (_, index) => index));
    displayFromInternal(internal);
    expect(internal[0]).toBe(0);
  });
});
