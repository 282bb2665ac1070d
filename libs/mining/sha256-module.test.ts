import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FREE_OFFSET, instantiateSha256, paddedBlocks, writePadding } from './sha256-module.ts';

const { memory, exports } = instantiateSha256(8_192);

function sha256d(message: Uint8Array): string {
  memory.set(message, FREE_OFFSET);
  writePadding(memory, FREE_OFFSET, message.length);
  exports.sha256d(FREE_OFFSET, paddedBlocks(message.length), FREE_OFFSET);
  return Buffer.from(memory.subarray(FREE_OFFSET, FREE_OFFSET + 32)).toString('hex');
}

function expected(message: Uint8Array): string {
  const once = createHash('sha256').update(message).digest();
  return createHash('sha256').update(once).digest('hex');
}

describe('sha256d() in WebAssembly', () => {
  test.each(Array.from({ length: 200 }, (_, length) => length))(
    'is that of node:crypto for %s bytes',
    (length) => {
      const message = Buffer.alloc(length, length + 1);
      expect(sha256d(message)).toBe(expected(message));
    },
  );

  test('is that of node:crypto for any message', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000, size: 'max' }), (message) => {
        expect(sha256d(message)).toBe(expected(message));
      }),
    );
  });

  test('is the hash of block 125552 (PROTOCOL.md 1.5)', () => {
    const header =
      '0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000' +
      'e320b6c2fffc8d750423db8b1eb942ae710e951ed797f7affc8892b0f1fc122bc7f5d74df2b9441a42a14695';
    const hash = sha256d(Buffer.from(header, 'hex'));
    const display = Buffer.from(hash, 'hex').reverse().toString('hex');
    expect(display).toBe('00000000000000001e8d6829a8a21adc5d38d0a473b144b6765798e61f98bd1d');
  });
});
