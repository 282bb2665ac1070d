/**
 * A journal: what one process owes the books of one chain, on the local disk before it is answered.
 *
 * Note [Journal]
 * `append()` buffers, `flush()` makes ONE synchronous write of the event-loop turn's records before its answers go
 * out, `sync()` (every `syncMs` in the background) makes them outlast a power loss. Records are numbered from 0 for
 * the life of the journal; segments are named by their first number. What a failed flush held is dropped and its
 * numbers are used again: nothing of it was answered. See docs/journal.md.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import type { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Logger } from 'pino';
import { assert } from '#libs/assert.ts';
import type { PoolConfig } from '#libs/contracts/pool-config.ts';
import { CandidateBook } from './candidate-book.ts';
import { JournalError, journalErrorOf } from './errors.ts';
import { createJournalMetrics, type JournalMetrics } from './metrics.ts';
import { claimNew, type Ownership } from './ownership.ts';
import type { CandidateRecord, JournalRecord } from './record.ts';
import { BATCH_RECORDS_MAX, encodeRecord } from './record-codec.ts';
import type { RecoveredJournal } from './recovery.ts';
import { expiredSegments, type SegmentExtent } from './retention.ts';
import { SEGMENT_HEADER_BYTES, segmentName, walkFrames } from './segment.ts';
import { SegmentWriter } from './segment-writer.ts';

/** [bytes] of records in one slice, unless a single record is longer */
const SLICE_BYTES_MAX = 2_097_152;
/** [ms] between looks at what may be deleted */
const PRUNE_INTERVAL_MS = 30_000;

/** Records `from` up to (not including) `to`, packed; or the news that they are gone. */
export type JournalSlice =
  | {
      readonly lost: false;
      readonly from: number;
      readonly to: number;
      readonly packed: Uint8Array;
    }
  | { readonly lost: true; readonly from: number; readonly to: number };

export interface Journal extends AsyncDisposable {
  /** 32 hex digits. */
  readonly id: string;
  readonly chain: string;
  /** [records] index the next appended record gets */
  readonly nextIndex: number;
  /** [records] index behind the last record written to the file */
  readonly flushedIndex: number;
  /** [records] what the store has, as far as known */
  readonly acknowledged: number;
  /** True once everything is acknowledged and past retention: an adopted journal can be removed. */
  readonly isExhausted: boolean;

  /** Buffers a record for this turn of the event loop and returns its index. */
  append(record: JournalRecord): number;
  /**
   * Writes everything appended, in one synchronous write. Nothing appended: does nothing.
   *
   * @throws {JournalError} `no_space`, `read_only`, `io` or `closed`: none of what was appended stands
   */
  flush(): void;
  /** Resolves when everything flushed before outlasts a power loss. @throws {JournalError} */
  sync(): Promise<void>;
  /** At most `recordsMax` flushed records from `from` on; none if `from` is the end. @throws {RangeError} behind the end */
  read(from: number, recordsMax?: number): Promise<JournalSlice>;
  /** What the store has: may be less than before, if the store lost something. */
  acknowledge(index: number): void;
  /** Numbers on from `index`, because the store already has up to there what a power loss took from this disk. */
  skipTo(index: number): void;
  /** Candidates without a `settled` record, oldest first: to be offered again. */
  unsettledCandidates(): readonly CandidateRecord[];
  /** Deletes segments past retention now (runs by itself every 30 s). */
  prune(): Promise<void>;
  /** Deletes an exhausted journal with its owner file, and disposes it. */
  remove(): Promise<void>;
}

export interface JournalSettings {
  /** The journal folder: a volume of the host. Created if absent. */
  readonly folder: string;
  readonly config: PoolConfig['journal'];
  readonly nowMs: () => number;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
}

export interface OpenJournalOptions extends JournalSettings {
  readonly chain: string;
  /** 32 hex digits; random by default. */
  readonly journalId?: string;
  /** Makes the journal known to the store: the journal takes no record before. See journal-store.ts. */
  readonly register: (journalId: string) => Promise<void>;
}

