/** What the launcher starts: everything that is not a service, and the convergers, which start the services. */
import { join } from 'node:path';
import { inheritedEnvironment } from '#libs/runtime/inherited-environment.ts';
import type { ProcessLaunch } from '#libs/runtime/process-records.ts';
import { findProgram } from '#tools/cli/debian-packages.ts';
import type { LoadedConfig } from '#tools/cli/load-config.ts';
import { ROOT, redisUrlOf, type RunFacts, type RunFolder } from '#tools/cli/run-folder.ts';

export interface LauncherWorld {
  readonly folder: RunFolder;
  readonly facts: RunFacts;
  readonly loaded: LoadedConfig;
  readonly version: string;
}

function program(command: string): string {
  const path = findProgram(command);
  if (path === undefined) throw new Error(`Cannot start ${command}: it is not installed`);
  return path;
}

function launch(
  world: LauncherWorld,
  name: string,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ProcessLaunch {
  const { version, folder } = world;
  return {
    name,
    group: 'helpers',
    version,
    command,
    args,
    env: { ...inheritedEnvironment(), ...env },
    cwd: folder.path,
  };
}

export function redisLaunch(world: LauncherWorld): ProcessLaunch {
  return launch(world, 'redis', program('redis-server'), [
    join(world.folder.path, 'redis', 'redis.conf'),
  ]);
}

/** Books need the append-only file at every write; batches of one second make that cheap. */
export function redisConf(world: LauncherWorld): string {
  const { folder, facts } = world;
  return [
    `port ${facts.redisPort}`,
    'bind 127.0.0.1',
    `dir ${join(folder.path, 'redis')}`,
    `requirepass ${facts.redisPassword}`,
    'appendonly yes',
    'appendfsync always',
    'save ""',
    'maxmemory-policy noeviction',
    '',
  ].join('\n');
}

export function devchainLaunch(world: LauncherWorld): ProcessLaunch {
  const { folder, facts } = world;
  return launch(world, 'devchain', process.execPath, [
    join(ROOT, 'tools', 'devchain', 'main.ts'),
    '--folder',
    join(folder.path, 'devchain'),
    '--rpc-port',
    String(facts.devchainRpcPort),
    '--zmq-port',
    String(facts.devchainZmqPort),
    '--user',
    'seam',
    '--password-file',
    join(folder.path, 'devchain', 'password'),
    '--demo',
    // A block every few seconds with three demo miners.
    '--bits',
    '1e1fffff',
  ]);
}

export function convergerLaunch(world: LauncherWorld, ordinal: number): ProcessLaunch {
  return launch(
    world,
    `converger-${ordinal}`,
    process.execPath,
    [join(ROOT, 'services', 'converger', 'main.ts')],
    {
      REDIS_URL: redisUrlOf(world.facts),
      SEAM_MESH_SECRET_FILE: world.folder.secretFile,
      SEAM_RUN_DIR: world.folder.path,
      SEAM_INSTANCE: `converger-${ordinal}`,
      SEAM_VERSION: world.version,
    },
  );
}

export function haproxyLaunch(world: LauncherWorld): ProcessLaunch {
  const folder = join(world.folder.path, 'haproxy');
  return launch(world, 'haproxy', program('haproxy'), [
    '-W',
    '-db',
    '-f',
    join(folder, 'haproxy.cfg'),
    '-S',
    join(folder, 'master.sock'),
  ]);
}

/** [H/s] of one demo miner: little enough to leave the machine to its owner. */
const DEMO_HASHRATE_HPS = 50_000;

export function minerLaunch(world: LauncherWorld, ordinal: number, port: number): ProcessLaunch {
  const address = world.facts.devchainAddresses[ordinal] ?? world.facts.devchainAddresses[0] ?? '';
  return launch(world, `demo-miner-${ordinal}`, process.execPath, [
    join(ROOT, 'tools', 'miner', 'main.ts'),
    '--url',
    `stratum+tcp://127.0.0.1:${port}`,
    '--user',
    `${address}.demo${ordinal}`,
    '--algorithm',
    'sha256d',
    '--version-rolling',
    '--hashrate-limit',
    String(DEMO_HASHRATE_HPS),
    '--reconnect',
  ]);
}
