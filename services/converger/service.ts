/** Wires the pure core to registry, bus, driver and API. Acquired top to bottom, released bottom to top. */
import { join } from 'node:path';
import { groupChanged } from '#libs/contracts/group-changed.ts';
import { inheritedEnvironment } from '#libs/runtime/inherited-environment.ts';
import { listenUnix } from '#libs/runtime/listen-unix.ts';
import type { Service, ServiceContext } from '#libs/runtime/service.ts';
import { claimSlot, isServing } from '#libs/runtime/slot.ts';
import { settingsOf } from './config.ts';
import { groupsOf } from './core/groups.ts';
import { groupOfEvent, type WorldEvent } from './core/observer.ts';
import { createAgenda } from './io/agenda.ts';
import { createApi } from './io/api.ts';
import { createDesiredStore } from './io/desired-store.ts';
import { createProcessDriver } from './io/drivers/process-driver.ts';
import { createInProcessConverger } from './io/in-process-converger.ts';
import { createOwnership } from './io/ownership.ts';
import { createMetrics } from './metrics.ts';

/** [ms] Self-heal: every group is looked at this often, whatever was told. */
const SWEEP_MS = 5_000;
const API_SLOTS = 4;

export async function start(context: ServiceContext): Promise<Service> {
  const { config, registry, bus, redis, environment, identity, log, nowMs } = context;
  const settings = settingsOf(config, environment.convergerPath);
  const metrics = createMetrics(context.metrics);
  const runDir = environment.runDir ?? config.runDir;
  await using acquired = new AsyncDisposableStack();

  const driver = acquired.use(
    createProcessDriver({
      root: join(import.meta.dirname, '..', '..'),
      folder: { records: join(runDir, 'instances'), logs: join(runDir, 'log') },
      version: identity.version,
      environment: { ...inheritedEnvironment(), SEAM_RUN_DIR: runDir },
      log,
      nowMs,
    }),
  );
  const desired = createDesiredStore(redis.discovery, groupsOf(config));
  const converger = createInProcessConverger({
    settings,
    registry,
    desired,
    driver,
    metrics,
    log,
    nowMs,
  });
  const ownership = acquired.use(
    createOwnership({
      registry,
      groups: () => desired.known,
      onOwned: (group) => agenda.tell(group, 'owned'),
      log,
    }),
  );
  const agenda = acquired.use(
    createAgenda({
      converger,
      intervalMs: settings.intervalMs,
      // X19: with Redis away nobody can own, and what is done then is guarded by the collision of names.
      mayAct: (group) => ownership.owns(group) || !registry.isViewFresh,
      log,
      nowMs,
    }),
  );

  function tell(group: string, cause: string, source: 'api' | 'bus' | 'observer' | 'sweep'): void {
    metrics.told.inc({ source });
    agenda.tell(group, cause);
  }
  function observe(event: WorldEvent): void {
    if (!settings.observer) return;
    const told = groupOfEvent(event, desired.known);
    if (told !== undefined) tell(told.group, told.cause, 'observer');
  }

  acquired.use(
    driver.onExit((exit) => {
      log.warn({ instance: exit.name, code: exit.code, ranMs: exit.ranMs }, 'instance ended');
      converger.noteExit(exit);
      observe({ kind: 'process_exited', group: exit.group, name: exit.name, code: exit.code });
    }),
  );
  acquired.use(
    registry.watch(({ event, record }) => {
      const { group, id, state } = record;
      observe({ kind: 'instance_changed', event, group, id, state });
    }),
  );
  acquired.use(
    bus.subscribe(groupChanged, '', ({ group, cause }) => {
      if (cause === 'released') ownership.tryNow(group);
      if (desired.known.has(group)) tell(group, cause, 'bus');
    }),
  );
  const sweep = setInterval(() => {
    metrics.owned.set([...desired.known].filter((group) => ownership.owns(group)).length);
    for (const group of desired.known) tell(group, 'sweep', 'sweep');
  }, SWEEP_MS);
  acquired.defer(() => clearInterval(sweep));

  const api = await createApi({
    servedBy: identity.id,
    registry,
    desired,
    converger,
    history: (group) => agenda.history(group),
    tell: (group, cause) => {
      tell(group, cause, 'api');
      bus.publish(groupChanged, '', { group, cause });
    },
    nowMs,
    config,
    configVersion: context.configVersion,
    state: redis.state,
  });
  acquired.defer(() => api.close());
  const edge = join(runDir, 'edge');
  const path = (slot: number) => join(edge, `api.${slot}.sock`);
  const slot = acquired.use(
    await claimSlot({
      registry,
      folder: edge,
      kind: 'api',
      count: API_SLOTS,
      isServing: (n) => isServing(path(n)),
    }),
  );
  await api.ready();
  acquired.use(await listenUnix(api.server, path(slot.number)));
  context.setReady(true);

  const owned = acquired.move(); // Nothing threw: the service now owns everything above.
  return {
    async [Symbol.asyncDispose]() {
      const groups = [...desired.known].filter((group) => ownership.owns(group));
      await owned.disposeAsync();
      for (const group of groups) bus.publish(groupChanged, '', { group, cause: 'released' });
    },
  };
}
