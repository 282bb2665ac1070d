/** Mirrors the metrics of a process to a statsd server by UDP. */
import type { Registry } from '@prometheus-io/client';
import { StatsD } from 'hot-shots';
import type { Logger } from 'pino';
import { type StatsdMetric, type StatsdSample, StatsdSamples } from './statsd-samples.ts';

/** [ms] */
const EVERY_MS = 10_000;
/** [ms] the last words of a process get */
const CLOSE_MAX_MS = 500;
/** [bytes] of one datagram: below what any network splits */
const DATAGRAM_BYTES = 1_400;

export interface StatsdAddress {
  readonly host: string;
  readonly port: number;
}

const DEFAULT_PORT = 8_125;

/** @param text host, host:port or [IPv6]:port. @returns undefined if it is none of these */
export function parseStatsdAddress(text: string): StatsdAddress | undefined {
  const url = URL.parse(`udp://${text}`);
  if (url === null || url.hostname === '' || url.pathname !== '' || url.username !== '')
    return undefined;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return { host, port: url.port === '' ? DEFAULT_PORT : Number(url.port) };
}

/** Sends all metrics every 10 s, and once more when disposed. */
export function mirrorToStatsd(
  registry: Registry,
  { host, port }: StatsdAddress,
  log: Logger,
  everyMs = EVERY_MS,
): AsyncDisposable {
  const client = new StatsD({
    host,
    port,
    cacheDns: true,
    maxBufferSize: DATAGRAM_BYTES,
    udpSocketOptions: { type: host.includes(':') ? 'udp6' : 'udp4' },
    errorHandler: (error) => log.debug({ err: error }, 'statsd not reached'),
  });
  const samples = new StatsdSamples();
  async function mirror(): Promise<void> {
    try {
      const metrics: readonly StatsdMetric[] = await registry.getMetricsAsJSON();
      for (const sample of samples.next(metrics)) send(client, sample);
    } catch (error) {
      log.warn({ err: error }, 'statsd mirror failed');
    }
  }
  const timer = setInterval(() => void mirror(), everyMs).unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await mirror();
      await closed(client);
    },
  };
}

function send(client: StatsD, { kind, key, value, times }: StatsdSample): void {
  if (kind === 'count') client.increment(key, value);
  else if (kind === 'gauge') client.gauge(key, value);
  else for (let count = 0; count < times; count += 1) client.timing(key, value);
}

async function closed(client: StatsD): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(resolve, CLOSE_MAX_MS).unref();
    client.close(() => resolve());
  });
}
