/** The safety net: asks a node again and again, at once when woken, ever more slowly while it fails. */
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from './backoff.ts';

export interface TipPollOptions {
  /** [ms] between two polls of a node that answers */
  readonly intervalMs: number;
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** One poll. False: it failed. Must not throw. */
  readonly poll: () => Promise<boolean>;
}

export interface TipPoll {
  /** Polls now, or once more right after the poll under way. */
  wake(): void;
  /** Resolves after the signal was aborted and the last poll ended. */
  readonly done: Promise<void>;
}

export function createTipPoll({ intervalMs, random, signal, poll }: TipPollOptions): TipPoll {
  let alarm = new AbortController();

  async function loop(): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      alarm = new AbortController();
      failures = (await poll()) ? 0 : failures + 1;
      const waitMs = Math.max(intervalMs, backoffMs(failures, random()));
      await sleep(waitMs, undefined, { signal: AbortSignal.any([signal, alarm.signal]) }).catch(
        () => undefined, // Woken or stopping: the loop looks which.
      );
    }
  }
  return { wake: () => alarm.abort(), done: loop() };
}
