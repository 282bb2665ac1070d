/**
 * Speaks with miners through frontends: items of the link in, a step of the core, items out with the end of the turn.
 * Lines of a connection are worked off in their order; one that must wait for a lookup holds those behind it.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { UpItem } from '#libs/link/items.ts';
import type { LinkPeer } from '#libs/link/link-server.ts';
import type { ShareRejectReason } from '#libs/stratum/codes.ts';
import { errorReply, trueReply } from '#libs/stratum/reply.ts';
import { parseRequest, type SubscribeRequest } from '#libs/stratum/request.ts';
import type { PoolConfig } from '#libs/contracts/pool-config.ts';
import type { SessionResumed } from '#libs/contracts/session-resumed.ts';
import { CAPSULE_BYTES_COMPACT, decodeCapsule } from '../core/capsule.ts';
import { CapsuleError } from '../core/errors.ts';
import type { Effect, Next, Session, StepContext } from '../core/model.ts';
import { RecentShares } from '../core/recent-shares.ts';
import { capsuleOf, sessionOf } from '../core/restore.ts';
import {
  isWaitingForWork,
  newSession,
  type Opening,
  refuseShare,
  resume,
  step,
  subscribe,
} from '../core/session.ts';
import { blockSubmitOf, sessionAfterShare, shareRecordOf } from '../core/settle-share.ts';
import { decideShare, type HashedShare, type ShareDecision } from '../core/submit.ts';
import type { Metrics } from '../metrics.ts';
import { type ChainRuntime, currentJob, networkDifficulty } from './chain-runtime.ts';
import { addressed, type Connection, type WaitingLine } from './connection.ts';
import type { ConnectionsIndex } from './connections-index.ts';
import { newOutbox, type PlainEffect, performInto, sealed } from './perform.ts';
import type { ResumeStore, StoredSession } from './resume-store.ts';
import { EXTRANONCE1_HEX, type SessionTable } from './session-table.ts';
import type { Turn } from './turn.ts';
import type { WorkGiver } from './work-giver.ts';

/** Lines behind a lookup before the connection is closed: a frontend sends no more than it may have unacknowledged. */
const WAITING_MAX = 1_024;
const SESSION_ID_BYTES = 16;

export interface SessionsParts {
  readonly table: SessionTable;
  readonly turn: Turn;
  readonly workGiver: WorkGiver;
  readonly resumeStore: ResumeStore;
  readonly index: ConnectionsIndex;
  /** The chain a listener mines; undefined: no such listener. */
  readonly chainOf: (listener: string) => ChainRuntime | undefined;
  readonly limits: PoolConfig['limits'];
  /** Whether a new connection is taken by this chain now. */
  readonly takesNew: (chain: ChainRuntime) => boolean;
  readonly poolVersion: string;
  /** A session was resumed here: the older connection may be on another server. */
  readonly onResumed: (message: SessionResumed) => void;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
}

type OpenItem = Extract<UpItem, { kind: 'open' }>;

export class Sessions {
  readonly #parts: SessionsParts;

  constructor(parts: SessionsParts) {
    this.#parts = parts;
  }

  /** Takes what one frontend sent. */
  take(peer: LinkPeer, items: readonly UpItem[]): void {
    for (const item of items) {
      switch (item.kind) {
        case 'open':
          this.#open(peer, item);
          break;
        case 'line':
          this.#takeLine(peer, item);
          break;
        case 'close':
          this.#close(peer, item);
          break;
      }
    }
  }

  /** Ends a connection from this side. */
  end(connection: Connection, reason: string): void {
    const { turn, table, metrics } = this.#parts;
    turn.send(connection.peer, [addressed(connection, { kind: 'close', reason })]);
    metrics.closes.inc({ chain: connection.chain.id, reason });
    this.#parts.index.drop(connection);
    table.remove(connection, 'closed');
  }

