/** A real HAProxy with our configuration, in front of real frontends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, suite, test } from 'vitest';
import { startFrontend } from '#services/socket-frontend/io/frontend.fixture.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { renderHaproxy } from './render.ts';

/** The system's folder is not on every user's path. */
const ENVIRONMENT = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** HAProxy in master-worker mode, as `./seam up` starts it. */
async function startEdge() {
  const folder = await mkdtemp(join(tmpdir(), 'seam-haproxy-'));
  await chmod(folder, 0o755);
  const [port = 0, httpPort = 0, operatorPort = 0] = await freePorts(3);
  const config = renderHaproxy({
    replica: 'edge-1',
    edge: folder,
    folder,
    listeners: [{ name: 'main', bind: `127.0.0.1:${port}` }],
    publicBind: `127.0.0.1:${httpPort}`,
    operatorBind: `127.0.0.1:${operatorPort}`,
    frontendSlots: 8,
    httpSlots: 1,
    apiSlots: 1,
    connectionsMax: 500,
    perAddressMax: 40,
    perAddressRate: 400,
  });
  const path = join(folder, 'haproxy.cfg');
  await writeFile(path, config);
  const master = join(folder, 'master.sock');
  const child = spawn('haproxy', ['-W', '-db', '-f', path, '-S', master], { env: ENVIRONMENT });
  let log = '';
  for (const output of [child.stdout, child.stderr]) {
    output.on('data', (text) => {
      log += String(text);
    });
  }
  const edge = {
    folder,
    port,
    get log() {
      return log;
    },
    /** Says one line to the master's or the worker's socket. */
    async command(socket: 'master' | 'admin', text: string): Promise<string> {
      const client = connect(socket === 'master' ? master : join(folder, 'admin.sock'));
      client.end(`${text}\n`);
      let answer = '';
      for await (const chunk of client) answer += String(chunk);
      return answer;
    },
    async [Symbol.asyncDispose]() {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
  await waitFor(async () => (await serversUp(edge)) === 0, { what: 'the first health checks' }); // Until then all are up.
  return edge;
}

function openMiner(port: number) {
  const socket = connect(port, '127.0.0.1');
  let received = '';
  let isClosed = false;
  socket.on('data', (bytes) => {
    received += String(bytes);
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    isClosed = true;
  });
  return {
    socket,
    get received() {
      return received;
    },
    get isClosed() {
      return isClosed;
    },
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

interface Edge {
  command(socket: 'master' | 'admin', text: string): Promise<string>;
}

async function serversUp(edge: Edge): Promise<number> {
  const stat = await edge.command('admin', 'show stat');
  return stat.split('\n').filter((line) => /^frontends_main,fe\d,.*,UP,/.test(line)).length;
}

suite('HAProxy with our configuration', () => {
  test('gives the frontend the very id that stands in its log', async () => {
    await using edge = await startEdge();
    await using fixture = await startFrontend({}, { folder: edge.folder, slot: 1 });
    const server = await fixture.startServer('stratum-server-1');
    await waitFor(async () => (await serversUp(edge)) === 1);
    using miner = openMiner(edge.port);
    miner.socket.write('hello\n');
    await waitFor(() => miner.received === 'hello\n');
    const open = server.heard.find((item) => item.kind === 'open');
    const conn = open?.kind === 'open' ? open.conn : '';
    expect(conn).toMatch(/^edge-1-7F000001:[0-9A-F]{1,4}_7F000001:[0-9A-F]{1,4}_[0-9A-F]{8}_/);
    expect(open).toMatchObject({ peerAddress: '127.0.0.1', peerPort: miner.socket.localPort });
    miner.socket.end();
    await waitFor(() => edge.log.includes(`id=${conn}`), { what: 'the log line' });
    expect(await fixture.metric('seam_frontend_headers_refused_total')).toBe(0);
  });

  test('refuses miners while no server has work, without asking a frontend', async () => {
    await using edge = await startEdge();
    await using fixture = await startFrontend({}, { folder: edge.folder, slot: 1 });
    using refused = openMiner(edge.port);
    await waitFor(() => refused.isClosed);
    const server = await fixture.startServer('stratum-server-1');
    await waitFor(async () => (await serversUp(edge)) === 1);
    server.say({ kind: 'listen', listener: 'main', isUp: false });
    await waitFor(async () => (await serversUp(edge)) === 0);
  });

  test('a frontend that stops listening refuses nobody and drops nobody', async () => {
    await using edge = await startEdge();
    await using leaving = await startFrontend({}, { folder: edge.folder, slot: 1 });
    await using staying = await startFrontend({}, { folder: edge.folder, slot: 2 });
    await leaving.startServer('stratum-server-1');
    await staying.startServer('stratum-server-2');
    await waitFor(async () => (await serversUp(edge)) === 2);
    const early = Array.from({ length: 10 }, () => openMiner(edge.port));
    for (const { socket } of early) socket.write('early\n');
    await waitFor(() => early.every(({ received }) => received === 'early\n'));
    const abort = new AbortController();
    const drained = leaving.frontend.drain(abort.signal, async () => undefined);
    const late = Array.from({ length: 20 }, () => openMiner(edge.port)); // HAProxy does not know yet.
    for (const { socket } of late) socket.write('late\n');
    await waitFor(() => late.every(({ received }) => received === 'late\n'));
    for (const { socket } of early) socket.write('again\n');
    await waitFor(() => early.every(({ received }) => received === 'early\nagain\n'));
    expect([...early, ...late].some(({ isClosed }) => isClosed)).toBe(false);
    abort.abort();
    await drained;
    for (const { socket } of [...early, ...late]) socket.destroy();
  });

  test('a reload drops nobody', async () => {
    await using edge = await startEdge();
    await using fixture = await startFrontend({}, { folder: edge.folder, slot: 1 });
    await fixture.startServer('stratum-server-1');
    await waitFor(async () => (await serversUp(edge)) === 1);
    using miner = openMiner(edge.port);
    miner.socket.write('before\n');
    await waitFor(() => miner.received === 'before\n');
    await edge.command('master', 'reload');
    // The new worker takes all slots for living until it has checked them: it must find the one that lives.
    await waitFor(async () => /old workers\n\d+/.test(await edge.command('master', 'show proc')));
    const fresh = Array.from({ length: 20 }, () => openMiner(edge.port));
    for (const { socket } of fresh) socket.write('new\n');
    await waitFor(() => fresh.every(({ received }) => received === 'new\n'));
    miner.socket.write('after\n');
    await waitFor(() => miner.received === 'before\nafter\n');
    expect([miner, ...fresh].some(({ isClosed }) => isClosed)).toBe(false);
    for (const { socket } of fresh) socket.destroy();
  });

  test('one address cannot take all connections', async () => {
    await using edge = await startEdge();
    await using fixture = await startFrontend({}, { folder: edge.folder, slot: 1 });
    await fixture.startServer('stratum-server-1');
    await waitFor(async () => (await serversUp(edge)) === 1);
    const miners = Array.from({ length: 45 }, () => openMiner(edge.port));
    await waitFor(() => miners.filter(({ isClosed }) => isClosed).length === 5);
    for (const { socket } of miners) socket.write('hello\n');
    await waitFor(() => miners.filter(({ received }) => received === 'hello\n').length === 40);
    for (const { socket } of miners) socket.destroy();
  });
});
