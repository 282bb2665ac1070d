/** What the frontend counts. No label names a miner. */
import type { Counter, Gauge, Registry } from '@prometheus-io/client';
import { counterIn, gaugeIn } from '#libs/bus/metric.ts';
import type { Counted } from './core/model.ts';
import type { Totals } from './core/switchboard.ts';

export interface Metrics {
  readonly accepted: Counter<'listener'>;
  /** Health checks of HAProxy, mostly. */
  readonly local: Counter;
  readonly headersRefused: Counter<'reason'>;
  readonly closed: Counter<'reason'>;
  readonly readBytes: Counter;
  readonly writtenBytes: Counter;
  readonly placed: Counter<'kind'>;
  readonly moved: Counter;
  readonly links: Gauge;
  readonly linkAttempts: Counter;
  readonly listening: Gauge;
  readonly headersPending: Gauge;
  /** Connections by `way`: `given` to a successor, `taken` from a predecessor, `back` from a dead successor. */
  readonly handedOver: Counter<'way'>;
  readonly slicesFailed: Counter<'reason'>;
  count(what: Counted, by: number): void;
  show(totals: Totals, groups: number): void;
}

export function createMetrics(registry: Registry): Metrics {
  const counter = <L extends string = never>(name: string, help: string, ...labels: readonly L[]) =>
    counterIn(registry, `seam_frontend_${name}_total`, help, labels);
  const gauge = (name: string, help: string) =>
    gaugeIn(registry, `seam_frontend_${name}`, help, []);
  const counted: Record<Counted, Counter> = {
    lines: counter('lines', 'Lines taken from miners'),
    resent_lines: counter(
      'resent_lines',
      'Lines sent to a server after another one did not answer them',
    ),
    stale_items: counter(
      'stale_items',
      'Items of servers for an older opening or a closed connection',
    ),
    replaced_casts: counter('replaced_casts', 'Unsent casts that a newer one replaced'),
    keepalives: counter('keepalives', 'Keep-alive lines written'),
    lost_lines: counter(
      'lost_lines',
      'Lines dropped unanswered because a successor died in the middle of a hand-over',
    ),
  };
  const totals: Record<keyof Totals, Gauge> = {
    connections: gauge('connections', 'Connections of miners'),
    held: gauge('held_connections', 'Connections that want a server and have none'),
    unacknowledgedLines: gauge('unacknowledged_lines', 'Lines without acknowledgement'),
    unacknowledgedBytes: gauge(
      'held_input_bytes',
      'Bytes of lines without acknowledgement and of unread input',
    ),
    capsuleBytes: gauge('capsule_bytes', 'Bytes of session capsules'),
    outBytes: gauge('out_bytes', 'Bytes that wait for slow miners'),
    paused: gauge('paused_connections', 'Connections that are not read at the moment'),
  };
  const groups = gauge('groups', 'Groups with members');
  return {
    accepted: counter('accepted', 'Connections accepted', 'listener'),
    local: counter('local_connections', 'Connections HAProxy made for itself'),
    headersRefused: counter(
      'headers_refused',
      'Connections without a valid PROXY header',
      'reason',
    ),
    closed: counter('closed', 'Connections closed', 'reason'),
    readBytes: counter('read_bytes', 'Bytes read from miners'),
    writtenBytes: counter('written_bytes', 'Bytes written to miners'),
    placed: counter(
      'placed',
      'Openings on servers: the first of a connection, or a later one',
      'kind',
    ),
    moved: counter('moved', 'Connections moved to even the load'),
    links: gauge('links', 'Stratum-servers with a living link'),
    linkAttempts: counter('link_attempts', 'Attempts to link to a server'),
    listening: gauge('listeners', 'Listeners that are up'),
    handedOver: counter('handed_over', 'Connections handed over without closing them', 'way'),
    slicesFailed: counter(
      'handover_slices_failed',
      'Slices of a hand-over that stayed where they were',
      'reason',
    ),
    headersPending: gauge('headers_pending', 'Connections whose PROXY header is awaited'),
    count: (what, by) => counted[what].inc(by),
    show(seen, groupCount) {
      for (const [name, metric] of Object.entries(totals)) metric.set(seen[name as keyof Totals]); // Its own keys.
      groups.set(groupCount);
    },
  };
}
