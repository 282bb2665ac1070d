/** The clock. Pure code gets its value as a parameter. */

/** [ms] Unix time; not monotonic, never used for timeouts within a process. */
export function nowMs(): number {
  return Date.now();
}

/** [ms] since the process began; never goes back. */
export function monotonicMs(): number {
  return performance.now();
}
