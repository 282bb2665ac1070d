/** deploy/ on a real Docker Engine: the mesh in containers mines, mends itself and leaves nothing behind. */
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest';
import { z } from 'zod';
import { poolView } from '#libs/contracts/public-api.ts';
import { type ComposeMesh, startComposeMesh } from '#test/harness/compose-mesh.ts';
import {
  BASE_IMAGE,
  type DockerEngine,
  dockerEngine,
  type Unavailable,
} from '#test/harness/docker-engine.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { regtestAddress } from '#tools/cli/demo-address.ts';
import { Miner } from '#tools/miner/miner.ts';
import { isInOrder } from '#tools/miner/report.ts';

/** Everything from Debian and npm packages on a machine with nothing of it: minutes, on a slow line many. */
const START_MAX_MS = 600_000;
const STOP_MAX_MS = 300_000;
const DEMO_MINERS = 3;

interface Deployment {
  readonly engine: DockerEngine;
  readonly mesh: ComposeMesh;
}

let starting: Promise<Deployment | Unavailable> | undefined;
beforeAll(async () => {
  starting = start();
  await starting.catch(() => undefined); // Each test says it: deployed().
}, START_MAX_MS);
afterAll(async () => {
  const deployment = await starting?.catch(() => undefined);
  if (deployment === undefined || 'unavailable' in deployment) return;
  await deployment.mesh[Symbol.asyncDispose]();
  await deployment.engine[Symbol.asyncDispose]();
}, STOP_MAX_MS);

async function start(): Promise<Deployment | Unavailable> {
  const engine = await dockerEngine();
  if ('unavailable' in engine) return engine;
  try {
    return { engine, mesh: await startComposeMesh(engine) };
  } catch (error) {
    await engine[Symbol.asyncDispose]();
    throw error;
  }
}

/** The deployment; without an engine the test is skipped, with the reason. */
async function deployed(ctx: TestContext): Promise<Deployment> {
  const deployment = await starting;
  if (deployment === undefined) throw new Error('The deployment was not started');
  if ('unavailable' in deployment) return ctx.skip(deployment.unavailable);
  return deployment;
}

const inspected = z.array(
  z.object({
    Name: z.string(),
    RestartCount: z.int(),
    State: z.object({ Pid: z.int(), Running: z.boolean() }),
    Config: z.object({ User: z.string() }),
    HostConfig: z.object({
      ReadonlyRootfs: z.boolean(),
      Privileged: z.boolean(),
      CapDrop: z.array(z.string()).nullable(),
      SecurityOpt: z.array(z.string()).nullable(),
    }),
  }),
);

async function inspect(engine: DockerEngine, ids: readonly string[]) {
  return inspected.parse(JSON.parse(await engine.docker(['inspect', ...ids])));
}

async function allContainers({ engine, mesh }: Deployment): Promise<readonly string[]> {
  const label = `label=com.docker.compose.project=${mesh.project}`;
  return (await engine.docker(['ps', '--all', '--quiet', '--filter', label]))
    .split('\n')
    .filter(Boolean);
}

/** As a crash would: what the engine itself was asked to kill, it does not start again. */
async function killProcess(engine: DockerEngine, pid: number): Promise<void> {
  const host = ['--rm', '--pid=host', '--network=none'];
  await engine.docker(['run', ...host, BASE_IMAGE, 'sh', '-c', `kill -KILL ${pid}`]);
}

/** Its own low difficulty: several shares a second, also on a busy machine. */
function newMiner(mesh: ComposeMesh, port = mesh.stratumPort): Miner {
  return new Miner({
    url: `stratum+tcp://127.0.0.1:${port}`,
    username: `${regtestAddress(randomBytes(20))}.rig`,
    password: 'd=0.000002',
    algorithm: 'sha256d',
    hashrateHps: 100_000,
    versionRolling: true,
    reconnects: true,
  });
}

async function accepted(miner: Miner, shares: number): Promise<void> {
  const wanted = miner.tally.report.accepted + shares;
  await waitFor(() => miner.tally.report.accepted >= wanted, {
    what: `${shares} more accepted shares`,
    timeoutMs: 90_000,
  });
}

const instances = z.object({
  instances: z.array(z.object({ role: z.string(), id: z.string(), state: z.string() })),
});

async function ready(mesh: ComposeMesh): Promise<Readonly<Record<string, number>>> {
  const { instances: all } = instances.parse(await mesh.operator('/v1/instances'));
  const roles = all.filter(({ state }) => state === 'ready').map(({ role }) => role);
  return Object.fromEntries(
    [...new Set(roles)].map((role) => [role, roles.filter((one) => one === role).length]),
  );
}

const WHOLE = {
  jobmanager: 2,
  'stratum-server': 2,
  'socket-frontend': 2,
  reporter: 1,
  converger: 2,
};

async function whole(mesh: ComposeMesh): Promise<void> {
  await waitFor(
    async () => {
      expect(await ready(mesh)).toEqual(WHOLE);
      return true;
    },
    { what: 'the whole mesh to be ready', timeoutMs: 60_000 },
  );
}

