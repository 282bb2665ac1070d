/**
 * A block another jobmanager's node has seen. jobmanager -> the active jobmanager of the chain.
 *
 * The raw block travels as attachment 0. The active one submits it to its nodes: `accepted` means the provisional
 * height is agreed. Idempotent by hash.
 */
import { z } from 'zod';
import { chainId, defineRpc, hexOf } from './define.ts';

export const blockRelay = defineRpc('block.relay', 1, {
  request: z.object({ chain: chainId, hash: hexOf(32), height: z.int().min(0) }),
  reply: z.object({
    outcome: z.enum(['accepted', 'duplicate', 'rejected', 'unavailable']),
    reason: z.string().max(512),
  }),
  timeoutMs: 10_000,
});
