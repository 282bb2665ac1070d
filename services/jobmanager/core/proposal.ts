/** A job as a block without proof of work, to ask a node about (BIP 23). */
import { assembleBlock } from '#libs/bitcoin/block.ts';
import { sha256d } from '#libs/bitcoin/hash.ts';
import { encodeHeader } from '#libs/bitcoin/header.ts';
import { bytesFromHex, hexFromBytes } from '#libs/bitcoin/hex.ts';
import { rootFromBranch } from '#libs/bitcoin/merkle.ts';
import { internalFromDisplay } from '#libs/bitcoin/prevhash.ts';
import type { Job } from '#libs/contracts/job.ts';
import { coinbaseOf } from '#libs/mining/coinbase-layout.ts';
import type { TemplateBody } from './model.ts';

/** Hex of the block a miner with zeros for everything of its own would make. */
export function proposalOf(job: Job, body: TemplateBody | undefined): string {
  const { extranonce1Size, extranonce2Size } = job.coinbase;
  const extranonces = [new Uint8Array(extranonce1Size), new Uint8Array(extranonce2Size)] as const;
  const coinbase = coinbaseOf(job.coinbase, ...extranonces);
  const header = encodeHeader({
    version: job.version,
    prevhash: internalFromDisplay(job.parent),
    merkleRoot: rootFromBranch(sha256d(coinbase), job.merkleBranch.map(bytesFromHex)),
    ntime: job.curtime,
    nbits: job.nbits,
    nonce: 0,
  });
  const { transactions, mweb } = body ?? { transactions: [], mweb: undefined };
  return hexFromBytes(assembleBlock({ header, coinbase, transactions, mweb }));
}
