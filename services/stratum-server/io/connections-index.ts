/**
 * `conn:<id>` in Redis: who is connected, where, since when, how well it does. For people and tools; nothing here reads it.
 * Written in one-second batches, changed ones first, each at least once in `REFRESH_MS`, never on the way of a share.
 */
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { keys } from '#libs/contracts/keys.ts';
import type { Metrics } from '../metrics.ts';
import type { Connection } from './connection.ts';
import { within } from './wait.ts';

/** [ms] between two writes of an unchanged connection */
const REFRESH_MS = 60_000;
const TTL_MS = 3 * REFRESH_MS;
/** Records in one batch; what is left comes with the next. */
const BATCH_MAX = 512;
const REDIS_WAIT_MS = 2_000;

export interface ConnectionsIndex {
  /** Something worth knowing changed: it goes with the next batch. */
  touch(connection: Connection): void;
  drop(connection: Connection): void;
  /** Writes what is due. Call it once a second. */
  write(connections: Iterable<Connection>): Promise<void>;
}

export function createConnectionsIndex({
  serverId,
  redis,
  log,
  metrics,
  nowMs,
}: {
  readonly serverId: string;
  readonly redis: Redis;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
}): ConnectionsIndex {
  const changed = new Set<Connection>();
  const gone = new Set<string>();
  let isBusy = false;

  function due(connections: Iterable<Connection>): Connection[] {
    const batch = [...changed].slice(0, BATCH_MAX);
    const beforeMs = nowMs() - REFRESH_MS;
    for (const connection of connections) {
      if (batch.length >= BATCH_MAX) break;
      if (connection.indexedMs < beforeMs && !changed.has(connection)) batch.push(connection);
    }
    return batch;
  }

  async function write(connections: Iterable<Connection>): Promise<void> {
    if (isBusy || redis.status !== 'ready') return gone.clear();
    const batch = due(connections);
    if (batch.length === 0 && gone.size === 0) return;
    isBusy = true;
    try {
      await send(batch, [...gone]);
      metrics.indexWrites.inc({ outcome: 'written' }, batch.length);
    } catch (error) {
      metrics.indexWrites.inc({ outcome: 'failed' }, batch.length);
      log.debug({ err: error }, 'connection index not written');
    } finally {
      isBusy = false;
    }
  }

  async function send(batch: readonly Connection[], left: readonly string[]): Promise<void> {
    const now = nowMs();
    const pipeline = redis.pipeline();
    for (const connection of batch) {
      connection.indexedMs = now;
      changed.delete(connection);
      const { conn } = connection.session;
      pipeline.set(keys.connection(conn), recordOf(connection, serverId), 'PX', TTL_MS);
    }
    for (const conn of left) pipeline.del(keys.connection(conn));
    gone.clear();
    await within(pipeline.exec(), REDIS_WAIT_MS);
  }

  return {
    touch: (connection) => void changed.add(connection),
    drop(connection) {
      changed.delete(connection);
      if (gone.size < BATCH_MAX) gone.add(connection.session.conn); // Others run out by their TTL.
    },
    write,
  };
}

/** What `seam clients` shows of a connection. */
function recordOf(connection: Connection, server: string): string {
  const { session, peer, tls, connectedMs } = connection;
  return JSON.stringify({
    conn: session.conn,
    address: session.peerAddress,
    listener: session.listener.name,
    chain: session.listener.chain,
    mode: session.listener.mode,
    tls,
    frontend: peer.frontendId,
    server,
    connectedMs,
    userAgent: session.userAgent,
    workers: session.workers.map((worker) => worker.name),
    difficulty: session.difficulties.at(-1)?.difficulty ?? 0,
    extranonce1: session.extranonce1,
    accepted: connection.sharesAccepted,
    rejected: connection.sharesRejected,
    lastShareMs: connection.lastShareMs,
  });
}
