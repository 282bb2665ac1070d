import { existsSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Registry as MetricRegistry } from '@prometheus-io/client';
import { assert, test } from 'vitest';
import { createMemoryMesh } from '#libs/bus/memory-bus.ts';
import { sharesApply } from '#libs/contracts/shares-apply.ts';
import { poolView } from '#libs/contracts/public-api.ts';
import { resolvedConfig } from '#libs/contracts/pool-config.ts';
import { tempFolder } from '#libs/journal/journal.fixture.ts';
import { encodeRecord } from '#libs/journal/record-codec.ts';
import { quietLog, share } from '#libs/journal/record.fixture.ts';
import type { Lease } from '#libs/registry/lease.ts';
import { connectRedis } from '#libs/runtime/redis.ts';
import type { ServiceContext } from '#libs/runtime/service.ts';
import { startRedis } from '#test/harness/redis.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { start } from './service.ts';

/** A GET over a Unix socket. */
async function getOver(socketPath: string, path: string): Promise<unknown> {
  const sent = httpRequest({ socketPath, path, agent: false }).end();
  const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve).once('error', reject);
  });
  return JSON.parse(await text(response));
}

function lease(resource: string): Lease {
  const release = async () => undefined;
  return {
    ...{ resource, token: 1, renew: async () => true, putGuarded: async () => undefined, release },
    [Symbol.asyncDispose]: release,
  };
}

test('a reporter applies batches and serves the pool on a slot socket until it is disposed', async () => {
  await using acquired = new AsyncDisposableStack();
  const redis = acquired.use(await startRedis());
  const folder = acquired.use(await tempFolder());
  const shares = connectRedis(redis.url, quietLog);
  acquired.defer(() => shares.disconnect());
  await waitFor(() => shares.ping());
  const memory = createMemoryMesh();
  const bus = acquired.use(
    memory.join({ role: 'reporter', id: 'reporter-1', bootId: '1'.repeat(16) }),
  );
  const caller = acquired.use(
    memory.join({ role: 'stratum-server', id: 's', bootId: '2'.repeat(16) }),
  );
  const stopping = new AbortController();
  let readiness = false;
  const context = {
    bus,
    config: resolvedConfig.parse({
      chains: [{ id: 'devchain', chain: 'bitcoin', network: 'regtest', isDevchain: true }],
      listeners: [
        { name: 'main', port: 3333, chain: 'devchain', startDifficulty: 1, minDifficulty: 1 },
      ],
      runDir: folder.path,
    }),
    environment: { runDir: undefined },
    redis: { discovery: shares, state: shares, shares },
    registry: {
      view: [
        { role: 'stratum-server', load: { sessions: 3 } },
        { role: 'stratum-server', load: { sessions: 4 } },
        { role: 'socket-frontend', load: { sessions: 9 } },
      ],
      isViewFresh: true,
      acquireLease: async (resource: string) => lease(resource),
    },
    log: quietLog,
    metrics: new MetricRegistry(),
    signal: stopping.signal,
    nowMs: () => Date.now(),
    setReady: (isReady: boolean) => void (readiness = isReady),
    fatal: (error: unknown) => assert.fail(String(error)),
  } as unknown as ServiceContext; // What a reporter uses of it.

  const service = await start(context);
  assert.isTrue(readiness);
  const socket = join(folder.path, 'edge', 'http.1.sock');
  await waitFor(() => existsSync(socket));
  const applied = await caller.call(
    { kind: 'any', role: 'reporter' },
    sharesApply,
    { journal: 'ab'.repeat(16), chain: 'devchain', from: 0, to: 1, lost: false },
    { attachments: [encodeRecord(share())] },
  );
  assert.deepEqual(applied, { applied: true, watermark: 1 });
  const view = poolView.parse(await getOver(socket, '/api/v1/pool'));
  assert.deepEqual(view.miners, { connected: 7, isFresh: true });
  assert.equal(view.chains[0]?.totals.shares, 1);
  assert.isFalse(view.isReal);

  await service.drain?.(stopping.signal);
  await service[Symbol.asyncDispose]();
  assert.isFalse(existsSync(socket));
});
