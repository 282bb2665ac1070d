/** One miner connection as a state machine: (session, request, context) -> (session, effects). No socket. */
import { scriptFromAddress } from '#libs/bitcoin/address.ts';
import { hexFromBytes } from '#libs/bitcoin/hex.ts';
import type { ResolvedListener } from '#libs/contracts/pool-config.ts';
import { difficultyFromTarget } from '#libs/mining/work.ts';
import type { RejectReason, ShareRejectReason } from '#libs/stratum/codes.ts';
import { ping } from '#libs/stratum/notification.ts';
import { parsePassword } from '#libs/stratum/password.ts';
import {
  errorReply,
  falseReply,
  resultReply,
  subscribeReply,
  trueReply,
} from '#libs/stratum/reply.ts';
import type {
  AuthorizeRequest,
  ConfigureRequest,
  ParsedLine,
  Request,
  SubscribeRequest,
} from '#libs/stratum/request.ts';
import { profileOf } from '#libs/stratum/user-agent.ts';
import { parseUsername, type Username } from '#libs/stratum/username.ts';
import { negotiate } from '#libs/stratum/version-rolling.ts';
import {
  maskRecord,
  NO_OPTIONS,
  optionsRecord,
  ownerRecord,
  sessionRecord,
  userAgentRecord,
  workerRecord,
} from './capsule.ts';
import type { Effect, Next, Session, SessionWorker, StepContext } from './model.ts';
import { suggestDifficulty } from './retarget.ts';
import { bookName, splitOptions } from './worker.ts';

/** Requests without sense since the last good share before the connection is closed. */
const JUNK_MAX = 100;
const MASKS_MAX = 8;
/** [bytes] total of both extranonces until a job says otherwise: 4 of the pool's, 8 of the miner's */
const EXTRANONCE_BYTES = 12;
const PING_ID = 0;

/** What is known of a connection when it is opened. */
export interface Opening {
  readonly conn: string;
  readonly peerAddress: string;
  readonly listener: ResolvedListener;
  readonly openedMs: number;
  /** 32 hex digits, random. */
  readonly sessionId: string;
}

/** A session in which nothing was said yet. */
export function newSession(opening: Opening): Session {
  return {
    ...opening,
    extranonce1: '',
    extranonce2Size: opening.listener.extranonce2Size,
    userAgent: '',
    profile: profileOf(''),
    isSubscribed: false,
    takesExtranonce: false,
    rollsVersion: false,
    masks: [],
    minerMask: 0,
    workers: [],
    ownerScript: '',
    options: NO_OPTIONS,
    difficulties: [],
    vardiff: undefined,
    isWorking: false,
    junk: 0,
  };
}

/** Whether it should be given its first job. */
export function isWaitingForWork(session: Session): boolean {
  return session.isSubscribed && session.workers.length > 0 && !session.isWorking;
}

/** One line of the miner. */
export function step(session: Session, line: ParsedLine, context: StepContext): Next {
  switch (line.kind) {
    case 'request':
      return stepRequest(session, line, context);
    case 'response': // To a ping or a question for the version: there is nothing to do about it.
      return [session, []];
    case 'malformed':
      return refuse(session, line.idJson, 'malformed', line.reason);
  }
}

function stepRequest(session: Session, request: Request, context: StepContext): Next {
  const { idJson } = request;
  switch (request.method) {
    case 'mining.submit':
      return stepSubmit(session, idJson, request.params);
    case 'mining.subscribe':
      return stepSubscribe(session, request);
    case 'mining.authorize':
      return stepAuthorize(session, request, context);
    case 'mining.configure':
      return stepConfigure(session, request, context);
    case 'mining.extranonce.subscribe':
      return subscribeExtranonce(session, [write(trueReply(idJson))]);
    case 'mining.suggest_difficulty':
      return stepSuggest(session, idJson, request.difficulty, context);
    case 'mining.suggest_target': {
      const difficulty = difficultyFromTarget(request.target, context.chain.diff1Target);
      return stepSuggest(session, idJson, difficulty, context);
    }
    case 'mining.ping':
      return [session, [write(resultReply(idJson, 'pong'))]];
    case 'client.get_version':
      return [session, [write(resultReply(idJson, context.poolVersion))]];
    case 'mining.multi_version':
      return [session, [write(trueReply(idJson))]];
    case 'pong': // ESP-Miner's answer to a ping; nobody waits for an answer to it.
      return [session, []];
    case 'mining.get_transactions': // Nobody needs the transactions behind the merkle branch to mine.
      return [session, [write(errorReply(idJson, 'not_supported')), refused('not_supported')]];
    case 'unknown':
      return refuse(session, idJson, 'unknown_method');
  }
}

