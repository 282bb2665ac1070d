/**
 * One helper (Redis, devchain, HAProxy, a converger, a demo miner): started, watched, started again when it ends.
 * One that is already running from an earlier launcher is adopted.
 */
import { afterExit, type Exits } from '#services/converger/core/hold-back.ts';
import {
  forgetRecord,
  isAlive,
  launchProcess,
  listRecords,
  type ProcessFolder,
  type ProcessLaunch,
  type ProcessRecord,
  signalProcess,
} from '#libs/runtime/process-records.ts';

export interface HelperOptions {
  readonly folder: ProcessFolder;
  readonly launch: ProcessLaunch;
  readonly say: (text: string) => void;
}

const LOOK_MS = 500;

export class HelperProcess {
  readonly #options: HelperOptions;
  #record: ProcessRecord | undefined;
  #exits: Exits | undefined;
  #lastCode: number | null = null;
  #timer: NodeJS.Timeout | undefined;
  #isStopping = false;
  #isBusy = false;

  constructor(options: HelperOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.launch.name;
  }

  /** Exit code of its last end, if it ended as our child. */
  get lastCode(): number | null {
    return this.#lastCode;
  }

  get isRunning(): boolean {
    return this.#record !== undefined;
  }

  /** Starts or adopts it, and keeps it running from now on. */
  async start(): Promise<void> {
    await this.#look();
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
  }

  /** Ends it: asks, and kills what did not listen within `graceMs`. */
  async stop(signal: NodeJS.Signals, graceMs: number): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#timer);
    const record = this.#record;
    if (record === undefined) return;
    await stopProcess(this.#options.folder, record, signal, graceMs);
    this.#record = undefined;
  }

  async #look(): Promise<void> {
    if (this.#isBusy || this.#isStopping) return;
    this.#isBusy = true;
    try {
      await this.#ensure(Date.now());
    } catch (error) {
      this.#options.say(
        `${this.name}: ${error instanceof Error ? error.message : 'cannot be started'}`,
      );
    } finally {
      this.#isBusy = false;
    }
  }

  async #ensure(nowMs: number): Promise<void> {
    const { folder, launch, say } = this.#options;
    if (this.#record !== undefined && (await isAlive(this.#record, nowMs))) return;
    if (this.#record !== undefined) {
      const ranMs = nowMs - this.#record.createdMs;
      this.#exits = afterExit(this.#exits, ranMs, null, nowMs);
      say(`${launch.name} ended after ${Math.round(ranMs / 1_000)} s: starting it again`);
      await forgetRecord(folder, this.#record);
      this.#record = undefined;
    }
    if ((this.#exits?.heldBackUntilMs ?? 0) > nowMs) return;
    this.#record = (await this.#adopt(nowMs)) ?? (await this.#launch(nowMs));
  }

  async #adopt(nowMs: number): Promise<ProcessRecord | undefined> {
    const { folder, launch } = this.#options;
    const known = (await listRecords(folder)).find((record) => record.name === launch.name);
    if (known === undefined) return undefined;
    if (await isAlive(known, nowMs)) return known;
    await forgetRecord(folder, known);
    return undefined;
  }

  async #launch(nowMs: number): Promise<ProcessRecord | undefined> {
    const { folder, launch } = this.#options;
    return await launchProcess(folder, launch, nowMs, (code) => {
      this.#lastCode = code;
    });
  }
}

/** Asks a process to end, waits, kills it if it did not, and removes its record. */
export async function stopProcess(
  folder: ProcessFolder,
  record: ProcessRecord,
  signal: NodeJS.Signals,
  graceMs: number,
): Promise<void> {
  await signalProcess(record, signal);
  const endMs = Date.now() + graceMs;
  while ((await isAlive(record, Date.now())) && Date.now() < endMs)
    await new Promise((resolve) => setTimeout(resolve, 50));
  if (await isAlive(record, Date.now())) {
    await signalProcess(record, 'SIGKILL');
    while (await isAlive(record, Date.now()))
      await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await forgetRecord(folder, record);
}
