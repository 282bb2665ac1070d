/** The job as it crosses processes: a template made minable. Everything a coinbase needs is in it. */
import { z } from 'zod';
import { chainId, hexBytes, hexOf, sat, uint32 } from './define.ts';

/**
 * How the coinbase of a job is laid out. The bytes up to the extranonce and after it follow from this alone
 * (and, in `solo`, from the owner's script in the session capsule): see `libs/mining/coinbase-layout.ts`.
 */
export const coinbaseLayout = z.object({
  version: uint32.describe('Transaction version'),
  scriptSigHead: hexBytes.describe('BIP 34 height push, before the extranonce'),
  extranonce1Size: z.int().min(1).max(8).describe('[bytes] the pool’s part'),
  extranonce2Size: z.int().min(4).max(16).describe('[bytes] the miner’s part'),
  scriptSigTail: hexBytes.describe('Tag and merged-mining commitment, after the extranonce'),
  sequence: uint32.describe('nSequence, not 0xffffffff (BIP 54)'),
  valueSat: sat.describe('[sat] subsidy and fees: what all paying outputs sum up to'),
  poolScript: hexBytes.describe('Script of the pool’s payout address'),
  feeBasisPoints: z
    .int()
    .min(0)
    .max(10_000)
    .describe('In solo: the pool’s part in 1/10000; 0 gives no pool output'),
  extraOutputs: z
    .array(z.object({ valueSat: sat, script: hexBytes }))
    .max(4)
    .describe('After the paying outputs: the witness commitment verbatim'),
  lockTime: uint32.describe('height - 1 (BIP 54)'),
});

export const jobSchema = z.object({
  jobId: hexOf(8).describe('Hash of everything below: never reused for other content'),
  chain: chainId,
  height: z.int().min(0).max(0x7fff_ffff).describe('[blocks] of the block being mined'),
  parent: hexOf(32).describe('Hash of the previous block, display byte order'),
  version: uint32.describe('Block version, bits of versionMask cleared'),
  versionMask: uint32.describe('Bits miners may roll (BIP 310/320)'),
  nbits: uint32.describe('Network target, compact'),
  curtime: uint32.describe('[s] ntime the job starts at'),
  mintime: uint32.describe('[s] lowest ntime a block may carry'),
  coinbase: coinbaseLayout,
  merkleBranch: z
    .array(hexOf(32))
    .max(20)
    .describe('Internal byte order, as sent in mining.notify'),
  bodyId: hexOf(16)
    .nullable()
    .describe('Names the transactions (template body); null: the block is the coinbase alone'),
});

/** A job. Pure data, safe to keep and share; never changed after it was made. */
export type Job = z.infer<typeof jobSchema>;
export type CoinbaseLayout = z.infer<typeof coinbaseLayout>;
