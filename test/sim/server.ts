/** A stratum-server process: its real parts, wired as `services/stratum-server/service.ts` does, on simulated ports. */
import { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Redis } from 'ioredis';
import { chainParams } from '#libs/bitcoin/chains.ts';
import type { Bus } from '#libs/bus/bus.ts';
import type { ResolvedListener } from '#libs/contracts/pool-config.ts';
import type { Journal } from '#libs/journal/journal.ts';
import { quietLog } from '#libs/journal/record.fixture.ts';
import { ExtranonceAllocator } from '#libs/mining/extranonce.ts';
import type { ChainRuntime } from '#services/stratum-server/io/chain-runtime.ts';
import type { ConnectionsIndex } from '#services/stratum-server/io/connections-index.ts';
import { drainSessions } from '#services/stratum-server/io/drain.ts';
import { createJobSource } from '#services/stratum-server/io/job-source.ts';
import { createListeners, type Listeners } from '#services/stratum-server/io/listeners.ts';
import { createPreparedJobs } from '#services/stratum-server/io/prepared-jobs.ts';
import { Rejects } from '#services/stratum-server/io/rejects.ts';
import type { ResumeStore, StoredSession } from '#services/stratum-server/io/resume-store.ts';
import { SessionTable } from '#services/stratum-server/io/session-table.ts';
import { Sessions } from '#services/stratum-server/io/sessions.ts';
import { createTurn } from '#services/stratum-server/io/turn.ts';
import { startUpkeep } from '#services/stratum-server/io/upkeep.ts';
import { createWorkGiver, type WorkGiver } from '#services/stratum-server/io/work-giver.ts';
import { createMetrics } from '#services/stratum-server/metrics.ts';
import type { Books } from './books.ts';
import type { Process } from './clock.ts';
import { CHAIN, type Mine, recordOf, type Records } from './jobs.ts';
import type { Network } from './network.ts';
import { EPOCH_MS, happened, moment, type World } from './world.ts';

/** Every other hash is good enough. */
export const START_DIFFICULTY = 2 ** -31;

export const LISTENER: ResolvedListener = {
  name: 'main',
  port: 3333,
  chain: CHAIN,
  mode: 'pool',
  startDifficulty: START_DIFFICULTY,
  minDifficulty: START_DIFFICULTY / 4,
  vardiffTargetSec: 10,
  extranonce2Size: 8,
};

const ADOPT_MS = 5_000;
const LIMITS = {
  lineBytesMax: 16_384,
  workersPerConnectionMax: 8,
  unsubscribedMs: 60_000,
};

export interface Parts {
  readonly world: World;
  readonly network: Network;
  readonly records: Records;
  readonly mine: Mine;
  readonly books: Books;
  readonly resumable: Map<string, StoredSession>;
}

export interface Server {
  readonly id: string;
  readonly bootId: string;
  readonly process: Process;
  drain(): void;
}

