import { assert, suite, test } from 'vitest';
import fixture from './block-template.fixture.json' with { type: 'json' };
import { blockTemplate } from './block-template.ts';

const good = fixture.template;

suite('blockTemplate', () => {
  test('reads what litecoind gives, MWEB and HogEx included', () => {
    const template = blockTemplate.parse(good);
    assert.equal(template.height, 432);
    assert.isAbove(template.mweb?.length ?? 0, 1_000);
    assert.equal(template.transactions.at(-1)?.data, good.transactions.at(-1)?.data);
  });

  test('ignores what it does not know', () => {
    assert.isTrue(blockTemplate.safeParse({ ...good, vbavailable: { x: 3 }, more: [1] }).success);
  });

  test('makes a signed version unsigned', () => {
    assert.equal(blockTemplate.parse({ ...good, version: -1 }).version, 0xffff_ffff);
  });

  const [first] = good.transactions;
  for (const [what, change] of [
    ['no parent', { previousblockhash: undefined }],
    ['a parent that is no hash', { previousblockhash: '00' }],
    ['bits of another length', { bits: '1d00ff' }],
    ['a negative value', { coinbasevalue: -1 }],
    ['a fraction of a satoshi', { coinbasevalue: 0.5 }],
    ['a height of 0', { height: 0 }],
    ['a time beyond 32 bits', { curtime: 2 ** 32 }],
    ['a commitment that is none', { default_witness_commitment: '6a24' }],
    ['odd hex', { transactions: [{ ...first, data: '000' }] }],
    ['hex with a capital', { transactions: [{ ...first, data: '0A' }] }],
    ['a transaction without an id', { transactions: [{ ...first, txid: undefined }] }],
    ['a rule that must be understood and is not', { rules: ['csv', '!quantum'] }],
    ['a block that must be signed', { signet_challenge: '51' }],
    ['more transactions than fit', { transactions: Array.from({ length: 70_001 }, () => first) }],
  ] as const) {
    test(`refuses ${what}`, () =>
      assert.isFalse(blockTemplate.safeParse({ ...good, ...change }).success));
  }

  test('reads the largest transaction there can be', () => {
    const transactions = [{ ...first, data: 'ab'.repeat(4_000_000) }];
    assert.isTrue(blockTemplate.safeParse({ ...good, transactions }).success);
  });
});
