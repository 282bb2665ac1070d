/**
 * What a jobmanager would announce now. stratum-server -> one jobmanager, at joining and after a gap.
 *
 * Idempotent: reads only. `jobs` are those still worth a share, oldest first, the newest is the one to mine.
 */
import { z } from 'zod';
import { chainId, defineRpc, type ReplyOf } from './define.ts';
import { jobSchema } from './job.ts';

export const jobSnapshot = defineRpc('job.snapshot', 1, {
  request: z.object({ chain: chainId }),
  reply: z.object({
    jobs: z.array(jobSchema).max(64),
    startedMs: z.int().min(0).describe('[ms] when this jobmanager became ready'),
    lastTemplateAgeMs: z.int().min(0).describe('[ms] since a node last confirmed the tip'),
  }),
});
export type JobSnapshot = ReplyOf<typeof jobSnapshot>;
