import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeptCapsule } from './kept-capsule.ts';

test('is what was set and appended, within its bound', () => {
  const change = fc.tuple(
    fc.constantFrom('set' as const, 'append' as const, 'append' as const),
    fc.uint8Array({ maxLength: 40 }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      const capsule = new KeptCapsule(100);
      let expected = Buffer.alloc(0);
      for (const [how, bytes] of changes) {
        const next = how === 'set' ? Buffer.from(bytes) : Buffer.concat([expected, bytes]);
        const isKept = capsule[how](bytes);
        expect(isKept).toBe(next.length <= 100);
        if (isKept) expected = next;
        bytes.fill(0xee); // A copy was taken.
        expect(Buffer.from(capsule.bytes).equals(expected)).toBe(true);
        expect(capsule.length).toBe(expected.length);
      }
    }),
  );
});