/** @param prefix 3 bytes of extranonce1 that no other life of a server has */
export function startServer(parts: Parts, id: string, prefix: number): Server {
  const { world, network, records, mine, books } = parts;
  const { clock } = world;
  const bootId = prefix.toString(16).padStart(16, '5');
  const process = clock.spawn(`${id}/${prefix}`);
  const nowMs = () => EPOCH_MS + clock.nowMs;
  const log = quietLog;
  let isDraining = false;
  let drain = () => undefined as void;

  clock.post(process, 0, () => {
    const registry = records.for(process);
    const metrics = createMetrics(new MetricRegistry(), [CHAIN]);
    const allocator = new ExtranonceAllocator();
    allocator.confirm(prefix, nowMs());
    const table = new SessionTable(allocator, metrics, nowMs, () => undefined);
    const turn = createTurn({ log, metrics, beforeFinish: () => workGiver.giveFirst() });
    const workGiver: WorkGiver = createWorkGiver({ turn, log, metrics, nowMs });
    const listeners: Listeners = createListeners({
      chains: () => [chain],
      peers: () => table.peers,
      end: (connection, reason) => sessions.end(connection, reason),
      log,
      nowMs,
    });
    const source = createJobSource({
      chain: CHAIN,
      staleWorkMs: 120_000,
      bus: busOf(parts, process),
      registry,
      stateRedis: { get: (key: string) => mine.fromRedis(key) } as unknown as Redis,
      log,
      metrics,
      nowMs,
      onMine: (job, isClean, before) => workGiver.announce(chain, job, isClean, before),
      onWorkChanged: (hasWork) => listeners.changeWork(chain, hasWork),
    });
    const params = chainParams('bitcoin', 'regtest');
    const listing = [LISTENER];
    let own: Journal | undefined;
    const chain: ChainRuntime = {
      id: CHAIN,
      settings: { id: CHAIN, params, staleWorkMs: 120_000, onNoWork: 'hold', listeners: listing },
      source,
      journals: {
        get own() {
          return own;
        },
      } as ChainRuntime['journals'],
      blocks: { offer: () => undefined } as unknown as ChainRuntime['blocks'],
      prepared: createPreparedJobs(params),
      rejects: new Rejects(),
      connections: new Set(),
      group: 1,
    };
    own = books.open(process);
    source.start();
    const index: ConnectionsIndex = {
      touch: () => undefined,
      drop: () => undefined,
      write: async () => undefined,
    };
    const resumeStore = resumeStoreOf(parts);
    const limits = LIMITS as unknown as ConstructorParameters<typeof Sessions>[0]['limits']; // It reads no more.
    const sessions: Sessions = new Sessions({
      table,
      turn,
      workGiver,
      resumeStore,
      onResumed: () => undefined,
      index,
      chainOf: (listener) => (listener === LISTENER.name ? chain : undefined),
      limits,
      takesNew: (one) => listeners.takesNew(one),
      poolVersion: 'Seam/sim',
      log,
      metrics,
      nowMs,
    });
    startUpkeep({ chains: [chain], table, sessions, turn, index, resumeStore, limits, log, nowMs });
    network.bind(
      `link:${bootId}`,
      process,
      { id, bootId },
      {
        onSessionOpened(peer) {
          table.addPeer(peer);
          listeners.tell(peer);
        },
        onMessage: (peer, items) => sessions.take(peer, items),
        onSessionEnded: (peer) => void table.removePeer(peer),
        load: () => ({ load: table.size, accepts: !isDraining }),
      },
    );
    setInterval(() => books.adopt(process), ADOPT_MS);
    records.put(recordOf('stratum-server', id, bootId, clock.nowMs));
    drain = () => {
      isDraining = true;
      records.put({ ...recordOf('stratum-server', id, bootId, clock.nowMs), state: 'draining' });
      void drainSessions(table, turn, new AbortController().signal).then(() => {
        turn.finish();
        happened(world, 'drained', process.name);
        process.isDead = true;
        network.lost(process);
        records.drop(id, bootId);
      });
    };
  });
  return { id, bootId, process, drain: () => void clock.post(process, 0, () => drain()) };
}

function busOf({ mine }: Parts, process: Process): Bus {
  const ofJobs = mine.busFor(process);
  const bus = {
    ...ofJobs,
    call: (
      target: { readonly id: string },
      rpc: { readonly name: string },
      request: { readonly jobId?: string },
    ) => mine.ask(target.id, rpc.name, request.jobId ?? ''),
  };
  return bus as unknown as Bus; // Nothing more of it is used.
}

/** Sessions of lost connections, as Redis keeps them: each is taken out once. */
function resumeStoreOf({ world, resumable }: Parts): ResumeStore {
  return {
    async store(sessions) {
      await world.clock.wait(moment(world));
      for (const session of sessions) {
        const content = { ...session.content, fingerprints: new Uint8Array() };
        resumable.set(content.sessionId, { ...session, content });
      }
    },
    async take(sessionId) {
      await world.clock.wait(moment(world, 20));
      const found = resumable.get(sessionId);
      resumable.delete(sessionId);
      return found;
    },
  };
}
