/**
 * Packs the items of a link message. An item is a type byte, the length of its body in four bytes, and the body;
 * so a reader of version N skips what version N+1 added. Layouts: docs/link.md.
 */
import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import { LinkError } from './errors.ts';
import type { ConnectionRef, DownItem, Mark, UpItem } from './items.ts';
import { CAPSULE_BYTES_MAX, MARK_BYTES_MAX, MARKS_MAX, PAYLOAD_BYTES_MAX } from './limits.ts';

/** [bytes] type and length of an item */
export const ITEM_HEAD_BYTES = 5;
/** [bytes] handle and opening */
const REF_BYTES = 8;

const UP_TYPES = { open: 1, line: 2, close: 3 } as const;
const DOWN_TYPES = {
  write: 17,
  ack: 18,
  capsule: 19,
  join: 20,
  leave: 21,
  cast: 22,
  idle: 23,
  close: 24,
  release: 25,
  listen: 26,
} as const;

/** [bytes] of the item's body */
export function upItemBytes(item: UpItem): number {
  switch (item.kind) {
    case 'line':
      return REF_BYTES + 6 + 4 + 4 + item.bytes.length;
    case 'close':
      return REF_BYTES + textBytes(item.reason);
    case 'open':
      return REF_BYTES + openTailBytes(item);
  }
}

function openTailBytes(item: UpItem & { kind: 'open' }): number {
  const { conn, peerAddress, listener, tls, marks, capsule } = item;
  let bytes = 6 + 6 + 2 + 1 + 4 + capsule.length;
  for (const text of [conn, peerAddress, listener, tls]) bytes += textBytes(text);
  for (const mark of marks) bytes += 1 + mark.length;
  return bytes;
}

/** [bytes] of the item's body */
export function downItemBytes(item: DownItem): number {
  switch (item.kind) {
    case 'write':
      return REF_BYTES + 1 + item.mark.length + 4 + item.bytes.length;
    case 'ack':
      return REF_BYTES + 6;
    case 'capsule':
      return REF_BYTES + 1 + 4 + item.bytes.length;
    case 'join':
    case 'leave':
      return REF_BYTES + 4;
    case 'cast':
      return 4 + 1 + 1 + item.mark.length + 4 + item.bytes.length;
    case 'idle':
      return REF_BYTES + 4 + 4 + item.bytes.length;
    case 'close':
      return REF_BYTES + textBytes(item.reason);
    case 'release':
      return REF_BYTES;
    case 'listen':
      return textBytes(item.listener) + 1;
  }
}

export function writeUpItem(out: ByteWriter, item: UpItem, bytes: number): void {
  out.u8(UP_TYPES[item.kind]);
  out.u32(bytes);
  writeRef(out, item);
  switch (item.kind) {
    case 'line':
      out.u48(item.seq);
      out.u32(Math.min(item.ageMs, 0xffff_ffff));
      return out.long(item.bytes);
    case 'close':
      return writeText(out, item.reason);
    case 'open':
      return writeOpenTail(out, item);
  }
}

function writeOpenTail(out: ByteWriter, item: UpItem & { kind: 'open' }): void {
  out.u48(item.nextSeq);
  out.u48(item.ageMs);
  writeText(out, item.conn);
  writeText(out, item.peerAddress);
  out.u16(item.peerPort);
  writeText(out, item.listener);
  writeText(out, item.tls);
  out.u8(item.marks.length);
  for (const mark of item.marks) out.short(mark);
  out.long(item.capsule);
}

export function writeDownItem(out: ByteWriter, item: DownItem, bytes: number): void {
  out.u8(DOWN_TYPES[item.kind]);
  out.u32(bytes);
  if ('handle' in item) writeRef(out, item);
  switch (item.kind) {
    case 'write':
      out.short(item.mark);
      return out.long(item.bytes);
    case 'ack':
      return out.u48(item.seq);
    case 'capsule':
      out.u8(item.change === 'append' ? 1 : 0);
      return out.long(item.bytes);
    case 'join':
    case 'leave':
      return out.u32(item.group);
    case 'cast':
      out.u32(item.group);
      out.u8(item.replaces === 'all' ? 1 : 0);
      out.short(item.mark);
      return out.long(item.bytes);
    case 'idle':
      out.u32(item.afterMs);
      return out.long(item.bytes);
    case 'close':
      return writeText(out, item.reason);
    case 'release':
      return;
    case 'listen':
      writeText(out, item.listener);
      return out.u8(item.isUp ? 1 : 0);
  }
}

