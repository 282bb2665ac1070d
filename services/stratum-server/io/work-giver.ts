/** Gives jobs to miners: the first one, one that was missed, and every new one to all at once. */
import type { Logger } from 'pino';
import type { Job } from '#libs/contracts/job.ts';
import type { DownItem } from '#libs/link/items.ts';
import type { LinkPeer } from '#libs/link/link-server.ts';
import type { Next } from '../core/model.ts';
import { findJob, isEarlier } from '../core/jobs.ts';
import { missingWork } from '../core/restore.ts';
import type { RetargetContext } from '../core/retarget.ts';
import { isWaitingForWork } from '../core/session.ts';
import { confirmDifficulty, giveJob, prepareForJob } from '../core/work.ts';
import type { Metrics } from '../metrics.ts';
import { type ChainRuntime, currentJob, networkDifficulty } from './chain-runtime.ts';
import type { Connection } from './connection.ts';
import { joining, markOf, newOutbox, type PlainEffect, performInto, sealed } from './perform.ts';
import type { Turn } from './turn.ts';

export interface WorkGiver {
  /** A connection that just became able to mine gets its first job with the end of the turn, behind all answers. */
  await(connection: Connection): void;
  /** First jobs to those that wait: called at the end of a turn. */
  giveFirst(): void;
  /** A connection that came with a capsule gets what its marks say that it lacks. */
  welcome(connection: Connection): void;
  /** A new job to everybody of the chain, at once. */
  announce(chain: ChainRuntime, job: Job, isClean: boolean, before: Job | undefined): void;
}

export interface WorkGiverParts {
  readonly turn: Turn;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
}

export function createWorkGiver({ turn, log, metrics, nowMs }: WorkGiverParts): WorkGiver {
  const fresh = new Set<Connection>();

  function contextOf(chain: ChainRuntime): RetargetContext {
    return { nowMs: nowMs(), networkDifficulty: networkDifficulty(chain) };
  }

  /** Performs a step that no line asked for. */
  function apply(connection: Connection, [session, effects]: Next): void {
    connection.session = session;
    if (effects.length === 0) return;
    const outbox = newOutbox();
    performInto(outbox, connection, effects as readonly PlainEffect[], metrics); // Work is plain.
    if (outbox.records.length > 0) connection.storedMs = 0;
    turn.send(connection.peer, sealed(outbox, connection, undefined));
  }

  function give(connection: Connection, job: Job, isClean: boolean): void {
    apply(connection, giveJob(connection.session, job, isClean, contextOf(connection.chain)));
  }

  function giveFirst(): void {
    for (const connection of fresh) {
      const job = currentJob(connection.chain);
      if (connection.isClosed || job === undefined || !isWaitingForWork(connection.session))
        continue;
      give(connection, job, true);
    }
    fresh.clear();
  }

  function welcome(connection: Connection): void {
    const { chain, session } = connection;
    const job = currentJob(chain);
    if (job === undefined) return; // With the first job.
    if (isWaitingForWork(session)) return void fresh.add(connection);
    if (!session.isWorking) return;
    const { lastMark } = connection;
    if (lastMark === '' || findJob(chain.source.book, lastMark) !== undefined)
      return catchUp(connection, job);
    // The server it comes from may have been ahead by a moment: without that job all its miners would begin anew.
    const proceed = () => {
      const present = currentJob(chain);
      if (!connection.isClosed && !connection.isJoined && present !== undefined)
        catchUp(connection, present);
    };
    chain.source.lookUp(lastMark).then(proceed, proceed);
  }

  function catchUp(connection: Connection, job: Job): void {
    const { chain } = connection;
    const missing = missingWork(chain.source.book, job, connection.lastMark);
    if (missing === 'nothing') turn.send(connection.peer, joining(connection));
    else give(connection, job, missing === 'clean');
  }

  /** Items before the cast for one connection, or its own notify in solo. */
  function announceTo(
    connection: Connection,
    job: Job,
    isClean: boolean,
    isOutOfOrder: boolean,
  ): void {
    const { session, chain } = connection;
    const context = contextOf(chain);
    if (session.listener.mode === 'solo') {
      apply(connection, giveJob(session, job, isClean, context));
    } else {
      apply(connection, prepareForJob(session, job, context));
    }
    if (isOutOfOrder) confirm(connection, job);
  }

  function confirm(connection: Connection, job: Job): void {
    const { session, chain } = connection;
    const mark = session.difficulties.at(-1)?.mark ?? '';
    apply(connection, confirmDifficulty(session, job, isEarlier(chain.source.book, job, mark)));
  }

  function announceToNew(connection: Connection, job: Job): void {
    if (isWaitingForWork(connection.session)) give(connection, job, true);
    else welcome(connection);
  }

  function announce(
    chain: ChainRuntime,
    job: Job,
    isClean: boolean,
    before: Job | undefined,
  ): void {
    const { book } = chain.source;
    const isOutOfOrder = before !== undefined && isEarlier(book, job, before.jobId);
    const casts = new Set<LinkPeer>();
    const joiners: Connection[] = [];
    for (const connection of chain.connections) {
      if (!connection.isJoined) {
        joiners.push(connection);
        continue;
      }
      if (connection.session.listener.mode === 'pool') casts.add(connection.peer);
      announceTo(connection, job, isClean, isOutOfOrder);
    }
    const cast = castOf(chain, job, isClean);
    for (const peer of casts) turn.send(peer, [cast]);
    for (const connection of joiners) announceToNew(connection, job); // Behind the cast, or they had the job twice.
    turn.finish();
    metrics.jobs.inc({ chain: chain.id, kind: isClean ? 'clean' : 'refresh' });
    log.debug({ chain: chain.id, job: job.jobId, height: job.height, isClean }, 'job given');
  }

  return {
    await: (connection) => void fresh.add(connection),
    giveFirst,
    welcome,
    announce,
  };
}

/** One notify for all pool miners of the chain: written once, fanned out by each frontend. */
function castOf(chain: ChainRuntime, job: Job, isClean: boolean): DownItem {
  return {
    kind: 'cast',
    group: chain.group,
    bytes: chain.prepared.notify(job, '', isClean),
    mark: markOf(job.jobId),
    replaces: isClean ? 'all' : 'refresh',
  };
}
