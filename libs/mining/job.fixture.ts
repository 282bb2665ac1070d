/** A job for tests, complete and made minable: what a jobmanager would announce. */
import type { Job } from '#libs/contracts/job.ts';
import { jobIdOf } from './job-id.ts';

export function makeJob(changes: Partial<Omit<Job, 'jobId'>> = {}): Job {
  const content = {
    chain: 'btc',
    height: 840_000,
    parent: '00000000000008a3a41b85b8b29ad444def299fee21793cd8b9e567eab02cd81',
    version: 0x2000_0000,
    versionMask: 0x1fff_e000,
    nbits: 0x207f_ffff,
    curtime: 1_700_000_000,
    mintime: 1_699_990_000,
    coinbase: {
      version: 2,
      scriptSigHead: '0340d10c',
      extranonce1Size: 4,
      extranonce2Size: 8,
      scriptSigTail: '2f5365616d2f',
      sequence: 0xffff_fffe,
      valueSat: 312_500_001,
      poolScript: `0014${'11'.repeat(20)}`,
      feeBasisPoints: 0,
      extraOutputs: [{ valueSat: 0, script: `6a24aa21a9ed${'22'.repeat(32)}` }],
      lockTime: 839_999,
    },
    merkleBranch: ['33'.repeat(32), '44'.repeat(32), '55'.repeat(32)],
    bodyId: '66'.repeat(16),
    ...changes,
  };
  return { jobId: jobIdOf(content), ...content };
}
