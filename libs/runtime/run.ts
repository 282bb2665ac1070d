/**
 * Runs one service as a process: environment, logs, everything it stands on, then the service itself, then signals.
 * Exit codes: 0 stopped, 69 something we need is not there, 70 our bug, 78 configuration.
 */
import type { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Logger } from 'pino';
import { counterIn } from '#libs/bus/metric.ts';
import type { Role } from '#libs/contracts/instance-record.ts';
import type { Registry } from '#libs/registry/registry.ts';
import { type Assembled, assemble } from './assemble.ts';
import { nowMs } from './clock.ts';
import type { Environment } from './environment.ts';
import { EXIT_BUG, EXIT_STOPPED } from './errors.ts';
import { exitFor, flushed } from './exit.ts';
import { identify } from './instance-id.ts';
import { LogOutput } from './log-output.ts';
import { createLogger } from './logger.ts';
import { createMetrics, readyGauge } from './metrics.ts';
import { readEnvironment } from './read-environment.ts';
import { Readiness } from './readiness.ts';
import type { Identity, Service, ServiceContext, Start } from './service.ts';

export interface RunOptions {
  readonly role: Role;
  readonly start: Start;
}

const STDOUT = 1;
/** [ms] a drain may take before the process stops all the same */
const DRAIN_MAX_MS = 55_000;
/** [ms] a start that is asked to stop gets to notice */
const START_END_MS = 5_000;
/** [ms] disposing is quick; a process that hangs in it is ended, before whoever asked loses patience at 60 s */
const DISPOSE_MAX_MS = 4_500;

/** Resolves once the service runs; the process ends by a signal, or by what went wrong. */
export async function run(options: RunOptions): Promise<void> {
  const startedMs = nowMs();
  const output = process.stdout.isTTY ? 'terminal' : new LogOutput(STDOUT);
  let log = createLogger('info', { role: options.role }, output);
  try {
    const environment = readEnvironment();
    const identity = identify(options.role, environment, startedMs);
    const { role, id } = identity;
    const metrics = createMetrics({ role, id }, identity.version);
    log = createLogger(environment.logLevel, { role, id }, output);
    if (output !== 'terminal') countDropped(output, metrics);
    await new Process(options.start, environment, identity, log, metrics).run();
  } catch (error) {
    await exitFor(error, log);
  }
}

function countDropped(output: LogOutput, metrics: MetricRegistry): void {
  const help = 'Log lines that could not be written';
  const dropped = counterIn(metrics, 'seam_log_dropped_total', help, []);
  output.onDropped(() => dropped.inc());
}

/** One life of a service process. */
class Process {
  readonly #start: Start;
  readonly #environment: Environment;
  readonly #identity: Identity;
  readonly #log: Logger;
  readonly #metrics: MetricRegistry;
  readonly #readiness: Readiness;
  readonly #acquired = new AsyncDisposableStack();
  readonly #stopping = new AbortController();
  #starting: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;
  #registry: Registry | undefined;
  #service: Service | undefined;
  #isEnding = false;

  constructor(
    start: Start,
    environment: Environment,
    identity: Identity,
    log: Logger,
    metrics: MetricRegistry,
  ) {
    this.#start = start;
    this.#environment = environment;
    this.#identity = identity;
    this.#log = log;
    this.#metrics = metrics;
    this.#readiness = new Readiness(readyGauge(metrics));
  }

  async run(): Promise<void> {
    this.#catchBugs();
    this.#listenToSignals();
    this.#starting = this.#begin();
    await this.#starting;
  }

  async #begin(): Promise<void> {
    try {
      const context = this.#contextOf(await this.#assemble());
      this.#service = this.#acquired.use(await this.#start(context));
      const { bootId, version } = this.#identity;
      this.#log.info({ bootId, version }, 'started');
    } catch (error) {
      if (!this.#isEnding) return await this.#failToStart(error);
      this.#log.info({ err: error }, 'start given up');
    }
  }

