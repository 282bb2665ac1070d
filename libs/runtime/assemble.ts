/** Acquires everything a service stands on, in the order in which one needs the other. */
import { hostname } from 'node:os';
import type { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Logger } from 'pino';
import type { Bus, BusPeer } from '#libs/bus/bus.ts';
import { deriveMeshKeys } from '#libs/bus/derive-mesh-keys.ts';
import type { MeshKeys } from '#libs/bus/mesh-keys.ts';
import { createZeromqBus } from '#libs/bus/zeromq-bus.ts';
import { instanceChanged } from '#libs/contracts/instance-changed.ts';
import type { InstanceRecord } from '#libs/contracts/instance-record.ts';
import { createRedisRegistry, type RedisRegistry } from '#libs/registry/redis-registry.ts';
import { nowMs } from './clock.ts';
import { keepConfig } from './config-keeper.ts';
import { type StoredConfig, waitForConfig } from './config-store.ts';
import type { Environment } from './environment.ts';
import { ConfigError } from './errors.ts';
import { startHealthServer } from './health-server.ts';
import type { Readiness } from './readiness.ts';
import { connectAll, waitForRedis } from './redis.ts';
import type { Identity, RedisConnections } from './service.ts';
import { mirrorToStatsd } from './statsd.ts';
import { untilAnswered } from './until-answered.ts';

export interface Parts {
  readonly environment: Environment;
  readonly identity: Identity;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  readonly readiness: Readiness;
  /** Aborts the waits. */
  readonly signal: AbortSignal;
  readonly onSuperseded: () => void;
}

export interface Assembled {
  readonly redis: RedisConnections;
  readonly stored: StoredConfig;
  readonly meshKeys: MeshKeys;
  readonly bus: Bus;
  readonly registry: RedisRegistry;
}

/** [ms] Redis answered once: it may be gone for a moment, not for long */
const JOIN_MAX_MS = 30_000;

/**
 * @param acquired owns what was made, also when this throws half way
 * @throws {ConfigError} for an address or a configuration that cannot be used
 * @throws {UnavailableError} if Redis or the configuration does not come in time
 */
export async function assemble(parts: Parts, acquired: AsyncDisposableStack): Promise<Assembled> {
  const { environment, log, metrics, signal } = parts;
  const { meshSecrets, statsd } = environment;
  if (statsd !== undefined) acquired.use(mirrorToStatsd(metrics, statsd, log));
  const http = await serveHealth(parts, acquired);
  const redis = acquired.use(connectAll(environment, log));
  await waitForRedis(redis.discovery, signal);
  const stored = await waitForConfig(redis.discovery, meshSecrets, signal);
  log.debug({ configVersion: stored.version }, 'configuration read');
  const meshKeys = deriveMeshKeys(meshSecrets);
  const bus = acquired.use(await startBus(parts, meshKeys));
  const record = recordOf(parts.identity, bus, http, meshKeys.own.keyId);
  const registry = acquired.use(await join(parts, redis, record, bus));
  wireBusToRegistry(bus, registry, acquired);
  acquired.use(keepConfig(redis.discovery, registry, stored, log));
  return { redis, stored, meshKeys, bus, registry };
}

/** @returns the URL others reach it by */
async function serveHealth(
  { environment, metrics, readiness }: Parts,
  acquired: AsyncDisposableStack,
): Promise<string> {
  const { bindAddress, advertiseAddress, portRange, httpPort } = environment;
  const health = await startHealthServer({
    bindAddress,
    portRange,
    port: httpPort,
    metrics,
    readiness: () => readiness.current,
  });
  acquired.use(health);
  const host = advertiseAddress.includes(':') ? `[${advertiseAddress}]` : advertiseAddress;
  return `http://${host}:${health.port}`;
}

async function startBus(parts: Parts, meshKeys: MeshKeys): Promise<Bus> {
  const { environment, identity, log, metrics } = parts;
  const { bindAddress, advertiseAddress, portRange } = environment;
  const address = { bindAddress, advertiseAddress, portRange };
  try {
    return await createZeromqBus({ self: identity, ...address, meshKeys, log, metrics, nowMs });
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unknown error';
    throw new ConfigError([`the bus cannot bind (SEAM_BIND, SEAM_PORTS): ${why}`], {
      cause: error,
    });
  }
}

async function join(
  { log, metrics, signal, onSuperseded }: Parts,
  redis: RedisConnections,
  record: InstanceRecord,
  bus: Bus,
): Promise<RedisRegistry> {
  const options = { redis: redis.discovery, record, bus, log, metrics, nowMs, onSuperseded };
  const what = 'Redis does not take our record';
  return await untilAnswered(() => createRedisRegistry(options), {
    what,
    timeoutMs: JOIN_MAX_MS,
    signal,
  });
}

function recordOf(
  { role, id, group, version, bootId, startedMs, zone }: Identity,
  bus: Bus,
  http: string,
  serverKeyId: string,
): InstanceRecord {
  return {
    role,
    id,
    group,
    version,
    bootId,
    startedMs,
    zone,
    serverKeyId,
    readyMs: 0,
    state: 'starting',
    host: hostname(),
    pid: process.pid,
    endpoints: { ...bus.endpoints, link: '', http },
    caps: {},
    load: {},
  };
}

/** The registry tells the bus who there is; the bus tells the registry of changes, and that some may have been missed. */
function wireBusToRegistry(
  bus: Bus,
  registry: RedisRegistry,
  acquired: AsyncDisposableStack,
): void {
  const connect = () => bus.setPeers(registry.view.map(peerOf));
  const lookSoon = () => registry.lookSoon();
  const onChange = registry.applyAnnouncement.bind(registry);
  acquired.use(bus.subscribe(instanceChanged, '', onChange, lookSoon));
  acquired.use(bus.onPeerLost(lookSoon));
  acquired.use(registry.watch(connect));
}

function peerOf(record: InstanceRecord): BusPeer {
  const { role, id, bootId, state, endpoints, serverKeyId } = record;
  return {
    role,
    id,
    bootId,
    isReady: state === 'ready',
    pubEndpoint: endpoints.pub,
    rpcEndpoint: endpoints.rpc,
    serverKeyId,
  };
}
