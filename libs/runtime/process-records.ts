/**
 * Processes that outlive whoever started them: each in a session of its own, output to a file, and a record on disk
 * (pid, start time, group, name) by which any process of the host can find, watch and stop it.
 *
 * Note [Name collision]
 * A record file is created exclusively before the process is: two starters of the same name collide there, and only
 * one process comes to be. The record of a dead process is removed by renaming it away first, so only one remover wins.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';

const processRecord = z.object({
  name: z.string(),
  group: z.string(),
  pid: z.int().min(0).describe('0: being started'),
  /** Start time of the process as the kernel tells it: a pid that was given to another process is recognised. */
  startTime: z.string(),
  createdMs: z.number(),
  version: z.string(),
});
export type ProcessRecord = z.infer<typeof processRecord>;

export interface ProcessLaunch {
  readonly name: string;
  readonly group: string;
  readonly version: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

export interface ProcessFolder {
  /** Where records are, such as `<runDir>/instances`. */
  readonly records: string;
  /** Where output goes: `<name>.log`, appended. */
  readonly logs: string;
}

/** [ms] A record without a pid that is older was left by a starter that died between record and process. */
const STARTING_MAX_MS = 10_000;
const LOG_BYTES_MAX = 64 * 1024 * 1024;

function recordPath(folder: ProcessFolder, name: string): string {
  return join(folder.records, `${name}.json`);
}

/** The kernel's start time of a process, and whether it still runs (a zombie does not). */
async function startTimeOf(pid: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' '); // The command may hold blanks and brackets.
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined; // No such process.
  }
}

/** Whether the process of a record still runs. */
export async function isAlive(record: ProcessRecord, nowMs: number): Promise<boolean> {
  if (record.pid === 0) return nowMs - record.createdMs < STARTING_MAX_MS;
  const startTime = await startTimeOf(record.pid);
  return startTime !== undefined && startTime === record.startTime;
}

async function openLog(folder: ProcessFolder, name: string): Promise<number> {
  const path = join(folder.logs, `${name}.log`);
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size > LOG_BYTES_MAX) await rename(path, `${path}.1`);
  return openSync(path, 'a', 0o640);
}

/** @returns the file handle's path, or undefined if the name is taken */
async function createRecord(folder: ProcessFolder, record: ProcessRecord): Promise<boolean> {
  try {
    const file = await open(recordPath(folder, record.name), 'wx', 0o640);
    await file.writeFile(JSON.stringify(record));
    await file.close();
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Starts a process in a session of its own. `onExit` is told when it ends, as long as we live.
 *
 * @returns its record, or undefined if the name is taken (See Note [Name collision])
 */
export async function launchProcess(
  folder: ProcessFolder,
  launch: ProcessLaunch,
  nowMs: number,
  onExit?: (code: number | null, signal: NodeJS.Signals | null) => void,
): Promise<ProcessRecord | undefined> {
  await mkdir(folder.records, { recursive: true });
  await mkdir(folder.logs, { recursive: true });
  const { name, group, version } = launch;
  const starting: ProcessRecord = { name, group, version, pid: 0, startTime: '', createdMs: nowMs };
  if (!(await createRecord(folder, starting))) return undefined;
  try {
    const pid = await spawnDetached(folder, launch, onExit);
    const record = { ...starting, pid, startTime: (await startTimeOf(pid)) ?? 'gone' };
    const temp = `${recordPath(folder, name)}.${pid}.tmp`;
    await writeFile(temp, JSON.stringify(record), { mode: 0o640 });
    await rename(temp, recordPath(folder, name));
    return record;
  } catch (error) {
    await rm(recordPath(folder, name), { force: true });
    throw new Error(`Cannot start ${name}: ${launch.command} did not start`, { cause: error });
  }
}

async function spawnDetached(
  folder: ProcessFolder,
  launch: ProcessLaunch,
  onExit?: (code: number | null, signal: NodeJS.Signals | null) => void,
): Promise<number> {
  const log = await openLog(folder, launch.name);
  try {
    const child = spawn(launch.command, launch.args, {
      cwd: launch.cwd,
      env: { ...launch.env },
      detached: true,
      stdio: ['ignore', log, log],
    });
    child.once('exit', (code, signal) => onExit?.(code, signal));
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    if (child.pid === undefined) throw new Error('no pid');
    return child.pid;
  } finally {
    closeSync(log);
  }
}

/** Every record of the folder that can be read, sorted by name. */
export async function listRecords(folder: ProcessFolder): Promise<readonly ProcessRecord[]> {
  const names = await readdir(folder.records).catch(() => []);
  const records = await Promise.all(
    names
      .filter((name) => name.endsWith('.json'))
      .toSorted()
      .map((name) => readRecord(join(folder.records, name))),
  );
  return records.filter((record) => record !== undefined);
}

async function readRecord(path: string): Promise<ProcessRecord | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined; // Removed meanwhile.
  try {
    return processRecord.parse(JSON.parse(text));
  } catch {
    return halfWritten(path);
  }
}

/** A record whose starter was killed while it wrote: dead as soon as it is old. */
async function halfWritten(path: string): Promise<ProcessRecord | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return undefined;
  const name = basename(path, '.json');
  return { name, group: '', pid: 0, startTime: '', createdMs: found.mtimeMs, version: '' };
}

/** Sends a signal to the process of a record, if it is still that process. @returns whether it was sent */
export async function signalProcess(
  record: ProcessRecord,
  signal: NodeJS.Signals,
): Promise<boolean> {
  if (record.pid === 0 || (await startTimeOf(record.pid)) !== record.startTime) return false;
  try {
    process.kill(record.pid, signal);
    return true;
  } catch {
    return false; // It ended between look and kill.
  }
}

/** Removes the record of a process that is gone, so that its name is free. @returns whether we were the one who did */
export async function forgetRecord(folder: ProcessFolder, record: ProcessRecord): Promise<boolean> {
  const path = recordPath(folder, record.name);
  const current = await readRecord(path);
  if (current?.pid !== record.pid || current.startTime !== record.startTime) return false;
  const away = `${path}.${record.pid}.gone`;
  try {
    await rename(path, away);
    await rm(away, { force: true });
    return true;
  } catch {
    return false; // Somebody else was faster.
  }
}
