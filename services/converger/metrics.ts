/** Metrics of the converger. */
import { Counter, Gauge, Histogram, type Registry } from '@prometheus-io/client';

export interface ConvergerMetrics {
  readonly iterations: Counter<'group'>;
  readonly steps: Counter<'kind' | 'result'>;
  readonly told: Counter<'source'>;
  readonly desired: Gauge<'group'>;
  readonly serving: Gauge<'group'>;
  readonly owned: Gauge;
  readonly iterationSeconds: Histogram;
}

export function createMetrics(registry: Registry): ConvergerMetrics {
  const registers = [registry];
  return {
    iterations: new Counter({
      name: 'seam_converger_iterations_total',
      help: 'Iterations of a group',
      labelNames: ['group'],
      registers,
    }),
    steps: new Counter({
      name: 'seam_converger_steps_total',
      help: 'Steps performed',
      labelNames: ['kind', 'result'],
      registers,
    }),
    told: new Counter({
      name: 'seam_converger_told_total',
      help: 'Converge requests told, by source',
      labelNames: ['source'],
      registers,
    }),
    desired: new Gauge({
      name: 'seam_converger_desired_instances',
      help: 'Desired instances',
      labelNames: ['group'],
      registers,
    }),
    serving: new Gauge({
      name: 'seam_converger_serving_instances',
      help: 'Instances seen serving',
      labelNames: ['group'],
      registers,
    }),
    owned: new Gauge({
      name: 'seam_converger_owned_groups',
      help: 'Groups this converger owns',
      registers,
    }),
    iterationSeconds: new Histogram({
      name: 'seam_converger_iteration_seconds',
      help: 'Duration of an iteration',
      registers,
    }),
  };
}
