/** A small pool for tests of the miner, made from the pool's own parts, with faults that can be switched on. */
import { createServer, type Server, type Socket } from 'node:net';
import type { PowAlgorithm } from '#libs/bitcoin/hash.ts';
import { hexFromBytes } from '#libs/bitcoin/hex.ts';
import { makeJob } from '#libs/mining/job.fixture.ts';
import { notifyParams } from '#libs/mining/notify.ts';
import { judgeShare, ntimeRangeOf } from '#libs/mining/share.ts';
import { hashShare, prepareJob } from '#libs/mining/share-hash.ts';
import { targetFromDifficulty } from '#libs/mining/work.ts';
import type { RejectReason } from '#libs/stratum/codes.ts';
import { LineFramer } from '#libs/stratum/line-framer.ts';
import * as notification from '#libs/stratum/notification.ts';
import {
  errorReply,
  falseReply,
  resultReply,
  subscribeReply,
  trueReply,
} from '#libs/stratum/reply.ts';
import { parseRequest, type Request } from '#libs/stratum/request.ts';
import { parseSubmitParams } from '#libs/stratum/submit-params.ts';
import { negotiate, rolledVersion } from '#libs/stratum/version-rolling.ts';

/** What a pool can do wrong; each is one the miner must find. */
export type Fault =
  | 'answers_twice'
  | 'never_answers'
  | 'swaps_answers'
  | 'reuses_job_id'
  | 'accepts_anything'
  | 'refuses_good'
  | 'says_stale'
  | 'version_in_mask'
  | 'notifies_early'
  | 'no_difficulty'
  | 'numbers_as_fields'
  | 'difficulty_on_old_job'
  | 'pays_somebody_else'
  | 'falls_silent'
  | 'talks_nonsense';

type Job = ReturnType<typeof makeJob>;

const DIFF1 = { sha256d: 0xffffn << 208n, scrypt: 0xffffn << 224n } as const;
/** Difficulties at which a share takes some hundred hashes, or some ten of scrypt. */
export const EASY = { sha256d: 200 / 2 ** 32, scrypt: 10 / 2 ** 16 } as const;
/** A block takes 4 096 hashes. */
const NBITS = 0x1f0f_ffff;
const MASK = 0x1fff_e000;

interface Peer {
  readonly socket: Socket;
  readonly framer: LineFramer;
  extranonce1: string;
  versionMask: number;
  username: string;
  readonly difficultyOf: Map<string, number>;
  readonly seen: Set<string>;
  /** Answer held back to be swapped with the next. */
  held: Buffer | undefined;
}

export class FakePool implements AsyncDisposable {
  readonly faults = new Set<Fault>();
  readonly algorithm: PowAlgorithm;
  readonly peers = new Set<Peer>();
  readonly #server: Server;
  readonly #jobs = new Map<string, Job>();
  readonly #sessions = new Map<string, string>();
  job: Job;
  difficulty: number;
  accepted = 0;
  /** Hex of the script the coinbase pays first, in solo. */
  ownerScript: string | undefined;
  #serial = 0;

  private constructor(algorithm: PowAlgorithm, server: Server) {
    this.algorithm = algorithm;
    this.difficulty = EASY[algorithm];
    this.#server = server;
    this.job = this.#makeJob(1);
    server.on('connection', (socket) => this.#accept(socket));
  }

  static async start(algorithm: PowAlgorithm = 'sha256d'): Promise<FakePool> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new FakePool(algorithm, server);
  }

