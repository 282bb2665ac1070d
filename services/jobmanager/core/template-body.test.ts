import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import { bodyFromItems, encodeRecords, itemsOf, readRecords } from './body-records.ts';
import { payments, withMweb, without } from './jobs.fixture.ts';
import { bodyIdOf, readBody } from './template-body.ts';

suite('readBody()', () => {
  test('gives no body for a template without transactions', () => {
    expect(readBody(without, new Map()).body).toBeUndefined();
  });
  test('takes over the bytes of transactions it has seen', () => {
    const first = readBody(payments, new Map());
    const next = readBody(
      { ...payments, transactions: payments.transactions.slice(1) },
      first.known,
    );
    expect(next.body?.transactions[0]).toBe(first.body?.transactions[1]);
    expect(next.known.size).toBe(9);
    expect(next.body?.bodyId).not.toBe(first.body?.bodyId);
  });
  test('names a body by its content alone', () => {
    const first = readBody(payments, new Map());
    const again = readBody({ ...payments, curtime: payments.curtime + 9 }, first.known);
    expect(again.body).toEqual(first.body);
    expect(first.body?.bodyId).toMatch(/^[0-9a-f]{32}$/);
  });
  test('tells an MWEB part from a transaction', () => {
    const bytes = Uint8Array.of(1, 2, 3);
    expect(bodyIdOf([bytes], undefined)).not.toBe(bodyIdOf([], bytes));
  });
});

suite('body records', () => {
  const { body } = readBody(withMweb, new Map());
  if (body === undefined) throw new Error('no body');

  test('a body comes back from its items, and only from them', () => {
    const items = itemsOf(body);
    expect(bodyFromItems(body.bodyId, items, true)).toEqual(body);
    expect(bodyFromItems(body.bodyId, items, false)).toBeUndefined();
    expect(bodyFromItems(body.bodyId, items.slice(1), true)).toBeUndefined();
    expect(bodyFromItems(body.bodyId, items.toReversed(), true)).toBeUndefined();
  });
  test('a torn end is left out, what stands before it is not', () => {
    const items = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });
    fc.assert(
      fc.property(items, fc.nat(300), (all, cut) => {
        const bytes = encodeRecords(all);
        expect(readRecords(bytes)).toEqual(all);
        const whole = readRecords(bytes.subarray(0, cut));
        expect(whole).toEqual(all.slice(0, whole.length));
        expect(encodeRecords(whole).length).toBeLessThanOrEqual(Math.min(cut, bytes.length));
      }),
    );
  });
});