describe('the mesh in containers', () => {
  test('mines through the published port, and says that coins are not real', async (ctx) => {
    const { mesh } = await deployed(ctx);
    await whole(mesh);
    const view = async () => poolView.parse(await mesh.getJson('/api/v1/pool'));
    await waitFor(async () => (await view()).miners.connected >= DEMO_MINERS, {
      what: 'the demo miners to be connected',
      timeoutMs: 60_000,
    });
    await using miner = newMiner(mesh);
    await accepted(miner, 5);
    const pool = await waitFor(
      async () => {
        const now = await view();
        const [chain] = now.chains;
        return (chain?.blocks.length ?? 0) > 0 && (chain?.totals.shares ?? 0) >= 5
          ? now
          : undefined;
      },
      { what: 'shares and a block in the books', timeoutMs: 90_000 },
    );
    expect(pool.isReal).toBe(false);
    expect(pool.chains[0]?.isDevchain).toBe(true);
    await miner.stop();
    expect(miner.tally.report.problems).toEqual([]);
    expect(isInOrder(miner.tally.report)).toBe(true);
  }, 180_000);

  test('runs unprivileged on read-only file systems, and shows no secret', async (ctx) => {
    const deployment = await deployed(ctx);
    const ids = await allContainers(deployment);
    const containers = await inspect(deployment.engine, ids);
    for (const { Name, Config, HostConfig } of containers) {
      expect([Name, Config.User, HostConfig.ReadonlyRootfs, HostConfig.Privileged]).toEqual([
        Name,
        '10001:10001',
        true,
        false,
      ]);
      expect(HostConfig.CapDrop).toEqual(['ALL']);
      expect(HostConfig.SecurityOpt).toContain('no-new-privileges:true');
    }
    const shown =
      (await deployment.engine.docker(['inspect', ...ids])) +
      (await deployment.mesh.compose('logs'));
    const folder = deployment.mesh.secretsFolder;
    for (const name of await readdir(folder)) {
      const content = (await readFile(join(folder, name), 'utf8')).trim();
      if (content.length > 0 && content.length < 200) expect(shown, name).not.toContain(content);
    }
  });

  test('publishes the operator API on the loopback only', async (ctx) => {
    const { mesh } = await deployed(ctx);
    const published = await mesh.compose('port', 'haproxy', '8081');
    expect(published.trim()).toBe(`127.0.0.1:${mesh.operatorPort}`);
  });

  test('starts a killed stratum-server again, and its miners stay connected', async (ctx) => {
    const { engine, mesh } = await deployed(ctx);
    await using miner = newMiner(mesh);
    await accepted(miner, 2);
    const ids = await mesh.containers('stratum-server');
    // One after the other: one of them has the miner.
    for (const id of ids) {
      await whole(mesh);
      const [before] = await inspect(engine, [id]);
      await killProcess(engine, before?.State.Pid ?? 0);
      const after = await waitFor(
        async () => {
          const [now] = await inspect(engine, [id]);
          return now?.State.Running && now.State.Pid !== before?.State.Pid ? now : undefined;
        },
        { what: 'the engine to start it again', timeoutMs: 60_000 },
      );
      expect(after.RestartCount).toBe((before?.RestartCount ?? 0) + 1);
      await accepted(miner, 2);
    }
    await whole(mesh);
    await miner.stop();
    expect(miner.tally.report.disconnects).toBe(0);
    expect(miner.tally.report.problems).toEqual([]);
  }, 240_000);

  test('replaces everything behind the frontends at once while miners stay connected', async (ctx) => {
    const { mesh } = await deployed(ctx);
    await using miner = newMiner(mesh);
    await accepted(miner, 2);
    const behind = ['jobmanager', 'reporter', 'converger', 'stratum-server'];
    const before = await mesh.containers('stratum-server');
    await mesh.compose('up', '--detach', '--no-deps', '--force-recreate', ...behind);
    expect(await mesh.containers('stratum-server')).not.toContain(before[0]);
    await accepted(miner, 2);
    await whole(mesh);
    await miner.stop();
    expect(miner.tally.report.disconnects).toBe(0);
  }, 180_000);

  test('refuses a wrong seam.yml before anything changes', async (ctx) => {
    const { mesh } = await deployed(ctx);
    await expect(mesh.configure('listeners: 3')).rejects.toThrow(/listeners.*nothing was changed/s);
    expect(await readFile(join(mesh.secretsFolder, 'seam.yml'), 'utf8')).toBe('');
  });

  test('takes another seam.yml, and keeps HAProxy and Redis running', async (ctx) => {
    const { mesh } = await deployed(ctx);
    const kept = async () => [await mesh.containers('haproxy'), await mesh.containers('redis')];
    const before = await kept();
    const listener = (name: string, port: number) =>
      `  - { name: ${name}, port: ${port}, startDifficulty: 0.00002, minDifficulty: 0.000001 }\n`;
    await mesh.configure(`listeners:\n${listener('main', 3333)}${listener('second', 3335)}`);
    await mesh.compose('up', '--detach');
    await whole(mesh);
    await using miner = newMiner(mesh, mesh.lowPort);
    await accepted(miner, 2);
    expect(await kept()).toEqual(before);
  }, 180_000);

  test('leaves nothing behind when it goes down', async (ctx) => {
    const { engine, mesh } = await deployed(ctx);
    const logs = await mesh.compose('logs', '--no-log-prefix');
    expect(logs.split('\n').filter((line) => /"level":(50|60)/.test(line))).toEqual([]);
    await mesh.compose('down', '--volumes');
    const label = ['--quiet', '--filter', `label=com.docker.compose.project=${mesh.project}`];
    expect(await engine.docker(['ps', '--all', ...label])).toBe('');
    expect(await engine.docker(['volume', 'ls', ...label])).toBe('');
    expect(await engine.docker(['network', 'ls', ...label])).toBe('');
  }, 120_000);
});
