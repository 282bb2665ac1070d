/** The metrics of a process: its registry with what every process has. */
import { collectDefaultMetrics, Registry } from '@prometheus-io/client';
import { gaugeIn } from '#libs/bus/metric.ts';

/** @param labels on every metric of the process, such as role and id */
export function createMetrics(labels: Readonly<Record<string, string>>): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ ...labels });
  collectDefaultMetrics({ register: registry });
  return registry;
}

/** `seam_instance_ready`: 1 while the service can do its work. */
export function readyGauge(registry: Registry) {
  return gaugeIn(registry, 'seam_instance_ready', 'Whether this instance is ready', []);
}
