/** Finds out what a journal on disk holds, and cuts the torn end off its last segment. */
import { type FileHandle, open, readdir, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { WireError } from '#libs/bitcoin/errors.ts';
import { CandidateBook } from './candidate-book.ts';
import { JournalError } from './errors.ts';
import { decodePayload } from './record-codec.ts';
import type { SegmentExtent } from './retention.ts';
import {
  decodeSegmentHeader,
  isOtherFormat,
  parseSegmentName,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  walkFrames,
} from './segment.ts';

const TAG_AT = 1;
const CANDIDATE_TAG = 3;
const SETTLED_TAG = 4;

export interface RecoveredJournal {
  /** In order, without holes: each ends where the next begins; only the last one's end was counted. */
  readonly segments: SegmentExtent[];
  readonly nextIndex: number;
  readonly candidates: CandidateBook;
  /** [bytes] cut off the end of the last segment */
  readonly tornBytes: number;
  /** Segments that are damaged before their end; what follows the damage is read as lost. */
  readonly corruptPaths: readonly string[];
}

interface ScannedSegment extends SegmentExtent {
  /** [bytes] behind the last good frame */
  readonly goodBytes: number;
}

/** Reads all segments of a journal whose owner is dead or ourselves. @throws the system's error */
export async function recoverJournal(
  folder: string,
  chain: string,
  journalId: string,
): Promise<RecoveredJournal> {
  const candidates = new CandidateBook();
  const scanned: ScannedSegment[] = [];
  for (const { path, firstIndex } of await listSegments(folder, chain, journalId))
    scanned.push(await scanSegment(path, firstIndex, journalId, candidates));
  const last = scanned.at(-1);
  const tornBytes = last === undefined ? 0 : await cutTornTail(last);
  const segments = scanned.map((segment, at) => joined(segment, scanned[at + 1]));
  const kept = segments.filter((segment) => segment.endIndex > segment.firstIndex);
  const corruptPaths = scanned
    .slice(0, -1)
    .filter((segment) => segment.goodBytes < segment.bytes)
    .map((segment) => segment.path);
  return { segments: kept, nextIndex: last?.endIndex ?? 0, candidates, tornBytes, corruptPaths };
}

/** Segments of one journal by first index. */
async function listSegments(folder: string, chain: string, journalId: string) {
  const found: { path: string; firstIndex: number }[] = [];
  for (const name of await readdir(folder)) {
    const parsed = parseSegmentName(name);
    if (parsed?.journalId === journalId && parsed.chain === chain)
      found.push({ path: join(folder, name), firstIndex: parsed.firstIndex });
  }
  return found.toSorted((a, b) => a.firstIndex - b.firstIndex);
}

/** Reads one segment by what its name says; damage of the header alone costs no record. */
async function scanSegment(
  path: string,
  firstIndex: number,
  journalId: string,
  candidates: CandidateBook,
): Promise<ScannedSegment> {
  const { size: bytes, mtimeMs } = await stat(path);
  await using file = await open(path, 'r');
  await refuseForeign(file, path, firstIndex, journalId);
  const changedMs = Math.floor(mtimeMs);
  if (bytes < SEGMENT_HEADER_BYTES)
    return { path, firstIndex, endIndex: firstIndex, bytes, goodBytes: 0, changedMs };
  let endIndex = firstIndex;
  const { offset } = await walkFrames(file, SEGMENT_HEADER_BYTES, bytes, ({ payload }) => {
    noteCandidate(candidates, payload, endIndex);
    endIndex += 1;
    return true;
  });
  return { path, firstIndex, endIndex, bytes, goodBytes: offset, changedMs };
}

/** @throws {JournalError} `bad_format` for a segment of another format or journal: never to be cut or removed */
async function refuseForeign(
  file: FileHandle,
  path: string,
  firstIndex: number,
  journalId: string,
): Promise<void> {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
  if (bytesRead < bytes.length) return;
  if (isOtherFormat(bytes))
    throw new JournalError('bad_format', journalId, `${path} is of another version`);
  const header = readHeader(bytes);
  if (header === undefined) return;
  if (header.firstIndex !== firstIndex || header.journalId !== journalId)
    throw new JournalError('bad_format', journalId, `${path} does not hold what its name says`);
}

/** The header, or undefined if it is damaged. */
function readHeader(bytes: Uint8Array): SegmentHeader | undefined {
  try {
    return decodeSegmentHeader(bytes);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** Decodes only what speaks of blocks: a journal is mostly shares. */
function noteCandidate(candidates: CandidateBook, payload: Uint8Array, index: number): void {
  const tag = payload[TAG_AT];
  if (tag !== CANDIDATE_TAG && tag !== SETTLED_TAG) return;
  try {
    candidates.note(decodePayload(payload), index);
  } catch (error) {
    if (!(error instanceof WireError)) throw error; // Its checksum holds, so a newer writer: not ours to offer.
  }
}

/** Shortens the last segment to its good frames, or removes it if there is none. */
async function cutTornTail(last: ScannedSegment): Promise<number> {
  const torn = last.bytes - last.goodBytes;
  if (last.endIndex === last.firstIndex) await rm(last.path, { force: true });
  else if (torn > 0) await truncate(last.path, last.goodBytes);
  return torn;
}

/** A segment ends where the next one begins; records missing before that are read as lost. */
function joined(segment: ScannedSegment, next: ScannedSegment | undefined): SegmentExtent {
  const { path, firstIndex, changedMs, goodBytes, bytes } = segment;
  const endIndex = next?.firstIndex ?? segment.endIndex;
  return { path, firstIndex, endIndex, changedMs, bytes: next === undefined ? goodBytes : bytes };
}
