/** Connections that leave this frontend or come to it alive: the switchboard's side and the socket's side together. */
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { reclaim } from '../core/connection.ts';
import { decodeState, encodeState, isReadyToTravel } from '../core/handover-state.ts';
import type { ConnectionLimits } from '../core/limits.ts';
import type { Connection } from '../core/model.ts';
import type { Switchboard } from '../core/switchboard.ts';
import type { Metrics } from '../metrics.ts';
import type { Connections } from './connections.ts';

export interface TravelOptions {
  readonly switchboard: Switchboard;
  readonly connections: Connections;
  readonly limits: ConnectionLimits;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** [ms] a clock that never goes back */
  readonly nowMs: () => number;
  /** Connections wait for a server. */
  readonly onWaiting: () => void;
}

export class Travel {
  readonly #options: TravelOptions;
  /** Frozen: a successor was told to go on with them. */
  readonly #given = new Map<number, Connection>();

  constructor(options: TravelOptions) {
    this.#options = options;
  }

  /** [connections] here, duplicates of given ones included */
  get size(): number {
    return this.#options.connections.size;
  }

  /** Some that could go now, `max` at most, none of `busy`. Ends those that take no output any more. */
  candidates(max: number, busy: ReadonlySet<number>): readonly number[] {
    const found: number[] = [];
    for (const handle of [...this.#options.switchboard.handles()]) {
      if (found.length === max) break;
      if (!busy.has(handle) && this.#canGo(handle)) found.push(handle);
    }
    return found;
  }

  descriptor(handle: number): number | undefined {
    return this.#options.connections.descriptor(handle);
  }

  /** Freezes a connection and packs it. Undefined: it cannot go now, and goes on here. */
  pack(handle: number): Uint8Array | undefined {
    const { switchboard, connections, nowMs } = this.#options;
    if (!this.#isReady(handle) || !connections.freeze(handle)) return undefined;
    if (!this.#isReady(handle)) {
      connections.thaw(handle, switchboard.connection(handle)?.isReading ?? true);
      return undefined;
    }
    const connection = switchboard.detach(handle, nowMs());
    if (connection === undefined) return undefined;
    this.#given.set(handle, connection);
    return encodeState(connection, nowMs());
  }

  /** They live elsewhere: closes our duplicates, which closes no connection. */
  release(handles: readonly number[]): void {
    for (const handle of handles) {
      if (!this.#given.delete(handle)) continue;
      this.#options.connections.destroy(handle);
      this.#options.metrics.handedOver.inc({ way: 'given' });
    }
  }

  /** They are ours again. `isAfterCrash`: another one may have read from them and written to them. */
  takeBack(handles: readonly number[], isAfterCrash: boolean): void {
    const { metrics } = this.#options;
    for (const handle of handles) {
      const connection = this.#given.get(handle);
      if (connection === undefined) continue;
      this.#given.delete(handle);
      if (isAfterCrash) {
        metrics.count('lost_lines', reclaim(connection));
        metrics.handedOver.inc({ way: 'back' });
      }
      this.#begin(connection);
    }
    this.#options.onWaiting();
  }

  /** Takes a connection over. A state that cannot be read costs the connection. */
  adopt(socket: Socket, state: Uint8Array): void {
    const { connections, limits, metrics, log, nowMs } = this.#options;
    const handle = connections.adopt(socket);
    try {
      const connection = decodeState(state, handle, limits, nowMs());
      metrics.handedOver.inc({ way: 'taken' });
      this.#begin(connection);
    } catch (error) {
      log.error({ err: error }, 'state of a connection not understood, it is closed');
      connections.destroy(handle);
    }
  }

  /** All of a slice are adopted. */
  adopted(): void {
    this.#options.onWaiting();
  }

  #begin(connection: Connection): void {
    const { connections, switchboard, nowMs } = this.#options;
    connection.isReading = true; // Attaching says if not.
    connections.thaw(connection.facts.handle, true);
    switchboard.attach(connection, nowMs());
  }

  #isReady(handle: number): boolean {
    const connection = this.#options.switchboard.connection(handle);
    return connection !== undefined && isReadyToTravel(connection);
  }

  /** What is queued for the miner must be with the kernel first; who does not take it in time is a slow reader. */
  #canGo(handle: number): boolean {
    if (this.#isReady(handle)) return true;
    const { switchboard, connections, limits, nowMs } = this.#options;
    const { inFlight, wroteMs } = switchboard.connection(handle) ?? {};
    if (inFlight !== undefined && nowMs() - (wroteMs ?? 0) > limits.closeMs) {
      switchboard.take(handle, { kind: 'socket_closed', reason: 'slow_reader' }, nowMs());
      connections.destroy(handle);
    }
    return false;
  }
}
