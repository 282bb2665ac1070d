/** Metrics of the registry. */
import type { Registry } from '@prometheus-io/client';
import { counterIn, gaugeIn } from '#libs/bus/metric.ts';

export function createRegistryMetrics(metrics: Registry) {
  return {
    instances: gaugeIn(metrics, 'seam_registry_instances', 'Instances in the last view', []),
    fresh: gaugeIn(metrics, 'seam_registry_view_fresh', '1 while Redis answers', []),
    failures: counterIn(
      metrics,
      'seam_registry_failures_total',
      'Writes and reads that Redis did not answer',
      ['kind'],
    ),
    generations: counterIn(
      metrics,
      'seam_registry_store_generations_total',
      'New stores seen, by what told',
      ['sign'],
    ),
    leftOut: gaugeIn(
      metrics,
      'seam_registry_left_out_records',
      'Records that could not be read, or were too many',
      [],
    ),
  };
}
