/** How long a name that keeps ending is not started again. Pure. */

export interface Exits {
  /** Ends in a row that came soon after the start. */
  readonly count: number;
  /** [ms] */
  readonly heldBackUntilMs: number;
}

/** [ms] A process that ran this long was well: its end begins a new row. */
const WELL_AFTER_MS = 60_000;
const FIRST_MS = 500;
const MAX_MS = 30_000;
/** sysexits(3) EX_CONFIG: nothing but a new configuration helps, so trying again soon is no use. */
const EXIT_CONFIG = 78;

/** The row after one more end. The first end of a well process is made good at once. */
export function afterExit(
  exits: Exits | undefined,
  ranMs: number,
  code: number | null,
  nowMs: number,
): Exits {
  const count = ranMs >= WELL_AFTER_MS ? 1 : (exits?.count ?? 0) + 1;
  const delayMs =
    code === EXIT_CONFIG ? MAX_MS : count === 1 ? 0 : Math.min(MAX_MS, FIRST_MS * 2 ** (count - 2));
  return { count, heldBackUntilMs: nowMs + delayMs };
}
