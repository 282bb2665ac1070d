/**
 * The fate of a block the pool found. jobmanager or reporter -> whoever shows it, key: the chain.
 *
 * Telemetry: the truth is the `block:` record in Redis. A lost one is seen at the next read.
 */
import { z } from 'zod';
import { chainId, defineTopic, hexOf, type MessageOf } from './define.ts';

export const blockChanged = defineTopic(
  'block.changed',
  1,
  z.object({
    chain: chainId,
    hash: hexOf(32),
    height: z.int().min(0),
    state: z.enum(['submitted', 'accepted', 'rejected', 'mature', 'orphaned']),
    reason: z.string().max(512),
  }),
);
export type BlockChanged = MessageOf<typeof blockChanged>;
