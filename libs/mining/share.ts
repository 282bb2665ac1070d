/** Judging a share: numbers in, verdict out. Whether a session or job is known was found out before. */
import type { ShareRejectReason } from '#libs/stratum/codes.ts';

/** [s] how far a block's time may be ahead, a consensus rule of every node */
const NTIME_AHEAD_MAX_SEC = 7_200;

export interface ShareCheck {
  /** The proof of work as a number. */
  readonly powNumber: bigint;
  readonly networkTarget: bigint;
  /** Of the difficulty the job was sent with. */
  readonly jobTarget: bigint;
  /**
   * Of a lower difficulty set since: firmware applies a lower one to old jobs at once (ESP-Miner#212). undefined, or
   * smaller than `jobTarget`: only the job's counts.
   */
  readonly easierTarget?: bigint | undefined;
  /** Whether the job's parent was no longer the tip when the share arrived. */
  readonly isStale: boolean;
  /** Whether this header was not accepted before in this session. */
  readonly isFirstSubmit: boolean;
  readonly ntime: number;
  readonly ntimeRange: NtimeRange;
}

/** [s] inclusive */
export interface NtimeRange {
  readonly min: number;
  readonly max: number;
}

/** `solvesBlock` is told in every case: such a share goes the block path whatever the miner is answered. */
export type ShareVerdict =
  | {
      readonly kind: 'accepted';
      readonly solvesBlock: boolean;
      /** The share weighs the work of this target. */
      readonly creditedTarget: bigint;
    }
  | {
      readonly kind: 'rejected';
      readonly solvesBlock: boolean;
      readonly reason: ShareRejectReason;
    };

/** A bad share is an expected event, so a value; only a bug throws. */
export function judgeShare(check: ShareCheck): ShareVerdict {
  const solvesBlock = check.powNumber <= check.networkTarget; // Before all else: a late block is still a block.
  const rejected = (reason: ShareRejectReason): ShareVerdict => ({
    kind: 'rejected',
    solvesBlock,
    reason,
  });
  if (!solvesBlock && check.isStale) return rejected('stale_job');
  if (check.ntime < check.ntimeRange.min) return rejected('ntime_too_old');
  if (check.ntime > check.ntimeRange.max) return rejected('ntime_too_new');
  if (!check.isFirstSubmit) return rejected('duplicate');
  const creditedTarget = creditedTargetOf(check, solvesBlock);
  if (creditedTarget === undefined) return rejected('low_difficulty');
  return { kind: 'accepted', solvesBlock, creditedTarget };
}

/** The times a share of the job may carry when it arrives at `arrivedMs`. */
export function ntimeRangeOf(
  job: { readonly mintime: number; readonly curtime: number },
  arrivedMs: number,
): NtimeRange {
  const nowSec = Math.max(job.curtime, Math.floor(arrivedMs / 1000));
  return { min: job.mintime, max: Math.min(nowSec + NTIME_AHEAD_MAX_SEC, 0xffff_ffff) };
}

/** The hardest target of those that count which the share meets. A block is paid even where it is easier than a share. */
function creditedTargetOf(check: ShareCheck, solvesBlock: boolean): bigint | undefined {
  const { powNumber, jobTarget, easierTarget } = check;
  if (powNumber <= jobTarget) return jobTarget;
  if (easierTarget !== undefined && powNumber <= easierTarget) return easierTarget;
  return solvesBlock ? check.networkTarget : undefined;
}
