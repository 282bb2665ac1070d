/** What follows from a decided share: the session after it, its record for the journal, its candidate for the nodes. */
import { blockHashOf } from '#libs/bitcoin/header.ts';
import { hexFromBytes } from '#libs/bitcoin/hex.ts';
import type { ChainParams } from '#libs/bitcoin/chains.ts';
import type { BlockSubmit } from '#libs/contracts/block-submit.ts';
import type { ShareRecord } from '#libs/journal/record.ts';
import { solvedCoinbase } from '#libs/mining/share-hash.ts';
import { countShare } from '#libs/mining/vardiff.ts';
import { difficultyFromTarget, difficultyOfHash, workFromTarget } from '#libs/mining/work.ts';
import type { Session } from './model.ts';
import type { HashedShare, ShareDecision } from './submit.ts';

type Accepted = Extract<ShareDecision, { kind: 'accepted' }>;

/** The session after an accepted share. */
export function sessionAfterShare(
  session: Session,
  accepted: Accepted,
  chain: ChainParams,
): Session {
  const credited = difficultyFromTarget(accepted.creditedTarget, chain.diff1Target);
  const vardiff = session.vardiff && countShare(session.vardiff, credited);
  return { ...session, vardiff, junk: 0 };
}

/** @param worker as it stands in the books @param arrivedMs [ms] when the line first arrived */
export function shareRecordOf(
  session: Session,
  accepted: Accepted,
  { worker, arrivedMs, chain }: { worker: string; arrivedMs: number; chain: ChainParams },
): ShareRecord {
  const { share, solvesBlock, creditedTarget } = accepted;
  return {
    kind: 'share',
    timeMs: Math.floor(arrivedMs),
    conn: session.conn,
    worker,
    jobId: share.prepared.job.jobId,
    height: share.prepared.job.height,
    mode: session.listener.mode,
    solvesBlock,
    work: workFromTarget(creditedTarget),
    difficulty: difficultyFromTarget(creditedTarget, chain.diff1Target),
    achievedDifficulty: difficultyOfHash(share.hash.powNumber, chain.diff1Target),
    identity: share.hash.identity,
  };
}

/** The block as every jobmanager can assemble it. */
export function blockSubmitOf(share: HashedShare, worker: string, foundMs: number): BlockSubmit {
  const { job } = share.prepared;
  return {
    chain: job.chain,
    hash: blockHashOf(share.hash.header),
    header: hexFromBytes(share.hash.header),
    coinbase: hexFromBytes(solvedCoinbase(share.prepared, share.solution)),
    job,
    worker,
    foundMs: Math.floor(foundMs),
  };
}
