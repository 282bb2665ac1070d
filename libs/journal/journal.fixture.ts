/** Journals in temp folders, for tests. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from '@prometheus-io/client';
import type { PoolConfig } from '#libs/contracts/pool-config.ts';
import { type Journal, type JournalSettings, openJournal } from './journal.ts';
import { numberedShare, quietLog } from './record.fixture.ts';
import { decodeRecords } from './record-codec.ts';

const JOURNAL_CONFIG: PoolConfig['journal'] = {
  syncMs: 50,
  keepMs: 86_400_000,
  keepBytesMax: 1_073_741_824,
  segmentBytesMax: 65_536,
};

export interface TempFolder extends AsyncDisposable {
  readonly path: string;
}

export async function tempFolder(): Promise<TempFolder> {
  const path = await mkdtemp(join(tmpdir(), 'seam-journal-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export function settingsIn(
  folder: string,
  change: Partial<PoolConfig['journal']> = {},
): JournalSettings {
  const config = { ...JOURNAL_CONFIG, ...change };
  return { folder, config, nowMs: () => Date.now(), log: quietLog, metrics: new Registry() };
}

export function openIn(settings: JournalSettings, chain = 'btc'): Promise<Journal> {
  return openJournal({ ...settings, chain, register: async () => undefined });
}

/** Appends and flushes shares numbered `from` up to `to`, `perFlush` at a time. */
export function writeShares(journal: Journal, from: number, to: number, perFlush = 7): void {
  for (let number = from; number < to; number += 1) {
    journal.append(numberedShare(number));
    if ((number - from) % perFlush === perFlush - 1) journal.flush();
  }
  journal.flush();
}

/** Numbers of all shares from `from` on, read as the shipper does; 'lost a-b' for gaps. */
export async function readShares(journal: Journal, from = 0): Promise<(number | string)[]> {
  const seen: (number | string)[] = [];
  for (let at = from; at < journal.flushedIndex; ) {
    const slice = await journal.read(at, 100);
    if (slice.lost) seen.push(`lost ${slice.from}-${slice.to}`);
    else seen.push(...sharesIn(slice.packed));
    at = slice.to;
  }
  return seen;
}

export function sharesIn(packed: Uint8Array): number[] {
  return decodeRecords(packed).flatMap((record) =>
    record.kind === 'share' ? [Buffer.from(record.identity).readUInt32LE(0)] : [],
  );
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, at) => from + at);
}

export async function metricValue(settings: JournalSettings, name: string): Promise<number> {
  const metric = await settings.metrics.getSingleMetric(name)?.get();
  return metric?.values.reduce((sum, { value }) => sum + Number(value), 0) ?? 0;
}
