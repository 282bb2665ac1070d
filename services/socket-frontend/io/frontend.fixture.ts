/** A frontend on real Unix sockets with servers over the memory link, and miners that write bytes to it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry as MetricRegistry } from '@prometheus-io/client';
import { pino } from 'pino';
import type { InstanceRecord } from '#libs/contracts/instance-record.ts';
import type { DownItem, UpItem } from '#libs/link/items.ts';
import type { LinkPeer, LinkServer } from '#libs/link/link-server.ts';
import { createMemoryLink } from '#libs/link/memory-link.ts';
import type { Registry, RegistryChange } from '#libs/registry/registry.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import type { Settings } from '../config.ts';
import { DEFAULT_LIMITS } from '../core/limits.ts';
import { encodeProxyHeader, type HeaderParts } from '../core/proxy-header.fixture.ts';
import { createMetrics } from '../metrics.ts';
import { createFrontend, type Frontend } from './frontend.ts';

/** A server that says each line back, in the same message acknowledges it and appends it to the capsule. */
export interface EchoServer {
  readonly id: string;
  readonly heard: readonly UpItem[];
  /** While false lines wait unanswered. */
  isAnswering: boolean;
  accepts: boolean;
  load: number;
  say(item: DownItem): void;
  /** As `kill -9`. */
  kill(): void;
}

export interface TestMiner {
  readonly socket: Socket;
  readonly received: string;
  readonly isClosed: boolean;
  write(bytes: string | Uint8Array): void;
  [Symbol.dispose](): void;
}

export interface FrontendFixture extends AsyncDisposable {
  readonly frontend: Frontend;
  readonly folder: string;
  readonly metrics: MetricRegistry;
  readonly failures: readonly unknown[];
  startServer(id: string, listeners?: readonly string[]): Promise<EchoServer>;
  pathOf(listener: string): string;
  /** Connects and writes a PROXY header. */
  connect(listener: string, header?: HeaderParts): Promise<TestMiner>;
  /** The value of a metric, summed over its labels. */
  metric(name: string): Promise<number>;
}

