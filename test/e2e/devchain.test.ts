/** The whole mesh on devchain, started as a user starts it: mining in both payout modes, joining, killing, bad input. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { Dealer } from 'zeromq';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { scriptFromAddress } from '#libs/bitcoin/address.ts';
import { chainParams } from '#libs/bitcoin/chains.ts';
import { poolView, workerPage } from '#libs/contracts/public-api.ts';
import { isAlive } from '#libs/runtime/process-records.ts';
import { killAndWait, startMesh, type TestMesh } from '#test/harness/mesh.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { regtestAddress } from '#tools/cli/demo-address.ts';
import { Miner, type MinerOptions } from '#tools/miner/miner.ts';
import { isInOrder, type ProbeKind, type Report } from '#tools/miner/report.ts';

const REGTEST = chainParams('bitcoin', 'regtest');
const LISTENERS = [
  { name: 'main', startDifficulty: 0.000002, minDifficulty: 0.0000001 },
  { name: 'solo', mode: 'solo', startDifficulty: 0.000002, minDifficulty: 0.0000001 },
];

let mesh: TestMesh;
beforeAll(async () => {
  mesh = await startMesh({ listeners: LISTENERS });
}, 180_000);
afterAll(async () => await mesh?.[Symbol.asyncDispose](), 120_000);

function newMiner(
  listener: string,
  options: Partial<MinerOptions> = {},
): { miner: Miner; username: string } {
  const username = options.username ?? `${regtestAddress(randomBytes(20))}.rig`;
  const url = `stratum+tcp://127.0.0.1:${mesh.ports[listener] ?? 0}`;
  const miner = new Miner({
    url,
    algorithm: 'sha256d',
    hashrateHps: 60_000,
    versionRolling: true,
    ...options,
    username,
  });
  return { miner, username };
}

function expectInOrder(report: Report): void {
  expect(report.problems).toEqual([]);
  expect(isInOrder(report)).toBe(true);
}

async function poolShares(): Promise<number> {
  const [chain] = poolView.parse(await mesh.getJson('/api/v1/pool')).chains;
  return chain === undefined ? 0 : chain.totals.shares + chain.totals.soloShares;
}

describe('mining on devchain', () => {
  test('in pool mode with version rolling: shares and blocks are accepted, every answer is right, the books count each share', async () => {
    const before = await poolShares();
    const probes: readonly ProbeKind[] = [
      'duplicate',
      'low_difficulty',
      'unknown_job',
      'bad_extranonce2',
      'bad_ntime',
      'bad_version',
      'unauthorized',
    ];
    const { miner, username } = newMiner('main', { probes, probeEvery: 1 });
    await waitFor(() => miner.report.accepted >= 15 && miner.report.blocksAccepted >= 1, {
      what: 'shares and a block',
      timeoutMs: 90_000,
    });
    const report = await miner.stop();
    expectInOrder(report);
    expect(report.disconnects).toBe(0);
    for (const kind of probes)
      expect(report.probes[kind], kind).toEqual({
        sent: report.probes[kind].sent,
        asExpected: report.probes[kind].sent,
      });
    expect(
      Object.values(report.probes).reduce((sum, { sent }) => sum + sent, 0),
    ).toBeGreaterThanOrEqual(probes.length);
    await waitFor(async () => (await poolShares()) - before === report.accepted, {
      what: 'the books to count each share once',
    });
    const page = workerPage.parse(await mesh.getJson(`/api/v1/workers/${username}`));
    expect(page.chains[0]?.accepted).toBe(report.accepted);
  }, 120_000);

  test('in solo mode: the coinbase pays the miner first, and a block pays it', async () => {
    const address = regtestAddress(randomBytes(20));
    const script = scriptFromAddress(address, REGTEST);
    if (script.kind !== 'script') throw new Error(script.reason);
    const { miner } = newMiner('solo', {
      username: `${address}.solo`,
      payeeScript: Buffer.from(script.script).toString('hex'),
    });
    const blocks: string[] = [];
    miner.on('block', (hash, isAccepted) => isAccepted && blocks.push(hash));
    await waitFor(() => blocks.length > 0, { what: 'a solo block', timeoutMs: 90_000 });
    expectInOrder(await miner.stop());
    const found = await waitFor(
      async () => {
        const { blocks: known } = (await mesh.getJson('/api/v1/blocks')) as {
          blocks: { hash: string; state: string; mode: string; worker: string }[];
        };
        return known.find(({ hash, state }) => hash === blocks[0] && state === 'accepted');
      },
      { what: 'the block to be recorded' },
    );
    expect(found).toMatchObject({ mode: 'solo', worker: `${address}.solo` });
  }, 120_000);

  test('a foreign address is refused with the reason, and the socket stays open', async () => {
    const socket = await raw('main');
    socket.send(
      '{"id":1,"method":"mining.subscribe","params":[]}\n{"id":2,"method":"mining.authorize","params":["bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq.x","x"]}\n',
    );
    const answer = await socket.answerTo(2);
    expect(answer).toMatchObject({
      result: false,
      error: [24, expect.stringMatching(/bitcoin/), null],
    });
    socket.send('{"id":"three","method":"mining.ping"}\n');
    expect(await socket.answerTo('three')).toMatchObject({ result: 'pong' });
    socket.close();
  });
});

describe('joining by hand', () => {
  test('a stratum-server and a jobmanager with only the Redis URL and the mesh secret join, each on ports of its own', async () => {
    const secret = (await readFile(mesh.secretFile, 'utf8')).trim();
    const children = ['stratum-server', 'jobmanager', 'stratum-server'].map((role) =>
      spawn(process.execPath, [join('services', role, 'main.ts')], {
        cwd: join(import.meta.dirname, '..', '..'),
        env: {
          PATH: process.env['PATH'] ?? '',
          REDIS_URL: mesh.redisUrl,
          SEAM_MESH_SECRET: secret,
        },
        stdio: 'ignore',
      }),
    );
    try {
      const pids = children.map((child) => child.pid);
      const joined = await waitFor(
        async () => {
          const instances = await allInstances();
          const ours = instances.filter(
            ({ pid, state }) => pids.includes(pid) && state === 'ready',
          );
          return ours.length === pids.length ? instances : undefined;
        },
        { what: 'all three to be ready' },
      );
      const ours = joined.filter(({ pid }) => pids.includes(pid));
      // Ready means: bus, registry and work. The figure is for the report only.
      console.log(
        'ready after',
        ours.map(({ id, readyMs, startedMs }) => `${id}: ${readyMs - startedMs} ms`).join(', '),
      );
      const endpoints = joined
        .flatMap(({ endpoints: { pub, rpc, link, http } }) => [pub, rpc, link, http])
        .filter((endpoint) => endpoint !== '');
      expect(new Set(endpoints).size).toBe(endpoints.length);
    } finally {
      for (const child of children) child.kill('SIGTERM');
      await Promise.all(
        children.map(async (child) => child.exitCode ?? (await once(child, 'exit'))),
      );
    }
    await waitFor(
      async () =>
        (await allInstances()).every(({ group, role }) => group !== '' || role === 'converger'),
      { what: 'them to be gone' },
    );
  }, 60_000);

  test('a peer without the mesh secret gets nothing, and the attempt is counted', async () => {
    const server = (await allInstances()).find(({ group }) => group === 'stratum-server');
    if (server === undefined) throw new Error('no stratum-server');
    const refusals = async () =>
      metricSum(
        await (await fetch(`${server.endpoints.http}/metrics`)).text(),
        'seam_bus_refused_total',
      );
    const before = await refusals();
    const stranger = new Dealer({ linger: 0, receiveTimeout: 500, sendTimeout: 500 });
    stranger.connect(server.endpoints.rpc);
    await stranger.send(['hello']).catch(() => undefined);
    await expect(stranger.receive()).rejects.toThrow();
    stranger.close();
    await waitFor(async () => (await refusals()) > before, { what: 'the refusal to be counted' });
  });
});

describe('killing', () => {
  test('a killed service process of each kind but the frontend is replaced, and the miner stays connected', async () => {
    const { miner } = newMiner('main');
    await waitFor(() => miner.report.accepted >= 3, { what: 'shares', timeoutMs: 60_000 });
    for (const name of [
      'stratum-server-1',
      'jobmanager-devchain-1',
      'stratum-server-2',
      'jobmanager-devchain-2',
      'reporter-1',
    ]) {
      await killAndWait(mesh, name);
      const { accepted } = miner.report;
      await waitFor(() => miner.report.accepted > accepted, {
        what: `a share after ${name} was killed`,
        timeoutMs: 60_000,
      });
      await waitFor(
        async () => (await groupCounts()).every(({ serving, desired }) => serving === desired),
        { what: 'all groups to be whole', timeoutMs: 60_000 },
      );
    }
    const report = await miner.stop();
    expect(report.disconnects).toBe(0);
    expectInOrder(report);
  }, 240_000);

  test('a killed frontend and a killed converger are replaced; a converger’s death touches none of its children', async () => {
    const before = (await mesh.services()).map(({ name, pid }) => `${name} ${pid}`);
    await killAndWait(mesh, 'converger-1');
    await killAndWait(mesh, 'converger-2');
    expect((await mesh.services()).map(({ name, pid }) => `${name} ${pid}`)).toEqual(before);
    await waitFor(
      async () =>
        (await allInstances()).filter(
          ({ role, state }) => role === 'converger' && state === 'ready',
        ).length === 2,
      { what: 'both convergers', timeoutMs: 60_000 },
    );
    await killAndWait(mesh, 'socket-frontend-1');
    await waitFor(
      async () => (await groupCounts()).every(({ serving, desired }) => serving === desired),
      { what: 'all groups to be whole', timeoutMs: 60_000 },
    );
  }, 180_000);

  test('desired counts set over the API come true, up and down', async () => {
    const put = async (desired: unknown) =>
      await mesh.operator('/v1/groups/stratum-server', {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ desired }),
      });
    expect((await put(-1)).status).toBe(400);
    expect((await put('many')).status).toBe(400);
    expect(
      (
        await mesh.operator('/v1/groups/no-such', {
          method: 'PUT',
          headers: { 'content-type': 'application/json' },
          body: '{"desired":1}',
        })
      ).status,
    ).toBe(404);
    const { miner } = newMiner('main');
    for (const desired of [3, 1, 2]) {
      expect((await put(desired)).status).toBe(202);
      await waitFor(
        async () => {
          const group = (await groupCounts()).find(({ group: name }) => name === 'stratum-server');
          return group?.serving === desired && group.instances.length === desired;
        },
        { what: `${desired} stratum-servers`, timeoutMs: 90_000 },
      );
    }
    await waitFor(() => miner.report.accepted >= 1, { what: 'a share' });
    const report = await miner.stop();
    expect(report.disconnects).toBe(0);
    expectInOrder(report);
  }, 300_000);
});

describe('bad input', () => {
  const rows: readonly [string, string, unknown][] = [
    [
      'an unknown method',
      '{"id":7,"method":"mining.nonsense","params":[]}',
      { id: 7, result: null, error: [20, expect.any(String), null] },
    ],
    [
      'a method of a wrong type',
      '{"id":7,"method":5,"params":[]}',
      { id: 7, error: [20, expect.any(String), null] },
    ],
    [
      'params of a wrong type',
      '{"id":7,"method":"mining.submit","params":{"a":1}}',
      { id: 7, error: [expect.any(Number), expect.any(String), null] },
    ],
    [
      'a submit before subscribing',
      '{"id":7,"method":"mining.submit","params":["w","00","00","00","00"]}',
      { id: 7, error: [expect.any(Number), expect.any(String), null] },
    ],
  ];
  test.each(rows)('%s gets a clear error', async (_name, line, expected) => {
    const socket = await raw('main');
    socket.send(`${line}\n`);
    expect(await socket.answerTo(7)).toMatchObject(expected as object);
    socket.close();
  });

  test('shares with hex of odd length, of a wrong size or for an unknown job are refused by code', async () => {
    const socket = await raw('main');
    const address = `${regtestAddress(randomBytes(20))}.bad`;
    socket.send(
      `{"id":1,"method":"mining.subscribe","params":[]}\n{"id":2,"method":"mining.authorize","params":["${address}","x"]}\n`,
    );
    expect(await socket.answerTo(2)).toMatchObject({ result: true });
    const job = await waitFor(
      () => socket.lines.find((line) => line['method'] === 'mining.notify'),
      { what: 'a job' },
    );
    const [jobId, , , , , , , ntime] = job['params'] as string[];
    const submits: readonly [number, readonly unknown[], number][] = [
      [10, [address, jobId, '00000000000000', ntime, '00000000'], 20],
      [11, [address, jobId, '000000000000000', ntime, '00000000'], 20],
      [12, [address, jobId, '000000000000000z', ntime, '00000000'], 20],
      [13, [address, '0123456789abcdef', '0000000000000000', ntime, '00000000'], 21],
      [14, [address, jobId, '0000000000000000', ntime, 5], 20],
      [15, ['somebody.else', jobId, '0000000000000000', ntime, '00000000'], 24],
    ];
    for (const [id, params, code] of submits) {
      socket.send(`${JSON.stringify({ id, method: 'mining.submit', params })}\n`);
      expect(await socket.answerTo(id), JSON.stringify(params)).toMatchObject({
        id,
        result: null,
        error: [code, expect.any(String), null],
      });
    }
    socket.close();
  });

  test('garbage, a line of 1 MB and half a PROXY header cost their sender the socket', async () => {
    for (const bytes of [
      randomBytes(4_096),
      Buffer.alloc(1_000_000, 0x61),
      Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n\n\n'),
    ]) {
      const socket = await raw('main');
      socket.socket.write(bytes);
      socket.socket.write('\n');
      const id = 99;
      socket.send(`{"id":${id},"method":"mining.ping"}\n`);
      // Closed, or every bad line answered with an error before the good one: never silence.
      await waitFor(
        () => socket.socket.closed || socket.lines.some((line) => line['error'] !== null),
        { what: 'an error or a close' },
      );
      socket.close();
    }
    const half = connect(join(mesh.runDir, 'edge', '1.main.sock'));
    half.on('error', () => undefined);
    half.write(Buffer.from('0d0a0d0a000d0a5155', 'hex'));
    await waitFor(() => half.closed, { what: 'half a header to be given up', timeoutMs: 60_000 });
    // The pool is none the worse for it.
    const { miner } = newMiner('main');
    await waitFor(() => miner.report.accepted > 0, { what: 'a share', timeoutMs: 60_000 });
    expectInOrder(await miner.stop());
  }, 120_000);

  test('no error stands in any log', async () => {
    expect(await mesh.errors()).toEqual([]);
  });
});

describe('the command', () => {
  test('a second up is harmless, status shows the mesh, down ends everything', async () => {
    const before = (await mesh.services()).map(({ pid }) => pid);
    expect(await mesh.seam('up', '--detach')).toContain('stratum-server');
    expect((await mesh.services()).map(({ pid }) => pid)).toEqual(before);
    const status = JSON.parse(await mesh.seam('status', '--json')) as {
      groups: { group: string }[];
    };
    expect(status.groups.map(({ group }) => group)).toContain('jobmanager/devchain');
    expect(await mesh.seam('status')).toContain('NOT REAL COINS');
    const records = [...(await mesh.services()), ...(await mesh.helpers())];
    const stranger = createServer().listen(0, '127.0.0.1');
    await mesh.seam('down');
    stranger.close();
    for (const record of records)
      expect(await isAlive(record, Date.now()), record.name).toBe(false);
  }, 120_000);
});

// ---------------------------------------------------------------------------------------------------------------------

interface RawClient {
  readonly socket: Socket;
  readonly lines: Record<string, unknown>[];
  send(text: string): void;
  answerTo(id: unknown): Promise<Record<string, unknown>>;
  close(): void;
}

async function raw(listener: string): Promise<RawClient> {
  const socket = connect(mesh.ports[listener] ?? 0, '127.0.0.1');
  const lines: Record<string, unknown>[] = [];
  let rest = '';
  socket.on('error', () => undefined);
  socket.on('data', (bytes) => {
    const parts = (rest + bytes.toString()).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts)
      if (part !== '') lines.push(JSON.parse(part) as Record<string, unknown>);
  });
  await new Promise<void>((resolve, reject) =>
    socket.once('connect', resolve).once('error', reject),
  );
  return {
    socket,
    lines,
    send: (text) => void socket.write(text),
    answerTo: async (id) =>
      await waitFor(() => lines.find((line) => line['id'] === id && !('method' in line)), {
        what: `an answer to ${String(id)}`,
      }),
    close: () => void socket.destroy(),
  };
}

interface Instance {
  readonly role: string;
  readonly id: string;
  readonly group: string;
  readonly pid: number;
  readonly state: string;
  readonly startedMs: number;
  readonly readyMs: number;
  readonly endpoints: {
    readonly pub: string;
    readonly rpc: string;
    readonly link: string;
    readonly http: string;
  };
}

async function allInstances(): Promise<readonly Instance[]> {
  const answer = await mesh.operator('/v1/instances');
  return ((await answer.json()) as { instances: Instance[] }).instances;
}

async function groupCounts(): Promise<
  readonly { group: string; serving: number; desired: number; instances: unknown[] }[]
> {
  const answer = await mesh.operator('/v1/groups');
  return (
    (await answer.json()) as {
      groups: { group: string; serving: number; desired: number; instances: unknown[] }[];
    }
  ).groups;
}

function metricSum(text: string, name: string): number {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}
