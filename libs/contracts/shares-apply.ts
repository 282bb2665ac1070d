/**
 * A batch of journal records for the books. journal owner -> any ready reporter.
 *
 * Attachment 0 holds the records in their journal encoding, one after another (`libs/journal/record.ts`).
 * Applied only if `from` equals the journal's watermark in the store; otherwise nothing changes and the reply says
 * where to go on. Idempotent by that rule: a repeated batch gets `ahead`/`behind` with the watermark.
 */
import { z } from 'zod';
import { chainId, defineRpc, hexOf, type ReplyOf, type RequestOf } from './define.ts';

export const sharesApply = defineRpc('shares.apply', 1, {
  request: z.object({
    journal: hexOf(16).describe('Id of the journal'),
    chain: chainId,
    from: z.int().min(0).describe('[records] index of the first record in the batch'),
    to: z
      .int()
      .min(0)
      .describe('[records] index after the last one; at most from + 2000 unless lost'),
    lost: z.boolean().describe('True: the records are gone; the gap is booked and raises an alarm'),
  }),
  reply: z.object({
    applied: z.boolean(),
    watermark: z
      .int()
      .min(0)
      .describe('[records] the store’s watermark of this journal afterwards'),
  }),
  timeoutMs: 5_000,
});
export type SharesApply = RequestOf<typeof sharesApply>;
export type SharesApplied = ReplyOf<typeof sharesApply>;