/** @param place a slot in a folder shared with other frontends; default: slot 3 of a folder of its own */
export async function startFrontend(
  change: Partial<Settings> = {},
  place?: { readonly folder: string; readonly slot: number },
): Promise<FrontendFixture> {
  const folder = place?.folder ?? (await mkdtemp(join(tmpdir(), 'seam-edge-')));
  const slot = place?.slot ?? 3;
  const link = createMemoryLink();
  const registry = createFakeRegistry();
  const metrics = new MetricRegistry();
  const failures: unknown[] = [];
  const log = pino({ enabled: false });
  const servers = new Map<string, LinkServer>();
  const limits = {
    ...DEFAULT_LIMITS,
    lineBytesMax: 16_384,
    unacknowledgedLinesMax: 64,
    holdMs: 45_000,
    firstLineMs: 30_000,
  };
  const frontend = createFrontend({
    settings: {
      edgeFolder: folder,
      listeners: ['main', 'low'],
      limits,
      connectionsMax: 1_000,
      heldBytesMax: 10_000_000,
      ...change,
    },
    slot,
    idPrefix: 'socket-frontend-1-00000000000000bb',
    registry,
    connect: (server, handlers) =>
      link.createClient({
        identity: { id: 'socket-frontend-1', bootId: '00000000000000bb' },
        server,
        log,
        metrics,
        ...handlers,
      }),
    metrics: createMetrics(metrics),
    log,
    nowMs: () => performance.now(),
    random: Math.random,
    onFirstLink: () => undefined,
    fatal: (error) => failures.push(error),
  });

  async function startServer(
    id: string,
    listeners: readonly string[] = ['main'],
  ): Promise<EchoServer> {
    const heard: UpItem[] = [];
    const peers: LinkPeer[] = [];
    const bootId = `00000000000000${(servers.size + 16).toString(16)}`;
    const echo = { id, heard, isAnswering: true, accepts: true, load: 0, say, kill };
    const server = link.createServer({
      identity: { id, bootId },
      log,
      metrics: new MetricRegistry(),
      onSessionOpened: (peer) => {
        peers.push(peer);
        for (const listener of listeners) peer.send({ kind: 'listen', listener, isUp: true });
      },
      onMessage: (peer, items) => {
        heard.push(...items.map(copyOf));
        if (echo.isAnswering) for (const item of items) answer(peer, item);
      },
      onSessionEnded: () => undefined,
      load: () => ({ load: echo.load, accepts: echo.accepts }),
    });
    servers.set(id, server);
    function say(item: DownItem) {
      for (const peer of peers) peer.send(item);
    }
    function kill() {
      link.kill(server.endpoint);
      registry.tell('left', recordOf(id, bootId, server.endpoint));
    }
    registry.tell('joined', recordOf(id, bootId, server.endpoint));
    return echo;
  }

  return {
    frontend,
    folder,
    metrics,
    failures,
    startServer,
    pathOf: (listener) => join(folder, `${slot}.${listener}.sock`),
    async connect(listener, header = {}) {
      return await connectMiner(
        join(folder, `${slot}.${listener}.sock`),
        encodeProxyHeader(header),
      );
    },
    async metric(name) {
      const { values = [] } = (await metrics.getSingleMetric(name)?.get()) ?? {};
      return values.reduce((sum, { value }) => sum + value, 0);
    },
    async [Symbol.asyncDispose]() {
      await frontend[Symbol.asyncDispose]();
      for (const server of servers.values()) await server[Symbol.asyncDispose]();
      if (place === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Connects to a Unix socket, once it is there, and writes `first`. */
export async function connectMiner(path: string, first: Uint8Array): Promise<TestMiner> {
  const socket = await waitFor(() => tryConnect(path), { what: `a listener at ${path}` });
  let received = '';
  let isClosed = false;
  socket.on('data', (bytes) => {
    received += String(bytes);
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    isClosed = true;
  });
  socket.write(first);
  return {
    socket,
    get received() {
      return received;
    },
    get isClosed() {
      return isClosed;
    },
    write: (bytes) => void socket.write(bytes),
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

async function tryConnect(path: string): Promise<Socket | undefined> {
  return await new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(undefined));
  });
}

function answer(peer: LinkPeer, item: UpItem): void {
  if (item.kind !== 'line') return;
  const ref = { handle: item.handle, opening: item.opening };
  peer.send({
    kind: 'write',
    ...ref,
    bytes: Buffer.concat([item.bytes, Buffer.from('\n')]),
    mark: new Uint8Array(0),
  });
  peer.send({ kind: 'capsule', ...ref, change: 'append', bytes: Buffer.from(`${item.seq},`) });
  peer.send({ kind: 'ack', ...ref, seq: item.seq });
}

function copyOf(item: UpItem): UpItem {
  if (item.kind === 'line') return { ...item, bytes: Buffer.from(item.bytes) };
  return item.kind === 'open' ? { ...item, capsule: Buffer.from(item.capsule) } : item;
}

function createFakeRegistry(): Pick<Registry, 'view' | 'watch'> & {
  tell(event: RegistryChange['event'], record: InstanceRecord): void;
} {
  const listeners = new Set<(change: RegistryChange) => void>();
  const records = new Map<string, InstanceRecord>();
  return {
    get view() {
      return [...records.values()];
    },
    watch(listener) {
      listeners.add(listener);
      for (const record of records.values()) listener({ event: 'joined', record });
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    tell(event, record) {
      if (event === 'left') records.delete(record.id);
      else records.set(record.id, record);
      for (const listener of listeners) listener({ event, record });
    },
  };
}

function recordOf(id: string, bootId: string, link: string): InstanceRecord {
  return {
    role: 'stratum-server',
    id,
    group: 'stratum-server',
    version: '0',
    bootId,
    startedMs: 0,
    readyMs: 0,
    state: 'ready',
    zone: '',
    host: '',
    pid: 0,
    endpoints: { pub: '', rpc: '', link, http: '' },
    serverKeyId: '',
    caps: {},
    load: {},
  };
}
