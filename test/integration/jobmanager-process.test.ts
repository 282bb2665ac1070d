/** jobmanagers as processes: real bus, real Redis, devchain; found by nothing but the Redis URL and the mesh secret. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Registry } from '@prometheus-io/client';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, suite, test } from 'vitest';
import { deriveMeshKeys } from '#libs/bus/derive-mesh-keys.ts';
import type { Bus } from '#libs/bus/bus.ts';
import { createZeromqBus } from '#libs/bus/zeromq-bus.ts';
import { blockSubmit } from '#libs/contracts/block-submit.ts';
import { type JobAnnounced, jobAnnounced } from '#libs/contracts/job-announced.ts';
import { chainConfig, poolConfig } from '#libs/contracts/pool-config.ts';
import { keys } from '#libs/contracts/keys.ts';
import { writeConfig } from '#libs/runtime/config-store.ts';
import { temporaryRunDir } from '#services/jobmanager/context.fixture.ts';
import { solve } from '#services/jobmanager/core/jobs.fixture.ts';
import { startTestDevchain, type TestDevchain } from '#test/harness/devchain.ts';
import { startRedis, type TestRedis } from '#test/harness/redis.ts';
import { waitFor } from '#test/harness/wait-for.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'services', 'jobmanager', 'main.ts');
const SECRET = 'a secret of this test only';
const PAYOUT = 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080';

suite('jobmanager processes', () => {
  let acquired: AsyncDisposableStack;
  let redis: TestRedis;
  let devchain: TestDevchain;
  let runDir: string;
  beforeEach(async () => {
    acquired = new AsyncDisposableStack();
    redis = acquired.use(await startRedis());
    devchain = acquired.use(await startTestDevchain());
    runDir = acquired.use(await temporaryRunDir()).path;
  });
  afterEach(() => acquired.disposeAsync());

  async function configure(payoutAddress: string | undefined): Promise<void> {
    const { url, zmqHashblock } = devchain;
    const chain = chainConfig.parse({
      chain: 'bitcoin',
      network: 'regtest',
      pollMs: 200,
      payoutAddress,
      nodes: [{ url, zmqHashblock }],
    });
    const listener = {
      name: 'main',
      port: 3333,
      chain: 'devchain',
      mode: 'pool' as const,
      startDifficulty: 1,
      minDifficulty: 1,
      vardiffTargetSec: 10,
      extranonce2Size: 8,
    };
    const config = {
      ...poolConfig.parse({}),
      chains: [{ ...chain, id: 'devchain', isDevchain: true }],
      listeners: [listener],
      runDir,
    };
    await writeConfig(redis.client, config, [SECRET]);
  }

  function launch(instance: string): ChildProcess {
    const env = {
      PATH: process.env['PATH'],
      REDIS_URL: redis.url,
      SEAM_MESH_SECRET: SECRET,
      SEAM_INSTANCE: instance,
      SEAM_LOG: 'warn',
    };
    const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'inherit', 'inherit'] });
    acquired.defer(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    });
    return child;
  }

  const recordOf = async (instance: string): Promise<Readonly<Record<string, unknown>>> =>
    Object.fromEntries(
      Object.entries(await redis.client.hgetall(keys.instance('jobmanager', instance))).map(
        ([name, value]) => [name, JSON.parse(value)],
      ),
    );
  const isReady = async (instance: string) => (await recordOf(instance))['state'] === 'ready';

  async function listen(): Promise<{ bus: Bus; heard: (id: string) => JobAnnounced | undefined }> {
    const bus = acquired.use(
      await createZeromqBus({
        self: { role: 'stratum-server', id: 'listener', bootId: 'f'.repeat(16) },
        bindAddress: '127.0.0.1',
        advertiseAddress: '127.0.0.1',
        portRange: [23_000, 23_999],
        meshKeys: deriveMeshKeys([SECRET]),
        log: pino({ level: 'silent' }),
        metrics: new Registry(),
        nowMs: () => Date.now(),
      }),
    );
    const last = new Map<string, JobAnnounced>();
    bus.subscribe(jobAnnounced, 'devchain', (message, { peer }) => last.set(peer.id, message));
    return { bus, heard: (id) => last.get(id) };
  }

  async function meet(bus: Bus, instances: readonly string[]): Promise<void> {
    const records = await Promise.all(instances.map(recordOf));
    bus.setPeers(
      records.map((record) => {
        const { pub, rpc } = record['endpoints'] as { readonly pub: string; readonly rpc: string }; // Written by the runtime.
        return {
          role: 'jobmanager',
          id: String(record['id']),
          bootId: String(record['bootId']),
          isReady: true,
          pubEndpoint: pub,
          rpcEndpoint: rpc,
          serverKeyId: String(record['serverKeyId']),
        };
      }),
    );
  }

  test('two publish, one is killed, the other takes the block; SIGTERM is exit 0', async () => {
    await configure(PAYOUT);
    const [one, two] = [launch('jm-1'), launch('jm-2')];
    await waitFor(async () => (await isReady('jm-1')) && (await isReady('jm-2')), {
      what: 'both to be ready',
    });
    expect((await recordOf('jm-1'))['caps']).toEqual({ chain: 'devchain' });
    const { bus, heard } = await listen();
    await meet(bus, ['jm-1', 'jm-2']);
    await waitFor(() => bus.peers.length === 2);
    await devchain.node.mine(1, new AbortController().signal);
    const { job } = await waitFor(() => heard('jm-2') && heard('jm-1'), {
      what: 'the jobs of both',
    });
    one.kill('SIGKILL');
    await once(one, 'exit');
    const target = { kind: 'instance', role: 'jobmanager', id: 'jm-2' } as const;
    const solution = solve(job, 7, 'sha256d');
    expect((await bus.call(target, blockSubmit, solution)).outcome).toBe('accepted');
    expect(devchain.node.chain.tip.hash).toBe(solution.hash);
    const exited = once(two, 'exit');
    two.kill('SIGTERM');
    expect((await exited)[0]).toBe(0);
  });

  test.each([
    ['without an address', undefined],
    ['with an address of another network', 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4'],
  ])('does not start %s: exit 78', async (_, address) => {
    await configure(address);
    const [code] = await once(launch('jm-1'), 'exit');
    expect(code).toBe(78);
  });
});
