/** Rejected shares, summed up: one record a worker and reason a second, not one a share. Bounded. */
import type { RejectsRecord } from '#libs/journal/record.ts';
import type { ShareRejectReason } from '#libs/stratum/codes.ts';

/** Pairs of worker and reason between two flushes; beyond, only the metric counts. */
const PAIRS_MAX = 4_096;

export class Rejects {
  readonly #counts = new Map<
    string,
    { worker: string; reason: ShareRejectReason; count: number }
  >();

  add(worker: string, reason: ShareRejectReason): void {
    const key = `${reason} ${worker}`;
    const known = this.#counts.get(key);
    if (known !== undefined) known.count += 1;
    else if (this.#counts.size < PAIRS_MAX) this.#counts.set(key, { worker, reason, count: 1 });
  }

  /** What came since the last call. */
  take(nowMs: number): readonly RejectsRecord[] {
    const records = [...this.#counts.values()].map(
      (sum): RejectsRecord => ({ kind: 'rejects', timeMs: Math.floor(nowMs), ...sum }),
    );
    this.#counts.clear();
    return records;
  }
}
