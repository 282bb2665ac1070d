/** Metrics that several users in a process share: made by the first, found by the others. */
import { Counter, Gauge, type Registry } from '@prometheus-io/client';

/** The counter of this name in `registry`, made if it is not there yet. */
export function counterIn<L extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly L[],
): Counter<L> {
  const known = registry.getSingleMetric(name);
  if (known instanceof Counter) return known as Counter<L>; // One name, one meaning: same labels.
  return new Counter({ name, help, labelNames, registers: [registry] });
}

/** The gauge of this name in `registry`, made if it is not there yet. */
export function gaugeIn<L extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly L[],
): Gauge<L> {
  const known = registry.getSingleMetric(name);
  if (known instanceof Gauge) return known as Gauge<L>; // One name, one meaning: same labels.
  return new Gauge({ name, help, labelNames, registers: [registry] });
}
