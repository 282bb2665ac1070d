/** `seam up`: brings up the whole mesh on this host and stays with it, or leaves it behind with `--detach`. */
import { join } from 'node:path';
import { inheritedEnvironment } from '#libs/runtime/inherited-environment.ts';
import {
  forgetRecord,
  isAlive,
  launchProcess,
  listRecords,
  type ProcessFolder,
  type ProcessRecord,
} from '#libs/runtime/process-records.ts';
import { ownerOfPort } from '#libs/runtime/port-owner.ts';
import { forgetProgress, type ProgressLine, readProgress } from '#tools/launcher/progress-file.ts';
import { ensurePrograms, HAPROXY, REDIS } from '../debian-packages.ts';
import { configPath, loadConfig } from '../load-config.ts';
import { freePort, isPortFree } from '../ports.ts';
import { prepareRunFolder, ROOT, type RunFolder, runFolder } from '../run-folder.ts';
import { CommandError, EXIT, progress } from '../terminal.ts';
import { version } from '../version.ts';
import { down } from './down.ts';
import { liveLine } from './live-line.ts';
import { printStatus } from './status.ts';

export interface UpOptions {
  readonly runDir?: string;
  readonly config?: string;
  readonly detach?: boolean;
  readonly miners: string;
}

const LAUNCHER = 'launcher';
const POLL_MS = 100;

export async function up(options: UpOptions): Promise<void> {
  await ensurePrograms(process.env['REDIS_URL'] === undefined ? [REDIS, HAPROXY] : [HAPROXY]);
  const folder = runFolder(options.runDir);
  const facts = await prepareRunFolder(folder, freePort);
  const running = await livingLauncher(folder);
  if (running === undefined) {
    const loaded = loadConfig(options.config, folder, facts);
    const { http, listeners } = loaded.config;
    const helpers = await livingHelpers(folder);
    if (!helpers.some((record) => record.name === 'haproxy')) {
      await checkPorts([
        ...listeners.map(({ port }) => [port, '0.0.0.0'] as const),
        [http.port, '0.0.0.0'],
        [http.operatorPort, '127.0.0.1'],
      ]);
    }
    await startLauncher(folder, options);
  } else progress('the mesh is already up');
  await followProgress(folder);
  await printStatus(folder, false);
  if (options.detach === true || running !== undefined) return;
  await stayWith(folder);
}

function helperFolder(folder: RunFolder): ProcessFolder {
  return { records: folder.helpers, logs: folder.logs };
}

async function livingHelpers(folder: RunFolder): Promise<readonly ProcessRecord[]> {
  const records = await listRecords(helperFolder(folder));
  const alive = await Promise.all(records.map((record) => isAlive(record, Date.now())));
  return records.filter((_, index) => alive[index]);
}

export async function livingLauncher(folder: RunFolder): Promise<ProcessRecord | undefined> {
  return (await livingHelpers(folder)).find((record) => record.name === LAUNCHER);
}

async function checkPorts(
  ports: readonly (readonly [port: number, host: string])[],
): Promise<void> {
  const problems: string[] = [];
  for (const [port, host] of ports) {
    if (!(await isPortFree(port, host)))
      problems.push(`port ${port} is taken by ${await ownerOfPort(port)}`);
  }
  if (problems.length > 0)
    throw new CommandError(`Cannot come up: ${problems.join('; ')}`, EXIT.config);
}

async function startLauncher(folder: RunFolder, options: UpOptions): Promise<void> {
  const dead = (await listRecords(helperFolder(folder))).find((record) => record.name === LAUNCHER);
  if (dead !== undefined) await forgetRecord(helperFolder(folder), dead);
  forgetProgress(folder.path);
  const path = configPath(options.config);
  const record = await launchProcess(
    helperFolder(folder),
    {
      name: LAUNCHER,
      group: 'launcher',
      version: version(),
      command: process.execPath,
      args: [
        join(ROOT, 'tools', 'launcher', 'main.ts'),
        '--run-dir',
        folder.path,
        ...(path === undefined ? [] : ['--config', path]),
        '--miners',
        options.miners,
      ],
      env: inheritedEnvironment(),
      cwd: folder.path,
    },
    Date.now(),
  );
  if (record === undefined)
    throw new CommandError('Cannot start the launcher: somebody else starts it right now');
  progress(`starting in ${folder.path}`);
}

/** Shows how far the launcher is, until the mesh serves or it gave up. */
async function followProgress(folder: RunFolder): Promise<void> {
  let shown = 0;
  for (;;) {
    const lines = safeProgress(folder);
    for (const line of lines.slice(shown)) if ('text' in line) progress(line.text);
    shown = Math.max(shown, lines.length);
    const failed = lines.find((line) => 'failed' in line);
    if (failed !== undefined) {
      await down({ runDir: folder.path, quiet: true });
      throw new CommandError(`${failed.failed}\n  logs: ${folder.logs}`, failed.exitCode);
    }
    if (lines.some((line) => 'ready' in line)) return;
    if ((await livingLauncher(folder)) === undefined)
      throw new CommandError(`The launcher ended: look into ${join(folder.logs, 'launcher.log')}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function safeProgress(folder: RunFolder): readonly ProgressLine[] {
  try {
    return readProgress(folder.path);
  } catch {
    return []; // Not written yet.
  }
}

/** A live line until Ctrl-C, which ends the mesh. */
async function stayWith(folder: RunFolder): Promise<void> {
  progress('Ctrl-C stops everything; `./seam up --detach` leaves it running');
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  const line = liveLine(folder, stop.signal);
  while (!stop.signal.aborted && (await livingLauncher(folder)) !== undefined) {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, 500);
      stop.signal.addEventListener(
        'abort',
        () => {
          clearTimeout(timer);
          resolve(undefined);
        },
        { once: true },
      );
    });
  }
  await line;
  if (stop.signal.aborted) await down({ runDir: folder.path });
  else progress('the mesh was stopped');
}
