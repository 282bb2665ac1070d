/**
 * A Docker Engine for tests: the one that runs here, or one started for the test from Debian's packages where that is
 * allowed (root). No image registry is needed: what cannot be pulled is made from Debian packages. What is brought here
 * (engine, plugins, base image) goes with the test; Debian packages stay.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findProgram, installMissing, type Program } from '#tools/cli/debian-packages.ts';
import { waitFor } from './wait-for.ts';

const run = promisify(execFile);
/** What images of Seam are built on. */
export const BASE_IMAGE = 'debian:trixie-slim';
const MINUTE = 60_000;
const OUTPUT_BYTES_MAX = 1 << 26;

export interface DockerOptions {
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

export interface DockerEngine extends AsyncDisposable {
  /** Of the docker command. */
  readonly env: NodeJS.ProcessEnv;
  /** Runs `docker <args>`. @returns stdout. @throws {Error} with what it printed */
  docker(args: readonly string[], options?: DockerOptions): Promise<string>;
}

export interface Unavailable {
  readonly unavailable: string;
}

/** @returns the engine, or why there can be none here */
export async function dockerEngine(): Promise<DockerEngine | Unavailable> {
  const stops = new AsyncDisposableStack();
  try {
    const folder = await mkdtemp(join(tmpdir(), 'seam-docker-'));
    stops.defer(async () => await rm(folder, { recursive: true, force: true, maxRetries: 5 }));
    const found = await engineHere(folder, stops);
    if (typeof found === 'string') return await refused(stops, found);
    const engine = createEngine(found, stops);
    await bringPlugins(engine, found, folder, stops);
    return engine;
  } catch (error) {
    const why = error instanceof Error ? error.message.trim().slice(-500) : 'unknown';
    return await refused(stops, `no Docker Engine can be brought up here: ${why}`);
  }
}

async function refused(stops: AsyncDisposableStack, unavailable: string): Promise<Unavailable> {
  await stops.disposeAsync();
  return { unavailable };
}

function createEngine(env: NodeJS.ProcessEnv, stops: AsyncDisposableStack): DockerEngine {
  return {
    env,
    async docker(args, options = {}) {
      const { stdout } = await run('docker', [...args], {
        env: { ...env, ...options.env },
        maxBuffer: OUTPUT_BYTES_MAX,
        timeout: options.timeoutMs ?? MINUTE,
      });
      return stdout;
    },
    [Symbol.asyncDispose]: async () => await stops.disposeAsync(),
  };
}

/** @returns the environment for the docker command, or why there is no engine */
async function engineHere(
  folder: string,
  stops: AsyncDisposableStack,
): Promise<NodeJS.ProcessEnv | string> {
  const env = await ownDockerConfig(folder);
  if (await reachable(env)) return env;
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'no Docker Engine answers, and only root may start one';
  const missing = await installEngine();
  if (missing.length > 0)
    return `no Docker Engine answers, and these cannot be installed: ${missing.join(', ')}`;
  // Where there is an init system, the package has started one by itself.
  if (existsSync('/run/docker.pid') && process.env['DOCKER_HOST'] === undefined)
    return await waitFor(async () => ((await reachable(env)) ? env : undefined), {
      what: 'the installed dockerd to answer',
    });
  return await startEngine(env, folder, stops);
}

/** Settings of the docker command, the user's own ones with them, in a folder that may get plugins. */
async function ownDockerConfig(folder: string): Promise<NodeJS.ProcessEnv> {
  const theirs = process.env['DOCKER_CONFIG'] ?? join(homedir(), '.docker');
  const config = join(folder, 'config');
  if (existsSync(theirs)) await cp(theirs, config, { recursive: true });
  await mkdir(join(config, 'cli-plugins'), { recursive: true });
  // What is set here for a pool of the developer's own must not steer the one under test.
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(SEAM_|COMPOSE_|REDIS_|CONVERGER_|STATSD_)/.test(name),
  );
  return { ...Object.fromEntries(kept), DOCKER_CONFIG: config };
}

async function reachable(env: NodeJS.ProcessEnv): Promise<boolean> {
  if (findProgram('docker') === undefined) return false;
  return await succeeds(run('docker', ['info'], { env, timeout: 20_000 }));
}

async function succeeds(work: Promise<unknown>): Promise<boolean> {
  return await work.then(
    () => true,
    () => false,
  );
}

const ENGINE: readonly Program[] = [
  { command: 'dockerd', debianPackage: 'docker.io' },
  { command: 'iptables', debianPackage: 'iptables' },
  { command: 'debootstrap', debianPackage: 'debootstrap' },
];
/** A package of its own in newer Debian, part of docker.io before. */
const CLIENT: Program = { command: 'docker', debianPackage: 'docker-cli' };
/** Another test may be installing: apt does not wait. */
const INSTALL_TRIES = 3;

/** @returns what is still missing */
async function installEngine(): Promise<readonly string[]> {
  let missing: readonly Program[] = ENGINE;
  for (let tries = 0; tries < INSTALL_TRIES && missing.length > 0; tries += 1)
    missing = await installMissing(ENGINE);
  if (missing.length === 0) missing = await installMissing([CLIENT]);
  return missing.map(({ debianPackage }) => debianPackage);
}

