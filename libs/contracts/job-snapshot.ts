/**
 * What a jobmanager would announce now. stratum-server -> one jobmanager, at joining and after a gap.
 *
 * Idempotent: reads only. `jobs` are those still worth a share, oldest first, the newest is the one to mine.
 */
import { z } from 'zod';
import { chainId, defineRpc, hexOf, type ReplyOf } from './define.ts';
import { jobSchema } from './job.ts';

export const jobSnapshot = defineRpc('job.snapshot', 1, {
  request: z.object({ chain: chainId }),
  reply: z.object({
    jobs: z.array(jobSchema).max(64),
    startedMs: z.int().min(0).describe('[ms] when this jobmanager became ready'),
    lastTemplateAgeMs: z.int().min(0).describe('[ms] since a node last confirmed the tip'),
    refused: z
      .array(hexOf(32))
      .max(16)
      .optional()
      .describe(
        'Blocks its nodes called invalid (block.relay): heights on top of them do not count',
      ),
  }),
});
export type JobSnapshot = ReplyOf<typeof jobSnapshot>;
