/** What is done once a second, off the way of the shares: sums, records for people, connections that lead nowhere. */
import type { Logger } from 'pino';
import type { PoolConfig } from '#libs/contracts/pool-config.ts';
import type { ChainRuntime } from './chain-runtime.ts';
import type { Connection } from './connection.ts';
import type { ConnectionsIndex } from './connections-index.ts';
import { type ResumeStore, STORE_AGAIN_MS } from './resume-store.ts';
import type { SessionTable } from './session-table.ts';
import { type Sessions, storedSessionOf } from './sessions.ts';
import type { Turn } from './turn.ts';

const TICK_MS = 1_000;
/** Sessions stored in one batch; what is left comes with the next. */
const STORE_BATCH_MAX = 512;
/** A connection that subscribed has this many times `unsubscribedMs` to authorise. */
const UNAUTHORIZED_FACTOR = 10;

export interface UpkeepParts {
  readonly chains: readonly ChainRuntime[];
  readonly table: SessionTable;
  readonly sessions: Sessions;
  readonly turn: Turn;
  readonly index: ConnectionsIndex;
  readonly resumeStore: ResumeStore;
  readonly limits: PoolConfig['limits'];
  readonly log: Logger;
  readonly nowMs: () => number;
}

/** Starts; disposing ends it after a last look. */
export function startUpkeep(parts: UpkeepParts): Disposable {
  const { table, index, log } = parts;

  function tick(): void {
    closeIdlers(parts);
    noteRejects(parts);
    void index.write(table.all());
    void storeSessions(parts).catch((error: unknown) => {
      log.debug({ err: error }, 'sessions not stored');
    });
  }

  const timer = setInterval(tick, TICK_MS);
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
      noteRejects(parts);
      parts.turn.finish();
    },
  };
}

function closeIdlers({ table, sessions, limits, nowMs }: UpkeepParts): void {
  const now = nowMs();
  for (const connection of [...table.all()]) {
    const { session, connectedMs } = connection;
    const ageMs = now - connectedMs;
    if (ageMs < limits.unsubscribedMs || session.workers.length > 0) continue;
    if (!session.isSubscribed) sessions.end(connection, 'unsubscribed');
    else if (ageMs > UNAUTHORIZED_FACTOR * limits.unsubscribedMs) {
      sessions.end(connection, 'unauthorized');
    }
  }
}

function noteRejects({ chains, turn, nowMs }: UpkeepParts): void {
  for (const chain of chains) {
    for (const record of chain.rejects.take(nowMs())) turn.note(chain, record);
  }
}

async function storeSessions({ table, resumeStore, nowMs }: UpkeepParts): Promise<void> {
  const now = nowMs();
  const due: Connection[] = [];
  for (const connection of table.all()) {
    if (due.length >= STORE_BATCH_MAX) break;
    const { session, storedMs } = connection;
    const isDue = now - storedMs >= STORE_AGAIN_MS;
    if (isDue && session.isSubscribed && session.workers.length > 0) due.push(connection);
  }
  for (const connection of due) connection.storedMs = now;
  await resumeStore.store(due.map(storedSessionOf));
}
