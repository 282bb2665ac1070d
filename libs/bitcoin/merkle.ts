/** Merkle trees of transaction ids. All hashes are 32 bytes in internal order. */
import { assert } from '#libs/assert.ts';
import { concatBytes } from './bytes.ts';
import { sha256d } from './hash.ts';

const ZERO_HASH = new Uint8Array(32);

function pair(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256d(concatBytes(left, right));
}

/** One level up; the last of an odd number is paired with itself. */
function levelAbove(level: readonly Uint8Array[]): Uint8Array[] {
  const above: Uint8Array[] = [];
  for (let index = 0; index < level.length; index += 2) {
    const left = level[index] ?? ZERO_HASH;
    above.push(pair(left, level[index + 1] ?? left));
  }
  return above;
}

/** The root over all ids, the coinbase's first. @param ids at least one */
export function merkleRoot(ids: readonly Uint8Array[]): Uint8Array {
  let level = ids;
  while (level.length > 1) level = levelAbove(level);
  const [root] = level;
  assert(root !== undefined, 'a merkle tree has at least one leaf');
  return root;
}

/**
 * The branch from the coinbase (leaf 0) to the root: what `mining.notify` carries.
 *
 * @param txids of every transaction but the coinbase, in block order
 */
export function merkleBranch(txids: readonly Uint8Array[]): Uint8Array[] {
  const branch: Uint8Array[] = [];
  let level: readonly Uint8Array[] = txids; // Without its leftmost node, which depends on the coinbase.
  while (level.length > 0) {
    const [sibling, ...rest] = level;
    if (sibling !== undefined) branch.push(sibling);
    level = levelAbove(rest);
  }
  return branch;
}

/** The root a coinbase leads to. */
export function rootFromBranch(
  coinbaseTxid: Uint8Array,
  branch: readonly Uint8Array[],
): Uint8Array {
  return branch.reduce((root, sibling) => pair(root, sibling), coinbaseTxid);
}

/** BIP 141: the coinbase's wtxid counts as zero. @param wtxids of every transaction but the coinbase */
export function witnessRoot(wtxids: readonly Uint8Array[]): Uint8Array {
  return merkleRoot([ZERO_HASH, ...wtxids]);
}
