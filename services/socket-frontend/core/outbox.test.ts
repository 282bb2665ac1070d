import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import { type Cast, Outbox } from './outbox.ts';

const text = (value: string) => Buffer.from(value);
const cast = (name: string, replaces: Cast['replaces'], group = 1, server = 'a'): Cast => ({
  server,
  group,
  replaces,
  bytes: text(name),
  mark: text(`m${name}`),
});

function outboxOf(...casts: readonly (Cast | string)[]): Outbox {
  const outbox = new Outbox();
  for (const one of casts) {
    if (typeof one === 'string') outbox.write(text(one));
    else outbox.cast(one);
  }
  return outbox;
}

function taken(outbox: Outbox): string {
  return Buffer.from(outbox.take()?.bytes ?? []).toString();
}

suite('Outbox', () => {
  test.each([
    ['a refresh replaces an older refresh', [cast('1', 'refresh'), cast('2', 'refresh')], '2'],
    ['a refresh never replaces a clean notify', [cast('1', 'all'), cast('2', 'refresh')], '12'],
    [
      'a second refresh replaces the first, not the clean notify',
      [cast('1', 'all'), cast('2', 'refresh'), cast('3', 'refresh')],
      '13',
    ],
    [
      'a clean notify replaces everything',
      [cast('1', 'all'), cast('2', 'refresh'), cast('3', 'all')],
      '3',
    ],
    [
      'writes stay where they are',
      ['x', cast('1', 'refresh'), 'y', cast('2', 'refresh'), 'z'],
      'xy2z',
    ],
    ['casts of another group stay', [cast('1', 'refresh', 1), cast('2', 'refresh', 2)], '12'],
    [
      'casts of another server are old whatever their group',
      [cast('1', 'refresh', 1, 'a'), cast('2', 'refresh', 2, 'b')],
      '2',
    ],
    [
      'a clean notify of another server is not replaced by a refresh',
      [cast('1', 'all', 1, 'a'), cast('2', 'refresh', 2, 'b')],
      '12',
    ],
  ] as const)('%s', (_rule, casts, expected) => {
    expect(taken(outboxOf(...casts))).toBe(expected);
  });

  test('gives the marks of what it gives, in order and without empty ones', () => {
    const outbox = outboxOf('x', cast('1', 'all'));
    outbox.write(text('y'), text('my'));
    expect(outbox.take()).toEqual({ bytes: text('x1y'), marks: [text('m1'), text('my')] });
    expect(outbox.take()).toBeUndefined();
  });

  test('counts its bytes, keeps all writes in order, and at most two casts of a stream', () => {
    const anything = fc.array(fc.constantFrom('write', 'refresh', 'all'), { maxLength: 40 });
    fc.assert(
      fc.property(anything, (kinds) => {
        const outbox = new Outbox();
        const writes: string[] = [];
        let lastClean = '';
        let last = '';
        for (const [index, kind] of kinds.entries()) {
          if (kind === 'write') {
            writes.push(`w${index};`);
            outbox.write(text(`w${index};`));
            continue;
          }
          last = `c${index};`;
          if (kind === 'all') lastClean = last;
          outbox.cast(cast(last, kind === 'all' ? 'all' : 'refresh'));
        }
        const { bytes } = outbox;
        const pieces = taken(outbox)
          .split(/(?<=;)/)
          .filter(Boolean);
        expect(pieces.join('').length).toBe(bytes);
        expect(pieces.filter((piece) => piece.startsWith('w'))).toEqual(writes);
        const casts = pieces.filter((piece) => piece.startsWith('c'));
        expect(casts).toEqual([...new Set([lastClean, last])].filter(Boolean));
        expect(outbox.bytes).toBe(0);
      }),
    );
  });
});
