/**
 * The launcher: the parent that `./seam up` leaves behind. Starts and restarts what is not a service (Redis, devchain,
 * HAProxy, demo miners) and the convergers; SIGTERM ends everything it started, and nothing else.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { listRecords, type ProcessFolder } from '#libs/runtime/process-records.ts';
import { configureMesh } from '#tools/cli/configure-mesh.ts';
import { loadConfig } from '#tools/cli/load-config.ts';
import { fetchGroups } from '#tools/cli/operator-api.ts';
import { prepareRunFolder, redisUrlOf, runFolder } from '#tools/cli/run-folder.ts';
import { CommandError, EXIT } from '#tools/cli/terminal.ts';
import { freePort } from '#tools/cli/ports.ts';
import { version } from '#tools/cli/version.ts';
import { HelperProcess, stopProcess } from './helper-process.ts';
import {
  convergerLaunch,
  devchainLaunch,
  haproxyLaunch,
  type LauncherWorld,
  minerLaunch,
  redisConf,
  redisLaunch,
} from './helpers.ts';
import { beginProgress, type ProgressLine } from './progress-file.ts';
import { writeHaproxyConfig } from './write-haproxy.ts';

const CONVERGERS = 2;
const READY_TIMEOUT_MS = 120_000;
const POLL_MS = 100;

class Launcher {
  readonly #world: LauncherWorld;
  readonly #miners: number;
  readonly #tell: (line: ProgressLine) => void;
  readonly #helpers: HelperProcess[] = [];
  readonly #liveness: Server;
  #isStopping = false;

  constructor(
    world: LauncherWorld,
    miners: number,
    tell: (line: ProgressLine) => void,
    liveness: Server,
  ) {
    this.#world = world;
    this.#miners = miners;
    this.#tell = tell;
    this.#liveness = liveness;
  }

  async start(): Promise<void> {
    const { folder, loaded } = this.#world;
    if (process.env['REDIS_URL'] === undefined) await this.#startRedis();
    if (loaded.isDevchain) await this.#startDevchain();
    await configureMesh(this.#world);
    this.#tell({ text: `configuration ${loaded.path ?? '(defaults)'} imported` });
    for (let ordinal = 1; ordinal <= CONVERGERS; ordinal += 1)
      await this.#run(convergerLaunch(this.#world, ordinal));
    await writeHaproxyConfig(folder, loaded.config);
    await this.#run(haproxyLaunch(this.#world));
    this.#tell({ text: `${CONVERGERS} convergers and HAProxy started: services are coming up` });
    await this.#waitForServices();
    await this.#startMiners();
    this.#tell({ ready: true });
  }

  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    const of = (pattern: RegExp) => this.#helpers.filter((helper) => pattern.test(helper.name));
    // Miners first, then whoever would start things again, then the door, then the services, then what they stand on.
    await Promise.all(of(/^demo-miner/).map((helper) => helper.stop('SIGTERM', 3_000)));
    await Promise.all(of(/^converger/).map((helper) => helper.stop('SIGTERM', 10_000)));
    await Promise.all(of(/^haproxy/).map((helper) => helper.stop('SIGTERM', 5_000)));
    await stopServices(this.#serviceFolder());
    await Promise.all(of(/^(devchain|redis)/).map((helper) => helper.stop('SIGTERM', 10_000)));
    this.#liveness.close();
    await rm(this.#world.folder.launcherSocket, { force: true });
  }

  #serviceFolder(): ProcessFolder {
    return { records: this.#world.folder.records, logs: this.#world.folder.logs };
  }

  async #run(launch: ReturnType<typeof redisLaunch>): Promise<HelperProcess> {
    const folder = { records: this.#world.folder.helpers, logs: this.#world.folder.logs };
    const helper = new HelperProcess({ folder, launch, say: (text) => console.log(text) });
    this.#helpers.push(helper);
    await helper.start();
    return helper;
  }

  async #startRedis(): Promise<void> {
    const path = join(this.#world.folder.path, 'redis');
    await mkdir(path, { recursive: true });
    await writeFile(join(path, 'redis.conf'), redisConf(this.#world), { mode: 0o600 });
    await this.#run(redisLaunch(this.#world));
    await waitUntil('Redis answers', () => pings(redisUrlOf(this.#world.facts)));
    this.#tell({ text: `Redis answers on 127.0.0.1:${this.#world.facts.redisPort}` });
  }

  async #startDevchain(): Promise<void> {
    const { folder, facts } = this.#world;
    await mkdir(join(folder.path, 'devchain'), { recursive: true });
    await writeFile(join(folder.path, 'devchain', 'password'), facts.devchainPassword, {
      mode: 0o600,
    });
    await this.#run(devchainLaunch(this.#world));
    await waitUntil('devchain answers', () =>
      devchainAnswers(facts.devchainRpcPort, facts.devchainPassword),
    );
    this.#tell({ text: 'devchain answers: NOT REAL COINS (no chain is configured in seam.yml)' });
  }

  /** Ready: a converger answers, every group has what it wants, and each listener takes connections. */
  async #waitForServices(): Promise<void> {
    let said = '';
    await waitUntil('all services are ready', async () => {
      const groups = await groupCounts(this.#world);
      const text = groups
        .map(({ group, serving, desired }) => `${group} ${serving}/${desired}`)
        .join(', ');
      if (text !== said && text !== '') this.#tell({ text });
      said = text;
      return groups.length > 0 && groups.every(({ serving, desired }) => serving >= desired);
    });
    const { listeners, groups, http } = this.#world.loaded.config;
    const ports = listeners.map((listener) => listener.port);
    if (groups.reporter > 0)
      await waitUntil(`the public page answers on port ${http.port}`, () => answersHttp(http.port));
    await waitUntil(`the operator API answers on port ${http.operatorPort}`, () =>
      answersHttp(http.operatorPort),
    );
    await waitUntil(`ports ${ports.join(', ')} serve miners`, async () =>
      (await Promise.all(ports.map(answersStratum))).every(Boolean),
    );
    this.#tell({ text: `miners are served on ${ports.map((port) => `port ${port}`).join(', ')}` });
  }

  async #startMiners(): Promise<void> {
    const listener = this.#world.loaded.config.listeners[0];
    if (!this.#world.loaded.isDevchain || listener === undefined) return;
    for (let ordinal = 1; ordinal <= this.#miners; ordinal += 1)
      await this.#run(minerLaunch(this.#world, ordinal, listener.port));
    if (this.#miners > 0) this.#tell({ text: `${this.#miners} demo miners mine` });
  }
}

async function waitUntil(what: string, condition: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + READY_TIMEOUT_MS;
  while (!(await condition())) {
    if (Date.now() > endMs)
      throw new CommandError(
        `Cannot see within ${READY_TIMEOUT_MS / 1_000} s that ${what}: look into the log folder`,
      );
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function pings(url: string): Promise<boolean> {
  const redis = new Redis(url, {
    lazyConnect: true,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  redis.on('error', () => undefined); // Not there yet: asked again.
  try {
    await redis.connect();
    return (await redis.ping()) === 'PONG';
  } catch {
    return false;
  } finally {
    redis.disconnect();
  }
}

async function devchainAnswers(port: number, password: string): Promise<boolean> {
  try {
    const authorization = `Basic ${Buffer.from(`seam:${password}`).toString('base64')}`;
    const body = JSON.stringify({ id: 1, method: 'getblockcount', params: [] });
    const answer = await fetch(`http://127.0.0.1:${port}/`, {
      method: 'POST',
      headers: { authorization },
      body,
    });
    return answer.ok;
  } catch {
    return false;
  }
}

async function groupCounts(world: LauncherWorld) {
  try {
    const { groups } = await fetchGroups(world.folder);
    return groups;
  } catch {
    return []; // No converger answers yet.
  }
}

/** Whether HAProxy has somebody behind an HTTP port. */
async function answersHttp(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(2_000) }))
      .ok;
  } catch {
    return false;
  }
}

/** Whether a subscribe through HAProxy gets an answer. */
async function answersStratum(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () =>
      socket.write('{"id":1,"method":"mining.subscribe","params":["seam-up"]}\n'),
    );
    const end = (isUp: boolean) => {
      socket.destroy();
      resolve(isUp);
    };
    socket.setTimeout(2_000, () => end(false));
    socket.once('error', () => end(false));
    socket.once('close', () => end(false));
    socket.once('data', () => end(true));
  });
}

