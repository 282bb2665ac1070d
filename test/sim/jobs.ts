/** A chain and its jobmanagers: tips come, each jobmanager makes its own jobs of them and tells every server in its time. */
import type { Bus, BusPeer, Origin } from '#libs/bus/bus.ts';
import { BusError } from '#libs/bus/errors.ts';
import type { InstanceRecord, Role } from '#libs/contracts/instance-record.ts';
import type { Job } from '#libs/contracts/job.ts';
import { type JobAnnounced, jobAnnounced } from '#libs/contracts/job-announced.ts';
import { keys } from '#libs/contracts/keys.ts';
import type { Registry, RegistryChange } from '#libs/registry/registry.ts';
import { makeJob, parentOf } from '#services/stratum-server/core/job.fixture.ts';
import type { Process } from './clock.ts';
import { count, EPOCH_MS, happened, moment, type World } from './world.ts';

export const CHAIN = 'btc';
/** Difficulty 1: no share solves a block. */
const NBITS = 0x1d00ffff;
const KEPT = 16;

export interface Tip {
  readonly parent: string;
  readonly height: number;
  /** [ms] when the first jobmanager told of it */
  toldMs: number;
}

interface Jobmanager {
  readonly process: Process;
  readonly record: InstanceRecord;
  readonly jobs: Job[];
  tip: Tip | undefined;
}

interface Hearer {
  readonly process: Process;
  readonly hear: (message: JobAnnounced, origin: Origin) => void;
  readonly onGap: ((peer: Origin['peer']) => void) | undefined;
  readonly lastMs: Map<Jobmanager, number>;
}

