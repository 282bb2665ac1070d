/** Performs what the core wants done for one connection: effects become items of the link, in their order. */
import { Buffer } from 'node:buffer';
import type { DownItem } from '#libs/link/items.ts';
import { CAPSULE_BYTES_COMPACT, encodeCapsule } from '../core/capsule.ts';
import type { Effect } from '../core/model.ts';
import { capsuleOf } from '../core/restore.ts';
import type { Metrics } from '../metrics.ts';
import { addressed, type Connection, NO_MARK } from './connection.ts';

/** [ms] of silence towards a miner after which its frontend writes the keep-alive; refreshes come every 25 s */
const KEEP_ALIVE_MS = 30_000;

/** Effects that need nobody's answer. */
export type PlainEffect = Exclude<Effect, { kind: 'find_extranonce' | 'judge_share' }>;

/** What effects come to. */
export interface Outbox {
  readonly items: DownItem[];
  readonly records: Uint8Array[];
  /** Set once the connection is to be closed. */
  closing: string | undefined;
  hasAuthorized: boolean;
}

export function newOutbox(): Outbox {
  return { items: [], records: [], closing: undefined, hasAuthorized: false };
}

export function performInto(
  outbox: Outbox,
  connection: Connection,
  effects: readonly PlainEffect[],
  metrics: Metrics,
): void {
  for (const effect of effects) perform(outbox, connection, effect, metrics);
}

function perform(
  outbox: Outbox,
  connection: Connection,
  effect: PlainEffect,
  metrics: Metrics,
): void {
  const { chain, session } = connection;
  switch (effect.kind) {
    case 'write':
      outbox.items.push(
        addressed(connection, { kind: 'write', bytes: effect.bytes, mark: NO_MARK }),
      );
      return;
    case 'notify': {
      const bytes = chain.prepared.notify(effect.job, session.ownerScript, effect.isClean);
      const mark = markOf(effect.job.jobId);
      outbox.items.push(
        addressed(connection, { kind: 'write', bytes, mark }),
        ...joining(connection),
      );
      return;
    }
    case 'remember':
      outbox.records.push(effect.record);
      return;
    case 'keep_alive':
      outbox.items.push(
        addressed(connection, { kind: 'idle', afterMs: KEEP_ALIVE_MS, bytes: effect.bytes }),
      );
      return;
    case 'authorized':
      outbox.hasAuthorized = true;
      return;
    case 'refused':
      metrics.refusals.inc({ chain: chain.id, reason: effect.reason });
      return;
    case 'close':
      outbox.closing = effect.reason;
      return;
  }
}

/** In a pool the connection gets the casts from now on; in solo every job is written to it alone. */
export function joining(connection: Connection): readonly DownItem[] {
  if (connection.isJoined) return [];
  connection.isJoined = true;
  if (connection.session.listener.mode === 'solo') return [];
  return [addressed(connection, { kind: 'join', group: connection.chain.group })];
}

/** A mark names the job by its bytes. */
export function markOf(jobId: string): Uint8Array {
  return Buffer.from(jobId, 'hex');
}

/** The outbox as it leaves: what was written, the capsule's change, the acknowledgement, the end. */
export function sealed(
  { items, records, closing }: Outbox,
  connection: Connection,
  ackSeq: number | undefined,
): DownItem[] {
  const leaving = [...items, ...capsuleItems(connection, records)];
  if (ackSeq !== undefined) leaving.push(addressed(connection, { kind: 'ack', seq: ackSeq }));
  if (closing !== undefined) {
    leaving.push(addressed(connection, { kind: 'close', reason: closing }));
  }
  return leaving;
}

/** An append, or the whole capsule if the frontend has none or it has grown too long. */
function capsuleItems(connection: Connection, records: readonly Uint8Array[]): DownItem[] {
  if (records.length === 0) return [];
  const added =
    records.length === 1 && records[0] !== undefined ? records[0] : Buffer.concat(records);
  const bytesAfter = connection.capsuleBytes + added.length;
  if (connection.capsuleBytes > 0 && bytesAfter <= CAPSULE_BYTES_COMPACT) {
    connection.capsuleBytes = bytesAfter;
    return [addressed(connection, { kind: 'capsule', change: 'append', bytes: added })];
  }
  const bytes = encodeCapsule(capsuleOf(connection.session, connection.recent));
  connection.capsuleBytes = bytes.length;
  return [addressed(connection, { kind: 'capsule', change: 'set', bytes })];
}
