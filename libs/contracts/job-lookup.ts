/**
 * One job by its id. stratum-server -> every jobmanager of the chain, before it answers 21 to a well-formed id.
 *
 * Idempotent: reads only.
 */
import { z } from 'zod';
import { chainId, defineRpc, hexOf } from './define.ts';
import { jobSchema } from './job.ts';

export const jobLookup = defineRpc('job.lookup', 1, {
  request: z.object({ chain: chainId, jobId: hexOf(8) }),
  reply: z.object({
    job: jobSchema.nullable(),
    isCurrentHeight: z.boolean().describe('False: a share for it is stale'),
  }),
  timeoutMs: 500,
});
