/** Programs Seam runs on that come from Debian: found, installed when root, or named exactly. */
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { CommandError, EXIT, progress } from './terminal.ts';

const run = promisify(execFile);

export interface Program {
  readonly command: string;
  readonly debianPackage: string;
  /** Lowest version as major.minor, checked when given. */
  readonly atLeast?: readonly [number, number];
}

export const REDIS: Program = {
  command: 'redis-server',
  debianPackage: 'redis-server',
  atLeast: [7, 0],
};
export const HAPROXY: Program = { command: 'haproxy', debianPackage: 'haproxy', atLeast: [2, 6] };
export const LITECOIND: Program = { command: 'litecoind', debianPackage: 'litecoind' };

/** Where a program is, in PATH or the folders of the system's own programs. */
export function findProgram(command: string): string | undefined {
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    '/usr/sbin',
    '/usr/local/sbin',
    '/sbin',
  ];
  return folders.map((folder) => join(folder, command)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // Not there, or not for us.
  }
}

/** Installs what is missing when that is allowed. @returns the programs still missing */
export async function installMissing(programs: readonly Program[]): Promise<readonly Program[]> {
  const missing = programs.filter(({ command }) => findProgram(command) === undefined);
  if (missing.length === 0) return [];
  if (process.getuid?.() !== 0 || findProgram('apt-get') === undefined) return missing;
  const names = missing.map(({ debianPackage }) => debianPackage);
  progress(`installing Debian packages ${names.join(', ')} ...`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    await run('apt-get', ['update', '-q'], { env });
    await run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...names], {
      env,
      maxBuffer: 1 << 26,
    });
  } catch (error) {
    progress(
      `apt-get failed: ${error instanceof Error ? (error.message.split('\n').at(-2) ?? error.message) : 'unknown'}`,
    );
  }
  return missing.filter(({ command }) => findProgram(command) === undefined);
}

/** @throws {CommandError} naming what to install, or whose version is too old */
export async function ensurePrograms(programs: readonly Program[]): Promise<void> {
  const missing = await installMissing(programs);
  if (missing.length > 0) {
    const names = missing.map(({ debianPackage }) => debianPackage).join(' ');
    throw new CommandError(
      `Cannot go on without ${missing.map(({ command }) => command).join(' and ')}: run as root: apt-get install ${names}`,
      EXIT.unavailable,
    );
  }
  for (const program of programs) await checkVersion(program);
}

async function checkVersion({ command, atLeast }: Program): Promise<void> {
  const path = findProgram(command);
  if (atLeast === undefined || path === undefined) return;
  const { stdout } = await run(path, [command === 'haproxy' ? '-v' : '--version']);
  const [, major, minor] = /(?:v=|version )(\d+)\.(\d+)/.exec(stdout) ?? [];
  const found = [Number(major), Number(minor)] as const;
  if (major === undefined)
    throw new CommandError(
      `Cannot tell the version of ${path}: it printed ${stdout.slice(0, 80)}`,
      EXIT.unavailable,
    );
  if (found[0] < atLeast[0] || (found[0] === atLeast[0] && found[1] < atLeast[1])) {
    throw new CommandError(
      `Cannot use ${path} ${found.join('.')}: needs at least ${atLeast.join('.')}`,
      EXIT.unavailable,
    );
  }
}
