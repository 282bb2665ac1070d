/** The metrics of a process: its registry with what every process has. */
import { collectDefaultMetrics, Registry } from '@prometheus-io/client';
import { gaugeIn } from '#libs/bus/metric.ts';

/** @param labels on every metric of the process, such as role and id */
export function createMetrics(labels: Readonly<Record<string, string>>, version: string): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ ...labels });
  collectDefaultMetrics({ register: registry });
  const build = gaugeIn(registry, 'seam_build_info', 'Always 1; the label tells', ['version']);
  build.set({ version }, 1);
  return registry;
}

/** `seam_instance_ready`: 1 while the service can do its work. */
export function readyGauge(registry: Registry) {
  return gaugeIn(registry, 'seam_instance_ready', 'Whether this instance is ready', []);
}
