/**
 * Disks with journals, the shares Redis, reporters, and the calls between them. Real: record codec, shipper, applier and
 * fold. Not real: the file system (`libs/journal/*.test.ts` have it) and the apply script, which is modelled by what it
 * promises (`services/reporter/io/apply-batch.test.ts` holds the script to that on a real Redis).
 */
import { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Redis } from 'ioredis';
import type { Bus, CallOptions } from '#libs/bus/bus.ts';
import { BusError } from '#libs/bus/errors.ts';
import { type SharesApplied, type SharesApply, sharesApply } from '#libs/contracts/shares-apply.ts';
import { JournalError } from '#libs/journal/errors.ts';
import type { Journal, JournalSlice } from '#libs/journal/journal.ts';
import { readWatermark } from '#libs/journal/journal-store.ts';
import type { JournalRecord } from '#libs/journal/record.ts';
import { quietLog } from '#libs/journal/record.fixture.ts';
import { encodeRecord } from '#libs/journal/record-codec.ts';
import { createShipper } from '#libs/journal/shipper.ts';
import { ENTRY_BYTES } from '#services/reporter/core/fold-batch.ts';
import { createApplier } from '#services/reporter/io/applier.ts';
import { createMetrics } from '#services/reporter/metrics.ts';
import type { Process } from './clock.ts';
import { CHAIN } from './jobs.ts';
import { count, die, EPOCH_MS, happened, moment, type World } from './world.ts';

/** A journal as it lies on the disk of the host. */
export interface Disk {
  readonly id: string;
  readonly frames: Uint8Array[];
  owner: Process;
}

/** When a process dies around its next write. */
export type DeathAtWrite = 'before' | 'after';

/** [records] in one batch at most here, so that there are many */
const BATCH_MAX = 12;

class DiskJournal implements Journal {
  readonly chain = CHAIN;
  readonly isExhausted = false;
  readonly #disk: Disk;
  readonly #world: World;
  readonly #deaths: Map<Process, DeathAtWrite>;
  readonly #process: Process;
  #pending: Uint8Array[] = [];
  #acknowledged = 0;

  constructor(world: World, disk: Disk, deaths: Map<Process, DeathAtWrite>) {
    this.#world = world;
    this.#disk = disk;
    this.#deaths = deaths;
    this.#process = disk.owner;
  }

  get id(): string {
    return this.#disk.id;
  }
  get nextIndex(): number {
    return this.flushedIndex + this.#pending.length;
  }
  get flushedIndex(): number {
    return this.#disk.frames.length;
  }
  get acknowledged(): number {
    return this.#acknowledged;
  }

  append(record: JournalRecord): number {
    this.#pending.push(encodeRecord(record));
    return this.nextIndex - 1;
  }

