/**
 * A CPU miner that checks the pool while it mines: every answer, every job, every verdict. For the demo, the tests and
 * chaos under load. One object is one miner with one connection at a time; many can share one {@link HashThread}.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { type HashSlot, HashThread } from './hash-thread.ts';
import { type Algorithm, bytesOf, numberOf, powOf, sha256d } from './hashing.ts';
import { type Attempt, headerOf, parseCoinbase } from './job.ts';
import { type BookedJob, JobBook } from './job-book.ts';
import { type ProbeKind, type Report, Tally } from './report.ts';
import { type Answer, parsePoolUrl, type PoolUrl, StratumClient } from './stratum-client.ts';
import { makeProbe, submitParams, type Submission } from './submission.ts';
import { STALE_GRACE_MS, Verdicts } from './verdicts.ts';

export interface MinerOptions {
  /** `stratum+tcp://host:port` */
  readonly url: string;
  readonly username: string;
  readonly password?: string;
  readonly algorithm: Algorithm;
  /** [H/s] at most; default: a small part of one core. Infinity: as fast as it goes. */
  readonly hashrateHps?: number;
  /** Asks for version rolling (BIP 310) and rolls. */
  readonly versionRolling?: boolean;
  readonly subscribesExtranonce?: boolean;
  readonly suggestDifficulty?: number;
  readonly userAgent?: string;
  /** Comes again after a lost connection, with its session id. */
  readonly reconnects?: boolean;
  /** [ms] before it comes again */
  readonly reconnectMs?: number;
  /** Shares that must be refused, sent in turn, one after each `probeEvery` accepted shares. */
  readonly probes?: readonly ProbeKind[];
  readonly probeEvery?: number;
  /** Hex of the script whose output must be the coinbase's first one. */
  readonly payeeScript?: string;
  /** [ms] within which the notify that explains a refusal as stale must come */
  readonly staleGraceMs?: number;
  /** [ms] without a notify that counts as a fault */
  readonly workMaxMs?: number;
  /** Shared by many miners; without one the miner has its own. */
  readonly hashThread?: HashThread;
}

/** A share that was answered `true`. */
export interface AcceptedShare {
  readonly jobId: string;
  readonly difficulty: number;
  readonly solvesBlock: boolean;
  /** Double SHA-256 of the header, internal order, hex: its identity in the books. */
  readonly identity: string;
}

export interface MinerEvents {
  connected: [];
  authorized: [extranonce1: string];
  job: [jobId: string, isClean: boolean];
  accepted: [share: AcceptedShare];
  rejected: [kind: Submission['kind'], code: number, text: string];
  /** A share that solves the block was answered. `hash` in display order. */
  block: [hash: string, isAccepted: boolean];
  message: [text: string];
  disconnected: [reason: string];
  /** It will not come again. */
  ended: [reason: string];
}

/** [H/s] little enough to leave the machine to its owner */
export const DEFAULT_HASHRATE_HPS: Readonly<Record<Algorithm, number>> = {
  sha256d: 50_000,
  scrypt: 300,
};

const USER_AGENT = 'seam-miner/1';
/** Answers that may be missing before finds are held back. */
const UNANSWERED_MAX = 64;
const TICK_MS = 500;
/** [ms] the answers are waited for when it stops */
const LAST_ANSWERS_MS = 5_000;

/** What was agreed on this connection. */
interface Terms {
  isSubscribed: boolean;
  isConfigured: boolean;
  isAuthorized: boolean;
  extranonce1: string;
  extranonce2Size: number;
  /** Holds from the next notify on. */
  nextExtranonce: readonly [string, number] | undefined;
  versionMask: number;
  lastNotifyMs: number;
  isSilenceTold: boolean;
}

/** The work being hashed. */
interface Work {
  readonly generation: number;
  readonly booked: BookedJob;
  readonly attempt: Attempt;
}

