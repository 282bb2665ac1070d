import fc from 'fast-check';
import { assert, suite, test } from 'vitest';
import { encodeHeight } from '#libs/bitcoin/height.ts';
import { merkleRoot } from '#libs/bitcoin/merkle.ts';
import { nbitsFromTarget, targetFromNbits } from '#libs/bitcoin/target.ts';
import { buildBlock, createNode, mineBlocks } from '../chain.fixture.ts';
import type { DevchainNode } from '../node.ts';
import { checkBlockInPlace, expandTarget, merkleRootOf } from './check-block.ts';

suite('what devchain computes apart from the pool', () => {
  test('merkle roots agree', () => {
    const ids = fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(ids, (leaves) => {
        assert.deepEqual(Buffer.from(merkleRootOf(leaves).root), Buffer.from(merkleRoot(leaves)));
      }),
    );
  });

  test('targets agree', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: (1n << 256n) - 1n }), (target) => {
        const nbits = nbitsFromTarget(target);
        assert.equal(expandTarget(nbits), targetFromNbits(nbits));
      }),
    );
    for (const nbits of [0, 0x0180_0000, 0x2300_0001, 0x0412_3456 | 0x80_0000]) {
      assert.isUndefined(expandTarget(nbits));
    }
  });

  test('heights agree, whatever their length', () => {
    const node = createNode();
    mineBlocks(node, 1);
    const [block] = [node.chain.block(node.chain.tip)];
    if (block === undefined) throw new Error('no block');
    const place = { medianTimePast: 0, nowSec: 0 };
    const verdictAt = (height: number) => {
      const [coinbase] = block.transactions;
      if (coinbase === undefined) throw new Error('no coinbase');
      const scriptSig = Buffer.concat([encodeHeight(height), Buffer.alloc(4)]);
      const [input] = coinbase.inputs;
      if (input === undefined) throw new Error('no input');
      const transactions = [{ ...coinbase, lockTime: 0, inputs: [{ ...input, scriptSig }] }];
      return checkBlockInPlace({ ...block, transactions }, { ...place, height });
    };
    for (const height of [0, 1, 16, 17, 127, 128, 255, 256, 32_767, 32_768, 840_000, 8_388_608]) {
      assert.isUndefined(verdictAt(height), `height ${height}`);
    }
  });

  test('any byte behind the header that is changed makes a block bad', () => {
    const node = createNode();
    const good = buildBlock(node, node.template());
    fc.assert(
      fc.property(
        fc.integer({ min: 80, max: good.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (at, flip) => {
          const changed = Uint8Array.from(good);
          changed[at] = (changed[at] ?? 0) ^ flip;
          assert.isNotNull(submitOrThrow(createNode(), changed));
        },
      ),
    );
    assert.isNull(submitOrThrow(createNode(), good), 'unchanged it is good');
  });
});

function submitOrThrow(node: DevchainNode, raw: Uint8Array): string | null {
  try {
    return node.submit(raw);
  } catch (error) {
    return String(error);
  }
}
