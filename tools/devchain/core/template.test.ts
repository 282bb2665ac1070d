import { assert, suite, test } from 'vitest';
import { blockTemplate } from '#libs/coin-node/block-template.ts';
import { buildBlock, createNode, mineBlocks } from '../chain.fixture.ts';
import { workOf } from './check-block.ts';
import { DEMO_NBITS } from './parameters.ts';

suite('createTemplate()', () => {
  test('is a template as coin-node reads it, and a block made of it is taken', () => {
    const node = createNode();
    mineBlocks(node, 2);
    node.synthesize(10);
    const template = node.template();
    const parsed = blockTemplate.parse(structuredClone(template));
    assert.equal(parsed.height, 3);
    assert.lengthOf(parsed.transactions, 10);
    const fees = template.transactions.reduce((sum, { fee }) => sum + fee, 0);
    assert.equal(parsed.coinbasevalue, 5_000_000_000 + fees);
    assert.isNull(node.submit(buildBlock(node, template)));
    assert.equal(node.mempool.size, 0);
  });

  test('names parents before children in `depends`', () => {
    const node = createNode();
    node.synthesize(60);
    const { transactions } = node.template();
    assert.isTrue(transactions.some(({ depends }) => depends.length > 0));
    for (const [index, { depends }] of transactions.entries()) {
      assert.isTrue(depends.every((at) => at >= 1 && at <= index));
    }
  });

  test('has another longpollid when the mempool changed', () => {
    const node = createNode();
    const before = node.template().longpollid;
    assert.equal(node.template().longpollid, before);
    node.synthesize(1);
    assert.notEqual(node.template().longpollid, before);
  });

  test('never runs out of coins', () => {
    const node = createNode();
    for (let round = 0; round < 12; round += 1) {
      assert.isAbove(node.synthesize(25).length, 0, `round ${round}`);
      mineBlocks(node, 1);
    }
  });
});

suite('DEMO_NBITS', () => {
  test('takes 2^21 hashes of sha256d and 2^16 of scrypt', () => {
    assert.equal(Math.round(Math.log2(Number(workOf(DEMO_NBITS.sha256d)))), 21);
    assert.equal(Math.round(Math.log2(Number(workOf(DEMO_NBITS.scrypt)))), 16);
  });
});
