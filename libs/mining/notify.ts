/** A job as mining.notify carries it. */
import { hexFromBytes, hexFromUint32 } from '#libs/bitcoin/hex.ts';
import { stratumFromDisplay } from '#libs/bitcoin/prevhash.ts';
import type { NotifyParams } from '#libs/stratum/notification.ts';
import { coinb1Of, coinb2Of } from './coinbase-layout.ts';
import type { MinableJob } from './job.ts';

/**
 * @param ownerScript in `solo` the script of whoever owns the connection, else undefined
 * @param cleanJobs whether work on older jobs is now worthless
 */
export function notifyParams(
  job: MinableJob,
  ownerScript: Uint8Array | undefined,
  cleanJobs: boolean,
): NotifyParams {
  return [
    job.jobId,
    stratumFromDisplay(job.parent),
    hexFromBytes(coinb1Of(job.coinbase)),
    hexFromBytes(coinb2Of(job.coinbase, ownerScript)),
    job.merkleBranch,
    hexFromUint32(job.version),
    hexFromUint32(job.nbits),
    hexFromUint32(job.curtime),
    cleanJobs,
  ];
}