  flush(): void {
    const frames = this.#pending;
    this.#pending = [];
    if (frames.length === 0) return;
    const death = this.#deaths.get(this.#process);
    if (death !== undefined) {
      this.#deaths.delete(this.#process);
      if (!this.#process.isDead) happened(this.#world, `died ${death} write`, this.#process.name);
    }
    if (death === 'before') die(this.#world, this.#process);
    if (this.#process.isDead) return;
    if (this.#world.dice.chance(this.#world.faults.writeFails)) {
      count(this.#world, 'writes failed');
      throw new JournalError('no_space', this.id, 'the disk is full');
    }
    this.#disk.frames.push(...frames);
    if (death === 'after') die(this.#world, this.#process);
  }

  async read(from: number, recordsMax = BATCH_MAX): Promise<JournalSlice> {
    if (from > this.flushedIndex) throw new RangeError('Cannot read behind the end');
    const frames = this.#disk.frames.slice(from, from + Math.min(recordsMax, BATCH_MAX));
    return { lost: false, from, to: from + frames.length, packed: Buffer.concat(frames) };
  }

  acknowledge(index: number): void {
    this.#acknowledged = index;
  }
  skipTo(): void {
    throw new Error('A store never knows more than the disk here');
  }
  unsettledCandidates(): readonly [] {
    return [];
  }
  async sync(): Promise<void> {}
  async prune(): Promise<void> {}
  async remove(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}
}

/** What the shares Redis has, by what the apply script promises of it. */
interface Store {
  readonly watermarks: Map<string, number>;
  /** Bucket's key and identity, hex; how often it was counted. */
  readonly seen: Map<string, number>;
}

export class Books {
  readonly #world: World;
  readonly disks: Disk[] = [];
  readonly deaths = new Map<Process, DeathAtWrite>();
  #store: Store = { watermarks: new Map(), seen: new Map() };
  #snapshots: { readonly atMs: number; readonly store: Store }[] = [];
  #isAway = false;
  #reporters: { readonly process: Process; readonly apply: Apply }[] = [];
  #made = 0;

  constructor(world: World, reporters: number) {
    this.#world = world;
    for (let at = 0; at < reporters; at += 1) this.#startReporter();
    const keep = () => {
      const { watermarks, seen } = this.#store;
      const store = { watermarks: new Map(watermarks), seen: new Map(seen) };
      this.#snapshots = [...this.#snapshots, { atMs: world.clock.nowMs, store }].slice(-4);
      world.clock.post(undefined, 500, keep);
    };
    keep();
  }

  /** Identities (first 12 bytes, hex) and how often each was counted, in all buckets. */
  counted(): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const [key, times] of this.#store.seen) {
      const identity = key.slice(-24);
      sums.set(identity, (sums.get(identity) ?? 0) + times);
    }
    return sums;
  }

  get isShipped(): boolean {
    return this.disks.every(
      ({ id, frames }) => (this.#store.watermarks.get(id) ?? 0) === frames.length,
    );
  }

  /** Called in the process that owns the journal from now on. */
  open(owner: Process): Journal {
    const disk = { id: String(this.disks.length + 1).padStart(32, '0'), frames: [], owner };
    this.disks.push(disk);
    return this.#ship(disk);
  }

  /** Takes what dead processes left; called in the adopter's process. */
  adopt(adopter: Process): void {
    for (const disk of this.disks) {
      if (!disk.owner.isDead || adopter.isDead) continue;
      disk.owner = adopter;
      happened(this.#world, 'journal adopted', `by ${adopter.name}`);
      this.#ship(disk);
    }
  }

  #ship(disk: Disk): Journal {
    const { clock } = this.#world;
    const { owner } = disk;
    const journal = new DiskJournal(this.#world, disk, this.deaths);
    const redis = { hget: (_key: string, id: string) => this.#hget(owner, id) };
    createShipper({
      journal,
      bus: { call: (_target, _rpc, request, options) => this.#call(owner, request, options) } as {
        call: Bus['call'];
      },
      watermark: () => readWatermark(redis as unknown as Redis, CHAIN, disk.id),
      nowMs: () => EPOCH_MS + clock.nowMs,
      log: quietLog,
      metrics: new MetricRegistry(),
    });
    return journal;
  }

  redisAway(): void {
    const { dice, clock } = this.#world;
    if (this.#isAway) return;
    happened(this.#world, 'shares Redis away');
    this.#isAway = true;
    clock.post(undefined, dice.between(100, 4_000), () => {
      this.#isAway = false;
      const older = dice.pick(this.#snapshots);
      if (older === undefined || dice.chance(0.5)) return;
      happened(this.#world, 'shares Redis restored', `as of ${older.atMs}`);
      const { watermarks, seen } = older.store;
      this.#store = { watermarks: new Map(watermarks), seen: new Map(seen) };
    });
  }

  killReporter(): void {
    const { dice, clock } = this.#world;
    const reporter = dice.pick(this.#reporters);
    if (reporter === undefined) return;
    happened(this.#world, 'reporter killed', reporter.process.name);
    die(this.#world, reporter.process);
    this.#reporters = this.#reporters.filter((other) => other !== reporter);
    clock.post(undefined, dice.between(100, 3_000), () => this.#startReporter());
  }

  #startReporter(): void {
    const { clock } = this.#world;
    this.#made += 1;
    const process = clock.spawn(`reporter-${this.#made}`);
    const applier = createApplier({
      redis: {
        evalsha: (_sha: string, keyCount: number, ...parameters: readonly (string | Buffer)[]) =>
          this.#apply(process, keyCount, parameters),
      } as unknown as Redis,
      publish: () => undefined,
      log: quietLog,
      metrics: createMetrics(new MetricRegistry()),
      nowMs: () => EPOCH_MS + clock.nowMs,
    });
    this.#reporters.push({ process, apply: (...call) => applier.apply(...call) });
  }

  /** One call over the bus: lost, doubled or late, there and back. */
  #call(caller: Process, request: unknown, options: CallOptions = {}): Promise<SharesApplied> {
    const { clock, dice, faults } = this.#world;
    const batch = sharesApply.request.parse(request);
    return new Promise((resolve, reject) => {
      clock.post(caller, 5_000, () =>
        reject(new BusError('timeout', sharesApply.name, 'no answer')),
      );
      const reporter = dice.pick(this.#reporters);
      if (reporter === undefined) return;
      const times = dice.chance(faults.callTwice) ? 2 : 1;
      for (let time = 0; time < times; time += 1) {
        if (dice.chance(faults.callLost)) continue;
        clock.post(reporter.process, moment(this.#world, 30), () => {
          reporter.apply(batch, options.attachments ?? []).then(
            (reply) => {
              if (!dice.chance(faults.callLost))
                clock.post(caller, moment(this.#world, 30), () => resolve(reply));
            },
            (error: unknown) =>
              void clock.post(caller, moment(this.#world, 30), () =>
                reject(new BusError('remote', sharesApply.name, String(error))),
              ),
          );
        });
      }
    });
  }

  async #reach(process: Process): Promise<void> {
    const { clock } = this.#world;
    await clock.wait(moment(this.#world), process);
    if (!this.#isAway) return;
    await clock.wait(100, process);
    throw new Error('Connection is closed.');
  }

  async #hget(process: Process, id: string): Promise<string | null> {
    await this.#reach(process);
    const watermark = this.#store.watermarks.get(id);
    return watermark === undefined ? null : String(watermark);
  }

  /** What apply-batch.lua promises of watermark and identities. */
  async #apply(
    process: Process,
    keyCount: number,
    parameters: readonly (string | Buffer)[],
  ): Promise<unknown> {
    await this.#reach(process);
    const head = JSON.parse(String(parameters[keyCount])) as Head;
    const entries = Buffer.from(parameters[keyCount + 1] ?? '');
    const buckets = parameters.slice(5, 5 + head.buckets).map(String);
    const { watermarks, seen } = this.#store;
    const watermark = watermarks.get(head.journal) ?? 0;
    if (watermark !== head.from) {
      count(this.#world, 'batches out of step');
      return [0, watermark, 0, 0];
    }
    watermarks.set(head.journal, head.to);
    let [counted, repeated] = [0, 0];
    for (let at = 0; at < entries.length; at += ENTRY_BYTES) {
      const identity = entries.toString('hex', at, at + 12);
      const key = `${buckets[entries.readUInt16LE(at + 12)]} ${identity}`;
      if (seen.has(key)) repeated += 1;
      else counted += 1;
      if (!seen.has(key)) seen.set(key, 1);
    }
    count(this.#world, 'batches applied');
    count(this.#world, 'records the books dropped as known', repeated);
    return [1, head.to, counted, repeated];
  }
}

type Apply = (request: SharesApply, attachments: readonly Uint8Array[]) => Promise<SharesApplied>;

interface Head {
  readonly journal: string;
  readonly from: number;
  readonly to: number;
  readonly buckets: number;
}

/** The first bytes of an identity as the books know it. */
export function shortOf(identityHex: string): string {
  return identityHex.slice(0, 24);
}
