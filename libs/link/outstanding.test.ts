import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Outstanding } from './outstanding.ts';

test('counts the bytes of what was sent and not confirmed', () => {
  const moves = fc.array(fc.tuple(fc.nat(1_000), fc.nat(5)), { maxLength: 3_000 });
  fc.assert(
    fc.property(moves, (sizes) => {
      const outstanding = new Outstanding();
      let confirmed = 0;
      for (const [index, [size, lag]] of sizes.entries()) {
        outstanding.sent(size);
        confirmed = Math.max(confirmed, index + 1 - lag);
        outstanding.confirm(confirmed);
      }
      const open = sizes.slice(confirmed);
      expect(outstanding.messages).toBe(open.length);
      expect(outstanding.bytes).toBe(open.reduce((sum, [size]) => sum + size, 0));
    }),
  );
});
