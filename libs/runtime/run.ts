/**
 * Runs one service as a process: environment, logs, Redis, configuration, keys, bus, registry, health; then the service
 * itself; then signals. Exit codes: 0 stopped, 69 something we need is not there, 70 our bug, 78 configuration.
 */
import { hostname } from 'node:os';
import type { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Logger } from 'pino';
import type { Bus, BusPeer } from '#libs/bus/bus.ts';
import { deriveMeshKeys } from '#libs/bus/derive-mesh-keys.ts';
import { createZeromqBus } from '#libs/bus/zeromq-bus.ts';
import { instanceChanged } from '#libs/contracts/instance-changed.ts';
import type { InstanceRecord, Role } from '#libs/contracts/instance-record.ts';
import { createRedisRegistry, type RedisRegistry } from '#libs/registry/redis-registry.ts';
import { nowMs } from './clock.ts';
import { waitForConfig } from './config-store.ts';
import type { Environment } from './environment.ts';
import {
  ConfigError,
  EXIT_BUG,
  EXIT_CONFIG,
  EXIT_STOPPED,
  EXIT_UNAVAILABLE,
  UnavailableError,
} from './errors.ts';
import { type HealthServer, startHealthServer } from './health-server.ts';
import { identify } from './instance-id.ts';
import { createLogger } from './logger.ts';
import { createMetrics, readyGauge } from './metrics.ts';
import { ownerOfPort } from './port-owner.ts';
import { readEnvironment } from './read-environment.ts';
import { connectAll, waitForRedis } from './redis.ts';
import type { Identity, Service, ServiceContext, Start } from './service.ts';
import { mirrorToStatsd } from './statsd.ts';

export interface RunOptions {
  readonly role: Role;
  readonly start: Start;
}

/** [ms] a drain may take before the process stops all the same; below the 60 s that whoever stops us waits */
const DRAIN_MAX_MS = 55_000;
/** [ms] disposing is quick; a process that hangs in it is ended */
const DISPOSE_MAX_MS = 5_000;

/** Resolves never in practice: the process exits. */
export async function run(options: RunOptions): Promise<void> {
  const startedMs = nowMs();
  let log = createLogger('info', { role: options.role }, process.stdout.isTTY);
  try {
    const environment = readEnvironment();
    const identity = identify(options.role, environment, startedMs);
    log = createLogger(
      environment.logLevel,
      { role: identity.role, id: identity.id },
      process.stdout.isTTY,
    );
    await new Process(options, environment, identity, log).run();
  } catch (error) {
    await exitFor(error, log);
  }
}

async function exitFor(error: unknown, log: Logger): Promise<never> {
  const code = exitCodeOf(error);
  if (error instanceof ConfigError)
    log.fatal({ problems: error.problems, cause: error.cause }, 'configuration is wrong');
  else if (isAddressTaken(error))
    log.fatal({ owner: await ownerOfPort(error.port), port: error.port }, 'port is taken');
  else log.fatal({ err: error }, code === EXIT_UNAVAILABLE ? 'cannot start' : 'our bug');
  await flushed(log);
  process.exit(code);
}

function exitCodeOf(error: unknown): number {
  if (error instanceof ConfigError || isAddressTaken(error)) return EXIT_CONFIG;
  return error instanceof UnavailableError ? EXIT_UNAVAILABLE : EXIT_BUG;
}

function isAddressTaken(error: unknown): error is Error & { readonly port: number } {
  return (
    error instanceof Error && 'code' in error && error.code === 'EADDRINUSE' && 'port' in error
  );
}

async function flushed(log: Logger): Promise<void> {
  await new Promise<void>((resolve) => log.flush(() => resolve()));
}

/** One life of a service process. */
class Process {
  readonly #options: RunOptions;
  readonly #environment: Environment;
  readonly #identity: Identity;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  readonly #metrics: MetricRegistry;
  #readiness = { isReady: false, reason: 'starting' };
  #registry: RedisRegistry | undefined;
  #service: Service | undefined;
  #isEnding = false;

  constructor(options: RunOptions, environment: Environment, identity: Identity, log: Logger) {
    this.#options = options;
    this.#environment = environment;
    this.#identity = identity;
    this.#log = log;
    this.#metrics = createMetrics({ role: identity.role, id: identity.id });
  }

  async run(): Promise<void> {
    this.#catchBugs();
    const acquired = new AsyncDisposableStack();
    this.#listenToSignals(acquired);
    const context = await this.#assemble(acquired);
    this.#service = acquired.use(await this.#options.start(context));
    this.#log.info({ bootId: this.#identity.bootId, version: this.#identity.version }, 'started');
  }

