/** What statsd is told of a process' metrics: how counters grew, what gauges are, what was timed. Pure. */
import type { MetricObjectWithValues, MetricValue } from '@prometheus-io/client';

export interface StatsdSample {
  readonly kind: 'count' | 'gauge' | 'timing';
  /** Metric and label values, joined by dots. */
  readonly key: string;
  /** Of a timing: [ms]. */
  readonly value: number;
  /** How often the sample is to be sent. */
  readonly times: number;
}

export type StatsdMetric = Pick<MetricObjectWithValues<MetricValue<string>>, 'name' | 'type'> & {
  readonly values: readonly StatsdValue[];
};

export interface StatsdValue {
  readonly value: number;
  readonly metricName?: string;
  readonly labels: Readonly<Partial<Record<string, string | number>>>;
}

/** [timings] of one bucket in one round; the exact count goes out as a counter */
const TIMINGS_MAX = 100;
const MS_PER_SEC = 1_000;

/** Remembers what it has seen, so that counters tell what they grew by. */
export class StatsdSamples {
  readonly #seen = new Map<string, number>();

  next(metrics: readonly StatsdMetric[]): readonly StatsdSample[] {
    return metrics.flatMap((metric) =>
      metric.type === 'histogram'
        ? this.#ofHistogram(metric)
        : metric.values.flatMap((value) => this.#ofValue(metric, value)),
    );
  }

  #ofValue(metric: StatsdMetric, sample: StatsdValue): StatsdSample[] {
    const name = sample.metricName ?? metric.name;
    const key = keyOf(name, sample.labels);
    const isCount = metric.type === 'counter' || /_(sum|count)$/.test(sample.metricName ?? '');
    if (isCount) return countOf(key, this.#grownBy(key, sample.value));
    return [{ kind: 'gauge', key, value: sample.value, times: 1 }];
  }

  /** Buckets become timings of their upper bound: percentiles come out as exact as the buckets are. */
  #ofHistogram(metric: StatsdMetric): StatsdSample[] {
    const samples: StatsdSample[] = [];
    let below = 0;
    let bound = 0;
    for (const sample of metric.values) {
      const { le, ...labels } = sample.labels;
      if (le === undefined) {
        samples.push(...this.#ofValue(metric, sample));
        below = 0; // The buckets of the next label set begin at nothing.
        continue;
      }
      if (Number.isFinite(Number(le))) bound = Number(le);
      const grown = this.#grownBy(keyOf(`${metric.name}_bucket`, sample.labels), sample.value);
      const times = Math.min(TIMINGS_MAX, grown - below);
      below = grown;
      if (times <= 0) continue;
      const key = keyOf(metric.name, labels);
      samples.push({ kind: 'timing', key, value: bound * MS_PER_SEC, times });
    }
    return samples;
  }

  #grownBy(key: string, value: number): number {
    const grown = value - (this.#seen.get(key) ?? 0);
    this.#seen.set(key, value);
    return grown;
  }
}

function countOf(key: string, value: number): StatsdSample[] {
  return value > 0 ? [{ kind: 'count', key, value, times: 1 }] : [];
}

function keyOf(name: string, labels: StatsdValue['labels']): string {
  const values = Object.values(labels).map((value) => String(value).replace(/[^\w-]/g, '_'));
  return [name, ...values].join('.');
}
