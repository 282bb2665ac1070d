/** What the link counts. Shared by all sessions of a process. */
import type { Counter, Gauge, Registry } from '@prometheus-io/client';
import { counterIn, gaugeIn } from '#libs/bus/metric.ts';

export interface LinkMetrics {
  readonly sessions: Gauge;
  readonly ended: Counter<'reason'>;
  readonly messages: Counter<'direction'>;
  readonly items: Counter<'direction'>;
  readonly bytes: Counter<'direction'>;
  /** Not yet confirmed by the peer's heartbeat, over all sessions. */
  readonly outstandingBytes: Gauge;
  readonly malformed: Counter;
  /** Messages of sessions that are over. */
  readonly stale: Counter;
}

export function linkMetricsIn(registry: Registry): LinkMetrics {
  const counter = <L extends string>(name: string, help: string, labels: readonly L[]) =>
    counterIn(registry, `seam_link_${name}`, help, labels);
  const gauge = (name: string, help: string) => gaugeIn(registry, `seam_link_${name}`, help, []);
  return {
    sessions: gauge('sessions', 'Link sessions that live'),
    ended: counter('sessions_ended_total', 'Link sessions that ended, by reason', ['reason']),
    messages: counter('messages_total', 'Link messages with items', ['direction']),
    items: counter('items_total', 'Items in link messages', ['direction']),
    bytes: counter('bytes_total', 'Bytes of link messages', ['direction']),
    outstandingBytes: gauge('outstanding_bytes', 'Bytes sent and not yet confirmed by the peer'),
    malformed: counter('malformed_total', 'Messages that could not be decoded', []),
    stale: counter('stale_messages_total', 'Messages of sessions that are over', []),
  };
}