/** Begins a new journal. @throws {JournalError}; or what `register` throws. Then nothing is left behind */
export async function openJournal(options: OpenJournalOptions): Promise<Journal> {
  const { folder, chain, journalId = randomBytes(16).toString('hex') } = options;
  segmentName({ chain, journalId, firstIndex: 0 }); // Refuses names that would leave the folder.
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw journalErrorOf(error, journalId, 'the folder cannot be made');
  }
  const ownership = await claimNew(folder, chain, journalId).catch((error: unknown) => {
    throw journalErrorOf(error, journalId, 'it cannot be begun');
  });
  try {
    await options.register(journalId);
  } catch (error) {
    await ownership.erase();
    throw error;
  }
  const empty = { segments: [], nextIndex: 0, candidates: new CandidateBook(), tornBytes: 0 };
  return new FileJournal(options, ownership, { ...empty, corruptPaths: [] });
}

/** Where the last read ended, so that the next one need not walk from the segment's start. */
interface Cursor {
  readonly path: string;
  readonly index: number;
  readonly offset: number;
}

/** The one implementation; made by `openJournal` and `adoptJournals`. */
export class FileJournal implements Journal {
  readonly id: string;
  readonly chain: string;
  readonly #settings: JournalSettings;
  readonly #ownership: Ownership;
  readonly #metrics: JournalMetrics;
  readonly #candidates: CandidateBook;
  readonly #timers: readonly NodeJS.Timeout[];
  readonly #retiring = new Set<Promise<void>>();
  /** Segments no longer written to, in order. */
  #closed: SegmentExtent[];
  #closedBytes: number;
  #writer: SegmentWriter | undefined;
  #writtenMs: number;
  #pending: Uint8Array[] = [];
  #flushedIndex: number;
  #acknowledged = 0;
  #cursor: Cursor | undefined;
  #reported = { unshipped: 0, bytes: 0 };
  #isClosed = false;

  constructor(settings: JournalSettings, ownership: Ownership, recovered: RecoveredJournal) {
    this.id = ownership.file.journalId;
    this.chain = ownership.file.chain;
    this.#settings = settings;
    this.#ownership = ownership;
    this.#metrics = createJournalMetrics(settings.metrics);
    this.#candidates = recovered.candidates;
    this.#closed = [...recovered.segments];
    this.#closedBytes = this.#closed.reduce((sum, segment) => sum + segment.bytes, 0);
    this.#flushedIndex = recovered.nextIndex;
    this.#writtenMs = settings.nowMs();
    this.#timers = [
      setInterval(() => void this.#syncInBackground(), settings.config.syncMs).unref(),
      setInterval(() => void this.#pruneInBackground(), PRUNE_INTERVAL_MS).unref(),
    ];
    this.#report();
  }

  get nextIndex(): number {
    return this.#flushedIndex + this.#pending.length;
  }

  get flushedIndex(): number {
    return this.#flushedIndex;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  get isExhausted(): boolean {
    const isShipped = this.#acknowledged >= this.nextIndex;
    return isShipped && this.#closed.length === 0 && this.#writer === undefined;
  }

  append(record: JournalRecord): number {
    const index = this.nextIndex;
    this.#pending.push(encodeRecord(record));
    this.#candidates.note(record, index);
    return index;
  }

  flush(): void {
    if (this.#pending.length === 0) return;
    const frames = this.#pending;
    this.#pending = [];
    const bytes =
      frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames);
    try {
      this.#writerForNow().write(bytes);
    } catch (error) {
      throw this.#countWriteError(error);
    }
    this.#flushedIndex += frames.length;
    this.#writtenMs = this.#settings.nowMs();
    this.#metrics.records.inc({ chain: this.chain }, frames.length);
    this.#metrics.bytes.inc({ chain: this.chain }, bytes.length);
    this.#report();
  }

  #countWriteError(error: unknown): JournalError {
    const failure = journalErrorOf(error, this.id, 'records cannot be written');
    this.#metrics.writeErrors.inc({ chain: this.chain, code: failure.code });
    return failure;
  }

