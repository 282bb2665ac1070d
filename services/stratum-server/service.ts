/** Wires the pure core to link, bus, journal and Redis. Acquired top to bottom, released bottom to top. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { sessionResumed } from '#libs/contracts/session-resumed.ts';
import {
  createLinkServer,
  type LinkServer,
  type LinkServerHandlers,
} from '#libs/link/link-server.ts';
import { ExtranonceAllocator } from '#libs/mining/extranonce.ts';
import type { Service, ServiceContext } from '#libs/runtime/service.ts';
import { type ChainSettings, settingsOf } from './config.ts';
import { createBlockPath } from './io/blocks.ts';
import type { ChainRuntime } from './io/chain-runtime.ts';
import { createConnectionsIndex } from './io/connections-index.ts';
import { drainSessions } from './io/drain.ts';
import { createExtranoncePrefixes } from './io/extranonce-prefixes.ts';
import { createJobSource } from './io/job-source.ts';
import { createJournals } from './io/journals.ts';
import { createListeners, type Listeners } from './io/listeners.ts';
import { createPreparedJobs } from './io/prepared-jobs.ts';
import { Rejects } from './io/rejects.ts';
import { createResumeStore } from './io/resume-store.ts';
import { SessionTable } from './io/session-table.ts';
import { Sessions } from './io/sessions.ts';
import { createTurn } from './io/turn.ts';
import { startUpkeep } from './io/upkeep.ts';
import { pause } from './io/wait.ts';
import { createWorkGiver, type WorkGiver } from './io/work-giver.ts';
import { createMetrics, type Metrics } from './metrics.ts';

/** [ms] between reports of load to the registry */
const LOAD_MS = 5_000;
/** [ms] a start waits for work, journals and extranonces before it takes sessions without */
const READY_MAX_MS = 10_000;
const READY_STEP_MS = 20;
/** [ms] a stop waits for the verdict on blocks */
const SETTLE_MAX_MS = 5_000;
/** [ms] after a new store generation in which nobody takes prefixes: everybody asserts what it has first */
const ASSERT_MS = 15_000;

/** How the link is made: over ZeroMQ, or in memory for tests. */
export type CreateLink = (
  context: ServiceContext,
  handlers: LinkServerHandlers,
) => Promise<LinkServer>;

export async function start(context: ServiceContext): Promise<Service> {
  return startWith(context, createZeromqLink);
}

/** @param createLink called once everything a session needs is there */
export async function startWith(context: ServiceContext, createLink: CreateLink): Promise<Service> {
  const { config, environment, bus, redis, registry, identity, log, nowMs } = context;
  const settings = settingsOf(config, environment.runDir ?? config.runDir);
  const metrics = createMetrics(
    context.metrics,
    settings.chains.map((chain) => chain.id),
  );
  await using acquired = new AsyncDisposableStack();

  const allocator = new ExtranonceAllocator();
  const store = watchStore(context);
  const prefixes = acquired.use(
    createExtranoncePrefixes({
      allocator,
      owner: `${identity.id}.${identity.bootId}`,
      redis: redis.state,
      mayTake: store.mayTake,
      log,
      metrics,
      nowMs,
    }),
  );
  acquired.use(
    registry.onNewStoreGeneration(() => store.onNewGeneration(() => prefixes.reassert())),
  );

  const table = new SessionTable(allocator, metrics, nowMs, (value) => prefixes.noteAdopted(value));
  const turn = createTurn({ log, metrics, beforeFinish: () => workGiver.giveFirst() });
  const workGiver = createWorkGiver({ turn, log, metrics, nowMs });
  const listeners: Listeners = acquired.use(
    createListeners({
      chains: () => chains,
      peers: () => table.peers,
      end: (connection, reason) => sessions.end(connection, reason),
      log,
      nowMs,
    }),
  );
  const chains: ChainRuntime[] = [];
  for (const [index, chain] of settings.chains.entries()) {
    const parts = { context, metrics, journalFolder: settings.journalFolder, workGiver, listeners };
    chains.push(startChain(acquired, chain, index + 1, parts));
  }
  const index = createConnectionsIndex({
    serverId: identity.id,
    redis: redis.state,
    log,
    metrics,
    nowMs,
  });
  const resumeStore = createResumeStore({ redis: redis.state, log, metrics });
  const byListener = new Map(
    chains.flatMap((chain) => chain.settings.listeners.map(({ name }) => [name, chain] as const)),
  );
  const sessions = new Sessions({
    table,
    turn,
    workGiver,
    resumeStore,
    index,
    chainOf: (listener) => byListener.get(listener),
    limits: settings.limits,
    takesNew: (chain) => listeners.takesNew(chain),
    poolVersion: `${config.pool.name}/${identity.version}`,
    onResumed: (message) => bus.publish(sessionResumed, '', message),
    log,
    metrics,
    nowMs,
  });
  acquired.use(bus.subscribe(sessionResumed, '', (message) => sessions.giveUp(message)));
  acquired.use(
    startUpkeep({ ...settings, chains, table, sessions, turn, index, resumeStore, log, nowMs }),
  );

  let isDraining = false;
  const link = acquired.use(
    await createLink(context, {
      onSessionOpened(peer) {
        table.addPeer(peer);
        listeners.tell(peer);
      },
      onMessage: (peer, items) => sessions.take(peer, items),
      onSessionEnded: (peer, reason) => {
        const moved = table.removePeer(peer);
        log.info({ frontend: peer.frontendId, reason, connections: moved.length }, 'frontend gone');
      },
      load: () => ({ load: table.size, accepts: !isDraining }),
    }),
  );
  acquired.use(reportLoad(context, table, metrics));
  await registry.update({ link: link.endpoint });
  const isEquipped = () =>
    prefixes.isSupplied &&
    chains.every((chain) => chain.source.hasWork && chain.journals.own !== undefined);
  acquired.use(readyWhen(context, isEquipped));
  log.info({ link: link.endpoint, chains: chains.map((chain) => chain.id) }, 'serving');

  const owned = acquired.move(); // Nothing threw: the service now owns everything above.
  return {
    async drain(signal) {
      isDraining = true;
      await drainSessions(table, turn, signal);
      await settleBlocks(chains, signal);
    },
    async [Symbol.asyncDispose]() {
      turn.finish();
      await owned.disposeAsync();
    },
  };
}

