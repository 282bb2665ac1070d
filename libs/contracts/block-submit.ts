/**
 * A share that also solves the block. stratum-server -> all jobmanagers of the chain, in parallel.
 *
 * Idempotent by `hash`: the caller repeats it until one answers `accepted` or `duplicate`, since a lost block
 * costs more than a hundred duplicate submits.
 */
import { z } from 'zod';
import { chainId, defineRpc, hexBytes, hexOf, type ReplyOf, type RequestOf } from './define.ts';
import { jobSchema } from './job.ts';

export const blockSubmit = defineRpc('block.submit', 1, {
  request: z.object({
    chain: chainId,
    hash: hexOf(32).describe('Double SHA-256 of the header, display byte order'),
    header: hexOf(80),
    coinbase: hexBytes.describe('The solved coinbase, without witness'),
    job: jobSchema.describe('Complete, so that any jobmanager of the chain can assemble the block'),
    worker: z.string().max(256),
    foundMs: z.int().min(0).describe('[ms] when the share arrived'),
  }),
  reply: z.object({
    outcome: z
      .enum(['accepted', 'duplicate', 'rejected', 'unavailable', 'body_unknown'])
      .describe(
        'unavailable: no node answered; body_unknown: the transactions are not (yet) known here',
      ),
    reason: z.string().max(512).describe('The node’s word, or empty'),
  }),
  timeoutMs: 10_000,
});
export type BlockSubmit = RequestOf<typeof blockSubmit>;
export type BlockSubmitted = ReplyOf<typeof blockSubmit>;