  /** A session was resumed on another server: the connection that has it here is the lost one. */
  giveUp({ sessionId, extranonce1, conn }: SessionResumed): void {
    const { table } = this.#parts;
    const lost = table.withExtranonce1(extranonce1);
    if (lost?.session.sessionId !== sessionId || lost.session.conn === conn) return;
    this.#closeLost(lost);
    table.remove(lost, 'moved');
  }

  /** Its miner goes on with its session on another connection. */
  #closeLost(lost: Connection): void {
    const { turn, metrics, index } = this.#parts;
    turn.send(lost.peer, [addressed(lost, { kind: 'close', reason: 'resumed' })]);
    metrics.closes.inc({ chain: lost.chain.id, reason: 'resumed' });
    index.drop(lost);
  }

  #close(peer: LinkPeer, item: Extract<UpItem, { kind: 'close' }>): void {
    const { table, index } = this.#parts;
    const connection = table.find(peer, item);
    if (connection === undefined) return;
    const hasMoved = item.reason === 'moved';
    if (!hasMoved) index.drop(connection);
    table.remove(connection, hasMoved ? 'moved' : 'closed');
  }

  #open(peer: LinkPeer, item: OpenItem): void {
    const { table, turn, metrics, chainOf } = this.#parts;
    const before = table.holder(peer, item.handle);
    if (before !== undefined && before.ref.opening >= item.opening) return;
    if (before !== undefined) table.remove(before, 'moved');
    const chain = chainOf(item.listener);
    const problem = this.#problemOf(item, chain);
    if (chain === undefined || problem !== undefined) {
      const { handle, opening } = item;
      const reason = problem ?? 'unknown_listener';
      metrics.closes.inc({ chain: chain?.id ?? '', reason });
      return turn.send(peer, [{ kind: 'close', handle, opening, reason }]);
    }
    const isNew = item.capsule.length === 0;
    metrics.opens.inc({ chain: chain.id, kind: isNew ? 'new' : 'restored' });
    if (isNew) table.add(this.#connectionOf(peer, item, chain, this.#newSessionOf(item, chain)));
    else this.#restore(peer, item, chain);
  }

  #problemOf(item: OpenItem, chain: ChainRuntime | undefined): string | undefined {
    if (chain === undefined) return 'unknown_listener';
    return item.capsule.length === 0 && !this.#parts.takesNew(chain) ? 'no_work' : undefined;
  }

  #restore(peer: LinkPeer, item: OpenItem, chain: ChainRuntime): void {
    const { table, turn, metrics, log, workGiver } = this.#parts;
    const { handle, opening } = item;
    try {
      const content = decodeCapsule(item.capsule);
      const session = sessionOf(content, this.#openingOf(item, chain));
      const connection = this.#connectionOf(peer, item, chain, session);
      connection.recent = new RecentShares(content.fingerprintHeight, content.fingerprints);
      if (session.extranonce1 !== '') this.#adopt(connection, session.extranonce1);
      table.add(connection);
      workGiver.welcome(connection);
    } catch (error) {
      if (!(error instanceof CapsuleError)) throw error;
      metrics.capsuleErrors.inc({ code: error.code });
      log.warn({ conn: item.conn, err: error }, 'capsule cannot be read');
      turn.send(peer, [{ kind: 'close', handle, opening, reason: 'bad_capsule' }]);
    }
  }

  /** An older opening of it here is only forgotten; another connection with its value is the one it resumes. */
  #adopt(connection: Connection, extranonce1: string): void {
    const other = this.#parts.table.adoptExtranonce1(connection, extranonce1);
    if (other !== undefined && other.session.conn !== connection.session.conn) {
      this.#closeLost(other);
    }
  }

  #openingOf(item: OpenItem, chain: ChainRuntime): Omit<Opening, 'sessionId'> {
    const listener = chain.settings.listeners.find(({ name }) => name === item.listener);
    if (listener === undefined) throw new RangeError(`Cannot open: no listener ${item.listener}`);
    const { conn, peerAddress } = item;
    return { conn, peerAddress, listener, openedMs: this.#parts.nowMs() };
  }

  #newSessionOf(item: OpenItem, chain: ChainRuntime): Session {
    const sessionId = randomBytes(SESSION_ID_BYTES).toString('hex');
    return newSession({ ...this.#openingOf(item, chain), sessionId });
  }

  #connectionOf(peer: LinkPeer, item: OpenItem, chain: ChainRuntime, session: Session): Connection {
    const lastMark = item.marks.at(-1);
    return {
      peer,
      ref: { handle: item.handle, opening: item.opening },
      chain,
      tls: item.tls,
      connectedMs: this.#parts.nowMs() - item.ageMs,
      session,
      recent: new RecentShares(),
      extranonce1: undefined,
      capsuleBytes: item.capsule.length,
      waiting: undefined,
      isJoined: false,
      isClosed: false,
      lastMark: lastMark === undefined ? '' : Buffer.from(lastMark).toString('hex'),
      sharesAccepted: 0,
      sharesRejected: 0,
      lastShareMs: 0,
      indexedMs: 0,
      storedMs: 0,
    };
  }

  #takeLine(peer: LinkPeer, item: Extract<UpItem, { kind: 'line' }>): void {
    const { table, metrics, nowMs } = this.#parts;
    const connection = table.find(peer, item);
    if (connection === undefined) return; // Of an older opening: it is sent again elsewhere.
    metrics.lines.inc({ chain: connection.chain.id });
    const line = { seq: item.seq, bytes: item.bytes, arrivedMs: nowMs() - item.ageMs };
    if (connection.waiting === undefined) this.#work(connection, line);
    else this.#wait(connection, connection.waiting, line);
  }

  #wait(connection: Connection, waiting: WaitingLine[], line: WaitingLine): void {
    if (waiting.length >= WAITING_MAX) return this.end(connection, 'too_many_lines');
    waiting.push(line);
    this.#parts.metrics.waitingLines.inc({ chain: connection.chain.id });
  }

  /** A line that hits a bug of ours is answered and logged: it would be sent to the next server, and the next. */
  #work(connection: Connection, line: WaitingLine): void {
    try {
      const [session, effects] = step(
        connection.session,
        parseRequest(line.bytes),
        this.#contextOf(connection),
      );
      connection.session = session;
      this.#perform(connection, line, effects);
    } catch (error) {
      this.#answerBug(connection, line, error);
    }
  }

  #answerBug(connection: Connection, line: WaitingLine, error: unknown): void {
    const { log, metrics } = this.#parts;
    metrics.lineErrors.inc({ chain: connection.chain.id });
    log.error({ conn: connection.session.conn, err: error }, 'line failed');
    const request = parseRequest(line.bytes);
    this.#answer(connection, line, [
      { kind: 'write', bytes: errorReply(request.idJson, 'malformed') },
    ]);
  }

  #perform(connection: Connection, line: WaitingLine, effects: readonly Effect[]): void {
    const [first] = effects;
    if (first?.kind === 'judge_share') return this.#judge(connection, line, first, true);
    if (first?.kind === 'find_extranonce') return this.#findExtranonce(connection, line, first);
    this.#answer(connection, line, effects.filter(isPlain));
  }

  /** What the line leads to, with its acknowledgement. */
  #answer(connection: Connection, line: WaitingLine, effects: readonly PlainEffect[]): void {
    const { metrics, turn, workGiver, index } = this.#parts;
    if (connection.isClosed) return;
    const outbox = newOutbox();
    performInto(outbox, connection, effects, metrics);
    turn.send(connection.peer, sealed(outbox, connection, line.seq));
    if (outbox.closing !== undefined) return this.#forget(connection, outbox.closing);
    if (outbox.hasAuthorized) {
      index.touch(connection);
      connection.storedMs = 0;
    }
    if (isWaitingForWork(connection.session)) workGiver.await(connection);
  }

  #forget(connection: Connection, reason: string): void {
    this.#parts.metrics.closes.inc({ chain: connection.chain.id, reason });
    this.#parts.index.drop(connection);
    this.#parts.table.remove(connection, 'closed');
  }

  #answerNext(connection: Connection, line: WaitingLine, [session, effects]: Next): void {
    connection.session = session;
    this.#answer(connection, line, effects.filter(isPlain));
  }

  // Subscribing and resuming

  #findExtranonce(
    connection: Connection,
    line: WaitingLine,
    { request, resumeId }: { readonly request: SubscribeRequest; readonly resumeId: string },
  ): void {
    if (resumeId === '') return this.#subscribe(connection, line, request);
    this.#hold(connection, line, this.#parts.resumeStore.take(resumeId), (stored) => {
      const isSame =
        stored?.chain === connection.chain.id && stored.mode === connection.session.listener.mode;
      if (isSame) this.#resume(connection, line, request, stored);
      else this.#subscribe(connection, line, request);
    });
  }

  #subscribe(connection: Connection, line: WaitingLine, request: SubscribeRequest): void {
    const free = this.#parts.table.allocateExtranonce1(connection);
    const { session } = connection;
    this.#answerNext(
      connection,
      line,
      subscribe(session, request, free, this.#contextOf(connection)),
    );
  }

  #resume(
    connection: Connection,
    line: WaitingLine,
    request: SubscribeRequest,
    { content }: StoredSession,
  ): void {
    const { session } = connection;
    const { conn, peerAddress, listener, openedMs } = session;
    const kept = sessionOf(content, { conn, peerAddress, listener, openedMs });
    this.#adopt(connection, content.extranonce1);
    const { sessionId } = content;
    const extranonce1 = content.extranonce1.slice(0, EXTRANONCE1_HEX);
    this.#parts.onResumed({ sessionId, extranonce1, conn });
    connection.capsuleBytes = 0; // The frontend's capsule is of the session that was not resumed.
    connection.storedMs = 0;
    this.#answerNext(connection, line, resume(session, kept, request));
  }

  // Shares

  #judge(
    connection: Connection,
    line: WaitingLine,
    submit: { readonly idJson: string; readonly params: readonly unknown[] },
    mayAsk: boolean,
  ): void {
    const { session, recent, chain } = connection;
    const decision = decideShare(session, recent, submit.params, {
      chain: chain.settings.params,
      book: chain.source.book,
      hasWork: chain.source.hasWork,
      arrivedMs: line.arrivedMs,
      prepare: (job, ownerScript) => chain.prepared.prepare(job, ownerScript),
    });
    const worker = workerNameOf(session, submit.params);
    switch (decision.kind) {
      case 'accepted':
        return this.#accept(connection, line, submit.idJson, decision, worker);
      case 'rejected':
        return this.#reject(connection, line, submit.idJson, decision, worker);
      case 'job_unknown':
        if (!mayAsk) return this.#reject(connection, line, submit.idJson, UNKNOWN_JOB, worker);
        this.#hold(connection, line, chain.source.lookUp(decision.jobId), () =>
          this.#judge(connection, line, submit, false),
        );
    }
  }

  #accept(
    connection: Connection,
    line: WaitingLine,
    idJson: string,
    accepted: Extract<ShareDecision, { kind: 'accepted' }>,
    worker: string,
  ): void {
    const { turn, metrics, nowMs } = this.#parts;
    const { chain, session, recent } = connection;
    const { params } = chain.settings;
    const { arrivedMs } = line;
    connection.session = sessionAfterShare(session, accepted, params);
    const { job } = accepted.share.prepared;
    const outbox = newOutbox();
    performInto(outbox, connection, [{ kind: 'write', bytes: trueReply(idJson) }], metrics);
    outbox.records.push(...recent.add(accepted.share.hash.identity, job.height));
    const record = shareRecordOf(session, accepted, { worker, arrivedMs, chain: params });
    turn.sendRecorded(connection.peer, chain, record, {
      items: sealed(outbox, connection, line.seq),
      failedItems: [
        addressed(connection, {
          kind: 'write',
          bytes: errorReply(idJson, 'not_recorded'),
          mark: new Uint8Array(),
        }),
        addressed(connection, { kind: 'ack', seq: line.seq }),
      ],
      onFailed: () => {
        connection.capsuleBytes = CAPSULE_BYTES_COMPACT; // The next change writes it anew.
        metrics.shares.inc({ chain: chain.id, verdict: 'not_recorded' });
      },
    });
    connection.sharesAccepted += 1;
    connection.lastShareMs = nowMs();
    metrics.shares.inc({ chain: chain.id, verdict: 'accepted' });
    if (accepted.solvesBlock) this.#solve(connection, accepted.share, worker, arrivedMs);
  }

  #reject(
    connection: Connection,
    line: WaitingLine,
    idJson: string,
    {
      reason,
      share,
    }: { readonly reason: ShareRejectReason; readonly share: HashedShare | undefined },
    worker: string,
  ): void {
    const { chain, session } = connection;
    connection.sharesRejected += 1;
    this.#parts.metrics.shares.inc({ chain: chain.id, verdict: reason });
    chain.rejects.add(worker, reason);
    if (share !== undefined) this.#solve(connection, share, worker, line.arrivedMs);
    this.#answerNext(connection, line, refuseShare(session, idJson, reason));
  }

  #solve(connection: Connection, share: HashedShare, worker: string, foundMs: number): void {
    const { log, turn } = this.#parts;
    const submission = blockSubmitOf(share, worker, foundMs);
    const { hash, job } = submission;
    if (!connection.chain.blocks.claim(hash)) return;
    log.info(
      {
        conn: connection.session.conn,
        worker,
        chain: job.chain,
        hash,
        height: job.height,
        job: job.jobId,
      },
      'block found',
    );
    turn.solve(connection.chain, submission);
  }

  // Waiting

  /** Holds the connection's lines until `answer` is there, then goes on with them in order. */
  #hold<T>(
    connection: Connection,
    line: WaitingLine,
    answer: Promise<T>,
    proceed: (value: T) => void,
  ): void {
    connection.waiting ??= [];
    answer.then(
      (value) => this.#goOn(connection, line, () => proceed(value)),
      (error: unknown) =>
        this.#goOn(connection, line, () => this.#answerBug(connection, line, error)),
    );
  }

  #goOn(connection: Connection, line: WaitingLine, proceed: () => void): void {
    const { metrics } = this.#parts;
    const waiting = connection.waiting ?? [];
    connection.waiting = undefined;
    metrics.waitingLines.dec({ chain: connection.chain.id }, waiting.length);
    if (connection.isClosed) return; // The lines are sent again elsewhere.
    try {
      proceed();
    } catch (error) {
      this.#answerBug(connection, line, error);
    }
    this.#workOff(connection, waiting);
  }

  /** A line among them may have to wait again: those behind it wait with it. */
  #workOff(connection: Connection, lines: readonly WaitingLine[]): void {
    for (const line of lines) {
      if (connection.isClosed) return;
      if (connection.waiting === undefined) this.#work(connection, line);
      else this.#wait(connection, connection.waiting, line);
    }
  }

  #contextOf({ chain }: Connection): StepContext {
    return {
      nowMs: this.#parts.nowMs(),
      chain: chain.settings.params,
      workersPerConnectionMax: this.#parts.limits.workersPerConnectionMax,
      job: currentJob(chain),
      networkDifficulty: networkDifficulty(chain),
      poolVersion: this.#parts.poolVersion,
    };
  }
}

const UNKNOWN_JOB = { reason: 'unknown_job', share: undefined } as const;

function isPlain(effect: Effect): effect is PlainEffect {
  return effect.kind !== 'judge_share' && effect.kind !== 'find_extranonce';
}

/** The name in the books; the step has checked that it is authorised. */
function workerNameOf({ workers }: Session, [username]: readonly unknown[]): string {
  return workers.find((worker) => worker.username === username)?.name ?? '';
}

/** What the store keeps of a connection. */
export function storedSessionOf({ session, recent, chain }: Connection): StoredSession {
  return { content: capsuleOf(session, recent), chain: chain.id, mode: session.listener.mode };
}
