/** Wires the switchboard to sockets and links. Acquired top to bottom, released bottom to top. */
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createLinkClient } from '#libs/link/link-client.ts';
import { monotonicMs } from '#libs/runtime/clock.ts';
import { isServing, listenUnix } from '#libs/runtime/listen-unix.ts';
import { random } from '#libs/runtime/random.ts';
import type { Service, ServiceContext } from '#libs/runtime/service.ts';
import { claimSlot } from '#libs/runtime/slot.ts';
import { type Settings, settingsOf } from './config.ts';
import { descriptorLimit } from './io/descriptor-limit.ts';
import { createFrontend, type Frontend } from './io/frontend.ts';
import { Giver } from './io/handover-give.ts';
import { handoverFolder, handoverPaths } from './io/handover-paths.ts';
import { Taker } from './io/handover-take.ts';
import { createMetrics } from './metrics.ts';

/** Slots HAProxy knows of. */
const FRONTEND_SLOTS = 8;
/** [ms] between load figures in the registry */
const LOAD_MS = 5_000;

export async function start(context: ServiceContext): Promise<Service> {
  const { registry, environment, identity, meshKeys, log } = context;
  const settings = settingsOf(context.config, environment.runDir, await descriptorLimit());
  await using acquired = new AsyncDisposableStack();
  const metrics = createMetrics(context.metrics);
  const slot = acquired.use(await holdSlot(context, settings));
  const frontend: Frontend = acquired.use(
    createFrontend({
      settings,
      slot: slot.number,
      idPrefix: `${identity.id}-${identity.bootId}`,
      registry,
      connect: (server, handlers) =>
        createLinkClient({
          identity,
          server,
          meshKeys,
          log,
          metrics: context.metrics,
          nowMs: monotonicMs,
          ...handlers,
        }),
      metrics,
      log,
      nowMs: monotonicMs,
      random,
      onFirstLink: () => context.setReady(true),
      fatal: (error) => context.fatal(error),
    }),
  );
  context.setReady(false, 'no stratum-server yet');
  await registry.update({ caps: { slot: String(slot.number) } });
  acquired.use(tellLoad(context, frontend));
  const { bootId } = identity;
  const folder = handoverFolder(settings.edgeFolder);
  const taker = acquired.use(
    new Taker({
      name: identity.id,
      folder,
      paths: handoverPaths(folder, bootId),
      room: () => frontend.room,
      connections: () => frontend.connectionCount,
      adopt: (socket, state) => frontend.travel.adopt(socket, state),
      onAdopted: () => frontend.travel.adopted(),
      log,
    }),
  );
  await taker
    .listen()
    .catch((error: unknown) => log.warn({ err: error }, 'no predecessor can hand over to us'));

  const owned = acquired.move();
  return {
    async drain(signal) {
      const giver = new Giver({ bootId, folder, travel: frontend.travel, metrics, log });
      await Promise.all([
        frontend.drain(signal, async () => await slot[Symbol.asyncDispose]()),
        giver.run(signal),
      ]);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface HeldSlot extends AsyncDisposable {
  readonly number: number;
}

/** Takes a slot. Its own socket is up as long as we live, whether listeners are or not: that is what "taken" means. */
async function holdSlot({ registry }: ServiceContext, { edgeFolder }: Settings): Promise<HeldSlot> {
  const pathOf = (slot: number) => join(edgeFolder, `fe.${slot}.sock`);
  await using acquired = new AsyncDisposableStack();
  const slot = acquired.use(
    await claimSlot({
      registry,
      folder: edgeFolder,
      kind: 'fe',
      count: FRONTEND_SLOTS,
      isServing: (number) => isServing(pathOf(number)),
    }),
  );
  acquired.use(
    await listenUnix(
      createServer((socket) => socket.destroy()),
      pathOf(slot.number),
    ),
  );
  const owned = acquired.move();
  return { number: slot.number, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Load figures for the registry's readers; a hint, so a write that fails is not repeated. */
function tellLoad({ registry, log }: ServiceContext, frontend: Frontend): Disposable {
  const timer = setInterval(() => {
    registry
      .update({ load: { connections: frontend.connectionCount } })
      .catch((error: unknown) => log.debug({ err: error }, 'load not written'));
  }, LOAD_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
