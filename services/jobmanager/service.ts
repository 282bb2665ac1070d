/** Wires the pure core to nodes, files, Redis and bus. Acquired top to bottom, released bottom to top. */
import { join } from 'node:path';
import { chainParams } from '#libs/bitcoin/chains.ts';
import { createCoinNodes } from '#libs/coin-node/coin-nodes.ts';
import { WrongChainError } from '#libs/coin-node/errors.ts';
import { blockChanged } from '#libs/contracts/block-changed.ts';
import type { Job } from '#libs/contracts/job.ts';
import { jobAnnounced } from '#libs/contracts/job-announced.ts';
import type { ResolvedChain } from '#libs/contracts/pool-config.ts';
import { ConfigError } from '#libs/runtime/errors.ts';
import type { Service, ServiceContext } from '#libs/runtime/service.ts';
import { chainOf, settingsOf } from './config.ts';
import { currentJob } from './core/job-shelf.ts';
import { type AnnounceCause, Announcer } from './io/announcer.ts';
import { BlockPath } from './io/block-path.ts';
import { BlockSubmitter } from './io/block-submitter.ts';
import { BodyFiles } from './io/body-files.ts';
import { BodyStore } from './io/body-store.ts';
import { serveBusApi } from './io/bus-api.ts';
import { Proposals } from './io/proposals.ts';
import { RedisShelf } from './io/redis-shelf.ts';
import { Refusals } from './io/refusals.ts';
import { Relay } from './io/relay.ts';
import { WorkWatch } from './io/work-watch.ts';
import { createJobMetrics } from './metrics.ts';

/** [ms] between two looks for bodies whose time is over */
const SWEEP_MS = 600_000;

export async function start(context: ServiceContext): Promise<Service> {
  const { config, environment, registry } = context;
  const ready = registry.ready('jobmanager').map(({ caps }) => caps['chain'] ?? '');
  const chain = chainOf(config, environment.chain, ready);
  await registry.update({ caps: { chain: chain.id } }).catch((error: unknown) => {
    context.log.debug({ err: error }, 'registry not written: its next renewal tells');
  });
  return await serveChain(context, chain);
}

/** A jobmanager of one chain. @throws {ConfigError} for a payout address or a node of another chain */
async function serveChain(context: ServiceContext, chain: ResolvedChain): Promise<Service> {
  const { bus, redis, log, nowMs, signal, environment, config, identity, registry } = context;
  const settings = settingsOf(chain);
  const metrics = createJobMetrics(context.metrics);
  const common = { chain: chain.id, log, metrics };
  await using acquired = new AsyncDisposableStack();

  const folder = join(environment.runDir ?? config.runDir, 'bodies', chain.id);
  const files = acquired.use(new BodyFiles(folder, nowMs));
  const shelf = acquired.use(new RedisShelf({ ...common, redis: redis.state }));
  const bodies = new BodyStore({ ...common, files, redis: shelf });
  const refusals = new Refusals();

  const nodes = acquired.use(
    createCoinNodes({
      chain,
      params: chainParams(chain.chain, chain.network),
      log,
      metrics: context.metrics,
      nowMs,
      signal,
      onTip: (hash) => relay.onTip(hash),
      onTemplate: (template) => announcer.offer(template),
    }),
  );
  const tipAgeMs = () => nodes.lastTipAgeMs();
  const proposals = acquired.use(new Proposals({ ...common, nodes }));
  const announcer = acquired.use(
    new Announcer({
      settings,
      refreshMs: chain.refreshMs,
      staleWorkMs: chain.staleWorkMs,
      nowMs,
      log,
      metrics,
      freshTemplate: () => nodes.getBlockTemplate(),
      tipAgeMs,
      storeBody: (body, height, parent) => bodies.put(body, height, parent),
      announce: (job, cause) => announce(job, cause),
      onFullJob: (job, body) => proposals.test(job, body),
    }),
  );
  const watch = acquired.use(
    new WorkWatch({
      staleWorkMs: chain.staleWorkMs,
      nowMs,
      setReady: (isReady, reason) => context.setReady(isReady, reason),
      state: () => {
        metrics.tipAgeSeconds.set({ chain: chain.id }, Math.min(tipAgeMs() / 1_000, 1e9));
        return { hasJob: announcer.shelf.length > 0, tipAgeMs: tipAgeMs() };
      },
    }),
  );
  const submitter = new BlockSubmitter({ ...common, nodes });
  const relay = acquired.use(
    new Relay({
      ...common,
      bus,
      nodes,
      nowMs,
      ownBootId: identity.bootId,
      self: () => {
        const job = currentJob(announcer.shelf);
        const startedMs = watch.readySinceMs;
        if (job === undefined || startedMs === undefined) return undefined;
        return { id: identity.id, bootId: identity.bootId, startedMs, parent: job.parent };
      },
    }),
  );
  const blocks = new BlockPath({
    ...common,
    submitter,
    bodies,
    publish: (change) => bus.publish(blockChanged, chain.id, change),
  });
  acquired.use(
    serveBusApi(bus, {
      chain: chain.id,
      shelf: () => announcer.shelf,
      readySinceMs: () => watch.readySinceMs,
      tipAgeMs,
      refused: () => refusals.hashes,
      redis: shelf,
      blocks,
      submitter,
      onRefused: (hash) => {
        refusals.add(hash);
        const job = currentJob(announcer.shelf);
        if (job !== undefined) tell(job, 'refresh'); // Nobody shall mine on that block for longer.
      },
    }),
  );
  acquired.use(
    registry.onNewStoreGeneration(() => {
      shelf.forgetWritten();
      bodies.putAllAgain();
      for (const { job } of announcer.shelf) shelf.putJob(job);
    }),
  );

  function announce(job: Job, cause: AnnounceCause): void {
    watch.look(); // With the first job we are ready.
    tell(job, cause);
    shelf.putJob(job);
  }
  function tell(job: Job, cause: AnnounceCause): void {
    const startedMs = watch.readySinceMs ?? nowMs();
    const ageMs = Math.min(Math.round(tipAgeMs()), Number.MAX_SAFE_INTEGER);
    bus.publish(jobAnnounced, chain.id, {
      chain: chain.id,
      job,
      cause,
      startedMs,
      tipAgeMs: Math.max(0, ageMs),
      refused: [...refusals.hashes],
    });
  }

  await nodes.verifyChain().catch((error: unknown) => {
    if (!(error instanceof WrongChainError)) throw error;
    throw new ConfigError([`chains.${chain.id}.nodes: ${error.message}`], { cause: error });
  });
  watch.look();
  const sweep = () => void bodies.sweep(currentJob(announcer.shelf)?.height ?? 0);
  const sweeping = setInterval(sweep, SWEEP_MS);
  acquired.defer(() => clearInterval(sweeping));
  sweep();

  const owned = acquired.move();
  return {
    drain: () => submitter.idle(), // Blocks on their way are the only work that cannot move.
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