/** The registry as one view for all, told to each process in its time. */
export class Records {
  readonly #world: World;
  readonly #records = new Map<string, InstanceRecord>();
  readonly #watchers = new Set<{
    readonly process: Process;
    readonly tell: (change: RegistryChange) => void;
  }>();

  constructor(world: World) {
    this.#world = world;
  }

  put(record: InstanceRecord): void {
    const event = this.#records.has(record.id) ? 'changed' : 'joined';
    this.#records.set(record.id, record);
    this.#tell({ event, record });
  }

  drop(id: string, bootId: string): void {
    const record = this.#records.get(id);
    if (record === undefined || record.bootId !== bootId) return;
    this.#records.delete(id);
    this.#tell({ event: 'left', record });
  }

  for(process: Process): Registry {
    const view = () => [...this.#records.values()];
    const registry = {
      get view() {
        return view();
      },
      watch: (tell: (change: RegistryChange) => void) => {
        const watcher = { process, tell };
        this.#watchers.add(watcher);
        for (const record of view()) tell({ event: 'joined', record });
        return { [Symbol.dispose]: () => void this.#watchers.delete(watcher) };
      },
    };
    return registry as unknown as Registry; // What is simulated uses no more of it.
  }

  #tell(change: RegistryChange): void {
    for (const { process, tell } of this.#watchers)
      this.#world.clock.post(process, moment(this.#world, 30), () => tell(change));
  }
}

export function recordOf(role: Role, id: string, bootId: string, nowMs: number): InstanceRecord {
  const at = EPOCH_MS + nowMs;
  const endpoint = role === 'stratum-server' ? `link:${bootId}` : '';
  return {
    ...{ role, id, bootId, group: '', version: '1', startedMs: at, readyMs: at, state: 'ready' },
    ...{ zone: '', host: 'h', pid: 1, serverKeyId: 'k', load: {} },
    endpoints: { pub: '', rpc: '', link: endpoint, http: '' },
    caps: role === 'jobmanager' ? { chain: CHAIN } : {},
  };
}

export class Mine {
  readonly #world: World;
  readonly #managers: readonly Jobmanager[];
  readonly #hearers = new Set<Hearer>();
  readonly #all = new Map<string, Job>();
  readonly tips: Tip[] = [];
  #made = 0;
  isCalm = false;

  constructor(world: World, records: Records, managers: number) {
    this.#world = world;
    this.#managers = Array.from({ length: managers }, (_, at) => {
      const id = `jobmanager-${at + 1}`;
      const bootId = `${at + 1}`.padStart(16, 'a');
      const record = recordOf('jobmanager', id, bootId, at - 60_000);
      records.put(record);
      return { process: world.clock.spawn(id), record, jobs: [], tip: undefined };
    });
    this.#findBlock();
    for (const manager of this.#managers) this.#refresh(manager);
  }

  /** The job miners were told of by its id. */
  job(jobId: string): Job | undefined {
    return this.#all.get(jobId);
  }

  /** [ms] when the first word went out that `parent` is no longer the tip; undefined: it still is. */
  overMs(parent: string): number | undefined {
    const at = this.tips.findIndex((tip) => tip.parent === parent);
    return this.tips[at + 1]?.toldMs;
  }

  get tip(): Tip | undefined {
    return this.tips.at(-1);
  }

  /** One of several jobmanagers hangs for a while. */
  hang(): void {
    const { dice, clock } = this.#world;
    const manager = dice.pick(this.#managers);
    if (manager === undefined || this.#managers.some(({ process }) => process.isFrozen)) return;
    if (this.#managers.length < 2) return;
    happened(this.#world, 'jobmanager hangs', manager.process.name);
    manager.process.isFrozen = true;
    clock.post(undefined, dice.between(100, 6_000), () => {
      clock.wake(manager.process);
      this.#world.disturbedMs = clock.nowMs;
    });
  }

  /** What a server has of the bus for jobs. */
  busFor(process: Process): Pick<Bus, 'peers' | 'subscribe' | 'onPeerLost'> {
    const peers = this.#managers.map(({ record }): BusPeer => {
      const { role, id, bootId } = record;
      return { role, id, bootId, isReady: true, pubEndpoint: '', rpcEndpoint: '', serverKeyId: '' };
    });
    return {
      peers,
      subscribe: (topic, _key, hear, onGap) => {
        if (topic.name !== jobAnnounced.name) throw new RangeError('Nobody speaks of that');
        const hearer = { process, hear: hear as Hearer['hear'], onGap, lastMs: new Map() };
        this.#hearers.add(hearer);
        return { [Symbol.dispose]: () => void this.#hearers.delete(hearer) };
      },
      onPeerLost: () => ({ [Symbol.dispose]: () => undefined }),
    };
  }

  /** `job.snapshot` and `job.lookup` of one jobmanager. */
  async ask(id: string, name: string, jobId: string): Promise<unknown> {
    const { clock } = this.#world;
    const caller = clock.current;
    const manager = this.#managers.find(({ record }) => record.id === id);
    if (manager === undefined) throw new BusError('no_responder', name, id);
    await clock.wait(moment(this.#world), caller);
    if (manager.process.isFrozen) {
      await clock.wait(500, caller);
      throw new BusError('timeout', name, id);
    }
    const jobs = [...manager.jobs];
    await clock.wait(moment(this.#world), caller);
    const startedMs = manager.record.readyMs;
    if (name === 'job.snapshot') return { jobs, startedMs, lastTemplateAgeMs: 0, refused: [] };
    return { job: jobs.find((job) => job.jobId === jobId) ?? null, isCurrentHeight: true };
  }

  async fromRedis(key: string): Promise<string | null> {
    await this.#world.clock.wait(moment(this.#world));
    const job = [...this.#all.values()].find(({ jobId }) => keys.job(CHAIN, jobId) === key);
    return job === undefined ? null : JSON.stringify(job);
  }

  #findBlock(): void {
    const { clock, dice } = this.#world;
    if (this.isCalm) return;
    const height = 100 + this.tips.length;
    const tip = { parent: parentOf(height - 1), height, toldMs: Infinity };
    this.tips.push(tip);
    for (const manager of this.#managers) {
      clock.post(manager.process, this.tips.length === 1 ? 0 : dice.between(0, 250), () => {
        if (manager.tip !== undefined && manager.tip.height > height) return;
        manager.tip = tip;
        this.#announce(manager);
      });
    }
    clock.post(undefined, dice.between(800, 6_000), () => this.#findBlock());
  }

  #refresh(manager: Jobmanager): void {
    const { clock, dice } = this.#world;
    clock.post(manager.process, dice.between(700, 2_500), () => {
      this.#announce(manager);
      this.#refresh(manager);
    });
  }

  #announce(manager: Jobmanager): void {
    const { tip } = manager;
    const { clock, dice, faults } = this.#world;
    if (tip === undefined) return;
    tip.toldMs = Math.min(tip.toldMs, clock.nowMs);
    this.#made += 1;
    const curtime = Math.floor((EPOCH_MS + clock.nowMs) / 1_000);
    const { height, parent } = tip;
    const job = makeJob({ id: this.#made, chain: CHAIN, height, parent, nbits: NBITS, curtime });
    this.#all.set(job.jobId, job);
    manager.jobs.push(job);
    if (manager.jobs.length > KEPT) manager.jobs.shift();
    this.#world.trace(`${manager.process.name} job ${job.jobId} at ${height}`);
    const startedMs = manager.record.readyMs;
    const message = { chain: CHAIN, job, cause: 'refresh' as const, startedMs, refused: [] };
    const { role, id, bootId } = manager.record;
    const origin = { peer: { role, id, bootId }, seq: this.#made, attachments: [] };
    for (const hearer of this.#hearers) {
      const isLost = dice.chance(faults.announceLost);
      const atMs = Math.max(
        hearer.lastMs.get(manager) ?? 0,
        clock.nowMs + (isLost ? 250 : moment(this.#world, 60)),
      );
      hearer.lastMs.set(manager, atMs);
      if (isLost) count(this.#world, 'announcements lost');
      clock.post(hearer.process, atMs - clock.nowMs, () =>
        isLost ? hearer.onGap?.(origin.peer) : hearer.hear(message, origin),
      );
    }
  }
}
