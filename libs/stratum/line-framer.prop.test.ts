import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LineFramer } from './line-framer.ts';

const LINE_BYTES_MAX = 12;
const chunks = fc.array(
  fc
    .array(fc.constantFrom(0x61, 0x62, 0x0a, 0x0d), { maxLength: 30 })
    .map((list) => Uint8Array.from(list)),
  { maxLength: 20 },
);

/** What a framer must give, found the slow way: from all bytes at once. */
function expected(all: Uint8Array): { lines: string[]; isTooLong: boolean } {
  const lines: string[] = [];
  const parts = Buffer.from(all).toString('latin1').split('\n');
  const partial = parts.pop() ?? '';
  for (const part of parts) {
    const line = part.endsWith('\r') ? part.slice(0, -1) : part;
    if (line.length > LINE_BYTES_MAX) return { lines, isTooLong: true };
    if (line !== '') lines.push(line);
  }
  const kept = partial.endsWith('\r') ? partial.length - 1 : partial.length;
  return { lines, isTooLong: kept > LINE_BYTES_MAX };
}

test('lines do not depend on where chunks are cut', () => {
  fc.assert(
    fc.property(chunks, (pieces) => {
      const framer = new LineFramer(LINE_BYTES_MAX);
      const lines: string[] = [];
      let isTooLong = false;
      for (const piece of pieces) {
        const framed = framer.push(Uint8Array.from(piece));
        lines.push(...framed.lines.map((line) => Buffer.from(line).toString('latin1')));
        isTooLong ||= framed.kind === 'line_too_long';
        expect(framer.pendingBytes).toBeLessThanOrEqual(LINE_BYTES_MAX + 1);
      }
      expect({ lines, isTooLong }).toEqual(expected(Buffer.concat(pieces)));
    }),
    { numRuns: 2_000 },
  );
});

test('a hand-over between any two chunks changes nothing', () => {
  fc.assert(
    fc.property(chunks, (pieces) => {
      let framer = new LineFramer(1_000);
      const lines: string[] = [];
      for (const piece of pieces) {
        lines.push(...framer.push(piece).lines.map((line) => Buffer.from(line).toString('latin1')));
        framer = new LineFramer(1_000, framer.partial);
      }
      const whole = new LineFramer(1_000).push(Buffer.concat(pieces));
      expect(lines).toEqual(whole.lines.map((line) => Buffer.from(line).toString('latin1')));
    }),
  );
});
