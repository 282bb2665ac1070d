/** Jobs for tests, small and complete. */
import type { Job } from '#libs/contracts/job.ts';

export interface JobFixture {
  readonly id?: number | string;
  readonly chain?: string;
  readonly height?: number;
  readonly parent?: string;
  readonly curtime?: number;
  readonly nbits?: number;
  readonly extranonce2Size?: number;
  readonly versionMask?: number;
}

/** A parent's hash by a short name. */
export function parentOf(name: string | number): string {
  return Buffer.from(String(name)).toString('hex').padStart(64, '0');
}

/** A job that pays an anyone-can-spend script; its id is whatever the test says. */
export function makeJob({
  id = 1,
  chain = 'btc',
  height = 100,
  parent = parentOf(height - 1),
  curtime = 1_700_000_000,
  nbits = 0x207fffff,
  extranonce2Size = 8,
  versionMask = 0x1fff_e000,
}: JobFixture = {}): Job {
  const jobId = typeof id === 'string' ? id : id.toString(16).padStart(16, '0');
  return {
    jobId,
    chain,
    height,
    parent,
    version: 0x2000_0000,
    versionMask,
    nbits,
    curtime,
    mintime: curtime - 600,
    coinbase: {
      version: 2,
      scriptSigHead: '0164',
      extranonce1Size: 4,
      extranonce2Size,
      scriptSigTail: `2f5365616d2f${jobId.slice(-4)}`, // No two jobs have the same shares.
      sequence: 0xffff_fffe,
      valueSat: 5_000_000_000,
      poolScript: '0014751e76e8199196d454941c45d1b3a323f1433bd6',
      feeBasisPoints: 0,
      extraOutputs: [
        {
          valueSat: 0,
          script: '6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9',
        },
      ],
      lockTime: height - 1,
    },
    merkleBranch: [],
    bodyId: null,
  };
}
