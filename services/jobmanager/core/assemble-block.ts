/** From a solved share to the block, proved to be what the caller means before it goes to a node. */
import { assert } from '#libs/assert.ts';
import { assembleBlock } from '#libs/bitcoin/block.ts';
import { equalBytes } from '#libs/bitcoin/bytes.ts';
import { WireError } from '#libs/bitcoin/errors.ts';
import { sha256d } from '#libs/bitcoin/hash.ts';
import { blockHashOf, decodeHeader, HEADER_BYTES } from '#libs/bitcoin/header.ts';
import { bytesFromHex, hexFromBytes } from '#libs/bitcoin/hex.ts';
import { rootFromBranch } from '#libs/bitcoin/merkle.ts';
import { displayFromInternal } from '#libs/bitcoin/prevhash.ts';
import type { BlockSubmit } from '#libs/contracts/block-submit.ts';
import type { TemplateBody } from './model.ts';

export type Solution = Pick<BlockSubmit, 'hash' | 'header' | 'coinbase' | 'job'>;

export type Assembly =
  | { readonly kind: 'block'; readonly hex: string }
  /** The caller's parts do not fit together: no node would take what they make. */
  | { readonly kind: 'refused'; readonly reason: string };

/** @param body of the solution's job; undefined exactly if its `bodyId` is null */
export function assembleSolution(solution: Solution, body: TemplateBody | undefined): Assembly {
  assert((body?.bodyId ?? null) === solution.job.bodyId, 'the body is the one the job names');
  try {
    const header = bytesFromHex(solution.header);
    const coinbase = bytesFromHex(solution.coinbase);
    const reason = mismatch(solution, header, coinbase);
    if (reason !== undefined) return { kind: 'refused', reason };
    const { transactions, mweb } = body ?? { transactions: [], mweb: undefined };
    const block = assembleBlock({ header, coinbase, transactions, mweb });
    assert(
      blockHashOf(block.subarray(0, HEADER_BYTES)) === solution.hash,
      'the block has its hash',
    );
    return { kind: 'block', hex: hexFromBytes(block) };
  } catch (error) {
    if (error instanceof WireError) return { kind: 'refused', reason: error.message };
    throw error;
  }
}

/** Why header, coinbase and job do not belong together; undefined: they do. */
function mismatch(
  { hash, job }: Solution,
  headerBytes: Uint8Array,
  coinbase: Uint8Array,
): string | undefined {
  const header = decodeHeader(headerBytes);
  if (blockHashOf(headerBytes) !== hash) return 'the header has another hash';
  if (displayFromInternal(header.prevhash) !== job.parent) return 'the header has another parent';
  if (header.nbits !== job.nbits) return 'the header has another target';
  const root = rootFromBranch(sha256d(coinbase), job.merkleBranch.map(bytesFromHex));
  if (!equalBytes(root, header.merkleRoot)) return 'the coinbase leads to another merkle root';
  return undefined;
}