  get url(): string {
    const address = this.#server.address();
    return `stratum+tcp://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  }

  /** A job with the same parent, or with a new one. */
  announce(kind: 'refresh' | 'block'): void {
    const height = this.job.height - 840_000 + (kind === 'block' ? 1 : 0);
    this.job = this.#makeJob(height);
    for (const peer of this.peers) if (peer.username !== '') this.#notify(peer, kind === 'block');
  }

  dropAll(): void {
    for (const { socket } of this.peers) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dropAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #makeJob(height: number): Job {
    this.#serial += 1;
    const base = makeJob();
    const job = makeJob({
      height: 840_000 + height,
      parent: height.toString(16).padStart(64, '0'),
      nbits: NBITS,
      curtime: Math.floor(Date.now() / 1000),
      coinbase: { ...base.coinbase, scriptSigTail: this.#serial.toString(16).padStart(8, '0') },
    });
    this.#jobs.set(job.jobId, job);
    return job;
  }

  #accept(socket: Socket): void {
    const peer: Peer = {
      socket,
      framer: new LineFramer(16_384),
      extranonce1: '',
      versionMask: 0,
      username: '',
      difficultyOf: new Map(),
      seen: new Set(),
      held: undefined,
    };
    this.peers.add(peer);
    socket.on('data', (chunk: Buffer) => {
      for (const line of peer.framer.push(chunk).lines) this.#receive(peer, line);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => this.peers.delete(peer));
  }

  #receive(peer: Peer, line: Uint8Array): void {
    const parsed = parseRequest(line);
    if (parsed.kind === 'malformed') peer.socket.write(errorReply(parsed.idJson, 'malformed'));
    if (parsed.kind === 'request') this.#answer(peer, parsed);
  }

  #answer(peer: Peer, request: Request): void {
    const { socket } = peer;
    switch (request.method) {
      case 'mining.configure': {
        const agreed = negotiate(request, { versionMask: MASK });
        peer.versionMask = agreed.versionMask ?? 0;
        socket.write(resultReply(request.idJson, agreed.result));
        return;
      }
      case 'mining.subscribe':
        return this.#subscribe(peer, request.idJson, request.sessionId);
      case 'mining.authorize': {
        if (request.username.startsWith('bad')) {
          socket.write(falseReply(request.idJson, 'bad_username'));
          return;
        }
        peer.username = request.username;
        socket.write(trueReply(request.idJson));
        return this.#notify(peer, true);
      }
      case 'mining.submit':
        return this.#submit(peer, request.idJson, request.params);
      default:
        socket.write(trueReply(request.idJson));
    }
  }

  #subscribe(peer: Peer, idJson: string, sessionId: string): void {
    const resumed = this.#sessions.get(sessionId);
    this.#serial += 1;
    peer.extranonce1 = resumed ?? this.#serial.toString(16).padStart(8, '0');
    const session = resumed === undefined ? `session${this.#serial}` : sessionId;
    this.#sessions.set(session, peer.extranonce1);
    if (this.faults.has('notifies_early')) this.#notify(peer, true);
    peer.socket.write(subscribeReply(idJson, session, peer.extranonce1, 8));
  }

  #notify(peer: Peer, isClean: boolean): void {
    const { faults } = this;
    const owner = this.ownerScript === undefined ? undefined : Buffer.from(this.ownerScript, 'hex');
    const other = faults.has('pays_somebody_else') ? Buffer.alloc(22, 7) : owner;
    const params: unknown[] = [...notifyParams(this.job, other, isClean)];
    if (faults.has('reuses_job_id')) params[0] = '00000000000000aa';
    if (faults.has('version_in_mask')) params[5] = '20002000';
    if (faults.has('numbers_as_fields')) params[7] = this.job.curtime;
    if (!faults.has('no_difficulty'))
      peer.socket.write(notification.setDifficulty(this.difficulty));
    peer.difficultyOf.set(this.job.jobId, this.difficulty);
    peer.socket.write(
      notification.notify(params as unknown as Parameters<typeof notification.notify>[0]),
    );
    if (!faults.has('difficulty_on_old_job')) return;
    peer.socket.write(notification.setDifficulty(this.difficulty / 2));
    peer.socket.write(notification.notify(notifyParams(this.job, other, false)));
  }

  #submit(peer: Peer, idJson: string, params: readonly unknown[]): void {
    const { faults } = this;
    if (faults.has('never_answers')) return;
    if (faults.has('talks_nonsense'))
      peer.socket.write('{"id":1e3,"result":true,"error":null}\nnonsense\n');
    const reason = this.#judge(peer, params);
    if (reason === undefined) this.accepted += 1;
    const answer = reason === undefined ? trueReply(idJson) : errorReply(idJson, reason);
    if (faults.has('answers_twice')) peer.socket.write(answer);
    if (!faults.has('swaps_answers')) return void peer.socket.write(answer);
    if (peer.held === undefined) peer.held = answer;
    else {
      peer.socket.write(Buffer.concat([answer, peer.held]));
      peer.held = undefined;
    }
  }

  #judge(peer: Peer, params: readonly unknown[]): RejectReason | undefined {
    if (this.faults.has('accepts_anything')) return undefined;
    if (this.faults.has('refuses_good')) return 'low_difficulty';
    if (this.faults.has('says_stale')) return 'stale_job';
    if (params[0] !== peer.username) return 'unauthorized';
    const parsed = parseSubmitParams(params, 8);
    if (parsed.kind === 'invalid') return parsed.reason;
    const { submit } = parsed;
    const job = this.#jobs.get(submit.jobId);
    if (job === undefined) return 'unknown_job';
    const version = rolledVersion(job.version, peer.versionMask, submit.versionBits);
    if (version === undefined) return 'bad_version_bits';
    const owner = this.ownerScript === undefined ? undefined : Buffer.from(this.ownerScript, 'hex');
    const prepared = prepareJob(job, this.algorithm, owner);
    const share = hashShare(prepared, {
      ...submit,
      version,
      extranonce1: Buffer.from(peer.extranonce1, 'hex'),
    });
    const verdict = judgeShare({
      powNumber: share.powNumber,
      networkTarget: prepared.networkTarget,
      jobTarget: targetFromDifficulty(peer.difficultyOf.get(job.jobId) ?? 1, DIFF1[this.algorithm]),
      isStale: job.parent !== this.job.parent,
      isFirstSubmit: !peer.seen.has(hexFromBytes(share.identity)),
      ntime: submit.ntime,
      ntimeRange: ntimeRangeOf(job, Date.now()),
    });
    if (verdict.kind === 'rejected') return verdict.reason;
    peer.seen.add(hexFromBytes(share.identity));
    return undefined;
  }
}