  /** The segment to write to: a new one at the first record and when the last one is full. */
  #writerForNow(): SegmentWriter {
    if (this.#isClosed) throw new JournalError('closed', this.id, 'it was closed');
    const { folder, config, nowMs } = this.#settings;
    if (this.#writer !== undefined && this.#writer.bytes < config.segmentBytesMax)
      return this.#writer;
    const header = { journalId: this.id, chain: this.chain, firstIndex: this.#flushedIndex };
    const next = new SegmentWriter(folder, { ...header, createdMs: nowMs() });
    this.#retireWriter();
    this.#writer = next;
    return next;
  }

  /** The full segment becomes a closed one; it is synced and closed in the background. */
  #retireWriter(): void {
    const writer = this.#writer;
    if (writer === undefined) return;
    this.#writer = undefined;
    const extent = this.#extentOf(writer);
    if (extent.endIndex === extent.firstIndex) return writer.discard();
    this.#closed.push(extent);
    this.#closedBytes += extent.bytes;
    const retired: Promise<void> = this.#syncWriter(writer)
      .catch((error: unknown) => this.#settings.log.error({ err: error }, 'journal sync failed'))
      .finally(() => writer.close())
      .finally(() => this.#retiring.delete(retired));
    this.#retiring.add(retired);
  }

  #extentOf(writer: SegmentWriter): SegmentExtent {
    const { path, firstIndex, bytes } = writer;
    return { path, firstIndex, endIndex: this.#flushedIndex, bytes, changedMs: this.#writtenMs };
  }

  async sync(): Promise<void> {
    const retiring = [...this.#retiring];
    if (this.#writer !== undefined) await this.#syncWriter(this.#writer);
    await Promise.all(retiring);
  }

  async #syncWriter(writer: SegmentWriter): Promise<void> {
    try {
      await writer.sync();
    } catch (error) {
      this.#metrics.syncErrors.inc({ chain: this.chain });
      throw journalErrorOf(error, this.id, 'records cannot be synced');
    }
  }

  async #syncInBackground(): Promise<void> {
    try {
      await this.sync();
    } catch (error) {
      this.#settings.log.error({ journal: this.id, err: error }, 'journal sync failed');
    }
  }

  async read(from: number, recordsMax = BATCH_RECORDS_MAX): Promise<JournalSlice> {
    const end = this.#flushedIndex;
    if (from < 0 || from > end)
      throw new RangeError(`Cannot read journal from ${from}: it ends at ${end}`);
    if (from === end) return { lost: false, from, to: from, packed: new Uint8Array() };
    const segment = this.#segments().find(
      ({ firstIndex, endIndex }) => firstIndex <= from && from < endIndex,
    );
    if (segment === undefined) return this.#lostSlice(from);
    const slice = await this.#readSegment(
      segment,
      from,
      Math.min(recordsMax, segment.endIndex - from),
    );
    return slice ?? { lost: true, from, to: segment.endIndex };
  }

  #segments(): SegmentExtent[] {
    return this.#writer === undefined
      ? this.#closed
      : [...this.#closed, this.#extentOf(this.#writer)];
  }

  /** From `from` up to the first record that is still there. */
  #lostSlice(from: number): JournalSlice {
    const next = this.#segments().find((segment) => segment.firstIndex > from);
    return { lost: true, from, to: next?.firstIndex ?? this.#flushedIndex };
  }

  /** Undefined if the record at `from` is damaged or was never written (a gap before the next segment). */
  async #readSegment(
    segment: SegmentExtent,
    from: number,
    recordsMax: number,
  ): Promise<JournalSlice | undefined> {
    const start = this.#startOf(segment, from);
    const frames: Buffer[] = [];
    let { index } = start;
    let bytes = 0;
    let endOffset = start.offset;
    await using file = await open(segment.path, 'r');
    const walked = await walkFrames(file, start.offset, segment.bytes, ({ frame, end }) => {
      if (frames.length === recordsMax) return false;
      if (index >= from) {
        if (frames.length > 0 && bytes + frame.length > SLICE_BYTES_MAX) return false;
        frames.push(Buffer.from(frame));
        bytes += frame.length;
      }
      index += 1;
      endOffset = end;
      return true;
    });
    if (walked.kind === 'torn') this.#countCorrupt(segment);
    if (frames.length === 0) return undefined;
    this.#cursor = { path: segment.path, index, offset: endOffset };
    return { lost: false, from, to: index, packed: Buffer.concat(frames, bytes) };
  }

