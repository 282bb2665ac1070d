/**
 * A miner that believes nothing: it knows which answer each of its requests must get, from what it was told and from a
 * model of its own (hashes with node:crypto, difficulty by division), and that each request is answered once, in order.
 */
import { createHash } from 'node:crypto';
import type { Frontend, MinerEnd } from './frontend.ts';
import type { Mine } from './jobs.ts';
import { blame, count, happened, type World } from './world.ts';

const ADDRESS = 'bcrt1qqyqszqgpqyqszqgpqyqszqgpqyqszqgpvxat9t';
const DIFF1 = Number(0xffffn << 208n);
/** [ms] after which every server that was not disturbed knows of a tip */
const TIP_KNOWN_MS = 4_000;
/** [ms] a line may lie on the link or before a stopped server without its session's end: that is not counted in its age */
const TRANSIT_MS = 1_300;
/** [ms] a notify that was not fully written when its connection moved is sent again */
const UNWRITTEN_MS = 3_500;
/** Shares the fingerprints of a connection hold at least. */
const REMEMBERED = 500;

interface Work {
  readonly jobId: string;
  readonly parentHex: string;
  readonly coinb1: string;
  readonly coinb2: string;
  readonly versionHex: string;
  readonly nbitsHex: string;
  readonly ntimeHex: string;
  /** How many difficulties had been told when it came. */
  readonly told: number;
}

interface Share {
  readonly work: Work;
  readonly params: readonly string[];
  readonly identity: string;
  readonly difficulty: number;
}

interface Request {
  readonly id: number;
  readonly method: 'subscribe' | 'authorize' | 'submit' | 'ping';
  readonly share: Share | undefined;
  readonly sentMs: number;
  /** How many difficulties had been told. */
  readonly told: number;
  readMs: number;
}

/** What is known of a share by its identity, over all connections. */
export interface Known {
  readonly difficulty: number;
  readonly parent: string;
  /** Heard `true` so often. */
  trues: number;
  /** Number of shares of the same miner that had heard `true` at the first `true` of this one. */
  order: number;
  /** Height of the job. */
  readonly height: number;
  /** An answer to it was `share not recorded`. */
  wasNotRecorded: boolean;
  /** Some submission of it was never answered, for its connection was lost. */
  isUndelivered: boolean;
  /** It heard `stale` from a server that knew of a later tip than the one that had written it. */
  wasStale: boolean;
}

export class Miner implements MinerEnd {
  readonly name: string;
  readonly #world: World;
  readonly #mine: Mine;
  readonly #frontends: () => readonly Frontend[];
  readonly #known: Map<string, Known>;
  #frontend: Frontend | undefined;
  #handle = 0;
  #connections = 0;
  #heard = '';
  #pending: Request[] = [];
  #nextId = 1;
  #works = new Map<string, Work>();
  #work: Work | undefined;
  #difficulties: number[] = [];
  #extranonce1 = '';
  #extranonce2Size = 0;
  #sessionId = '';
  #isAuthorized = false;
  #accepted: Share[] = [];
  #trues = 0;
  #bestHeight = 0;
  /** [ms] when it was last told of another parent */
  #cleanMs = 0;
  #nonce = 0;
  isIdle = false;

  constructor(
    world: World,
    name: string,
    mine: Mine,
    frontends: () => readonly Frontend[],
    known: Map<string, Known>,
  ) {
    this.#world = world;
    this.name = name;
    this.#mine = mine;
    this.#frontends = frontends;
    this.#known = known;
  }

  get pendingCount(): number {
    return this.#pending.length;
  }

  /** The parent it mines on. */
  get parent(): string | undefined {
    return this.#work === undefined ? undefined : this.#mine.job(this.#work.jobId)?.parent;
  }

  start(): void {
    this.#connect();
    this.#live();
  }