/** Undefined: a type this version does not know. @throws {LinkError} */
export function readUpItem(type: number, body: ByteReader): UpItem | undefined {
  switch (type) {
    case UP_TYPES.open:
      return readOpen(body);
    case UP_TYPES.line:
      return { kind: 'line', ...readRef(body), ...readLineTail(body) };
    case UP_TYPES.close:
      return { kind: 'close', ...readRef(body), reason: body.text() };
    default:
      return undefined;
  }
}

function readLineTail(body: ByteReader) {
  return { seq: body.u48(), ageMs: body.u32(), bytes: body.long(PAYLOAD_BYTES_MAX) };
}

function readOpen(body: ByteReader): UpItem {
  return {
    kind: 'open',
    ...readRef(body),
    nextSeq: body.u48(),
    ageMs: body.u48(),
    conn: body.text(),
    peerAddress: body.text(),
    peerPort: body.u16(),
    listener: body.text(),
    tls: body.text(),
    marks: readMarks(body),
    capsule: body.long(CAPSULE_BYTES_MAX),
  };
}

function readMarks(body: ByteReader): readonly Mark[] {
  const at = body.offset;
  const count = body.u8();
  if (count > MARKS_MAX)
    throw new LinkError('too_large', at, `must be <= ${MARKS_MAX} marks: it is ${count}`);
  return Array.from({ length: count }, () => body.short(MARK_BYTES_MAX));
}

/** Undefined: a type this version does not know. @throws {LinkError} */
export function readDownItem(type: number, body: ByteReader): DownItem | undefined {
  switch (type) {
    case DOWN_TYPES.write:
      return {
        kind: 'write',
        ...readRef(body),
        mark: body.short(MARK_BYTES_MAX),
        bytes: body.long(PAYLOAD_BYTES_MAX),
      };
    case DOWN_TYPES.ack:
      return { kind: 'ack', ...readRef(body), seq: body.u48() };
    case DOWN_TYPES.capsule:
      return {
        kind: 'capsule',
        ...readRef(body),
        change: body.flag() ? 'append' : 'set',
        bytes: body.long(CAPSULE_BYTES_MAX),
      };
    case DOWN_TYPES.join:
      return { kind: 'join', ...readRef(body), group: body.u32() };
    case DOWN_TYPES.leave:
      return { kind: 'leave', ...readRef(body), group: body.u32() };
    case DOWN_TYPES.cast:
      return readCast(body);
    case DOWN_TYPES.idle:
      return {
        kind: 'idle',
        ...readRef(body),
        afterMs: body.u32(),
        bytes: body.long(PAYLOAD_BYTES_MAX),
      };
    case DOWN_TYPES.close:
      return { kind: 'close', ...readRef(body), reason: body.text() };
    case DOWN_TYPES.release:
      return { kind: 'release', ...readRef(body) };
    case DOWN_TYPES.listen:
      return { kind: 'listen', listener: body.text(), isUp: body.flag() };
    default:
      return undefined;
  }
}

function readCast(body: ByteReader): DownItem {
  return {
    kind: 'cast',
    group: body.u32(),
    replaces: body.flag() ? 'all' : 'refresh',
    mark: body.short(MARK_BYTES_MAX),
    bytes: body.long(PAYLOAD_BYTES_MAX),
  };
}

function writeRef(out: ByteWriter, ref: ConnectionRef): void {
  out.u32(ref.handle);
  out.u32(ref.opening);
}

function readRef(body: ByteReader): ConnectionRef {
  return { handle: body.u32(), opening: body.u32() };
}

/** [bytes] of a text with its length byte. @throws {RangeError} above 255 bytes, when it is written */
export function textBytes(text: string): number {
  return 1 + Buffer.byteLength(text);
}

export function writeText(out: ByteWriter, text: string): void {
  out.text(text, Buffer.byteLength(text));
}
