/** Both implementations of the bus as rigs of the contract suite, and what tests of one of them share. */
import { Registry } from '@prometheus-io/client';
import { type Logger, pino } from 'pino';
import type { BusPeer } from './bus.ts';
import type { BusMember, BusRig } from './bus-contract.ts';
import type { BusSelf } from './bus-core.ts';
import { deriveMeshKeys } from './derive-mesh-keys.ts';
import type { MeshKeys } from './mesh-keys.ts';
import { createMemoryMesh } from './memory-bus.ts';
import { createZeromqBus } from './zeromq-bus.ts';

export const SECRET = 'the mesh secret of the tests';
/** Below the ephemeral ports, and apart from the pool's own range. */
const TEST_PORTS = [24_000, 24_999] as const;

export function countIn(metrics: Registry) {
  return async (name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> => {
    const metric = (await metrics.getMetricsAsJSON()).find((candidate) => candidate.name === name);
    const values = metric?.values ?? [];
    const wanted = Object.entries(labels);
    return values
      .filter((value) => wanted.every(([label, text]) => value.labels[label] === text))
      .reduce((sum, { value }) => sum + value, 0);
  };
}

export interface ZeromqJoin {
  readonly isReady?: boolean;
  readonly meshKeys?: MeshKeys;
  readonly log?: Logger;
  readonly portRange?: readonly [number, number];
  readonly address?: string;
}

/** Starts a bus on loopback. */
export async function joinZeromq(self: BusSelf, options: ZeromqJoin = {}): Promise<BusMember> {
  const {
    isReady = true,
    meshKeys = deriveMeshKeys([SECRET]),
    log = pino({ level: 'silent' }),
  } = options;
  const { portRange = TEST_PORTS, address = '127.0.0.1' } = options;
  const metrics = new Registry();
  const bus = await createZeromqBus({
    self,
    bindAddress: address,
    advertiseAddress: address,
    portRange,
    meshKeys,
    log,
    metrics,
    nowMs: () => performance.now(),
  });
  const asPeer: BusPeer = {
    ...self,
    isReady,
    pubEndpoint: bus.endpoints.pub,
    rpcEndpoint: bus.endpoints.rpc,
    serverKeyId: meshKeys.own.keyId,
  };
  const kill = async () => bus[Symbol.asyncDispose]();
  return { bus, asPeer, kill, count: countIn(metrics) };
}

export async function createZeromqRig(): Promise<BusRig> {
  const owned = new AsyncDisposableStack();
  return {
    async join(self, options) {
      const member = await joinZeromq(self, options);
      owned.use(member.bus);
      return member;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export async function createMemoryRig(): Promise<BusRig> {
  const owned = new AsyncDisposableStack();
  const mesh = createMemoryMesh({ autoConnect: false });
  return {
    async join(self, { isReady = true } = {}) {
      const metrics = new Registry();
      const bus = owned.use(mesh.join({ ...self, isReady, metrics }));
      const kill = async () => mesh.kill(self.bootId);
      return { bus, asPeer: bus.asPeer, kill, count: countIn(metrics) };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