async function startEngine(
  env: NodeJS.ProcessEnv,
  folder: string,
  stops: AsyncDisposableStack,
): Promise<NodeJS.ProcessEnv> {
  const socket = `unix://${join(folder, 'docker.sock')}`;
  const logFile = join(folder, 'dockerd.log');
  const log = await open(logFile, 'w');
  const args = [
    ['--data-root', join(folder, 'data')],
    ['--exec-root', join(folder, 'exec')],
    ['--pidfile', join(folder, 'docker.pid')],
    ['--host', socket],
  ].flat();
  const daemon = spawn(findProgram('dockerd') ?? 'dockerd', args, {
    stdio: ['ignore', log.fd, log.fd],
  });
  await log.close();
  stops.defer(async () => {
    await stopDaemon(daemon);
    await unmountBelow(folder);
  });
  const own = { ...env, DOCKER_HOST: socket };
  try {
    await waitFor(async () => daemon.exitCode !== null || (await reachable(own)), {
      what: 'dockerd to answer',
      timeoutMs: MINUTE,
    });
    if (daemon.exitCode === null) return own;
  } catch {
    // Its last words say more than the time that ran out.
  }
  const words = (await readFile(logFile, 'utf8')).trim().split('\n').slice(-3).join('\n');
  throw new Error(`Cannot start dockerd: ${words}`);
}

async function stopDaemon(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  const gone = new Promise((resolve) => daemon.once('exit', resolve));
  daemon.kill('SIGTERM');
  const patience = setTimeout(() => daemon.kill('SIGKILL'), MINUTE);
  await gone;
  clearTimeout(patience);
}

/** dockerd mounts its data folder on itself, and may leave that behind. */
async function unmountBelow(folder: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n');
  const paths = mounts.map((line) => line.split(' ')[1] ?? '');
  for (const path of paths.filter((one) => one.startsWith(`${folder}/`)).toReversed())
    await run('umount', ['--lazy', path]);
}

/** The base image, and the compose and buildx plugins: from Debian, too, where the machine has none. */
async function bringPlugins(
  engine: DockerEngine,
  env: NodeJS.ProcessEnv,
  folder: string,
  stops: AsyncDisposableStack,
): Promise<void> {
  if (!(await succeeds(engine.docker(['image', 'inspect', BASE_IMAGE])))) {
    await bringBaseImage(engine, env, folder);
    stops.defer(async () => void (await succeeds(removeImage(env, BASE_IMAGE))));
  }
  const has = async (plugin: string) => await succeeds(engine.docker([plugin, 'version']));
  if ((await has('compose')) && (await has('buildx'))) return;
  const container = (
    await engine.docker(['run', '--detach', BASE_IMAGE, 'sh', '-c', DOWNLOAD_PLUGINS])
  ).trim();
  try {
    const code = await engine.docker(['wait', container], { timeoutMs: 3 * MINUTE });
    if (code.trim() !== '0') throw new Error(await engine.docker(['logs', container]));
    const into = join(env['DOCKER_CONFIG'] ?? '', 'cli-plugins');
    await engine.docker(['cp', `${container}:/plugins/usr/libexec/docker/cli-plugins/.`, into]);
    for (const name of await readdir(into)) await chmod(join(into, name), 0o755);
  } finally {
    await succeeds(engine.docker(['rm', '--force', container]));
  }
}

const DOWNLOAD_PLUGINS = `set -e
apt-get update -q
cd /tmp
apt-get download -q docker-compose docker-buildx
for package in *.deb; do dpkg -x "$package" /plugins; done`;

async function removeImage(env: NodeJS.ProcessEnv, name: string): Promise<void> {
  await run('docker', ['image', 'rm', '--force', name], { env, timeout: MINUTE });
}

async function bringBaseImage(
  engine: DockerEngine,
  env: NodeJS.ProcessEnv,
  folder: string,
): Promise<void> {
  if (await succeeds(engine.docker(['pull', BASE_IMAGE], { timeoutMs: 2 * MINUTE }))) return;
  if (findProgram('debootstrap') === undefined)
    throw new Error(`${BASE_IMAGE} cannot be pulled, and there is no debootstrap to make it`);
  const root = join(folder, 'trixie');
  await run('debootstrap', ['--variant=minbase', 'trixie', root, debianMirror()], {
    timeout: 5 * MINUTE,
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  const pack = `tar -C '${root}' --exclude './var/cache/apt/*' --exclude './var/lib/apt/lists/*' -c .`;
  await run('/bin/sh', ['-c', `${pack} | docker import - ${BASE_IMAGE}`], {
    env,
    timeout: 2 * MINUTE,
  });
  await rm(root, { recursive: true, force: true });
}

/** Where this host gets its Debian packages from. */
function debianMirror(): string {
  const files = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list'];
  const text = files
    .filter((path) => existsSync(path))
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n');
  const line = /^(?:URIs:\s*|deb\s+(?:\[[^\]]*\]\s+)?)(\S+\/debian\/?)(?:\s|$)/m;
  return line.exec(text)?.[1] ?? 'http://deb.debian.org/debian';
}