  /** Acquires everything a service stands on. */
  async #assemble(acquired: AsyncDisposableStack): Promise<ServiceContext> {
    const environment = this.#environment;
    const identity = this.#identity;
    const log = this.#log;
    const metrics = this.#metrics;
    if (environment.statsd !== undefined)
      acquired.use(mirrorToStatsd(metrics, environment.statsd, log));
    const health = acquired.use(await this.#startHealth());
    const redis = acquired.use(connectAll(environment, log));
    await waitForRedis(redis.discovery, this.#stopping.signal);
    const { config, version } = await waitForConfig(
      redis.discovery,
      environment.meshSecrets,
      this.#stopping.signal,
    );
    log.debug({ configVersion: version }, 'configuration read');
    const meshKeys = deriveMeshKeys(environment.meshSecrets);
    const { bindAddress, advertiseAddress, portRange } = environment;
    const bus = acquired.use(
      await createZeromqBus({
        self: identity,
        bindAddress,
        advertiseAddress,
        portRange,
        meshKeys,
        log,
        metrics,
        nowMs,
      }),
    );
    const record = this.#record(bus, health, meshKeys.own.keyId);
    const registry = acquired.use(
      await createRedisRegistry({ redis: redis.discovery, record, bus, log, metrics, nowMs }),
    );
    this.#registry = registry;
    wireBusToRegistry(bus, registry, acquired);
    return {
      identity,
      environment,
      config,
      configVersion: version,
      bus,
      registry,
      redis,
      meshKeys,
      log,
      metrics,
      signal: this.#stopping.signal,
      nowMs,
      setReady: (isReady, reason) => this.#setReady(isReady, reason),
      fatal: (error) => void this.#die(error),
    };
  }

  async #startHealth(): Promise<HealthServer> {
    const { bindAddress, portRange, httpPort } = this.#environment;
    return await startHealthServer({
      bindAddress,
      portRange,
      port: httpPort,
      metrics: this.#metrics,
      readiness: () => this.#readiness,
    });
  }

  #record(bus: Bus, health: HealthServer, serverKeyId: string): InstanceRecord {
    const { role, id, group, version, bootId, startedMs, zone } = this.#identity;
    const http = `http://${this.#environment.advertiseAddress}:${health.port}`;
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

  #setReady(isReady: boolean, reason = ''): void {
    if (
      this.#isEnding ||
      (this.#readiness.isReady === isReady && this.#readiness.reason === reason)
    )
      return;
    const changed = this.#readiness.isReady !== isReady;
    this.#readiness = { isReady, reason };
    readyGauge(this.#metrics).set(isReady ? 1 : 0);
    if (!changed) return;
    this.#log.info({ isReady, reason }, 'readiness changed');
    const registry = this.#registry;
    if (registry === undefined) return;
    const readyMs = registry.self.readyMs === 0 && isReady ? nowMs() : registry.self.readyMs;
    this.#inBackground(registry.update({ state: isReady ? 'ready' : 'starting', readyMs }));
  }

  /** The registry tells again at its next renewal what it could not tell now. */
  #inBackground(work: Promise<void>): void {
    work.catch((error: unknown) => this.#log.debug({ err: error }, 'registry not written'));
  }

  #listenToSignals(acquired: AsyncDisposableStack): void {
    let count = 0;
    const onSignal = (signal: NodeJS.Signals) => {
      count += 1;
      this.#log.info({ signal, count }, 'asked to stop');
      void this.#end(acquired, count > 1);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  }

  /** First signal: drain, then stop. Second: stop now. */
  async #end(acquired: AsyncDisposableStack, isImpatient: boolean): Promise<void> {
    if (isImpatient) return await this.#stop(acquired);
    this.#isEnding = true;
    this.#readiness = { isReady: false, reason: 'draining' };
    if (this.#registry !== undefined)
      this.#inBackground(this.#registry.update({ state: 'draining' }));
    const deadline = AbortSignal.timeout(DRAIN_MAX_MS);
    try {
      await Promise.race([
        this.#service?.drain?.(deadline),
        new Promise((resolve) => deadline.addEventListener('abort', resolve)),
      ]);
    } catch (error) {
      this.#log.error({ err: error }, 'drain failed');
    }
    await this.#stop(acquired);
  }

  async #stop(acquired: AsyncDisposableStack): Promise<void> {
    this.#stopping.abort();
    const late = setTimeout(() => process.exit(EXIT_BUG), DISPOSE_MAX_MS);
    try {
      await acquired.disposeAsync();
      this.#log.info('stopped');
    } catch (error) {
      this.#log.error({ err: error }, 'stopped untidily');
    }
    clearTimeout(late);
    await flushed(this.#log);
    process.exit(EXIT_STOPPED);
  }

  #catchBugs(): void {
    process.on('uncaughtException', (error) => void this.#die(error));
    process.on('unhandledRejection', (error) => void this.#die(error));
  }

  async #die(error: unknown): Promise<void> {
    await exitFor(error, this.#log);
  }
}

/** The registry tells the bus who there is; the bus tells the registry of changes, and of peers that were lost. */
function wireBusToRegistry(
  bus: Bus,
  registry: RedisRegistry,
  acquired: AsyncDisposableStack,
): void {
  const connect = () => bus.setPeers(registry.view.map(peerOf));
  acquired.use(registry.watch(connect));
  acquired.use(
    bus.subscribe(instanceChanged, '', (change) => {
      registry.applyAnnouncement(change);
    }),
  );
  acquired.use(
    bus.onPeerLost(() => {
      registry.lookSoon();
    }),
  );
  connect();
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
