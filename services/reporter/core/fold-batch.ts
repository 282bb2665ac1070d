/** Folds the records of a batch into what the apply script needs. Pure: same records, same fold. */
import { blockSubmit } from '#libs/contracts/block-submit.ts';
import type {
  CandidateRecord,
  JournalRecord,
  RejectsRecord,
  SettledRecord,
  ShareRecord,
  UnknownRecord,
} from '#libs/journal/record.ts';
import type { BatchFold, BlockFold, SlotFold, WorkerFold } from './model.ts';

/** [bytes] of one share in `entries` */
export const ENTRY_BYTES = 36;
const IDENTITY_PREFIX_BYTES = 12;
const MINUTE_MS = 60_000;
/** [chars] of a node's word that are kept */
const REASON_CHARS_MAX = 256;

/** What a fold grows from: the mutable counterparts of the model's types. */
interface Draft {
  readonly heights: Map<number, number>;
  readonly workers: Map<string, WorkerDraft>;
  readonly slots: Map<string, { readonly index: number; readonly slot: SlotFold }>;
  readonly blocks: Map<string, BlockFold>;
  unknownCount: number;
}

interface WorkerDraft {
  readonly index: number;
  readonly rejects: Map<string, number>;
  hasShares: boolean;
  lastShareMs: number;
  lastDifficulty: number;
  bestDifficulty: number;
  bestMs: number;
}

/**
 * @param nowMs [ms] times in the future (a clock that runs ahead) count as now
 */
export function foldBatch(
  records: readonly (JournalRecord | UnknownRecord)[],
  nowMs: number,
): BatchFold {
  const draft: Draft = {
    heights: new Map(),
    workers: new Map(),
    slots: new Map(),
    blocks: new Map(),
    unknownCount: 0,
  };
  const shares = records.filter((record) => record.kind === 'share');
  const entries = Buffer.alloc(shares.length * ENTRY_BYTES);
  shares.forEach((share, at) => foldShare(draft, share, nowMs, entries.subarray(at * ENTRY_BYTES)));
  for (const record of records) foldOther(draft, record);
  return {
    heights: [...draft.heights.keys()],
    workers: [...draft.workers].map(([name, worker]) => workerOf(name, worker)),
    slots: [...draft.slots.values()].map(({ slot }) => slot),
    entries,
    shareCount: shares.length,
    blocks: [...draft.blocks.values()],
    unknownCount: draft.unknownCount,
  };
}

function foldShare(draft: Draft, share: ShareRecord, nowMs: number, entry: Buffer): void {
  const timeMs = Math.min(share.timeMs, nowMs);
  const worker = workerDraft(draft, share.worker);
  worker.hasShares = true;
  if (timeMs >= worker.lastShareMs) {
    worker.lastShareMs = timeMs;
    worker.lastDifficulty = share.difficulty;
  }
  if (share.achievedDifficulty > worker.bestDifficulty) {
    worker.bestDifficulty = share.achievedDifficulty;
    worker.bestMs = timeMs;
  }
  const minute = Math.floor(timeMs / MINUTE_MS);
  const slot = slotIndex(draft, { worker: worker.index, minute, isSolo: share.mode === 'solo' });
  writeEntry(entry, share, heightIndex(draft, share.height), slot);
  if (share.solvesBlock) mergeBlock(draft, { hash: hashOf(share.identity), mode: share.mode });
}

/**
 * One share for the script, little-endian: the first 12 bytes of the identity in internal order (a block's zeros are at
 * the other end), u16 bucket, u16 slot, and the work in four limbs of 40 bits.
 */
function writeEntry(entry: Buffer, share: ShareRecord, bucket: number, slot: number): void {
  entry.set(share.identity.subarray(0, IDENTITY_PREFIX_BYTES), 0);
  entry.writeUInt16LE(bucket, 12);
  entry.writeUInt16LE(slot, 14);
  entry.writeBigUInt64LE(share.work & 0xffff_ffff_ffff_ffffn, 16);
  entry.writeBigUInt64LE(share.work >> 64n, 24);
  entry.writeUInt32LE(0, 32); // Work is below 2^128; the last limb ends here.
}

function heightIndex(draft: Draft, height: number): number {
  const index = draft.heights.get(height) ?? draft.heights.size;
  draft.heights.set(height, index);
  return index;
}

function slotIndex(draft: Draft, slot: SlotFold): number {
  const key = `${slot.worker} ${slot.minute} ${slot.isSolo}`;
  const known = draft.slots.get(key) ?? { index: draft.slots.size, slot };
  draft.slots.set(key, known);
  return known.index;
}

function workerDraft(draft: Draft, name: string): WorkerDraft {
  const known = draft.workers.get(name);
  if (known !== undefined) return known;
  const worker: WorkerDraft = {
    index: draft.workers.size,
    rejects: new Map(),
    hasShares: false,
    lastShareMs: 0,
    lastDifficulty: 0,
    bestDifficulty: 0,
    bestMs: 0,
  };
  draft.workers.set(name, worker);
  return worker;
}

function foldOther(draft: Draft, record: JournalRecord | UnknownRecord): void {
  switch (record.kind) {
    case 'share':
      return; // Folded before.
    case 'rejects':
      return foldRejects(draft, record);
    case 'candidate':
      return mergeBlock(draft, { hash: record.hash, found: foundOf(record) });
    case 'settled':
      return foldSettled(draft, record);
    case 'unknown':
      draft.unknownCount += 1;
  }
}

function foldRejects(draft: Draft, { worker, reason, count }: RejectsRecord): void {
  const { rejects } = workerDraft(draft, worker);
  rejects.set(reason, (rejects.get(reason) ?? 0) + count);
}

/** A later word of the same batch wins, but nothing takes an acceptance back. */
function foldSettled(draft: Draft, { hash, outcome, timeMs, reason }: SettledRecord): void {
  const state = outcome === 'rejected' ? 'rejected' : 'accepted'; // `duplicate` is success.
  const known = draft.blocks.get(hash)?.settled;
  if (known?.state === 'accepted') return;
  mergeBlock(draft, {
    hash,
    settled: { state, timeMs, reason: reason.slice(0, REASON_CHARS_MAX) },
  });
}

function mergeBlock(draft: Draft, block: BlockFold): void {
  draft.blocks.set(block.hash, { ...draft.blocks.get(block.hash), ...block });
}

function foundOf(candidate: CandidateRecord): NonNullable<BlockFold['found']> {
  const { worker, height, timeMs } = candidate;
  const parsed = blockSubmit.request.safeParse(parseJson(candidate.submission));
  if (!parsed.success) return { worker, height, timeMs, jobId: '', valueSat: 0, nbits: 0 };
  const { jobId, nbits, coinbase } = parsed.data.job;
  return { worker, height, timeMs, jobId, nbits, valueSat: coinbase.valueSat };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // The block is booked all the same, without these facts.
  }
}

function workerOf(name: string, worker: WorkerDraft): WorkerFold {
  const { hasShares, lastShareMs, lastDifficulty, bestDifficulty, bestMs } = worker;
  const rejects = [...worker.rejects];
  const user = userOf(name);
  return { name, user, hasShares, lastShareMs, lastDifficulty, bestDifficulty, bestMs, rejects };
}

/** The address of `address.rig`: no address holds a dot. */
export function userOf(worker: string): string {
  const dot = worker.indexOf('.');
  return dot < 0 ? worker : worker.slice(0, dot);
}

/** Display order of a hash in internal order. */
function hashOf(identity: Uint8Array): string {
  return Buffer.from(identity).reverse().toString('hex');
}
