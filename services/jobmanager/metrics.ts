/** What is measured here. Chains are few, so they may be labels. */
import { Counter, Gauge, Histogram, type Registry } from '@prometheus-io/client';

export interface JobMetrics {
  readonly announced: Counter<'chain' | 'cause'>;
  readonly announceSeconds: Histogram<'chain' | 'cause'>;
  readonly height: Gauge<'chain'>;
  readonly transactions: Gauge<'chain'>;
  readonly shelf: Gauge<'chain'>;
  readonly tipAgeSeconds: Gauge<'chain'>;
  readonly agedRefreshes: Counter<'chain'>;
  readonly proposals: Counter<'chain' | 'outcome'>;
  readonly submits: Counter<'chain' | 'outcome'>;
  readonly submitsInFlight: Gauge<'chain'>;
  readonly relays: Counter<'chain' | 'outcome'>;
  readonly bodyFileFailures: Counter<'chain' | 'operation'>;
  readonly bodyFileBytes: Counter<'chain'>;
  readonly bodyLookups: Counter<'chain' | 'found'>;
  readonly redisFailures: Counter<'chain'>;
  readonly redisGivenUp: Counter<'chain'>;
  readonly redisPending: Gauge<'chain'>;
}

export function createJobMetrics(registry: Registry): JobMetrics {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Counter<L>({ name: `seam_jobmanager_${name}`, help, labelNames, registers });
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `seam_jobmanager_${name}`, help, labelNames: ['chain'] as const, registers });
  return {
    announced: counter('jobs_announced_total', 'Jobs announced', ['chain', 'cause']),
    announceSeconds: new Histogram({
      name: 'seam_jobmanager_announce_seconds',
      help: 'From the arrival of a template to the announcement of its job',
      labelNames: ['chain', 'cause'] as const,
      buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3],
      registers,
    }),
    height: gauge('job_height_blocks', 'Height of the newest job'),
    transactions: gauge(
      'job_transactions',
      'Transactions in the newest template, coinbase left out',
    ),
    shelf: gauge('jobs_known', 'Jobs kept in memory'),
    tipAgeSeconds: gauge('tip_age_seconds', 'Time since a coin node confirmed the tip'),
    agedRefreshes: counter(
      'aged_refreshes_total',
      'Refreshes made from the last template, as no node gave a fresh one',
      ['chain'],
    ),
    proposals: counter('proposals_total', 'Verdicts of the node on our own jobs', [
      'chain',
      'outcome',
    ]),
    submits: counter('block_submits_total', 'Answers given to block.submit', ['chain', 'outcome']),
    submitsInFlight: gauge('blocks_in_flight', 'Blocks at least one node has not answered for'),
    relays: counter('block_relays_total', 'Blocks passed to the active jobmanager', [
      'chain',
      'outcome',
    ]),
    bodyFileFailures: counter(
      'body_file_failures_total',
      'Template bodies that could not be written or read',
      ['chain', 'operation'],
    ),
    bodyFileBytes: counter('body_file_bytes_total', 'Bytes written to body files', ['chain']),
    bodyLookups: counter(
      'body_lookups_total',
      'Bodies looked up for a solved block, by where they were',
      ['chain', 'found'],
    ),
    redisFailures: counter(
      'redis_failures_total',
      'Writes of jobs and bodies to Redis that failed and are tried again',
      ['chain'],
    ),
    redisGivenUp: counter('redis_given_up_total', 'Jobs and bodies that never reached Redis', [
      'chain',
    ]),
    redisPending: gauge('redis_pending_writes', 'Jobs and bodies not yet in Redis'),
  };
}