  hear(text: string): void {
    const lines = (this.#heard + text).split('\n');
    this.#heard = lines.pop() ?? '';
    for (const line of lines) this.#hearLine(line);
  }

  read(nowMs: number): void {
    for (const request of this.#pending) request.readMs = nowMs;
  }

  closed(reason: string): void {
    if (reason !== 'frontend lost') blame(this.#world, `${this.name} was dropped: ${reason}`);
    count(this.#world, 'requests lost with a frontend', this.#pending.length);
    for (const { share } of this.#pending) {
      const known = share && this.#known.get(share.identity);
      if (known !== undefined) known.isUndelivered = true;
    }
    this.#frontend = undefined;
    this.#world.clock.post(undefined, this.#world.dice.between(10, 1_000), () => this.#connect());
  }

  #connect(): void {
    const frontend = this.#world.dice.pick(this.#frontends());
    if (frontend === undefined) {
      this.#world.clock.post(undefined, 100, () => this.#connect());
      return;
    }
    this.#connections += 1;
    this.#frontend = frontend;
    this.#heard = '';
    this.#pending = [];
    this.#works = new Map();
    this.#work = undefined;
    this.#difficulties = [];
    this.#accepted = [];
    this.#isAuthorized = false;
    this.#extranonce1 = '';
    this.#handle = frontend.accept(`${this.name}-${this.#connections}`, this);
    const { dice } = this.#world;
    const resume = this.#sessionId !== '' && dice.chance(0.7) ? [this.#sessionId] : [];
    this.#say('subscribe', ['sim/1', ...resume]);
    const password = dice.pick(['x', 'xd=0.000000004', 'd=0.0000000004656612873']) ?? '';
    this.#say('authorize', [`${ADDRESS}.${this.name}`, password]);
  }

  /** Submits for ever, in bursts. */
  #live(): void {
    const { clock, dice } = this.#world;
    const next = dice.chance(0.2) ? 0 : dice.between(20, 500);
    clock.post(undefined, next, () => {
      if (!this.isIdle) this.#act();
      this.#live();
    });
  }

  #act(): void {
    const { dice } = this.#world;
    if (this.#frontend === undefined || !this.#isAuthorized || this.#work === undefined) return;
    if (this.#pending.length > 12) return;
    const roll = dice.next();
    const again = dice.pick(this.#accepted.slice(-20));
    const older = dice.pick([...this.#works.values()].slice(-4));
    if (roll < 0.05) return this.#say('ping', []);
    if (roll < 0.15 && again !== undefined) return this.#submit(again);
    this.#submit(this.#grind(roll < 0.3 && older !== undefined ? older : this.#work));
  }

  /** A share of some difficulty: mostly good enough, sometimes not. */
  #grind(work: Work): Share {
    const wanted = Math.min(...this.#difficulties.slice(Math.max(0, work.told - 1)));
    const isCareless = this.#world.dice.chance(0.1);
    let share = this.#tryNonce(work);
    for (let tries = 0; tries < 200 && share.difficulty < wanted && !isCareless; tries += 1) {
      share = this.#tryNonce(work);
    }
    return share;
  }

  #tryNonce(work: Work): Share {
    this.#nonce += 1;
    const nonce = this.#nonce.toString(16).padStart(8, '0');
    const extranonce2 = 'ab'.repeat(this.#extranonce2Size);
    const coinbase = work.coinb1 + this.#extranonce1 + extranonce2 + work.coinb2;
    const root = doubleHash(Buffer.from(coinbase, 'hex'));
    const parent = Buffer.from(work.parentHex, 'hex').swap32();
    const numbers = (hex: string) => Buffer.from(hex, 'hex').reverse();
    const header = Buffer.concat([
      ...[numbers(work.versionHex), parent, root],
      ...[numbers(work.ntimeHex), numbers(work.nbitsHex), numbers(nonce)],
    ]);
    const identity = doubleHash(header);
    const value = Number(`0x${Buffer.from(identity).reverse().toString('hex')}`);
    const params = [`${ADDRESS}.${this.name}`, work.jobId, extranonce2, work.ntimeHex, nonce];
    return { work, params, identity: identity.toString('hex'), difficulty: DIFF1 / value };
  }

  #submit(share: Share): void {
    const job = this.#mine.job(share.work.jobId);
    if (job === undefined) return;
    const { height, parent } = job;
    if (!this.#known.has(share.identity)) {
      const flags = { wasNotRecorded: false, isUndelivered: false, wasStale: false };
      const facts = { difficulty: share.difficulty, parent, trues: 0, order: 0, height };
      this.#known.set(share.identity, { ...facts, ...flags });
    }
    this.#say('submit', share.params, share);
  }

  #say(method: Request['method'], params: readonly unknown[], share?: Share): void {
    const id = this.#nextId;
    this.#nextId += 1;
    const sentMs = this.#world.clock.nowMs;
    const told = this.#difficulties.length;
    this.#pending.push({ id, method, share, sentMs, told, readMs: sentMs });
    const line = JSON.stringify({ id, method: `mining.${method}`, params });
    this.#world.trace(`${this.name} > ${line}`);
    this.#frontend?.say(this.#handle, `${line}\n`);
  }

  #hearLine(line: string): void {
    this.#world.trace(`${this.name} < ${line}`);
    const message = JSON.parse(line) as Message;
    if (message.method === 'mining.notify') return this.#hearNotify(message.params ?? []);
    if (message.method === 'mining.set_difficulty') {
      this.#difficulties.push(Number(message.params?.[0]));
      return;
    }
    if (message.method !== undefined) return;
    const request = this.#pending.shift();
    if (request === undefined || request.id !== message.id) {
      const waited = request === undefined ? 'nothing' : `an answer to ${request.id}`;
      return blame(this.#world, `${this.name} waited for ${waited} and heard ${line}`);
    }
    const slowMs = this.#world.clock.nowMs - request.sentMs;
    this.#world.counts.set(
      'longest wait for an answer [ms]',
      Math.max(slowMs, this.#world.counts.get('longest wait for an answer [ms]') ?? 0),
    );
    this.#hearAnswer(request, message);
  }

  #hearNotify(params: readonly unknown[]): void {
    const [jobId, parentHex, coinb1, coinb2, , versionHex, nbitsHex, ntimeHex, isClean] = params;
    const before = this.parent;
    const texts = { jobId, parentHex, coinb1, coinb2, versionHex, nbitsHex, ntimeHex };
    this.#work = { ...(texts as Omit<Work, 'told'>), told: this.#difficulties.length };
    this.#works.set(String(jobId), this.#work);
    if (this.#difficulties.length === 0)
      blame(this.#world, `${this.name} has a job and no difficulty`);
    const isNew = before !== this.parent;
    const isUnwritten = this.#world.clock.nowMs - this.#cleanMs < UNWRITTEN_MS;
    if (isClean === true && !isNew && !isUnwritten)
      blame(this.#world, `${this.name} is told to throw away good work by ${String(jobId)}`);
    if (isClean !== true && isNew && !isUnwritten && before !== undefined)
      blame(this.#world, `${this.name} keeps dead work besides ${String(jobId)}`);
    if (isNew) this.#cleanMs = this.#world.clock.nowMs;
  }

  #hearAnswer(request: Request, { result, error }: Message): void {
    const { share, method } = request;
    if (share !== undefined) return this.#judge(request, share, result === true, error?.[0] ?? 0);
    if (error !== null || result === false)
      return blame(this.#world, `${this.name}: ${method} refused: ${JSON.stringify(error)}`);
    if (method === 'authorize') this.#isAuthorized = true;
    if (method !== 'subscribe') return;
    const [subscriptions, extranonce1, size] = result as [string[][], string, number];
    const sessionId = subscriptions[0]?.[1] ?? '';
    if (sessionId === this.#sessionId) happened(this.#world, 'session resumed', this.name);
    this.#sessionId = sessionId;
    this.#extranonce1 = extranonce1;
    this.#extranonce2Size = size;
  }

  #judge(request: Request, share: Share, isTrue: boolean, code: number): void {
    const known = this.#known.get(share.identity);
    if (known === undefined) return;
    const world = this.#world;
    const what = `${this.name}: share ${request.id} for ${share.work.jobId}`;
    const overMs = this.#mine.overMs(known.parent) ?? Infinity;
    const mayBeStale = overMs <= request.readMs + TRANSIT_MS;
    const isSurelyStale =
      overMs + TIP_KNOWN_MS < request.sentMs && world.disturbedMs + TIP_KNOWN_MS < overMs;
    count(world, isTrue ? 'answered true' : `answered ${code}`);
    if (isTrue) {
      if (this.#fits(share, this.#difficulties.length) === 'no') {
        count(world, 'accepted by the difficulty before'); // See README.md, known weaknesses.
        if (this.#fits(share, this.#difficulties.length, 4) === 'no')
          blame(world, `${what} is too easy and was accepted`);
      }
      if (isSurelyStale) blame(world, `${what} is long stale and was accepted`);
      if (known.trues > 0 && !this.#mayBeForgotten(known))
        blame(world, `${what} is a repeat and was accepted`);
      if (known.trues === 0) known.order = this.#trues;
      if (known.trues === 0) this.#accepted.push(share);
      known.trues += 1;
      this.#trues += 1;
      this.#bestHeight = Math.max(this.#bestHeight, known.height);
      return;
    }
    switch (code) {
      case 21:
        if (!mayBeStale) blame(world, `${what} is good and was called stale`);
        known.wasStale = true;
        return;
      case 22:
        if (known.trues === 0 && !known.isUndelivered)
          blame(world, `${what} is new and was called a duplicate`);
        return;
      case 23:
        if (this.#fits(share, request.told) !== 'yes') return;
        count(world, 'refused by a difficulty told later'); // See README.md, known weaknesses.
        known.wasStale = true;
        if (this.#difficulties.length === share.work.told)
          blame(world, `${what} fits and was called too easy`);
        return;
      case 20:
        if ((world.counts.get('writes failed') ?? 0) === 0)
          blame(world, `${what} was not recorded, and no write failed`);
        known.wasNotRecorded = true;
        return;
      default:
        blame(world, `${what} was answered ${code}`);
    }
  }

  /** By the lowest difficulty told since just before its job, up to the first `told` ones. */
  #fits({ work, difficulty }: Share, told: number, before = 1): 'yes' | 'no' | 'nearly' {
    const from = Math.max(0, work.told - before);
    const since = this.#difficulties.slice(from, Math.max(told, work.told));
    const ratio = difficulty / Math.min(...since);
    if (Math.abs(ratio - 1) < 1e-6) return 'nearly';
    return ratio > 1 ? 'yes' : 'no';
  }

  /** Fingerprints are bounded, and dropped with the first share of the next height; a resumed session has none. */
  #mayBeForgotten(known: Known): boolean {
    const isOld = this.#trues - known.order > REMEMBERED || known.height < this.#bestHeight;
    return isOld || this.#connections > 1;
  }
}

interface Message {
  readonly id: number | null;
  readonly method?: string;
  readonly params?: readonly unknown[];
  readonly result: unknown;
  readonly error: readonly [number, string] | null;
}

function doubleHash(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(createHash('sha256').update(bytes).digest()).digest();
}
