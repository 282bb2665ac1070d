/**
 * A new job to mine. jobmanager -> every stratum-server, key: the chain.
 *
 * Sent at once for a new block (`empty` first, then with transactions) and every 25 s as a refresh.
 * Complete in itself. A lost or late one shows as a gap in the publisher's sequence, upon which the
 * receiver calls `job.snapshot`. A repeated one is recognised by its job id.
 */
import { z } from 'zod';
import { chainId, defineTopic, hexOf, type MessageOf } from './define.ts';
import { jobSchema } from './job.ts';

export const jobAnnounced = defineTopic(
  'job.announced',
  1,
  z.object({
    chain: chainId,
    job: jobSchema,
    cause: z
      .enum(['new_block', 'refresh'])
      .describe('new_block: the parent differs from the job before'),
    startedMs: z
      .int()
      .min(0)
      .describe('[ms] when this jobmanager became ready: the oldest one is followed'),
    tipAgeMs: z
      .int()
      .min(0)
      .optional()
      .describe('[ms] since a node last confirmed the tip; more than 0 while no node answers'),
    refused: z
      .array(hexOf(32))
      .max(16)
      .optional()
      .describe(
        'Blocks its nodes called invalid (block.relay): heights on top of them do not count',
      ),
  }),
);
export type JobAnnounced = MessageOf<typeof jobAnnounced>;
