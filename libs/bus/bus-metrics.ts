/** Metrics of a bus. */
import type { Registry } from '@prometheus-io/client';
import { counterIn, gaugeIn } from './metric.ts';

export type BusMetrics = ReturnType<typeof createBusMetrics>;

export function createBusMetrics(metrics: Registry) {
  return {
    malformed: counterIn(metrics, 'seam_bus_malformed_total', 'Messages dropped as malformed', [
      'subject',
    ]),
    gaps: counterIn(metrics, 'seam_bus_gaps_total', 'Gaps told to subscribers', ['subject']),
    dropped: counterIn(metrics, 'seam_bus_dropped_total', 'Messages dropped at a bound', ['queue']),
    queued: gaugeIn(metrics, 'seam_bus_queue_messages', 'Messages waiting to be sent', ['queue']),
    published: counterIn(metrics, 'seam_bus_published_total', 'Messages published', ['subject']),
    received: counterIn(metrics, 'seam_bus_received_total', 'Messages given to subscribers', [
      'subject',
    ]),
    calls: counterIn(metrics, 'seam_bus_calls_total', 'Calls made, by outcome', [
      'subject',
      'outcome',
    ]),
    served: counterIn(metrics, 'seam_bus_served_total', 'Calls answered, by outcome', [
      'subject',
      'outcome',
    ]),
    inFlight: gaugeIn(metrics, 'seam_bus_calls_in_flight', 'Calls waiting for their reply', []),
    serving: gaugeIn(metrics, 'seam_bus_serving_in_flight', 'Calls being answered', []),
    peers: gaugeIn(metrics, 'seam_bus_peers', 'Peers by state of their connection', ['state']),
    peersLost: counterIn(
      metrics,
      'seam_bus_peers_lost_total',
      'Connections to peers that broke',
      [],
    ),
    foreign: counterIn(
      metrics,
      'seam_bus_foreign_total',
      'Endpoints of a peer where another process answered',
      [],
    ),
    handlerErrors: counterIn(metrics, 'seam_bus_handler_errors_total', 'Listeners that threw', [
      'subject',
    ]),
  };
}
