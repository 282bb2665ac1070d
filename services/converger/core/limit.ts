/** Limits of one iteration in size: `-1 … max(7, 10 %)`. Under-provisioning costs more than over-provisioning. */
import { capacityChangeOf, type Step } from './step.ts';

export interface Bounds {
  /** [instances] most removed by one iteration */
  readonly removeMax: number;
  /** [instances] most added by one iteration, or `addFraction` of desired if that is more */
  readonly addMax: number;
  readonly addFraction: number;
}

export const DEFAULT_BOUNDS: Bounds = { removeMax: 1, addMax: 7, addFraction: 0.1 };
export const NO_BOUNDS: Bounds = { removeMax: Infinity, addMax: Infinity, addFraction: 0 };

/** The first steps that stay within the bounds; what is cut off is left for the iterations after. */
export function limit(
  steps: readonly Step[],
  desiredCount: number,
  bounds: Bounds,
): readonly Step[] {
  const addMax = Math.max(bounds.addMax, Math.floor(desiredCount * bounds.addFraction));
  let added = 0;
  let removed = 0;
  return steps.filter((step) => {
    const change = capacityChangeOf(step);
    if (change > 0) return (added += 1) <= addMax;
    if (change < 0) return (removed += 1) <= bounds.removeMax;
    return true;
  });
}