function stepSubmit(session: Session, idJson: string, params: readonly unknown[]): Next {
  if (!session.isSubscribed) return refuse(session, idJson, 'not_subscribed');
  if (!session.workers.some((worker) => worker.username === params[0])) {
    return refuse(session, idJson, 'unauthorized');
  }
  return [session, [{ kind: 'judge_share', idJson, params }]];
}

/** A second subscribe tells the same again, and the job too. */
function stepSubscribe(session: Session, request: SubscribeRequest): Next {
  if (session.isSubscribed) {
    return [{ ...session, isWorking: false }, [write(subscription(session, request.idJson))]];
  }
  const resumeId = /^[0-9a-f]{32}$/.test(request.sessionId) ? request.sessionId : '';
  return [session, [{ kind: 'find_extranonce', request, resumeId }]];
}

/**
 * Subscribes with an extranonce1 of its own.
 *
 * @param freeExtranonce1 hex of 4 bytes that nobody else has; undefined: none is left
 */
export function subscribe(
  session: Session,
  request: SubscribeRequest,
  freeExtranonce1: string | undefined,
  context: StepContext,
): Next {
  if (freeExtranonce1 === undefined) {
    const reply = write(errorReply(request.idJson, 'pool_full'));
    return [session, [reply, refused('pool_full'), { kind: 'close', reason: 'pool_full' }]];
  }
  const { userAgent } = request;
  const profile = profileOf(userAgent);
  const extranonce2Size = profile.extranonce2Size ?? session.listener.extranonce2Size;
  const extranonce1 = padExtranonce1(freeExtranonce1, extranonce2Size, context);
  const granted = { userAgent, profile, extranonce1, extranonce2Size };
  const subscribed: Session = { ...session, ...granted, isSubscribed: true };
  return [
    subscribed,
    [
      write(subscription(subscribed, request.idJson)),
      ...keepAlive(subscribed),
      remember(sessionRecord(subscribed)),
      remember(userAgentRecord(userAgent)),
    ],
  ];
}

/** Takes over what the store kept of a connection that was lost, and answers its subscribe: its frontend has to keep it too. */
export function resume(session: Session, kept: Session, request: SubscribeRequest): Next {
  const profile = profileOf(request.userAgent);
  const resumed: Session = {
    ...kept,
    conn: session.conn,
    peerAddress: session.peerAddress,
    listener: session.listener,
    openedMs: session.openedMs,
    userAgent: request.userAgent,
    profile,
    isSubscribed: true,
    takesExtranonce: session.takesExtranonce,
    rollsVersion: session.rollsVersion,
    masks: session.masks,
    minerMask: session.minerMask,
    isWorking: false,
    junk: 0,
  };
  const reply = write(subscription(resumed, request.idJson));
  return [resumed, [reply, ...keepAlive(resumed), remember(sessionRecord(resumed))]];
}

function subscription(session: Session, idJson: string) {
  return subscribeReply(idJson, session.sessionId, session.extranonce1, session.extranonce2Size);
}

/** A miner that can do less extranonce2 than the job has is told the rest as zeros of extranonce1. */
function padExtranonce1(
  extranonce1: string,
  extranonce2Size: number,
  { job }: StepContext,
): string {
  const total = job && job.coinbase.extranonce1Size + job.coinbase.extranonce2Size;
  return extranonce1.padEnd(2 * ((total ?? EXTRANONCE_BYTES) - extranonce2Size), '0');
}

function keepAlive({ profile }: Session): Effect[] {
  return profile.keepAlive === 'ping' ? [{ kind: 'keep_alive', bytes: ping(PING_ID) }] : [];
}

function stepAuthorize(session: Session, request: AuthorizeRequest, context: StepContext): Next {
  const { idJson } = request;
  const parsed = parseUsername(splitOptions(request.username).name);
  if (parsed.kind === 'invalid')
    return refuseWorker(session, idJson, 'bad_username', parsed.detail);
  const { username } = parsed;
  const payee = scriptFromAddress(username.address, context.chain);
  if (payee.kind === 'refused') {
    return refuseWorker(session, idJson, 'bad_username', payee.reason);
  }
  const script = session.listener.mode === 'solo' ? hexFromBytes(payee.script) : '';
  const problem = problemOf(session, request.username, script, context);
  if (problem !== undefined) return refuseWorker(session, idJson, ...problem);
  return authorize(session, request, { username, script }, context);
}

function problemOf(
  session: Session,
  username: string,
  script: string,
  { workersPerConnectionMax }: StepContext,
): [RejectReason, string] | undefined {
  if (session.ownerScript !== '' && session.ownerScript !== script) {
    return ['different_owner', 'the first address of this connection owns its coinbase'];
  }
  const isKnown = session.workers.some((worker) => worker.username === username);
  if (!isKnown && session.workers.length >= workersPerConnectionMax) {
    return ['too_many_workers', `at most ${workersPerConnectionMax} workers on one connection`];
  }
  return undefined;
}

