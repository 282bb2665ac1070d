/** Which candidates of a journal still wait for their fate. Pure. */
import type { CandidateRecord, JournalRecord, UnknownRecord } from './record.ts';

/** [candidates] remembered as unsettled; the oldest are worthless long before this many */
const UNSETTLED_MAX = 4_096;

export class CandidateBook {
  readonly #unsettled = new Map<
    string,
    { readonly record: CandidateRecord; readonly index: number }
  >();

  /** Takes note of a record that stands, or is about to stand, at `index`. */
  note(record: JournalRecord | UnknownRecord, index: number): void {
    if (record.kind === 'settled') this.#unsettled.delete(record.hash);
    if (record.kind !== 'candidate') return;
    this.#unsettled.set(record.hash, { record, index });
    if (this.#unsettled.size <= UNSETTLED_MAX) return;
    const [oldest] = this.#unsettled.keys();
    if (oldest !== undefined) this.#unsettled.delete(oldest);
  }

  /** Oldest first. */
  unsettled(): readonly CandidateRecord[] {
    return [...this.#unsettled.values()].map(({ record }) => record);
  }

  /** Index of the oldest unsettled candidate; undefined: none. */
  get oldestIndex(): number | undefined {
    const [oldest] = this.#unsettled.values();
    return oldest?.index;
  }
}
