/** Metrics of all journals of a process. */
import type { Registry } from '@prometheus-io/client';
import { counterIn, gaugeIn } from '#libs/bus/metric.ts';

export type JournalMetrics = ReturnType<typeof createJournalMetrics>;

/** Made once or often: the metrics of a name are one. */
export function createJournalMetrics(metrics: Registry) {
  const counter = <L extends string>(name: string, help: string, labels: readonly L[]) =>
    counterIn(metrics, `seam_journal_${name}_total`, help, labels);
  return {
    records: counter('records', 'Records written', ['chain']),
    bytes: counter('written_bytes', 'Bytes written', ['chain']),
    writeErrors: counter('write_errors', 'Writes that failed: shares were answered 20', [
      'chain',
      'code',
    ]),
    syncErrors: counter('sync_errors', 'fdatasync calls that failed', ['chain']),
    tornBytes: counter('torn_bytes', 'Bytes cut off the end of segments at recovery', ['chain']),
    corrupt: counter('corrupt_segments', 'Segments found damaged before their end', ['chain']),
    adopted: counter('adopted', 'Journals of dead owners taken over', ['chain']),
    unproved: counter('unproved_owners', 'Owners neither proved dead nor alive, left alone', [
      'chain',
    ]),
    shipped: counter('shipped_records', 'Records acknowledged by the store', ['chain']),
    lost: counter('lost_records', 'Records shipped as lost: no longer retained', ['chain']),
    reshipped: counter('reshipped_records', 'Records shipped again: the watermark went back', [
      'chain',
    ]),
    shipErrors: counter('ship_errors', 'Batches or watermark reads that failed', ['chain', 'code']),
    unshipped: gaugeIn(metrics, 'seam_journal_unshipped_records', 'Records not yet acknowledged', [
      'chain',
    ]),
    retainedBytes: gaugeIn(metrics, 'seam_journal_retained_bytes', 'Size of all segments', [
      'chain',
    ]),
  };
}
