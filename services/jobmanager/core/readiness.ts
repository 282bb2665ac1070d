/** Whether this jobmanager has work worth following. */

export interface WorkState {
  readonly hasJob: boolean;
  /** [ms] since a node confirmed the tip; Infinity: never */
  readonly tipAgeMs: number;
}

export type Readiness =
  | { readonly isReady: true }
  | { readonly isReady: false; readonly reason: string };

/** Without any node the last job is kept for `staleWorkMs`, then it is no work any more. */
export function judgeReadiness(state: WorkState, staleWorkMs: number): Readiness {
  const { hasJob, tipAgeMs } = state;
  if (!hasJob) return { isReady: false, reason: 'no coin node has given a template yet' };
  if (tipAgeMs < staleWorkMs) return { isReady: true };
  const seconds = Math.floor(staleWorkMs / 1_000);
  return { isReady: false, reason: `no coin node has confirmed the tip for ${seconds} s` };
}
