/** One iteration of a group: gather, plan, limit, perform. No loop: its events bring the next. */
import type { Logger } from 'pino';
import type { Registry } from '#libs/registry/registry.ts';
import type { ConvergerSettings } from '../config.ts';
import type { Converger, Iteration } from '../core/converger.ts';
import { afterExit, type Exits } from '../core/hold-back.ts';
import { limit } from '../core/limit.ts';
import type { Desired, GroupName, Observed } from '../core/model.ts';
import { observeGroup } from '../core/observe.ts';
import { plan } from '../core/plan.ts';
import type { Step, StepResult } from '../core/step.ts';
import type { ConvergerMetrics } from '../metrics.ts';
import type { DesiredStore } from './desired-store.ts';
import type { Driver, DriverExit } from './drivers/driver.ts';
import { driverHandlers, perform, type StepHandlers } from './perform.ts';

export interface InProcessConvergerOptions {
  readonly settings: ConvergerSettings;
  readonly registry: Registry;
  readonly desired: DesiredStore;
  readonly driver: Driver;
  readonly metrics: ConvergerMetrics;
  readonly log: Logger;
  readonly nowMs: () => number;
}

export interface InProcessConverger extends Converger {
  /** What would be done now; performs nothing. */
  preview(group: GroupName): Promise<Omit<Iteration, 'performed' | 'causes'>>;
  /** Counts an end, so that a name that keeps ending is held back. */
  noteExit(exit: DriverExit): void;
}

export function createInProcessConverger(options: InProcessConvergerOptions): InProcessConverger {
  return new LocalConverger(options);
}

class LocalConverger implements InProcessConverger {
  readonly #options: InProcessConvergerOptions;
  readonly #handlers: StepHandlers;
  /** [ms] by name. Local state is allowed in mode `partition`: what is lost with us is asked for again. */
  readonly #drainingSinceMs = new Map<string, number>();
  readonly #exits = new Map<string, Exits>();

  constructor(options: InProcessConvergerOptions) {
    this.#options = options;
    const { driver, nowMs } = options;
    this.#handlers = driverHandlers(driver, (name) => {
      if (!this.#drainingSinceMs.has(name)) this.#drainingSinceMs.set(name, nowMs());
    });
  }

  noteExit({ name, ranMs, code }: DriverExit): void {
    this.#exits.set(name, afterExit(this.#exits.get(name), ranMs, code, this.#options.nowMs()));
    this.#drainingSinceMs.delete(name);
  }

  async preview(group: GroupName) {
    const { settings, nowMs } = this.#options;
    const atMs = nowMs();
    const { desired, observed } = await this.#gather(group, atMs);
    const planned = limit(plan(desired, observed, atMs), desired.count, settings.bounds);
    return { group, atMs, desired, observed, planned };
  }

  async converge(group: GroupName, causes: readonly string[]): Promise<Iteration> {
    const { settings, metrics, log } = this.#options;
    const stop = metrics.iterationSeconds.startTimer();
    const preview = await this.preview(group);
    const performed = settings.path === 'act' ? await this.#performAll(preview.planned) : [];
    stop();
    metrics.iterations.inc({ group });
    metrics.desired.set({ group }, preview.desired.count);
    metrics.serving.set(
      { group },
      preview.observed.instances.filter((i) => i.condition === 'serving').length,
    );
    if (preview.planned.length > 0)
      log.info({ group, causes, desired: preview.desired.count, steps: performed }, 'iteration');
    return { ...preview, causes, performed };
  }

  async #gather(group: GroupName, atMs: number): Promise<{ desired: Desired; observed: Observed }> {
    const { registry, desired: store, driver } = this.#options;
    const [processes, { groups, isFresh }] = await Promise.all([driver.list(), store.read()]);
    const sighting = {
      processes,
      heartbeats: registry.view,
      isViewFresh: registry.isViewFresh && isFresh,
      drainingSinceMs: this.#drainingSinceMs,
      heldBackUntilMs: new Map(
        [...this.#exits].map(([name, exits]) => [name, exits.heldBackUntilMs]),
      ),
    };
    const desired = groups.find((known) => known.group === group) ?? {
      group,
      count: 0,
      source: 'config' as const,
    };
    return { desired, observed: observeGroup(group, sighting, atMs) };
  }

  /** In order, one after another: a name is forgotten before it is started again. */
  async #performAll(
    steps: readonly Step[],
  ): Promise<readonly { step: Step; result: StepResult }[]> {
    const performed: { step: Step; result: StepResult }[] = [];
    for (const step of steps) {
      const result = await perform(step, this.#handlers, this.#options.log);
      this.#options.metrics.steps.inc({ kind: step.kind, result });
      performed.push({ step, result });
    }
    return performed;
  }
}
