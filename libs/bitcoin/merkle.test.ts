import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import vectors from '#test/vectors/merkle.json' with { type: 'json' };
import { AssertionError } from '#libs/assert.ts';
import { hexFromBytes } from './hex.ts';
import { merkleBranch, merkleRoot, rootFromBranch, witnessRoot } from './merkle.ts';
import { displayFromInternal, internalFromDisplay } from './prevhash.ts';

suite('merkle trees', () => {
  for (const { note, txids, root, branch } of vectors.trees) {
    const ids = txids.map(internalFromDisplay);
    const [coinbase = new Uint8Array(), ...others] = ids;
    test(`root and branch of ${note}`, () => {
      expect(displayFromInternal(merkleRoot(ids))).toBe(root);
      expect(merkleBranch(others).map(hexFromBytes)).toEqual(branch);
      expect(displayFromInternal(rootFromBranch(coinbase, merkleBranch(others)))).toBe(root);
    });
  }
  test('a tree without leaves is a bug', () => {
    expect(() => merkleRoot([])).toThrow(AssertionError);
  });
  test('the witness root of an empty block is zero', () => {
    expect(hexFromBytes(witnessRoot([]))).toBe('00'.repeat(32));
  });
  test('the branch leads to the root of the whole tree, with ceil(log2(n)) steps', () => {
    const id = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(id, fc.array(id, { maxLength: 70 }), (coinbase, others) => {
        const branch = merkleBranch(others);
        expect(branch.length).toBe(Math.ceil(Math.log2(others.length + 1)));
        expect(rootFromBranch(coinbase, branch)).toEqual(merkleRoot([coinbase, ...others]));
      }),
    );
  });
});
