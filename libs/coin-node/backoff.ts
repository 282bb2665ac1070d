/** How long to wait before the next try. Pure. */

/**
 * Exponential backoff with half of it left to chance, so that many who lost the same node do not return as one.
 *
 * @param failures number of failures in a row, from 1; below 1 means no wait
 * @param random in 0..1
 * @returns [ms] in `baseMs / 2 .. maxMs`
 */
export function backoffMs(
  failures: number,
  random: number,
  { baseMs = 250, maxMs = 5_000 }: { readonly baseMs?: number; readonly maxMs?: number } = {},
): number {
  if (failures < 1) return 0;
  const full = Math.min(maxMs, baseMs * 2 ** Math.min(failures - 1, 30));
  return Math.round(full / 2 + (full / 2) * Math.min(Math.max(random, 0), 1));
}
