/**
 * The state of one connection as it travels in a hand-over: version, then records of tag, length and value. Times travel as
 * ages, for clocks differ between processes.
 *
 * Note [Versions of a hand-over]
 * N and N-1 understand each other: a record that a reader does not know is skipped if its tag is below 0x80, and refused
 * otherwise; a record that is not there has its default. So an addition that may be lost takes a low tag, one that must not a
 * high tag; a new version byte is for what cannot be said like that.
 */
import type { Mark } from '#libs/link/items.ts';
import { createConnection } from './connection.ts';
import { FieldReader, FieldWriter, HandoverError } from './handover-bytes.ts';
import type { ConnectionLimits } from './limits.ts';
import type { Connection, ConnectionFacts, HeldLine } from './model.ts';

export const STATE_VERSION = 1;

/** Phases that travel. What is closing ends where it is. */
const PHASES = ['fresh', 'live', 'half_closed'] as const satisfies readonly Connection['phase'][];

const TAG = {
  facts: 0x81,
  /** phase, opening, next line number */
  course: 0x82,
  lines: 0x83,
  input: 0x84,
  capsule: 0x85,
  marks: 0x06,
  idle: 0x07,
  /** ages: written, held, closing; 0: not so, else age + 1 */
  ages: 0x08,
} as const;

const MS_MAX = 0xffff_fffe;

/** True if the connection can travel now: nothing waits in user space to be written. */
export function isReadyToTravel({ phase, inFlight, outbox }: Connection): boolean {
  return PHASES.some((name) => name === phase) && inFlight === undefined && outbox.isEmpty;
}

/** @throws {RangeError} if it is not ready to travel: our bug */
export function encodeState(connection: Connection, nowMs: number): Buffer {
  if (!isReadyToTravel(connection))
    throw new RangeError(`Cannot hand over a connection that is ${connection.phase} or writes`);
  const { input, capsule, idle } = connection;
  const writer = new FieldWriter().u8(STATE_VERSION);
  const record = (tag: number, value: FieldWriter) => writer.u8(tag).bytes(value.finish());
  record(TAG.facts, factsOf(connection.facts, nowMs));
  record(TAG.course, courseOf(connection));
  record(TAG.lines, linesOf(connection.unacknowledged, nowMs));
  writer.u8(TAG.input).bytes(input.rest);
  writer.u8(TAG.capsule).bytes(capsule.bytes);
  record(TAG.marks, marksOf(connection.marks));
  if (idle !== undefined) record(TAG.idle, new FieldWriter().u32(idle.afterMs).bytes(idle.bytes));
  record(TAG.ages, agesOf(connection, nowMs));
  return writer.finish();
}

/**
 * The connection as it was, on no server.
 *
 * @param handle the number it has here
 * @throws {HandoverError} if the bytes are cut, of an unknown version, or hold what may not be skipped
 */
export function decodeState(
  bytes: Uint8Array,
  handle: number,
  limits: ConnectionLimits,
  nowMs: number,
): Connection {
  const reader = new FieldReader(bytes);
  const version = reader.u8();
  if (version !== STATE_VERSION) throw new HandoverError('version', `state version ${version}`);
  const records = recordsOf(reader);
  const connection = createConnection(readFacts(need(records, TAG.facts), handle, nowMs), limits);
  readCourse(connection, need(records, TAG.course));
  readLines(connection, need(records, TAG.lines), nowMs);
  connection.input.push(Buffer.from(records.get(TAG.input) ?? []));
  if (!connection.capsule.set(records.get(TAG.capsule) ?? new Uint8Array(0)))
    throw new HandoverError('too_large', 'capsule above the bound');
  connection.marks = readMarks(records.get(TAG.marks));
  connection.idle = readIdle(records.get(TAG.idle));
  readAges(connection, records.get(TAG.ages), nowMs);
  return connection;
}

function recordsOf(reader: FieldReader): Map<number, Uint8Array> {
  const known = new Set<number>(Object.values(TAG));
  const records = new Map<number, Uint8Array>();
  while (!reader.isAtEnd) {
    const tag = reader.u8();
    const value = reader.bytes();
    if (known.has(tag)) records.set(tag, value);
    else if (tag >= 0x80) throw new HandoverError('version', `record ${tag} may not be skipped`);
  }
  return records;
}

