/** One seed: a pool, its miners, a time of trouble, a calm, and the reckoning. See README.md. */
import type { StoredSession } from '#services/stratum-server/io/resume-store.ts';
import { Books, shortOf } from './books.ts';
import { Clock } from './clock.ts';
import { createDice, type Dice } from './dice.ts';
import { Frontend } from './frontend.ts';
import { Mine, Records } from './jobs.ts';
import { type Known, Miner } from './miner.ts';
import { Network } from './network.ts';
import { type Parts, type Server, startServer } from './server.ts';
import { blame, die, type Faults, happened, type World } from './world.ts';

/** [ms] */
const TROUBLE_MS = 14_000;
const CALM_MS = 9_000;
const SHIPPED_MAX_MS = 60_000;

export interface Report {
  readonly seed: number;
  readonly problems: readonly string[];
  /** What happened, and how often. */
  readonly counts: ReadonlyMap<string, number>;
}

const NO_FAULTS: Faults = {
  lose: 0,
  repeat: 0,
  swap: 0,
  callLost: 0,
  callTwice: 0,
  writeFails: 0,
  slowSocket: 0,
  announceLost: 0,
};

/** Each kind of fault is absent from half of the seeds, so that the others are seen alone. */
function drawFaults(dice: Dice): Faults {
  const rate = (max: number) => (dice.chance(0.5) ? 0 : dice.next() * max);
  return {
    lose: rate(0.01),
    repeat: rate(0.01),
    swap: rate(0.01),
    callLost: rate(0.3),
    callTwice: rate(0.3),
    writeFails: rate(0.05),
    slowSocket: rate(0.04),
    announceLost: rate(0.2),
  };
}

export async function runSeed(
  seed: number,
  trace: (text: string) => void = () => undefined,
): Promise<Report> {
  const dice = createDice(seed);
  const clock = new Clock(dice);
  const world: World = {
    clock,
    dice,
    faults: drawFaults(dice),
    problems: [],
    counts: new Map(),
    trace: (text) => trace(`${String(clock.nowMs).padStart(6)} ${text}`),
    disturbedMs: 0,
  };
  using _timers = clock.install();
  const simulation = new Simulation(world);
  await simulation.play();
  return { seed, problems: world.problems, counts: world.counts };
}

class Simulation {
  readonly #world: World;
  readonly #parts: Parts;
  readonly #known = new Map<string, Known>();
  readonly #miners: Miner[] = [];
  readonly #trouble: readonly (readonly [weight: number, make: () => void])[];
  #servers: Server[] = [];
  #frontends: Frontend[] = [];
  #made = 0;

