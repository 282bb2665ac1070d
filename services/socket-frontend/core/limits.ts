/** Bounds of a connection, and the rate at which its lines are taken. */

export interface ConnectionLimits {
  /** [bytes] a longer line ends the connection */
  readonly lineBytesMax: number;
  /** [lines] sent to a server and not acknowledged; at the bound reading stops */
  readonly unacknowledgedLinesMax: number;
  /** [bytes] of those lines; one line is always let through */
  readonly unacknowledgedBytesMax: number;
  /** [bytes] */
  readonly capsuleBytesMax: number;
  /** [bytes] that wait to be written; a miner further behind is closed */
  readonly outBytesMax: number;
  /** [ms] lines and sockets are held while no server is ready */
  readonly holdMs: number;
  /** [ms] over which the closing of held connections is spread */
  readonly holdSpreadMs: number;
  /** [ms] in which a PROXY header must be complete */
  readonly headerMs: number;
  /** [ms] a connection may live without a first line */
  readonly firstLineMs: number;
  /** [ms] from FIN, or from the miner's, until the socket is destroyed */
  readonly closeMs: number;
  /** [lines/s] taken in the long run, and how many at once */
  readonly linesPerSec: number;
  readonly lineBurst: number;
}

/** What the configuration does not say. */
export const DEFAULT_LIMITS = {
  unacknowledgedBytesMax: 65_536,
  capsuleBytesMax: 131_072,
  outBytesMax: 262_144,
  holdSpreadMs: 5_000,
  headerMs: 5_000,
  closeMs: 5_000,
  linesPerSec: 2_000,
  lineBurst: 4_000,
} as const satisfies Partial<ConnectionLimits>;

/** A token bucket of lines. */
export interface LineAllowance {
  readonly lines: number;
  readonly atMs: number;
}

/** What may be taken now, after the time that passed. */
export function refill(
  allowance: LineAllowance,
  limits: ConnectionLimits,
  nowMs: number,
): LineAllowance {
  const passedMs = Math.max(0, nowMs - allowance.atMs);
  const lines = Math.min(
    limits.lineBurst,
    allowance.lines + (passedMs * limits.linesPerSec) / 1_000,
  );
  return { lines, atMs: nowMs };
}

/**
 * [ms] how long a connection is held without a server: `holdMs` and its share of the spread, so that ten thousand are not
 * closed at once. Depends on the handle only.
 */
export function holdMsOf(handle: number, limits: ConnectionLimits): number {
  const share = (Math.imul(handle, 0x9e37_79b1) >>> 0) / 2 ** 32;
  return limits.holdMs + share * limits.holdSpreadMs;
}
