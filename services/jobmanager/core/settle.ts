/** From what each node answered to what the caller of `block.submit` hears. */
import type { BlockSubmitted } from '#libs/contracts/block-submit.ts';

/** What one node made of a block; `SubmitOutcome` of libs/coin-node is one. */
export interface NodeAnswer {
  readonly node: string;
  readonly outcome: 'accepted' | 'duplicate' | 'rejected' | 'inconclusive' | 'unavailable';
  readonly reason: string;
}

/** What a node says of a block by hash. */
export type Standing = 'best_chain' | 'side_chain' | 'unknown';

export type Settlement = Pick<BlockSubmitted, 'outcome' | 'reason'>;

/** Words that say nothing of the block itself: another try may have another end. */
const PASSING_REASONS = ['prev-blk-not-found', 'time-too-new'];

/** A node's yes ends the waiting; undefined: it decides nothing yet. `duplicate` is a yes (DESIGN.md section 6). */
export function settleEarly(answer: NodeAnswer): Settlement | undefined {
  const { outcome, reason } = answer;
  return outcome === 'accepted' || outcome === 'duplicate' ? { outcome, reason } : undefined;
}

/** Whether nobody said yes or no, so that a node has to be asked where the block stands. */
export function isUndecided(answers: readonly NodeAnswer[]): boolean {
  return (
    answers.some(({ outcome }) => outcome === 'inconclusive') &&
    answers.every((answer) => settleEarly(answer) === undefined)
  );
}

/** All nodes have answered or will not. @param standing asked for if {@link isUndecided} */
export function settleAll(answers: readonly NodeAnswer[], standing: Standing): Settlement {
  const [success] = answers.map(settleEarly).filter((settled) => settled !== undefined);
  if (success !== undefined) return success;
  if (standing === 'best_chain') return { outcome: 'accepted', reason: 'seen in the best chain' };
  const inconclusive = answers.find(({ outcome }) => outcome === 'inconclusive');
  // The node keeps it beside its best chain: to submit it again changes nothing.
  if (standing === 'side_chain')
    return {
      outcome: 'duplicate',
      reason: `${inconclusive?.reason ?? 'known'}: not in the best chain`,
    };
  const final = answers.find(
    ({ outcome, reason }) => outcome === 'rejected' && !PASSING_REASONS.includes(reason),
  );
  if (final !== undefined) return { outcome: 'rejected', reason: final.reason };
  const reason = answers.map(({ node, reason }) => `${node}: ${reason}`).join('; ');
  return { outcome: 'unavailable', reason: reason.slice(0, 512) };
}
