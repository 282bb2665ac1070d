/**
 * The process driver: instances are processes of this host in sessions of their own. Their records in the run folder
 * let any converger adopt them, so the death of a converger never touches them.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import {
  forgetRecord,
  isAlive,
  launchProcess,
  listRecords,
  type ProcessFolder,
  type ProcessRecord,
  signalProcess,
} from '#libs/runtime/process-records.ts';
import { serviceOf } from '../../core/groups.ts';
import type { DriverProcess } from '../../core/model.ts';
import type { Driver, DriverExit } from './driver.ts';

export interface ProcessDriverOptions {
  /** Root of the program, where `services/` is. */
  readonly root: string;
  readonly folder: ProcessFolder;
  readonly version: string;
  /** Environment every instance gets. */
  readonly environment: Readonly<Record<string, string>>;
  readonly log: Logger;
  readonly nowMs: () => number;
}

/** [ms] between looks at processes that are not our children. */
const LOOK_MS = 1_000;

export function createProcessDriver(options: ProcessDriverOptions): Driver {
  return new ProcessDriver(options);
}

class ProcessDriver implements Driver {
  readonly #options: ProcessDriverOptions;
  readonly #listeners = new Set<(exit: DriverExit) => void>();
  /** Alive at the last look, by name: who is missing at the next one has ended. */
  #alive = new Map<string, ProcessRecord>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: ProcessDriverOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
  }

  async list(): Promise<readonly DriverProcess[]> {
    const { folder, nowMs } = this.#options;
    const records = await listRecords(folder);
    return await Promise.all(
      records.map(async (record) => {
        const { name, group, createdMs } = record;
        return { name, group, createdMs, isAlive: await isAlive(record, nowMs()) };
      }),
    );
  }

  async start(group: string, name: string): Promise<'started' | 'name_taken'> {
    const { root, folder, version, environment, nowMs } = this.#options;
    const service = serviceOf(group);
    if (service === undefined)
      throw new Error(`Cannot start ${name}: group ${group} names no service`);
    const record = await launchProcess(
      folder,
      {
        name,
        group,
        version,
        command: process.execPath,
        args: [join(root, 'services', service.role, 'main.ts')],
        env: {
          ...environment,
          SEAM_INSTANCE: name,
          SEAM_GROUP: group,
          ...(service.chain === undefined ? {} : { SEAM_CHAIN: service.chain }),
        },
        cwd: root,
      },
      nowMs(),
      (code) => this.#exited(name, code),
    );
    if (record === undefined) return 'name_taken';
    this.#alive.set(name, record);
    return 'started';
  }

  async stop(name: string, how: 'drain' | 'kill'): Promise<void> {
    const record = await this.#record(name);
    if (record !== undefined) await signalProcess(record, how === 'drain' ? 'SIGTERM' : 'SIGKILL');
  }

  async forget(name: string): Promise<void> {
    const { folder, nowMs } = this.#options;
    const record = await this.#record(name);
    if (record !== undefined && !(await isAlive(record, nowMs())))
      await forgetRecord(folder, record);
  }

  onExit(listener: (exit: DriverExit) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#listeners.clear();
  }

  async #record(name: string): Promise<ProcessRecord | undefined> {
    return (await listRecords(this.#options.folder)).find((record) => record.name === name);
  }

  async #look(): Promise<void> {
    const { folder, nowMs, log } = this.#options;
    try {
      const alive = new Map<string, ProcessRecord>();
      for (const record of await listRecords(folder))
        if (await isAlive(record, nowMs())) alive.set(record.name, record);
      const gone = [...this.#alive.keys()].filter((name) => !alive.has(name));
      for (const [name, record] of alive) this.#alive.set(name, record);
      for (const name of gone) this.#exited(name, null);
    } catch (error) {
      log.warn({ err: error }, 'cannot look at processes');
    }
  }

  #exited(name: string, code: number | null): void {
    const record = this.#alive.get(name);
    if (record === undefined) return; // Told before.
    this.#alive.delete(name);
    const exit = {
      name,
      group: record.group,
      code,
      ranMs: this.#options.nowMs() - record.createdMs,
    };
    for (const listener of this.#listeners) listener(exit);
  }
}
