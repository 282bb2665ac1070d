/**
 * Journal records as bytes, in segments and in batches: see docs/journal.md. Pure.
 *
 * Note [Record format]
 * A frame is `u32 length, u32 checksum, payload`, little-endian; the checksum is CRC-32 (IEEE, as in zlib, which
 * Node has natively) of the payload. A payload begins with `u8 version, u8 tag`. A later version may only append
 * fields to a tag: a reader takes the fields it knows and leaves the rest. Anything else takes a new tag, which an
 * older reader carries and skips as `unknown`. A payload has at least 2 bytes, so that a tail of zeros (a file
 * that grew before power was lost) is never a record.
 */
import { crc32 } from 'node:zlib';
import { WireError } from '#libs/bitcoin/errors.ts';
import { Reader } from '#libs/bitcoin/reader.ts';
import type {
  CandidateRecord,
  JournalRecord,
  RejectsRecord,
  SettledRecord,
  ShareRecord,
  UnknownRecord,
} from './record.ts';
import { RecordWriter } from './record-writer.ts';

/** Version written; later ones are read as far as known. */
const RECORD_VERSION = 1;
/** [bytes] length and checksum before each payload */
export const FRAME_HEAD_BYTES = 8;
/** [bytes] longest payload read or written */
export const PAYLOAD_BYTES_MAX = 1_048_576;
/** [records] in one batch */
export const BATCH_RECORDS_MAX = 2_000;

const PAYLOAD_BYTES_MIN = 2;
const SHORT_TEXT_MAX = 255;
const WORKER_BYTES_MAX = 191;
const REASON_BYTES_MAX = 2_048;
const SUBMISSION_BYTES_MAX = 1_000_000;
const IDENTITY_BYTES = 32;

const TAGS = { share: 1, rejects: 2, candidate: 3, settled: 4 } as const;
const OUTCOMES = ['accepted', 'duplicate', 'rejected'] as const;
const FLAG_SOLO = 1;
const FLAG_SOLVES_BLOCK = 2;

/** What stands at an offset of a run of frames. */
export type Frame =
  | { readonly kind: 'record'; readonly payload: Uint8Array; readonly end: number }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'bad'; readonly code: 'too_small' | 'too_large' | 'checksum' };

/** Looks at the frame at `offset`; the payload is a view. Never reads past the end. */
export function frameAt(bytes: Buffer, offset: number): Frame {
  if (bytes.length - offset < FRAME_HEAD_BYTES) return { kind: 'incomplete' };
  const size = bytes.readUInt32LE(offset);
  if (size < PAYLOAD_BYTES_MIN) return { kind: 'bad', code: 'too_small' };
  if (size > PAYLOAD_BYTES_MAX) return { kind: 'bad', code: 'too_large' };
  const end = offset + FRAME_HEAD_BYTES + size;
  if (end > bytes.length) return { kind: 'incomplete' };
  const payload = bytes.subarray(offset + FRAME_HEAD_BYTES, end);
  if (crc32(payload) !== bytes.readUInt32LE(offset + 4)) return { kind: 'bad', code: 'checksum' };
  return { kind: 'record', payload, end };
}

/**
 * One record in its frame.
 *
 * @throws {RangeError} if a field does not fit, such as a worker above 191 bytes: our bug, since input was checked
 */
export function encodeRecord(record: JournalRecord): Uint8Array {
  const writer = new RecordWriter();
  writer.uint(0, 4);
  writer.uint(0, 4);
  writer.uint(RECORD_VERSION, 1);
  writer.uint(TAGS[record.kind], 1);
  writer.uint(record.timeMs, 6);
  writeFields(writer, record);
  const frame = writer.bytes;
  const payload = frame.subarray(FRAME_HEAD_BYTES);
  if (payload.length > PAYLOAD_BYTES_MAX)
    throw new RangeError(`Cannot write a record of ${payload.length} bytes`);
  frame.writeUInt32LE(payload.length, 0);
  frame.writeUInt32LE(crc32(payload), 4);
  return frame;
}

function writeFields(writer: RecordWriter, record: JournalRecord): void {
  switch (record.kind) {
    case 'share':
      return writeShare(writer, record);
    case 'rejects':
      writer.uint(record.count, 4);
      writer.text(record.reason, 1, SHORT_TEXT_MAX);
      return writer.text(record.worker, 1, WORKER_BYTES_MAX);
    case 'candidate':
      writer.uint(record.height, 4);
      writer.raw(hashBytes(record.hash), IDENTITY_BYTES);
      writer.text(record.worker, 1, WORKER_BYTES_MAX);
      return writer.text(record.submission, 4, SUBMISSION_BYTES_MAX);
    case 'settled':
      writer.raw(hashBytes(record.hash), IDENTITY_BYTES);
      writer.uint(OUTCOMES.indexOf(record.outcome), 1);
      return writer.text(record.reason, 2, REASON_BYTES_MAX);
  }
}

function writeShare(writer: RecordWriter, share: ShareRecord): void {
  writer.uint(share.height, 4);
  writer.uint(
    (share.mode === 'solo' ? FLAG_SOLO : 0) | (share.solvesBlock ? FLAG_SOLVES_BLOCK : 0),
    1,
  );
  writer.uint128(share.work);
  writer.double(share.difficulty);
  writer.double(share.achievedDifficulty);
  writer.raw(share.identity, IDENTITY_BYTES);
  writer.text(share.jobId, 1, SHORT_TEXT_MAX);
  writer.text(share.conn, 1, SHORT_TEXT_MAX);
  writer.text(share.worker, 1, WORKER_BYTES_MAX);
}