/** Ends every service of the run folder: drains briefly, since nobody is connected any more. */
export async function stopServices(folder: ProcessFolder): Promise<void> {
  const records = await listRecords(folder);
  await Promise.all(records.map((record) => stopProcess(folder, record, 'SIGTERM', 15_000)));
}

/** Listens on the launcher's socket. @returns undefined if another launcher of this run folder is alive */
async function takeLiveness(path: string): Promise<Server | undefined> {
  const isTaken = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => resolve(true));
    probe.once('error', () => resolve(false));
    probe.once('connect', () => probe.destroy());
  });
  if (isTaken) return undefined;
  await rm(path, { force: true });
  const server = createServer((socket) => socket.end());
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve));
  return server;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      'run-dir': { type: 'string' },
      config: { type: 'string' },
      miners: { type: 'string', default: '3' },
    },
  });
  const folder = runFolder(values['run-dir']);
  const facts = await prepareRunFolder(folder, freePort);
  const liveness = await takeLiveness(folder.launcherSocket);
  if (liveness === undefined) return;
  const tell = beginProgress(folder.path);
  const say = (line: ProgressLine) => {
    console.log(JSON.stringify(line));
    tell(line);
  };
  try {
    const loaded = loadConfig(values.config, folder, facts);
    const launcher = new Launcher(
      { folder, facts, loaded, version: version() },
      Number(values.miners),
      say,
      liveness,
    );
    const end = () => void launcher.stop().finally(() => process.exit(EXIT.ok));
    process.once('SIGTERM', end);
    process.once('SIGINT', end);
    await launcher.start();
  } catch (error) {
    const exitCode = error instanceof CommandError ? error.exitCode : EXIT.software;
    say({ failed: error instanceof Error ? error.message : 'unknown error', exitCode });
  }
}

if (import.meta.main) await main();