interface ChainParts {
  readonly context: ServiceContext;
  readonly metrics: Metrics;
  readonly journalFolder: string;
  readonly workGiver: WorkGiver;
  readonly listeners: Listeners;
}

/** Journals, block path and jobs of one chain. @param group its number in casts */
function startChain(
  acquired: AsyncDisposableStack,
  settings: ChainSettings,
  group: number,
  { context, metrics, journalFolder, workGiver, listeners }: ChainParts,
): ChainRuntime {
  const { bus, registry, redis, log, nowMs, config, identity } = context;
  const common = { chain: settings.id, bus, registry, log, nowMs };
  const journals = acquired.use(
    createJournals({
      ...common,
      instance: identity.id,
      folder: journalFolder,
      config: config.journal,
      sharesRedis: redis.shares,
      metrics: context.metrics,
      onAdopted: (journal) => blocks.offerAgain(journal),
    }),
  );
  const blocks = acquired.use(createBlockPath({ ...common, metrics }));
  const source = acquired.use(
    createJobSource({
      ...common,
      metrics,
      staleWorkMs: settings.staleWorkMs,
      stateRedis: redis.state,
      onMine: (job, isClean, before) => workGiver.announce(chain, job, isClean, before),
      onWorkChanged(hasWork) {
        metrics.hasWork.set({ chain: settings.id }, hasWork ? 1 : 0);
        listeners.changeWork(chain, hasWork);
      },
    }),
  );
  const chain: ChainRuntime = {
    id: settings.id,
    settings,
    source,
    journals,
    blocks,
    prepared: createPreparedJobs(settings.params),
    rejects: new Rejects(),
    connections: new Set(),
    group,
  };
  source.start();
  return chain;
}

/** Gives blocks on their way a little time; those still open stay in the journal for whoever adopts it. */
async function settleBlocks(chains: readonly ChainRuntime[], signal: AbortSignal): Promise<void> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(SETTLE_MAX_MS)]);
  while (chains.some((chain) => chain.blocks.unsettled > 0) && !limit.aborted) {
    await pause(READY_STEP_MS, limit);
  }
}

/** See DESIGN.md section 4, store generations. */
function watchStore({ nowMs, log }: ServiceContext) {
  let frozenUntilMs = 0;
  return {
    mayTake: () => nowMs() >= frozenUntilMs,
    async onNewGeneration(reassert: () => Promise<void>): Promise<void> {
      frozenUntilMs = nowMs() + ASSERT_MS;
      log.warn('Redis is a new store: extranonce prefixes are asserted again');
      await reassert();
    },
  };
}

/** Load for the registry and the metric, from the event loop's own delay. */
function reportLoad(
  { registry, log }: ServiceContext,
  table: SessionTable,
  metrics: Metrics,
): Disposable {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const timer = setInterval(() => {
    const lagMs = Math.max(0, delay.percentile(99) / 1e6 - 10);
    delay.reset();
    metrics.eventLoopLag.set(lagMs / 1_000);
    const load = { sessions: table.size, lagMs: Math.round(lagMs) };
    registry.update({ load }).catch((error: unknown) => log.debug({ err: error }, 'load not told'));
  }, LOAD_MS);
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
      delay.disable();
    },
  };
}

/** Ready as soon as a session lacks nothing; and after a while all the same, to say that there is no work. */
function readyWhen(context: ServiceContext, isEquipped: () => boolean): Disposable {
  const { nowMs } = context;
  const endMs = nowMs() + READY_MAX_MS;
  const look = () => {
    if (!isEquipped() && nowMs() < endMs) return;
    clearInterval(timer);
    context.setReady(true);
  };
  const timer = setInterval(look, READY_STEP_MS);
  look();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

function createZeromqLink(
  context: ServiceContext,
  handlers: LinkServerHandlers,
): Promise<LinkServer> {
  const { identity, environment, meshKeys, log, metrics } = context;
  const { bindAddress, advertiseAddress, portRange } = environment;
  return createLinkServer({
    identity,
    bindAddress,
    advertiseAddress,
    portRange,
    meshKeys,
    log,
    metrics,
    ...handlers,
  });
}
