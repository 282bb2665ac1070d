/**
 * Limits iterations in time: at most one per interval and group, the first at once, and one trailing run for all that
 * was told meanwhile, so that nothing told is lost. Pure: the caller owns the timer.
 */

export interface Throttle {
  /** [ms] when the last iteration began */
  readonly lastRunMs: number;
  readonly isRunning: boolean;
  /** Told since the last iteration began. */
  readonly isDirty: boolean;
}

export type ThrottleDecision =
  | { readonly kind: 'run' }
  | { readonly kind: 'later'; readonly inMs: number }
  | { readonly kind: 'nothing' };

export const IDLE_THROTTLE: Throttle = { lastRunMs: -Infinity, isRunning: false, isDirty: false };

/** Somebody told us to look at the group. */
export function told(throttle: Throttle): Throttle {
  return throttle.isDirty ? throttle : { ...throttle, isDirty: true };
}

/** What to do now: run, come back later, or nothing. While one runs nothing is decided: its end asks again. */
export function decide(throttle: Throttle, intervalMs: number, nowMs: number): ThrottleDecision {
  if (!throttle.isDirty || throttle.isRunning) return { kind: 'nothing' };
  const inMs = throttle.lastRunMs + intervalMs - nowMs;
  return inMs <= 0 ? { kind: 'run' } : { kind: 'later', inMs };
}

export function began(_throttle: Throttle, nowMs: number): Throttle {
  return { lastRunMs: nowMs, isRunning: true, isDirty: false };
}

export function ended(throttle: Throttle): Throttle {
  return { ...throttle, isRunning: false };
}
