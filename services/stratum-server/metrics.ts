/** Metrics of the stratum-server. No per-worker labels: the books know workers. */
import type { Counter, Gauge, Registry } from '@prometheus-io/client';
import { counterIn, gaugeIn } from '#libs/bus/metric.ts';
import { REJECT_REASONS } from '#libs/stratum/codes.ts';

export interface Metrics {
  readonly sessions: Gauge<'chain'>;
  readonly opens: Counter<'chain' | 'kind'>;
  readonly closes: Counter<'chain' | 'reason'>;
  readonly lines: Counter<'chain'>;
  readonly lineErrors: Counter<'chain'>;
  readonly shares: Counter<'chain' | 'verdict'>;
  readonly refusals: Counter<'chain' | 'reason'>;
  readonly journalFailures: Counter<'chain'>;
  readonly jobs: Counter<'chain' | 'kind'>;
  readonly sourceChanges: Counter<'chain'>;
  readonly hasWork: Gauge<'chain'>;
  readonly lookups: Counter<'chain' | 'outcome'>;
  readonly waitingLines: Gauge<'chain'>;
  readonly capsuleErrors: Counter<'code'>;
  readonly candidates: Counter<'chain' | 'outcome'>;
  readonly unsettledCandidates: Gauge<'chain'>;
  readonly syncLate: Counter<'chain'>;
  readonly extranonceFree: Gauge;
  readonly extranoncePrefixes: Gauge<'kind'>;
  readonly extranonceRested: Counter<'fate'>;
  readonly extranonceUntold: Gauge;
  readonly resumes: Counter<'outcome'>;
  readonly indexWrites: Counter<'outcome'>;
  readonly eventLoopLag: Gauge;
}

/** @param chains ids whose labels exist from the start */
export function createMetrics(registry: Registry, chains: readonly string[]): Metrics {
  const counter = <L extends string>(name: string, help: string, ...labels: readonly L[]) =>
    counterIn(registry, `seam_${name}_total`, help, labels);
  const gauge = <L extends string>(name: string, help: string, ...labels: readonly L[]) =>
    gaugeIn(registry, `seam_${name}`, help, labels);
  const metrics: Metrics = {
    sessions: gauge('stratum_sessions', 'Connections this server speaks with', 'chain'),
    opens: counter(
      'stratum_opens',
      'Connections opened: new, restored from a capsule',
      'chain',
      'kind',
    ),
    closes: counter('stratum_closes', 'Connections this server closed', 'chain', 'reason'),
    lines: counter('stratum_lines', 'Lines of miners', 'chain'),
    lineErrors: counter('stratum_line_errors', 'Lines that hit a bug of ours', 'chain'),
    shares: counter('shares', 'Shares by verdict', 'chain', 'verdict'),
    refusals: counter('stratum_refusals', 'Requests refused, by reason', 'chain', 'reason'),
    journalFailures: counter(
      'stratum_journal_failures',
      'Turns whose shares could not be written',
      'chain',
    ),
    jobs: counter('stratum_jobs', 'Jobs given to miners: clean or refresh', 'chain', 'kind'),
    sourceChanges: counter('stratum_source_changes', 'Another jobmanager is followed', 'chain'),
    hasWork: gauge('stratum_has_work', '1 while there is work to credit', 'chain'),
    lookups: counter('stratum_job_lookups', 'Jobs asked for by id', 'chain', 'outcome'),
    waitingLines: gauge(
      'stratum_waiting_lines',
      'Lines behind a lookup of their connection',
      'chain',
    ),
    capsuleErrors: counter('stratum_capsule_errors', 'Capsules that could not be read', 'code'),
    candidates: counter(
      'block_candidates',
      'Shares that may solve the block, by fate',
      'chain',
      'outcome',
    ),
    unsettledCandidates: gauge(
      'block_candidates_unsettled',
      'Candidates without a verdict',
      'chain',
    ),
    syncLate: counter(
      'block_candidate_sync_late',
      'Candidates sent before the disk had them',
      'chain',
    ),
    extranonceFree: gauge('extranonce_free_values', 'Values of extranonce1 that can be given out'),
    extranoncePrefixes: gauge('extranonce_prefixes', 'Prefixes leased or renewed', 'kind'),
    extranonceRested: counter(
      'extranonce_rested_values',
      'Values whose rest is over: free again, or moved to another server',
      'fate',
    ),
    extranonceUntold: gauge(
      'extranonce_untold_values',
      'Values that came here and are not marked in Redis yet',
    ),
    resumes: counter('stratum_resumes', 'Sessions asked back after a reconnect', 'outcome'),
    indexWrites: counter('connection_index_writes', 'Connection records written', 'outcome'),
    eventLoopLag: gauge('event_loop_lag_seconds', '99th percentile over the last period'),
  };
  for (const chain of chains) {
    for (const verdict of ['accepted', ...REJECT_REASONS])
      metrics.shares.inc({ chain, verdict }, 0);
    metrics.hasWork.set({ chain }, 0);
    metrics.unsettledCandidates.set({ chain }, 0);
  }
  return metrics;
}
