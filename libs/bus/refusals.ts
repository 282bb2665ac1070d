/** Counting those who were not let in. */
import type { Registry } from '@prometheus-io/client';
import type { Logger } from 'pino';
import type { Socket } from 'zeromq';
import { counterIn } from './metric.ts';

/** Where refusals are told. */
export interface RefusalSink {
  readonly log: Logger;
  readonly metrics: Registry;
}

/**
 * `handshake`: did not speak CURVE, or not with our server key (whoever does not know the secret).
 * `unknown_key`: spoke it, with a client key of no secret we know.
 */
export type RefusalReason = 'handshake' | 'unknown_key';

/** Addresses that were logged; the log of a port scan is bounded, its count is not. */
const logged = new Set<string>();
const LOGGED_MAX = 64;

/** Counts `seam_bus_refused_total{reason}` and logs an address once. */
export function countRefusal(sink: RefusalSink, reason: RefusalReason, address: string): void {
  const help = 'Connections refused by a mesh socket';
  counterIn(sink.metrics, 'seam_bus_refused_total', help, ['reason']).inc({ reason });
  if (logged.has(address) || logged.size >= LOGGED_MAX) return;
  logged.add(address);
  sink.log.warn({ reason, address }, 'peer refused');
}

/** Counts failed handshakes of a bound socket. What ZAP refused is counted there. */
export function watchRefusals(socket: Socket, sink: RefusalSink): void {
  const count = ({ address }: { readonly address: string }) =>
    countRefusal(sink, 'handshake', address);
  socket.events.on('handshake:error:protocol', count);
  socket.events.on('handshake:error:other', count);
}
