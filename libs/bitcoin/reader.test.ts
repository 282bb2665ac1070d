import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import { WireError } from './errors.ts';
import { Reader } from './reader.ts';

suite('Reader', () => {
  const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 0xff, 0xff, 0xff, 0xff);

  test('reads little-endian numbers of every size', () => {
    const reader = new Reader(bytes);
    expect([reader.uintLe(1), reader.uintLe(2), reader.uintLe(4)]).toEqual([1, 0x0302, 0x07060504]);
    expect(new Reader(bytes).uint64Le()).toBe(0x0807060504030201n);
    const signed = new Reader(bytes.subarray(8));
    expect(signed.int32Le()).toBe(-1);
    expect(new Reader(bytes.subarray(8)).uintLe(4)).toBe(0xffff_ffff);
  });
  test('gives views, not copies, and knows where it is', () => {
    const reader = new Reader(bytes);
    expect(reader.take(3).buffer).toBe(bytes.buffer);
    expect(reader.offset).toBe(3);
    expect([...reader.since(1)]).toEqual([2, 3]);
    expect(reader.peek()).toBe(4);
    expect(reader.takeRest().length).toBe(9);
    expect(reader.peek()).toBeUndefined();
    expect(() => reader.end()).not.toThrow();
  });
  test('refuses what follows the end', () => {
    expect(() => new Reader(bytes).end()).toThrow(expect.objectContaining({ code: 'trailing' }));
  });
  test('refuses a negative count', () => {
    expect(() => new Reader(bytes).take(-1)).toThrow(
      expect.objectContaining({ code: 'truncated' }),
    );
  });

  test('never reads past the end, whatever is asked', () => {
    const asks = fc.array(fc.constantFrom('u1', 'u2', 'u4', 'i4', 'u8', 't3', 't9'), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), asks, (input, calls) => {
        const outer = new Uint8Array(64).fill(0xee);
        outer.set(input, 7);
        const reader = new Reader(outer.subarray(7, 7 + input.length));
        for (const call of calls) {
          const before = reader.offset;
          try {
            if (call === 'u1') reader.uintLe(1);
            else if (call === 'u2') reader.uintLe(2);
            else if (call === 'u4') reader.uintLe(4);
            else if (call === 'i4') reader.int32Le();
            else if (call === 'u8') reader.uint64Le();
            else reader.take(Number(call.slice(1)));
          } catch (error) {
            expect(error).toBeInstanceOf(WireError);
            expect(reader.offset).toBe(before);
          }
          expect(reader.offset + reader.remaining).toBe(input.length);
          expect(reader.remaining).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});