function hashBytes(hashDisplay: string): Uint8Array {
  return Buffer.from(hashDisplay, 'hex');
}

/**
 * The records of a batch, in order.
 *
 * @param recordsMax [records] most the caller accepts
 * @throws {WireError} `truncated`, `bad_value` (checksum or field), `too_small`, `too_large` or `trailing`
 */
export function decodeRecords(
  packed: Uint8Array,
  recordsMax = BATCH_RECORDS_MAX,
): (JournalRecord | UnknownRecord)[] {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  const records: (JournalRecord | UnknownRecord)[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const frame = frameAt(bytes, offset);
    if (frame.kind !== 'record') throw frameError(frame, offset);
    if (records.length === recordsMax)
      throw new WireError('too_large', offset, `more than ${recordsMax} records`);
    records.push(decodePayload(frame.payload));
    offset = frame.end;
  }
  return records;
}

function frameError(frame: Exclude<Frame, { kind: 'record' }>, offset: number): WireError {
  if (frame.kind === 'incomplete')
    return new WireError('truncated', offset, 'the frame is cut off');
  if (frame.code === 'checksum') return new WireError('bad_value', offset, 'the checksum differs');
  return new WireError(frame.code, offset, 'no record has this length');
}

/** One record from its payload; strings and identity are copies. @throws {WireError} as `decodeRecords` */
export function decodePayload(payload: Uint8Array): JournalRecord | UnknownRecord {
  const reader = new Reader(payload);
  const version = reader.uintLe(1);
  if (version === 0) throw new WireError('bad_value', 0, 'no record has version 0');
  const tag = reader.uintLe(1);
  const read = READERS.get(tag);
  if (read === undefined) return { kind: 'unknown', tag };
  const record = read(reader, readTimeMs(reader));
  if (version === RECORD_VERSION) reader.end(); // See Note [Record format]: later ones may append.
  return record;
}

const READERS: ReadonlyMap<number, (reader: Reader, timeMs: number) => JournalRecord> = new Map<
  number,
  (reader: Reader, timeMs: number) => JournalRecord
>([
  [TAGS.share, readShare],
  [TAGS.rejects, readRejects],
  [TAGS.candidate, readCandidate],
  [TAGS.settled, readSettled],
]);

function readShare(reader: Reader, timeMs: number): ShareRecord {
  const height = reader.uintLe(4);
  const flags = reader.uintLe(1);
  const work = reader.uint64Le() | (reader.uint64Le() << 64n);
  return {
    kind: 'share',
    timeMs,
    height,
    mode: (flags & FLAG_SOLO) === 0 ? 'pool' : 'solo',
    solvesBlock: (flags & FLAG_SOLVES_BLOCK) !== 0,
    work,
    difficulty: readDouble(reader),
    achievedDifficulty: readDouble(reader),
    identity: Uint8Array.from(reader.take(IDENTITY_BYTES)),
    jobId: readText(reader, 1, SHORT_TEXT_MAX),
    conn: readText(reader, 1, SHORT_TEXT_MAX),
    worker: readText(reader, 1, WORKER_BYTES_MAX),
  };
}

function readRejects(reader: Reader, timeMs: number): RejectsRecord {
  const count = reader.uintLe(4);
  const reason = readText(reader, 1, SHORT_TEXT_MAX);
  return { kind: 'rejects', timeMs, count, reason, worker: readText(reader, 1, WORKER_BYTES_MAX) };
}

function readCandidate(reader: Reader, timeMs: number): CandidateRecord {
  const height = reader.uintLe(4);
  const hash = readHash(reader);
  const worker = readText(reader, 1, WORKER_BYTES_MAX);
  const submission = readText(reader, 4, SUBMISSION_BYTES_MAX);
  return { kind: 'candidate', timeMs, height, hash, worker, submission };
}

function readSettled(reader: Reader, timeMs: number): SettledRecord {
  const hash = readHash(reader);
  const at = reader.offset;
  const outcome = OUTCOMES[reader.uintLe(1)];
  if (outcome === undefined) throw new WireError('bad_value', at, 'unknown outcome of a block');
  return { kind: 'settled', timeMs, hash, outcome, reason: readText(reader, 2, REASON_BYTES_MAX) };
}

function readTimeMs(reader: Reader): number {
  const low = reader.uintLe(4);
  return low + reader.uintLe(2) * 0x1_0000_0000;
}

function readDouble(reader: Reader): number {
  const at = reader.offset;
  const bytes = reader.take(8);
  const value = new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0, true);
  if (!Number.isFinite(value) || value < 0)
    throw new WireError('bad_value', at, 'no difficulty is negative or infinite');
  return value;
}

function readHash(reader: Reader): string {
  return Buffer.from(reader.take(IDENTITY_BYTES)).toString('hex');
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function readText(reader: Reader, lengthSize: 1 | 2 | 4, bytesMax: number): string {
  const at = reader.offset;
  const size = reader.uintLe(lengthSize);
  if (size > bytesMax)
    throw new WireError('too_large', at, `text of ${size} bytes, at most ${bytesMax}`);
  try {
    return UTF8.decode(reader.take(size));
  } catch (error) {
    if (error instanceof WireError) throw error;
    throw new WireError('bad_value', at, 'text is not UTF-8', { cause: error });
  }
}
