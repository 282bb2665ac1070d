/** Mirrors the metrics of a process to a statsd server by UDP. */
import type { Registry } from '@prometheus-io/client';
import { StatsD } from 'hot-shots';
import type { Logger } from 'pino';

/** [ms] */
const EVERY_MS = 10_000;
const DEFAULT_PORT = 8_125;

interface Sample {
  readonly value: number;
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, unknown>>;
}

/** @param address host or host:port. Counters go out as what they grew by, gauges as they are. */
export function mirrorToStatsd(registry: Registry, address: string, log: Logger): Disposable {
  const [host = '127.0.0.1', port] = address.split(':');
  const client = new StatsD({
    host,
    port: port === undefined ? DEFAULT_PORT : Number(port),
    errorHandler: (error) => log.debug({ err: error }, 'statsd not reached'),
  });
  const lastCounts = new Map<string, number>();
  const timer = setInterval(() => {
    void send(registry, client, lastCounts).catch((error: unknown) =>
      log.warn({ err: error }, 'statsd mirror failed'),
    );
  }, EVERY_MS);
  timer.unref();
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
      client.close();
    },
  };
}

async function send(
  registry: Registry,
  client: StatsD,
  lastCounts: Map<string, number>,
): Promise<void> {
  for (const metric of await registry.getMetricsAsJSON()) {
    const isCounter = String(metric.type) === 'counter';
    for (const sample of metric.values as readonly Sample[])
      sendSample(metric.name, sample, isCounter, client, lastCounts);
  }
}

function sendSample(
  name: string,
  sample: Sample,
  isCounter: boolean,
  client: StatsD,
  lastCounts: Map<string, number>,
): void {
  const labels = Object.values(sample.labels).map((value) =>
    String(value).replace(/[^A-Za-z0-9_-]/g, '_'),
  );
  const key = [sample.metricName ?? name, ...labels].join('.');
  if (!isCounter) {
    client.gauge(key, sample.value);
    return;
  }
  const grown = sample.value - (lastCounts.get(key) ?? 0);
  lastCounts.set(key, sample.value);
  if (grown > 0) client.increment(key, grown);
}
