/** Hashrates from work per minute. Pure. */
import { hashrateHps } from '#libs/mining/work.ts';
import type { MinuteSeries } from './model.ts';

const MINUTE_MS = 60_000;
/** [ms] below which a mean says nothing: the first shares of a new worker */
const SPAN_MIN_MS = 30_000;

/** Windows that are shown, and how many minutes each has. */
export const WINDOWS = { '1m': 1, '5m': 5, '1h': 60 } as const;

export type Hashrates = { readonly [Window in keyof typeof WINDOWS]: number };

/**
 * Mean over each window: its whole minutes and the one that runs. Who began later than the window is measured since
 * then, so that a new miner shows its rate at once.
 *
 * @param firstMs [ms] first share ever; 0: there was none
 */
export function hashratesOf(series: MinuteSeries, firstMs: number, nowMs: number): Hashrates {
  const over = (minutes: number) => hashrateOver(series, minutes, firstMs, nowMs);
  return { '1m': over(WINDOWS['1m']), '5m': over(WINDOWS['5m']), '1h': over(WINDOWS['1h']) };
}

function hashrateOver(
  series: MinuteSeries,
  minutes: number,
  firstMs: number,
  nowMs: number,
): number {
  const current = Math.floor(nowMs / MINUTE_MS);
  const first = current - minutes;
  let work = 0n;
  for (const [minute, value] of series) if (minute >= first && minute <= current) work += value;
  const sinceMs = Math.max(first * MINUTE_MS, firstMs);
  return hashrateHps(work, Math.max(nowMs - sinceMs, SPAN_MIN_MS));
}

/** Hours since 1970 whose series a window of minutes reaches into, the latest first. */
export function hoursOf(nowMs: number, minutes: number): number[] {
  const current = Math.floor(nowMs / MINUTE_MS);
  const last = Math.floor(current / 60);
  const first = Math.floor((current - minutes) / 60);
  return Array.from({ length: last - first + 1 }, (_, at) => last - at);
}
