/** Whether Redis is still the store we wrote to. Pure. */
import type { StoreMark } from './record-store.ts';

/** A store as seen in one reading. */
export interface StoreIdentity {
  readonly generation: StoreMark['generation'];
  readonly runId: string;
  /** [ms] when it last answered */
  readonly answeredMs: number;
}

export type NewStoreSign = 'generation' | 'run_id' | 'silence';

/**
 * Why `seen` is a new store generation, or undefined if it is the store we know.
 *
 * Emptied or failed over: another generation. Restarted with old data, so that its last second may be gone: another
 * `run_id`. Away for so long that records ended: silence.
 *
 * @param silenceMaxMs [ms] a store that did not answer for longer has forgotten records meanwhile
 */
export function newStoreSign(
  known: StoreIdentity,
  seen: StoreIdentity,
  silenceMaxMs: number,
): NewStoreSign | undefined {
  if (seen.generation !== known.generation) return 'generation';
  if (seen.runId !== known.runId) return 'run_id';
  return seen.answeredMs - known.answeredMs > silenceMaxMs ? 'silence' : undefined;
}
