/** Segment files: their name, their header, and walking through their frames. Knows no journal. */
import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { WireError } from '#libs/bitcoin/errors.ts';
import { Reader } from '#libs/bitcoin/reader.ts';
import { JournalError } from './errors.ts';
import { FRAME_HEAD_BYTES, frameAt, PAYLOAD_BYTES_MAX } from './record-codec.ts';

/** [bytes] before the first frame of a segment */
export const SEGMENT_HEADER_BYTES = 96;

const MAGIC = Buffer.from('SEAMJRN1', 'ascii');
const CHAIN_BYTES = 32;
const CHECKSUM_AT = SEGMENT_HEADER_BYTES - 4;
const RESERVED_BYTES = CHECKSUM_AT - MAGIC.length - 16 - CHAIN_BYTES - 16;
const CHUNK_BYTES = 262_144;
const NAME = /^([a-z0-9][a-z0-9-]{0,31})-([0-9a-f]{32})\.(\d{12,16})\.jrn$/;
const JOURNAL_ID = /^[0-9a-f]{32}$/;
const CHAIN = /^[a-z0-9][a-z0-9-]{0,31}$/;

export interface SegmentHeader {
  /** 32 hex digits. */
  readonly journalId: string;
  readonly chain: string;
  /** [records] index of the segment's first record */
  readonly firstIndex: number;
  /** [ms] when the segment was begun */
  readonly createdMs: number;
}

/** `ltc-<journal>.000000000000.jrn`: sorts by first index. @throws {JournalError} `bad_name` */
export function segmentName(
  header: Pick<SegmentHeader, 'chain' | 'journalId' | 'firstIndex'>,
): string {
  const { chain, journalId, firstIndex } = header;
  if (!CHAIN.test(chain) || !JOURNAL_ID.test(journalId))
    throw new JournalError('bad_name', journalId, `no journal of chain "${chain}" has this id`);
  return `${chain}-${journalId}.${String(firstIndex).padStart(12, '0')}.jrn`;
}

/** The inverse of {@link segmentName}; undefined for any other file. */
export function parseSegmentName(name: string): Omit<SegmentHeader, 'createdMs'> | undefined {
  const [, chain, journalId, index] = NAME.exec(name) ?? [];
  if (chain === undefined || journalId === undefined) return undefined;
  const firstIndex = Number(index);
  return Number.isSafeInteger(firstIndex) ? { chain, journalId, firstIndex } : undefined;
}

/** 96 bytes, little-endian: see docs/journal.md. */
export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  MAGIC.copy(bytes);
  bytes.write(header.journalId, 8, 16, 'hex');
  bytes.write(header.chain, 24, CHAIN_BYTES, 'ascii');
  bytes.writeBigUInt64LE(BigInt(header.firstIndex), 56);
  bytes.writeBigUInt64LE(BigInt(header.createdMs), 64);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CHECKSUM_AT)), CHECKSUM_AT);
  return bytes;
}

/** @throws {WireError} `truncated`, `bad_value` or `too_large` */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader {
  const reader = new Reader(bytes);
  if (!MAGIC.equals(reader.take(MAGIC.length)))
    throw new WireError('bad_value', 0, 'not a segment of a journal');
  const journalId = Buffer.from(reader.take(16)).toString('hex');
  const chain = Buffer.from(reader.take(CHAIN_BYTES)).toString('latin1').replace(/\0+$/, '');
  const firstIndex = readSafeUint(reader);
  const createdMs = readSafeUint(reader);
  reader.take(RESERVED_BYTES);
  if (reader.uintLe(4) !== crc32(bytes.subarray(0, CHECKSUM_AT)))
    throw new WireError('bad_value', CHECKSUM_AT, 'the checksum of the header differs');
  if (!CHAIN.test(chain)) throw new WireError('bad_value', 24, 'no chain has this name');
  return { journalId, chain, firstIndex, createdMs };
}

/** True for a segment of ours in a version this program does not know. */
export function isOtherFormat(bytes: Uint8Array): boolean {
  const magic = Buffer.from(bytes.subarray(0, MAGIC.length));
  return !magic.equals(MAGIC) && magic.subarray(0, -1).equals(MAGIC.subarray(0, -1));
}

function readSafeUint(reader: Reader): number {
  const at = reader.offset;
  const value = reader.uint64Le();
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new WireError('too_large', at, String(value));
  return Number(value);
}

/** One frame met by {@link walkFrames}; views that end with the visit. */
export interface WalkedFrame {
  /** [bytes] offset in the file just behind the frame */
  readonly end: number;
  readonly payload: Uint8Array;
  /** Length, checksum and payload. */
  readonly frame: Uint8Array;
}

/** How a walk ended: at `endOffset`, before a bad or cut-off frame (`torn`), or because the visitor said so. */
export interface WalkEnd {
  readonly kind: 'end' | 'torn' | 'stopped';
  /** [bytes] behind the last good frame */
  readonly offset: number;
}

/**
 * Visits the frames of a file from `startOffset` to `endOffset`, in chunks, so that memory stays bounded.
 *
 * @param visit false ends the walk before this frame
 */
export async function walkFrames(
  file: FileHandle,
  startOffset: number,
  endOffset: number,
  visit: (frame: WalkedFrame) => boolean,
): Promise<WalkEnd> {
  let buffer: Buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let base = startOffset; // Where in the file the buffer begins.
  let held = 0;
  for (;;) {
    const want = Math.min(buffer.length - held, endOffset - base - held);
    const { bytesRead } = await file.read(buffer, held, want, base + held);
    held += bytesRead;
    const walked = walkChunk(buffer.subarray(0, held), base, visit);
    if (walked.kind === 'torn' || walked.kind === 'stopped') return walked;
    const used = walked.offset - base;
    if (bytesRead === 0 || base + held >= endOffset)
      return { kind: used === held ? 'end' : 'torn', offset: walked.offset };
    buffer = makeRoom(buffer, used, held);
    base = walked.offset;
    held -= used;
  }
}

/** Visits the whole frames of a chunk; `end` is also said when the chunk ends within a frame. */
function walkChunk(bytes: Buffer, base: number, visit: (frame: WalkedFrame) => boolean): WalkEnd {
  for (let at = 0; ; ) {
    const found = frameAt(bytes, at);
    if (found.kind === 'incomplete') return { kind: 'end', offset: base + at };
    if (found.kind === 'bad') return { kind: 'torn', offset: base + at };
    const { payload, end } = found;
    if (!visit({ payload, end: base + end, frame: bytes.subarray(at, end) }))
      return { kind: 'stopped', offset: base + at };
    at = end;
  }
}

/** Moves what is unused to the front; a buffer full of one frame grows up to the longest frame. */
function makeRoom(buffer: Buffer, used: number, held: number): Buffer {
  if (used === 0 && held === buffer.length) {
    const grown = Buffer.allocUnsafe(
      Math.min(buffer.length * 2, PAYLOAD_BYTES_MAX + FRAME_HEAD_BYTES),
    );
    buffer.copy(grown, 0, 0, held);
    return grown;
  }
  buffer.copyWithin(0, used, held);
  return buffer;
}
