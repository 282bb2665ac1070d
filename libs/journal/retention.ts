/** Which acknowledged segments may go. Pure. */

export interface SegmentExtent {
  readonly path: string;
  /** [records] index of the first record */
  readonly firstIndex: number;
  /** [records] index behind the last record */
  readonly endIndex: number;
  readonly bytes: number;
  /** [ms] when the last record was written */
  readonly changedMs: number;
}

export interface RetentionRule {
  /** [ms] an acknowledged segment is kept after its last record */
  readonly keepMs: number;
  /** [bytes] of acknowledged segments that are kept, newest first */
  readonly keepBytesMax: number;
}

/**
 * The segments to delete, oldest first: acknowledged to their end, and beyond the time or the size that is kept.
 *
 * @param heldIndex nothing at or behind it goes: the oldest unsettled candidate, or Infinity
 */
export function expiredSegments<S extends SegmentExtent>(
  segments: readonly S[],
  acknowledged: number,
  heldIndex: number,
  nowMs: number,
  { keepMs, keepBytesMax }: RetentionRule,
): S[] {
  const limit = Math.min(acknowledged, heldIndex);
  const deletable = segments.filter((segment) => segment.endIndex <= limit);
  let bytes = deletable.reduce((sum, segment) => sum + segment.bytes, 0);
  const expired: S[] = [];
  for (const segment of deletable) {
    if (nowMs - segment.changedMs <= keepMs && bytes <= keepBytesMax) break;
    expired.push(segment);
    bytes -= segment.bytes;
  }
  return expired;
}
