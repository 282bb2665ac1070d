/**
 * Plays a transcript against the pure core. `>` lines are the miner's, those that stand together are one packet; `<` lines
 * are the pool's; `*` lines are what happens meanwhile:
 *
 * `* listener key=value…` settings before the first line; `* job N [height=H] [mask=M]` a job is given to all; `* wait N s`;
 * `* full` no extranonce1 is left; `* known N [height=H]` a job only this pool's other servers gave out.
 */
import { chainParams } from '#libs/bitcoin/chains.ts';
import type { Job } from '#libs/contracts/job.ts';
import type { ResolvedListener } from '#libs/contracts/pool-config.ts';
import { notifyParams } from '#libs/mining/notify.ts';
import { prepareJob } from '#libs/mining/share-hash.ts';
import { notify } from '#libs/stratum/notification.ts';
import { errorReply, trueReply } from '#libs/stratum/reply.ts';
import { parseRequest } from '#libs/stratum/request.ts';
import { makeJob } from './job.fixture.ts';
import { type BookEvent, emptyBook, hasWork, type JobBook, stepBook } from './jobs.ts';
import type { Effect, Session, StepContext } from './model.ts';
import { RecentShares } from './recent-shares.ts';
import { isWaitingForWork, newSession, refuseShare, step, subscribe } from './session.ts';
import { sessionAfterShare } from './settle-share.ts';
import { decideShare } from './submit.ts';
import { giveJob, prepareForJob } from './work.ts';

const CHAIN = chainParams('bitcoin', 'regtest');
export const START_MS = 1_700_000_000_000;
/** Difficulty 1: no share of a transcript solves a block. */
const NBITS = 0x1d00ffff;

export const LISTENER: ResolvedListener = {
  name: 'main',
  port: 3333,
  chain: 'btc',
  mode: 'pool',
  startDifficulty: 1e-9,
  minDifficulty: 1e-10,
  vardiffTargetSec: 10,
  extranonce2Size: 8,
};

/** One connection, one pool, one clock. */
export class TranscriptPool {
  session: Session;
  recent = new RecentShares();
  book: JobBook = emptyBook('btc');
  nowMs = START_MS;
  /** Lines to the miner, without their ends. */
  readonly said: string[] = [];
  readonly capsule: Uint8Array[] = [];
  isFull = false;
  closed: string | undefined;

  constructor(listener: ResolvedListener = LISTENER) {
    this.session = newSession({
      conn: 'c1',
      peerAddress: '192.0.2.1',
      listener,
      openedMs: START_MS,
      sessionId: '5e55105e55105e55105e55105e551055',
    });
    this.announce(makeJob({ id: 1, nbits: NBITS }));
  }

  /** Lines that arrive together. */
  receive(...lines: readonly string[]): void {
    for (const line of lines) if (this.closed === undefined) this.#line(line);
    if (isWaitingForWork(this.session)) this.#give(true);
  }

  announce(job: Job): void {
    this.#note({ kind: 'sources_seen', ready: [{ id: 'a', startedMs: 1 }] });
    const isClean = this.book.current?.job.parent !== job.parent;
    const word = { sourceId: 'a', startedMs: 1, tipAgeMs: 0, refused: [] };
    this.#note({ kind: 'job_announced', ...word, job });
    if (!this.session.isWorking) return;
    if (this.session.listener.mode === 'solo') return this.#give(isClean);
    const [session, effects] = prepareForJob(this.session, job, this.#context());
    this.session = session;
    this.#perform(effects);
    this.#say(notify(notifyParams(job, undefined, isClean)));
  }

  /** A job some other server gave out. */
  know(job: Job): void {
    this.#note({ kind: 'job_found', job });
  }

  #note(event: BookEvent): void {
    [this.book] = stepBook(this.book, event, this.nowMs);
  }

  #give(isClean: boolean): void {
    const job = this.book.current?.job;
    if (job === undefined) return;
    const [session, effects] = giveJob(this.session, job, isClean, this.#context());
    this.session = session;
    this.#perform(effects);
  }

  #line(line: string): void {
    const [session, effects] = step(this.session, parseRequest(Buffer.from(line)), this.#context());
    this.session = session;
    this.#perform(effects);
  }