  /** Takes our record back, so that nobody waits for us, and ends the process. */
  async #failToStart(error: unknown): Promise<never> {
    this.#isEnding = true;
    try {
      await within(this.#acquired.disposeAsync(), DISPOSE_MAX_MS);
    } catch (untidy) {
      this.#log.error({ err: untidy }, 'stopped untidily');
    }
    return await exitFor(error, this.#log);
  }

  async #assemble(): Promise<Assembled> {
    const parts = {
      environment: this.#environment,
      identity: this.#identity,
      log: this.#log,
      metrics: this.#metrics,
      readiness: this.#readiness,
      signal: this.#stopping.signal,
      onSuperseded: () => void this.#end('superseded'),
    };
    return await assemble(parts, this.#acquired);
  }

  #contextOf({ stored, registry, ...assembled }: Assembled): ServiceContext {
    this.#registry = registry;
    return {
      ...assembled,
      registry,
      identity: this.#identity,
      environment: this.#environment,
      config: stored.config,
      configVersion: stored.version,
      log: this.#log,
      metrics: this.#metrics,
      signal: this.#stopping.signal,
      nowMs,
      setReady: (isReady, reason) => this.#setReady(isReady, reason),
      fatal: (error) => void exitFor(error, this.#log),
    };
  }

  #setReady(isReady: boolean, reason = ''): void {
    if (this.#isEnding || !this.#readiness.set(isReady, reason)) return;
    this.#log.info({ isReady, reason }, 'readiness changed');
    const registry = this.#registry;
    if (registry === undefined) return;
    const readyMs = registry.self.readyMs === 0 && isReady ? nowMs() : registry.self.readyMs;
    void registry.update({ state: isReady ? 'ready' : 'starting', readyMs });
  }

  #catchBugs(): void {
    process.on('uncaughtException', (error) => void exitFor(error, this.#log));
    process.on('unhandledRejection', (error) => void exitFor(error, this.#log));
  }

  #listenToSignals(): void {
    process.on('SIGTERM', (signal) => void this.#end(signal));
    process.on('SIGINT', (signal) => void this.#end(signal));
  }

  /** First call: drain, then stop. Second: stop now. */
  async #end(reason: string): Promise<void> {
    this.#log.info({ reason, again: this.#isEnding }, 'asked to stop');
    if (this.#isEnding) return await this.#stop();
    this.#isEnding = true;
    this.#readiness.set(false, 'draining');
    await this.#giveUpStart();
    void this.#registry?.update({ state: 'draining' });
    await this.#drain();
    await this.#stop();
  }

  async #giveUpStart(): Promise<void> {
    if (this.#service !== undefined) return;
    this.#stopping.abort();
    await within(this.#starting, START_END_MS);
  }

  async #drain(): Promise<void> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), DRAIN_MAX_MS);
    try {
      const late = new Promise((resolve) =>
        deadline.signal.addEventListener('abort', resolve, { once: true }),
      );
      await Promise.race([this.#service?.drain?.(deadline.signal), late]);
    } catch (error) {
      this.#log.error({ err: error }, 'drain failed');
    }
    clearTimeout(timer);
  }

  async #stop(): Promise<void> {
    this.#stopped ??= this.#dispose();
    await this.#stopped;
  }

  async #dispose(): Promise<void> {
    this.#stopping.abort();
    let code = EXIT_STOPPED;
    try {
      const isDone = await within(this.#acquired.disposeAsync(), DISPOSE_MAX_MS);
      if (isDone) this.#log.info('stopped');
      else {
        this.#log.error('disposing hangs');
        code = EXIT_BUG;
      }
    } catch (error) {
      this.#log.error({ err: error }, 'stopped untidily');
    }
    await flushed(this.#log);
    process.exit(code);
  }
}

/** @returns whether `work` was done in time. @throws what it throws */
async function within(work: Promise<unknown>, maxMs: number): Promise<boolean> {
  const late = Symbol('late');
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<typeof late>((resolve) => {
    timer = setTimeout(() => resolve(late), maxMs);
  });
  try {
    return (await Promise.race([work, limit])) !== late;
  } finally {
    clearTimeout(timer);
  }
}
