/** The frontend as a process: real Redis, real link, found by nothing but the Redis URL and the mesh secret. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry as MetricRegistry } from '@prometheus-io/client';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, suite, test } from 'vitest';
import { deriveMeshKeys } from '#libs/bus/derive-mesh-keys.ts';
import { keys } from '#libs/contracts/keys.ts';
import { chainConfig, poolConfig } from '#libs/contracts/pool-config.ts';
import { createLinkServer } from '#libs/link/link-server.ts';
import { RecordStore } from '#libs/registry/record-store.ts';
import { writeConfig } from '#libs/runtime/config-store.ts';
import { startRedis, type TestRedis } from '#test/harness/redis.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { encodeProxyHeader } from './core/proxy-header.fixture.ts';
import { connectMiner } from './io/frontend.fixture.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const SECRET = 'a secret of this test only';
const SERVER = { id: 'stratum-server-1', bootId: '00000000000000aa' };

suite('a socket-frontend process', () => {
  let acquired: AsyncDisposableStack;
  let redis: TestRedis;
  let runDir: string;
  beforeEach(async () => {
    acquired = new AsyncDisposableStack();
    redis = acquired.use(await startRedis());
    runDir = await mkdtemp(join(tmpdir(), 'seam-frontend-'));
    acquired.defer(() => rm(runDir, { recursive: true, force: true }));
    const chain = chainConfig.parse({ chain: 'bitcoin', network: 'regtest' });
    const listener = { name: 'main', port: 3333, chain: 'devchain', mode: 'pool' as const };
    const difficulty = {
      startDifficulty: 1,
      minDifficulty: 1,
      vardiffTargetSec: 10,
      extranonce2Size: 8,
    };
    const config = {
      ...poolConfig.parse({}),
      chains: [{ ...chain, id: 'devchain', isDevchain: true }],
      listeners: [{ ...listener, ...difficulty }],
      runDir,
    };
    await writeConfig(redis.client, config, [SECRET]);
  });
  afterEach(() => acquired.disposeAsync());

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

  async function fieldOf(instance: string, field: string): Promise<unknown> {
    const text = await redis.client.hget(keys.instance('socket-frontend', instance), field);
    return text === null ? undefined : JSON.parse(text);
  }

  /** Says each line back, and stands in the registry as a stratum-server. */
  async function startEcho(): Promise<void> {
    const meshKeys = deriveMeshKeys([SECRET]);
    const server = acquired.use(
      await createLinkServer({
        identity: SERVER,
        bindAddress: '127.0.0.1',
        advertiseAddress: '127.0.0.1',
        portRange: [24_500, 24_999],
        meshKeys,
        log: pino({ enabled: false }),
        metrics: new MetricRegistry(),
        onSessionOpened: (peer) => peer.send({ kind: 'listen', listener: 'main', isUp: true }),
        onMessage: (peer, items) => {
          for (const item of items) {
            if (item.kind !== 'line') continue;
            const { handle, opening, seq, bytes } = item;
            const said = Buffer.concat([bytes, Buffer.from('\n')]);
            peer.send({ kind: 'write', handle, opening, bytes: said, mark: new Uint8Array(0) });
            peer.send({ kind: 'ack', handle, opening, seq });
          }
        },
        onSessionEnded: () => undefined,
        load: () => ({ load: 0, accepts: true }),
      }),
    );
    const record = {
      ...SERVER,
      role: 'stratum-server' as const,
      state: 'ready' as const,
      endpoints: { pub: '', rpc: '', link: server.endpoint, http: '' },
      serverKeyId: meshKeys.own.keyId,
      ...{
        group: '',
        version: '0',
        startedMs: 0,
        readyMs: 1,
        zone: '',
        host: '',
        pid: 0,
        caps: {},
        load: {},
      },
    };
    await new RecordStore(redis.client, 120_000).write(record, true);
  }

  const pathOf = (slot: number, name: string) => join(runDir, 'edge', `${slot}.${name}.sock`);

  test('takes a slot, links, serves; SIGTERM frees the slot and keeps its miners to their end', async () => {
    const first = launch('fe-1');
    await waitFor(async () => (await fieldOf('fe-1', 'caps')) !== undefined, {
      what: 'the first record',
    });
    await waitFor(() => existsSync(join(runDir, 'edge', 'fe.1.sock')));
    expect(await fieldOf('fe-1', 'state')).toBe('starting');
    await startEcho();
    using miner = await connectMiner(pathOf(1, 'main'), encodeProxyHeader({ uniqueId: 'a' }));
    miner.write('hello\n');
    await waitFor(() => miner.received === 'hello\n');
    await waitFor(async () => (await fieldOf('fe-1', 'state')) === 'ready');
    expect(await fieldOf('fe-1', 'caps')).toEqual({ slot: '1' });

    const second = launch('fe-2');
    await waitFor(() => existsSync(pathOf(2, 'main')), { what: 'the second frontend in slot 2' });
    first.kill('SIGTERM');
    await waitFor(
      () => !existsSync(pathOf(1, 'main')) && !existsSync(join(runDir, 'edge', 'fe.1.sock')),
    );
    launch('fe-3');
    await waitFor(() => existsSync(pathOf(1, 'main')), {
      what: 'the third frontend in the free slot',
    });
    miner.write('still here\n');
    await waitFor(() => miner.received === 'hello\nstill here\n');
    miner.socket.end();
    const [code] = first.exitCode === null ? await once(first, 'exit') : [first.exitCode];
    expect(code).toBe(0);
    expect(existsSync(pathOf(1, 'main')), 'the successor’s socket is left alone').toBe(true);
    expect(second.exitCode).toBe(null);
  });
});