  #startOf(
    segment: SegmentExtent,
    from: number,
  ): { readonly index: number; readonly offset: number } {
    const cursor = this.#cursor;
    if (cursor?.path === segment.path && cursor.index <= from) return cursor;
    return { index: segment.firstIndex, offset: SEGMENT_HEADER_BYTES };
  }

  #countCorrupt(segment: SegmentExtent): void {
    this.#metrics.corrupt.inc({ chain: this.chain });
    this.#settings.log.error(
      { journal: this.id, path: segment.path },
      'journal segment is damaged',
    );
  }

  acknowledge(index: number): void {
    this.#acknowledged = index;
    this.#report();
  }

  skipTo(index: number): void {
    if (index <= this.#flushedIndex) return;
    this.flush();
    this.#retireWriter();
    this.#flushedIndex = Math.max(index, this.#flushedIndex);
    this.#report();
  }

  unsettledCandidates(): readonly CandidateRecord[] {
    return this.#candidates.unsettled();
  }

  async prune(): Promise<void> {
    this.#retireIfIdle();
    const heldIndex = this.#candidates.oldestIndex ?? Infinity;
    const { config, nowMs } = this.#settings;
    const expired = expiredSegments(this.#closed, this.#acknowledged, heldIndex, nowMs(), config);
    for (const segment of expired) {
      await rm(segment.path, { force: true });
      this.#closed = this.#closed.filter((kept) => kept.path !== segment.path);
      this.#closedBytes -= segment.bytes;
    }
    this.#report();
  }

  /** A segment nobody writes to any more ages like the others; the next record begins a new one. */
  #retireIfIdle(): void {
    const { config, nowMs } = this.#settings;
    const isShipped = this.#acknowledged >= this.nextIndex;
    if (isShipped && nowMs() - this.#writtenMs > config.keepMs) this.#retireWriter();
  }

  async #pruneInBackground(): Promise<void> {
    try {
      await this.prune();
    } catch (error) {
      this.#settings.log.warn({ journal: this.id, err: error }, 'journal segments stay');
    }
  }

  async remove(): Promise<void> {
    assert(this.isExhausted, 'only an exhausted journal may be removed');
    await this.#close();
    await this.#ownership.erase();
  }

  /** Writes, syncs and closes what is left, and lets go of the journal so that another process may adopt it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    await this.#close();
    if (this.#flushedIndex === 0) await this.#ownership.erase();
    else await this.#ownership.release();
  }

  async #close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    try {
      this.flush();
    } catch (error) {
      this.#settings.log.error({ journal: this.id, err: error }, 'journal lost its last records');
    }
    this.#retireWriter();
    this.#isClosed = true;
    await Promise.all(this.#retiring);
    this.#reportAs(0, 0);
  }

  /** The gauges are sums over the journals of a chain, so each adds its difference. */
  #report(): void {
    const bytes = this.#closedBytes + (this.#writer?.bytes ?? 0);
    this.#reportAs(Math.max(0, this.#flushedIndex - this.#acknowledged), bytes);
  }

  #reportAs(unshipped: number, bytes: number): void {
    this.#metrics.unshipped.inc({ chain: this.chain }, unshipped - this.#reported.unshipped);
    this.#metrics.retainedBytes.inc({ chain: this.chain }, bytes - this.#reported.bytes);
    this.#reported = { unshipped, bytes };
  }
}