function authorize(
  session: Session,
  request: AuthorizeRequest,
  { username, script }: { readonly username: Username; readonly script: string },
  context: StepContext,
): Next {
  const worker: SessionWorker = { username: request.username, name: bookName(username) };
  const effects: Effect[] = [write(trueReply(request.idJson))];
  let next = session;
  if (!session.workers.some((known) => known.username === worker.username)) {
    next = { ...next, workers: [...next.workers, worker] };
    effects.push(remember(workerRecord(worker.username)));
  }
  if (script !== '' && session.ownerScript === '') {
    next = { ...next, ownerScript: script };
    effects.push(remember(ownerRecord(script)));
  }
  const { options } = splitOptions(request.username);
  const [settled, more] = applyPassword(next, `${options},${request.password}`, context);
  return [settled, [...effects, ...more, { kind: 'authorized', worker }]];
}

/** `d= sd= md= xd=`: settings belong to the connection, the last word counts. */
function applyPassword(session: Session, password: string, context: StepContext): Next {
  const asked = parsePassword(password);
  const options = {
    fixed: asked.fixedDifficulty ?? session.options.fixed,
    start: asked.startDifficulty ?? session.options.start,
    min: asked.minDifficulty ?? session.options.min,
    max: asked.maxDifficulty ?? session.options.max,
  };
  const wanted = asked.fixedDifficulty ?? asked.startDifficulty;
  if (Object.values(asked).every((value) => value === undefined)) return [session, []];
  const changed = { ...session, options };
  const next = wanted === undefined ? changed : suggestDifficulty(changed, wanted, context);
  return [next, [remember(optionsRecord(options))]];
}

function stepConfigure(session: Session, request: ConfigureRequest, context: StepContext): Next {
  const offered = context.job?.versionMask ?? context.chain.versionMask;
  const agreed = negotiate(request, { versionMask: offered });
  const effects: Effect[] = [write(resultReply(request.idJson, agreed.result))];
  let next = session;
  if (agreed.versionMask !== undefined) {
    const mask = { mask: agreed.versionMask, sinceMs: context.nowMs };
    const masks = [...next.masks, mask].slice(-MASKS_MAX);
    next = { ...next, masks, rollsVersion: true, minerMask: agreed.versionMask };
    effects.push(remember(maskRecord(mask)), remember(sessionRecord(next)));
  }
  if (agreed.minimumDifficulty !== undefined) {
    const options = { ...next.options, min: agreed.minimumDifficulty };
    next = suggestDifficulty({ ...next, options }, undefined, context);
    effects.push(remember(optionsRecord(options)));
  }
  return agreed.subscribesExtranonce ? subscribeExtranonce(next, effects) : [next, effects];
}

function subscribeExtranonce(session: Session, effects: readonly Effect[]): Next {
  if (session.takesExtranonce) return [session, effects];
  const next = { ...session, takesExtranonce: true };
  return [next, [...effects, remember(sessionRecord(next))]];
}

/** A hint, not an order: vardiff goes on from there, with the next job. */
function stepSuggest(
  session: Session,
  idJson: string,
  difficulty: number,
  context: StepContext,
): Next {
  const options = { ...session.options, start: difficulty };
  const next = suggestDifficulty({ ...session, options }, difficulty, context);
  return [next, [write(trueReply(idJson)), remember(optionsRecord(options))]];
}

function refuseWorker(
  session: Session,
  idJson: string,
  reason: RejectReason,
  detail: string,
): Next {
  return count(session, reason, write(falseReply(idJson, reason, detail)));
}

/** Answers with an error. Requests that make no sense are counted, and end the connection at a bound. */
function refuse(session: Session, idJson: string, reason: RejectReason, detail = ''): Next {
  return count(session, reason, write(errorReply(idJson, reason, detail)));
}

/** A rejected share. Late ones are nobody's fault; the others cost us hashes, so they count too, but less than nonsense. */
export function refuseShare(session: Session, idJson: string, reason: ShareRejectReason): Next {
  return count(session, reason, write(errorReply(idJson, reason)));
}

const JUNK_WEIGHTS: Partial<Record<RejectReason, number>> = {
  unknown_job: 0.01,
  stale_job: 0,
  no_work: 0,
  not_recorded: 0,
  duplicate: 0.1,
  low_difficulty: 0.1,
};

function count(session: Session, reason: RejectReason, reply: Effect): Next {
  const next = { ...session, junk: session.junk + (JUNK_WEIGHTS[reason] ?? 1) };
  const effects = [reply, refused(reason)];
  if (next.junk < JUNK_MAX) return [next, effects];
  return [next, [...effects, { kind: 'close', reason: 'too_much_junk' }]];
}

function write(bytes: Buffer): Effect {
  return { kind: 'write', bytes };
}

function remember(record: Uint8Array): Effect {
  return { kind: 'remember', record };
}

function refused(reason: RejectReason): Effect {
  return { kind: 'refused', reason };
}