function need(records: ReadonlyMap<number, Uint8Array>, tag: number): FieldReader {
  const value = records.get(tag);
  if (value === undefined) throw new HandoverError('truncated', `record ${tag} is not there`);
  return new FieldReader(value);
}

function factsOf(facts: ConnectionFacts, nowMs: number): FieldWriter {
  const { conn, peerAddress, peerPort, listener, tls, acceptedMs } = facts;
  return new FieldWriter()
    .text(conn)
    .text(peerAddress)
    .u16(peerPort)
    .text(listener)
    .text(tls)
    .u48(Math.max(0, Math.round(nowMs - acceptedMs)));
}

function readFacts(reader: FieldReader, handle: number, nowMs: number): ConnectionFacts {
  return {
    handle,
    conn: reader.text(),
    peerAddress: reader.text(),
    peerPort: reader.u16(),
    listener: reader.text(),
    tls: reader.text(),
    acceptedMs: nowMs - reader.u48(),
  };
}

function courseOf({ phase, opening, nextSeq }: Connection): FieldWriter {
  const index = PHASES.findIndex((name) => name === phase);
  return new FieldWriter().u8(index).u32(opening).u48(nextSeq);
}

function readCourse(connection: Connection, reader: FieldReader): void {
  const index = reader.u8();
  const phase = PHASES[index];
  if (phase === undefined) throw new HandoverError('bad_value', `phase ${index}`);
  connection.phase = phase;
  connection.opening = reader.u32();
  connection.nextSeq = reader.u48();
}

function linesOf(lines: readonly HeldLine[], nowMs: number): FieldWriter {
  const writer = new FieldWriter().u32(lines.length);
  for (const { seq, arrivedMs, wasSent, bytes } of lines) {
    writer
      .u48(seq)
      .u32(ageOf(arrivedMs, nowMs))
      .u8(wasSent ? 1 : 0)
      .bytes(bytes);
  }
  return writer;
}

function readLines(connection: Connection, reader: FieldReader, nowMs: number): void {
  const count = reader.u32();
  for (let index = 0; index < count; index += 1) {
    const [seq, ageMs, wasSent] = [reader.u48(), reader.u32(), reader.u8() === 1];
    const bytes = Buffer.from(reader.bytes());
    connection.unacknowledged.push({ seq, arrivedMs: nowMs - ageMs, wasSent, bytes });
    connection.unacknowledgedBytes += bytes.length;
  }
}

function marksOf(marks: readonly Mark[]): FieldWriter {
  const writer = new FieldWriter().u8(marks.length);
  for (const mark of marks) writer.bytes(mark);
  return writer;
}

function readMarks(value: Uint8Array | undefined): readonly Mark[] {
  if (value === undefined) return [];
  const reader = new FieldReader(value);
  return Array.from({ length: reader.u8() }, () => Uint8Array.from(reader.bytes()));
}

function readIdle(value: Uint8Array | undefined): Connection['idle'] {
  if (value === undefined) return undefined;
  const reader = new FieldReader(value);
  return { afterMs: reader.u32(), bytes: Buffer.from(reader.bytes()) };
}

function agesOf({ wroteMs, heldSinceMs, closingSinceMs }: Connection, nowMs: number): FieldWriter {
  const maybe = (ms: number | undefined) => (ms === undefined ? 0 : ageOf(ms, nowMs) + 1);
  return new FieldWriter()
    .u32(ageOf(wroteMs, nowMs))
    .u32(maybe(heldSinceMs))
    .u32(maybe(closingSinceMs));
}

function readAges(connection: Connection, value: Uint8Array | undefined, nowMs: number): void {
  const reader = value === undefined ? undefined : new FieldReader(value);
  const maybe = (age: number) => (age === 0 ? undefined : nowMs - age + 1);
  connection.wroteMs = nowMs - (reader?.u32() ?? 0);
  connection.heldSinceMs = maybe(reader?.u32() ?? 0);
  connection.closingSinceMs = maybe(reader?.u32() ?? 0);
}

/** [ms] */
function ageOf(thenMs: number, nowMs: number): number {
  return Math.min(MS_MAX, Math.max(0, Math.round(nowMs - thenMs)));
}
