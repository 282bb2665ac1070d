import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fingerprints } from './fingerprints.ts';

describe('Fingerprints', () => {
  test('knows what it was given, by the first 8 bytes', () => {
    const fingerprints = new Fingerprints();
    const identity = randomBytes(32);
    expect(fingerprints.add(identity)).toBe(true);
    expect(fingerprints.add(identity)).toBe(false);
    expect(fingerprints.has(identity.subarray(0, 8))).toBe(true);
    identity[7] = (identity[7] ?? 0) ^ 1;
    expect(fingerprints.has(identity)).toBe(false);
    expect(fingerprints.count).toBe(1);
  });

  test('forgets everything when cleared', () => {
    const fingerprints = new Fingerprints(20);
    const identities = Array.from({ length: 30 }, () => randomBytes(8));
    for (const identity of identities) fingerprints.add(identity);
    fingerprints.clear();
    expect(identities.some((identity) => fingerprints.has(identity))).toBe(false);
    expect(fingerprints.toBytes().length).toBe(0);
  });

  /** A model: the last `countMax` distinct ones, in a list. */
  test('keeps exactly the last ones, and its bytes say the same', () => {
    const identity = fc.integer({ min: 0, max: 60 }).map((value) => Buffer.alloc(8, value));
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.array(identity, { maxLength: 100 }),
        (countMax, added) => {
          const fingerprints = new Fingerprints(countMax);
          const model: string[] = [];
          for (const one of added) {
            const text = one.toString('hex');
            expect(fingerprints.has(one)).toBe(model.includes(text));
            expect(fingerprints.add(one)).toBe(!model.includes(text));
            if (!model.includes(text)) model.push(text);
            if (model.length > countMax) model.shift();
          }
          expect(fingerprints.count).toBe(model.length);
          expect(Buffer.from(fingerprints.toBytes()).toString('hex')).toBe(model.join(''));
          const again = Fingerprints.fromBytes(fingerprints.toBytes(), countMax);
          expect(again.toBytes()).toEqual(fingerprints.toBytes());
        },
      ),
    );
  });

  test('ignores an incomplete end and keeps the last of too many', () => {
    const packed = randomBytes(5 * 8 + 3);
    expect(Fingerprints.fromBytes(packed, 3).toBytes()).toEqual(packed.subarray(16, 40));
  });
});
