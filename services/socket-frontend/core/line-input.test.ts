import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import { LineInput } from './line-input.ts';

const LINE_BYTES_MAX = 20;

suite('LineInput', () => {
  test('gives the lines of the stream, however it is cut and however few are asked for', () => {
    const lines = fc.array(fc.stringMatching(/^[a-z]{1,20}$/), { maxLength: 30 });
    const asks = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 50 }), max: fc.nat(5) }), {
      minLength: 1,
    });
    fc.assert(
      fc.property(lines, asks, fc.constantFrom('\n', '\r\n'), (texts, cuts, end) => {
        const input = new LineInput(LINE_BYTES_MAX);
        const got: string[] = [];
        let rest = Buffer.from(texts.map((text) => text + end).join(''));
        for (let turn = 0; rest.length > 0 || input.hasWaiting; turn += 1) {
          const { bytes = 1, max = 1 } = cuts[turn % cuts.length] ?? {};
          input.push(rest.subarray(0, bytes));
          rest = rest.subarray(bytes);
          const taken = input.take(turn > 500 ? 100 : max);
          expect(taken.isTooLong).toBe(false);
          expect(taken.lines.length).toBeLessThanOrEqual(turn > 500 ? 100 : max);
          got.push(...taken.lines.map((line) => Buffer.from(line).toString()));
        }
        expect(got).toEqual(texts);
        expect(input.heldBytes).toBe(0);
      }),
    );
  });

  test('tells a line that is too long, and gives those before it', () => {
    const input = new LineInput(LINE_BYTES_MAX);
    input.push(Buffer.from(`short\n${'x'.repeat(LINE_BYTES_MAX + 1)}`));
    const { lines, isTooLong } = input.take(10);
    expect([lines.map((line) => Buffer.from(line).toString()), isTooLong]).toEqual([
      ['short'],
      true,
    ]);
  });

  test('holds what nobody asked for as bytes', () => {
    const input = new LineInput(LINE_BYTES_MAX);
    input.push(Buffer.from('a\nb\nc\npart'));
    expect(input.take(0)).toEqual({ lines: [], isTooLong: false });
    expect(input.take(2).lines).toHaveLength(2);
    expect([input.hasWaiting, input.heldBytes]).toEqual([true, 6]);
    expect(input.take(2).lines).toHaveLength(1);
    expect([input.hasWaiting, input.heldBytes]).toEqual([false, 4]);
  });
});
