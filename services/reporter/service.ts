/** Wires the books to bus, Redis and HTTP. Acquired top to bottom, released bottom to top. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { blockChanged } from '#libs/contracts/block-changed.ts';
import { sharesApply } from '#libs/contracts/shares-apply.ts';
import { listenUnix } from '#libs/runtime/listen-unix.ts';
import type { Service, ServiceContext } from '#libs/runtime/service.ts';
import { claimSlot, isServing } from '#libs/runtime/slot.ts';
import { settingsOf } from './config.ts';
import { createApplier } from './io/applier.ts';
import { createBooksReader } from './io/books-reader.ts';
import { createHttpApi, type HttpApiOptions } from './io/http-api.ts';
import { watchTips } from './io/tip-watch.ts';
import { createMetrics } from './metrics.ts';

const HTTP_SLOTS = 4;
/** [ms] between tries to serve the public HTTP */
const RETRY_MS = 1_000;

export async function start(context: ServiceContext): Promise<Service> {
  const { config, environment, bus, redis, log, nowMs } = context;
  const settings = settingsOf(config, environment);
  const metrics = createMetrics(context.metrics);
  await using acquired = new AsyncDisposableStack();

  const publish = (change: Parameters<typeof bus.publish<typeof blockChanged>>[2]) =>
    bus.publish(blockChanged, change.chain, change);
  const applier = createApplier({ redis: redis.shares, publish, log, metrics, nowMs });
  acquired.defer(() => applier.idle());
  acquired.use(
    bus.serve(sharesApply, (request, origin) => applier.apply(request, origin.attachments)),
  );

  const chainIds = settings.chains.map(({ id }) => id);
  const tips = acquired.use(watchTips(bus, chainIds));
  const countReads = (count: number) => metrics.redisCommands.inc({ purpose: 'read' }, count);
  const api: HttpApiOptions = {
    poolName: settings.poolName,
    chains: settings.chains,
    books: createBooksReader(redis.shares, countReads),
    tip: (chain) => tips.tip(chain),
    miners: () => minersOf(context),
    isStoreUp: () => redis.shares.status === 'ready',
    onResponse: (status) => metrics.requests.inc({ status: String(status) }),
    onError: (error) => log.error({ err: error }, 'http request failed'),
    nowMs,
  };
  context.setReady(true); // Batches are served; pages need a slot, of which there may be fewer than reporters.
  acquired.use(serveHttpSoon(context, settings.edgeFolder, api));

  const owned = acquired.move(); // Nothing threw: the service now owns everything above.
  return {
    drain: () => applier.idle(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Serves the public API as soon as a slot is free; tries for as long as the process runs. */
function serveHttpSoon(
  context: ServiceContext,
  folder: string,
  options: HttpApiOptions,
): AsyncDisposable {
  const stopping = new AbortController();
  let http: AsyncDisposable | undefined;
  async function tryOn(): Promise<void> {
    while (!stopping.signal.aborted && http === undefined) {
      try {
        http = await serveHttp(context, folder, options);
      } catch (error) {
        context.log.warn({ err: error }, 'no public http here yet');
        await sleep(RETRY_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    }
    if (stopping.signal.aborted) await http?.[Symbol.asyncDispose](); // Stopped while it began.
  }
  tryOn().catch((error: unknown) => context.fatal(error));
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await http?.[Symbol.asyncDispose]();
    },
  };
}

/** Serves the public API on the first free slot socket. @throws {UnavailableError} if all stay taken */
async function serveHttp(
  { registry }: ServiceContext,
  folder: string,
  options: HttpApiOptions,
): Promise<AsyncDisposable> {
  await using acquired = new AsyncDisposableStack();
  const app = await createHttpApi(options);
  acquired.defer(() => app.close());
  await app.ready();
  const path = (slot: number) => join(folder, `http.${slot}.sock`);
  const slot = acquired.use(
    await claimSlot({
      registry,
      folder,
      kind: 'http',
      count: HTTP_SLOTS,
      isServing: (number) => isServing(path(number)),
    }),
  );
  acquired.use(await listenUnix(app.server, path(slot.number)));
  return acquired.move();
}

/** What the stratum-servers say of their sessions. */
function minersOf({ registry }: ServiceContext): { connected: number; isFresh: boolean } {
  const connected = registry.view
    .filter(({ role }) => role === 'stratum-server')
    .reduce((sum, { load }) => sum + (load['sessions'] ?? 0), 0);
  return { connected, isFresh: registry.isViewFresh };
}