  constructor(world: World) {
    this.#world = world;
    const { dice } = world;
    const records = new Records(world);
    const [network, mine] = [new Network(world), new Mine(world, records, dice.between(1, 2))];
    const books = new Books(world, dice.between(1, 2));
    const resumable = new Map<string, StoredSession>();
    this.#parts = { world, network, records, mine, books, resumable };
    for (let at = dice.between(2, 3); at > 0; at -= 1) this.#startServer(`server-${at}`);
    for (let at = dice.between(1, 2); at > 0; at -= 1) this.#startFrontend(`frontend-${at}`);
    this.#trouble = [
      [6, () => this.#killServer()],
      [4, () => this.#freezeServer()],
      [3, () => this.#drainServer()],
      [2, () => this.#addServer()],
      [5, () => network.blip()],
      [8, () => dice.pick(this.#frontends)?.move()],
      [1, () => this.#killFrontend()],
      [1, () => this.#freezeFrontend()],
      [2, () => books.redisAway()],
      [1, () => books.killReporter()],
      [2, () => mine.hang()],
    ];
  }

  async play(): Promise<void> {
    const { dice, clock, faults } = this.#world;
    for (let at = dice.between(2, 5); at > 0; at -= 1) {
      const frontends = () => this.#frontends;
      const miner = new Miner(this.#world, `m${at}`, this.#parts.mine, frontends, this.#known);
      this.#miners.push(miner);
      clock.post(undefined, dice.between(100, 2_000), () => miner.start());
    }
    this.#troubleFrom(2_500);
    await clock.run(TROUBLE_MS);
    this.#world.trace('** calm');
    Object.assign(faults, NO_FAULTS);
    this.#parts.mine.isCalm = true;
    await clock.run(TROUBLE_MS + CALM_MS - 3_000);
    for (const miner of this.#miners) miner.isIdle = true;
    await clock.run(TROUBLE_MS + CALM_MS);
    this.#checkMiners();
    for (let at = 0; at < SHIPPED_MAX_MS && !this.#parts.books.isShipped; at += 2_000)
      await clock.run(clock.nowMs + 2_000);
    this.#checkBooks();
    if (clock.failure !== undefined) blame(this.#world, `threw: ${textOf(clock.failure)}`);
  }

  #troubleFrom(delayMs: number): void {
    const { dice, clock } = this.#world;
    clock.post(undefined, delayMs, () => {
      if (clock.nowMs >= TROUBLE_MS - 1_000) return;
      let left = dice.next() * this.#trouble.reduce((sum, [weight]) => sum + weight, 0);
      for (const [weight, make] of this.#trouble) {
        left -= weight;
        if (left >= 0) continue;
        make();
        break;
      }
      this.#troubleFrom(dice.chance(0.3) ? dice.between(0, 60) : dice.between(100, 2_500));
    });
  }

  #startServer(id: string): void {
    this.#made += 1;
    this.#world.disturbedMs = this.#world.clock.nowMs;
    this.#servers.push(startServer(this.#parts, id, this.#made));
  }

  #startFrontend(id: string): void {
    this.#made += 1;
    this.#frontends.push(new Frontend(this.#parts, id, this.#made));
  }

  #living(): Server | undefined {
    this.#servers = this.#servers.filter(({ process }) => !process.isDead);
    return this.#world.dice.pick(this.#servers.filter(({ process }) => !process.isFrozen));
  }

  #addServer(): void {
    if (this.#servers.length >= 4) return;
    happened(this.#world, 'server added');
    this.#startServer(`server-new-${this.#made}`);
  }

  /** At once, around its next write, or in the middle of its next answers; it or another comes back. */
  #killServer(): void {
    const { dice, clock } = this.#world;
    const { books, network, records } = this.#parts;
    const server = this.#living();
    if (server === undefined) return;
    const { process } = server;
    const way = dice.pick(['now', 'before', 'after', 'answering'] as const);
    if (way === 'before' || way === 'after') books.deaths.set(process, way);
    if (way === 'answering') network.dieAfter(process, dice.between(0, 6));
    const finish = () => {
      if (!process.isDead) happened(this.#world, 'server killed', process.name);
      die(this.#world, process);
      network.lost(process);
      clock.post(undefined, dice.between(10, 3_000), () => records.drop(server.id, server.bootId));
      clock.post(undefined, dice.between(50, 3_000), () => this.#startServer(server.id));
    };
    if (way === 'now') return finish();
    const look = (left: number) => {
      if (process.isDead || left === 0) finish();
      else clock.post(undefined, 1, () => look(left - 1));
    };
    look(1_000);
  }

  #freezeServer(): void {
    const server = this.#living();
    if (server === undefined) return;
    this.#freeze(server.process, this.#world.dice.between(100, 5_000));
  }

  #freezeFrontend(): void {
    const { dice } = this.#world;
    const frontend = dice.pick(this.#frontends.filter(({ process }) => !process.isFrozen));
    if (frontend !== undefined) this.#freeze(frontend.process, dice.between(100, 3_000));
  }

  #freeze(process: Server['process'], forMs: number): void {
    const { clock } = this.#world;
    happened(this.#world, 'frozen', `${process.name} for ${forMs} ms`);
    process.isFrozen = true;
    clock.post(undefined, forMs, () => {
      if (process.isDead) return;
      this.#world.disturbedMs = clock.nowMs;
      happened(this.#world, 'woken', process.name);
      clock.wake(process);
    });
  }

  #drainServer(): void {
    const { dice, clock } = this.#world;
    const server = this.#living();
    if (server === undefined || this.#servers.length < 2) return;
    happened(this.#world, 'drain begun', server.process.name);
    server.drain();
    clock.post(undefined, dice.between(100, 3_000), () => this.#startServer(server.id));
  }

  #killFrontend(): void {
    const { dice, clock } = this.#world;
    const frontend = dice.pick(this.#frontends);
    if (frontend === undefined) return;
    const { process } = frontend;
    happened(this.#world, 'frontend killed', process.name);
    die(this.#world, process);
    this.#frontends = this.#frontends.filter((other) => other !== frontend);
    this.#parts.network.lost(process);
    frontend.lost();
    clock.post(undefined, dice.between(50, 1_000), () => this.#startFrontend(process.name));
  }

  #checkMiners(): void {
    const parent = this.#parts.mine.tip?.parent;
    for (const miner of this.#miners) {
      if (miner.pendingCount > 0)
        blame(this.#world, `${miner.name} has ${miner.pendingCount} requests without an answer`);
      if (miner.parent !== parent) blame(this.#world, `${miner.name} is left on a dead block`);
    }
  }

  /** answered true ⊆ counted ⊆ valid submissions, nothing twice; the difference is what could not be delivered. */
  #checkBooks(): void {
    const { books } = this.#parts;
    const { counts } = this.#world;
    if (!books.isShipped) return blame(this.#world, 'journals are not shipped after a minute');
    const counted = books.counted();
    const byShort = new Map([...this.#known].map(([id, known]) => [shortOf(id), known]));
    let [answered, undelivered, judgedAgain] = [0, 0, 0];
    for (const [id, known] of byShort) {
      if (known.trues === 0) continue;
      answered += 1;
      if (!counted.has(id)) blame(this.#world, `share ${id} heard true and is not in the books`);
    }
    for (const [id, times] of counted) {
      const known = byShort.get(id);
      if (known === undefined) blame(this.#world, `share ${id} is in the books, nobody sent it`);
      else if (times > 1) blame(this.#world, `share ${id} counts ${times} times`);
      else if (known.trues > 0) continue;
      else if (known.isUndelivered) undelivered += 1;
      else if (known.wasStale || known.wasNotRecorded) judgedAgain += 1;
      else blame(this.#world, `share ${id} counts, and its miner heard something else`);
    }
    counts.set('books: answered true', answered);
    counts.set('books: counted', counted.size);
    counts.set('books: answer could not be delivered', undelivered);
    counts.set('books: written, then answered otherwise elsewhere', judgedAgain);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