  #perform(effects: readonly Effect[]): void {
    for (const effect of effects) this.#performOne(effect);
  }

  #performOne(effect: Effect): void {
    switch (effect.kind) {
      case 'write':
        return this.#say(effect.bytes);
      case 'notify': {
        const owner = this.session.ownerScript;
        const script = owner === '' ? undefined : Buffer.from(owner, 'hex');
        return this.#say(notify(notifyParams(effect.job, script, effect.isClean)));
      }
      case 'remember':
        return void this.capsule.push(effect.record);
      case 'find_extranonce': {
        const free = this.isFull ? undefined : '0000002a';
        const [session, effects] = subscribe(this.session, effect.request, free, this.#context());
        this.session = session;
        return this.#perform(effects);
      }
      case 'judge_share':
        return this.#judge(effect.idJson, effect.params);
      case 'close':
        this.closed = effect.reason;
        this.said.push(`closed: ${effect.reason}`);
        return;
      case 'keep_alive':
      case 'authorized':
      case 'refused':
        return;
    }
  }

  #judge(idJson: string, params: readonly unknown[]): void {
    const decision = decideShare(this.session, this.recent, params, {
      chain: CHAIN,
      book: this.book,
      hasWork: hasWork(this.book, this.nowMs, 120_000),
      arrivedMs: this.nowMs,
      prepare: (job, owner) =>
        prepareJob(job, CHAIN.algorithm, owner === '' ? undefined : Buffer.from(owner, 'hex')),
    });
    if (decision.kind === 'job_unknown') return this.#say(errorReply(idJson, 'unknown_job'));
    if (decision.kind === 'rejected') {
      const [session, effects] = refuseShare(this.session, idJson, decision.reason);
      this.session = session;
      return this.#perform(effects);
    }
    this.session = sessionAfterShare(this.session, decision, CHAIN);
    const { hash, prepared } = decision.share;
    this.capsule.push(...this.recent.add(hash.identity, prepared.job.height));
    this.#say(trueReply(idJson));
  }

  #say(bytes: Buffer): void {
    this.said.push(bytes.toString().trimEnd());
  }

  #context(): StepContext {
    const job = this.book.current?.job;
    return {
      nowMs: this.nowMs,
      chain: CHAIN,
      workersPerConnectionMax: 8,
      job,
      networkDifficulty: 1,
      poolVersion: 'Seam/test',
    };
  }
}

/** The transcript with what this pool really says in place of its `<` lines. */
export function replay(transcript: string): string {
  const output: string[] = [];
  let pool = new TranscriptPool();
  let packet: string[] = [];
  const flush = () => {
    if (packet.length > 0) pool.receive(...packet);
    packet = [];
    output.push(...pool.said.splice(0).map((line) => `< ${line}`));
  };
  for (const line of transcript.split('\n')) {
    if (line.startsWith('<')) continue;
    if (!line.startsWith('>')) flush();
    output.push(line);
    if (line.startsWith('> ')) packet.push(line.slice(2));
    if (line.startsWith('* ')) pool = direct(pool, line.slice(2)) ?? pool;
    if (line.startsWith('* ')) flush();
  }
  flush();
  return output.join('\n');
}

/** Performs a `*` line; a new pool if its settings change. */
function direct(pool: TranscriptPool, words: string): TranscriptPool | undefined {
  const [verb = '', ...rest] = words.split(' ');
  const options = new Map(rest.filter((word) => word.includes('=')).map((word) => split(word)));
  const number = (name: string, otherwise: number) => Number(options.get(name) ?? otherwise);
  const job = () =>
    makeJob({
      id: Number(rest[0]),
      nbits: NBITS,
      height: number('height', pool.book.current?.job.height ?? 100),
      versionMask: number('mask', pool.book.current?.job.versionMask ?? 0),
    });
  switch (verb) {
    case 'listener':
      return new TranscriptPool({
        ...LISTENER,
        mode: options.get('mode') === 'solo' ? 'solo' : 'pool',
        startDifficulty: number('start', LISTENER.startDifficulty),
        minDifficulty: number('min', LISTENER.minDifficulty),
        extranonce2Size: number('extranonce2', LISTENER.extranonce2Size),
      });
    case 'job':
      pool.announce(job());
      return undefined;
    case 'known':
      pool.know(job());
      return undefined;
    case 'wait':
      pool.nowMs += Number(rest[0]) * 1_000;
      return undefined;
    case 'full':
      pool.isFull = true;
      return undefined;
    default:
      throw new RangeError(`Cannot play "* ${words}": nobody knows the word ${verb}`);
  }
}

function split(word: string): [string, string] {
  const at = word.indexOf('=');
  return [word.slice(0, at), word.slice(at + 1)];
}
