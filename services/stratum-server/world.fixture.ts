/**
 * A stratum-server with everything real but the sockets: memory bus and memory link (the same core and bytes as over
 * ZeroMQ), a real Redis, real journals. Jobmanagers and frontends are played by the test.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry as MetricRegistry } from '@prometheus-io/client';
import { pino } from 'pino';
import { deriveMeshKeys } from '#libs/bus/derive-mesh-keys.ts';
import { createMemoryMesh, type MemoryBus, type MemoryMesh } from '#libs/bus/memory-bus.ts';
import {
  type BlockSubmit,
  type BlockSubmitted,
  blockSubmit,
} from '#libs/contracts/block-submit.ts';
import { chainParams } from '#libs/bitcoin/chains.ts';
import { bytesFromHex } from '#libs/bitcoin/hex.ts';
import type { InstanceRecord, Role } from '#libs/contracts/instance-record.ts';
import type { Job } from '#libs/contracts/job.ts';
import { jobAnnounced } from '#libs/contracts/job-announced.ts';
import { jobLookup } from '#libs/contracts/job-lookup.ts';
import { jobSnapshot } from '#libs/contracts/job-snapshot.ts';
import { poolConfig, type ResolvedConfig, resolvedConfig } from '#libs/contracts/pool-config.ts';
import type { DownItem, UpItem } from '#libs/link/items.ts';
import type { LinkClient } from '#libs/link/link-client.ts';
import { createMemoryLink, type MemoryLink } from '#libs/link/memory-link.ts';
import { hashShare, prepareJob } from '#libs/mining/share-hash.ts';
import { targetFromDifficulty } from '#libs/mining/work.ts';
import type { Registry, RegistryChange } from '#libs/registry/registry.ts';
import type { Environment } from '#libs/runtime/environment.ts';
import type { Service, ServiceContext } from '#libs/runtime/service.ts';
import { startRedis, type TestRedis } from '#test/harness/redis.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { startWith } from './service.ts';

export const ADDRESS = 'bcrt1qqyqszqgpqyqszqgpqyqszqgpqyqszqgpvxat9t';
export const OTHER_ADDRESS = 'bcrt1qqgpqyqszqgpqyqszqgpqyqszqgpqyqszazmwwa';
const CHAIN = chainParams('bitcoin', 'regtest');
/** One hash in four is a share. */
const SHARE_DIFFICULTY = 1e-9;

function testConfig(runDir: string, change: Record<string, unknown> = {}): ResolvedConfig {
  const base = poolConfig.parse({
    chains: [
      { id: 'btc', chain: 'bitcoin', network: 'regtest', payoutAddress: ADDRESS, ...change },
    ],
    listeners: [listener('main', 'pool', 3333), listener('solo', 'solo', 3334)],
  });
  const chains = base.chains.map((chain) => ({ ...chain, id: 'btc', isDevchain: false }));
  const listeners = base.listeners.map((one) => ({ ...one, chain: 'btc' }));
  return resolvedConfig.parse({ ...base, chains, listeners, runDir });
}

function listener(name: string, mode: string, port: number) {
  return { name, port, mode, startDifficulty: SHARE_DIFFICULTY, minDifficulty: 1e-10 };
}

/** The records of a registry, put in by hand. */
class TestRegistry {
  records: InstanceRecord[] = [];
  readonly #watchers = new Set<(change: RegistryChange) => void>();
  readonly #generationListeners = new Set<() => Promise<void> | void>();

