import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type InstanceRecord, instanceRecord } from '#libs/contracts/instance-record.ts';
import { keys } from '#libs/contracts/keys.ts';
import { startRedis, type TestRedis } from '#test/harness/redis.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { devchainConfig } from './config.fixture.ts';
import { readConfig, writeConfig } from './config-store.ts';

const SECRET = 'a secret of more than sixteen characters';
const FIXTURE = join(import.meta.dirname, 'run-process.fixture.ts');
/** The slow way to see that somebody is gone: its TTL, and a complete read. */
const TTL_WAIT_MS = 40_000;

let stack: AsyncDisposableStack;
let redis: TestRedis;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  redis = stack.use(await startRedis());
  await writeConfig(redis.client, devchainConfig(), [SECRET]);
});
afterEach(async () => await stack.disposeAsync());

interface Started {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly exitCode: () => Promise<number | null>;
}

/** A process with nothing in its environment but the two settings it needs. */
function startProcess(env: Readonly<Record<string, string>> = {}): Started {
  const child = spawn(process.execPath, [FIXTURE], {
    env: { REDIS_URL: redis.url, SEAM_MESH_SECRET: SECRET, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  stack.defer(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const exitCode = async () => {
    await exited;
    return child.exitCode;
  };
  return { child, output: () => text, exitCode };
}

/** Everybody in the registry, by pid. */
async function records(): Promise<ReadonlyMap<number, InstanceRecord>> {
  const names = await redis.client.keys('svc:*');
  const hashes = await Promise.all(names.map((name) => redis.client.hgetall(name)));
  return new Map(
    hashes
      .filter((hash) => Object.keys(hash).length > 0)
      .map((hash) => {
        const fields = Object.entries(hash).map(([key, value]) => [key, JSON.parse(value)]);
        const record = instanceRecord.parse(Object.fromEntries(fields));
        return [record.pid, record] as const;
      }),
  );
}

async function recordOf({ child }: Started, state: InstanceRecord['state']) {
  return await waitFor(
    async () => {
      const record = (await records()).get(child.pid ?? 0);
      return record?.state === state ? record : undefined;
    },
    { what: `a record that is ${state}` },
  );
}

async function isGone({ child }: Started, timeoutMs?: number): Promise<void> {
  await waitFor(async () => !(await records()).has(child.pid ?? 0), {
    what: 'the record to be gone',
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
}

const readyz = z.object({ ready: z.boolean(), reason: z.string() });

async function get(record: InstanceRecord, path: string): Promise<string> {
  return await (await fetch(`${record.endpoints.http}${path}`)).text();
}

async function metric(record: InstanceRecord, name: string): Promise<number> {
  const line = new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'm').exec(await get(record, '/metrics'));
  return Number(line?.[1] ?? 0);
}

describe('run()', () => {
  test('joins with Redis and the mesh secret alone, says ready, drains at SIGTERM and takes its record back', async () => {
    const one = startProcess();
    const record = await recordOf(one, 'ready');
    expect(record).toMatchObject({ role: 'reporter', group: '', readyMs: expect.any(Number) });
    expect(record.readyMs).toBeGreaterThanOrEqual(record.startedMs);
    expect(await redis.client.ttl(keys.instance('reporter', record.id))).toBeLessThanOrEqual(60);
    expect(readyz.parse(JSON.parse(await get(record, '/readyz'))).ready).toBe(true);
    expect((await fetch(`${record.endpoints.http}/healthz`)).status).toBe(200);
    expect(await get(record, '/metrics')).toMatch(
      /nodejs_eventloop_lag_seconds\{.*role="reporter"/,
    );
    one.child.kill('SIGTERM');
    await recordOf(one, 'draining');
    const answer = await fetch(`${record.endpoints.http}/readyz`);
    expect(answer.status).toBe(503);
    expect(readyz.parse(await answer.json())).toEqual({ ready: false, reason: 'draining' });
    expect(await one.exitCode()).toBe(0);
    expect((await records()).size).toBe(0);
    expect(one.output()).toMatch(/"draining"[^]*"disposed"[^]*"stopped"/);
  });

  test('three processes of one host find ports of their own, and each other', async () => {
    const all = [startProcess(), startProcess(), startProcess()];
    const found = await Promise.all(all.map((one) => recordOf(one, 'ready')));
    const ports = found.flatMap(({ endpoints: { pub, rpc, http } }) =>
      [pub, rpc, http].map((endpoint) => new URL(endpoint).port),
    );
    expect(new Set(ports).size).toBe(9);
    for (const record of found) {
      await waitFor(async () => (await metric(record, 'seam_registry_instances')) === 3, {
        what: 'everybody in the view',
      });
      const up = /^seam_bus_peers\{.*state="up".*\} 2$/m;
      await waitFor(async () => up.test(await get(record, '/metrics')), { what: 'two peers' });
    }
  });

  test('is back in an emptied Redis, with the configuration, and nobody was declared gone', async () => {
    const [a, b] = [startProcess(), startProcess()];
    const record = await recordOf(a, 'ready');
    await recordOf(b, 'ready');
    await waitFor(async () => (await metric(record, 'seam_registry_instances')) === 2, {
      what: 'both in the view',
    });
    const before = await readConfig(redis.client, [SECRET]);
    await redis.kill();
    await waitFor(async () => (await metric(record, 'seam_registry_view_fresh')) === 0, {
      what: 'the view to be stale',
    });
    expect((await fetch(`${record.endpoints.http}/readyz`)).status).toBe(200);
    await redis.start({ empty: true });
    expect((await recordOf(a, 'ready')).bootId).toBe(record.bootId);
    await recordOf(b, 'ready');
    await waitFor(() => readConfig(redis.client, [SECRET]), { what: 'the configuration' });
    expect((await readConfig(redis.client, [SECRET]))?.version).toBe(before?.version);
    expect(await metric(record, 'seam_registry_instances')).toBe(2);
    expect(await metric(record, 'seam_bus_peers_lost_total')).toBe(0);
  });

  test('a stopped process vanishes, and is back when it goes on', { timeout: 90_000 }, async () => {
    const one = startProcess();
    const record = await recordOf(one, 'ready');
    one.child.kill('SIGSTOP');
    await isGone(one, TTL_WAIT_MS);
    one.child.kill('SIGCONT');
    expect((await recordOf(one, 'ready')).bootId).toBe(record.bootId);
  });

  test('a process whose name a younger one took ends by itself', async () => {
    const old = startProcess({ SEAM_INSTANCE: 'reporter-1' });
    await recordOf(old, 'ready');
    const young = startProcess({ SEAM_INSTANCE: 'reporter-1' });
    const record = await recordOf(young, 'ready');
    expect(await old.exitCode()).toBe(0);
    expect((await records()).get(young.child.pid ?? 0)?.bootId).toBe(record.bootId);
  });

  test('a second signal stops at once; a signal during the start is obeyed too', async () => {
    const one = startProcess();
    await recordOf(one, 'ready');
    one.child.kill('SIGTERM');
    await recordOf(one, 'draining');
    one.child.kill('SIGTERM');
    expect(await one.exitCode()).toBe(0);
    await redis.client.del(keys.config);
    const waiting = startProcess();
    await waitFor(async () => String(await redis.client.client('LIST')).split('\n').length > 2, {
      what: 'it to wait for the configuration',
    });
    waiting.child.kill('SIGINT');
    expect(await waiting.exitCode()).toBe(0);
    expect((await records()).size).toBe(0);
  });

  test('ends with 78 and all problems, and names the owner of a taken port', async () => {
    const wrong = startProcess({ REDIS_URL: 'nonsense', SEAM_MESH_SECRET: 'short', PORT: '0' });
    expect(await wrong.exitCode()).toBe(78);
    expect(wrong.output()).toMatch(/PORT[^]*REDIS_URL[^]*mesh secret/);
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    stack.defer(() => void taken.close());
    const address = taken.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const late = startProcess({ PORT: String(port) });
    expect(await late.exitCode()).toBe(78);
    expect(late.output()).toContain(`(pid ${process.pid})`);
  });
});
