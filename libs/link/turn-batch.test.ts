import fc from 'fast-check';
import { expect, test } from 'vitest';
import { upItem } from './link-message.fixture.ts';
import { cutIntoMessages } from './turn-batch.ts';

test('cutIntoMessages() keeps all items in order and never parts neighbours of a connection', () => {
  const items = fc.array(
    fc.tuple(upItem, fc.nat(3)).map(([item, handle]) => ({ ...item, handle })),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(items, fc.nat(2_000), (queued, softBytes) => {
      const messages = cutIntoMessages(queued, softBytes);
      expect(messages.flat()).toEqual(queued);
      for (const [index, message] of messages.entries()) {
        expect(message.length).toBeGreaterThan(0);
        const next = messages[index + 1]?.[0];
        if (next !== undefined) expect(next.handle).not.toBe(message.at(-1)?.handle);
      }
    }),
  );
});

test('cutIntoMessages() leaves a small turn whole', () => {
  fc.assert(
    fc.property(fc.array(upItem, { minLength: 1, maxLength: 20 }), (items) => {
      expect(cutIntoMessages(items)).toHaveLength(1);
    }),
  );
});