export class Miner extends EventEmitter<MinerEvents> implements AsyncDisposable {
  readonly #options: MinerOptions;
  readonly #url: PoolUrl;
  readonly #tally = new Tally();
  readonly #jobs: JobBook;
  readonly #verdicts: Verdicts;
  readonly #thread: HashThread;
  readonly #slot: HashSlot;
  readonly #ticker: NodeJS.Timeout;
  #client: StratumClient | undefined;
  #terms = noTerms();
  #sessionId = '';
  #lastExtranonce1 = '';
  #work: Work | undefined;
  #generation = 0;
  #extranonce2 = 0n;
  #accepted: Submission | undefined;
  #probeTurn = 0;
  #reconnecting: NodeJS.Timeout | undefined;
  #isStopping = false;

  /** @throws {TypeError} if the URL is none */
  constructor(options: MinerOptions) {
    super();
    this.#options = options;
    this.#url = parsePoolUrl(options.url);
    this.#jobs = new JobBook(options.algorithm, this.#tally);
    const isStale = (booked: BookedJob) => this.#jobs.isStale(booked);
    this.#verdicts = new Verdicts(this.#tally, isStale, options.staleGraceMs ?? STALE_GRACE_MS);
    this.#thread = options.hashThread ?? new HashThread();
    const hashrateHps = options.hashrateHps ?? DEFAULT_HASHRATE_HPS[options.algorithm];
    this.#slot = this.#thread.open(options.algorithm, hashrateHps, {
      onFound: (generation, nonce) => this.#find(generation, nonce),
      onExhausted: () => this.#startWork(),
      onHashed: (hashes) => {
        this.#tally.report.hashes += hashes;
      },
    });
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#connect();
  }

  /** For {@link combine}. */
  get tally(): Tally {
    return this.#tally;
  }

  get report(): Report {
    return this.#tally.snapshot();
  }

  /** Changes whenever the connection does; '' before the first subscription. */
  get extranonce1(): string {
    return this.#terms.extranonce1;
  }

  /** Cuts the connection as a bad network does; it comes again if it may. */
  drop(): void {
    this.#client?.close('dropped on purpose');
  }

  /** Stops mining, waits for the last answers, closes. */
  async stop(): Promise<Report> {
    this.#isStopping = true;
    clearTimeout(this.#reconnecting);
    this.#slot.idle();
    this.#work = undefined;
    const endMs = performance.now() + LAST_ANSWERS_MS;
    while ((this.#client?.unanswered ?? 0) > 0 && performance.now() < endMs)
      await new Promise((resolve) => setTimeout(resolve, 10));
    clearInterval(this.#ticker);
    this.#client?.close('stopped');
    this.#slot[Symbol.dispose]();
    if (this.#options.hashThread === undefined) await this.#thread[Symbol.asyncDispose]();
    return this.report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #connect(): void {
    this.#terms = noTerms();
    this.#jobs.reset();
    this.#accepted = undefined;
    const client = new StratumClient(this.#url, this.#tally, {
      onConnect: () => this.#greet(client),
      onRequest: (method, params, id) => this.#receive(method, params, id),
      onClose: (reason) => this.#disconnected(reason),
    });
    this.#client = client;
  }

  #disconnected(reason: string): void {
    const { report } = this.#tally;
    const wasConnected = report.connected > 0;
    report.connected = 0;
    this.#client = undefined;
    this.#work = undefined;
    this.#slot.idle();
    this.#verdicts.forget();
    if (this.#isStopping) return;
    if (wasConnected) report.disconnects += 1;
    this.emit('disconnected', reason);
    if (this.#options.reconnects !== true) this.emit('ended', reason);
    else this.#reconnecting = setTimeout(() => this.#connect(), this.#options.reconnectMs ?? 1_000);
  }

  /** Everything in one packet, as Bitaxes and farm proxies do. */
  #greet(client: StratumClient): void {
    const options = this.#options;
    this.#tally.report.connects += 1;
    this.#tally.report.connected = 1;
    this.emit('connected');
    if (options.versionRolling === true) {
      const extensions = [
        ['version-rolling'],
        { 'version-rolling.mask': 'ffffffff', 'version-rolling.min-bit-count': 2 },
      ];
      client.request('mining.configure', extensions, (answer) => this.#configured(answer));
    }
    const userAgent = options.userAgent ?? USER_AGENT;
    const subscribe = this.#sessionId === '' ? [userAgent] : [userAgent, this.#sessionId];
    client.request('mining.subscribe', subscribe, (answer) => this.#subscribed(answer));
    if (options.subscribesExtranonce === true)
      client.request('mining.extranonce.subscribe', [], (answer) =>
        this.#expectTrue('extranonce.subscribe', answer),
      );
    if (options.suggestDifficulty !== undefined)
      client.request('mining.suggest_difficulty', [options.suggestDifficulty], () => undefined);
    client.request('mining.authorize', [options.username, options.password ?? 'x'], (answer) =>
      this.#authorized(answer),
    );
  }

  #configured(answer: Answer): void {
    const result = Object(answer.result) as Readonly<Record<string, unknown>>;
    const isGranted = result['version-rolling'];
    const mask = result['version-rolling.mask'];
    this.#terms.isConfigured = true;
    if (isGranted === false) return;
    if (isGranted === true && typeof mask === 'string' && /^[0-9a-f]{8}$/.test(mask))
      this.#terms.versionMask = Number.parseInt(mask, 16);
    else this.#tally.fault('malformed_line', `configure: ${JSON.stringify(answer.result)}`);
  }

  #subscribed(answer: Answer): void {
    const [subscriptions, extranonce1, extranonce2Size] = listOf(answer.result);
    if (!isExtranonce(extranonce1, extranonce2Size)) {
      this.#tally.fault('malformed_line', `subscribe: ${JSON.stringify(answer)}`);
      return this.#client?.close('cannot subscribe');
    }
    const notify = listOf(subscriptions)
      .map(listOf)
      .find(([name]) => name === 'mining.notify');
    const sessionId = notify?.[1];
    if (typeof sessionId !== 'string')
      this.#tally.fault('malformed_line', 'subscribe without a session id');
    else this.#sessionId = sessionId;
    if (extranonce1 === this.#lastExtranonce1) this.#tally.report.resumed += 1;
    this.#lastExtranonce1 = extranonce1;
    Object.assign(this.#terms, { isSubscribed: true, extranonce1, extranonce2Size });
  }

  #authorized(answer: Answer): void {
    if (answer.result !== true) {
      this.#tally.fault('refused_worker', `${this.#options.username}: ${answer.errorText}`);
      return this.#client?.close('worker refused');
    }
    this.#terms.isAuthorized = true;
    this.#terms.lastNotifyMs = performance.now();
    this.emit('authorized', this.#terms.extranonce1);
  }

  #expectTrue(what: string, answer: Answer): void {
    if (answer.result !== true)
      this.#tally.fault('malformed_line', `${what}: ${JSON.stringify(answer)}`);
  }

  #receive(method: string, params: unknown, id: unknown): void {
    switch (method) {
      case 'mining.notify':
        return this.#notified(params);
      case 'mining.set_difficulty':
        return this.#jobs.setDifficulty(params);
      case 'mining.set_extranonce':
        return this.#setExtranonce(params);
      case 'mining.set_version_mask':
        return this.#setVersionMask(params);
      case 'mining.ping':
        return this.#client?.answer(id, 'pong');
      case 'client.get_version':
        return this.#client?.answer(id, this.#options.userAgent ?? USER_AGENT);
      case 'client.show_message':
        this.emit('message', String(listOf(params)[0]));
        return;
      case 'client.reconnect':
        return this.#client?.close('asked to reconnect');
      default:
        this.#tally.fault('malformed_line', `unknown method ${method}`);
    }
  }

  #notified(params: unknown): void {
    const terms = this.#terms;
    if (!terms.isSubscribed)
      return this.#tally.fault('wrong_order', 'notify before the answer to subscribe');
    if (terms.nextExtranonce !== undefined) {
      [terms.extranonce1, terms.extranonce2Size] = terms.nextExtranonce;
      terms.nextExtranonce = undefined;
    }
    const booked = this.#jobs.add(params, terms.versionMask);
    if (booked === undefined) return;
    this.#heardOfWork();
    this.#checkCoinbase(booked);
    if (this.#accepted !== undefined && this.#jobs.isStale(this.#accepted.booked))
      this.#accepted = undefined;
    this.#verdicts.review(performance.now());
    this.emit('job', booked.job.jobId, booked.job.cleanJobs);
    this.#startWork();
  }

  #heardOfWork(): void {
    const terms = this.#terms;
    const nowMs = performance.now();
    const { report } = this.#tally;
    if (terms.lastNotifyMs > 0)
      report.longestSilenceMs = Math.max(
        report.longestSilenceMs,
        Math.round(nowMs - terms.lastNotifyMs),
      );
    terms.lastNotifyMs = nowMs;
    terms.isSilenceTold = false;
  }

  #checkCoinbase({ job }: BookedJob): void {
    const { extranonce1, extranonce2Size } = this.#terms;
    const coinbase = parseCoinbase(job, extranonce1, extranonce2Size);
    if (typeof coinbase === 'string') return this.#tally.fault('malformed_notify', coinbase);
    const { payeeScript } = this.#options;
    const payee = coinbase.outputs[0]?.script;
    if (payeeScript === undefined) return;
    if (payee !== payeeScript || !job.coinb2.includes(payeeScript))
      this.#tally.fault('wrong_payee', `job ${job.jobId} pays ${payee} first`);
  }

  #setExtranonce(params: unknown): void {
    const [extranonce1, extranonce2Size] = listOf(params);
    if (isExtranonce(extranonce1, extranonce2Size))
      this.#terms.nextExtranonce = [extranonce1, extranonce2Size as number];
    else this.#tally.fault('malformed_line', `set_extranonce ${JSON.stringify(params)}`);
  }

  #setVersionMask(params: unknown): void {
    const [mask] = listOf(params);
    if (!this.#terms.isConfigured || !this.#terms.isSubscribed)
      return this.#tally.fault('wrong_order', 'set_version_mask before the answers it must follow');
    if (typeof mask !== 'string' || !/^[0-9a-f]{8}$/.test(mask))
      return this.#tally.fault('malformed_line', `set_version_mask ${JSON.stringify(params)}`);
    this.#terms.versionMask = Number.parseInt(mask, 16);
    this.#startWork();
  }

  /** Hashes the current job with a new extranonce2 and, if it may, other version bits. */
  #startWork(): void {
    const booked = this.#jobs.current;
    if (booked === undefined || this.#isStopping || this.#client === undefined) return;
    this.#generation += 1;
    const attempt = this.#newAttempt(booked);
    this.#work = { generation: this.#generation, booked, attempt };
    this.#slot.mine(this.#generation, headerOf(booked.job, attempt), bytesOf(booked.target));
  }

  #newAttempt({ job }: BookedJob): Attempt {
    const { extranonce1, extranonce2Size, versionMask } = this.#terms;
    this.#extranonce2 = (this.#extranonce2 + 1n) % (1n << BigInt(8 * extranonce2Size));
    const rolled = versionMask === 0 ? 0 : (randomBytes(4).readUInt32LE() & versionMask) >>> 0;
    return {
      extranonce1,
      extranonce2: this.#extranonce2.toString(16).padStart(extranonce2Size * 2, '0'),
      ntime: job.ntime,
      nonce: randomInt(2 ** 32),
      version: (job.version | rolled) >>> 0,
    };
  }

  #find(generation: number, nonce: number): void {
    const work = this.#work;
    if (work === undefined || work.generation !== generation || !this.#terms.isAuthorized) return;
    const { booked } = work;
    const attempt = { ...work.attempt, nonce };
    const pow = numberOf(powOf(this.#options.algorithm, headerOf(booked.job, attempt)));
    if (pow > booked.target)
      throw new Error('Cannot submit: the hash thread found what is no share');
    if ((this.#client?.unanswered ?? 0) >= UNANSWERED_MAX) {
      this.#tally.report.heldBack += 1;
      return;
    }
    const params = submitParams(
      this.#options.username,
      booked.job.jobId,
      attempt,
      booked.job,
      this.#rollsVersion,
    );
    this.#submit({
      kind: 'share',
      booked,
      attempt,
      params,
      solvesBlock: pow <= booked.networkTarget,
    });
  }

  get #rollsVersion(): boolean {
    return this.#terms.versionMask !== 0;
  }

  #submit(submission: Submission): void {
    const { report } = this.#tally;
    if (submission.kind === 'share') {
      report.submitted += 1;
      if (submission.solvesBlock) report.blocks += 1;
    } else {
      report.probes[submission.kind].sent += 1;
    }
    this.#client?.request('mining.submit', submission.params, (answer) =>
      this.#settle(submission, answer),
    );
  }

  #settle(submission: Submission, answer: Answer): void {
    const settled = this.#verdicts.settle(submission, answer, performance.now());
    if (settled === 'rejected') {
      this.emit('rejected', submission.kind, answer.errorCode, answer.errorText);
    } else if (submission.kind === 'share') {
      this.#noteAccepted(submission);
    }
    if (submission.kind === 'share' && submission.solvesBlock) {
      const hash = sha256d(headerOf(submission.booked.job, submission.attempt))
        .reverse()
        .toString('hex');
      this.emit('block', hash, settled === 'accepted');
    }
  }

  #noteAccepted(submission: Submission): void {
    const { booked, attempt, solvesBlock } = submission;
    if (!solvesBlock && !this.#jobs.isStale(booked)) this.#accepted = submission;
    this.emit('accepted', {
      jobId: booked.job.jobId,
      difficulty: booked.difficulty,
      solvesBlock,
      identity: sha256d(headerOf(booked.job, attempt)).toString('hex'),
    });
    const every = this.#options.probeEvery ?? 5;
    if (!this.#isStopping && this.#tally.report.accepted % every === 0) this.#probe();
  }

  /** The next kind of probe that can be made now. */
  #probe(): void {
    const kinds = this.#options.probes ?? [];
    const { current, old, easiestTarget } = this.#jobs;
    if (current === undefined) return;
    for (let tried = 0; tried < kinds.length; tried += 1) {
      const kind = kinds[this.#probeTurn % kinds.length] ?? 'unknown_job';
      this.#probeTurn += 1;
      const probe = makeProbe(kind, {
        algorithm: this.#options.algorithm,
        username: this.#options.username,
        rollsVersion: this.#rollsVersion,
        current,
        old,
        easiestTarget,
        accepted: this.#accepted,
        attempt: (booked) => this.#newAttempt(booked),
        nowSec: Math.floor(Date.now() / 1000),
      });
      if (probe !== undefined) return this.#submit(probe);
    }
  }

  #tick(): void {
    const nowMs = performance.now();
    this.#verdicts.review(nowMs);
    const terms = this.#terms;
    const silenceMs = nowMs - terms.lastNotifyMs;
    if (
      !terms.isAuthorized ||
      terms.isSilenceTold ||
      silenceMs <= (this.#options.workMaxMs ?? 35_000)
    )
      return;
    terms.isSilenceTold = true;
    this.#tally.report.longestSilenceMs = Math.max(
      this.#tally.report.longestSilenceMs,
      Math.round(silenceMs),
    );
    this.#tally.fault('no_new_work', `${Math.round(silenceMs)} ms without a notify`);
  }
}

function noTerms(): Terms {
  return {
    isSubscribed: false,
    isConfigured: false,
    isAuthorized: false,
    extranonce1: '',
    extranonce2Size: 0,
    nextExtranonce: undefined,
    versionMask: 0,
    lastNotifyMs: 0,
    isSilenceTold: false,
  };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}

function isExtranonce(extranonce1: unknown, extranonce2Size: unknown): extranonce1 is string {
  if (typeof extranonce1 !== 'string' || !/^(?:[0-9a-f]{2}){1,16}$/.test(extranonce1)) return false;
  return (
    Number.isInteger(extranonce2Size) &&
    Number(extranonce2Size) >= 2 &&
    Number(extranonce2Size) <= 16
  );
}
