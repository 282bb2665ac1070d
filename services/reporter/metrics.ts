/** Metrics of the reporter. */
import { Histogram, type Registry } from '@prometheus-io/client';
import { counterIn, gaugeIn } from '#libs/bus/metric.ts';

export type ReporterMetrics = ReturnType<typeof createMetrics>;

export function createMetrics(metrics: Registry) {
  return {
    batches: counterIn(metrics, 'seam_books_batches_total', 'Batches, by what became of them', [
      'chain',
      'outcome',
    ]),
    shares: counterIn(metrics, 'seam_books_shares_total', 'Shares of applied batches', [
      'chain',
      'kind',
    ]),
    lost: counterIn(metrics, 'seam_books_lost_records_total', 'Records booked as lost', ['chain']),
    unknown: counterIn(metrics, 'seam_books_unknown_records_total', 'Records of later versions', [
      'chain',
    ]),
    blocks: counterIn(metrics, 'seam_books_blocks_total', 'New states of blocks', [
      'chain',
      'state',
    ]),
    inFlight: gaugeIn(metrics, 'seam_books_applies_in_flight', 'Batches being applied', []),
    redisCommands: counterIn(
      metrics,
      'seam_reporter_redis_commands_total',
      'Commands sent to the shares Redis',
      ['purpose'],
    ),
    applySeconds: new Histogram({
      name: 'seam_books_apply_seconds',
      help: 'Duration of one batch, decoding included',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 3],
      registers: [metrics],
    }),
    requests: counterIn(metrics, 'seam_http_requests_total', 'Public HTTP requests', ['status']),
  };
}