  put(record: InstanceRecord): void {
    const event = this.records.some(({ bootId }) => bootId === record.bootId)
      ? 'changed'
      : 'joined';
    this.records = [...this.records.filter(({ bootId }) => bootId !== record.bootId), record];
    for (const watcher of this.#watchers) watcher({ event, record });
  }

  remove(bootId: string): void {
    const record = this.records.find((known) => known.bootId === bootId);
    this.records = this.records.filter((known) => known.bootId !== bootId);
    if (record !== undefined)
      for (const watcher of this.#watchers) watcher({ event: 'left', record });
  }

  async newGeneration(): Promise<void> {
    for (const heard of this.#generationListeners) await heard();
  }

  /** As one process sees it. */
  of(self: InstanceRecord): Registry {
    const records = () => this.records;
    const put = (record: InstanceRecord) => this.put(record);
    return {
      get self() {
        return records().find(({ bootId }) => bootId === self.bootId) ?? self;
      },
      get view() {
        return records();
      },
      isViewFresh: true,
      async update({ state, readyMs, caps, load, link }) {
        const before = records().find(({ bootId }) => bootId === self.bootId) ?? self;
        put({
          ...before,
          state: state ?? before.state,
          readyMs: readyMs ?? before.readyMs,
          caps: { ...before.caps, ...caps },
          load: { ...before.load, ...load },
          endpoints: { ...before.endpoints, link: link ?? before.endpoints.link },
        });
      },
      watch: (watcher) => {
        this.#watchers.add(watcher);
        for (const record of this.records) watcher({ event: 'joined', record });
        return { [Symbol.dispose]: () => void this.#watchers.delete(watcher) };
      },
      ready: (role) =>
        records().filter((record) => record.role === role && record.state === 'ready'),
      acquireLease: async () => undefined,
      onNewStoreGeneration: (heard) => {
        this.#generationListeners.add(heard);
        return { [Symbol.dispose]: () => void this.#generationListeners.delete(heard) };
      },
      async [Symbol.asyncDispose]() {},
    };
  }
}

function recordOf(
  role: Role,
  id: string,
  bootId: string,
  change: Partial<InstanceRecord> = {},
): InstanceRecord {
  return {
    role,
    id,
    group: role,
    version: 'test',
    bootId,
    startedMs: 1,
    readyMs: 1,
    state: 'ready',
    zone: '',
    host: 'test',
    pid: process.pid,
    endpoints: { pub: '', rpc: '', link: '', http: '' },
    serverKeyId: 'memory',
    caps: {},
    load: {},
    ...change,
  };
}

/** A jobmanager that says what the test wants. */
export class TestJobmanager {
  readonly id: string;
  readonly bootId: string;
  readonly startedMs: number;
  readonly bus: MemoryBus;
  readonly submitted: BlockSubmit[] = [];
  lookups = 0;
  /** [ms] since its nodes last confirmed the tip */
  tipAgeMs = 0;
  jobs: Job[] = [];
  /** Jobs known by id only. */
  shelf: Job[] = [];
  answer: (submission: BlockSubmit) => Promise<BlockSubmitted> | BlockSubmitted = () => ({
    outcome: 'accepted',
    reason: '',
  });

  constructor(mesh: MemoryMesh, id: string, startedMs: number) {
    this.id = id;
    this.startedMs = startedMs;
    this.bootId = randomBytes(8).toString('hex');
    this.bus = mesh.join({ role: 'jobmanager', id, bootId: this.bootId });
    this.bus.serve(jobSnapshot, () => ({
      jobs: this.jobs,
      startedMs,
      lastTemplateAgeMs: this.tipAgeMs,
    }));
    this.bus.serve(jobLookup, ({ jobId }) => {
      this.lookups += 1;
      const job = [...this.jobs, ...this.shelf].find((known) => known.jobId === jobId) ?? null;
      return { job, isCurrentHeight: true };
    });
    this.bus.serve(blockSubmit, (submission) => {
      this.submitted.push(submission);
      return this.answer(submission);
    });
  }

  announce(job: Job): void {
    this.jobs.push(job);
    this.bus.publish(jobAnnounced, 'btc', {
      chain: 'btc',
      job,
      tipAgeMs: this.tipAgeMs,
      cause: 'new_block',
      startedMs: this.startedMs,
    });
  }
}

interface Message {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: readonly unknown[];
  readonly result?: unknown;
  readonly error?: readonly unknown[] | null;
}

/** [ms] A busy machine is no dead peer: the link's clock runs slowly here. */
const linkMs = () => performance.now() / 100;

/** A frontend with its connections: keeps capsules, marks and unacknowledged lines as a real one does. */
export class TestFrontend {
  readonly client: LinkClient;
  readonly connections = new Map<number, TestMiner>();
  readonly listening = new Map<string, boolean>();
  accepts = false;
  ended: string | undefined;

  constructor(
    link: MemoryLink,
    server: { id: string; bootId: string; endpoint: string },
    id = 'socket-frontend-1',
  ) {
    this.client = link.createClient({
      identity: { id, bootId: randomBytes(8).toString('hex') },
      server: { ...server, serverKeyId: 'memory' },
      log: pino({ level: 'silent' }),
      metrics: new MetricRegistry(),
      nowMs: linkMs,
      onUp: () => undefined,
      onItems: (items) => {
        for (const item of items) this.#apply(item);
      },
      onHeartbeat: ({ accepts }) => {
        this.accepts = accepts;
      },
      onEnded: (reason) => {
        this.ended = reason;
      },
    });
  }

  connect(listenerName = 'main'): TestMiner {
    const miner = new TestMiner(listenerName);
    miner.openOn(this);
    return miner;
  }

  #apply(item: DownItem): void {
    if (item.kind === 'listen') this.listening.set(item.listener, item.isUp);
    else if (item.kind === 'cast') {
      for (const miner of this.connections.values()) {
        if (miner.groups.has(item.group)) miner.hear(item.bytes, item.mark);
      }
    } else {
      const miner = this.connections.get(item.handle);
      if (miner?.opening === item.opening) miner.apply(item);
    }
  }
}

let handles = 0;

/** A miner with its socket's half of the frontend. */
export class TestMiner {
  readonly handle = (handles += 1);
  readonly conn = `conn-${this.handle}`;
  readonly listener: string;
  readonly messages: Message[] = [];
  readonly groups = new Set<number>();
  opening = 0;
  nextSeq = 1;
  acknowledged = 0;
  capsule = Buffer.alloc(0);
  capsuleSets = 0;
  marks: Buffer[] = [];
  closed: string | undefined;
  released = false;
  idle: string | undefined;
  frontend: TestFrontend | undefined;
  unacknowledged: { seq: number; text: string; sentMs: number }[] = [];

  constructor(listenerName: string) {
    this.listener = listenerName;
  }

  /** Opens (again) on the frontend's server, with all it has, and sends again what is unacknowledged. */
  openOn(frontend: TestFrontend, extraAgeMs = 0): void {
    this.frontend?.connections.delete(this.handle);
    this.frontend = frontend;
    frontend.connections.set(this.handle, this);
    this.opening += 1;
    this.groups.clear();
    this.released = false;
    frontend.client.send({
      kind: 'open',
      handle: this.handle,
      opening: this.opening,
      conn: this.conn,
      peerAddress: '192.0.2.1',
      peerPort: 4711,
      listener: this.listener,
      tls: '',
      ageMs: 0,
      capsule: Buffer.from(this.capsule),
      marks: this.marks.slice(-4),
      nextSeq: this.unacknowledged[0]?.seq ?? this.nextSeq,
    });
    for (const { seq, text, sentMs } of this.unacknowledged) {
      this.#sendLine(seq, text, performance.now() - sentMs + extraAgeMs);
    }
  }

  say(...requests: readonly (Message | string)[]): void {
    for (const request of requests) {
      const text = typeof request === 'string' ? request : JSON.stringify(request);
      const seq = this.nextSeq;
      this.nextSeq += 1;
      this.unacknowledged.push({ seq, text, sentMs: performance.now() });
      this.#sendLine(seq, text, 0);
    }
  }

  #sendLine(seq: number, text: string, ageMs: number): void {
    const item: UpItem = {
      kind: 'line',
      handle: this.handle,
      opening: this.opening,
      seq,
      ageMs: Math.max(0, Math.floor(ageMs)),
      bytes: Buffer.from(text),
    };
    this.frontend?.client.send(item);
  }

  leave(reason = 'client_closed'): void {
    const { handle, opening } = this;
    this.frontend?.client.send({ kind: 'close', handle, opening, reason });
    this.frontend?.connections.delete(handle);
  }

  /** Says several requests and waits for the answers, in their order. */
  async ask(...requests: readonly Message[]): Promise<Message[]> {
    this.say(...requests);
    const answers = () =>
      requests.map(({ id }) => this.messages.find((m) => m.id === id && 'result' in m));
    await waitFor(() => answers().every((answer) => answer !== undefined), {
      what: `answers to ${JSON.stringify(requests.map(({ id }) => id))} in ${JSON.stringify(this.messages)} (closed: ${this.closed})`,
    });
    return answers().filter((answer) => answer !== undefined);
  }

  async login(username = `${ADDRESS}.rig`, userAgent = 'test/1'): Promise<void> {
    await this.ask(
      { id: 'subscribe', method: 'mining.subscribe', params: [userAgent] },
      { id: 'authorize', method: 'mining.authorize', params: [username, 'x'] },
    );
    await waitFor(() => this.notifies.length > 0, { what: 'a first job' });
  }

  get notifies(): readonly (readonly unknown[])[] {
    return this.messages.filter((m) => m.method === 'mining.notify').map((m) => m.params ?? []);
  }

  get difficulties(): readonly unknown[] {
    return this.messages
      .filter((m) => m.method === 'mining.set_difficulty')
      .map((m) => m.params?.[0]);
  }

  get extranonce1(): string {
    const subscribed = this.messages.find(({ id }) => id === 'subscribe')?.result;
    return Array.isArray(subscribed) ? String(subscribed[1]) : '';
  }

  get sessionId(): string {
    const subscribed = this.messages.find(({ id }) => id === 'subscribe')?.result;
    return Array.isArray(subscribed) ? String(subscribed[0][1][1]) : '';
  }

  apply(item: Exclude<DownItem, { kind: 'cast' | 'listen' }>): void {
    switch (item.kind) {
      case 'write':
        return this.hear(item.bytes, item.mark);
      case 'ack':
        this.acknowledged = item.seq;
        this.unacknowledged = this.unacknowledged.filter(({ seq }) => seq > item.seq);
        return;
      case 'capsule':
        this.capsule =
          item.change === 'set'
            ? Buffer.from(item.bytes)
            : Buffer.concat([this.capsule, item.bytes]);
        if (item.change === 'set') this.capsuleSets += 1;
        return;
      case 'join':
        return void this.groups.add(item.group);
      case 'leave':
        return void this.groups.delete(item.group);
      case 'idle':
        this.idle = Buffer.from(item.bytes).toString().trim();
        return;
      case 'close':
        this.closed = item.reason;
        return;
      case 'release':
        this.released = true;
        return;
    }
  }

  hear(bytes: Uint8Array, mark: Uint8Array): void {
    for (const line of Buffer.from(bytes).toString().split('\n').filter(Boolean)) {
      this.messages.push(JSON.parse(line) as Message);
    }
    if (mark.length > 0) this.marks.push(Buffer.from(mark));
  }

  /**
   * A submit for `job` whose hash is between two difficulties.
   *
   * @param skip how many such shares to leave out
   */
  solve(id: unknown, job: Job, { skip = 0, ...wishes }: Wishes & { readonly skip?: number } = {}) {
    const share = this.solveMany(job, skip + 1, wishes).at(-1);
    return { ...share, id };
  }

  /** The first `count` such submits, their ids counted from 0. */
  solveMany(
    job: Job,
    count: number,
    {
      above = SHARE_DIFFICULTY,
      below = Infinity,
      owner = '',
      username = `${ADDRESS}.rig`,
      ntime = job.curtime,
    }: Wishes = {},
  ): Message[] {
    const prepared = prepareJob(
      job,
      CHAIN.algorithm,
      owner === '' ? undefined : bytesFromHex(owner),
    );
    const extranonce1 = bytesFromHex(this.extranonce1);
    const extranonce2 = new Uint8Array(8);
    const easiest = targetFromDifficulty(above, CHAIN.diff1Target);
    const hardest = below === Infinity ? -1n : targetFromDifficulty(below, CHAIN.diff1Target);
    const found: Message[] = [];
    for (let nonce = 0; found.length < count; nonce += 1) {
      const solution = {
        extranonce1,
        extranonce2,
        ntime,
        nonce,
        version: job.version,
      };
      const { powNumber } = hashShare(prepared, solution);
      if (powNumber > easiest || powNumber <= hardest) continue;
      const params = [username, job.jobId, '0000000000000000', hex32(ntime), hex32(nonce)];
      found.push({ id: found.length, method: 'mining.submit', params });
    }
    return found;
  }
}

interface Wishes {
  /** Difficulty the hash has at least. */
  readonly above?: number;
  /** Difficulty the hash does not have. */
  readonly below?: number;
  /** Script of the coinbase's owner, in solo. */
  readonly owner?: string;
  readonly username?: string;
  readonly ntime?: number;
}

function hex32(value: number): string {
  return value.toString(16).padStart(8, '0');
}

export interface ServerInWorld {
  readonly id: string;
  readonly bootId: string;
  readonly endpoint: string;
  readonly service: Service;
  readonly context: ServiceContext;
  readonly bus: MemoryBus;
  readonly isReady: () => boolean;
  stop(): Promise<void>;
  kill(): void;
}

export interface World extends AsyncDisposable {
  readonly redis: TestRedis;
  readonly mesh: MemoryMesh;
  readonly registry: TestRegistry;
  readonly link: MemoryLink;
  readonly runDir: string;
  /** [ms] added to the servers' clock */
  aheadMs: number;
  startServer(id?: string, change?: Record<string, unknown>): Promise<ServerInWorld>;
  startJobmanager(id: string, startedMs: number): TestJobmanager;
  connectFrontend(server: ServerInWorld, id?: string): Promise<TestFrontend>;
  metric(server: ServerInWorld, name: string, labels?: Record<string, string>): Promise<number>;
}

export async function createWorld(): Promise<World> {
  const redis = await startRedis();
  const runDir = await mkdtemp(join(tmpdir(), 'seam-stratum-'));
  const mesh = createMemoryMesh();
  const registry = new TestRegistry();
  const link = createMemoryLink();
  const stops: (() => Promise<void>)[] = [];
  const frontends: TestFrontend[] = [];
  const world: World = {
    redis,
    mesh,
    registry,
    link,
    runDir,
    aheadMs: 0,
    async startServer(id = 'stratum-server-1', change = {}) {
      const bootId = randomBytes(8).toString('hex');
      const bus = mesh.join({ role: 'stratum-server', id, bootId });
      const record = recordOf('stratum-server', id, bootId, { state: 'starting' });
      registry.put(record);
      let isReady = false;
      const context: ServiceContext = {
        identity: {
          role: 'stratum-server',
          id,
          group: '',
          version: 'test',
          bootId,
          zone: '',
          startedMs: 1,
        },
        environment: { runDir } as Environment, // The rest is the real link's.
        config: testConfig(runDir, change),
        configVersion: 1,
        bus,
        registry: registry.of(record),
        redis: { discovery: redis.client, state: redis.client, shares: redis.client },
        meshKeys: deriveMeshKeys(['a secret for tests only']),
        log: pino({ level: process.env['SEAM_LOG'] ?? 'silent' }),
        metrics: new MetricRegistry(),
        signal: new AbortController().signal,
        nowMs: () => Date.now() + world.aheadMs,
        setReady: (ready) => {
          isReady = ready;
        },
        fatal: (error) => {
          throw error;
        },
      };
      let endpoint = '';
      const service = await startWith(context, async (_context, handlers) => {
        const server = link.createServer({
          identity: { id, bootId },
          log: context.log,
          metrics: context.metrics,
          nowMs: linkMs,
          ...handlers,
        });
        endpoint = server.endpoint;
        return server;
      });
      let isStopped = false;
      const stop = async () => {
        if (isStopped) return;
        isStopped = true;
        await service[Symbol.asyncDispose]();
        await bus[Symbol.asyncDispose]();
      };
      stops.push(stop);
      const kill = () => {
        link.kill(endpoint);
        mesh.kill(bootId);
      };
      return { id, bootId, endpoint, service, context, bus, isReady: () => isReady, stop, kill };
    },
    startJobmanager(id, startedMs) {
      const jobmanager = new TestJobmanager(mesh, id, startedMs);
      const { bootId } = jobmanager;
      registry.put(
        recordOf('jobmanager', id, bootId, { readyMs: startedMs, caps: { chain: 'btc' } }),
      );
      stops.push(async () => jobmanager.bus[Symbol.asyncDispose]());
      return jobmanager;
    },
    async connectFrontend(server, id) {
      const frontend = new TestFrontend(link, server, id);
      frontends.push(frontend);
      await waitFor(() => frontend.client.isUp, { what: 'the link' });
      return frontend;
    },
    async metric(server, name, labels = {}) {
      const metric = await server.context.metrics.getSingleMetric(name)?.get();
      const found = metric?.values.filter((value) =>
        Object.entries(labels).every(
          ([key, label]) => (value.labels as Record<string, unknown>)[key] === label,
        ),
      );
      return found?.reduce((sum, { value }) => sum + value, 0) ?? 0;
    },
    async [Symbol.asyncDispose]() {
      for (const frontend of frontends) await frontend.client[Symbol.asyncDispose]();
      for (const stop of stops) await stop();
      await redis[Symbol.asyncDispose]();
      await rm(runDir, { recursive: true, force: true });
    },
  };
  return world;
}
