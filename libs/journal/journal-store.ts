/** The journal's side of the shares Redis: registering, and reading the watermark. Batches go through reporters. */
import type { Redis } from 'ioredis';
import { keys } from '#libs/contracts/keys.ts';

export interface JournalRegistration {
  readonly chain: string;
  readonly journalId: string;
  /** [ms] when the journal was opened */
  readonly openedMs: number;
  /** Instance that opened it, for people. */
  readonly instance: string;
}

/** Makes a journal known before its first record. Repeatable. @throws the Redis client's error */
export async function registerJournal(
  redis: Pick<Redis, 'hsetnx'>,
  { chain, journalId, openedMs, instance }: JournalRegistration,
): Promise<void> {
  await redis.hsetnx(keys.journals(chain), journalId, JSON.stringify({ openedMs, instance }));
}

/** [records] index behind the last record the books have of this journal. @throws the Redis client's error */
export async function readWatermark(
  redis: Pick<Redis, 'hget'>,
  chain: string,
  journalId: string,
): Promise<number> {
  const text = await redis.hget(keys.journalWatermarks(chain), journalId);
  const watermark = Number(text ?? 0);
  if (!Number.isSafeInteger(watermark) || watermark < 0)
    throw new RangeError(`Cannot read the watermark of journal ${journalId}: it is "${text}"`);
  return watermark;
}
